//! `bao agent`: it logs in with a token from a file, renews it, renders templates, runs programs, and stands between as
//! a proxy.

use std::{
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use billfold_tests::{
    bao::Bao,
    billfold::{Client, signal},
    tools,
};
use serde_json::json;
use tokio::time::sleep;

use crate::server::{PATIENCE, Server};

const POLICY: &str = r#"
path "secret/data/app" { capabilities = ["read"] }
path "secret/metadata/*" { capabilities = ["list"] }
path "auth/token/create" { capabilities = ["update"] }
"#;

/// A template of the secret at `secret/app`.
const CONTENTS: &str = r#"{{ with secret \"secret/data/app\" }}{{ .Data.data.password }}{{ end }}"#;

/// A running `bao agent`. Dropping it ends it, and what it runs.
struct Agent {
    child: Child,
    bao: Bao,
    /// Its token, which it reads from a file.
    token: String,
}

impl Agent {
    /// With a secret, a token that may read it, and this in its configuration besides the login.
    async fn start(server: &Server, configuration: &str) -> Self {
        let put = ["kv", "put", "-mount=secret", "app", "password=first"];
        server.bao().ok(&put).await;
        let token = server.token_with("agent", POLICY, &["-ttl=1h"]).await;
        let bao = Bao::new(server.address());
        fs::write(bao.home().join("token"), &token).unwrap();
        let login = format!(
            r#"
            vault {{ address = "{}" }}
            auto_auth {{
              method "token_file" {{ config = {{ token_file_path = "token" }} }}
              sink "file" {{ config = {{ path = "sink" }} }}
            }}
            template_config {{ static_secret_render_interval = "1s" }}
            "#,
            server.url()
        );
        fs::write(bao.home().join("agent.hcl"), login + configuration).unwrap();
        let log = fs::File::create(bao.home().join("log")).unwrap();
        let mut command = bao.command(&["agent", "-config=agent.hcl"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        Self { child, bao, token }
    }

    /// Waits for a file in its folder that it, or what it runs, writes.
    async fn wait_for(&mut self, file: &str, text: &str) {
        let path = self.bao.home().join(file);
        self.wait(&format!("{file} with {text}"), async || {
            fs::read_to_string(&path).is_ok_and(|found| found == text)
        })
        .await;
    }

    async fn wait(&mut self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.bao.home().join("log")).unwrap();
            assert!(ended.is_none(), "no {what}; it ended: {ended:?}\n{}", log());
            assert!(Instant::now() < deadline, "no {what}\n{}", log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it has ended, and returns its exit code.
    async fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only when it is asked to does it end what it runs.
        signal(self.child.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn change(server: &Server, value: &str) {
    let pair = format!("password={value}");
    let put = ["kv", "put", "-mount=secret", "app", &pair];
    server.bao().ok(&put).await;
}

pub async fn renders_a_template_and_follows_it(server: &Server) {
    let template = format!(r#"template {{ contents = "{CONTENTS}" destination = "rendered" }}"#);
    let mut agent = Agent::start(server, &template).await;
    agent.wait_for("rendered", "first").await;
    let token = agent.token.clone();
    agent.wait_for("sink", &token).await;
    let bao = server.bao();
    agent
        .wait("renewal", async || {
            let looked = bao.json(&["token", "lookup", &token]).await;
            looked["data"]["last_renewal_time"].is_u64()
        })
        .await;

    for value in ["second", "third"] {
        change(server, value).await;
        agent.wait_for("rendered", value).await;
    }
    // What is deleted is not rendered, and what was rendered stays.
    bao.ok(&["kv", "delete", "-mount=secret", "app"]).await;
    let log = agent.bao.home().join("log");
    agent
        .wait("complaint", async || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains("no secret exists"))
        })
        .await;
    assert_eq!(rendered(agent.bao.home()), "third");
    bao.ok(&["kv", "undelete", "-versions=3", "-mount=secret", "app"])
        .await;
    change(server, "fourth").await;
    agent.wait_for("rendered", "fourth").await;
}

fn rendered(home: &Path) -> String {
    fs::read_to_string(home.join("rendered")).unwrap()
}

pub async fn runs_a_program_and_starts_it_anew(server: &Server) {
    // It ends by itself, too, when its folder is gone.
    let program = r#"printf %s \"$PASSWORD\" >seen; [ \"$PASSWORD\" != last ] || exit 7; while [ -e seen ]; do sleep 0.1; done"#;
    let configuration = format!(
        r#"
        env_template "PASSWORD" {{ contents = "{CONTENTS}" error_on_missing_key = true }}
        exec {{
          command = ["sh", "-c", "{program}"]
          restart_on_secret_changes = "always"
          restart_stop_signal = "SIGTERM"
        }}
        "#
    );
    let mut agent = Agent::start(server, &configuration).await;
    agent.wait_for("seen", "first").await;
    change(server, "second").await;
    agent.wait_for("seen", "second").await;
    change(server, "last").await;
    assert_eq!(agent.code().await, Some(7));
}

pub async fn stands_between_as_a_proxy(server: &Server) {
    let port = tools::free_port();
    let configuration = format!(
        r#"
        cache {{}}
        api_proxy {{ use_auto_auth_token = true }}
        listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}
        "#
    );
    let mut agent = Agent::start(server, &configuration).await;
    let token = agent.token.clone();
    agent.wait_for("sink", &token).await;
    let address = ([127, 0, 0, 1], port).into();
    let client = Client::new(address);
    let own = "/v1/auth/token/lookup-self";
    agent
        .wait("answer", async || {
            let reply = client.call("GET", own, None, ()).await;
            reply.is_ok_and(|reply| reply.status == 200)
        })
        .await;

    // Who comes without a token has the agent's, and no more than it may do.
    let bao = Bao::new(address);
    let got = bao.json(&["kv", "get", "-mount=secret", "app"]).await;
    assert_eq!(got["data"]["data"]["password"], "first");
    assert_eq!(
        bao.json(&["kv", "list", "-mount=secret"]).await,
        json!(["app"])
    );
    for args in [
        &["kv", "put", "-mount=secret", "app", "a=b"][..],
        &["kv", "get", "-mount=secret", "other"],
    ] {
        let refused = bao.run(args).await;
        assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
        assert!(refused.stderr.contains("Code: 403"), "{refused:?}");
    }
    bao.ok(&["status"]).await;
    // A secret is never kept, so a change is seen at once.
    change(server, "second").await;
    let got = bao.json(&["kv", "get", "-mount=secret", "app"]).await;
    assert_eq!(got["data"]["data"]["password"], "second");

    // A token is: who asks for the same again gets the one that was made.
    let create = async || {
        let body = json!({ "policies": ["agent"], "ttl": "10m" });
        let call = client.call("POST", "/v1/auth/token/create", None, body);
        let reply = call.await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["auth"]["client_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let made = create().await;
    assert_ne!(made, token);
    assert_eq!(create().await, made);
    server.bao().ok(&["token", "revoke", &made]).await;
    // Who has a token of their own comes as themselves.
    let root = Bao::new(address).token(server.token());
    root.ok(&["kv", "put", "-mount=secret", "app", "password=third"])
        .await;
}
