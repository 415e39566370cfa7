//! What the server answered, and whether the log tells the same.

use std::collections::{BTreeMap, BTreeSet};

use billfold_replay::past::{Part, Row};
use billfold_tests::wallet::Wallet;
use serde_json::{Map, Value, json};

use super::life::Life;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// All metadata of the mounts of version 2, by mount and path; one answer for each secret.
    Metadata,
    Mounts,
    Policies,
    Policy,
    Accessors,
    Token,
    Roles,
    Role,
    KeyStatus,
    Holds,
    Erasures,
}

impl Asked {
    pub const fn part(self) -> Part {
        match self {
            Self::Metadata => Part::Keychain,
            Self::Mounts => Part::Mounts,
            Self::Policies | Self::Policy => Part::Policies,
            Self::Accessors | Self::Token => Part::Tokens,
            Self::Roles | Self::Role => Part::Roles,
            Self::KeyStatus => Part::KeyStatus,
            Self::Holds => Part::Holds,
            Self::Erasures => Part::Erasures,
        }
    }
}

/// An answer, and what it is about where that is one of many.
#[derive(Debug)]
pub struct Answer {
    pub asked: Asked,
    /// The mount's uuid and the path in it, or a name.
    pub of: (String, String),
    pub sequence: u64,
    /// Null when there was none.
    pub body: Value,
}

/// All answers.
#[derive(Debug, Default)]
pub struct Record(Vec<Answer>);

async fn ask(wallet: &Wallet, asked: Asked, method: &str, path: &str, body: Value) -> Answer {
    let reply = match body {
        Value::Null => wallet.node.root(method, path, ()).await,
        body => wallet.node.root(method, path, body).await,
    };
    assert!(
        matches!(reply.status, 200 | 404),
        "{path}: {}",
        reply.text()
    );
    let sequence = reply
        .header("x-billfold-seq")
        .map(|seq| seq.parse().unwrap());
    Answer {
        asked,
        of: Default::default(),
        // A refusal has none.
        sequence: sequence.unwrap_or(0),
        body: match reply.status {
            200 => reply.json(),
            _ => Value::Null,
        },
    }
}

pub async fn key_status(wallet: &Wallet) -> Answer {
    let path = "/api/internal/wallet/key-status";
    let mut answer = ask(wallet, Asked::KeyStatus, "GET", path, Value::Null).await;
    answer.sequence = answer.body["sequence"].as_u64().unwrap();
    answer
}

fn names(body: &Value) -> Vec<String> {
    let keys = body["data"]["keys"].as_array();
    let keys = keys.into_iter().flatten();
    keys.map(|name| name.as_str().unwrap().to_owned()).collect()
}

impl Record {
    /// Asks the server about everything that the wallet has.
    pub async fn ask(&mut self, wallet: &Wallet, life: &Life) {
        let get = async |asked, path: &str| ask(wallet, asked, "GET", path, Value::Null).await;
        let mounts = get(Asked::Mounts, "/v1/sys/mounts").await;
        for mount in life.mounts.iter().filter(|mount| mount.is_v2) {
            let uuid = mounts.body["data"][&mount.path]["uuid"].as_str().unwrap();
            for path in Life::paths() {
                let url = format!("/v1/{}metadata/{path}", mount.path);
                let mut answer = get(Asked::Metadata, &url).await;
                answer.of = (uuid.to_owned(), (*path).to_owned());
                // What is not there has no sequence: that it is not told is seen by the others.
                if !answer.body.is_null() {
                    self.0.push(answer);
                }
            }
        }
        self.0.push(mounts);
        let list = [
            (Asked::Policies, Asked::Policy, "/v1/sys/policies/acl"),
            (Asked::Roles, Asked::Role, "/v1/auth/token/roles"),
        ];
        for (all, one, url) in list {
            let listed = ask(wallet, all, "LIST", url, Value::Null).await;
            for name in names(&listed.body)
                .into_iter()
                .filter(|name| name != "root")
            {
                let mut answer = get(one, &format!("{url}/{name}")).await;
                answer.of.1 = name;
                self.0.push(answer);
            }
            self.0.extend((listed.sequence > 0).then_some(listed));
        }
        let url = "/v1/auth/token/accessors";
        let listed = ask(wallet, Asked::Accessors, "LIST", url, Value::Null).await;
        for accessor in names(&listed.body) {
            let (url, body) = (
                "/v1/auth/token/lookup-accessor",
                json!({ "accessor": accessor }),
            );
            let mut answer = ask(wallet, Asked::Token, "POST", url, body).await;
            answer.of.1 = accessor;
            self.0.push(answer);
        }
        self.0.push(listed);
        self.0.push(key_status(wallet).await);
        self.0
            .push(get(Asked::Holds, "/api/internal/wallet/holds").await);
        let url = "/api/internal/wallet/erasures?limit=1000";
        self.0.push(get(Asked::Erasures, url).await);
    }

