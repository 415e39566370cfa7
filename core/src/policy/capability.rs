//! Capabilities, as sets.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A set of capabilities. A set that denies holds nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities(u16);

/// Bits and names in the order of the names. The bits are part of the log's format.
const NAMES: [(Capabilities, &str); 8] = [
    (Capabilities::CREATE, "create"),
    (Capabilities::DELETE, "delete"),
    (Capabilities::LIST, "list"),
    (Capabilities::PATCH, "patch"),
    (Capabilities::READ, "read"),
    (Capabilities::SCAN, "scan"),
    (Capabilities::SUDO, "sudo"),
    (Capabilities::UPDATE, "update"),
];

impl Capabilities {
    /// Nothing is granted.
    pub const NONE: Self = Self(0);
    /// Nothing is granted, whatever else grants it.
    pub const DENY: Self = Self(1);
    /// Making what is not there.
    pub const CREATE: Self = Self(1 << 1);
    /// Reading.
    pub const READ: Self = Self(1 << 2);
    /// Changing what is there.
    pub const UPDATE: Self = Self(1 << 3);
    /// Deleting.
    pub const DELETE: Self = Self(1 << 4);
    /// Listing the names in a folder.
    pub const LIST: Self = Self(1 << 5);
    /// Paths that only root may use otherwise.
    pub const SUDO: Self = Self(1 << 6);
    /// Changing parts.
    pub const PATCH: Self = Self(1 << 7);
    /// Listing all names below a folder.
    pub const SCAN: Self = Self(1 << 8);
    /// Everything. No rule can grant it.
    pub const ROOT: Self = Self(1 << 9);

    /// What a policy calls so.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        if name == "deny" {
            return Some(Self::DENY);
        }
        NAMES
            .iter()
            .find_map(|(capability, known)| (*known == name).then_some(*capability))
    }

    /// Both sets together; a denial in either is all that is left.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let both = Self(self.0 | other.0);
        if both.denies() { Self::DENY } else { both }
    }

    /// Whether all of these are in it. Root holds everything.
    #[must_use]
    pub const fn holds(self, wanted: Self) -> bool {
        self.0 == Self::ROOT.0 || self.0 & wanted.0 == wanted.0
    }

    /// Whether it denies.
    #[must_use]
    pub const fn denies(self) -> bool {
        self.0 & Self::DENY.0 != 0
    }

    /// Whether there is anything in it that it does not deny.
    pub(super) const fn grants(self) -> bool {
        self.0 != Self::NONE.0 && !self.denies()
    }

    /// The names as `sys/capabilities` shows them: sorted; `deny` where nothing is granted; `root`
    /// alone for root.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        if self.0 == Self::ROOT.0 {
            return vec!["root"];
        }
        if self.denies() || self == Self::NONE {
            return vec!["deny"];
        }
        NAMES
            .iter()
            .filter_map(|(capability, name)| self.holds(*capability).then_some(*name))
            .collect()
    }

    /// Whether a rule can say so: known bits only, and a denial alone.
    pub(super) const fn is_grantable(self) -> bool {
        self.0 < Self::ROOT.0 && (!self.denies() || self.0 == Self::DENY.0)
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Self(u16::deserialize(deserializer)?);
        if read.is_grantable() {
            Ok(read)
        } else {
            Err(D::Error::custom("not a set of capabilities"))
        }
    }
}
