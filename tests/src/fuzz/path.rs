//! Paths at the edge.

use billfold::http::edge;

use super::Choices;

const SEGMENTS: [&str; 12] = [
    "v1", "a", "b", "%61", "é", "%c3%a9", "a%20b", "...", "*", "+", "a;b", "%25",
];
const JOINTS: [&str; 16] = [
    "/", "/", "/", "/", "/", "%2f", "%2F", "//", "/./", "/../", "/%2e/", "/..%2f", "\\", "%5c",
    "%00", "\u{202e}",
];
const ODD: [&str; 10] = [
    "%",
    "%2",
    "%zz",
    "%ff",
    "%c0%af",
    "%e2%80%8b",
    "?",
    "#",
    "\u{feff}",
    "\n",
];

/// Segments and what may stand between them.
fn made(choices: &mut Choices<'_>) -> String {
    let mut path = String::from("/");
    while !choices.is_used_up() && path.len() < 200 {
        match choices.next() % 32 {
            0 => path += choices.one_of(&ODD),
            1 => path.insert_str(0, choices.one_of(&JOINTS)),
            2..4 => path += choices.one_of(&JOINTS),
            4..16 => path.push('/'),
            _ => path += choices.one_of(&SEGMENTS),
        }
    }
    path
}

/// A path that is taken has one form, from which nothing leads elsewhere; what is sent elsewhere is
/// sent there once, and never to another host.
pub fn path(bytes: &[u8]) -> bool {
    let raw = super::text(bytes, made);
    let cleaned = edge::clean(&raw);
    let is_taken = cleaned.is_ok();
    match cleaned {
        Ok(path) => {
            assert_eq!(
                edge::clean(&escaped(&path)),
                Ok(path.clone()),
                "a form of a form"
            );
            let (above, last) = path.rsplit_once('/').unwrap_or(("", &path));
            for segment in above.split('/').chain([last]) {
                assert!(!matches!(segment, "." | ".."), "it leads elsewhere");
            }
            assert!(above.is_empty() || above.split('/').all(|segment| !segment.is_empty()));
            assert!(!path.contains(char::is_control), "it is not seen");
            assert_eq!(edge::is_plain(&path), !last.is_empty(), "two readings");
        }
        Err(Some(plain)) => {
            assert!(
                plain.starts_with('/') && !plain.starts_with("//"),
                "another host"
            );
            assert!(
                !matches!(edge::clean(&plain), Err(Some(_))),
                "sent on and on"
            );
        }
        Err(None) => {}
    }
    if edge::is_plain(&raw) {
        assert_eq!(edge::clean(&escaped(&raw)), Ok(raw), "two readings");
    }
    is_taken
}

/// The path as it stands in a request, with all that it can have escaped.
fn escaped(path: &str) -> String {
    let bytes = path.bytes().map(|byte| match byte {
        b'/' => "/".to_owned(),
        byte => format!("%{byte:02X}"),
    });
    format!("/{}", bytes.collect::<String>())
}
