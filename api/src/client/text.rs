//! Text that a terminal would obey rather than show.

use std::fmt::Write as _;

/// Whether a character moves the cursor, changes the terminal, or changes the order of others.
#[must_use]
pub fn is_dangerous(character: char) -> bool {
    // Beside the control characters: marks, embeddings, overrides and isolates of direction, line
    // and paragraph separators, and the byte order mark.
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// A text with such characters written out, as Rust writes them.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        if is_dangerous(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// A JSON text with such characters written out so that it still is the same JSON. Line ends
/// between its members stay.
#[must_use]
pub fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        // Outside strings JSON has no such character but spaces; inside them none below U+0020.
        if is_dangerous(character) && !character.is_ascii_whitespace() {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to memory does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let bad = "a\u{1b}[2J\r\n\u{9b}31m\u{202e}\u{7f}é";
        assert_eq!(escape(bad), r"a\u{1b}[2J\r\n\u{9b}31m\u{202e}\u{7f}é");
        assert!(!escape(bad).chars().any(is_dangerous));
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "{\n \"a\":\"\u{9b}\u{202e}\u{7f}é\"\n}";
        let escaped = escape_json(text);
        assert!(escaped.contains(r"\u009b\u202e\u007fé"), "{escaped}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(text), read(&escaped));
    }
}
