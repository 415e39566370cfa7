//! Completions, manual pages, and help.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use billfold_tests::cli::Cli;

fn cli() -> Cli {
    Cli::new("http://127.0.0.1:1")
}

#[tokio::test]
async fn each_command_has_a_manual_page_and_its_help() {
    let cli = cli();
    cli.ok(&["man", "pages"]).await;
    let page = |name: &str| fs::read_to_string(cli.home().join("pages").join(name));
    assert!(page("billfold.1").unwrap().contains("completions"));
    for command in [
        "put", "get", "ls", "rm", "history", "undelete", "destroy", "tx", "login", "status",
        "serve",
    ] {
        let text = page(&format!("billfold-{command}.1")).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{command}");
        let help = cli.ok(&[command, "--help"]).await;
        assert!(
            help.contains(&format!("Usage: billfold {command}")),
            "{help}"
        );
    }
    assert!(
        page("billfold-token-create.1")
            .unwrap()
            .contains("explicit")
    );
    fs::write(cli.home().join("file"), "").unwrap();
    assert_eq!(cli.run(&["man", "file"]).await.code, 1);
}

#[tokio::test]
async fn a_shell_can_read_its_completions() {
    let script = cli().ok(&["completions", "bash"]).await;
    assert!(script.contains("undelete") && script.contains("--insecure-value"));
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(bash.wait().unwrap().success());
    for shell in ["zsh", "fish"] {
        assert!(
            cli().ok(&["completions", shell]).await.contains("undelete"),
            "{shell}"
        );
    }
    assert_eq!(cli().run(&["completions", "nonsense"]).await.code, 1);
}
