//! What a person sees on a terminal, and what others see of a command that runs.

use std::{
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use billfold_tests::{
    cli::Cli,
    wallet::{Backend, Wallet},
};
use serde_json::json;

pub async fn values_stay_off_a_terminal(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let bad = json!({ "password": "canary", "bad": "a\u{1b}[2J\u{9b}31m\u{202e}b" }).to_string();
    cli.run_with(&["put", "secret/a", "-"], &bad)
        .await
        .success()
        .unwrap();

    let hidden = cli
        .on_terminal(&["get", "secret/a"], "")
        .await
        .success()
        .unwrap()
        .stdout;
    assert!(
        hidden.contains("password") && hidden.contains("(hidden)"),
        "{hidden}"
    );
    assert!(
        hidden.contains("--show") && !hidden.contains("canary"),
        "{hidden}"
    );
    let own = cli
        .on_terminal(&["token", "lookup"], "")
        .await
        .success()
        .unwrap()
        .stdout;
    assert!(
        own.contains("(hidden)") && !own.contains(wallet.node.token()),
        "{own}"
    );
    for (args, told) in [
        (&["--show"][..], "canary"),
        (&["-o", "json"], "canary"),
        (&["--field", "password"], "canary"),
        (&["--field", "bad"], r"a\u{1b}[2J\u{9b}31m\u{202e}b"),
        (&["--show"], r"a\u{1b}[2J\u{9b}31m\u{202e}b"),
        (&["-o", "json"], r"a\u001b[2J\u009b31m\u202eb"),
    ] {
        let args = [&["get", "secret/a"], args].concat();
        let shown = cli.on_terminal(&args, "").await.success().unwrap().stdout;
        assert!(shown.contains(told), "{args:?}: {shown}");
        let obeyed = shown
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\r' | '\n'));
        assert!(
            !obeyed && !shown.contains('\u{202e}'),
            "{args:?}: {shown:?}"
        );
    }
    // A program gets the value as it is.
    assert_eq!(
        cli.ok(&["get", "secret/a", "-field=bad"]).await,
        "a\u{1b}[2J\u{9b}31m\u{202e}b"
    );
}

pub async fn what_is_typed_at_a_prompt_does_not_show(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let put = cli
        .on_terminal(&["put", "secret/a", "password"], "typed canary")
        .await;
    let shown = put.success().unwrap().stdout;
    assert!(shown.contains("password (not shown): "), "{shown}");
    assert!(
        !shown.contains("canary") && !shown.contains("would show"),
        "{shown}"
    );
    assert_eq!(
        cli.ok(&["get", "secret/a", "-field=password"]).await,
        "typed canary"
    );

    // Interrupted, it leaves the terminal as it was.
    let interrupted = cli
        .on_terminal(&["put", "secret/b", "password"], "\u{3}")
        .await;
    assert_eq!(interrupted.code, 1, "{interrupted:?}");
    assert!(
        interrupted.stdout.contains("interrupted"),
        "{interrupted:?}"
    );
    assert!(
        !interrupted.stdout.contains("without echo"),
        "{interrupted:?}"
    );
    assert_eq!(cli.run(&["get", "secret/b"]).await.code, 2);

    let anew = Cli::new(wallet.node.url());
    let login = anew.on_terminal(&["login"], wallet.node.token()).await;
    let shown = login.success().unwrap().stdout;
    assert!(
        !shown.contains(wallet.node.token()) && !shown.contains("would show"),
        "{shown}"
    );
    anew.ok(&["get", "secret/a"]).await;
}

pub async fn no_secret_is_in_the_list_of_processes(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let mut command = cli.command(&["put", "secret/a", "password=-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut put = command.spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    input.write_all(b"canary-in-ps").unwrap();
    // It has the beginning of the value, and waits for its end.
    sleep(Duration::from_millis(500));
    assert!(put.try_wait().unwrap().is_none(), "it does not wait");
    let listed = Command::new("ps")
        .args(["-eo", "pid,args"])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("password=-"),
        "the command is not in the list: {listed}"
    );
    assert!(!listed.contains("canary-in-ps"), "{listed}");
    let own = listed
        .lines()
        .find(|line| line.contains("password=-"))
        .unwrap();
    assert!(!own.contains(wallet.node.token()), "{own}");
    drop(input);
    assert!(put.wait().unwrap().success());
    let mut told = String::new();
    put.stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(!told.contains("canary-in-ps"), "{told}");
    assert_eq!(
        cli.ok(&["get", "secret/a", "-field=password"]).await,
        "canary-in-ps"
    );
}

pub async fn a_command_that_waits_can_be_interrupted(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    for name in ["INT", "TERM"] {
        let mut command = cli.command(&["put", "secret/a", "k=-"]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut put = command.spawn().unwrap();
        let input = put.stdin.take().unwrap();
        sleep(Duration::from_millis(500));
        assert!(put.try_wait().unwrap().is_none(), "it does not wait");
        let script = format!("kill -s {name} {}", put.id());
        let sent = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while put.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                put.kill().unwrap();
            }
            sleep(Duration::from_millis(20));
        }
        assert_eq!(put.wait().unwrap().code(), Some(1), "{name}");
        drop(input);
    }
    assert_eq!(cli.run(&["get", "secret/a"]).await.code, 2);
}
