//! What must hold for any bytes. Tests call these with random bytes and with small corpora; the
//! fuzzers in `fuzz/` call the same functions, and look for bytes that reach further.

mod json;
mod log;
mod path;
mod policy;

pub use self::{
    json::json,
    log::{commit, fact},
    path::path,
    policy::policy,
};

/// Panics when bytes show that something does not hold; says whether they were taken at all.
pub type Target = fn(&[u8]) -> bool;

/// All of them, by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("policy", policy),
    ("path", path),
    ("json", json),
    ("commit", commit),
    ("fact", fact),
];

/// What makes bytes a recipe rather than the input itself: no text begins with it.
pub const RECIPE: u8 = 0xff;

/// The bytes of a recipe, one by one; when they are used up, zeros.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.0.next().copied().unwrap_or_default().into()
    }

    fn is_used_up(&self) -> bool {
        self.0.len() == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next() % all.len()]
    }
}

/// A text: the bytes themselves, or what a recipe makes.
fn text(bytes: &[u8], make: impl FnOnce(&mut Choices<'_>) -> String) -> String {
    match bytes.split_first() {
        Some((&RECIPE, recipe)) => make(&mut Choices(recipe.iter())),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// One of some good inputs, changed in up to three places as a recipe says, or the bytes themselves.
fn changed(good: &[Vec<u8>], bytes: &[u8]) -> Vec<u8> {
    let Some((&RECIPE, recipe)) = bytes.split_first() else {
        return bytes.to_vec();
    };
    let mut choices = Choices(recipe.iter());
    let mut input = good[choices.next() % good.len()].clone();
    for _ in 0..choices.next() % 4 {
        let kind = choices.next();
        let at = (choices.next() | choices.next() << 8) % (input.len() + 1);
        let byte = u8::try_from(choices.next()).unwrap_or_default();
        match kind % 5 {
            0 if at < input.len() => input[at] = byte,
            1 if at < input.len() => input[at] ^= 1 << (byte % 8),
            2 if at < input.len() => drop(input.remove(at)),
            3 => input.insert(at, byte),
            4 => input.truncate(at),
            _ => {}
        }
    }
    input
}
