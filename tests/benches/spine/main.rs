//! The numbers of `docs/performance.md`, all made in one run on one machine.
//!
//! `cargo bench -p billfold-tests --bench spine` prints them; `-- --write` puts them into the page
//! with the date of `--date`; `-- --quick` takes a twentieth of the time and events,
//! `-- --rebuild` measures the rebuild alone. `-- --keys` measures rotation and unsealing, `-- --proof`
//! the tree, proofs and verification, and `-- --audit` asks an audit index of ten times as many
//! resolutions; each has a place of its own in the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

mod audit;
mod keys;
mod load;
mod proof;
mod rebuild;
mod table;

use std::time::Duration;

use billfold_tests::{
    bench,
    nats::{NatsServer, Settings},
};

/// How many clients are tried.
const CLIENTS: [usize; 4] = [1, 8, 32, 256];

struct Options {
    seconds: f64,
    events: u64,
    /// Whether to measure more than the rebuild.
    load: bool,
    write: Option<String>,
    /// Whether to measure rotation and unsealing instead.
    keys: bool,
    /// Whether to measure the tree, proofs and verification instead.
    proof: bool,
    /// Whether to ask an audit index instead.
    audit: bool,
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let (seconds, events) = if has("--quick") {
        (0.5, 50_000)
    } else {
        (5.0, 1_000_000)
    };
    let write = bench::date(&arguments);
    let load = !has("--rebuild");
    Options {
        seconds,
        events,
        load,
        write,
        keys: has("--keys"),
        proof: has("--proof"),
        audit: has("--audit"),
    }
}

#[tokio::main]
async fn main() {
    let options = options();
    if options.keys {
        return of_keys(&options).await;
    }
    if options.proof {
        return of_proofs(&options).await;
    }
    if options.audit {
        return of_audit(&options).await;
    }
    let time = Duration::from_secs_f64(options.seconds);
    let mut page = String::new();
    let backends = [load::Kind::JetStream, load::Kind::Embedded];
    for backend in backends.into_iter().filter(|_| options.load) {
        // Raw messages are no commits: they need a log of their own, or the node stops at them.
        let (server, other) = (
            NatsServer::start_with(&large(), None),
            NatsServer::start_with(&large(), None),
        );
        let urls = [server.url(), other.url()];
        let lines = load::measure(backend, &urls, &CLIENTS, time).await;
        page.push_str(&table::load(backend, &lines));
    }
    // Filling a log is not what is measured: the server may sync when it likes.
    let unsynced = Settings {
        sync_always: false,
        ..large()
    };
    let server = NatsServer::start_with(&unsynced, None);
    page.push_str(&table::rebuild(
        &rebuild::measure(&server.url(), options.events).await,
    ));
    println!("{page}");
    if let Some(date) = options.write {
        bench::write("measured", &page, &date);
    }
}

async fn of_keys(options: &Options) {
    let server = NatsServer::start_with(&large(), None);
    // Two keys for each secret.
    let secrets = options.events / 2;
    let time = Duration::from_secs_f64(2.0 * options.seconds);
    let page = table::keys(&keys::measure(&server.url(), secrets, time).await);
    println!("{page}");
    if let Some(date) = &options.write {
        bench::write("keys", &page, date);
    }
}

async fn of_proofs(options: &Options) {
    // Filling a log is not what is measured: the server may sync when it likes.
    let unsynced = Settings {
        sync_always: false,
        ..large()
    };
    let server = NatsServer::start_with(&unsynced, None);
    let leaves = 10 * options.events;
    let page = table::proof(&proof::measure(&server.url(), options.events, leaves).await);
    println!("{page}");
    if let Some(date) = &options.write {
        bench::write("proof", &page, date);
    }
}

async fn of_audit(options: &Options) {
    let page = table::audit(&audit::measure(10 * options.events).await);
    println!("{page}");
    if let Some(date) = &options.write {
        bench::write("audit", &page, date);
    }
}

fn large() -> Settings {
    Settings {
        max_file_store: "20GB".into(),
        ..Settings::default()
    }
}
