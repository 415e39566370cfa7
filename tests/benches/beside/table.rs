//! The tables that come of it.

use std::{fmt::Write as _, time::Duration};

use billfold_tests::bench::{self, cells, millis};

use super::{
    goals,
    measure::{CLIENTS, Done, MANY, Measured, Size},
    process,
    systems::Name,
};

/// All tables, with what must be said before them.
pub(crate) fn page(all: &[Measured], size: Size, others: f64, warnings: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let bench::Span { warm_up, time } = size.span;
    let mut text = format!(
        "{warnings}{cores} cores, which the load generator shares, and of which others kept {others:.2} busy meanwhile; \
         {warm_up:?} of warm-up and {time:?} for each line; {} secrets stored. An append of 4 KiB is on disk after {} \
         (median).\n\n",
        size.secrets[1],
        millis(process::sync())
    );
    text.push_str(&speed("KV writes", all, |one| &one.writes));
    text.push_str(&speed("KV reads", all, |one| &one.reads));
    text.push_str(&memory(all, size.secrets));
    text.push_str(&disk(all));
    text.push_str(&processor(all));
    text.push_str(&goals::table(all, size.secrets));
    text
}

fn speed(what: &str, all: &[Measured], of: impl Fn(&Measured) -> &[Done]) -> String {
    let mut text = format!(
        "### {what}\n\n\
         | clients | system | /s | p50 | p99 | to OpenBao |\n\
         | ---: | --- | ---: | ---: | ---: | ---: |\n"
    );
    let bao = all.iter().find(|one| one.name == Name::OpenBao).map(&of);
    for (number, clients) in CLIENTS.iter().enumerate() {
        for one in all {
            let rate = &of(one)[number].rate;
            let ratio = bao.map_or("–".to_owned(), |bao| {
                format!("{:.1}×", rate.per_second / bao[number].rate.per_second)
            });
            let (name, cells) = (one.name.text(), cells(rate));
            writeln!(text, "| {clients} | {name} | {cells} | {ratio} |").unwrap();
        }
    }
    text.push('\n');
    text
}

fn memory(all: &[Measured], [few, many]: [u64; 2]) -> String {
    let mut text = format!(
        "### Resident memory\n\n\
         | system | process | {few} secrets | {many} secrets |\n\
         | --- | --- | ---: | ---: |\n"
    );
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    for one in all {
        let [first, second] = &one.memory;
        let lines = [
            Some(("server", first.server, second.server)),
            first
                .log
                .zip(second.log)
                .map(|(few, many)| ("nats-server", few, many)),
        ];
        for (process, few, many) in lines.into_iter().flatten() {
            let (name, few, many) = (one.name.text(), mega(few), mega(many));
            writeln!(text, "| {name} | {process} | {few} | {many} |").unwrap();
        }
    }
    text.push('\n');
    text
}

fn disk(all: &[Measured]) -> String {
    let mut text = "### Bytes on disk\n\n\
         | system | a new secret | a new version | a read | new secrets/s, filling |\n\
         | --- | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for one in all {
        let (name, disk) = (one.name.text(), &one.disk);
        let cells = [disk.new_secret, disk.new_version, disk.read, one.filled];
        let cells = cells.map(|cell| format!("{cell:.0}")).join(" | ");
        writeln!(text, "| {name} | {cells} |").unwrap();
    }
    text.push('\n');
    text
}

/// Where the cores' time goes: what a request costs each process, and how busy all of them are.
fn processor(all: &[Measured]) -> String {
    let mut text = format!(
        "### Processor time of a request, {MANY} clients\n\n\
         | system | what | server | nats-server | load generator | cores busy |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n"
    );
    let micros = |time: Duration| format!("{:.0} µs", time.as_secs_f64() * 1e6);
    for one in all {
        for (what, done) in [("write", &one.writes), ("read", &one.reads)] {
            let Some(done) = done.iter().find(|done| done.clients == MANY) else {
                continue;
            };
            let log = match one.memory[1].log {
                Some(_) => micros(done.log),
                None => "–".to_owned(),
            };
            let all = done.server + done.log + done.generator;
            let busy = all.as_secs_f64() * done.rate.per_second;
            writeln!(
                text,
                "| {} | {what} | {} | {log} | {} | {busy:.2} |",
                one.name.text(),
                micros(done.server),
                micros(done.generator)
            )
            .unwrap();
        }
    }
    text.push('\n');
    text
}
