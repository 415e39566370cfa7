//! Randomness from the operating system.

use billfold_core::entropy::Entropy;
use zeroize::Zeroize;

const BUFFER: usize = 1024;

/// The operating system's generator, read ahead a little: a system call for each salt would cost
/// more than the sealing itself. What was handed out is wiped here.
pub struct Os {
    ahead: Box<[u8; BUFFER]>,
    used: usize,
}

impl Os {
    /// A source with nothing read ahead yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ahead: Box::new([0; BUFFER]),
            used: BUFFER,
        }
    }
}

impl Default for Os {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Os {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Os")
    }
}

impl Drop for Os {
    fn drop(&mut self) {
        self.ahead.zeroize();
    }
}

impl Entropy for Os {
    fn fill(&mut self, out: &mut [u8]) {
        if out.len() > BUFFER / 4 {
            return from_system(out);
        }
        if self.used + out.len() > BUFFER {
            from_system(self.ahead.as_mut_slice());
            self.used = 0;
        }
        let end = self.used + out.len();
        if let Some(ready) = self.ahead.get_mut(self.used..end) {
            out.copy_from_slice(ready);
            ready.zeroize();
        }
        self.used = end;
    }
}

/// Without randomness no key or salt is safe, and no caller could go on: the process ends.
fn from_system(out: &mut [u8]) {
    if let Err(error) = getrandom::fill(out) {
        tracing::error!(%error, "the operating system gives no randomness");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_the_same_twice() {
        let mut os = Os::new();
        let drawn: std::collections::HashSet<[u8; 32]> = (0..1000).map(|_| os.bytes()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(!drawn.contains(&[0; 32]));
    }
}
