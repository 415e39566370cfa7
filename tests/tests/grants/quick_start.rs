//! The auditor's quick start, run by a shell as it is written.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use billfold_tests::{billfold::ended, tools, wallet::Backend};
use serde_json::json;

use crate::{auditor::attested, end_epoch, lines, markdown, ok, serve};

/// The page's blocks as one script, in which only what it cannot know is another.
fn script(backend: Backend, known: &[(&str, String)]) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/auditor-quick-start.md");
    let blocks = markdown::blocks(&fs::read_to_string(page).unwrap());
    assert!(blocks.len() > 9, "{}", blocks.len());
    let passed_over = match backend {
        Backend::Embedded => "BILLFOLD_NATS_URL",
        Backend::JetStream => "BILLFOLD_BUNDLE",
    };
    let lines = blocks.iter().flat_map(|block| block.lines());
    let lines = lines.filter(|line| !line.contains(passed_over));
    // Who goes over the page again keeps the key.
    let again = blocks.iter().take(1).flat_map(|block| block.lines());
    let text = again.chain(lines).collect::<Vec<_>>().join("\n");
    known.iter().fold(text, |text, (told, here)| {
        assert!(text.contains(told) || told.contains("://"), "{told}");
        text.replace(told, here)
    })
}

pub async fn the_auditors_quick_start_runs_as_written(backend: Backend) {
    let wallet = serve(backend).await;
    let data = json!({ "data": { "password": "hunter" } });
    ok(&wallet, "POST", "/v1/secret/data/app/db", data.clone()).await;
    let earlier = wallet.state().await.sequence;
    ok(&wallet, "POST", "/v1/secret/data/app/db", data).await;
    let policy = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    ok(&wallet, "POST", "/v1/sys/policies/acl/reader", policy).await;
    let wish = json!({ "policies": ["reader"], "display_name": "ci" });
    let made = ok(&wallet, "POST", "/v1/auth/token/create", wish).await;
    let token = made["auth"]["client_token"].as_str().unwrap();
    let path = "/v1/secret/data/app/db";
    let read = wallet
        .node
        .client()
        .call("GET", path, Some(token), ())
        .await;
    assert_eq!(read.unwrap().status, 200);
    let listed = wallet
        .replay(&["log", "--json", "--kind", "read-data"])
        .await;
    let listed = lines(&listed.unwrap().success().unwrap().stdout);
    let seq = listed.last().unwrap()["sequence"].as_u64().unwrap();
    end_epoch(&wallet).await;
    attested(&wallet).await;

    let dir = tempfile::tempdir().unwrap();
    let (bin, home) = (dir.path().join("bin"), dir.path().join("home"));
    for folder in [&bin, &home] {
        fs::create_dir(folder).unwrap();
    }
    symlink(tools::billfold_bin(), bin.join("billfold")).unwrap();
    symlink(tools::replay_bin(), bin.join("billfold-replay")).unwrap();
    let mut known = vec![
        ("2027-03-01T00:00:00Z", "2020-01-01T00:00:00Z".to_owned()),
        ("2027-04-01T00:00:00Z", "2999-01-01T00:00:00Z".to_owned()),
        ("48120", seq.to_string()),
        ("40000", earlier.to_string()),
    ];
    if let Some(nats) = &wallet.nats {
        known.push(("tls://nats.example:4222", nats.url()));
    }
    let mut text = script(backend, &known);
    if backend == Backend::Embedded {
        let data = wallet.node.data_dir().display();
        let made = format!("billfold-replay bundle wallet.bundle --data-dir {data}");
        text = text.replacen(
            "export BILLFOLD_BUNDLE",
            &format!("{made}\nexport BILLFOLD_BUNDLE"),
            1,
        );
    }
    let mut command = Command::new("bash");
    let paths = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command
        .args(["-euxc", &text])
        .current_dir(&home)
        .env_clear()
        .env("PATH", paths)
        .env("HOME", &home)
        .env("BILLFOLD_ADDR", wallet.node.url())
        .env("BILLFOLD_TOKEN", wallet.node.token());
    let told = ended(command).await.unwrap();
    assert_eq!(told.code, 0, "{text}\n{}{}", told.stdout, told.stderr);
    let line = |words: &[&str]| {
        let mut lines = told.stdout.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    let place = format!(" {seq} ");
    for words in [
        &["sound"][..],
        &[
            &place,
            "read-data",
            "verdict=permitted",
            "reader",
            "secret/app/db",
        ],
        &["cosigned by 1 of the witnesses"],
        &["proven"],
        &["app/db", "current_version"],
    ] {
        assert!(line(words), "{words:?} is in no line of {}", told.stdout);
    }
    assert!(!told.stdout.contains("hunter"), "inv04");
    let kept: Vec<_> = fs::read_dir(&home).unwrap().collect();
    assert!(kept.len() >= 7, "{kept:?}");
}
