//! The servers that every client is tried on.

use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use billfold_tests::{
    bao::Bao,
    openbao::OpenBao,
    wallet::{Backend, Wallet},
};

/// How long a client may take to do what it was told to do: some need seconds of a processor that others want, too.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A client that nothing configures but the test.
pub fn program(path: PathBuf) -> Command {
    let mut command = Command::new(path);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        let prefixes = ["ANSIBLE_", "BAO_", "VAULT_"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(variable);
        }
    }
    command.env("NO_PROXY", "127.0.0.1");
    command
}

/// A server with version 2 of KV at `secret/`.
#[derive(Debug)]
pub enum Server {
    Billfold(Box<Wallet>),
    OpenBao(Box<OpenBao>),
}

impl Server {
    pub async fn embedded() -> Self {
        Self::Billfold(Box::new(Wallet::dev(Backend::Embedded).await))
    }

    pub async fn jetstream() -> Self {
        Self::Billfold(Box::new(Wallet::serve(Backend::JetStream).await))
    }

    pub async fn openbao() -> Self {
        Self::OpenBao(Box::new(OpenBao::dev("root-of-openbao").await))
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Billfold(wallet) => wallet.node.address(),
            Self::OpenBao(server) => server.address(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The root token.
    pub fn token(&self) -> &str {
        match self {
            Self::Billfold(wallet) => wallet.node.token(),
            Self::OpenBao(server) => server.token(),
        }
    }

    /// `bao` with the root token.
    pub fn bao(&self) -> Bao {
        self.bao_with(self.token())
    }

    /// `bao` with another token.
    pub fn bao_with(&self, token: &str) -> Bao {
        Bao::new(self.address()).token(token)
    }

    /// A policy, and a token that has it; returns the token.
    pub async fn token_with(&self, policy: &str, text: &str, options: &[&str]) -> String {
        let bao = self.bao();
        std::fs::write(bao.home().join("policy.hcl"), text).unwrap();
        bao.ok(&["policy", "write", policy, "policy.hcl"]).await;
        let named = format!("-policy={policy}");
        let create = ["token", "create", "-field=token", &named];
        bao.ok(&[&create[..], options].concat())
            .await
            .trim()
            .to_owned()
    }

    /// Panics unless Billfold's own checks find all that it wrote in order.
    pub async fn assert_sound(&self) {
        if let Self::Billfold(wallet) = self {
            wallet.assert_sound().await;
        }
    }
}
