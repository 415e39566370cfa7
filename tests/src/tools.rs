//! Where the programs under test and the real peers are, free ports, and the seed of this run.

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

/// The pinned `nats-server`.
pub fn nats_server() -> PathBuf {
    tool("nats-server")
}

/// The pinned `bao`: OpenBao's command line and server.
pub fn bao() -> PathBuf {
    tool("bao")
}

/// The `rvault` of RustyVault, which only a benchmark wants: where `cargo install` puts it.
pub fn rusty_vault() -> PathBuf {
    rusty_vault_root().join("bin/rvault")
}

/// The root to install RustyVault under.
pub fn rusty_vault_root() -> PathBuf {
    target_folder().join("tools/rvault")
}

/// A Python that can `import hvac`.
pub fn python() -> PathBuf {
    tool("python")
}

/// The pinned Node, which can `require('node-vault')`.
pub fn node() -> PathBuf {
    tool("node")
}

/// The pinned `ansible-playbook`, with the collection `community.hashi_vault`.
pub fn ansible_playbook() -> PathBuf {
    tool("ansible-playbook")
}

/// The `billfold` program.
pub fn billfold_bin() -> PathBuf {
    program("BILLFOLD_BIN", "billfold")
}

/// The `billfold-replay` program.
pub fn replay_bin() -> PathBuf {
    program("BILLFOLD_REPLAY_BIN", "billfold-replay")
}

/// Whether the long forms of the tests are wanted (`tests/run --full`).
pub fn full() -> bool {
    env::var_os("BILLFOLD_TEST_FULL").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The seed of this run: `BILLFOLD_TEST_SEED`, or a fresh one. It is printed when it is first asked for.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = match env::var("BILLFOLD_TEST_SEED") {
            Ok(text) => text.trim().parse().expect("BILLFOLD_TEST_SEED is a number"),
            Err(_) => u64::from_le_bytes(random()),
        };
        eprintln!("seed {seed}: repeat with BILLFOLD_TEST_SEED={seed}");
        seed
    })
}

/// Bytes of the system's randomness.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// Numbers that a seed decides (SplitMix64): for choices in tests, never for keys.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Two tests of one run draw differently when they give different names.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name.
        Self(
            name.bytes()
                .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
                }),
        )
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}

/// A TCP port on loopback that no other test takes while this process lives.
///
/// It lies below the range that the system gives to outgoing connections, so that a server can come back to it after a
/// crash, and a locked file keeps other test processes off it.
pub fn free_port() -> u16 {
    static HELD: Mutex<BTreeMap<u16, fs::File>> = Mutex::new(BTreeMap::new());
    let folder = env::temp_dir().join("billfold-test-ports");
    fs::create_dir_all(&folder).expect("the folder for port locks can be made");
    let mut held = HELD.lock().expect("no test panics with the ports in hand");
    for _ in 0..10_000 {
        let port = 10_000 + u16::from_le_bytes(random()) % 22_000;
        if held.contains_key(&port) {
            continue;
        }
        let Ok(lock) = fs::File::create(folder.join(port.to_string())) else {
            continue;
        };
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            held.insert(port, lock);
            return port;
        }
    }
    panic!("no free port in ten thousand tries");
}

fn tool(name: &str) -> PathBuf {
    let folder = match env::var_os("BILLFOLD_TOOLS") {
        Some(folder) => PathBuf::from(folder),
        None => target_folder().join("tools/bin"),
    };
    existing(folder.join(name))
}

fn program(variable: &str, name: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => existing(PathBuf::from(path)),
        None => existing(profile_folder().join(name)),
    }
}

/// `target/debug`, from `target/debug/deps/<this test>`.
fn profile_folder() -> PathBuf {
    let exe = env::current_exe().expect("a test knows its own path");
    let folder = exe.parent().expect("a program lies in a folder");
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().map(Path::to_path_buf).unwrap_or_default(),
        _ => folder.to_path_buf(),
    }
}

fn target_folder() -> PathBuf {
    let profile = profile_folder();
    profile.parent().expect("the target folder").to_path_buf()
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there: `tests/run` installs and builds it",
        path.display()
    );
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_once_and_can_be_bound() {
        let ports: Vec<u16> = (0..32).map(|_| free_port()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        for port in ports {
            TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }

    #[test]
    fn a_seed_and_a_name_decide_every_draw() {
        let draw = |seed, name| {
            let mut rng = Rng::new(seed, name);
            (0..4).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "a"), draw(7, "a"));
        assert_ne!(draw(7, "a"), draw(8, "a"));
        assert_ne!(draw(7, "a"), draw(7, "b"));
    }
}
