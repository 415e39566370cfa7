//! What became of keys, as text for people.

use std::{fmt::Display, io::Write};

use billfold_core::state::key_status::KekState;

use crate::{
    Error,
    keys::{DekLife, GenerationLife, Happened, KekLife, Keks, Span, When},
    past::KeysThen,
};

/// Writes the life of every KEK version: a line for each step.
///
/// # Errors
/// When the output does not take it.
pub fn write_keks(out: &mut dyn Write, keks: &Keks) -> Result<(), Error> {
    writeln!(
        out,
        "{:<10}  {:<12}  {:>8}  {:<24}  WHAT",
        "KEK", "STATE", "SEQUENCE", "TIME"
    )?;
    for kek in &keks.versions {
        for (when, what) in steps(kek) {
            let (version, state) = (format!("version {}", kek.version), state(kek.state));
            writeln!(
                out,
                "{version:<10}  {state:<12}  {:>8}  {}  {what}",
                when.sequence.0, when.time
            )?;
        }
    }
    for GenerationLife {
        generation,
        provider,
        made,
    } in &keks.generations
    {
        writeln!(
            out,
            "{:<10}  {:<12}  {:>8}  {}  unseal generation {generation} wraps the KEK versions  \
             provider={provider:?}",
            "", "", made.sequence.0, made.time
        )?;
    }
    Ok(())
}

/// What happened to a KEK version, in the order in which it began.
fn steps(kek: &KekLife) -> Vec<(When, String)> {
    let mut steps = Vec::new();
    let mut spans = |span: &Span, what: &str| {
        if let (Some(first), Some(last)) = (span.first, span.last) {
            let keys = span.keys;
            let until = if last.sequence == first.sequence {
                String::new()
            } else {
                format!(", the last at sequence {} ({})", last.sequence, last.time)
            };
            steps.push((first, format!("{what}  keys={keys}{until}")));
        }
    };
    spans(&kek.used, "took keys into use");
    spans(&kek.taken_over, "took keys over from older versions");
    spans(&kek.rewrapped, "left keys to newer versions");
    spans(&kek.erased, "was the newest when keys were destroyed");
    let (generation, provider) = (kek.generation, &kek.provider);
    let made = format!("made  generation={generation}  provider={provider:?}");
    steps.insert(0, (kek.made, made));
    let retired = kek.retired.map(|when| (when, "retired".to_owned()));
    let destroyed = kek.destroyed.map(|when| (when, "destroyed".to_owned()));
    steps.extend(retired.into_iter().chain(destroyed));
    // What begins with the same commit stays in this order.
    steps.sort_by_key(|(when, _)| when.sequence);
    let (live, dying) = (kek.live, kek.dying);
    if live + dying > 0
        && let Some((when, _)) = steps.last().cloned()
    {
        steps.push((when, format!("since then  live={live}  dying={dying}")));
    }
    steps
}

/// Writes the life of a DEK: a line for each step.
///
/// # Errors
/// When the output does not take it.
pub fn write_dek(out: &mut dyn Write, life: &DekLife) -> Result<(), Error> {
    writeln!(
        out,
        "{:>8}  {:<24}  {:<19}  WHAT",
        "SEQUENCE", "TIME", "EVENT"
    )?;
    for step in &life.steps {
        let what = match &step.what {
            Happened::Used { owner, kek } => format!("seals {owner}, under KEK version {kek}"),
            Happened::PageClosed => "no more keys are drawn from its page".to_owned(),
            Happened::Rewrapped { from, to } => {
                format!("rewrapped from KEK version {from} to {to}")
            }
            Happened::GivenUp => "given up: it is to be destroyed".to_owned(),
            Happened::Destroyed { newest } => {
                format!("destroyed, under KEK version {newest} or an older one")
            }
            Happened::KekDestroyed => "that KEK version is destroyed".to_owned(),
            Happened::Complete => "gone from every copy".to_owned(),
        };
        let (sequence, time) = (step.when.sequence.0, step.when.time);
        writeln!(out, "{sequence:>8}  {time}  {:<19}  {what}", step.event)?;
    }
    Ok(())
}

/// Writes the status of the wallet's keys at a moment.
///
/// # Errors
/// When the output does not take it.
pub fn write_keys_then(out: &mut dyn Write, then: &KeysThen) -> Result<(), Error> {
    let status = &then.status;
    let mut row = |name: &str, what: &dyn Display| writeln!(out, "{name:<10}  {what}");
    row("sequence", &then.sequence)?;
    for kek in &status.versions {
        let what = format!(
            "{} {}  generation={}  provider={:?}  created={}  used={}  live={}  dying={}  erased={}",
            kek.version,
            state(kek.state),
            kek.generation,
            kek.provider,
            kek.created,
            kek.used,
            kek.live,
            kek.dying,
            kek.erased
        );
        row("version", &what)?;
    }
    for known in &status.generations {
        let (generation, provider) = (known.generation, &known.provider);
        let what = format!(
            "{generation}  provider={provider:?}  created={}",
            known.created
        );
        row("generation", &what)?;
    }
    let rewrap = status.rewrap;
    row(
        "rewrap",
        &format!("{} keys in {} pages", rewrap.keys, rewrap.pages),
    )?;
    let erased = status.erasures;
    let erasures = format!(
        "{} destroying, {} pending, {} complete",
        erased.destroying, erased.pending, erased.complete
    );
    Ok(row("erasures", &erasures)?)
}

const fn state(state: KekState) -> &'static str {
    match state {
        KekState::Current => "current",
        KekState::DecryptOnly => "decrypt-only",
        KekState::Retired => "retired",
        KekState::Destroyed => "destroyed",
    }
}
