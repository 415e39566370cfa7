//! Billfold beside the real OpenBao: the same calls in the same order, and every difference is on a list.
//!
//! The calls stand in `side_by_side/calls`, one file an area. All areas are always played against OpenBao, which holds
//! the table itself to what OpenBao answers. Billfold is held to those that [`AREAS`] says; each area gets two fresh
//! servers. Intended differences are in `side_by_side/differences.toml`, and `docs/vault-differences.md` prints them:
//! `BILLFOLD_WRITE_DOCS=1` brings the page up to date.
//!
//! `BILLFOLD_SIDE_BY_SIDE=AREA,AREA` (or `all`) prints the whole comparison of areas, and plays those that Billfold is
//! not held to yet against it too: that shows what is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "side_by_side/compare.rs"]
mod compare;
#[path = "side_by_side/differences.rs"]
mod differences;
#[path = "side_by_side/form.rs"]
mod form;
#[path = "side_by_side/script.rs"]
mod script;
#[path = "side_by_side/side.rs"]
mod side;

use std::{env, fs, path::Path, time::Duration};

use billfold_tests::{
    openbao::OpenBao,
    wallet::{Backend, Wallet, within_reason},
};
use tokio::time::sleep;

use self::{
    compare::compare,
    differences::{List, page_with},
    script::{Call, Step, parse},
    side::Side,
};

/// A file of calls.
struct Area {
    name: &'static str,
    /// Whether Billfold is held to it.
    is_held: bool,
    calls: &'static str,
}

macro_rules! areas {
    ($($name:literal: $held:literal),+ $(,)?) => {
        /// All areas, and whether Billfold is held to each.
        const AREAS: &[Area] = &[$(Area {
            name: $name,
            is_held: $held,
            calls: include_str!(concat!("side_by_side/calls/", $name, ".txt")),
        }),+];
    };
}

areas! {
    "kv-data": true,
    "kv-versions": true,
    "kv-metadata": true,
    "kv-metadata-write": true,
    "kv-pruning": true,
    "kv-listing": true,
    "kv-config": true,
    "kv-patch": true,
    "kv-subkeys": true,
    "kv-one": true,
    "paths": true,
    "requests": true,
    "requests-more": true,
    "help": true,
    "state": true,
    "state-more": true,
    "host-info": true,
    "audit": true,
    "mounts": true,
    "tune": true,
    "remount": true,
    "ui-mounts": true,
    "ui-mounts-more": true,
    "auth": true,
    "policies": true,
    "policy-effects": true,
    "capabilities": true,
    "token": true,
    "token-accessors": true,
    "token-roles": true,
    "token-ends": true,
    "cubbyhole": true,
    "wrapping": true,
    "rotation": true,
    "tools": true,
}

