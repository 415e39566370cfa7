//! What only the embedded backend promises; the rules of the traits are held by
//! `tests/tests/conformance.rs`.

use std::{
    io,
    os::unix::fs::{FileExt, PermissionsExt},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use billfold_core::{
    id::{ProcessId, Seq},
    subject::{Generation, Subject},
};
use bytes::Bytes;
use futures::StreamExt;
use redb::backends::InMemoryBackend;

use super::*;
use crate::log::{AppendError, Error, Filter};

const DECIDED: Subject = Subject::Decided(Generation::FIRST);
const ALL: Filter = Filter::All(Generation::FIRST);

async fn append(log: &Arc<dyn EventLog>, count: u64) {
    for expected in 0..count {
        let seq = log
            .append(&DECIDED, Seq(expected), Bytes::from(vec![7; 3000]))
            .await
            .unwrap();
        assert_eq!(seq, Seq(expected + 1));
    }
}

#[tokio::test]
async fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(dir.path()).unwrap();
    assert!(matches!(Embedded::open(dir.path()), Err(OpenError::InUse)));
    append(&first.log(), 3).await;
    drop(first);
    let second = Embedded::open(dir.path()).unwrap();
    assert_eq!(second.log().head(ALL).await.unwrap(), Seq(3));
}

/// Somebody who has the file wrote it with redb: the checksums are right, what they are of is not.
#[tokio::test]
async fn a_message_that_is_gone_or_in_no_list_is_located() {
    const CHECKPOINTS: Filter = Filter::Checkpoints(Generation::FIRST);
    type Harm = fn(&redb::WriteTransaction);
    fn place(kind: u8, seq: u8) -> [u8; 29] {
        let mut place = [0; 29];
        (place[0], place[4], place[28]) = (kind, 1, seq);
        place
    }
    let relist: Harm = |txn| {
        let mut positions = txn.open_table(tables::POSITIONS).unwrap();
        positions.remove(&place(1, 3)).unwrap();
        positions.insert(&place(3, 3), ()).unwrap();
    };
    let cases: [(Harm, Filter, u64, &str); 4] = [
        (
            |txn| {
                let mut messages = txn.open_table(tables::MESSAGES).unwrap();
                messages.remove(2).unwrap();
            },
            ALL,
            2,
            "it is missing",
        ),
        (
            |txn| {
                let mut positions = txn.open_table(tables::POSITIONS).unwrap();
                positions.remove(&place(1, 2)).unwrap();
            },
            ALL,
            2,
            "it is not listed on wallet.events.1.decided",
        ),
        (
            relist,
            ALL,
            3,
            "it is not listed on wallet.events.1.decided",
        ),
        (relist, CHECKPOINTS, 3, "it is listed on another subject"),
    ];
    for (harm, filter, seq, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        append(&Embedded::open(dir.path()).unwrap().log(), 3).await;
        {
            let file = redb::Database::open(dir.path().join(LOG_FILE)).unwrap();
            let txn = file.begin_write().unwrap();
            harm(&txn);
            txn.commit().unwrap();
        }
        let log = Embedded::open(dir.path()).unwrap().log();
        let error = match log.read(filter, Seq::ZERO).await {
            Err(error) => error,
            Ok(tail) => {
                let mut errors = tail.filter_map(async |message| message.err()).boxed();
                errors.next().await.unwrap()
            }
        };
        let Error::Damaged { at, what } = error else {
            panic!("{told}: {error:?}")
        };
        assert_eq!((at, what.as_str()), (Seq(seq), told));
    }
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let wallet = dir.path().join("a").join("wallet");
    let _open = Embedded::open(&wallet).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&wallet), 0o700);
    assert_eq!(mode(&wallet.join(LOG_FILE)), 0o600);
    assert_eq!(mode(&wallet.join(KEYS_FILE)), 0o600);
}

#[tokio::test]
async fn a_reader_follows_the_owner_and_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Embedded::open_reader(dir.path()),
        Err(OpenError::Missing(_))
    ));
    let owner = Embedded::open(dir.path()).unwrap();
    append(&owner.log(), 2).await;
    let reader = Embedded::open_reader(dir.path()).unwrap();
    let mut tail = reader.log().read(ALL, Seq(1)).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().seq, Seq(2));
    let refused = reader.log().append(&DECIDED, Seq(2), Bytes::new()).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))));
    let log = owner.log();
    log.append(&DECIDED, Seq(2), Bytes::from_static(b"new"))
        .await
        .unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().bytes, "new");
    // The owner restarts: the reader goes on.
    drop((owner, log));
    let owner = Embedded::open(dir.path()).unwrap();
    owner
        .log()
        .append(&DECIDED, Seq(3), Bytes::from_static(b"newer"))
        .await
        .unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().bytes, "newer");
    assert_eq!(
        reader.log().last(&DECIDED).await.unwrap().unwrap().seq,
        Seq(4)
    );
}

