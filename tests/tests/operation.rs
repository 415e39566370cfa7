//! What an operator meets: starts that are refused, starts after damage, TLS, the end of a process; and what the two
//! doors promise to whoever writes through them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "operation/doors.rs"]
mod doors;
#[path = "operation/evidence.rs"]
mod evidence;
#[path = "operation/flood.rs"]
mod flood;
#[path = "operation/index.rs"]
mod index;
#[path = "operation/process.rs"]
mod process;
#[path = "operation/repeats.rs"]
mod repeats;
#[path = "operation/start.rs"]
mod start;
#[path = "operation/stop.rs"]
mod stop;
#[path = "operation/tls.rs"]
mod tls;

use billfold_tests::on_both_backends;

pub use doors::*;
pub use evidence::*;
pub use index::a_place_that_the_log_has_not_is_told;
pub use repeats::*;
pub use start::*;
pub use stop::*;

on_both_backends! {
    a_second_init_leaves_the_wallet_as_it_was,
    the_token_that_init_prints_works,
    only_the_wallet_s_own_key_opens_it,
    a_second_node_on_one_data_folder_is_refused,
    health_tells_whether_there_is_a_wallet,
    a_view_ahead_of_the_log_stops_the_node_and_is_kept,
    a_view_of_another_history_stops_the_node_and_is_kept,
    a_damaged_view_is_built_anew,
    an_open_request_ends_before_the_process_does,
    inv02_what_was_acknowledged_before_the_end_is_there,
    every_answer_names_its_sequence,
    a_place_that_the_log_has_not_is_told,
    a_command_id_is_done_once,
    a_command_that_is_sent_again_is_answered_as_before,
    both_doors_show_the_same_secret,
    a_transaction_is_done_whole_or_not_at_all,
}
