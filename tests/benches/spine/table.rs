//! The tables of `docs/performance.md`.

use std::{fmt::Write as _, time::Duration};

use billfold_tests::bench::{Rate, cells};

use super::{
    audit::Asked,
    keys::{Measured, READERS},
    load::{Kind, Line},
    proof::Proven,
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

pub(crate) fn keys(measured: &Measured) -> String {
    let Measured {
        keys,
        secrets,
        pages,
        rewrapped,
        pace,
        throttled,
        before,
        meanwhile,
        unsealed,
        unsealed_empty,
    } = measured;
    let per_second = *keys as f64 / rewrapped.as_secs_f64();
    let ratio = meanwhile.p99.as_secs_f64() / before.p99.as_secs_f64();
    format!(
        "| what | figure |\n\
         | --- | ---: |\n\
         | keys, of {secrets} secrets, in {pages} pages | {keys} |\n\
         | rewrap without a bound | {:.1} s, {per_second:.0} keys/s |\n\
         | rewrap of {pace} pages/s at most | {:.1} s |\n\
         | p99 of {READERS} readers before | {:.2} ms, {:.0} reads/s |\n\
         | p99 of {READERS} readers during the bounded rewrap | {:.2} ms, {:.0} reads/s |\n\
         | ratio of the two p99 | {ratio:.2} |\n\
         | unseal with a warm view, until it answers | {:.2} s |\n\
         | the same of an empty wallet | {:.2} s |\n\n",
        rewrapped.as_secs_f64(),
        throttled.as_secs_f64(),
        before.p99.as_secs_f64() * 1e3,
        before.per_second,
        meanwhile.p99.as_secs_f64() * 1e3,
        meanwhile.per_second,
        unsealed.as_secs_f64(),
        unsealed_empty.as_secs_f64(),
    )
}

pub(crate) fn proof(measured: &Proven) -> String {
    let Proven {
        commits,
        bytes,
        raw,
        hashed,
        verified,
        upkeep,
        leaves,
        inclusion,
        consistency,
        grown,
    } = measured;
    let least = raw.as_secs_f64() + hashed.as_secs_f64();
    let ratio = verified.as_secs_f64() / least;
    let each = upkeep.as_secs_f64() * 1e6 / *commits as f64;
    let grown_each = grown.as_secs_f64() * 1e6 / *leaves as f64;
    let millis = |time: &Duration| time.as_secs_f64() * 1e3;
    format!(
        "| what | figure |\n\
         | --- | ---: |\n\
         | commits, of {:.0} bytes each | {commits} |\n\
         | raw consume | {:.2} s |\n\
         | SHA-256 over the same bytes, on one thread | {:.2} s |\n\
         | `verify` by public keys | {:.2} s |\n\
         | ratio of `verify` to the two above it | {ratio:.2} |\n\
         | upkeep of the tree, on one thread | {each:.2} µs a commit |\n\
         | leaves of a large tree, grown at {grown_each:.2} µs each | {leaves} |\n\
         | inclusion proof there, p50 and p99 | {:.3} ms, {:.3} ms |\n\
         | consistency proof there, p50 and p99 | {:.3} ms, {:.3} ms |\n\n",
        *bytes as f64 / *commits as f64,
        raw.as_secs_f64(),
        hashed.as_secs_f64(),
        verified.as_secs_f64(),
        millis(&inclusion[0]),
        millis(&inclusion[1]),
        millis(&consistency[0]),
        millis(&consistency[1]),
    )
}

pub(crate) fn audit(asked: &Asked) -> String {
    let Asked {
        resolutions,
        filled,
        bytes,
        questions,
    } = asked;
    let millis = |time: &Duration| time.as_secs_f64() * 1e3;
    let mut text = format!(
        "{resolutions} resolutions, {} MB on disk; putting them in took {:.0} s.\n\n\
         | filter | rows of the first page | first | median | worst of {} |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
        bytes >> 20,
        filled.as_secs_f64(),
        super::audit::TIMES,
    );
    for question in questions {
        writeln!(
            text,
            "| {} | {} | {:.1} ms | {:.1} ms | {:.1} ms |",
            question.what,
            question.rows,
            millis(&question.first),
            millis(&question.median),
            millis(&question.worst)
        )
        .unwrap();
    }
    text.push('\n');
    text
}
