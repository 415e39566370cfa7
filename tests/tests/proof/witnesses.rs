//! Witnesses that serve `c2sp.org/tlog-witness`, and a log that asks them.

use std::{fs, path::PathBuf, process::Command};

use billfold_core::proof::{Checkpoint, Note, Submission};
use billfold_tests::{
    backup::LogCopy,
    billfold::{Ended, ended},
    running::{Running, until},
    tools,
    wallet::{Backend, Wallet},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    others,
    setup::{
        attested, checkpoint_file, forget_views, key_of, public_keys_alone, size_in, start, write,
    },
};

/// A witness of one log, with its files.
struct Witness {
    dir: TempDir,
    port: u16,
    /// What its signatures are checked with.
    key: String,
    process: Option<Running>,
}

impl Witness {
    /// Makes its key, and serves.
    async fn new(wallet: &Wallet, name: &str, log_keys: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let made = ["witness-key", name, "--out", file.to_str().unwrap()];
        let made = public_keys_alone(wallet, &made).await.success().unwrap();
        let mut witness = Self {
            dir,
            port: tools::free_port(),
            key: made.stdout.trim().to_owned(),
            process: None,
        };
        witness.serve(log_keys).await;
        witness
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn command(&self, log_keys: &[&str]) -> Command {
        let mut command = Command::new(tools::replay_bin());
        command.args(["witness", "--listen", &format!("127.0.0.1:{}", self.port)]);
        for key in log_keys {
            command.args(["--checkpoint-key", key]);
        }
        command.arg("--witness-key").arg(self.file("key"));
        command.arg("--memory").arg(self.file("memory"));
        command.arg("--out").arg(self.file("out"));
        command
    }

    /// It does not serve with these keys.
    async fn refused(&self, log_keys: &[&str]) -> Ended {
        let refused = ended(self.command(log_keys)).await.unwrap();
        assert_ne!(refused.code, 0, "{}", refused.stderr);
        refused
    }

    /// Serves, with these keys of the log.
    async fn serve(&mut self, log_keys: &[&str]) {
        self.process = None;
        let process = Running::start(self.command(log_keys));
        until("a witness that listens", || {
            process.errors().contains("listens on")
        })
        .await;
        self.process = Some(process);
    }

    fn told(&self) -> String {
        self.process.as_ref().unwrap().errors()
    }

    fn remembers(&self) -> String {
        fs::read_to_string(self.file("memory")).unwrap()
    }

    /// Posts bytes to it: status, type and body of the answer.
    async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String, String) {
        let url = format!("{}/add-checkpoint", self.url());
        let answer = reqwest::Client::new().post(url).body(body).send().await;
        let answer = answer.unwrap();
        let kind = answer.headers().get("content-type");
        let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        (status, kind.unwrap_or_default(), body)
    }
}

/// Has witnesses cosign what the wallet's server says.
async fn cosign(wallet: &Wallet, key: &str, witnesses: &[&Witness], more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, wallet.node.token()).unwrap();
    let (url, urls) = (
        wallet.node.url(),
        witnesses.iter().map(|witness| witness.url()),
    );
    let urls: Vec<_> = urls.collect();
    let mut args = vec!["cosign", "--checkpoint-key", key, "--server", &url];
    args.extend(["--token-file", token.to_str().unwrap()]);
    for (url, witness) in urls.iter().zip(witnesses) {
        args.extend(["--witness", url, &witness.key]);
    }
    args.extend(more);
    public_keys_alone(wallet, &args).await
}

