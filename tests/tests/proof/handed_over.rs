//! What is handed over to outsiders: receipts of single commits, and the whole log in a bundle.

use std::{fs, path::Path, process::Command};

use billfold_tests::{
    billfold::{Ended, ended},
    tools,
    wallet::{Backend, Wallet, within_reason},
};
use serde_json::Value;

use crate::{
    others,
    setup::{attested, key_of, public_keys_alone, start, write},
};

/// Runs `billfold-replay` far from any wallet.
async fn outside(args: &[&str]) -> Ended {
    let mut command = Command::new(tools::replay_bin());
    command.args(args);
    for name in [
        "BILLFOLD_KEY_FILE",
        "BILLFOLD_DATA_DIR",
        "BILLFOLD_NATS_URL",
        "BILLFOLD_BUNDLE",
    ] {
        command.env_remove(name);
    }
    ended(command).await.unwrap()
}

async fn assert_code(args: &[&str], code: i32, why: &str) {
    let ended = outside(args).await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, code, "{args:?}: {said}");
    assert!(said.contains(why), "{args:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The last event of this kind that the log tells, with its sequence and index.
async fn last_event(wallet: &Wallet, kind: &str) -> Value {
    let told = wallet
        .replay(&["log", "--format", "json", "--kind", kind])
        .await;
    let told = told.unwrap().success().unwrap().stdout;
    serde_json::from_str(told.lines().last().unwrap()).unwrap()
}

pub(crate) async fn a_receipt_shows_one_commit_to_whoever_has_the_public_key(backend: Backend) {
    within_reason(async {
        let wallet = start(backend, |builder| builder).await;
        write(&wallet, 6).await;
        let read = "/v1/secret/data/app/3?execution_id=run-7";
        assert_eq!(wallet.node.root("GET", read, ()).await.status, 200);
        attested(&wallet).await;
        let key = key_of(&wallet).await;
        let asked = last_event(&wallet, "read-data").await;
        let (seq, index) = (asked["sequence"].to_string(), asked["index"].to_string());
        let dir = tempfile::tempdir().unwrap();
        let [receipt, bare, written] =
            ["receipt", "bare", "written"].map(|name| dir.path().join(name));
        // A checkpoint attests the read only some time after it.
        crate::setup::until("the read is attested", async || {
            let _ = fs::remove_file(&receipt);
            let args = ["prove", &seq, "--names", "--out", text(&receipt)];
            wallet.replay(&args).await.unwrap().code == 0
        })
        .await;
        let check = |file: &Path| {
            let file = text(file).to_owned();
            let key = key.clone();
            async move {
                let args = ["check-receipt", &file, "--checkpoint-key", &key, "--json"];
                let ended = outside(&args).await;
                let told = serde_json::from_str::<Value>(&ended.success().unwrap().stdout);
                told.unwrap()
            }
        };
        let told = check(&receipt).await;
        assert_eq!(told["witnesses"], 0);
        // Whether what was asked is void, only the log tells.
        assert!(told["void"].is_null() && told.get("void").is_some());
        let shown = told["shown"].as_array().unwrap();
        let shown = shown
            .iter()
            .find(|line| line["index"] == asked["index"])
            .unwrap();
        for field in [
            "sequence",
            "time",
            "event",
            "operation",
            "principal",
            "token",
            "record",
            "request",
        ] {
            assert_eq!(shown[field], asked[field], "{field}");
        }
        assert_eq!(shown["execution"], "run-7");
        assert!(shown["client"].is_string());
        // Without names, and of one event alone.
        let args = ["prove", &seq, "--event", &index, "--out", text(&bare)];
        wallet.replay(&args).await.unwrap().success().unwrap();
        let told = check(&bare).await;
        assert_eq!(told["shown"].as_array().unwrap().len(), 1);
        assert_eq!(told["shown"][0]["execution"], Value::Null);
        // The path of the record is shown by what wrote it first.
        let put = wallet
            .replay(&[
                "log",
                "--format",
                "json",
                "--kind",
                "CredentialWritten",
                "--path",
                "secret/app/3",
            ])
            .await;
        let put = put.unwrap().success().unwrap().stdout;
        let put: Value = serde_json::from_str(put.lines().next().unwrap()).unwrap();
        assert_eq!(put["record"], asked["record"]);
        let first = put["sequence"].to_string();
        let told = wallet.replay(&["prove", &seq, "--names"]).await.unwrap();
        let told = told.success().unwrap().stderr;
        let (record, mount) = (asked["record"].as_str().unwrap(), "prove 1 --names");
        assert!(told.contains(record) && told.contains(mount), "{told}");
        let below = format!("prove {first} --names shows it below its mount");
        assert!(told.contains(&below), "{told}");
        let args = ["prove", &first, "--names", "--out", text(&written)];
        wallet.replay(&args).await.unwrap().success().unwrap();
        let told = check(&written).await;
        assert_eq!(told["void"], false);
        let shown = told["shown"].as_array().unwrap();
        assert!(
            shown
                .iter()
                .any(|line| line["path"] == "app/3" && line["record"] == asked["record"])
        );
        refused(&receipt, &key, dir.path()).await;
        // What cannot be proven is told.
        let late = ["prove", "999999"];
        let ended = wallet.replay(&late).await.unwrap();
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let none = ["prove", &seq, "--event", "77"];
        let ended = wallet.replay(&none).await.unwrap();
        assert!(
            ended.code == 1 && ended.stderr.contains("there is no 77"),
            "{}",
            ended.stderr
        );
        let again = ["prove", &seq, "--out", text(&receipt)];
        assert_ne!(wallet.replay(&again).await.unwrap().code, 0);
    })
    .await;
}

/// No changed receipt shows anything, nor one that another key is to vouch for.
async fn refused(receipt: &Path, key: &str, dir: &Path) {
    let whole = fs::read(receipt).unwrap();
    let changed = dir.join("changed");
    let args = ["check-receipt", text(&changed), "--checkpoint-key", key];
    for step in 0..24 {
        let at = step * whole.len() / 24;
        let mut bytes = whole.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        fs::write(&changed, &bytes).unwrap();
        let ended = outside(&args).await;
        assert!(matches!(ended.code, 1 | 3), "byte {at}: {}", ended.stdout);
        fs::write(&changed, &whole[..at]).unwrap();
        assert_code(&args, 3, "").await;
    }
    let made = dir.join("other-key");
    let other = outside(&["witness-key", "other", "--out", text(&made)]).await;
    let other = other.success().unwrap().stdout;
    let other = other.trim();
    let by_witness = [
        "check-receipt",
        text(receipt),
        "--checkpoint-key",
        key,
        "--witness-key",
        other,
    ];
    assert_code(&by_witness, 3, "not signed by the key").await;
    let another = others::vkey(key.split('+').next().unwrap(), [7; 32]);
    let by_another = ["check-receipt", text(receipt), "--checkpoint-key", &another];
    let id = |key: &str| key.splitn(3, '+').take(2).collect::<Vec<_>>().join("+");
    let signed = format!("signed by {}, and not by the key that was given, ", id(key));
    assert_code(&by_another, 3, &(signed + &id(&another))).await;
    // A log's key makes no witness, nor a witness's a log; and a witness counts once.
    let by_witness_alone = ["check-receipt", text(receipt), "--checkpoint-key", other];
    assert_code(&by_witness_alone, 1, "not of a witness").await;
    let by_log = [&by_witness[..5], &[key]].concat();
    assert_code(&by_log, 1, "one that cosigns").await;
    let twice = [&by_witness[..], &["--witness-key", other]].concat();
    assert_code(&twice, 1, "given once").await;
}

pub(crate) async fn a_bundle_is_the_log_in_one_file(backend: Backend) {
    within_reason(async {
        let wallet = start(backend, |builder| builder).await;
        write(&wallet, 15).await;
        let told = attested(&wallet).await;
        let key = key_of(&wallet).await;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (bundle, note, folder) = (at("bundle"), at("note"), at("imported"));
        fs::write(&note, &told.note).unwrap();
        let made = ["bundle", text(&bundle), "--checkpoint", text(&note)];
        public_keys_alone(&wallet, &made).await.success().unwrap();
        let again = public_keys_alone(&wallet, &made).await;
        assert!(
            again.code == 1 && again.stderr.contains("is there already"),
            "{}",
            again.stderr
        );
        // A checkpoint of what is not in it would be found wrong by whoever gets it.
        let short = at("short");
        let cut = [&["bundle", text(&short), "--until", "3"], &made[2..]].concat();
        let refused = public_keys_alone(&wallet, &cut).await;
        assert!(
            refused.code == 1 && refused.stderr.contains("the bundle ends at 3"),
            "{}",
            refused.stderr
        );
        assert!(!short.exists());
        // Whoever gets it verifies it as if it were the log, with the checkpoint that came with it.
        let verify = [
            "verify",
            "--json",
            "--bundle",
            text(&bundle),
            "--checkpoint-key",
            &key,
        ];
        let report = outside(&verify).await.success().unwrap().stdout;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["sound"], true);
        assert_eq!(report["held"], told.size);
        assert!(report["attested"].as_u64().unwrap() >= told.size);
        assert_code(
            &["verify", "--bundle", text(&bundle)],
            1,
            "a bundle holds no keys",
        )
        .await;
        // A data folder that is made of it is the same log.
        let import = ["import", text(&bundle), text(&folder)];
        outside(&import).await.success().unwrap();
        assert_code(&import, 1, "is not empty").await;
        let verify = [
            "verify",
            "--json",
            "--data-dir",
            text(&folder),
            "--checkpoint-key",
            &key,
        ];
        let same = outside(&verify).await.success().unwrap().stdout;
        let same: Value = serde_json::from_str(&same).unwrap();
        for field in ["origin", "size", "root", "checkpoints", "attested"] {
            assert_eq!(same[field], report[field], "{field}");
        }
        damaged(&bundle, &key, dir.path()).await;
    })
    .await;
}

/// A bundle that was changed or cut short is neither verified nor imported.
async fn damaged(bundle: &Path, key: &str, dir: &Path) {
    let whole = fs::read(bundle).unwrap();
    let (changed, folder) = (dir.join("changed"), dir.join("never"));
    let verify = [
        "verify",
        "--bundle",
        text(&changed),
        "--checkpoint-key",
        key,
    ];
    let import = ["import", text(&changed), text(&folder)];
    for step in 1..16 {
        let at = step * whole.len() / 16;
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&changed, &bytes).unwrap();
        assert_code(&verify, 3, "").await;
        fs::write(&changed, &whole[..at]).unwrap();
        assert_code(&verify, 3, "damaged or cut short").await;
        assert_code(&import, 3, "damaged or cut short").await;
    }
    fs::write(&changed, [&whole[..], b"more"].concat()).unwrap();
    assert_code(&verify, 3, "damaged or cut short").await;
    fs::write(&changed, b"something else").unwrap();
    assert_code(&verify, 1, "the file is no bundle").await;
    assert!(!folder.exists());
}
