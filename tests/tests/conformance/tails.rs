//! Reading, and going on.

use std::time::Duration;

use billfold_core::{id::Seq, subject::Subject};
use billfold_streams::log::{Error, Filter};
use futures::StreamExt;

use crate::fixture::{
    ALL, DECIDED, Fixture, GENERATION, append, observed, process, take, unique, within,
};

pub async fn a_read_begins_anywhere<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let mut last = Seq::ZERO;
    for _ in 0..25 {
        last = append(&log, &DECIDED, last, unique(40)).await;
    }
    for after in [0, 1, 12, 24, 25] {
        let mut tail = log.read(ALL, Seq(after)).await.unwrap();
        let seqs: Vec<_> = take(&mut tail, 25 - after as usize)
            .await
            .iter()
            .map(|m| m.seq.0)
            .collect();
        assert_eq!(seqs, (after + 1..=25).collect::<Vec<_>>());
    }
    // One that has come to the end waits for more.
    let mut tail = log.read(ALL, last).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), tail.next())
            .await
            .is_err()
    );
    append(&log, &DECIDED, last, unique(40)).await;
    assert_eq!(take(&mut tail, 1).await[0].seq, Seq(26));
}

pub async fn a_filtered_tail_sees_its_subjects_alone<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    let (mine, theirs) = (process(), process());
    let mut lasts = [Seq::ZERO; 4];
    let checkpoint = Subject::Checkpoint(GENERATION);
    let subjects = [DECIDED, observed(mine), observed(theirs), checkpoint];
    let mut write = async |turns: std::ops::Range<usize>| {
        for turn in turns {
            let which = turn * 7 % 4;
            lasts[which] = append(&log, &subjects[which], lasts[which], unique(40)).await;
        }
    };
    write(0..30).await;
    let mut serving = log
        .read(Filter::Serving(GENERATION, mine), Seq::ZERO)
        .await
        .unwrap();
    let mut decided = log.read(Filter::Decided(GENERATION), Seq(5)).await.unwrap();
    write(30..60).await;
    let mut all = log.read(ALL, Seq::ZERO).await.unwrap();
    let all = take(&mut all, 60).await;
    let expected: Vec<_> = all
        .iter()
        .filter(|m| m.subject == DECIDED || m.subject == observed(mine))
        .cloned()
        .collect();
    assert_eq!(take(&mut serving, expected.len()).await, expected);
    let expected: Vec<_> = all
        .iter()
        .filter(|m| m.subject == DECIDED && m.seq > Seq(5))
        .cloned()
        .collect();
    assert_eq!(take(&mut decided, expected.len()).await, expected);
    let attested = Filter::Checkpoints(GENERATION);
    let mut checkpoints = log.read(attested, Seq::ZERO).await.unwrap();
    let expected: Vec<_> = all
        .iter()
        .filter(|m| m.subject == checkpoint)
        .cloned()
        .collect();
    assert_eq!(expected.len(), 15);
    assert_eq!(take(&mut checkpoints, expected.len()).await, expected);
    let filters = [
        Filter::Serving(GENERATION, mine),
        Filter::Decided(GENERATION),
        Filter::Checkpoints(GENERATION),
        ALL,
    ];
    for filter in filters {
        let last = all
            .iter()
            .rfind(|m| filter.admits(&m.subject))
            .map(|m| m.seq);
        assert_eq!(Some(log.head(filter).await.unwrap()), last);
    }
    // A filter that nothing passes is not an end, nor an error.
    let nobody = Filter::Serving(GENERATION, process());
    let mut rest = log
        .read(nobody, log.head(Filter::Decided(GENERATION)).await.unwrap())
        .await
        .unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), rest.next())
            .await
            .is_err()
    );
}

pub async fn a_tail_goes_on_over_a_restart<F: Fixture>() {
    let mut fixture = F::new().await;
    let mut last = Seq::ZERO;
    for _ in 0..10 {
        last = append(&fixture.log(), &DECIDED, last, unique(40)).await;
    }
    // One that has read some, one that waits at the end, one that never got anything: each must
    // go on from where it stands.
    let log = fixture.log();
    let mine = process();
    let mut tails = vec![
        (log.read(ALL, Seq(2)).await.unwrap(), Seq(2)),
        (log.read(ALL, Seq(10)).await.unwrap(), Seq(10)),
        (
            log.read(Filter::Serving(GENERATION, mine), Seq(10))
                .await
                .unwrap(),
            Seq(10),
        ),
    ];
    let (tail, at) = &mut tails[0];
    *at = take(tail, 3).await[2].seq;
    drop(log);
    for round in 0..2 {
        if !F::OUTLIVES {
            tails.clear();
        }
        fixture.restart(Duration::from_millis(300 * round)).await;
        let log = fixture.log();
        if !F::OUTLIVES {
            for after in [last, Seq(5)] {
                tails.push((log.read(ALL, after).await.unwrap(), after));
            }
        }
        for _ in 0..5 {
            last = append(&log, &DECIDED, last, unique(40)).await;
        }
        for (tail, at) in &mut tails {
            let expected: Vec<_> = (at.0 + 1..=last.0).collect();
            let seqs: Vec<_> = take(tail, expected.len())
                .await
                .iter()
                .map(|m| m.seq.0)
                .collect();
            assert_eq!(seqs, expected);
            *at = last;
        }
    }
}

pub async fn a_position_behind_the_end_is_damage<F: Fixture>() {
    let fixture = F::new().await;
    let log = fixture.log();
    append(&log, &DECIDED, Seq::ZERO, unique(40)).await;
    let ahead = within(log.read(ALL, Seq(2))).await;
    assert!(
        matches!(ahead.err(), Some(Error::Damaged { .. })),
        "the log was rolled back"
    );
}
