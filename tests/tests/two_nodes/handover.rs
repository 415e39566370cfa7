//! Commands that a slow node hands over, through a courier that may lose parcels and answers.

use std::sync::atomic::Ordering;

use billfold_core::{
    command::{Action, NewErasure, NewHold, Target},
    decide::Refusal,
    id::{ErasureId, HoldId, PageId, RecordId},
    names::{ErasureNames, HoldNames},
};
use billfold_streams::committer::Error;
use billfold_tests::tools;
use tokio::task::JoinSet;

use super::{
    node::{Node, command_id, put},
    race::{Loses, Race, in_time},
};

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_done_once_when_the_answer_to_a_hand_over_is_lost() {
    let mut race = Race::start(Loses::Answers).await;
    let (tasks, each) = if tools::full() { (16, 60) } else { (8, 15) };
    let mut writing = JoinSet::new();
    for task in 0..tasks {
        let (slow, mount) = (race.slow.clone(), race.mount);
        writing.spawn(async move {
            let mut versions = Vec::new();
            for _ in 0..each {
                // Some carry an id of their client, and all get one on their way.
                let id = (task % 2 == 0).then(command_id);
                let changes = vec![slow.change(mount, "shared", put("shared", None, b"x"))];
                let done = slow.order(id, slow.root(), Action::Change(changes)).await;
                versions.push(done.unwrap().done.versions[0]);
            }
            versions
        });
    }
    let mut versions: Vec<u32> = in_time(writing.join_all()).await.concat();
    versions.sort_unstable();
    let all = u32::try_from(tasks * each).unwrap();
    assert_eq!(
        versions,
        (1..=all).collect::<Vec<_>>(),
        "each was done once, and told which it was"
    );
    let (handed_over, lost) = (race.handed_over(), &race.courier.lost);
    println!("{handed_over} hand-overs, {lost:?} answers lost");
    assert!(lost.load(Ordering::SeqCst) > 0, "an answer was lost");
    let busy = race.end_load().await;
    println!("the fast node made {busy} writes meanwhile");
    assert!(busy > 0);
    let record = |node: &Node| {
        let id = node
            .custody
            .keys()
            .id
            .record(node.mount("secret/"), "shared");
        node.keychain.view().stored_record(&id).unwrap().unwrap()
    };
    assert_eq!(record(&race.fast).record.current, all);
    let head = race.fast.keychain.view().head();
    race.slow.keychain_at(head.seq).await;
    assert_eq!(record(&race.slow).record.current, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_has_one_winner_when_the_answer_to_a_hand_over_is_lost() {
    let mut race = Race::start(Loses::Answers).await;
    let id = race.fast.custody.keys().id.record(race.mount, "race");
    let (mut slow_won, mut unknown) = (0, 0);
    for round in 0..if tools::full() { 400 } else { 60 } {
        let by_fast = race.fast.put(race.mount, "race", Some(round), b"fast");
        let by_slow = race.slow.put(race.mount, "race", Some(round), b"slow");
        let (by_fast, by_slow) = in_time(async { tokio::join!(by_fast, by_slow) }).await;
        let won = |outcome: &Result<_, Error>| outcome.is_ok();
        assert!(!(won(&by_fast) && won(&by_slow)), "both won round {round}");
        for outcome in [&by_fast, &by_slow] {
            match outcome {
                Ok(committed) => assert_eq!(committed.done.versions, [round + 1]),
                Err(Error::Refused(Refusal::CasMismatch)) => {}
                // Only who handed over and lost the answer may not know.
                Err(Error::Unknown) if !won(outcome) => unknown += 1,
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        assert!(
            !matches!(by_fast, Err(Error::Unknown)),
            "the fast node hands nothing over"
        );
        slow_won += u32::from(won(&by_slow));
        let judged = race.fast.ask(id).await.unwrap();
        let stored = race.fast.keychain.view().stored_record(&id).unwrap();
        assert_eq!(stored.unwrap().record.current, round + 1, "{judged:?}");
    }
    println!("the slow node won {slow_won} rounds, and did not know {unknown} times");
    race.end_load().await;
}

/// Orders and holds of a slow node are decided by the fast one like anything else.
#[tokio::test(flavor = "multi_thread")]
async fn inv07_orders_and_holds_are_handed_over() {
    let mut race = Race::start(Loses::Nothing).await;
    let (slow, mount) = (race.slow.clone(), race.mount);
    let ids = &slow.custody.keys().id;
    let target = || Target {
        record: ids.record(mount, "team/a"),
        folders: ids.folders(mount, "team/a"),
    };
    let order = |action| slow.order(None, slow.root(), action);
    // One at a time, so that each hand-over is of what was just ordered.
    let mut seen = [false; 3];
    let all = async {
        while seen.contains(&false) {
            race.fast.put(mount, "team/a", None, b"x").await.unwrap();
            let hold = HoldId::from_bytes(tools::random());
            let place = Action::PlaceHold(Box::new(NewHold {
                hold,
                mount,
                place: ids.folder(mount, "team/"),
                is_folder: true,
                names: HoldNames {
                    path: "team/".to_owned(),
                    reason: "a lawsuit".to_owned(),
                },
            }));
            let erase = || {
                Action::Erase(Box::new(NewErasure {
                    erasure: ErasureId::from_bytes(tools::random()),
                    mount,
                    place: ids.folder(mount, "team/"),
                    versions: None,
                    records: vec![target()],
                    names: ErasureNames {
                        reason: "they left".to_owned(),
                    },
                }))
            };
            let before = race.handed_over();
            order(place).await.unwrap();
            let placed = race.handed_over();
            let refused = order(erase()).await.unwrap_err();
            let is_held = |held: &HoldId| *held == hold;
            assert!(
                matches!(&refused, Error::Refused(Refusal::Held { hold, .. }) if is_held(hold)),
                "{refused}"
            );
            let forbidden = race.handed_over();
            order(Action::LiftHold(hold)).await.unwrap();
            let lifted = race.handed_over();
            order(erase()).await.unwrap();
            let erased = race.handed_over();
            seen[0] |= placed > before;
            seen[1] |= lifted > forbidden;
            seen[2] |= erased > lifted;
        }
    };
    in_time(all).await;
    race.end_load().await;
    let head = race.fast.keychain.view().head();
    slow.keychain_at(head.seq).await;
    for node in [&race.fast, &slow] {
        let gone = node.keychain.view().stored_record(&target().record);
        assert!(gone.unwrap().is_none());
    }
}

/// Several that are large do not go into one parcel: it would be too large to be sent.
#[tokio::test(flavor = "multi_thread")]
async fn large_orders_go_one_by_one() {
    let mut race = Race::start(Loses::Nothing).await;
    let folder = race.slow.custody.keys().id.folder(race.mount, "team/");
    let erase = |_| {
        let absent = || Target {
            record: RecordId::from_bytes(tools::random()),
            folders: vec![folder],
        };
        Action::Erase(Box::new(NewErasure {
            erasure: ErasureId::from_bytes(tools::random()),
            mount: race.mount,
            place: folder,
            versions: None,
            records: std::iter::repeat_with(absent).take(5_000).collect(),
            names: ErasureNames {
                reason: "they left".to_owned(),
            },
        }))
    };
    let erasures = (0..12).map(erase).collect();
    for outcome in in_time(race.order_at_once(erasures)).await {
        let refused = outcome.unwrap_err();
        assert!(
            matches!(refused, Error::Refused(Refusal::NothingThere)),
            "{refused}"
        );
    }
    assert_eq!(race.courier.unsent.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_left_the_node_is_known_to_be_refused() {
    let mut race = Race::start(Loses::Parcels).await;
    let write = |_| {
        let change = race
            .slow
            .change(race.mount, "cas", put("cas", Some(999), b"x"));
        Action::Change(vec![change])
    };
    let writes = (0..8).map(write).collect();
    for outcome in in_time(race.order_at_once(writes)).await {
        let refused = outcome.unwrap_err();
        assert!(
            matches!(refused, Error::Refused(Refusal::CasMismatch)),
            "{refused}"
        );
    }
    assert_eq!(race.handed_over(), 0);
}

/// What no other node can do, and what is large, holds nothing else up; and a refusal gets through
/// as well as a success does.
#[tokio::test(flavor = "multi_thread")]
async fn everything_gets_through_from_a_slow_node() {
    let mut race = Race::start(Loses::Nothing).await;
    let (slow, mount) = (race.slow.clone(), race.mount);
    let closing = slow.clone();
    let closing = tokio::spawn(async move {
        let page = PageId::from_bytes(tools::random());
        closing.sweeper().close(vec![page]).await
    });
    let large = vec![7; 700 << 10];
    let small = async {
        for round in 0..20 {
            let done = slow.put(mount, "small", Some(round), b"x").await.unwrap();
            assert_eq!(done.done.versions, [round + 1]);
            let refused = slow.put(mount, "small", Some(999), b"x").await.unwrap_err();
            assert!(matches!(refused, Error::Refused(Refusal::CasMismatch)));
        }
    };
    let large = slow.put(mount, "large", None, &large);
    let ((), large) = in_time(async { tokio::join!(small, large) }).await;
    assert_eq!(large.unwrap().done.versions, [1]);
    println!("{} hand-overs", race.handed_over());
    assert!(race.handed_over() > 0);
    race.end_load().await;
    // Without a rival, this gets through at last; its caller may have given up before.
    let closed = in_time(closing).await.unwrap();
    assert!(closed.is_ok() || closed.unwrap_err().to_string().contains("not known"));
}
