//! Shares of a key: how many there are, how one is written down, and what a share says of itself.
//!
//! The arithmetic is not here: a share is a point, its key is somewhere else.

use std::{fmt, num::NonZeroU8};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    cbor::as_array,
    id::WalletId,
    keys::{RecoveryKey, ShareKey},
    labels,
    secret::KeyBytes,
};

const FORMAT: u8 = 1;
const WALLET: usize = 5;
const CHECKED: usize = 1 + 1 + WALLET + 4 + 1 + 32;
const CHECK: usize = 4;
/// How long a share is, in bytes: four thirds of it fill base64 without padding.
pub const LENGTH: usize = CHECKED + CHECK;

/// How many shares there are, and how many of them it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    shares: u8,
    threshold: u8,
}

as_array!(Counts { shares, threshold });

/// Counts that nobody could work with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCounts {
    /// No share.
    #[error("shares must be at least one")]
    NoShares,
    /// Nothing would be needed.
    #[error("threshold must be at least one")]
    NoThreshold,
    /// One share of several would be the key itself.
    #[error("threshold must be greater than one for multiple shares")]
    OneOfMany,
    /// A point is one byte, and zero is the key itself.
    #[error("shares must be less than 256")]
    ManyShares,
    /// As above.
    #[error("threshold must be less than 256")]
    LargeThreshold,
    /// There would never be enough.
    #[error("threshold cannot be larger than shares")]
    Unreachable,
}

impl Counts {
    /// The counts, if they can be worked with.
    ///
    /// # Errors
    /// With what is wrong about them.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, BadCounts> {
        if shares < 1 {
            return Err(BadCounts::NoShares);
        }
        if threshold < 1 {
            return Err(BadCounts::NoThreshold);
        }
        if shares > 1 && threshold == 1 {
            return Err(BadCounts::OneOfMany);
        }
        let narrow = u8::try_from(shares).map_err(|_| BadCounts::ManyShares)?;
        let threshold = u8::try_from(threshold).map_err(|_| BadCounts::LargeThreshold)?;
        if threshold > narrow {
            return Err(BadCounts::Unreachable);
        }
        Ok(Self {
            shares: narrow,
            threshold,
        })
    }

    /// Counts that were read from somewhere, if they can be worked with.
    pub(crate) fn checked(self) -> Option<Self> {
        Self::new(i64::from(self.shares), i64::from(self.threshold)).ok()
    }

    /// How many there are.
    #[must_use]
    pub const fn shares(self) -> u8 {
        self.shares
    }

    /// How many of them it takes.
    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }
}

/// What the key of a share is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It opens the wallet.
    Unseal,
    /// It proves who may act for the operators of a wallet that a key manager opens.
    Recovery,
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::Unseal => 1,
            Self::Recovery => 2,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Unseal),
            2 => Some(Self::Recovery),
            _ => None,
        }
    }
}

/// Which key a share belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set {
    purpose: Purpose,
    wallet: [u8; WALLET],
    number: u32,
}

impl Set {
    /// The shares of a wallet's key of this number: the unseal generation, or the count of recovery keys.
    #[must_use]
    pub fn of(purpose: Purpose, wallet: WalletId, number: u32) -> Self {
        let mut short = [0; WALLET];
        for (to, from) in short.iter_mut().zip(wallet.as_bytes()) {
            *to = *from;
        }
        Self {
            purpose,
            wallet: short,
            number,
        }
    }

    /// Whether a share is of this set.
    ///
    /// # Errors
    /// With what tells it from those that are.
    pub fn admits(&self, share: &Share) -> Result<(), Error> {
        if share.set.wallet != self.wallet {
            return Err(Error::OtherWallet);
        }
        match (share.set.purpose, self.purpose) {
            (Purpose::Unseal, Purpose::Recovery) => return Err(Error::NotRecovery),
            (Purpose::Recovery, Purpose::Unseal) => return Err(Error::NotUnseal),
            _ => {}
        }
        if share.set.number != self.number {
            return Err(Error::OtherGeneration {
                found: share.set.number,
                current: self.number,
            });
        }
        Ok(())
    }
}

/// One share: a point of the polynomial whose value at zero is the key.
pub struct Share {
    set: Set,
    at: NonZeroU8,
    value: KeyBytes,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(…)")
    }
}

impl Share {
    /// The share of a set at this point; the caller wipes its own copy of the value.
    #[must_use]
    pub fn new(set: Set, at: NonZeroU8, value: &[u8; 32]) -> Self {
        let value = KeyBytes::with(|bytes| bytes.copy_from_slice(value));
        Self { set, at, value }
    }

    /// Where its point is.
    #[must_use]
    pub const fn at(&self) -> NonZeroU8 {
        self.at
    }

