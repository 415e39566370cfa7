//! What differs between two moments.

use std::collections::{BTreeMap, BTreeSet};

use billfold_core::{id::Seq, moment::Moment};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

use super::{Part, Past, Row, Then};
use crate::{Error, Source};

/// What differs between two moments. Its JSON has `from`, `to`, and each part by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// What there was at the first.
    pub from: Then,
    /// What there was at the second.
    pub to: Then,
    /// What of it differs, by part.
    pub parts: Vec<(Part, Differences)>,
}

/// What differs in a part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Differences {
    /// What is there at the second moment only.
    pub added: Vec<Row>,
    /// What is there at the first only.
    pub removed: Vec<Row>,
    /// What is there at both, and differs.
    pub changed: Vec<Changed>,
}

/// A row that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What tells it apart.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Those of its fields that differ.
    pub fields: BTreeMap<String, Field>,
}

/// A field that changed; `null` where it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// At the first moment.
    pub from: Value,
    /// At the second.
    pub to: Value,
}

/// What differs between two moments, the first of which is not after the second. `progress` is told
/// each sequence and where it ends.
///
/// # Errors
/// When a moment is still to come, there was no wallet yet at the first, or it is after the second;
/// when the log is broken before it, or cannot be reached.
pub async fn diff(
    source: &Source,
    (from, to): (Moment, Moment),
    parts: &[Part],
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Diff, Error> {
    let mut past = Past::start(source).await?;
    past.go_to(from, progress).await?;
    let before = past.tell(parts).await?;
    past.go_to(to, progress).await?;
    Ok(Diff::between(before, past.tell(parts).await?))
}

impl Diff {
    /// What differs between two moments that the same parts were asked of.
    #[must_use]
    pub fn between(from: Then, to: Then) -> Self {
        let differences = |(part, rows): &(Part, Vec<Row>)| {
            let before = from.part(*part).unwrap_or_default();
            (*part, compared(spread(*part, before), spread(*part, rows)))
        };
        let parts = to.parts.iter().map(differences).collect();
        Self { from, to, parts }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|(_, part)| {
            part.added.is_empty() && part.removed.is_empty() && part.changed.is_empty()
        })
    }
}

type Rows = BTreeMap<String, Row>;

/// The rows by their ids. The key status is one object: its members are compared one by one.
fn spread(part: Part, rows: &[Row]) -> Rows {
    let by_id = |row: Row| (row.id.clone(), row);
    match (part, rows) {
        (Part::KeyStatus, [status]) => members(&status.value).into_iter().map(by_id).collect(),
        _ => rows.iter().cloned().map(by_id).collect(),
    }
}

fn members(status: &Value) -> Vec<Row> {
    let Value::Object(status) = status else {
        return Vec::new();
    };
    let (mut rest, mut rows) = (status.clone(), Vec::new());
    for (list, number) in [("versions", "version"), ("generations", "generation")] {
        let Some(Value::Array(members)) = rest.remove(list) else {
            continue;
        };
        for member in members {
            let label = format!("{number} {}", member.get(number).unwrap_or(&Value::Null));
            rows.push(Row {
                id: label.clone(),
                label,
                value: member,
            });
        }
    }
    rows.push(Row {
        id: "wallet".to_owned(),
        label: "wallet".to_owned(),
        value: Value::Object(rest),
    });
    rows
}

fn compared(before: Rows, mut after: Rows) -> Differences {
    let mut differences = Differences::default();
    for (id, row) in before {
        match after.remove(&id) {
            None => differences.removed.push(row),
            Some(now) => {
                let fields = fields(&row.value, &now.value);
                if !fields.is_empty() {
                    let name = now.label;
                    differences.changed.push(Changed { id, name, fields });
                }
            }
        }
    }
    differences.added.extend(after.into_values());
    differences
}

fn fields(before: &Value, after: &Value) -> BTreeMap<String, Field> {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect());
    let all: [BTreeSet<String>; 2] = [before, after].map(|value| keys(value).unwrap_or_default());
    let [of_one, of_other] = all;
    let told = |value: &Value, name: &str| value.get(name).cloned().unwrap_or(Value::Null);
    let fields = of_one.union(&of_other).map(|name| {
        let (from, to) = (told(before, name), told(after, name));
        (name.clone(), Field { from, to })
    });
    fields.filter(|(_, field)| field.from != field.to).collect()
}

#[derive(Serialize)]
struct Place {
    sequence: Seq,
    time: String,
}

impl From<&Then> for Place {
    fn from(then: &Then) -> Self {
        Self {
            sequence: then.sequence,
            time: then.time.to_string(),
        }
    }
}

impl Serialize for Diff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.parts.len()))?;
        map.serialize_entry("from", &Place::from(&self.from))?;
        map.serialize_entry("to", &Place::from(&self.to))?;
        for (part, differences) in &self.parts {
            map.serialize_entry(part.field(), differences)?;
        }
        map.end()
    }
}
