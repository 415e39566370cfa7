//! A moment of the past, as people name it.

use std::{fmt, str::FromStr};

use crate::{Millis, id::Seq};

/// From this number on, digits alone are milliseconds and no sequence: 2001-09-09 in one reading,
/// and in the other more commits than a log can hold.
const MILLIS_FROM: u64 = 1_000_000_000_000;

/// A moment of the log: what is true there is what all commits up to it made of the wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Behind the commit of this sequence, on any subject.
    Seq(Seq),
    /// Behind all commits of this time or an earlier one.
    Time(Millis),
}

/// A text that names no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is a sequence, a time of RFC 3339, or a time in milliseconds since 1970")]
pub struct Malformed;

impl Moment {
    /// Whether a commit of this sequence and time stands at or before it.
    #[must_use]
    pub fn has(&self, seq: Seq, time: Millis) -> bool {
        match self {
            Self::Seq(last) => seq <= *last,
            Self::Time(last) => time <= *last,
        }
    }
}

impl FromStr for Moment {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| Malformed)?;
            return match number {
                0 => Err(Malformed),
                MILLIS_FROM.. => Ok(Self::Time(Millis(number))),
                _ => Ok(Self::Seq(Seq(number))),
            };
        }
        Millis::parse(text).map(Self::Time).ok_or(Malformed)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => write!(f, "{seq}"),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_and_times_are_told_apart() {
        for (text, moment) in [
            ("1", Moment::Seq(Seq(1))),
            ("999999999999", Moment::Seq(Seq(999_999_999_999))),
            ("1000000000000", Moment::Time(Millis(1_000_000_000_000))),
            ("1800000000123", Moment::Time(Millis(1_800_000_000_123))),
            (
                "2027-01-15T08:00:00Z",
                Moment::Time(Millis(1_800_000_000_000)),
            ),
        ] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
            assert_eq!(moment.to_string().parse(), Ok(moment), "{text}");
        }
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1.5",
            "now",
            "2027-01-15",
            "99999999999999999999",
        ] {
            assert_eq!(bad.parse::<Moment>(), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn a_moment_has_what_stands_at_it_and_before_it() {
        let has = |text: &str, seq, time| {
            let moment: Moment = text.parse().unwrap();
            moment.has(Seq(seq), Millis(time))
        };
        assert!(has("5", 5, 9_000_000_000_000) && !has("5", 6, 0));
        assert!(has("1800000000000", 99, 1_800_000_000_000));
        assert!(!has("1800000000000", 1, 1_800_000_000_001));
    }
}
