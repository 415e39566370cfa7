//! node-vault, the library for Node: the script is `fixtures/node_vault.js`.

use billfold_tests::{billfold::ended_within, tools};

use crate::server::{PATIENCE, Server, program};

pub async fn works(server: &Server) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/node_vault.js");
    let mut command = program(tools::node());
    command.args([script, &server.url(), server.token()]);
    let told = ended_within(PATIENCE, command)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(told.stdout.contains("node-vault is content"), "{told:?}");
}
