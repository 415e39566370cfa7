//! Reading: recorded first, judged at its place in the log, then answered (invariant 3).

use std::time::Instant;

use billfold_core::{
    SecretBytes,
    access::{Need, need_of},
    decide::Refusal,
    event::{
        CiphertextHash,
        v1::{MountKind, Operation, ResolutionRequested},
    },
    id::{MountId, RecordId, Seq},
    judge::Verdict,
    keys::Content,
    names::{CredentialNames, Names, RequestNames, payload_place},
    policy,
    state::{Record, Version},
};
use billfold_projector::{
    fold::open_names,
    keychain::{Ask, Judged, Material, Outcome},
    view::{Leaf, NamedRecord, StoredRecord},
};
use billfold_streams::recorder::Request;
use bytes::Bytes;

use super::{At, Caller, Credential, Error, Mount, Secret, SecretMetadata, Wallet};

/// What kind a secret is called that was written without saying.
const KV: &str = "kv";
/// How often names are looked up anew because those that were found are gone by then.
const TURNS: u32 = 16;

/// A question, before it is put on record.
pub(super) struct Question<'a> {
    pub(super) operation: Operation,
    pub(super) mount: Option<MountId>,
    pub(super) record: Option<RecordId>,
    pub(super) version: Option<u32>,
    /// The path, where the record's own names do not tell it.
    pub(super) path: Option<&'a str>,
    pub(super) ask: Ask,
    pub(super) need: Need,
}

/// A record by its place.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) mount: &'a Mount,
    pub(super) id: RecordId,
    pub(super) path: &'a str,
}

/// What a question about a secret or folder needs.
pub(super) fn asked(operation: Operation, mount: &Mount, path: &str) -> Need {
    let place = Some((mount.kind, mount.path.as_str()));
    // Its mount and path are all that the need is made of.
    let need = need_of(operation, place, Some(path));
    Need {
        mount: Some((mount.id, mount.names)),
        ..need.unwrap_or_else(|| Need::to(policy::Operation::Read, ""))
    }
}

/// A record, the version that was asked for, and what it says as far as it may be told.
pub(super) type OpenVersion = (StoredRecord, Version, Option<SecretBytes>);

