//! What was true at a moment, and what differs between two, as text for people.

use std::io::Write;

use serde_json::Value;

use crate::{
    Error,
    past::{Diff, Part, Row, Then},
    row::{json, plain},
};

/// Writes what was true at a moment: a line for each row, under the name of its part.
///
/// # Errors
/// When the output does not take it.
pub fn write_then(out: &mut dyn Write, then: &Then) -> Result<(), Error> {
    writeln!(out, "at sequence {}, {}", then.place(), then.time)?;
    for (part, rows) in &then.parts {
        let count = match part {
            Part::KeyStatus => String::new(),
            _ => format!(" ({})", rows.len()),
        };
        writeln!(out, "\n{part}{count}")?;
        for row in rows {
            writeln!(out, "  {}", line(row)?)?;
        }
    }
    Ok(())
}

/// Writes what differs between two moments: `+` what is new, `-` what is gone, `~` what changed.
///
/// # Errors
/// When the output does not take it.
pub fn write_diff(out: &mut dyn Write, diff: &Diff) -> Result<(), Error> {
    let (from, to) = (&diff.from, &diff.to);
    writeln!(
        out,
        "from sequence {}, {}, to sequence {}, {}",
        from.place(),
        from.time,
        to.place(),
        to.time
    )?;
    for (part, differences) in &diff.parts {
        let (added, removed) = (&differences.added, &differences.removed);
        let changed = &differences.changed;
        if added.is_empty() && removed.is_empty() && changed.is_empty() {
            continue;
        }
        writeln!(out, "\n{part}")?;
        for row in added {
            writeln!(out, "+ {}", line(row)?)?;
        }
        for row in removed {
            writeln!(out, "- {}", line(row)?)?;
        }
        for row in changed {
            write!(out, "~ {}", plain(&row.name))?;
            for (name, field) in &row.fields {
                write!(
                    out,
                    "  {name}: {} -> {}",
                    told(&field.from)?,
                    told(&field.to)?
                )?;
            }
            writeln!(out)?;
        }
    }
    if diff.is_empty() {
        writeln!(out, "\nnothing differs")?;
    }
    Ok(())
}

fn line(row: &Row) -> Result<String, Error> {
    let mut line = plain(&row.label);
    let fields = row.value.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(_, value)| !is_nothing(value)) {
        line.push_str(&format!("  {name}={}", told(value)?));
    }
    Ok(line)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(members) => members.is_empty(),
        _ => false,
    }
}

/// As JSON: quoted, a name cannot pass for something else.
fn told(value: &Value) -> Result<String, Error> {
    Ok(json(value).map_err(std::io::Error::from)?)
}
