//! Key managers that keep their key in a file of this machine.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use billfold_core::{
    entropy::Entropy,
    keys::{
        FileKey, GenerationKey,
        manager::{Error, GenerationId, KeyManager},
    },
};
use zeroize::Zeroizing;

const KEY_FILE: &str = "key-file";
const DEV_FILE: &str = "dev-file";
const LENGTH: usize = 32;

/// The bits of a file's mode that give it to others than its owner.
const OTHERS: u32 = 0o077;

/// A key file that an operator made and guards: 32 random bytes, readable by its owner alone.
#[derive(Debug)]
pub struct KeyFile {
    key: FileKey,
}

impl KeyFile {
    /// Reads the key.
    ///
    /// # Errors
    /// When the file is missing, is open to others, or is not 32 bytes long.
    pub fn open(path: &Path) -> Result<Self, Error> {
        read(path).map(|key| Self { key })
    }

    /// Makes a new key file. One that exists is left alone.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub fn create(path: &Path, entropy: &mut dyn Entropy) -> Result<(), Error> {
        write(path, entropy)
    }
}

/// A key beside the data that it protects, made on first use. It protects nothing: whoever has the
/// folder has the secrets. For development only.
#[derive(Debug)]
pub struct DevFile {
    key: FileKey,
}

impl DevFile {
    /// Reads the key, or makes it on first use. Says loudly what it is.
    ///
    /// # Errors
    /// In production, or when the file cannot be used.
    pub fn open(path: &Path, production: bool, entropy: &mut dyn Entropy) -> Result<Self, Error> {
        if production {
            return Err(Error::Configuration(
                "the key manager dev-file protects nothing and is refused in production".to_owned(),
            ));
        }
        if !path.exists() {
            write(path, entropy)?;
        }
        tracing::warn!(
            file = %path.display(),
            "INSECURE: the key manager dev-file keeps the wallet's key beside its data"
        );
        read(path).map(|key| Self { key })
    }
}

macro_rules! file_key_manager {
    ($name:ident, $label:ident) => {
        #[async_trait]
        impl KeyManager for $name {
            fn name(&self) -> &'static str {
                $label
            }

            async fn create(
                &self,
                generation: GenerationId,
                entropy: &mut (dyn Entropy + Send),
            ) -> Result<(GenerationKey, Vec<u8>), Error> {
                Ok(self.key.create_generation(generation, entropy))
            }

            async fn open(
                &self,
                generation: GenerationId,
                wrapped: &[u8],
            ) -> Result<GenerationKey, Error> {
                let opened = self.key.open_generation(generation, wrapped);
                opened.map_err(|_| Error::WrongKey($label))
            }
        }
    };
}

file_key_manager!(KeyFile, KEY_FILE);
file_key_manager!(DevFile, DEV_FILE);

fn read(path: &Path) -> Result<FileKey, Error> {
    let failed = |what: String| Error::Configuration(format!("the key file {}", at(path, &what)));
    let mut file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    // Of the open file, so that nobody changes it between the look and the read.
    let metadata = file.metadata().map_err(|error| failed(error.to_string()))?;
    if metadata.mode() & OTHERS != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(failed(format!(
            "has mode {mode:04o}; it must be 0600 or 0400"
        )));
    }
    if metadata.len() != LENGTH as u64 {
        return Err(failed(format!(
            "has {} bytes; it must have {LENGTH}",
            metadata.len()
        )));
    }
    let mut key = Zeroizing::new([0; LENGTH]);
    file.read_exact(key.as_mut_slice())
        .map_err(|error| failed(error.to_string()))?;
    Ok(FileKey::danger_from_bytes(&key))
}

fn write(path: &Path, entropy: &mut dyn Entropy) -> Result<(), Error> {
    let failed = |error: io::Error| {
        Error::Configuration(format!("the key file {}", at(path, &error.to_string())))
    };
    let mut key = Zeroizing::new([0; LENGTH]);
    entropy.fill(key.as_mut_slice());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Written whole under another name first: a crash leaves a key file or none, never half of one.
    let half: PathBuf = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&half).map_err(failed)?;
    file.write_all(key.as_slice()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let linked = fs::hard_link(&half, path);
    fs::remove_file(&half).map_err(failed)?;
    linked.map_err(failed)
}

fn at(path: &Path, what: &str) -> String {
    format!("{}: {what}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use billfold_core::{id::WalletId, test_entropy::Counter};

    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_key_file_is_made_once_and_guarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(message(KeyFile::open(&path)).contains("No such file"));
        KeyFile::create(&path, &mut Counter::new(1)).unwrap();
        assert!(message(KeyFile::create(&path, &mut Counter::new(2))).contains("exists"));
        KeyFile::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(message(KeyFile::open(&path)).contains("0640"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [0; 31]).unwrap();
        assert!(message(KeyFile::open(&path)).contains("31 bytes"));
    }

    #[test]
    fn a_dev_file_is_refused_in_production() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let refused = DevFile::open(&path, true, &mut Counter::new(1));
        assert!(message(refused).contains("refused in production"));
        assert!(!path.exists());
        DevFile::open(&path, false, &mut Counter::new(1)).unwrap();
    }

    #[tokio::test]
    async fn a_generation_opens_with_its_own_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str, seed| {
            DevFile::open(&dir.path().join(name), false, &mut Counter::new(seed)).unwrap()
        };
        let (first, second) = (open("a", 1), open("b", 2));
        let id = GenerationId {
            wallet: WalletId::from_bytes([7; 16]),
            number: 1,
        };
        let (_, wrapped) = first.create(id, &mut Counter::new(3)).await.unwrap();
        assert!(first.open(id, &wrapped).await.is_ok());
        assert!(matches!(
            second.open(id, &wrapped).await,
            Err(Error::WrongKey(_))
        ));
        let next = GenerationId { number: 2, ..id };
        assert!(matches!(
            first.open(next, &wrapped).await,
            Err(Error::WrongKey(_))
        ));
    }
}