impl Wallet {
    /// Reads a version of a secret; 0 or none is the current one.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn read(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        version: Option<u32>,
    ) -> Result<At<Secret>, Error> {
        self.read_for(caller, mount, path, version, Operation::ReadData)
            .await
    }

    /// Reads a version of a secret for something else than to tell it as it is.
    pub(crate) async fn read_for(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        version: Option<u32>,
        operation: Operation,
    ) -> Result<At<Secret>, Error> {
        let need = asked(operation, mount, path);
        let id = self.record(mount.id, path);
        let place = Place { mount, id, path };
        let (seq, (stored, version, data)) = self
            .resolve(caller, place, version, operation, need)
            .await?;
        let custom = self
            .names_of(id, &stored)
            .await?
            .map(|names| names.custom)
            .unwrap_or_default();
        Ok(At {
            seq,
            value: Secret {
                version: (&version).into(),
                data,
                custom,
            },
        })
    }

    /// Reads what is known about a secret.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn read_metadata(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
    ) -> Result<At<SecretMetadata>, Error> {
        self.read_metadata_for(caller, mount, path, Operation::ReadMetadata)
            .await
    }

    /// Reads what is known about a secret for something else than to tell it.
    pub(super) async fn read_metadata_for(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        operation: Operation,
    ) -> Result<At<SecretMetadata>, Error> {
        let need = asked(operation, mount, path);
        let id = self.record(mount.id, path);
        let place = Place { mount, id, path };
        let judged = self
            .ask_record(caller, place, None, operation, need)
            .await?;
        let stored = record_of(judged.verdict, judged.material)?;
        let custom = self
            .names_of(id, &stored)
            .await?
            .map(|names| names.custom)
            .unwrap_or_default();
        let record = stored.record;
        let oldest = record.oldest(self.settings_of(mount)?.max_versions);
        let value = SecretMetadata {
            record,
            custom,
            oldest,
        };
        Ok(At {
            seq: judged.seq,
            value,
        })
    }

    /// Lists a folder of a mount, behind a name if one is given: `path` is empty for the mount, or ends with a slash. Folders in it
    /// end with a slash, too.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn list(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        after: Option<&str>,
    ) -> Result<At<Vec<String>>, Error> {
        let depth = path.matches('/').count();
        let folder = self.keychain.view().folder(mount.id, path);
        let question = Question {
            operation: Operation::List,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: Some(path),
            ask: Ask::Folder(folder, depth),
            need: asked(Operation::List, mount, path),
        };
        let judged = self.put_on_record(caller, question).await?;
        let lines = lines_of(judged.verdict, judged.material)?;
        let mut names = Vec::with_capacity(lines.len());
        for line in lines {
            names.extend(self.line(&line).await?);
        }
        names.sort_unstable();
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        bound(&mut names, judged.page);
        if names.is_empty() {
            Err(Error::Absent)
        } else {
            Ok(At {
                seq: judged.seq,
                value: names,
            })
        }
    }

    /// The paths of all secrets below a folder of a mount, from the folder on, at any depth.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn scan(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
    ) -> Result<At<Vec<String>>, Error> {
        let folder = self.keychain.view().folder(mount.id, path);
        let question = Question {
            operation: Operation::Scan,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: Some(path),
            ask: Ask::Everything(folder),
            need: asked(Operation::Scan, mount, path),
        };
        let judged = self.put_on_record(caller, question).await?;
        let mut paths = Vec::new();
        for line in lines_of(judged.verdict, judged.material)? {
            let names = self.names_in(&line).await?;
            let below = names.and_then(|names| names.path.strip_prefix(path).map(str::to_owned));
            paths.extend(below);
        }
        paths.sort_unstable();
        bound(&mut paths, judged.page);
        Ok(At {
            seq: judged.seq,
            value: paths,
        })
    }

    /// Reads a credential by its name or id.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn read_credential(
        &self,
        caller: &Caller,
        mount: &Mount,
        id: RecordId,
        name: &str,
        with_data: bool,
    ) -> Result<At<Credential>, Error> {
        let place = Place {
            mount,
            id,
            path: name,
        };
        let operation = match with_data {
            true => Operation::ReadData,
            false => Operation::ReadMetadata,
        };
        let need = asked(operation, mount, name);
        let (seq, stored, data) = if with_data {
            let (seq, (stored, _, data)) = self
                .resolve(caller, place, None, Operation::ReadData, need)
                .await?;
            (seq, stored, Some(data.ok_or(Error::Absent)?))
        } else {
            let judged = self
                .ask_record(caller, place, None, Operation::ReadMetadata, need)
                .await?;
            (
                judged.seq,
                record_of(judged.verdict, judged.material)?,
                None,
            )
        };
        let names = self.names_of(id, &stored).await?.ok_or(Error::Erased)?;
        Ok(At {
            seq,
            value: credential(id, &stored.record, names, data),
        })
    }

    /// All credentials of a mount, without their secrets.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn credentials(
        &self,
        caller: &Caller,
        mount: &Mount,
        filter: &str,
    ) -> Result<At<Vec<Credential>>, Error> {
        let question = Question {
            operation: Operation::ListCredentials,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: Some(filter),
            ask: Ask::Everything(*mount.id.as_bytes()),
            need: asked(Operation::ListCredentials, mount, ""),
        };
        let judged = self.put_on_record(caller, question).await?;
        let mut found = Vec::new();
        for line in lines_of(judged.verdict, judged.material)? {
            let names = self.names_in(&line).await?;
            found.extend(
                names.map(|names| credential(line.record, &line.stored.record, names, None)),
            );
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        bound(&mut found, judged.page);
        Ok(At {
            seq: judged.seq,
            value: found,
        })
    }

    /// Records that someone looks at the mounts, or at the audit trail of a record or of all. Returns
    /// where the view was, and where the record of it is.
    pub(super) async fn look_at(
        &self,
        caller: &Caller,
        operation: Operation,
        record: Option<RecordId>,
    ) -> Result<At<Seq>, Error> {
        let need = need_of(operation, None, None).ok_or(Error::Denied)?;
        let question = Question {
            operation,
            mount: None,
            record,
            version: None,
            path: None,
            ask: Ask::Nothing,
            need,
        };
        self.look(caller, question).await
    }

    /// Records that someone asks for what the wallet keeps nothing of, by the path of the API.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn ask(&self, caller: &Caller, path: &str) -> Result<Seq, Error> {
        let looked = self
            .look_at_system(caller, Operation::AskSystem, path)
            .await?;
        Ok(looked.seq)
    }

    /// The same, by reading.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn look_up(&self, caller: &Caller, path: &str) -> Result<Seq, Error> {
        let looked = self
            .look_at_system(caller, Operation::ReadSystem, path)
            .await?;
        Ok(looked.seq)
    }

    /// Records that someone was refused a change, by the path of the API; the path of a secret that
    /// there is stands in its own names alone, so that it can be erased.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn record_refusal(&self, caller: &Caller, path: &str) -> Result<(), Error> {
        let mut question = about_system(Operation::Refused, path)?;
        if let Some((mount, record)) = self.secret_at(path).await? {
            question.mount = Some(mount);
            question.record = Some(record);
            question.path = None;
        }
        self.judged(caller, question).await?;
        Ok(())
    }

    /// The secret that a path of the API is about, if there is one.
    async fn secret_at(&self, path: &str) -> Result<Option<(MountId, RecordId)>, Error> {
        let Some((mount, below)) = self.mount_of(path).await? else {
            return Ok(None);
        };
        // What is to be done with it stands before its path, unless that was forgotten.
        let behind = match mount.kind {
            MountKind::KvV2 => below.split_once('/').map(|(_, path)| path),
            MountKind::KvV1 => None,
        };
        for path in behind.into_iter().chain([below.as_str()]) {
            let record = self.record(mount.id, path.trim_end_matches('/'));
            if self.is_there(&record).await? {
                return Ok(Some((mount.id, record)));
            }
        }
        Ok(None)
    }

    /// Records that someone looks at something of the wallet itself, by its path of the API.
    pub(super) async fn look_at_system(
        &self,
        caller: &Caller,
        operation: Operation,
        path: &str,
    ) -> Result<At<Seq>, Error> {
        self.look(caller, about_system(operation, path)?).await
    }

    pub(super) async fn look(
        &self,
        caller: &Caller,
        question: Question<'_>,
    ) -> Result<At<Seq>, Error> {
        let (recorded, judged) = self.record_and_judge(caller, question).await?;
        match judged.verdict {
            Verdict::Listing => Ok(At {
                seq: judged.seq,
                value: recorded,
            }),
            _ => Err(Error::Denied),
        }
    }

    /// Asks for a version and opens it.
    ///
    /// A key that is gone although the version was readable was destroyed after the question's place
    /// in the log: the question is put once more, and what it finds there is the answer. It is not
    /// put again and again: each time stands on record.
    pub(super) async fn resolve(
        &self,
        caller: &Caller,
        place: Place<'_>,
        version: Option<u32>,
        operation: Operation,
        need: Need,
    ) -> Result<(Seq, OpenVersion), Error> {
        let mut again = true;
        loop {
            let judged = self
                .ask_record(caller, place, version, operation, need.clone())
                .await?;
            let opened = self
                .open_version(place.id, judged.verdict, judged.material)
                .await;
            if matches!(opened, Err(Error::Erased)) && std::mem::take(&mut again) {
                continue;
            }
            return Ok((judged.seq, opened?));
        }
    }

    /// Whether there is a record. That there is none is said by what the log holds by now.
    async fn is_there(&self, id: &RecordId) -> Result<bool, Error> {
        if self.keychain.view().has_record(id)? {
            return Ok(true);
        }
        self.come_to_the_end().await?;
        Ok(self.keychain.view().has_record(id)?)
    }

    pub(super) async fn ask_record(
        &self,
        caller: &Caller,
        Place { mount, id, path }: Place<'_>,
        version: Option<u32>,
        operation: Operation,
        need: Need,
    ) -> Result<Judged, Error> {
        // A record that exists is known by its own names, which can be erased with it.
        let exists = self.is_there(&id).await?;
        let ask = match operation {
            Operation::ReadData
            | Operation::PatchData
            | Operation::ReadSubkeys
            | Operation::RestoreData => Ask::Version(id),
            _ => Ask::Names(id),
        };
        let question = Question {
            operation,
            mount: Some(mount.id),
            record: Some(id),
            version,
            path: (!exists).then_some(path),
            ask,
            need,
        };
        self.put_on_record(caller, question).await
    }

    pub(super) async fn put_on_record(
        &self,
        caller: &Caller,
        question: Question<'_>,
    ) -> Result<Judged, Error> {
        let (_, judged) = self.record_and_judge(caller, question).await?;
        Ok(judged)
    }

    /// Records a question and waits for its place in the log.
    ///
    /// A record does not hold what a request says besides its path, so its verdict cannot depend on
    /// that. A caller whose policies look at it is held to them here, and recorded as refused; once
    /// more afterwards, for they may have changed on another node.
    async fn record_and_judge(
        &self,
        caller: &Caller,
        question: Question<'_>,
    ) -> Result<(Seq, Judged), Error> {
        let said = caller.parameters.as_ref().map(|parameters| Need {
            parameters: Some(parameters.clone()),
            ..question.need.clone()
        });
        let Some(said) = said.filter(|_| question.operation != Operation::Refused) else {
            return self.judged(caller, question).await;
        };
        let barred = |need: &Need| {
            let looks = self.looks_at_parameters(caller)?;
            Ok::<_, Error>(looks && self.may_here(caller, need)? && !self.may_here(caller, &said)?)
        };
        if barred(&question.need)? {
            self.come_to_the_end().await?;
            if barred(&question.need)? {
                self.record_refusal(caller, &said.path).await?;
                return Err(Error::Denied);
            }
        }
        let need = question.need.clone();
        let judged = self.judged(caller, question).await?;
        if judged.1.verdict != Verdict::Denied && barred(&need)? {
            self.record_refusal(caller, &said.path).await?;
            return Err(Error::Denied);
        }
        Ok(judged)
    }

    async fn judged(
        &self,
        caller: &Caller,
        question: Question<'_>,
    ) -> Result<(Seq, Judged), Error> {
        let deadline = Instant::now() + self.patience;
        loop {
            let (recorded, outcome) = self.ask_once(caller, &question).await?;
            match outcome {
                Outcome::Judged(judged) => return Ok((recorded, *judged)),
                Outcome::Moved => return Err(Error::Refused(Refusal::Moved)),
                // An epoch ended before the record was in the log.
                Outcome::Void if Instant::now() < deadline => {}
                Outcome::Void => {
                    let told = "the request's record came behind the end of its epoch";
                    return Err(Error::Unavailable(told.to_owned()));
                }
            }
        }
    }

    /// Records a question once, and waits for what comes of it.
    async fn ask_once(
        &self,
        caller: &Caller,
        question: &Question<'_>,
    ) -> Result<(Seq, Outcome), Error> {
        let names = RequestNames {
            path: question.path.map(str::to_owned),
            client: caller.client.to_string(),
            execution: caller.execution.clone(),
        };
        let asked = ResolutionRequested {
            request: caller.request,
            operation: question.operation,
            mount: question.mount,
            record: question.record,
            version: question.version,
            wrap_ttl: caller.wrap_ttl,
            names: CiphertextHash::default(),
        };
        let desk = self.keychain.desk();
        let need = Need {
            wrap_ttl: caller.wrap_ttl,
            ..question.need.clone()
        };
        let ticket = desk.register(caller.request, question.ask, need);
        let recorded = self
            .recorder
            .request(Request {
                actor: caller.actor,
                asked,
                names,
            })
            .await?;
        let outcome = tokio::time::timeout(self.patience, ticket.outcome()).await;
        let stopped =
            || Error::Unavailable("this node did not come to the request's record".to_owned());
        let outcome = outcome.ok().flatten().ok_or_else(stopped)?;
        Ok((recorded, outcome))
    }

    /// The version that a verdict names, opened as far as it may be told.
    async fn open_version(
        &self,
        id: RecordId,
        verdict: Verdict,
        material: Material,
    ) -> Result<OpenVersion, Error> {
        let (record, number, readable) = match verdict {
            Verdict::Version {
                record,
                number,
                readable,
            } => (record, number, readable),
            other => return Err(refused(&other)),
        };
        let Material::Version(stored, payload) = material else {
            return Err(Error::Absent);
        };
        let version = record.version(number).ok_or(Error::Absent)?.clone();
        let data = match (readable, payload) {
            (false, _) => None,
            (true, Some(payload)) => Some(self.open_payload(id, &version, &payload).await?),
            (true, None) => return Err(Error::Erased),
        };
        Ok((*stored, version, data))
    }

    pub(super) async fn open_payload(
        &self,
        id: RecordId,
        version: &Version,
        sealed: &Bytes,
    ) -> Result<SecretBytes, Error> {
        let custody = self.keychain.custody();
        let dek = custody.dek(version.key).await?.ok_or(Error::Erased)?;
        let place = payload_place(custody.wallet(), id, version.number);
        dek.open(Content::Payload, &place, sealed)
            .map_err(|_| Error::Erased)
    }

    /// The path of a record in this mount, as far as this node knows it and it is not erased.
    ///
    /// # Errors
    /// When the view or the key store cannot be read.
    pub async fn path_of(&self, mount: &Mount, id: RecordId) -> Result<Option<String>, Error> {
        let stored = self.keychain.view().stored_record(&id)?;
        match stored.filter(|stored| stored.record.mount == mount.id) {
            Some(stored) => Ok(self.names_of(id, &stored).await?.map(|names| names.path)),
            None => Ok(None),
        }
    }

    /// The names of a record: those that it has by now, if those that were found have gone since. None
    /// when they are erased, or it is gone.
    pub(super) async fn names_of(
        &self,
        id: RecordId,
        stored: &StoredRecord,
    ) -> Result<Option<Names>, Error> {
        self.open_names(id, &stored.record, stored.names()).await
    }

    /// The names of the record that tells a line, in the same way.
    pub(super) async fn names_in(&self, line: &Leaf) -> Result<Option<Names>, Error> {
        let NamedRecord { record, names } = &line.stored;
        self.open_names(line.record, record, names).await
    }

    async fn open_names(
        &self,
        id: RecordId,
        record: &Record,
        sealed: &Bytes,
    ) -> Result<Option<Names>, Error> {
        let custody = self.keychain.custody();
        let (key, version) = (record.names.key, record.names_version);
        let mut hash = record.names.hash;
        let mut opened = open_names(custody, id, key, version, sealed).await?;
        for _ in 0..TURNS {
            if opened.is_some() {
                break;
            }
            // Keys are destroyed behind what gave them up, which this node may not have seen yet.
            self.come_to_the_end().await?;
            let Some(stored) = self.keychain.view().stored_record(&id)? else {
                break;
            };
            let names = stored.record.names;
            if names.hash == hash {
                break;
            }
            hash = names.hash;
            let version = stored.record.names_version;
            opened = open_names(custody, id, names.key, version, stored.names()).await?;
        }
        Ok(opened)
    }

    /// The text of a folder's line; none when its names are erased.
    async fn line(&self, line: &Leaf) -> Result<Option<String>, Error> {
        let Some(names) = self.names_in(line).await? else {
            return Ok(None);
        };
        let segment = names
            .path
            .split_inclusive('/')
            .nth(line.depth.saturating_sub(1));
        Ok(segment.map(str::to_owned))
    }
}

