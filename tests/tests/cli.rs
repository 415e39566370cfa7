//! The client commands of `billfold`: against its own server on both backends, against OpenBao, on a terminal, and
//! against servers that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/erasure.rs"]
mod erasure;
#[path = "cli/network.rs"]
mod network;
#[path = "cli/openbao.rs"]
mod openbao;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/terminal.rs"]
mod terminal;

use billfold_tests::on_both_backends;

pub use audit::*;
pub use erasure::*;
pub use secrets::*;
pub use terminal::*;

on_both_backends! {
    a_secret_lives_and_dies,
    values_come_from_files_and_pipes,
    several_secrets_change_at_once,
    what_is_erased_is_told_by_its_receipt,
    who_read_what_is_told_with_its_answer,
    what_is_not_there_is_told_and_the_code_says_whose_fault_it_is,
    a_token_is_checked_and_kept_for_its_owner,
    what_the_server_refuses_is_told_in_its_words,
    values_stay_off_a_terminal,
    what_is_typed_at_a_prompt_does_not_show,
    no_secret_is_in_the_list_of_processes,
    a_command_that_waits_can_be_interrupted,
}
