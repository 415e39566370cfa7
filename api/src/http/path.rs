//! Paths, brought into one form once, at the edge. What has two readings is refused.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The longest path that is taken, in bytes after decoding.
const LONGEST: usize = 32_768;
/// The most segments that a path may have.
const SEGMENTS: usize = 1_024;

/// Why a path is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has a plainer form, to which the client is sent.
    Redirect(String),
    /// It has characters that cannot be seen.
    Unprintable,
    /// It has `.` or `..` segments behind an encoding.
    Relative,
    /// It is no text, or has empty segments behind an encoding.
    Malformed,
    /// It is over the bounds.
    TooLong,
}

/// The decoded path of a request, without its leading slash.
pub(crate) fn clean(raw: &str) -> Result<String, Fault> {
    if let Some(plain) = plainer(raw) {
        return Err(Fault::Redirect(plain));
    }
    let raw = raw.strip_prefix('/').ok_or(Fault::Malformed)?;
    let decoded = decode(raw)?;
    if decoded.len() > LONGEST {
        return Err(Fault::TooLong);
    }
    if decoded.chars().any(|c| !is_printable(c)) {
        return Err(Fault::Unprintable);
    }
    let segments: Vec<&str> = decoded.split('/').collect();
    if segments.len() > SEGMENTS {
        return Err(Fault::TooLong);
    }
    if segments
        .iter()
        .any(|segment| matches!(*segment, "." | ".."))
    {
        return Err(Fault::Relative);
    }
    // Only the last segment may be empty: then the path names a folder.
    let (_, above) = segments.split_last().ok_or(Fault::Malformed)?;
    if above.iter().any(|segment| segment.is_empty()) {
        return Err(Fault::Malformed);
    }
    Ok(decoded.into_owned())
}

/// Whether a path that came in a body has the one form that paths have.
pub(crate) fn is_plain(path: &str) -> bool {
    path.len() <= LONGEST
        && path.chars().all(is_printable)
        && path.split('/').count() <= SEGMENTS
        && path
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
}

fn decode(raw: &str) -> Result<Cow<'_, str>, Fault> {
    let bytes = raw.as_bytes();
    let broken = raw.match_indices('%').any(|(at, _)| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_none_or(|digits| !digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(Fault::Malformed);
    }
    percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Fault::Malformed)
}

/// The path without empty, `.` and `..` segments, if it has any as it stands.
fn plainer(raw: &str) -> Option<String> {
    let segments = || raw.split('/').skip(1);
    let last = segments().count().saturating_sub(1);
    let odd = |(at, segment): (usize, &str)| {
        matches!(segment, "." | "..") || (segment.is_empty() && at != last)
    };
    if !segments().enumerate().any(odd) {
        return None;
    }
    let mut plain: Vec<&str> = Vec::new();
    for segment in segments() {
        match segment {
            "" | "." => {}
            ".." => drop(plain.pop()),
            segment => plain.push(segment),
        }
    }
    let slash = if raw.ends_with('/') && !plain.is_empty() {
        "/"
    } else {
        ""
    };
    Some(format!("/{}{slash}", plain.join("/")))
}

/// Whether a character shows itself: no controls, no formats that turn or hide text, no spaces but
/// the plain one, nothing private.
fn is_printable(c: char) -> bool {
    !(c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(
            c,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{e0000}'..='\u{10ffff}'
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_passes() {
        for (raw, clean_path) in [
            ("/v1/secret/data/a", "v1/secret/data/a"),
            ("/v1/secret/metadata/", "v1/secret/metadata/"),
            ("/v1/a%2fb", "v1/a/b"),
            ("/v1/%20a", "v1/ a"),
            ("/v1/a+b", "v1/a+b"),
            ("/v1/%C3%A9", "v1/é"),
            ("/v1/...", "v1/..."),
            ("/v1/a..b", "v1/a..b"),
            ("/v1/a%25b", "v1/a%b"),
        ] {
            assert_eq!(clean(raw), Ok(clean_path.to_owned()), "{raw}");
        }
    }

    #[test]
    fn inv12_no_trick_passes() {
        let to = |plain: &str| Fault::Redirect(plain.to_owned());
        for (raw, fault) in [
            ("/v1//secret", to("/v1/secret")),
            ("/v1/secret/data/../x", to("/v1/secret/x")),
            ("/v1/secret/./x/", to("/v1/secret/x/")),
            ("/v1/secret//", to("/v1/secret/")),
            ("/..", to("/")),
            ("/v1/%2e%2e/x", Fault::Relative),
            ("/v1/.%2e/x", Fault::Relative),
            ("/v1/..%2fx", Fault::Relative),
            ("/v1/a%2f%2fb", Fault::Malformed),
            ("/v1/%2fx/a", Fault::Malformed),
            ("/v1/%ff", Fault::Malformed),
            ("/v1/%c0%af", Fault::Malformed),
            ("/v1/%zz", Fault::Malformed),
            ("/v1/%2", Fault::Malformed),
            ("v1/x", Fault::Malformed),
            ("/v1/%00", Fault::Unprintable),
            ("/v1/%0a", Fault::Unprintable),
            ("/v1/%7f", Fault::Unprintable),
            ("/v1/%c2%85", Fault::Unprintable),
            ("/v1/%e2%80%ae", Fault::Unprintable),
            ("/v1/%c2%a0", Fault::Unprintable),
        ] {
            assert_eq!(clean(raw), Err(fault), "{raw}");
        }
        assert_eq!(
            clean(&format!("/{}", "a".repeat(LONGEST + 1))),
            Err(Fault::TooLong)
        );
        assert_eq!(clean(&"/a".repeat(SEGMENTS + 1)), Err(Fault::TooLong));
    }
}
