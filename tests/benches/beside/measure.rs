//! Measures one system from its start to its end.

use std::time::{Duration, Instant};

use billfold_tests::bench::{Rate, Span, run};
use tokio::time::sleep;

use super::{
    process,
    systems::{Name, System},
    work::{Client, Which},
};

/// How many clients are tried.
pub(crate) const CLIENTS: [usize; 4] = [1, 8, 32, 256];

/// With how many clients a system is filled, and the goals are judged.
pub(crate) const MANY: usize = 32;

/// How long to wait at most for what a server does behind its answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much to do.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) span: Span,
    /// How many secrets there are when memory is looked at, first and then.
    pub(crate) secrets: [u64; 2],
}

/// A system's figures.
pub(crate) struct Measured {
    pub(crate) name: Name,
    /// New secrets in a second, with many clients.
    pub(crate) filled: f64,
    pub(crate) memory: [Memory; 2],
    pub(crate) disk: Disk,
    pub(crate) reads: Vec<Done>,
    pub(crate) writes: Vec<Done>,
}

/// Resident bytes.
pub(crate) struct Memory {
    pub(crate) server: u64,
    /// Of the process that keeps the log, if that is another.
    pub(crate) log: Option<u64>,
}

/// How far the folders grew, in bytes, for each of these.
pub(crate) struct Disk {
    pub(crate) new_secret: f64,
    pub(crate) new_version: f64,
    pub(crate) read: f64,
}

/// What a number of clients did, and the processor time that each turn took.
pub(crate) struct Done {
    pub(crate) clients: usize,
    pub(crate) rate: Rate,
    pub(crate) server: Duration,
    pub(crate) log: Duration,
    pub(crate) generator: Duration,
}

pub(crate) async fn measure(name: Name, size: Size) -> Measured {
    let system = System::start(name).await;
    let [few, all] = size.secrets;
    fill(&system, 0, few).await;
    let before = settled(&system).await;
    let first = memory(&system);
    let filled = fill(&system, few, all).await;
    let full = settled(&system).await;
    let second = memory(&system);
    eprintln!("{}: {filled:.0} new secrets/s", name.text());
    let mut reads = Vec::new();
    for clients in CLIENTS {
        reads.push(done(&system, clients, false, size).await);
    }
    let read = settled(&system).await;
    let mut writes = Vec::new();
    for clients in CLIENTS {
        writes.push(done(&system, clients, true, size).await);
    }
    let written = settled(&system).await;
    let each = |from: u64, to: u64, turns: u64| to.saturating_sub(from) as f64 / turns as f64;
    let turns = |done: &[Done]| done.iter().map(|done| done.rate.turns).sum();
    let disk = Disk {
        new_secret: each(before, full, all - few),
        new_version: each(read, written, turns(&writes)),
        read: each(full, read, turns(&reads)),
    };
    Measured {
        name,
        filled,
        memory: [first, second],
        disk,
        reads,
        writes,
    }
}

/// Writes the secrets from one number up to another. How many it were in a second.
async fn fill(system: &System, from: u64, to: u64) -> f64 {
    let began = Instant::now();
    let clients = MANY as u64;
    let which = Which::Each { from, to, clients };
    let tasks: Vec<_> = (0..MANY)
        .map(|number| tokio::spawn(Client::of(system, number, true, which).finish()))
        .collect();
    let mut written = 0;
    for task in tasks {
        written += task.await.unwrap();
    }
    assert_eq!(written, to - from);
    written as f64 / began.elapsed().as_secs_f64()
}

async fn done(system: &System, clients: usize, writes: bool, size: Size) -> Done {
    let (server, log) = system.processes();
    let times = || {
        let of = |pid: Option<u32>| pid.map(process::processor).unwrap_or_default();
        [of(Some(server)), of(log), of(Some(std::process::id()))]
    };
    let which = Which::Any(size.secrets[1]);
    let before = times();
    let client = |number| Client::of(system, number, writes, which);
    let rate = run(clients, size.span, client).await;
    let after = times();
    let each = |part: usize| (after[part] - before[part]).div_f64(rate.turns as f64);
    let what = if writes { "writes" } else { "reads" };
    let (p50, p99) = (rate.p50, rate.p99);
    eprintln!(
        "  {clients} clients: {:.0} {what}/s, {p50:?}, {p99:?}",
        rate.per_second
    );
    Done {
        clients,
        rate,
        server: each(0),
        log: each(1),
        generator: each(2),
    }
}

fn memory(system: &System) -> Memory {
    let (server, log) = system.processes();
    Memory {
        server: process::resident(server),
        log: log.map(process::resident),
    }
}

/// Waits until the folders do not change for a second. What they take.
async fn settled(system: &System) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let folders = system.folders();
    let mut before = process::on_disk(&folders);
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = process::on_disk(&folders);
        if now == before || Instant::now() > deadline {
            return now;
        }
        before = now;
    }
}
