//! The calls of an area as they stand in its file, one a line.
//!
//! ```text
//! STATUS METHOD PATH [as=NAME] [header=NAME:VALUE] [shape] [BODY] [=> NAME=FIELD …]
//! wait SECONDS
//! ```
//!
//! `STATUS` is what OpenBao answers. A path stands below `/v1/` unless it begins with a slash, and goes out as it is.
//! `as=` names the variable that holds the token; it is `root` if nothing is said, and `as=none` sends none. A header
//! with spaces stands in quotes: `header="Name: a value"`. `shape` compares the types of an answer's values and not the
//! values. The body begins at the first word that begins with a brace, a bracket or a quote, or behind `body=`. What
//! stands behind `=>` is learned from the answer, by each side for itself, and is put wherever a later line has `$NAME`.

/// One line of an area.
#[derive(Debug)]
pub enum Step {
    /// Time passes.
    Wait(u64),
    /// A request is sent.
    Call(Box<Call>),
}

/// A request, and what OpenBao answers to it.
#[derive(Debug)]
pub struct Call {
    /// The line without what is expected and learned; the list of differences names calls by it.
    pub name: String,
    pub status: u16,
    pub method: String,
    /// With its slash at the start.
    pub path: String,
    /// The variable that holds the token.
    pub token: Option<String>,
    pub headers: Vec<(String, String)>,
    /// Whether only the types of values are compared.
    pub is_shape: bool,
    pub body: Option<String>,
    /// Variables, and the fields of the answer that they are learned from.
    pub learned: Vec<(String, String)>,
}

/// Reads the lines of an area. Panics at a line that is none: the files belong to the test.
pub fn parse(area: &str, text: &str) -> Vec<Step> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            step(area, line.trim())
                .unwrap_or_else(|| panic!("{area}, line {}: {line:?} is no call", number + 1))
        })
        .collect()
}

fn step(area: &str, line: &str) -> Option<Step> {
    if let Some(seconds) = line.strip_prefix("wait ") {
        return Some(Step::Wait(seconds.parse().ok()?));
    }
    let (line, learned) = match line.rsplit_once(" => ") {
        Some((line, learned)) => (line.trim(), learned),
        None => (line, ""),
    };
    let (status, line) = word(line);
    let name = format!("{area}: {line}");
    let (method, line) = word(line);
    let (path, mut rest) = word(line);
    let mut call = Call {
        name,
        status: status.parse().ok()?,
        method: method.to_owned(),
        path: if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/v1/{path}")
        },
        token: Some("root".to_owned()),
        headers: Vec::new(),
        is_shape: false,
        body: None,
        learned: Vec::new(),
    };
    while !rest.is_empty() {
        rest = option(&mut call, rest)?;
    }
    for pair in learned.split_whitespace() {
        let (name, field) = pair.split_once('=')?;
        call.learned.push((name.to_owned(), field.to_owned()));
    }
    Some(Step::Call(Box::new(call)))
}

/// Takes one option off the line, and returns the rest.
fn option<'a>(call: &mut Call, line: &'a str) -> Option<&'a str> {
    if line.starts_with(['{', '[', '"']) {
        call.body = Some(line.to_owned());
        return Some("");
    }
    if let Some(body) = line.strip_prefix("body=") {
        call.body = Some(body.to_owned());
        return Some("");
    }
    if let Some(quoted) = line.strip_prefix("header=\"") {
        let (header, rest) = quoted.split_once('"')?;
        call.headers.push(header_of(header)?);
        return Some(rest.trim_start());
    }
    let (option, rest) = word(line);
    match option.split_once('=') {
        Some(("as", "none")) => call.token = None,
        Some(("as", name)) => call.token = Some(name.to_owned()),
        Some(("header", header)) => call.headers.push(header_of(header)?),
        None if option == "shape" => call.is_shape = true,
        _ => return None,
    }
    Some(rest)
}

fn header_of(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

fn word(line: &str) -> (&str, &str) {
    match line.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (line, ""),
    }
}

#[test]
fn a_line_is_read() {
    let line = "403 PUT secret/data/a as=child header=\"A: b c\" {\"a\": 1} => x=auth.token y=a.b";
    let Some(Step::Call(call)) = step("area", line) else {
        panic!("it is a call")
    };
    assert_eq!(
        call.name,
        "area: PUT secret/data/a as=child header=\"A: b c\" {\"a\": 1}"
    );
    assert_eq!(
        (call.status, call.path.as_str()),
        (403, "/v1/secret/data/a")
    );
    assert_eq!(call.headers, [("A".to_owned(), "b c".to_owned())]);
    assert_eq!(call.body.as_deref(), Some("{\"a\": 1}"));
    assert_eq!(call.learned.len(), 2);
    assert!(step("area", "200 GET x nonsense").is_none());
    assert!(step("area", "GET x").is_none());
}
