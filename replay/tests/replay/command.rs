//! The binary: what it prints, its exit codes, and that it writes nothing where it reads.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::SystemTime,
};

use billfold_core::id::ProcessId;
use billfold_streams::embedded::Embedded;
use serde_json::Value;

use crate::{fixture::Wallet, node::open_custody};

/// All files below a folder: content and time.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path.clone(), (fs::read(&path).unwrap(), modified));
        }
    }
    found
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billfold-replay"));
    for name in [
        "DATA_DIR",
        "NATS_URL",
        "NATS_CREDS_FILE",
        "NATS_CA_FILE",
        "KEY_FILE",
        "BUNDLE",
        "AUDITOR_KEY",
    ] {
        command.env_remove(format!("BILLFOLD_{name}"));
    }
    command.args(args);
    command
}

pub fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn on(wallet: &Wallet, args: &[&str]) -> Output {
    let dir = wallet.dir.path().to_str().unwrap();
    run(&[args, &["--data-dir", dir]].concat())
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_wallet_beside_its_server_and_without_one() {
    let wallet = Wallet::new().await.lived_in().await;
    let beside = on(&wallet, &["verify"]);
    assert_eq!(code(&beside), 0, "{}", stderr(&beside));
    assert!(stdout(&beside).contains("in use by a server: not compared"));
    let wallet = wallet.stopped().await;
    let before = contents(wallet.dir.path());
    let report = on(&wallet, &["verify"]);
    assert_eq!(code(&report), 0);
    assert_eq!(stderr(&report), "");
    let text = stdout(&report);
    assert!(text.ends_with("sound\n"), "{text}");
    assert!(text.contains("equal to the fold"));

    let report: Value = serde_json::from_str(&stdout(&on(&wallet, &["verify", "--json"]))).unwrap();
    assert_eq!(report["sound"], true);
    assert_eq!(report["view"]["state"], "equal");
    assert_eq!(report["summary"]["requests"]["denied"], 1);
    let digest = stdout(&on(&wallet, &["digest"]));
    let expected = format!(
        "{} {}\n",
        report["sequence"],
        report["digest"].as_str().unwrap()
    );
    assert_eq!(digest, expected);
    assert_eq!(
        stdout(&on(&wallet, &["digest", "--at", "1"]))
            .split(' ')
            .next(),
        Some("1")
    );

    let lines = stdout(&on(&wallet, &["log", "--json"]));
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: u64 = report["summary"]["events"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(lines.len() as u64, events);
    assert!(lines.iter().all(|line| line.get("path").is_none()));
    let named = stdout(&on(
        &wallet,
        &["log", "--names", "--from", "3", "--to", "5"],
    ));
    assert_eq!(named.lines().count(), 1 + 3);
    assert!(named.contains("path=\"secret/app/db\""));
    assert_eq!(contents(wallet.dir.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_wallet_ends_with_3() {
    let wallet = Wallet::new().await.lived_in().await.stopped().await;
    let embedded = Embedded::open(wallet.dir.path()).unwrap();
    let custody = open_custody(&embedded, wallet.dir.path(), ProcessId::default()).await;
    for page in embedded.keys().pages().await.unwrap() {
        let (full, revision) = custody.fetch(page).await.unwrap().unwrap();
        custody
            .replace_page(&full.keeping(|slot| slot > 1), revision)
            .await
            .unwrap();
    }
    drop((custody, embedded));
    let report = on(&wallet, &["verify"]);
    assert_eq!(code(&report), 3);
    let text = stdout(&report);
    assert!(
        text.contains("BROKEN      sequence 1: the names of mount"),
        "{text}"
    );
    assert!(text.ends_with("broken\n"));
    // A file that is no log.
    let path = wallet.dir.path().join("log.redb");
    let whole = fs::read(&path).unwrap();
    fs::write(
        &path,
        [&whole[..8192], &vec![0x5a; whole.len() - 8192][..]].concat(),
    )
    .unwrap();
    for args in [&["verify"][..], &["log"], &["digest"]] {
        let broken = on(&wallet, args);
        assert_eq!(code(&broken), 3, "{args:?}: {}", stderr(&broken));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_ends_with_2() {
    let wallet = Wallet::new().await.stopped().await;
    let dir = wallet.dir.path();
    let nowhere = dir.join("nowhere");
    let missing = run(&["verify", "--data-dir", nowhere.to_str().unwrap()]);
    assert_eq!(code(&missing), 2);
    assert!(stderr(&missing).contains("there is no file"));
    assert!(!nowhere.exists());

    // The key of another key manager than the keyring names.
    let key_file = dir.join("dev.key");
    let other = on(
        &wallet,
        &["verify", "--key-file", key_file.to_str().unwrap()],
    );
    assert_eq!(code(&other), 2);
    let told = "key manager is dev-file since unseal generation 1, not key-file";
    assert!(stderr(&other).contains(told), "{}", stderr(&other));
    let kept = fs::read(&key_file).unwrap();
    fs::remove_file(&key_file).unwrap();
    let without = on(&wallet, &["verify"]);
    assert_eq!(code(&without), 2);
    assert!(stderr(&without).contains("key manager is dev-file: there is no "));
    assert!(!key_file.exists());
    fs::write(&key_file, kept.iter().map(|byte| !byte).collect::<Vec<_>>()).unwrap();
    let open = on(&wallet, &["verify"]);
    assert!(
        stderr(&open).contains("it must be 0600"),
        "{}",
        stderr(&open)
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key_file, mode).unwrap();
    let wrong = on(&wallet, &["verify"]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("does not open this wallet's unseal generation"));

    let unreachable = run(&["digest", "--nats", "nats://127.0.0.1:1"]);
    assert_eq!(code(&unreachable), 2);
    assert!(stderr(&unreachable).contains("cannot be reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_use_end_with_1() {
    let wallet = Wallet::new().await.stopped().await;
    for args in [
        &[][..],
        &["verify"],
        &["nothing"],
        &["log", "--from", "x"],
        &["digest", "--at"],
    ] {
        let refused = run(args);
        assert_eq!(code(&refused), 1, "{args:?}");
        assert!(!stderr(&refused).is_empty() && stdout(&refused).is_empty());
    }
    assert_eq!(code(&on(&wallet, &["digest", "--at", "1000"])), 1);
    assert_eq!(code(&on(&wallet, &["log", "--from", "3", "--to", "2"])), 1);
    let help = run(&["--help"]);
    assert_eq!(code(&help), 0);
    assert!(stdout(&help).contains("Exit codes: 0 sound, 1 usage"));
    assert_eq!(code(&run(&["--version"])), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_says_where_the_wallet_is() {
    let wallet = Wallet::new().await.stopped().await;
    let output = command(&["digest"])
        .env("BILLFOLD_DATA_DIR", wallet.dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    let output = command(&["digest"])
        .env("BILLFOLD_DATA_DIR", wallet.dir.path())
        .env("BILLFOLD_NATS_URL", "nats://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(code(&output), 2, "the log is on NATS then");
    let output = command(&["digest"])
        .env("BILLFOLD_DATA_DIR", wallet.dir.path())
        .env("BILLFOLD_KEY_FILE", wallet.dir.path().join("no-such-key"))
        .output()
        .unwrap();
    assert_eq!(code(&output), 2, "the key file was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_killed_server_left_are_read_from_a_repaired_copy() {
    let wallet = Wallet::new().await.lived_in().await;
    let left = tempfile::tempdir().unwrap();
    // What a kill leaves is what stands in the files now.
    for name in ["log.redb", "keys.redb", "dev.key"] {
        fs::copy(wallet.dir.path().join(name), left.path().join(name)).unwrap();
    }
    let unclean = Embedded::open_reader(left.path());
    assert!(
        unclean.is_err(),
        "the copy needs repair, or this test proves nothing"
    );
    let before = contents(left.path());
    let dir = left.path().to_str().unwrap();
    let report = run(&["verify", "--data-dir", dir]);
    assert_eq!(code(&report), 0, "{}{}", stdout(&report), stderr(&report));
    assert_eq!(contents(left.path()), before);
    let here = stdout(&run(&["digest", "--data-dir", dir]));
    assert_eq!(here, stdout(&on(&wallet, &["digest"])));
}
