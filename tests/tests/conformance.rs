//! One suite of rules for the log and the key store, and both backends under it.
//!
//! Every test takes a [`fixture::Fixture`]; what only one backend can suffer (a lost
//! acknowledgement, a message that lands late) is beside them. Invariant 2 above all: what was
//! acknowledged is there, whatever happened since.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, missing_docs, unreachable_pub)]

#[path = "conformance/cluster.rs"]
mod cluster;
#[path = "conformance/crash.rs"]
mod crash;
#[path = "conformance/disk.rs"]
mod disk;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/lost.rs"]
mod lost;
#[path = "conformance/rules.rs"]
mod rules;
#[path = "conformance/settings.rs"]
mod settings;
#[path = "conformance/tails.rs"]
mod tails;

/// The same tests on both backends.
macro_rules! on_both {
    ($($module:ident: $($test:ident),+;)+) => {
        mod embedded { $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                crate::$module::$test::<crate::fixture::OnRedb>().await;
            }
        )+)+ }
        mod jetstream { $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                crate::$module::$test::<crate::fixture::OnNats>().await;
            }
        )+)+ }
    };
}

on_both! {
    rules:
        sequences_grow_by_one_over_all_subjects,
        a_stale_writer_gets_a_conflict,
        racing_writers_never_both_win,
        identical_bytes_are_stored_once,
        a_message_over_the_limit_is_told_so,
        the_largest_message_comes_back,
        last_and_next_after_agree_with_the_log,
        the_clock_runs;
    tails:
        a_read_begins_anywhere,
        a_filtered_tail_sees_its_subjects_alone,
        a_tail_goes_on_over_a_restart,
        a_position_behind_the_end_is_damage;
    crash:
        inv02_acknowledged_commits_outlive_a_crash;
    disk:
        inv02_a_full_disk_loses_nothing;
    keys:
        a_slot_is_written_by_who_saw_its_last_writing,
        racing_writings_never_both_win,
        erased_writings_are_gone,
        pages_are_listed,
        slots_outlive_a_crash;
}
