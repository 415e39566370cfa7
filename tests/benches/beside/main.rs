//! Billfold beside OpenBao and RustyVault, on one machine in one run: the tables of `docs/performance.md`.
//!
//! `cargo bench -p billfold-tests --bench beside` builds Billfold, starts one server after another and prints the
//! tables; `-- --write` puts them into the page with the date of `--date`; `-- --quick` takes about a minute;
//! `-- --secrets N` stores another number of secrets; `-- --rusty-vault` installs RustyVault first, which is left out if it is not there; `-- --only NAME` measures one
//! system: `openbao`, `embedded`, `jetstream` or `rusty-vault`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

mod goals;
mod measure;
mod process;
mod program;
mod rusty_vault;
mod systems;
mod table;
mod wire;
mod work;

use std::time::Duration;

use billfold_tests::bench::{self, Span};

use self::{measure::Size, systems::Name};

/// How many secrets there are when memory is first looked at.
const FEW: u64 = 1000;

struct Options {
    size: Size,
    systems: Vec<Name>,
    write: Option<String>,
}

fn options() -> Options {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let behind = |name: &str| {
        let mut from = arguments.iter().skip_while(|argument| *argument != name);
        from.nth(1)
    };
    let (warm_up, time, secrets) = match has("--quick") {
        true => (0.2, 1.0, 4000),
        false => (2.0, 10.0, 100_000),
    };
    let secrets = behind("--secrets").map_or(secrets, |number| {
        let number = number.parse().expect("--secrets needs a number");
        assert!(number > FEW, "--secrets must be over {FEW}");
        number
    });
    let span = Span {
        warm_up: Duration::from_secs_f64(warm_up),
        time: Duration::from_secs_f64(time),
    };
    if has("--rusty-vault") {
        rusty_vault::install();
    }
    let all = [
        Name::OpenBao,
        Name::Embedded,
        Name::JetStream,
        Name::RustyVault,
    ];
    let only = behind("--only");
    let wanted = |name: &Name| match only {
        Some(only) => name.argument() == only,
        None => *name != Name::RustyVault || rusty_vault::is_there(),
    };
    let write = bench::date(&arguments);
    assert!(
        write.is_none() || only.is_none(),
        "--write needs all systems"
    );
    Options {
        size: Size {
            span,
            secrets: [FEW, secrets],
        },
        systems: all.into_iter().filter(wanted).collect(),
        write,
    }
}

// One thread makes the load: it takes less of the cores than several that wake each other.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = options();
    assert!(!options.systems.is_empty(), "there is no such system");
    let warnings = program::build();
    let (others, mut all) = (process::Others::watch(), Vec::new());
    for name in options.systems {
        all.push(measure::measure(name, options.size).await);
    }
    let page = table::page(&all, options.size, others.cores(), &warnings);
    println!("{page}");
    if let Some(date) = options.write {
        bench::write("beside", &page, &date);
    }
}