    pub fn by_sequence(&self) -> BTreeMap<u64, Vec<&Answer>> {
        let mut all: BTreeMap<u64, Vec<&Answer>> = BTreeMap::new();
        for answer in &self.0 {
            assert!(answer.sequence > 0, "{answer:?}");
            all.entry(answer.sequence).or_default().push(answer);
        }
        all
    }

    pub fn of(&self, asked: Asked) -> impl Iterator<Item = (u64, &Answer)> {
        let those = self.0.iter().filter(move |answer| answer.asked == asked);
        those.map(|answer| (answer.sequence, answer))
    }

    /// What was answered last to the same question at the end, if anything was.
    fn last(&self, asked: Asked, of: &(String, String)) -> Option<&Answer> {
        let end = self
            .0
            .iter()
            .rposition(|answer| answer.asked == Asked::Mounts);
        // The last round begins behind the last key status before that.
        let round = self.0[..end?]
            .iter()
            .rposition(|answer| answer.asked == Asked::Erasures);
        let mut last = self.0[round? + 1..].iter();
        last.find(|answer| answer.asked == asked && answer.of == *of)
    }
}

impl Answer {
    /// The ids of what was listed.
    pub fn ids(&self) -> BTreeSet<String> {
        match self.asked {
            Asked::Holds => {
                let holds = self.body["holds"].as_array().unwrap().iter();
                holds
                    .map(|hold| hold["id"].as_str().unwrap().to_owned())
                    .collect()
            }
            _ => names(&self.body)
                .into_iter()
                .filter(|name| name != "root")
                .collect(),
        }
    }

    /// Holds the answer against what the log tells of its moment. How many names that the log still
    /// knows were compared.
    pub fn compare(&self, rows: &[Row], record: &Record) -> usize {
        match self.asked {
            Asked::Metadata => self.metadata(rows, record),
            Asked::Mounts => self.mounts(rows, record),
            Asked::Policies | Asked::Accessors | Asked::Roles => {
                let ids: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
                assert_eq!(ids, self.ids(), "{:?} at {}", self.asked, self.sequence);
                ids.len()
            }
            Asked::Policy | Asked::Role => {
                let row = rows.iter().find(|row| row.id == self.of.1).unwrap();
                self.covers(&row.value, &self.body["data"], &[]);
                1
            }
            Asked::Token => {
                let row = rows.iter().find(|row| row.id == self.of.1).unwrap();
                let erased = row.value["names_erased"] == true;
                let is_gone = record.last(Asked::Token, &self.of).is_none();
                assert!(!erased || is_gone, "{row:?}");
                let hidden: &[&str] = match erased {
                    true => &[
                        "names_erased",
                        "display_name",
                        "meta",
                        "path",
                        "principal",
                        "parent",
                    ],
                    false => &["principal", "parent"],
                };
                self.covers(&row.value, &self.body["data"], hidden);
                usize::from(!erased)
            }
            Asked::KeyStatus => {
                assert_eq!(
                    rows[0].value,
                    by_the_log(self.body.clone()),
                    "{}",
                    self.sequence
                );
                1
            }
            Asked::Holds => self.listed(rows, "holds", &["mount"], record),
            // A key may be swept while the answer is made.
            Asked::Erasures => {
                self.listed(rows, "erasures", &["state", "outcome_sequence"], record)
            }
        }
    }

    /// All that the log tells was answered.
    fn covers(&self, row: &Value, answered: &Value, but: &[&str]) {
        for (name, value) in row.as_object().unwrap() {
            if !but.contains(&name.as_str()) {
                let at = self.sequence;
                assert_eq!(value, &answered[name], "{name} of {:?} at {at}", self.of);
            }
        }
    }

