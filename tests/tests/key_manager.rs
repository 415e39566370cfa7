//! The wallet is moved from any key manager to any other, and to another key of the same one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "key_manager/crashes.rs"]
mod crashes;
#[path = "key_manager/files.rs"]
mod files;
#[path = "key_manager/nodes.rs"]
mod nodes;
#[path = "key_manager/open.rs"]
mod open;
#[path = "key_manager/refused.rs"]
mod refused;
#[path = "key_manager/shares.rs"]
mod shares;
#[path = "key_manager/transit.rs"]
mod transit;

use std::time::Duration;

use billfold_tests::on_both_backends;

use self::{
    crashes::the_change_goes_on_after_a_crash_at_each_step,
    files::inv07_another_key_file_severs_what_the_old_one_opened,
    refused::{what_cannot_be_used_changes_nothing, who_may_not_and_what_is_malformed_is_refused},
    shares::inv07_people_give_the_wallet_to_a_key_file_and_take_it_back,
};

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

const PATH: &str = "/api/internal/wallet/key-manager";

on_both_backends! {
    inv07_people_give_the_wallet_to_a_key_file_and_take_it_back,
    inv07_another_key_file_severs_what_the_old_one_opened,
    the_change_goes_on_after_a_crash_at_each_step,
    what_cannot_be_used_changes_nothing,
    who_may_not_and_what_is_malformed_is_refused,
}
