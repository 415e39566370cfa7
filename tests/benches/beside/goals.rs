//! What Billfold wants to reach beside OpenBao, and whether it does.

use std::fmt::Write as _;

use super::{
    measure::{Done, MANY, Measured, Memory},
    systems::Name,
};

/// How many times OpenBao's writes.
const WRITES: f64 = 20.0;
/// How many times OpenBao's reads.
const READS: f64 = 8.0;
/// The share of OpenBao's memory.
const MEMORY: f64 = 0.2;

/// The table of goals, for each Billfold that was measured; nothing without OpenBao.
pub(crate) fn table(all: &[Measured], secrets: [u64; 2]) -> String {
    let Some(bao) = all.iter().find(|one| one.name == Name::OpenBao) else {
        return String::new();
    };
    let mut text = "### Beside OpenBao\n\n\
         | system | what | goal | measured | holds |\n\
         | --- | --- | ---: | ---: | --- |\n"
        .to_owned();
    let ours = |name: Name| matches!(name, Name::Embedded | Name::JetStream);
    for one in all.iter().filter(|one| ours(one.name)) {
        let mut line = |what: &str, goal: &str, measured: &str, holds: bool| {
            let (name, holds) = (one.name.text(), if holds { "yes" } else { "**no**" });
            writeln!(text, "| {name} | {what} | {goal} | {measured} | {holds} |").unwrap();
        };
        let work = [
            ("writes", WRITES, &one.writes, &bao.writes),
            ("reads", READS, &one.reads, &bao.reads),
        ];
        for (what, goal, mine, theirs) in work {
            let ratio = at(mine).rate.per_second / at(theirs).rate.per_second;
            line(
                &format!("{what}/s, {MANY} clients"),
                &format!("≥ {goal}×"),
                &format!("{ratio:.1}×"),
                ratio >= goal,
            );
        }
        for (what, _, mine, theirs) in work {
            for (mine, theirs) in mine.iter().zip(theirs) {
                let share = mine.rate.p99.as_secs_f64() / theirs.rate.p99.as_secs_f64();
                line(
                    &format!("p99 of {what}, {} clients", mine.clients),
                    "< 1×",
                    &format!("{share:.2}×"),
                    share < 1.0,
                );
            }
        }
        for ((secrets, mine), theirs) in secrets.iter().zip(&one.memory).zip(&bao.memory) {
            let share = whole(mine) / whole(theirs);
            line(
                &format!("memory, {secrets} secrets"),
                &format!("≤ {MEMORY}×"),
                &format!("{share:.2}×"),
                share <= MEMORY,
            );
        }
    }
    text.push('\n');
    text
}

fn at(done: &[Done]) -> &Done {
    done.iter().find(|done| done.clients == MANY).unwrap()
}

/// Of all processes that the system needs.
fn whole(memory: &Memory) -> f64 {
    (memory.server + memory.log.unwrap_or_default()) as f64
}