fn credential(
    id: RecordId,
    record: &Record,
    names: Names,
    data: Option<SecretBytes>,
) -> Credential {
    let plain = || CredentialNames {
        kind: KV.to_owned(),
        ..CredentialNames::default()
    };
    Credential {
        id,
        name: names.path,
        names: names.credential.unwrap_or_else(plain),
        created: record.created,
        updated: record.updated,
        data,
    }
}

/// A question about the wallet itself, by the path of the API.
pub(super) fn about_system(operation: Operation, path: &str) -> Result<Question<'_>, Error> {
    Ok(Question {
        operation,
        mount: None,
        record: None,
        version: None,
        path: Some(path),
        ask: Ask::Nothing,
        need: need_of(operation, None, Some(path)).ok_or(Error::Denied)?,
    })
}

/// Cuts a listing to what a policy lets be shown.
pub(super) fn bound<T>(names: &mut Vec<T>, page: Option<u32>) {
    if let Some(page) = page {
        names.truncate(usize::try_from(page).unwrap_or(usize::MAX));
    }
}

fn refused(verdict: &Verdict) -> Error {
    match verdict {
        Verdict::Denied => Error::Denied,
        _ => Error::Absent,
    }
}

fn record_of(verdict: Verdict, material: Material) -> Result<StoredRecord, Error> {
    match (verdict, material) {
        (Verdict::Metadata(_), Material::Record(stored)) => Ok(*stored),
        (verdict, _) => Err(refused(&verdict)),
    }
}

pub(super) fn lines_of(verdict: Verdict, material: Material) -> Result<Vec<Leaf>, Error> {
    match (verdict, material) {
        (Verdict::Listing, Material::Lines(lines)) => Ok(lines),
        (verdict, _) => Err(refused(&verdict)),
    }
}
