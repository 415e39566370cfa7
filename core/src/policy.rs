//! Policies: who may do what on which paths. They read and mean what OpenBao's ACL policies mean.
//!
//! [`Policy::parse`] turns text into rules, [`Acl`] merges the rules of several policies and
//! answers requests. All of it is pure: what depends on the time takes it as an argument.
//!
//! Where Billfold differs from OpenBao it is stricter, or says no where OpenBao says nothing:
//! * Of HCL's first version, quoted keys outside of maps, heredocs and numbers in octal are refused.
//! * What is ambiguous is refused: a key given twice, a path with several labels, a negative bound.
//!   A rule that denies or has expired is checked like any other.
//! * Templates (`{{`), `mfa_methods`, `control_group` and `list_scan_response_keys_filter_path` are
//!   refused.
//! * In lists of parameters numbers equal the numbers of a request, and booleans in JSON count. In
//!   OpenBao numbers equal nothing, so that a denied one is permitted, and booleans in JSON vanish.
//! * With a `pagination_limit`, `limit=0` asks for everything and is refused like any other limit
//!   that is too high.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{Millis, cbor::as_array};

mod acl;
mod capability;
mod conditions;
mod duration;
mod engine;
mod error;
mod hcl;
mod json;
mod lines;
mod parse;
mod pattern;
mod source;
#[cfg(test)]
mod tests;
mod value;

pub use acl::Acl;
pub use capability::Capabilities;
pub use conditions::Conditions;
pub use engine::{Decision, Engine, Operation, Request};
pub use error::{Fault, ParseError, Place};
pub use pattern::Pattern;
pub use value::Value;

/// The name of the policy that permits everything ([`Acl::root`]). It has no text.
pub const ROOT: &str = "root";

/// The name of the policy of tokens that wrap an answer.
pub const WRAPPING: &str = "response-wrapping";

/// The text of the policy of tokens that wrap an answer.
pub const WRAPPING_TEXT: &str = include_str!("policy/response-wrapping.hcl");

/// The text of the policy that every token has unless it is made without: what a token may do with
/// itself. It grants what OpenBao's grants, except what needs templates.
pub const DEFAULT: &str = include_str!("policy/default.hcl");

/// How long a text may be, in bytes. The time that reading takes grows with the square of the
/// number of parameters in one map; at this length the worst text takes a fraction of a second.
pub const TEXT_LIMIT: usize = 128 * 1024;

/// How many paths a text may have.
pub const RULE_LIMIT: usize = 4_096;

/// Rules by path. Equal policies encode equally: the rules stand in one order, and those of one
/// pattern and expiry are one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// The policy that a text states, in HCL or, if its first character is a brace, in JSON.
    ///
    /// # Errors
    /// When the text is no policy, or asks for what is not supported. The error says where and
    /// why, and repeats nothing of the text.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::policy(text)
    }

    /// Its rules, ordered by pattern and expiry.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    fn from_rules(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut merged = BTreeMap::<_, Rule>::new();
        for rule in rules {
            let key = (rule.pattern.clone(), rule.expires);
            match merged.get_mut(&key) {
                Some(before) => before.merge(&rule),
                None => drop(merged.insert(key, rule)),
            }
        }
        Self {
            rules: merged.into_values().collect(),
        }
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules = Vec::<Rule>::deserialize(deserializer)?;
        let ordered = rules.is_sorted_by(|one, other| {
            (&one.pattern, one.expires) < (&other.pattern, other.expires)
        });
        if ordered && rules.iter().all(Rule::is_canonical) {
            Ok(Self { rules })
        } else {
            Err(D::Error::custom("not a policy in its one form"))
        }
    }
}

/// What one pattern of a policy grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The paths it speaks of.
    pub pattern: Pattern,
    /// What it grants there, or that it denies.
    pub capabilities: Capabilities,
    /// The last moment at which it counts.
    pub expires: Option<Millis>,
    /// What a request must hold to besides, if anything.
    pub conditions: Option<Conditions>,
}

as_array!(Rule {
    pattern,
    capabilities,
    expires,
    conditions
});

impl Rule {
    /// Adds what another rule says of the same paths. A denial swallows everything else.
    fn merge(&mut self, other: &Self) {
        self.capabilities = self.capabilities.and(other.capabilities);
        if self.capabilities.denies() {
            self.conditions = None;
        } else if let Some(more) = &other.conditions {
            self.conditions
                .get_or_insert_with(Conditions::default)
                .merge(more);
        }
    }

    fn is_canonical(&self) -> bool {
        self.capabilities.is_grantable()
            && match &self.conditions {
                Some(conditions) => conditions.is_canonical() && !self.capabilities.denies(),
                None => true,
            }
    }
}
