//! Where an event stands in the log.

use billfold_core::id::Seq;

/// The sequence of an event's commit, and its number in it, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The sequence of the commit.
    pub seq: Seq,
    /// The number of the event in it.
    pub number: u16,
}

/// How many bytes a place takes.
pub(super) const LENGTH: usize = 10;

impl Place {
    /// Behind every event.
    pub(super) const LAST: Self = Self {
        seq: Seq(u64::MAX),
        number: u16::MAX,
    };

    /// Where a commit begins.
    pub(super) const fn first_of(seq: Seq) -> Self {
        Self { seq, number: 0 }
    }

    /// The place behind this one; whether an event stands there is another matter.
    pub(super) const fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self {
                seq: self.seq,
                number,
            },
            None => Self::first_of(self.seq.next()),
        }
    }

    /// The place before this one; none before the first.
    pub(super) fn before(self) -> Option<Self> {
        let Self { seq, number } = self;
        if let Some(number) = number.checked_sub(1) {
            return Some(Self { seq, number });
        }
        let seq = seq.0.checked_sub(1).map(Seq)?;
        Some(Self {
            seq,
            number: u16::MAX,
        })
    }

    /// Its bytes, whose order is that of the log.
    pub(super) fn bytes(self) -> Vec<u8> {
        [
            &self.seq.0.to_be_bytes()[..],
            &self.number.to_be_bytes()[..],
        ]
        .concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seq, number) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            seq: Seq(u64::from_be_bytes(*seq)),
            number: u16::from_be_bytes(number.try_into().ok()?),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.seq, self.number)
    }
}

impl std::str::FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let (seq, number) = text.split_once('.').ok_or(NotAPlace)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(seq) || !digits(number) {
            return Err(NotAPlace);
        }
        Ok(Self {
            seq: Seq(seq.parse().map_err(|_| NotAPlace)?),
            number: number.parse().map_err(|_| NotAPlace)?,
        })
    }
}

/// A text that names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place is SEQUENCE.NUMBER")]
pub struct NotAPlace;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_in_the_order_of_their_bytes() {
        let at = |seq, number| Place {
            seq: Seq(seq),
            number,
        };
        let places = [at(1, 0), at(1, 1), at(1, 256), at(2, 0), at(256, 0)];
        for two in places.windows(2) {
            assert!(two[0] < two[1] && two[0].bytes() < two[1].bytes());
        }
        for place in places {
            assert_eq!(Place::from_bytes(&place.bytes()), Some(place));
            assert_eq!(place.to_string().parse(), Ok(place));
            assert_eq!(place.next().before(), Some(place));
        }
        assert_eq!(at(7, u16::MAX).next(), at(8, 0));
        assert_eq!(Place::default().before(), None);
        for bad in ["", "1", "1.", ".1", "+1.0", "1.65536", "a.b", "1.2.3"] {
            assert_eq!(bad.parse::<Place>(), Err(NotAPlace), "{bad}");
        }
    }
}
