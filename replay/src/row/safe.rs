//! Text that is handed to terminals, logs and spreadsheets: a name cannot play tricks on them.

use std::fmt::Write as _;

use serde::Serialize;

/// Whether a terminal or a log may take it for something else than a letter: control characters, line
/// and paragraph ends, and what changes the direction of text.
fn is_tricky(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// The same text with such characters written out: `\u{1b}`.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_tricky(letter) {
            true => {
                let _ = write!(plain, "\\u{{{:x}}}", u32::from(letter));
            }
            false => plain.push(letter),
        }
    }
    plain
}

/// A value as JSON in one line, with such characters as escapes of JSON.
///
/// # Errors
/// When it cannot be told as JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    if !text.contains(is_tricky) {
        return Ok(text);
    }
    let mut safe = String::with_capacity(text.len());
    // They stand in strings alone, where an escape means the same.
    for letter in text.chars() {
        match is_tricky(letter) {
            true => {
                let _ = write!(safe, "\\u{:04x}", u32::from(letter));
            }
            false => safe.push(letter),
        }
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let evil = "a\u{1b}[2J\r\nb\u{202e}c\u{85}\u{2028}é\u{7f}";
        assert_eq!(
            plain(evil),
            "a\\u{1b}[2J\\u{d}\\u{a}b\\u{202e}c\\u{85}\\u{2028}é\\u{7f}"
        );
        let text = json(&evil).unwrap();
        assert!(!text.contains(is_tricky), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), evil);
    }
}
