//! Every label that separates one use of a key or hash from another. No label stands anywhere else.

/// What a derived key is for: the `info` of HKDF, or the prefix of a hash or MAC input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(&'static str);

impl Label {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'static [u8] {
        self.0.as_bytes()
    }

    /// Its text.
    pub(crate) const fn as_str(&self) -> &'static str {
        self.0
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Label = Label($text);)*

        #[cfg(test)]
        const ALL: &[Label] = &[$($name),*];
    };
}

labels! {
    /// A generation key under a key file.
    GENERATION = "billfold v1 unseal generation";
    /// A generation key under the key that shares make.
    SHARED_GENERATION = "billfold v1 shared unseal generation";
    /// What finds a share that was mistyped.
    SHARE_CHECK = "billfold v1 share check";
    /// The MAC of a recovery key, under the token MAC key.
    RECOVERY_MAC = "billfold v1 recovery mac";
    /// A KEK version under an unseal generation.
    KEK = "billfold v1 kek";
    /// An unseal generation's key under the newest KEK version.
    HANDED_ON = "billfold v1 unseal generation, handed on";
    /// The wallet keys and fact keys under a KEK.
    WALLET_KEYS = "billfold v1 wallet keys";
    /// A page of DEKs under a KEK.
    PAGE = "billfold v1 key page";
    /// A fact under its epoch's key.
    FACT = "billfold v1 fact";
    /// A record's or mount's names under its name DEK.
    NAMES = "billfold v1 names";
    /// What a request named, under its epoch's request-name key.
    REQUEST_NAMES = "billfold v1 request names";
    /// A payload under its DEK.
    PAYLOAD = "billfold v1 payload";
    /// The key of one view under the wallet's view key.
    VIEW_KEY = "billfold v1 view key";
    /// A value of a view under the view's key.
    VIEW_VALUE = "billfold v1 view value";
    /// The blinded keys of a view: segments of folders, terms of the audit index.
    VIEW_INDEX = "billfold v1 view index";
    /// Commands handed to another writer, under the wallet's command key.
    HAND_OVER = "billfold v1 hand-over";
    /// The answer to a hand-over.
    HAND_OVER_ANSWER = "billfold v1 hand-over answer";
    /// A record's id.
    RECORD_ID = "billfold v1 record id";
    /// The id of a mount's path.
    MOUNT_PATH = "billfold v1 mount path";
    /// The id of a folder in a mount.
    FOLDER_ID = "billfold v1 folder id";
    /// What names an auditor's public key.
    AUDITOR_KEY = "billfold v1 auditor key";
    /// What finds an auditor's key that was mistyped.
    AUDITOR_KEY_CHECK = "billfold v1 auditor key check";
    /// A part of an auditor's grant.
    AUDITOR_GRANT = "billfold v1 auditor grant";
    /// A token's MAC.
    TOKEN_MAC = "billfold v1 token mac";
    /// A command's fingerprint.
    COMMAND_PRINT = "billfold v1 command fingerprint";
    /// A commit's hash.
    COMMIT_HASH = "billfold v1 commit hash";
    /// A ciphertext's hash, as facts hold it.
    CIPHERTEXT_HASH = "billfold v1 ciphertext hash";
    /// The state's digest.
    STATE_DIGEST = "billfold v1 state digest";
    /// A message of the log as a leaf of the tree.
    LEAF = "billfold v1 leaf";
    /// The first line of a change of the key that signs checkpoints.
    CHECKPOINT_KEY_CHANGE = "billfold v1 checkpoint key change";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_the_beginning_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                // HKDF's info ends where the label ends, so a shared beginning is safe there; MAC
                // and hash inputs put a length before what follows, but names stay distinct anyway.
                assert!(i == j || a != b);
            }
        }
    }
}
