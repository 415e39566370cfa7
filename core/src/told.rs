//! Times and durations as clients of Vault's API expect them to be told, and who did something.

use serde::Serialize;

use crate::{Millis, event::Actor};

/// Who did something, as the API tells it.
#[derive(Debug, Clone, Serialize)]
pub struct By {
    /// `system`, `principal` or `anonymous`.
    pub actor: &'static str,
    /// The principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The accessor of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        let (actor, principal, token) = match actor {
            Actor::System => ("system", None, None),
            Actor::Anonymous => ("anonymous", None, None),
            Actor::Principal(principal, token) => (
                "principal",
                Some(principal.to_string()),
                Some(token.to_string()),
            ),
        };
        Self {
            actor,
            principal,
            token,
        }
    }
}

/// A time as Go writes it: RFC 3339, without the zeros at the end of its fraction.
#[must_use]
pub fn time(time: Millis) -> String {
    let text = time.to_string();
    let short = text
        .trim_end_matches('Z')
        .trim_end_matches('0')
        .trim_end_matches('.');
    // A whole second loses its fraction, but never a zero of its own.
    let short = if time.0.is_multiple_of(1000) {
        text.split('.').next().unwrap_or(&text)
    } else {
        short
    };
    format!("{short}Z")
}

/// A duration in milliseconds as Go writes it: `1h30m0s`, `90ms`, `0s`.
#[must_use]
pub fn duration(millis: u64) -> String {
    let (seconds, rest) = (millis / 1000, millis % 1000);
    if seconds == 0 && rest > 0 {
        return format!("{rest}ms");
    }
    let fraction = match rest {
        0 => String::new(),
        rest => format!(".{rest:03}").trim_end_matches('0').to_owned(),
    };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, minutes) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lose_zeros_of_their_fraction_alone() {
        for (millis, text) in [
            (1_800_000_000_000, "2027-01-15T08:00:00Z"),
            (1_800_000_000_120, "2027-01-15T08:00:00.12Z"),
            (1_800_000_000_007, "2027-01-15T08:00:00.007Z"),
            (1_800_000_010_000, "2027-01-15T08:00:10Z"),
        ] {
            assert_eq!(time(Millis(millis)), text);
        }
    }
}
