//! The tables of `docs/performance.md`.

use std::{fmt::Write as _, time::Duration};

use billfold_tests::bench::{Rate, cells};

use super::{
    load::{Kind, Line},
    rebuild::Rebuilt,
};

pub(crate) fn load(kind: Kind, lines: &[Line]) -> String {
    let name = match kind {
        Kind::JetStream => "JetStream, `sync_interval: always`",
        Kind::Embedded => "Embedded log",
    };
    let mut text = format!(
        "### {name}\n\n\
         | clients | raw append/s | p50 | p99 | writes/s | p50 | p99 | ratio | audited reads/s | p50 | p99 | ratio |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for Line {
        clients,
        raw,
        writes,
        reads,
    } in lines
    {
        let ratio = |rate: &Rate| rate.per_second / raw.per_second;
        writeln!(
            text,
            "| {clients} | {} | {} | {:.2} | {} | {:.2} |",
            cells(raw),
            cells(writes),
            ratio(writes),
            cells(reads),
            ratio(reads)
        )
        .unwrap();
    }
    text.push('\n');
    text
}

pub(crate) fn rebuild(rebuilt: &Rebuilt) -> String {
    let Rebuilt {
        events,
        singles,
        commits,
        bytes,
        raw,
        opened,
        folded,
        rebuilt,
        sled,
        view_bytes,
    } = rebuilt;
    let line = |what: &str, time: &Duration| {
        let seconds = time.as_secs_f64();
        format!(
            "| {what} | {seconds:.2} s | {:.0} | {:.0} | {:.2} |\n",
            *commits as f64 / seconds,
            *events as f64 / seconds,
            raw.as_secs_f64() / seconds
        )
    };
    format!(
        "### Rebuild of {events} events, {singles} of them single writes, in {commits} commits ({} MB)\n\n\
         | what | time | commits/s | events/s | ratio to the raw read |\n\
         | --- | ---: | ---: | ---: | ---: |\n\
         {}{}{}{}{}\nThe view takes {} MB on disk.\n",
        bytes >> 20,
        line("raw ordered consume", raw),
        line("and open every commit, one thread", opened),
        line("and fold and write the view, one thread", folded),
        line("rebuild as a node does it", rebuilt),
        line("sled alone, as many entries of that size", sled),
        view_bytes >> 20
    )
}
