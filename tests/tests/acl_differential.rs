//! Invariant 10: policies mean what OpenBao's mean. Random policies are given to a real OpenBao and
//! to Billfold, and both are asked what they grant and are sent the same requests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "acl_differential/ask.rs"]
mod ask;
#[path = "acl_differential/draft.rs"]
mod draft;
#[path = "acl_differential/intended.rs"]
mod intended;
#[path = "acl_differential/pair.rs"]
mod pair;

use billfold_tests::{tools, tools::Rng};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::runtime::Builder;

use self::pair::Pair;

/// How many cases the short form has.
const CASES: u32 = 150;

#[test]
fn inv10_policies_decide_as_openbaos_do() {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .unwrap();
    let pair = runtime.block_on(Pair::start());
    let mut rng = Rng::new(tools::seed(), "policies");
    let seed: Vec<u8> = (0..4).flat_map(|_| rng.draw().to_le_bytes()).collect();
    let config = Config {
        cases: if tools::full() { CASES * 30 } else { CASES },
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    // What is smaller is played on the same two servers: each case makes what it needs.
    let played = TestRunner::new_with_rng(config, rng).run(&ask::cases(), |case| {
        let played = runtime.block_on(pair.play(&case));
        played.map_err(TestCaseError::fail)
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
    let tally = &pair.tally;
    eprintln!("{tally:?}");
    // What is all refused, or all permitted, compares nothing.
    let (permitted, refused) = (tally.permitted.get(), tally.refused.get());
    assert!(
        permitted * 5 > refused && refused * 5 > permitted,
        "{tally:?}"
    );
    assert!(tally.capabilities.get() > CASES * 10, "{tally:?}");
}
