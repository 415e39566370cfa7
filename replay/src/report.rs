//! What was found, as text for people and as JSON for programs. Every writer takes where to write.

mod integrity;
mod keys;
mod past;
mod receipt;

use std::{
    fmt::{Debug, Display},
    io::Write,
};

use serde::{Serialize, Serializer};

pub use integrity::write_integrity;
pub use keys::{write_dek, write_keks, write_keys_then};
pub use past::{write_diff, write_then};
pub use receipt::write_shown;

use crate::{
    Error,
    log::{Line, Name},
    row::json,
    verify::{Report, Summary, ViewState},
};

/// Puts what has a text into JSON as that.
pub(crate) fn as_text<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Writes one value as a line of JSON.
///
/// # Errors
/// When the output does not take it.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Error> {
    let text = json(value).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{text}")?)
}

/// Writes the heading over the lines of a log.
///
/// # Errors
/// When the output does not take it.
pub fn write_line_header(out: &mut dyn Write) -> Result<(), Error> {
    Ok(writeln!(
        out,
        "{:>8}  {:<24}  {:<8}  {:<8}  {:<19}  {:<18}  WHAT",
        "SEQUENCE", "TIME", "SUBJECT", "WRITER", "EVENT", "ACTOR"
    )?)
}

/// Writes one event in a line of text. Of processes, principals and tokens only the first digits
/// are shown; the JSON has all.
///
/// # Errors
/// When the output does not take it.
pub fn write_line(out: &mut dyn Write, line: &Line) -> Result<(), Error> {
    let actor = match (line.principal, line.token) {
        (Some(principal), Some(token)) => format!("{}/{}", short(principal), short(token)),
        _ => line.actor.to_owned(),
    };
    write!(
        out,
        "{:>8}  {}  {:<8}  {}  {:<19}  {:<18}",
        line.sequence.0,
        line.time,
        line.subject,
        short(line.writer),
        line.event,
        actor,
    )?;
    let mut field = |name: &str, value: Option<String>| match value {
        Some(value) => write!(out, "  {name}={value}"),
        None => Ok(()),
    };
    field("operation", line.operation.map(text))?;
    field("asked-version", line.asked_version.map(text))?;
    field("wrap-ttl", line.wrap_ttl.map(|ttl| format!("{ttl}ms")))?;
    if let Some(answer) = &line.answer {
        field("verdict", Some(text(answer.verdict)))?;
        field("version", answer.version.map(text))?;
        for policy in &answer.policies {
            field("by", Some(quoted(policy)))?;
        }
    }
    field("version", numbers(&line.versions))?;
    field("trimmed", numbers(&line.trimmed))?;
    field("path", path(line))?;
    // Names may hold anything: quoted, they cannot pass for something else or move the cursor.
    field("client", line.client.as_ref().map(quoted))?;
    field("execution", line.execution.as_ref().map(quoted))?;
    field("token-name", line.token_name.as_ref().map(quoted))?;
    field("record", line.record.map(text))?;
    field("mount", line.mount.map(text))?;
    for token in &line.tokens {
        field("about", Some(text(token)))?;
    }
    field("policy", line.policy.as_ref().map(quoted))?;
    field("role", line.role.as_ref().map(quoted))?;
    field("erasure", line.erasure.map(text))?;
    field("hold", line.hold.map(text))?;
    for record in &line.records {
        field("takes", Some(text(record)))?;
    }
    field("reason", line.reason.as_ref().map(name))?;
    field("wraps", line.wraps.map(text))?;
    field("page", line.page.map(text))?;
    field("keys", line.keys.map(text))?;
    field("kek", line.kek.map(text))?;
    field("epoch", line.epoch.map(text))?;
    field("grant", line.grant.map(text))?;
    for epoch in &line.grants_epochs {
        field("grants", Some(text(epoch)))?;
    }
    field("void", line.void.then(|| "true".to_owned()))?;
    field("refused", line.refused.map(text))?;
    field("over-bound", line.over_bound.map(text))?;
    field("request", line.request.map(text))?;
    field("command", line.command.map(text))?;
    Ok(writeln!(out)?)
}