/// What came of an area.
#[derive(Default)]
struct Outcome {
    calls: usize,
    /// How many of them Billfold answers as OpenBao does, or otherwise as it is listed.
    good: usize,
    faults: Vec<String>,
    told: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_from_openbao_is_listed() {
    within_reason(async {
        let wanted = env::var("BILLFOLD_SIDE_BY_SIDE").unwrap_or_default();
        for name in wanted
            .split(',')
            .filter(|name| !name.is_empty() && *name != "all")
        {
            let is_area = AREAS.iter().any(|area| area.name == name);
            assert!(is_area, "there is no area {name}");
        }
        let mut list = List::read();
        let mut all = Outcome::default();
        for area in AREAS {
            let is_told = wanted
                .split(',')
                .any(|name| name == area.name || name == "all");
            let outcome = play(area, is_told, &mut list).await;
            if is_told {
                let (name, good, calls) = (area.name, outcome.good, outcome.calls);
                println!("{}", outcome.told.join("\n"));
                println!("{name}: {good} of {calls} calls as OpenBao has them, or as listed\n");
            }
            all.calls += outcome.calls;
            all.faults.extend(outcome.faults);
        }
        all.faults.extend(list.stale());
        println!("{} calls", all.calls);
        let faults = all.faults.join("\n");
        assert!(
            all.faults.is_empty(),
            "{} faults:\n{faults}",
            all.faults.len()
        );
    })
    .await;
}

/// Plays an area against two fresh servers, or against OpenBao alone.
async fn play(area: &Area, is_told: bool, list: &mut List) -> Outcome {
    let wallet = if area.is_held || is_told {
        let quick = |builder: billfold_tests::billfold::Builder| {
            builder.env("BILLFOLD_REFUSED_PER_SECOND", "100000")
        };
        Some(Wallet::dev_with(Backend::Embedded, quick).await)
    } else {
        None
    };
    let root = wallet
        .as_ref()
        .map_or("root-of-the-table", |wallet| wallet.node.token());
    let openbao = OpenBao::dev(root).await;
    let mut theirs = Side::new(openbao.client(), root);
    let mut ours = wallet
        .as_ref()
        .map(|wallet| Side::new(wallet.node.client(), root));
    let mut outcome = Outcome::default();
    for step in parse(area.name, area.calls) {
        let call = match step {
            Step::Wait(seconds) => {
                sleep(Duration::from_secs(seconds)).await;
                continue;
            }
            Step::Call(call) => call,
        };
        outcome.calls += 1;
        let their_reply = theirs.play(&call).await;
        if their_reply.status != call.status {
            outcome.faults.push(format!(
                "{}\n    the table says {}, and OpenBao {} {}",
                call.name,
                call.status,
                their_reply.status,
                their_reply.text().trim_end()
            ));
        }
        if let Some(ours) = &mut ours {
            let our_reply = ours.play(&call).await;
            let found = compare(&call, (&theirs, &their_reply), (ours, &our_reply));
            judge(area, &call, &found, list, &mut outcome);
            if is_told {
                let sides = [("OpenBao ", &their_reply), ("Billfold", &our_reply)];
                for (name, reply) in sides {
                    let text = reply.text();
                    let line = format!("        {name} {} {}", reply.status, text.trim_end());
                    outcome.told.push(line);
                }
            }
            ours.learn(&call, &our_reply);
        }
        theirs.learn(&call, &their_reply);
        for (name, _) in &call.learned {
            if !theirs.knows(name) {
                outcome
                    .faults
                    .push(format!("{}: OpenBao does not teach {name}", call.name));
            }
        }
    }
    outcome
}

/// Notes the differences of a call: those that are not listed are faults, if Billfold is held to the area.
fn judge(
    area: &Area,
    call: &Call,
    found: &[compare::Difference],
    list: &mut List,
    outcome: &mut Outcome,
) {
    let mark = if found.is_empty() { "=" } else { "≠" };
    outcome.told.push(format!("{mark} {}", call.name));
    let mut is_good = true;
    for difference in found {
        let listed = list.listed(&call.name, difference).map(str::to_owned);
        // Of an area that Billfold is not held to, no difference proves that the list is right.
        if area.is_held {
            list.meet(&call.name, difference);
        }
        let told = format!(
            "    {}\n        OpenBao  {}\n        Billfold {}",
            difference.field, difference.openbao, difference.billfold
        );
        match listed {
            Some(id) => outcome.told.push(format!("{told}\n        listed: {id}")),
            None => {
                is_good = false;
                outcome.told.push(told.clone());
                if area.is_held {
                    outcome.faults.push(format!("{}\n{told}", call.name));
                }
            }
        }
    }
    outcome.good += usize::from(is_good);
}

/// Two servers of one kind differ only in what must differ, and all of that is compared by its form.
#[tokio::test(flavor = "multi_thread")]
async fn openbao_does_not_differ_from_itself() {
    within_reason(async {
        let mut faults = Vec::new();
        for area in AREAS {
            let servers = [
                OpenBao::dev("root-of-one").await,
                OpenBao::dev("root-of-two").await,
            ];
            let mut one = Side::new(servers[0].client(), "root-of-one");
            let mut two = Side::new(servers[1].client(), "root-of-two");
            for step in parse(area.name, area.calls) {
                let call = match step {
                    Step::Wait(seconds) => {
                        sleep(Duration::from_secs(seconds)).await;
                        continue;
                    }
                    Step::Call(call) => call,
                };
                let (first, second) = (one.play(&call).await, two.play(&call).await);
                for difference in compare(&call, (&one, &first), (&two, &second)) {
                    faults.push(format!("{}\n    {difference:?}", call.name));
                }
                one.learn(&call, &first);
                two.learn(&call, &second);
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    })
    .await;
}

#[test]
fn the_page_prints_the_list() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vault-differences.md");
    let text = fs::read_to_string(&page).unwrap();
    let expected = page_with(&text, &List::read().table());
    if env::var_os("BILLFOLD_WRITE_DOCS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let text = fs::read_to_string(&page).unwrap();
    assert!(
        text == expected,
        "docs/vault-differences.md is not the list: BILLFOLD_WRITE_DOCS=1 writes it"
    );
}
