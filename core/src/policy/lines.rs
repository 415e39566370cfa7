//! Breaks lines where the second version of HCL wants them.
//!
//! Vault's and OpenBao's policies are in the first version, which needs no line breaks: several
//! paths may stand in one line, and several keys in one pair of braces. The reader is for the
//! second version, where each key and each path begins a line of its own. A break between two
//! tokens separates, and changes nothing else.

/// A text with more lines, and where they came from.
pub(super) struct Broken {
    pub(super) text: String,
    /// Where a line ends, whether it did before or not.
    ends: Vec<usize>,
    /// Where a line ends that did not before.
    made: Vec<usize>,
}

impl Broken {
    /// The line of the text as it was given, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = |places: &[usize]| places.partition_point(|place| *place < offset);
        before(&self.ends) - before(&self.made) + 1
    }
}

/// Breaks the lines of a text.
pub(super) fn broken(text: &str) -> Broken {
    let mut breaker = Breaker::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token(rest, first).max(first.len_utf8());
        let Some((token, tail)) = rest.split_at_checked(length) else {
            break;
        };
        breaker.take(token, first);
        rest = tail;
    }
    let made = breaker.made;
    let text = breaker.text;
    let ends = text.match_indices('\n').map(|(place, _)| place).collect();
    Broken { text, ends, made }
}

/// How long the token at the beginning is.
fn token(text: &str, first: char) -> usize {
    let until = |end: Option<usize>| end.unwrap_or(text.len());
    match first {
        '"' => string(text),
        '#' => until(text.find('\n')),
        '/' if text.starts_with("//") => until(text.find('\n')),
        '/' if text.starts_with("/*") => until(text.find("*/").map(|end| end + 2)),
        _ if is_word(first) => until(text.find(|c| !is_word(c))),
        _ => first.len_utf8(),
    }
}

/// How long a string is, with its quotes. One that does not end in its line is an error, which the
/// reader will find.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (place, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            '\n' => return place,
            _ => {}
        }
    }
    text.len()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.')
}

#[derive(Default)]
struct Breaker {
    text: String,
    made: Vec<usize>,
    /// How many brackets are open. In them lines mean nothing.
    brackets: usize,
    /// An equals sign came last: what comes is a value.
    wants_value: bool,
    /// A value or a brace ended in this line: what comes is another key.
    ended: bool,
}

impl Breaker {
    fn take(&mut self, token: &str, first: char) {
        match first {
            '\n' => self.ended = false,
            '[' | '(' => self.brackets += 1,
            ']' | ')' => {
                self.brackets = self.brackets.saturating_sub(1);
                self.value();
            }
            _ if self.brackets > 0 => {}
            '=' => self.wants_value = true,
            '{' => {
                self.text.push('{');
                self.line();
                self.wants_value = false;
                return;
            }
            '}' => {
                self.line();
                self.text.push('}');
                self.ended = true;
                self.wants_value = false;
                return;
            }
            // A comma parts keys as a line does.
            ',' => return self.line(),
            '"' => self.part(),
            _ if is_word(first) => self.part(),
            _ => {}
        }
        self.text.push_str(token);
    }

    /// A string or a word: a key after something ended, or a value.
    fn part(&mut self) {
        if self.ended {
            self.line();
        }
        self.value();
    }

    fn value(&mut self) {
        if self.brackets == 0 && self.wants_value {
            self.wants_value = false;
            self.ended = true;
        }
    }

    fn line(&mut self) {
        self.made.push(self.text.len());
        self.text.push('\n');
        self.ended = false;
    }
}