pub(crate) async fn witnesses_that_are_asked_cosign_what_grew(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 6).await;
    attested(&wallet).await;
    let key = key_of(&wallet).await;
    let mut one = Witness::new(&wallet, "witness.example/one", &[&key]).await;
    let mut two = Witness::new(&wallet, "witness.example/two", &[&key]).await;
    let mut last = 0;
    for round in 0..4 {
        let cosigned = cosign(&wallet, &key, &[&one, &two], &[]).await;
        let note = cosigned.success().unwrap().stdout;
        for witness in [&one, &two] {
            let size = others::assert_cosigned(&note, &key, &witness.key);
            assert!(size >= last);
            last = size;
            assert_eq!(size_in(&witness.remembers()), Some(size));
            // What it signed is in a file, too.
            let out = fs::read_to_string(witness.file("out")).unwrap();
            assert_eq!(others::assert_cosigned(&out, &key, &witness.key), size);
        }
        // The same once more, then more, and it remembers when it was killed.
        if round > 0 {
            write(&wallet, 7).await;
            attested(&wallet).await;
        }
        if round == 2 {
            one.process.as_mut().unwrap().kill();
            one.serve(&[&key]).await;
        }
    }

    // A key that the log changed to is trusted where it is told.
    let path = "/api/internal/wallet/rotate-checkpoint-key";
    let rotated = wallet.node.root("POST", path, json!({})).await.json();
    let changed = rotated["key"].as_str().unwrap().to_owned();
    write(&wallet, 7).await;
    attested(&wallet).await;
    let refused = cosign(&wallet, &key, &[&one, &two], &[]).await;
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    assert!(
        refused.stderr.contains("does not trust the key"),
        "{}",
        refused.stderr
    );
    one.serve(&[&key, &changed]).await;
    let some = cosign(&wallet, &key, &[&one, &two], &["--at-least", "1"]).await;
    let note = some.success().unwrap().stdout;
    last = others::assert_cosigned(&note, &changed, &one.key);
    assert!(!note.contains("witness.example/two"));
    // Whoever asks the server learns of the change from it, and trusts it since both keys signed.
    let own = one.file("key");
    let (memory, token) = (two.file("memory-of-its-own"), two.file("token"));
    fs::write(&token, wallet.node.token()).unwrap();
    let url = wallet.node.url();
    let mut ask = vec!["witness", "--checkpoint-key", &key, "--server", &url];
    ask.extend(["--token-file", token.to_str().unwrap()]);
    ask.extend(["--witness-key", own.to_str().unwrap()]);
    ask.extend(["--memory", memory.to_str().unwrap()]);
    let asked = public_keys_alone(&wallet, &ask).await.success().unwrap();
    assert!(others::assert_cosigned(&asked.stdout, &changed, &one.key) >= last);
    let stranger = others::vkey(key.split('+').next().unwrap(), [7; 32]);
    ask[2] = &stranger;
    assert_eq!(public_keys_alone(&wallet, &ask).await.code, 3);
    let refused = cosign(&wallet, &stranger, &[&one], &[]).await;
    assert_eq!(refused.code, 3, "{}{}", refused.stdout, refused.stderr);

    // One that is away holds nobody up who can do without it.
    two.process = None;
    let some = cosign(&wallet, &key, &[&two, &one], &["--at-least", "1"]).await;
    let some = some.success().unwrap();
    others::assert_cosigned(&some.stdout, &changed, &one.key);
    assert_eq!(cosign(&wallet, &key, &[&two, &one], &[]).await.code, 2);

    // The server is taken back to an older copy, and then grows into another log.
    wallet.node.stop().await.unwrap();
    let old = LogCopy::of(&mut wallet);
    wallet.node.restart().await.unwrap();
    write(&wallet, 7).await;
    attested(&wallet).await;
    let good = cosign(&wallet, &key, &[&one], &[]).await;
    good.success().unwrap();
    wallet.node.stop().await.unwrap();
    old.back(&mut wallet);
    forget_views(&wallet);
    fs::remove_file(checkpoint_file(&wallet.node)).unwrap();
    wallet.node.restart().await.unwrap();
    let shorter = cosign(&wallet, &key, &[&one], &[]).await;
    assert_eq!(shorter.code, 3, "{}{}", shorter.stdout, shorter.stderr);
    let told = &shorter.stderr;
    // It may have grown beyond that size meanwhile.
    let of_it = ["the log was rolled back", "the log was forked"];
    assert!(of_it.iter().any(|what| told.contains(what)), "{told}");
    write(&wallet, 30).await;
    let other = attested(&wallet).await;
    let remembered = one.remembers();
    assert!(size_in(&remembered).unwrap() < other.size);
    let forked = cosign(&wallet, &key, &[&one], &[]).await;
    assert_eq!(forked.code, 3, "{}{}", forked.stdout, forked.stderr);
    let told = &forked.stderr;
    assert!(told.contains("the log was forked"), "{told}");
    // The witness remembers the log that it saw. What does not lead to another is no evidence by itself:
    // only another root of the same size is, and is told with the one before.
    assert_eq!(one.remembers(), remembered);
    let told = one.told();
    assert!(
        !told.contains("BROKEN") || told.contains(&remembered),
        "{told}"
    );
    // One that does not object is enough where one is enough; nobody is shut out by another's word.
    let three = Witness::new(&wallet, "witness.example/three", &[&key, &changed]).await;
    let some = cosign(&wallet, &key, &[&one, &three], &["--at-least", "1"]).await;
    let some = some.success().unwrap();
    others::assert_cosigned(&some.stdout, &changed, &three.key);
    assert!(
        some.stderr.contains("the log was forked"),
        "{}",
        some.stderr
    );
    // A memory of another log, and one that is gone, are no memory to go on with.
    let mut three = three;
    three.process = None;
    fs::remove_file(three.file("memory")).unwrap();
    let lost = three.refused(&[&key, &changed]).await;
    assert!(lost.stderr.contains("it is gone"), "{}", lost.stderr);
    fs::write(three.file("memory"), one.remembers()).unwrap();
    let other = others::vkey("billfold/00000000000000000000000000000000/1", [7; 32]);
    let another = three.refused(&[&other]).await;
    assert!(
        another.stderr.contains("of another log"),
        "{}",
        another.stderr
    );
    let both = three.refused(&[&key, &other]).await;
    assert!(both.stderr.contains("of several logs"), "{}", both.stderr);
}

