//! Ansible's collection `community.hashi_vault`, lookups and modules: the playbook is `fixtures/ansible.yml`.

use billfold_tests::{billfold::ended_within, tools};
use tempfile::TempDir;

use crate::server::{PATIENCE, Server, program};

pub async fn looks_up_and_writes(server: &Server) {
    let home = TempDir::with_prefix("ansible-home-").unwrap();
    let playbook = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ansible.yml");
    let mut command = program(tools::ansible_playbook());
    command
        .args(["-i", "localhost,", playbook])
        .env("ANSIBLE_HASHI_VAULT_ADDR", server.url())
        .env("ANSIBLE_HASHI_VAULT_TOKEN", server.token())
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home.path());
    let told = ended_within(PATIENCE, command)
        .await
        .unwrap()
        .success()
        .unwrap();
    // A playbook that ran no task would succeed as well.
    let recap = told
        .stdout
        .lines()
        .rfind(|line| line.starts_with("localhost"));
    let recap = recap.unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        recap.contains("ok=16 ") && recap.contains("failed=0 "),
        "{recap}"
    );
}
