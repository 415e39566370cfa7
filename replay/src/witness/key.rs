//! A witness's key, in a file that only its owner reads. Its form is that of Go's notes:
//! `PRIVATE+KEY+name+id+key`, the key with its algorithm byte before it, in base64.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::{
    entropy::Entropy as _,
    keys::CosignerSeed,
    proof::{KeyName, Signer, VerifierKey},
};
use billfold_streams::entropy::Os;
use zeroize::Zeroizing;

use crate::Error;

const PREFIX: &str = "PRIVATE+KEY+";
/// The algorithm byte of keys that cosign.
const COSIGNER: u8 = 4;

/// A witness's key.
#[derive(Debug)]
pub struct WitnessKey(Signer);

impl WitnessKey {
    /// Reads it from a file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds no key of a witness.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let option = "--witness-key";
        let unread = |error| Error::unread(option, file, &error);
        let about = fs::metadata(file).map_err(unread)?;
        if about.mode() & 0o077 != 0 {
            let why = "others may read it: its mode must be 0600";
            return Err(Error::unfit(option, file, &why));
        }
        let text = fs::read_to_string(file).map_err(unread)?;
        let text = Zeroizing::new(text);
        parse(text.trim_end())
            .map(Self)
            .ok_or_else(|| Error::unfit(option, file, &"it holds no key of a witness"))
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    pub(super) const fn signer(&self) -> &Signer {
        &self.0
    }
}

fn parse(text: &str) -> Option<Signer> {
    let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '+');
    let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
    let key = Zeroizing::new(BASE64_STANDARD.decode(key).ok()?);
    let (algorithm, seed) = key.split_first()?;
    let seed: &[u8; 32] = seed.try_into().ok()?;
    let name = KeyName::new(name).ok()?;
    let signer = Signer::of_a_witness(name, &CosignerSeed::danger_from_bytes(seed));
    let fits = *algorithm == COSIGNER && hex(&signer.verifier().id()) == id;
    fits.then_some(signer)
}

fn hex(id: &[u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(*id))
}

/// Makes a key and puts it into a file that is not there yet; what its signatures are checked with.
///
/// # Errors
/// When the name is none, or the file is there or cannot be written.
pub fn generate(name: &str, file: &Path) -> Result<VerifierKey, Error> {
    let name = KeyName::new(name).map_err(|error| Error::Usage(error.to_string()))?;
    let mut bytes = Zeroizing::new([0; 33]);
    let [algorithm, seed @ ..] = &mut *bytes;
    *algorithm = COSIGNER;
    Os::new().fill(seed);
    let signer = Signer::of_a_witness(name.clone(), &CosignerSeed::danger_from_bytes(seed));
    let verifier = signer.verifier();
    let key = Zeroizing::new(BASE64_STANDARD.encode(bytes.as_slice()));
    let line = format!("{PREFIX}{name}+{}+{}\n", hex(&verifier.id()), key.as_str());
    let line = Zeroizing::new(line);
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)?;
        out.write_all(line.as_bytes())?;
        out.sync_all()
    })();
    written.map_err(|error| Error::unmade("--out", file, &error))?;
    Ok(verifier)
}