/// Writes the report of a verification.
///
/// # Errors
/// When the output does not take it.
pub fn write_report(out: &mut dyn Write, report: &Report) -> Result<(), Error> {
    let summary = &report.summary;
    let mut row = |name: &str, what: String| writeln!(out, "{name:<10}  {what}");
    row("wallet", report.wallet.clone())?;
    row(
        "sequences",
        match (summary.last_sequence.0, report.complete) {
            (0, true) => "none".to_owned(),
            (0, false) => "none could be read".to_owned(),
            (last, true) => format!("1 to {last}, none missing"),
            (last, false) => format!("1 to {last}, and no further"),
        },
    )?;
    row(
        "commits",
        format!(
            "{}: {} decided, {} observed (processes: {}), {} with checkpoints",
            summary.commits,
            summary.decided,
            summary.commits - summary.decided - summary.checkpoints,
            summary.observers,
            summary.checkpoints
        ),
    )?;
    row("events", counts(summary))?;
    if report.complete {
        state_rows(summary, &mut row)?;
    }
    row("requests", requests(summary))?;
    row("digest", format!("{} {}", report.sequence, report.digest))?;
    row("view", view(&report.view))?;
    for finding in &report.findings {
        writeln!(out, "BROKEN      {finding}")?;
    }
    if report.more_findings > 0 {
        writeln!(out, "BROKEN      and {} more", report.more_findings)?;
    }
    let verdict = if report.sound { "sound" } else { "broken" };
    Ok(writeln!(out, "{verdict}")?)
}

fn state_rows(
    summary: &Summary,
    row: &mut dyn FnMut(&str, String) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let (versions, payloads, keys) = (summary.versions, summary.payloads, summary.keys);
    row("records", summary.records.to_string())?;
    row(
        "versions",
        format!(
            "{} live, {} deleted, {} destroyed",
            versions.live, versions.deleted, versions.destroyed
        ),
    )?;
    row(
        "payloads",
        format!("{} readable, {} erased", payloads.readable, payloads.erased),
    )?;
    row(
        "keys",
        format!(
            "{} live, {} to be destroyed, {} destroyed",
            keys.live, keys.to_be_destroyed, keys.destroyed
        ),
    )?;
    match keys.pages_to_be_swept {
        0 => Ok(()),
        pages => row(
            "",
            format!("{pages} key pages have older writings to be removed"),
        ),
    }
}

fn counts(summary: &Summary) -> String {
    if summary.events.is_empty() {
        return "none".to_owned();
    }
    let events = summary.events.iter();
    let counted: Vec<_> = events
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    counted.join(", ")
}

fn requests(summary: &Summary) -> String {
    let verdicts = summary.requests.iter();
    let counted = verdicts.map(|(verdict, count)| format!("{count} {verdict}"));
    let refused = format!("{} without a valid token refused", summary.refused);
    counted.chain([refused]).collect::<Vec<_>>().join(", ")
}

fn view(state: &ViewState) -> String {
    match state {
        ViewState::None => "none to compare with".to_owned(),
        ViewState::InUse => "in use by a server: not compared".to_owned(),
        ViewState::Unusable { why } => format!("does not open ({why}): not compared"),
        ViewState::NotReached { sequence } => format!("at {sequence}: not compared"),
        ViewState::Equal { sequence } => format!("at {sequence}: equal to the fold"),
        ViewState::Differs { sequence } => format!("at {sequence}: DIFFERS"),
    }
}

fn path(line: &Line) -> Option<String> {
    match (&line.mount_path, &line.path) {
        (None, None) => None,
        (Some(Name::Erased), _) | (_, Some(Name::Erased)) => Some("(erased)".to_owned()),
        (mount, path) => {
            let open = |name: &Option<Name>| match name {
                Some(Name::Open(name)) => name.clone(),
                _ => String::new(),
            };
            Some(quoted(open(mount) + &open(path)))
        }
    }
}

fn name(name: &Name) -> String {
    match name {
        Name::Open(name) => quoted(name),
        Name::Erased => "(erased)".to_owned(),
    }
}

fn numbers(numbers: &[u32]) -> Option<String> {
    let texts: Vec<_> = numbers.iter().map(u32::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn quoted(name: impl AsRef<str> + Debug) -> String {
    format!("{:?}", name.as_ref())
}

fn text(value: impl Display) -> String {
    value.to_string()
}

/// The first digits of an id.
fn short(id: impl Display) -> String {
    id.to_string().chars().take(8).collect()
}
