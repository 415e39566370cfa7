//! Time spans and moments as policies write them.

use super::{error::Fault, source::Node};
use crate::Millis;

/// The longest span, so that no sum overflows: a thousand years.
const LONGEST: u64 = 1_000 * 366 * DAY;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// A span in milliseconds. Without a unit it is in seconds; nothing and zero are no span.
pub(super) fn span(node: &Node, key: &'static str) -> Result<Option<u64>, Fault> {
    let millis = match node {
        Node::Number(seconds) => u64::try_from(*seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000)),
        Node::Text(text) => text_span(text),
        _ => None,
    };
    match millis {
        Some(0) => Ok(None),
        Some(millis) if millis <= LONGEST => Ok(Some(millis)),
        _ => Err(Fault::Span(key)),
    }
}

fn text_span(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    if is_digits(text) {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    if let Some(days) = text.strip_suffix('d').filter(|days| is_digits(days)) {
        return days.parse::<u64>().ok()?.checked_mul(DAY);
    }
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let (unit, tail) = unit(tail)?;
        sum = sum.checked_add(scaled(number, unit)?)?;
        rest = tail;
    }
    Some(sum)
}

/// How many milliseconds the unit at the beginning has, and what is behind it.
fn unit(text: &str) -> Option<(u64, &str)> {
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        .into_iter()
        .find_map(|(name, millis)| Some((millis, text.strip_prefix(name)?)))
}

/// A decimal number of units, if it is a whole number of milliseconds.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = match whole {
        "" if is_digits(fraction) => 0,
        _ if is_digits(whole) => whole.parse::<u64>().ok()?.checked_mul(unit)?,
        _ => return None,
    };
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Some(whole);
    }
    if !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let divisor = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    (part % divisor == 0)
        .then_some(part / divisor)
        .and_then(|part| whole.checked_add(part))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A moment: RFC 3339, or seconds since 1970. No text is no moment.
pub(super) fn moment(node: &Node) -> Result<Option<Millis>, Fault> {
    let millis = match node {
        Node::Number(seconds) => u64::try_from(*seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000)),
        Node::Text(text) if text.is_empty() => return Ok(None),
        Node::Text(text) if is_digits(text) => text
            .parse::<u64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000)),
        Node::Text(text) => return Millis::parse(text).map(Some).ok_or(Fault::Moment),
        _ => None,
    };
    millis
        .map(|millis| Some(Millis(millis)))
        .ok_or(Fault::Moment)
}
