//! Files that the command line names: which codes they end with when they are not there, not what they
//! should be, or cut short.

use std::fs;

use billfold_core::{id::ProcessId, subject::Generation};
use billfold_streams::embedded::Embedded;

use crate::{
    command::{code, run, stderr},
    fixture::Wallet,
    node::open_custody,
};

fn ends(args: &[&str], with: i32, why: &str) {
    let ended = run(args);
    assert_eq!(code(&ended), with, "{args:?}: {}", stderr(&ended));
    let told = stderr(&ended);
    assert!(told.contains(why), "{args:?}: {told}");
    assert!(!told.contains("Usage:"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_an_option_names_are_treated_alike() {
    let wallet = Wallet::new().await.stopped().await;
    let dir = wallet.dir.path().to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (missing, other) = (path("missing"), path("other"));
    fs::write(&other, "something else\n").unwrap();
    let witness = path("witness.key");
    assert_eq!(code(&run(&["witness-key", "w", "--out", &witness])), 0);
    let (memory, new, never) = (path("memory"), path("new"), path("never"));
    for (file, with) in [(&missing, 2), (&other, 1)] {
        let file = file.as_str();
        let option = |name: &str| format!("{name}: {file}");
        let log = ["--data-dir", dir];
        let by_key = [&["verify", "--checkpoint-key", file][..], &log].concat();
        ends(&by_key, with, &option("--checkpoint-key"));
        let bundle = [&["bundle", &new, "--checkpoint", file][..], &log].concat();
        ends(&bundle, with, &option("--checkpoint"));
        let auditor = [&["log", "--auditor-key", file][..], &log].concat();
        ends(&auditor, with, &option("--auditor-key"));
        let check = ["check-receipt", file, "--checkpoint-key", file];
        ends(&check, with, file);
        ends(
            &["log", "--bundle", file, "--auditor-key", &missing],
            2,
            "--auditor-key",
        );
        ends(&["import", file, &never], with, &option("the bundle"));
        let syslog = "syslog:tls://127.0.0.1:1";
        let export = [
            "export",
            "--format",
            "csv",
            "--to",
            syslog,
            "--to-ca-file",
            file,
        ];
        ends(&[&export[..], &log].concat(), with, &option("--to-ca-file"));
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&other, mode).unwrap();
    let key = signer(&wallet).await;
    for (file, with) in [(&missing, 2), (&other, 1)] {
        let asked = ["witness", "--witness-key", file, "--memory", &memory];
        let args = [&asked[..], &["--checkpoint-key", &key, "--data-dir", dir]].concat();
        ends(&args, with, &format!("--witness-key: {file}"));
    }
}

/// The key that signs the checkpoints of a wallet.
async fn signer(wallet: &Wallet) -> String {
    let dir = wallet.dir.path();
    let embedded = Embedded::open(dir).unwrap();
    let custody = open_custody(&embedded, dir, ProcessId::default()).await;
    let signer = custody.checkpoint_signer(Generation::FIRST, None).unwrap();
    signer.verifier().to_string()
}

#[test]
fn a_key_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let file = file.to_str().unwrap();
    let nowhere = folder.path().join("no/such/key");
    let nowhere = nowhere.to_str().unwrap();
    for command in [&["auditor-key"][..], &["witness-key", "w"]] {
        let make = |file| [command, &["--out", file]].concat();
        assert_eq!(code(&run(&make(file))), 0);
        let before = fs::read(file).unwrap();
        ends(&make(file), 1, &format!("--out: {file} is there already"));
        assert_eq!(fs::read(file).unwrap(), before);
        ends(&make(nowhere), 2, "--out: ");
        fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_short_is_told_as_damaged_by_its_name() {
    let wallet = Wallet::new().await.lived_in().await.stopped().await;
    let dir = wallet.dir.path();
    let at = dir.to_str().unwrap();
    let log = dir.join("log.redb");
    let whole = fs::read(&log).unwrap();
    for length in [0, 5, 300, 4096, whole.len() / 2] {
        fs::write(&log, &whole[..length]).unwrap();
        for args in [&["verify"][..], &["log"]] {
            let args = [args, &["--data-dir", at]].concat();
            ends(&args, 3, "log.redb is damaged: ");
        }
    }
    fs::write(&log, &whole).unwrap();
    let verified = run(&["verify", "--data-dir", at]);
    assert_eq!(code(&verified), 0, "{}", stderr(&verified));

    let bundle = dir.join("bundle");
    let bundle = bundle.to_str().unwrap();
    assert_eq!(code(&run(&["bundle", bundle, "--data-dir", at])), 0);
    let whole = fs::read(bundle).unwrap();
    let import = ["import", bundle, "never"];
    for length in [0, 1, 8, 15, 16, 17, 40] {
        fs::write(bundle, &whole[..length]).unwrap();
        ends(&import, 3, "the bundle is damaged or cut short");
    }
    fs::write(bundle, b"something else").unwrap();
    ends(
        &import,
        1,
        &format!("the bundle: {bundle}: the file is no bundle"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_had_is_out_of_reach() {
    let wallet = Wallet::new().await.stopped().await;
    let dir = wallet.dir.path().to_str().unwrap();
    let to = format!("file:{dir}/no/such/file");
    let export = ["export", "--format", "csv", "--to", &to, "--data-dir", dir];
    ends(&export, 2, "no/such/file cannot be written");
}