/// Each answer of `add-checkpoint` as the specification has it.
pub(crate) async fn a_witness_answers_as_specified(backend: Backend) {
    let wallet = start(backend, |builder| builder).await;
    write(&wallet, 6).await;
    let first = attested(&wallet).await;
    write(&wallet, 7).await;
    let second = attested(&wallet).await;
    let key = key_of(&wallet).await;
    let witness = Witness::new(&wallet, "witness.example/1", &[&key]).await;
    let proof = async |from: u64, to: u64| {
        let url = format!("/api/audit/consistency?from={from}&to={to}");
        let told = wallet.node.root("GET", &url, ()).await.json();
        let lines = told["proof"].as_array().unwrap().iter();
        let lines = lines.map(|hash| format!("{}\n", hash.as_str().unwrap()));
        lines.collect::<String>()
    };
    let lead = proof(first.size, second.size).await;
    let to_first = format!("old 0\n\n{}", first.note);
    let to_second = format!("old {}\n{lead}\n{}", first.size, second.note);
    assert!(Submission::parse(to_second.as_bytes()).is_ok());
    let size = |size: u64| (409, "text/x.tlog.size".to_owned(), format!("{size}\n"));

    for bad in [
        "",
        "old 0",
        &to_first.replace("old 0", "old 00"),
        &first.note,
    ] {
        assert_eq!(witness.post(bad.to_owned()).await.0, 400, "{bad:?}");
    }
    assert_eq!(witness.post("x".repeat(1 << 20)).await.0, 413);
    // A log that is not its own, and one whose key it does not know.
    let note = Note::parse(first.note.as_bytes()).unwrap();
    let told = Checkpoint::parse(note.text()).unwrap();
    let elsewhere = first
        .note
        .replace(&*told.origin.to_string(), "other.example/log");
    let elsewhere = format!("old 0\n\n{elsewhere}");
    assert_eq!(witness.post(elsewhere).await.0, 404);
    let changed = to_first.replacen(&format!("\n{}\n", first.size), "\n3\n", 1);
    assert_eq!(witness.post(changed).await.0, 403);
    // It saw nothing yet.
    assert_eq!(witness.post(to_second.clone()).await, size(0));
    let too_much = format!("old 0\n{lead}\n{}", first.note);
    assert_eq!(witness.post(too_much).await.0, 422);
    let above = format!("old {}\n\n{}", first.size + 1, first.note);
    assert_eq!(witness.post(above).await.0, 400);
    assert!(!witness.file("memory").exists(), "nothing was signed");

    let (status, _, signature) = witness.post(to_first.clone()).await;
    assert_eq!(status, 200, "{signature}");
    let cosigned = format!("{}{signature}", first.note);
    assert_eq!(
        others::assert_cosigned(&cosigned, &key, &witness.key),
        first.size
    );
    assert_eq!(witness.post(to_first).await, size(first.size));
    // The same again, from where it is.
    let same = format!("old {}\n\n{}", first.size, first.note);
    assert_eq!(witness.post(same).await.0, 200);
    let other = if lead.starts_with('A') { "B" } else { "A" };
    let wrong = to_second.replacen(&lead[..10], &format!("{other}{}", &lead[1..10]), 1);
    let nothing = format!("old {}\n\n{}", first.size, second.note);
    for bad in [wrong, nothing] {
        assert_eq!(witness.post(bad).await.0, 422);
    }
    assert_eq!(size_in(&witness.remembers()), Some(first.size));
    assert!(!witness.told().contains("BROKEN"), "{}", witness.told());
    // What others wrote beside it is neither remembered nor given out.
    let line = signature.trim_end().rsplit_once(' ').unwrap();
    let forged = format!("{} {}\n", line.0, line.1.replace(&line.1[40..44], "AAAA"));
    let crowded = (0..60).map(|n| format!("— other.example/{n} AAAAAAAA\n"));
    let crowded = format!("{to_second}{forged}{}", crowded.collect::<String>());
    let (status, _, signature) = witness.post(crowded).await;
    assert_eq!(status, 200, "{signature}");
    assert_eq!(witness.remembers(), second.note);
    let out = fs::read_to_string(witness.file("out")).unwrap();
    assert_eq!(
        others::assert_cosigned(&out, &key, &witness.key),
        second.size
    );
    assert_eq!(out.matches("— ").count(), 2, "{out}");
    let again = format!("old {}\n\n{}", second.size, second.note);
    let (status, _, signature) = witness.post(again).await;
    assert_eq!(status, 200, "{signature}");
    let cosigned = format!("{}{signature}", second.note);
    assert_eq!(
        others::assert_cosigned(&cosigned, &key, &witness.key),
        second.size
    );

    // Other methods and places are none.
    let client = reqwest::Client::new();
    let url = witness.url();
    let got = client.get(format!("{url}/add-checkpoint")).send().await;
    assert_eq!(got.unwrap().status(), 405);
    let got = client.post(format!("{url}/")).send().await;
    assert_eq!(got.unwrap().status(), 404);
    // It ends when it is asked to.
    let mut process = witness.process.unwrap();
    assert_eq!(process.end("TERM").await, 0);
}