    fn metadata(&self, rows: &[Row], record: &Record) -> usize {
        let (uuid, path) = &self.of;
        let mount = uuid.replace('-', "");
        let here: Vec<_> = rows
            .iter()
            .filter(|row| row.value["mount"] == mount)
            .collect();
        let data = &self.body["data"];
        let last = record.last(Asked::Metadata, &self.of);
        let own = ["record", "mount", "mount_path", "path", "names_erased"];
        let Some(row) = here.iter().find(|row| row.value["path"] == *path) else {
            assert!(
                last.is_none(),
                "{path} is there at the end, and known by nobody"
            );
            let mut hidden = own.to_vec();
            hidden.push("custom_metadata");
            // The path is erased: it is one of those that are.
            let bare = without(data, &hidden);
            let mut erased = here.iter().filter(|row| row.value["path"].is_null());
            assert!(
                erased.any(|row| without(&row.value, &hidden) == bare),
                "{path}: {data}"
            );
            return 0;
        };
        if row.value["names_erased"] == true {
            let is_same = |last: &&Answer| {
                let field = |name: &str| last.body["data"][name] == data[name];
                field("created_time") && field("current_metadata_version")
            };
            assert!(
                last.filter(is_same).is_none(),
                "{path} has the same names at the end"
            );
            let hidden = [&own[..], &["custom_metadata"]].concat();
            self.covers(&row.value, data, &hidden);
            return 0;
        }
        self.covers(&row.value, data, &own);
        let fields = without(&row.value, &own);
        assert_eq!(fields.len(), data.as_object().unwrap().len(), "{data}");
        1
    }

    fn mounts(&self, rows: &[Row], record: &Record) -> usize {
        let all = self.body["data"].as_object().unwrap().iter();
        let kv: Vec<_> = all.filter(|(_, line)| line["type"] == "kv").collect();
        assert_eq!(rows.len(), kv.len(), "at {}", self.sequence);
        let last = record.last(Asked::Mounts, &self.of).unwrap();
        let mut open = 0;
        for (path, line) in kv {
            let row = rows
                .iter()
                .find(|row| row.value["uuid"] == line["uuid"])
                .unwrap();
            self.covers(
                &row.value,
                line,
                &["mount", "path", "description", "created_time", "config"],
            );
            if row.value["path"].is_null() {
                let stays = &last.body["data"][path];
                let same =
                    stays["uuid"] == line["uuid"] && stays["description"] == line["description"];
                // It may have been renamed and back again; it is not here, where names do not repeat.
                assert!(
                    !same,
                    "{path} is there at the end, and its name is not known"
                );
            } else {
                assert_eq!(row.value["path"], **path);
                assert_eq!(row.value["description"], line["description"]);
                open += 1;
            }
        }
        open
    }

    fn listed(&self, rows: &[Row], list: &str, but: &[&str], record: &Record) -> usize {
        let all = self.body[list].as_array().unwrap();
        assert_eq!(rows.len(), all.len(), "{list} at {}", self.sequence);
        let last = record.last(self.asked, &self.of).unwrap();
        let mut open = 0;
        for (row, line) in rows
            .iter()
            .map(|row| (row, all.iter().find(|l| l["id"] == row.id)))
        {
            let mut hidden = but.to_vec();
            for name in ["path", "reason"] {
                if row.value.get(name).is_some_and(Value::is_null) {
                    let mut ids = last.body[list].as_array().unwrap().iter();
                    // The path of a hold is gone with the mount's old name, too.
                    let stays = ids.any(|line| line["id"] == row.id && name == "reason");
                    assert!(!stays, "{row:?}");
                    hidden.push(name);
                }
            }
            self.covers(&row.value, line.unwrap(), &hidden);
            open += usize::from(hidden.len() == but.len());
        }
        open
    }
}

fn without(value: &Value, names: &[&str]) -> Map<String, Value> {
    let mut fields = value.as_object().unwrap().clone();
    fields.retain(|name, _| !names.contains(&name.as_str()));
    fields
}

/// Without what the key store, the node's settings and the answer itself say.
fn by_the_log(mut status: Value) -> Value {
    status.as_object_mut().unwrap().remove("sequence").unwrap();
    let rewrap = status["rewrap"].as_object_mut().unwrap();
    rewrap.remove("estimate_seconds").unwrap();
    for version in status["versions"].as_array_mut().unwrap() {
        version.as_object_mut().unwrap().remove("pooled").unwrap();
    }
    status
}
