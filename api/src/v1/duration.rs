//! Durations as Vault's clients write and read them.

pub(super) use billfold_core::told::duration as told;

/// A duration in milliseconds as Go writes it, without units that are zero: `2h`, `1h59m59s`.
pub(super) fn short(millis: u64) -> String {
    let text = told(millis);
    let text = match text.strip_suffix("m0s") {
        Some(_) => text.strip_suffix("0s").unwrap_or(&text),
        None => &text,
    };
    match text.strip_suffix("h0m") {
        Some(_) => text.strip_suffix("0m").unwrap_or(text).to_owned(),
        None => text.to_owned(),
    }
}

/// Milliseconds of a duration: a number of seconds, or numbers with units. A day is `d`, a week `w`.
pub(crate) fn read(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let end = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end)?;
        let millis = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            "w" => 604_800e3,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * millis;
        rest = behind;
    }
    // More than Go can hold is no duration.
    const LONGEST: f64 = 9_223_372_036_854.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is neither negative nor too large"
    )]
    (0.0..=LONGEST).contains(&sum).then_some(sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (millis, text) in [
            (0, "0s"),
            (90, "90ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (90_000, "1m30s"),
            (5_400_000, "1h30m0s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(told(millis), text);
            assert_eq!(read(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn without_what_is_zero() {
        for (millis, text) in [
            (0, "0s"),
            (7_200_000, "2h"),
            (7_199_000, "1h59m59s"),
            (600_000, "10m"),
            (36_000_000, "10h"),
            (5_400_000, "1h30m"),
            (10_000, "10s"),
        ] {
            assert_eq!(short(millis), text);
        }
    }

    #[test]
    fn as_clients_write_them() {
        for (text, millis) in [
            ("", Some(0)),
            ("30", Some(30_000)),
            ("1d", Some(86_400_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("x", None),
            ("-1s", None),
            ("5", Some(5_000)),
            ("1h x", None),
            ("s", None),
            ("1", Some(1_000)),
            ("1..5s", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(read(text), millis, "{text}");
        }
    }
}
