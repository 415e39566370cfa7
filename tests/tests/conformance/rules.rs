//! Appending and asking.

use std::{sync::Arc, time::Duration};

use billfold_core::id::Seq;
use billfold_streams::{
    EventLog,
    log::AppendError,
    settle::{SettleError, append_settled},
};
use bytes::Bytes;

use crate::fixture::{
    ALL, DECIDED, Fixture, append, everything, observed, process, unique, within,
};

pub async fn sequences_grow_by_one_over_all_subjects<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let mine = observed(process());
    let (mut decided, mut seen) = (Seq::ZERO, Seq::ZERO);
    for turn in 0..40_u64 {
        let (subject, last) = if turn % 3 == 0 {
            (mine, &mut seen)
        } else {
            (DECIDED, &mut decided)
        };
        let seq = log.append(&subject, *last, unique(100)).await.unwrap();
        assert_eq!(seq, Seq(turn + 1));
        *last = seq;
    }
    let messages = everything(&log).await;
    assert_eq!(messages.len(), 40);
    for message in messages {
        assert_eq!(
            message.subject == mine,
            (message.seq.0 - 1).is_multiple_of(3)
        );
    }
}

pub async fn a_stale_writer_gets_a_conflict<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let first = log.append(&DECIDED, Seq::ZERO, unique(10)).await.unwrap();
    let second = log.append(&DECIDED, first, unique(10)).await.unwrap();
    for stale in [Seq::ZERO, first, Seq(second.0 + 1), Seq(99)] {
        let refused = log.append(&DECIDED, stale, unique(10)).await;
        assert!(
            matches!(refused, Err(AppendError::Conflict)),
            "{stale}: {refused:?}"
        );
    }
    // Another subject has an expectation of its own.
    let mine = observed(process());
    assert!(matches!(
        log.append(&mine, second, unique(10)).await,
        Err(AppendError::Conflict)
    ));
    log.append(&mine, Seq::ZERO, unique(10)).await.unwrap();
    assert_eq!(everything(&log).await.len(), 3);
}

pub async fn racing_writers_never_both_win<F: Fixture>() {
    let fixture = F::new().await;
    let mut writers = Vec::new();
    for _ in 0..4 {
        writers.push(fixture.another().await.0);
    }
    let mut last = Seq::ZERO;
    for round in 0..50 {
        let attempts = writers.iter().map(|log| {
            let log = log.clone();
            tokio::spawn(async move {
                let bytes = unique(64);
                let won = append_settled(&*log, &DECIDED, last, bytes.clone(), |_| {}).await;
                (won, bytes)
            })
        });
        let mut winner = None;
        for attempt in within(futures::future::join_all(attempts)).await {
            match attempt.unwrap() {
                (Ok(seq), bytes) => assert!(winner.replace((seq, bytes)).is_none(), "{round}"),
                (Err(SettleError::Conflict), _) => {}
                (other, _) => panic!("{round}: {other:?}"),
            }
        }
        let (seq, bytes) = winner.expect("one wins");
        assert_eq!(seq, last.next());
        assert_eq!(
            fixture.log().last(&DECIDED).await.unwrap().unwrap().bytes,
            bytes
        );
        last = seq;
    }
    assert_eq!(fixture.log().head(ALL).await.unwrap(), Seq(50));
}

pub async fn identical_bytes_are_stored_once<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let before = log.append(&DECIDED, Seq::ZERO, unique(10)).await.unwrap();
    let commit = unique(500);
    let first = log.append(&DECIDED, before, commit.clone()).await.unwrap();
    let again = log.append(&DECIDED, before, commit.clone()).await;
    assert!(matches!(again, Err(AppendError::Conflict)), "{again:?}");
    // Also when others have written since.
    append(&log, &DECIDED, first, unique(10)).await;
    let settled = append_settled(&*log, &DECIDED, before, commit, |_| {}).await;
    assert_eq!(settled, Ok(first));
    assert_eq!(everything(&log).await.len(), 3);
}

pub async fn a_message_over_the_limit_is_told_so<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let limit = log.max_message();
    assert!(limit > 1_000_000, "{limit}");
    let refused = log.append(&DECIDED, Seq::ZERO, unique(limit + 1)).await;
    match refused {
        Err(AppendError::TooLarge { size, limit: told }) => {
            assert_eq!((size, told), (limit + 1, limit));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(log.head(ALL).await.unwrap(), Seq::ZERO);
}

pub async fn the_largest_message_comes_back<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let bytes = unique(log.max_message());
    let seq = append(&log, &DECIDED, Seq::ZERO, bytes.clone()).await;
    append(&log, &DECIDED, seq, Bytes::new()).await;
    let messages = everything(&log).await;
    assert_eq!(messages[0].bytes, bytes);
    assert_eq!(messages[1].bytes, Bytes::new());
    let found = log.next_after(&DECIDED, Seq::ZERO).await.unwrap().unwrap();
    assert_eq!(found.bytes, bytes);
}

pub async fn last_and_next_after_agree_with_the_log<F: Fixture>() {
    let fixture = F::new().await;
    let log: Arc<dyn EventLog> = fixture.log();
    let subjects = [DECIDED, observed(process()), observed(process())];
    assert_eq!(log.last(&DECIDED).await.unwrap(), None);
    assert_eq!(log.next_after(&DECIDED, Seq::ZERO).await.unwrap(), None);
    let mut lasts = [Seq::ZERO; 3];
    for turn in [0, 1, 0, 0, 2, 1, 0, 2, 2, 1] {
        lasts[turn] = append(&log, &subjects[turn], lasts[turn], unique(30)).await;
    }
    let messages = everything(&log).await;
    for subject in &subjects {
        let of_subject: Vec<_> = messages.iter().filter(|m| m.subject == *subject).collect();
        assert_eq!(
            log.last(subject).await.unwrap().as_ref(),
            of_subject.last().copied()
        );
        for after in 0..=messages.len() as u64 {
            let next = of_subject.iter().find(|m| m.seq > Seq(after)).copied();
            assert_eq!(
                log.next_after(subject, Seq(after)).await.unwrap().as_ref(),
                next
            );
        }
    }
    assert_eq!(log.last(&observed(process())).await.unwrap(), None);
}

pub async fn the_clock_runs<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let first = log.now().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = log.now().await.unwrap();
    assert!(second >= first.plus(50), "{first} {second}");
    let here = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(
        second.0.abs_diff(here.as_millis() as u64) < 60_000,
        "{second}"
    );
}
