//! The clients that people have do the same against Billfold as against OpenBao: every test runs on both, so that what
//! it expects is what OpenBao answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "clients/server.rs"]
mod server;

/// What each client does with a server.
#[path = "clients"]
mod of {
    #[path = "agent.rs"]
    pub mod agent;
    #[path = "ansible.rs"]
    pub mod ansible;
    #[path = "bao_access.rs"]
    pub mod bao_access;
    #[path = "bao_paths.rs"]
    pub mod bao_paths;
    #[path = "node_vault.rs"]
    pub mod node_vault;
    #[path = "vaultrs.rs"]
    pub mod vaultrs;
    #[path = "wrapping.rs"]
    pub mod wrapping;
}

/// Tests of clients on Billfold with its embedded log, on Billfold with its log on JetStream, and on OpenBao.
macro_rules! on_every_server {
    ($($client:ident { $($test:ident),+ $(,)? })+) => {
        $(mod $client { $(
            mod $test {
                on_every_server!(@on embedded, $client, $test);
                on_every_server!(@on jetstream, $client, $test);
                on_every_server!(@on openbao, $client, $test);
            }
        )+ })+
    };
    (@on $server:ident, $client:ident, $test:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $server() {
            billfold_tests::wallet::within_reason(async {
                let server = crate::server::Server::$server().await;
                crate::of::$client::$test(&server).await;
                server.assert_sound().await;
            }).await;
        }
    };
}

on_every_server! {
    agent {
        renders_a_template_and_follows_it,
        runs_a_program_and_starts_it_anew,
        stands_between_as_a_proxy,
    }
    ansible { looks_up_and_writes }
    bao_access { tokens, policies, logins }
    bao_paths {
        mounts,
        any_path,
        patches_and_rollbacks,
        what_goes_wrong_has_its_exit_code,
    }
    node_vault { works }
    vaultrs { kv_version_2, kv_version_1, tokens, the_system }
    wrapping { unwraps_by_the_command_line, unwraps_with_hvac, unwraps_with_vaultrs }
}
