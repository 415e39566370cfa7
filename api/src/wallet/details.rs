//! Listings that tell what is known about each secret.

use billfold_core::event::v1::Operation;
use billfold_projector::keychain::Ask;

use super::{
    At, Caller, Error, Mount, SecretMetadata, Wallet,
    read::{Question, asked, bound, lines_of},
};

/// A name in a listing, and what is known about it if it is a secret.
pub type Detail = (String, Option<SecretMetadata>);

impl Wallet {
    /// Lists a folder of a mount, or with [`Operation::ScanDetails`] all that is below it: `path` is
    /// empty for the mount, or ends with a slash. Nothing there is an empty list.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn details(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        operation: Operation,
    ) -> Result<At<Vec<Detail>>, Error> {
        let folder = self.keychain.view().folder(mount.id, path);
        let scans = operation == Operation::ScanDetails;
        let ask = match scans {
            true => Ask::Everything(folder),
            false => Ask::Folder(folder, path.matches('/').count()),
        };
        let question = Question {
            operation,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: Some(path),
            ask,
            need: asked(operation, mount, path),
        };
        let judged = self.put_on_record(caller, question).await?;
        let kept = self.settings_of(mount)?.max_versions;
        let mut found = Vec::new();
        for line in lines_of(judged.verdict, judged.material)? {
            let Some(names) = self.names_in(&line).await? else {
                continue;
            };
            let Some(below) = names.path.strip_prefix(path) else {
                continue;
            };
            let name = match scans {
                true => below,
                false => below.split_inclusive('/').next().unwrap_or_default(),
            };
            let is_secret = !name.ends_with('/');
            let metadata = SecretMetadata {
                record: line.stored.record.clone(),
                custom: names.custom.clone(),
                oldest: line.stored.record.oldest(kept),
            };
            found.push((name.to_owned(), is_secret.then_some(metadata)));
        }
        found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        bound(&mut found, judged.page);
        Ok(At {
            seq: judged.seq,
            value: found,
        })
    }
}