#[tokio::test]
async fn a_damaged_file_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    append(&Embedded::open(dir.path()).unwrap().log(), 30).await;
    let path = dir.path().join(LOG_FILE);
    let whole = fs::read(&path).unwrap();
    let message = whole
        .windows(100)
        .position(|bytes| bytes == [7; 100])
        .unwrap();
    let cases = [
        ("a flipped bit in a message", message + 50, vec![!7]),
        ("another magic number", 0, vec![0; 4]),
        ("zeros over the head", 0, vec![0; 4096]),
        (
            "zeros in the middle",
            whole.len() / 2,
            vec![0; whole.len() / 4],
        ),
        (
            "noise over the first pages",
            4096,
            (0..whole.len() / 2).map(|i| (i * 7) as u8).collect(),
        ),
    ];
    for (what, at, bytes) in cases {
        fs::write(&path, &whole).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&bytes, at as u64).unwrap();
        match Embedded::open(dir.path()) {
            Err(OpenError::Damaged(_)) => {}
            // The damage hit free pages alone.
            Ok(open) if open.log().head(ALL).await.unwrap() == Seq(30) && at > 4096 => {
                assert_ne!(what, "a flipped bit in a message");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(
        matches!(Embedded::open(dir.path()), Err(OpenError::Damaged(_))),
        "cut in half"
    );
    fs::write(&path, &whole).unwrap();
    assert_eq!(
        Embedded::open(dir.path())
            .unwrap()
            .log()
            .head(ALL)
            .await
            .unwrap(),
        Seq(30)
    );
}

/// Storage in memory that lives on when it is opened anew, and whose syncs fail on demand.
#[derive(Debug, Clone, Default)]
struct Shaky {
    bytes: Arc<InMemoryBackend>,
    failing: Arc<AtomicBool>,
    syncs: Arc<Mutex<u64>>,
}

impl StorageBackend for Shaky {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        *self.syncs.lock().unwrap() += 1;
        if self.failing.load(Ordering::SeqCst) {
            return Err(io::Error::other("no sync"));
        }
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.write(offset, data)
    }
}

fn opener(backend: impl StorageBackend + Clone) -> Opener {
    Box::new(move || Ok(Box::new(backend.clone())))
}

#[tokio::test]
async fn a_failed_sync_stops_the_log_for_good() {
    let disk = Shaky::default();
    let open = Embedded::with_backends(opener(disk.clone()), opener(Shaky::default())).unwrap();
    let log = open.log();
    append(&log, 2).await;
    disk.failing.store(true, Ordering::SeqCst);
    let torn = log
        .append(&DECIDED, Seq(2), Bytes::from_static(b"torn"))
        .await;
    assert!(matches!(torn, Err(AppendError::Unknown(_))), "{torn:?}");
    // Memory may hold what the disk does not, so that nothing may be answered from it.
    disk.failing.store(false, Ordering::SeqCst);
    assert!(matches!(
        log.next_after(&DECIDED, Seq(2)).await,
        Err(Error::Unavailable(_))
    ));
    let later = log
        .append(&DECIDED, Seq(2), Bytes::from_static(b"torn"))
        .await;
    assert!(matches!(later, Err(AppendError::Refused(_))), "{later:?}");
}

#[tokio::test]
async fn appends_that_wait_share_a_sync() {
    let disk = Shaky::default();
    let open = Embedded::with_backends(opener(disk.clone()), opener(Shaky::default())).unwrap();
    let log = open.log();
    let before = *disk.syncs.lock().unwrap();
    let appends = (0..200_u8).map(|i| {
        let log = log.clone();
        let subject = Subject::Observed(Generation::FIRST, ProcessId::from_bytes([i; 16]));
        async move { log.append(&subject, Seq::ZERO, Bytes::from(vec![i])).await }
    });
    let results = futures::future::join_all(appends).await;
    assert!(results.iter().all(Result::is_ok));
    let syncs = *disk.syncs.lock().unwrap() - before;
    assert!(syncs < 100, "{syncs} syncs for 200 appends");
    assert_eq!(log.head(ALL).await.unwrap(), Seq(200));
}

#[tokio::test]
async fn a_tail_wakes_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(dir.path()).unwrap().log();
    let mut tail = log
        .read(Filter::Decided(Generation::FIRST), Seq::ZERO)
        .await
        .unwrap();
    let waiting = tokio::spawn(async move { tail.next().await.unwrap().unwrap().seq });
    tokio::time::sleep(Duration::from_millis(50)).await;
    append(&log, 1).await;
    assert_eq!(waiting.await.unwrap(), Seq(1));
}
