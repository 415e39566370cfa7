//! The identifiers of the wallet: opaque, fixed in size, cheap to copy.
//!
//! None of them says anything about a name: they are random, or keyed hashes, so they may stand in
//! subjects and view keys (invariant 4).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an identifier: it needs 32 hexadecimal digits, hyphens allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 32 hexadecimal digits")]
pub struct Malformed;

macro_rules! opaque_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The identifier of these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_bytes::ByteArray::<16>::deserialize(deserializer).map(|b| Self(b.into_array()))
            }
        }
    )*};
}

opaque_id! {
    /// A wallet: one log, one key store, one keyring. Random.
    WalletId;
    /// A secret's record: HMAC of namespace, mount and path under the wallet's id key
    /// ([`crate::keys::IdKey`]), cut to 16 bytes.
    RecordId;
    /// A secret engine mount. Random, so that a mount may move to another path.
    MountId;
    /// A page of the key store. Random.
    PageId;
    /// A fact key: the key of one namespace and epoch. Random.
    FactKeyId;
    /// One run of one node's process. Random; never used again.
    ProcessId;
    /// A command, as a UUID of version 7: its first 48 bits are its time in milliseconds.
    CommandId;
    /// Whoever acts: a principal's stable opaque id.
    PrincipalId;
    /// A credential by which a principal acted (a token's accessor), never the credential.
    TokenId;
    /// A request, as the node that served it numbered it.
    RequestId;
    /// An erasure that was ordered: a receipt has it. Random, or that of its command.
    ErasureId;
    /// An auditor's grant. Random, or that of its command.
    GrantId;
    /// A legal hold. Random, or that of its command.
    HoldId;
}

impl CommandId {
    /// When the command says it was made, in milliseconds since 1970 (RFC 9562, section 5.7).
    /// `None` when it is not a UUID of version 7.
    #[must_use]
    pub fn made_at(&self) -> Option<crate::Millis> {
        let [a, b, c, d, e, f, version, _, variant, ..] = self.0;
        let is_v7 = version >> 4 == 7 && variant >> 6 == 0b10;
        is_v7.then(|| crate::Millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    }
}

/// A position in the log, counted from 1 over all subjects; 0 is "before the first".
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse_hex(text: &str) -> Result<[u8; 16], Malformed> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let mut bytes = [0; 16];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| Malformed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_id_tells_its_time() {
        let id: CommandId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
        // RFC 9562, appendix A.6.
        assert_eq!(id.made_at(), Some(crate::Millis(0x017F_22E2_79B0)));
        let v4: CommandId = "919108f7-52d1-4320-9bac-f847db4148a8".parse().unwrap();
        assert_eq!(v4.made_at(), None);
    }
}