    /// The value there. Whoever calls this answers for where it goes.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.value.expose()
    }

    /// As it is handed out; as hexadecimal digits or base64 it is text.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(FORMAT);
        bytes.push(self.set.purpose.code());
        bytes.extend_from_slice(&self.set.wallet);
        bytes.extend_from_slice(&self.set.number.to_be_bytes());
        bytes.push(self.at.get());
        bytes.extend_from_slice(self.value.expose());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// The share of these bytes.
    ///
    /// # Errors
    /// When they are none, or were not copied as they were handed out.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (checked, found) = bytes
            .split_at_checked(CHECKED)
            .filter(|(_, found)| found.len() == CHECK)
            .ok_or(Error::Length)?;
        let (format, rest) = checked.split_first().ok_or(Error::Length)?;
        if *format != FORMAT {
            return Err(Error::Format);
        }
        if check(checked) != *found {
            return Err(Error::Mistyped);
        }
        let (purpose, rest) = rest.split_first().ok_or(Error::Length)?;
        let (wallet, rest) = rest.split_first_chunk::<WALLET>().ok_or(Error::Length)?;
        let (number, rest) = rest.split_first_chunk::<4>().ok_or(Error::Length)?;
        let (at, value) = rest.split_first().ok_or(Error::Length)?;
        let set = Set {
            purpose: Purpose::of(*purpose).ok_or(Error::Format)?,
            wallet: *wallet,
            number: u32::from_be_bytes(*number),
        };
        let at = NonZeroU8::new(*at).ok_or(Error::Format)?;
        let value = value.try_into().map_err(|_| Error::Length)?;
        Ok(Self::new(set, at, value))
    }
}

macro_rules! made_of_shares {
    ($($name:ident),*) => {$(
        impl $name {
            /// The bytes that shares are made of. Whoever calls this answers for where they go.
            #[must_use]
            pub const fn danger_bytes(&self) -> &[u8; 32] {
                self.expose()
            }

            /// Whether both are the same key. Compared in constant time.
            #[must_use]
            pub fn is(&self, other: &Self) -> bool {
                self.expose().ct_eq(other.expose()).into()
            }
        }
    )*};
}

made_of_shares!(ShareKey, RecoveryKey);

/// What finds a slip of the hand. It is no protection: whoever has a share can make it.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new();
    for part in [labels::SHARE_CHECK.as_bytes(), bytes] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut short = [0; CHECK];
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    short
}

/// Why something is no share of the key that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not as long as a share is.
    #[error("a share has {LENGTH} bytes")]
    Length,
    /// Not a share, or one of a later release.
    #[error("it is no share that this release knows")]
    Format,
    /// A share with changed bytes.
    #[error("the share was not copied whole: something in it is mistyped")]
    Mistyped,
    /// A share of another wallet.
    #[error("the share is of another wallet")]
    OtherWallet,
    /// It does not open the wallet.
    #[error("it is a recovery share, and an unseal share is needed")]
    NotUnseal,
    /// It opens a wallet that no key manager opened.
    #[error("it is an unseal share, and a recovery share is needed")]
    NotRecovery,
    /// It was replaced by new ones, or is of a copy that is ahead.
    #[error("the share is of generation {found}, and the wallet is at generation {current}")]
    OtherGeneration {
        /// The share's.
        found: u32,
        /// The wallet's.
        current: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Share {
        let set = Set::of(Purpose::Unseal, WalletId::from_bytes([7; 16]), 3);
        Share::new(set, NonZeroU8::new(9).unwrap(), &[5; 32])
    }

    #[test]
    fn counts_are_those_that_work() {
        let told = |shares, threshold| {
            Counts::new(shares, threshold).map_or_else(|bad| bad.to_string(), |_| String::new())
        };
        for (shares, threshold) in [(1, 1), (2, 2), (5, 3), (255, 255), (255, 2)] {
            assert_eq!(told(shares, threshold), "");
        }
        for (shares, threshold, expected) in [
            (0, 0, "shares must be at least one"),
            (-1, 3, "shares must be at least one"),
            (5, 0, "threshold must be at least one"),
            (
                5,
                1,
                "threshold must be greater than one for multiple shares",
            ),
            (1, 3, "threshold cannot be larger than shares"),
            (300, 3, "shares must be less than 256"),
            (2, 256, "threshold must be less than 256"),
        ] {
            assert_eq!(told(shares, threshold), expected);
        }
    }

    #[test]
    fn a_share_reads_back_and_says_nothing() {
        let share = share();
        assert_eq!(format!("{share:?}"), "Share(…)");
        let bytes = share.encode();
        assert_eq!(bytes.len(), LENGTH);
        let back = Share::decode(&bytes).unwrap();
        assert_eq!((back.at(), back.expose()), (share.at(), &[5; 32]));
        assert_eq!(back.set, share.set);
    }

    #[test]
    fn every_slip_of_the_hand_is_found() {
        let bytes = share().encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x20;
            let expected = if at == 0 {
                Error::Format
            } else {
                Error::Mistyped
            };
            assert_eq!(Share::decode(&changed).unwrap_err(), expected, "byte {at}");
            assert_eq!(Share::decode(&bytes[..at]).unwrap_err(), Error::Length);
        }
        assert_eq!(
            Share::decode(&[&bytes[..], &[0]].concat()).unwrap_err(),
            Error::Length
        );
    }

    #[test]
    fn a_share_of_another_key_is_told_apart() {
        let share = share();
        let wallet = WalletId::from_bytes([7; 16]);
        let admits = |purpose, wallet, number| Set::of(purpose, wallet, number).admits(&share);
        assert_eq!(admits(Purpose::Unseal, wallet, 3), Ok(()));
        assert_eq!(
            admits(Purpose::Recovery, wallet, 3),
            Err(Error::NotRecovery)
        );
        assert_eq!(
            admits(Purpose::Unseal, WalletId::from_bytes([8; 16]), 3),
            Err(Error::OtherWallet)
        );
        assert_eq!(
            admits(Purpose::Unseal, wallet, 4),
            Err(Error::OtherGeneration {
                found: 3,
                current: 4
            })
        );
    }
}
