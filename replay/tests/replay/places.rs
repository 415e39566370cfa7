//! Which log is read: what the command line says, and where it says nothing what the environment does.

use std::{path::Path, process::Output};

use crate::{
    command::{code, command, run, stderr, stdout},
    fixture::Wallet,
};

fn digest(wallet: &Wallet) -> String {
    let told = run(&["digest", "--data-dir", path(wallet.dir.path())]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    stdout(&told)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn with(args: &[&str], variables: &[(&str, &str)]) -> Output {
    command(args)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_outranks_every_variable() {
    let one = Wallet::new().await.lived_in().await.stopped().await;
    let other = Wallet::new().await.stopped().await;
    assert_ne!(digest(&one), digest(&other));
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("other.bundle");
    let [here, there] = [&one, &other].map(|wallet| path(wallet.dir.path()));
    let made = run(&["bundle", path(&bundle), "--data-dir", there]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));

    let nowhere = "nats://me:passw0rd@127.0.0.1:1";
    for variable in [
        ("BILLFOLD_BUNDLE", path(&bundle)),
        ("BILLFOLD_NATS_URL", nowhere),
        ("BILLFOLD_DATA_DIR", there),
        ("BILLFOLD_AUDITOR_KEY", "no-such-key"),
    ] {
        let key = path(one.dir.path()).to_owned() + "/dev.key";
        let told = match variable.0 {
            // The wallet is one of a dev.key, which is asked for then.
            "BILLFOLD_AUDITOR_KEY" => {
                let args = ["digest", "--data-dir", here, "--key-file", &key];
                let told = with(&args, &[variable]);
                assert!(stderr(&told).contains("not key-file"), "{}", stderr(&told));
                continue;
            }
            _ => with(&["digest", "--data-dir", here], &[variable]),
        };
        assert_eq!(
            stdout(&told),
            digest(&one),
            "{variable:?} {}",
            stderr(&told)
        );
        assert_eq!(stderr(&told), format!("source: data folder {here}\n"));
    }
    let told = with(
        &["digest", "--nats", nowhere],
        &[("BILLFOLD_BUNDLE", path(&bundle))],
    );
    assert_eq!(code(&told), 2, "the log is on NATS then: {}", stderr(&told));
    assert!(!stderr(&told).contains("passw0rd"), "{}", stderr(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_or_two_keys_are_refused() {
    let wallet = Wallet::new().await.stopped().await;
    let here = path(wallet.dir.path());
    let (bundle, nats) = ("--bundle", "--nats");
    for args in [
        &["verify", bundle, "x", "--data-dir", here][..],
        &[bundle, "x", "verify", nats, "nats://127.0.0.1:1"],
        &[
            "digest",
            "--data-dir",
            here,
            "--key-file",
            "x",
            "--auditor-key",
            "y",
        ],
    ] {
        let refused = run(args);
        assert_eq!(code(&refused), 1, "{args:?}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("which "), "{}", stderr(&refused));
    }
    for other in [
        ("BILLFOLD_DATA_DIR", here),
        ("BILLFOLD_NATS_URL", "nats://127.0.0.1:1"),
    ] {
        let refused = with(&["digest"], &[("BILLFOLD_BUNDLE", "x"), other]);
        assert_eq!(code(&refused), 1, "{}", stderr(&refused));
        assert!(stderr(&refused).contains("which log?"));
    }
    // What needs no log is not asked which.
    let file = wallet.dir.path().join("auditor.key");
    let made = with(
        &["auditor-key", "--out", path(&file)],
        &[("BILLFOLD_BUNDLE", "x"), ("BILLFOLD_DATA_DIR", here)],
    );
    assert_eq!(code(&made), 0, "{}", stderr(&made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_names_the_log_that_it_is_of() {
    let wallet = Wallet::new().await.stopped().await;
    let here = path(wallet.dir.path());
    let text = run(&["verify", "--data-dir", here]);
    let row = format!("source      data folder {here}\nwallet      ");
    assert!(stdout(&text).starts_with(&row), "{}", stdout(&text));
    let json = run(&["verify", "--json", "--data-dir", here]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(report["source"], format!("data folder {here}"));
    assert_eq!(report["sound"], true);
}

#[test]
fn help_and_usage_speak_of_what_a_command_takes() {
    for args in [
        &["auditor-key", "--help"][..],
        &["check-receipt", "--help"],
        &["import", "--help"],
        &["witness-key", "--help"],
        &["cosign", "--help"],
    ] {
        let help = run(args);
        assert_eq!(code(&help), 0);
        assert!(!stdout(&help).contains("--data-dir"), "{}", stdout(&help));
    }
    let help = with(
        &["verify", "--help"],
        &[("BILLFOLD_NATS_URL", "nats://me:passw0rd@x")],
    );
    assert!(stdout(&help).contains("BILLFOLD_NATS_URL]"));
    assert!(!stdout(&help).contains("passw0rd"), "{}", stdout(&help));
    // What the environment says is not among what is missing.
    let refused = with(&["prove"], &[("BILLFOLD_DATA_DIR", "x")]);
    assert_eq!(code(&refused), 1);
    let told = stderr(&refused);
    assert!(
        told.contains("<SEQ>") && !told.contains("--data-dir"),
        "{told}"
    );
}
