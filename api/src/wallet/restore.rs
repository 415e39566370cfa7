//! Restoring: what secrets said at a moment of the past is written anew, all of it or nothing.

use std::collections::BTreeMap;

use billfold_core::{
    Millis, SecretBytes,
    access::Need,
    command::{Basis, Change, What},
    decide::Refusal,
    event::v1::Operation,
    id::RecordId,
    moment::Moment,
    policy,
    state::Version,
};
use billfold_projector::{
    keychain::Ask,
    view::{StoredRecord, Then},
};
use billfold_streams::replica::Replica as _;

use super::{
    At, Caller, Error, Mount, Put, Step, Wallet, Written,
    read::{Place, Question, asked, lines_of},
};

/// How many secrets one restoration may be about: each costs two records of reading it.
pub const SECRETS: usize = 1000;

/// How often a restoration begins anew because of those who write meanwhile. After that their writings
/// come before it, whatever they say.
const RACES: u32 = 3;

/// What is to be restored.
#[derive(Debug)]
pub struct Restoration {
    /// The moment.
    pub at: Moment,
    /// Mounts, and paths in them: of secrets, or with a slash at the end of folders.
    pub places: Vec<(Mount, String)>,
    /// Whether it is only to be told what would be done.
    pub dry_run: bool,
}

/// What became of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Its path, with the mount.
    pub path: String,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What version `from` says was written, or would be.
    Written {
        /// The version of the past.
        from: u32,
        /// The new version, if it was written.
        version: Option<u32>,
    },
    /// The current version says the same.
    Current(u32),
    /// It had no value then that is there now, and was in a folder: it is left as it is.
    Left(Why),
}

/// Why there is nothing to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It had no value at that moment, or it was removed since.
    NoValue,
    /// Its value was deleted at that moment.
    Deleted,
    /// Its value of that moment is erased.
    Erased,
}

/// How a restoration ended.
#[derive(Debug)]
pub enum Restoring {
    /// It is done; without anything to write, nothing was.
    Done(Vec<Restored>, Option<Written>),
    /// Nothing was written, because of these paths.
    Impossible(Vec<(String, Why)>),
}

/// A secret to be restored, and whether the caller named it.
struct Target {
    mount: Mount,
    path: String,
    named: bool,
}

/// What reading a secret's past and present came to.
enum Found {
    Nothing(Why),
    Current(u32),
    Past {
        from: u32,
        basis: Basis,
        cas: u32,
        data: SecretBytes,
    },
}

impl Wallet {
    /// Writes what secrets said at a moment as new versions.
    ///
    /// # Errors
    /// When it is denied or refused, there is no such moment, or the outcome is not known.
    pub async fn restore(
        &self,
        caller: &Caller,
        api_path: &str,
        wanted: Restoration,
    ) -> Result<At<Restoring>, Error> {
        for _ in 0..RACES {
            let tried = self.restore_once(caller, api_path, &wanted, true).await;
            match tried {
                Err(Error::Refused(Refusal::Changed | Refusal::CasMismatch)) => {}
                other => return other,
            }
        }
        self.restore_once(caller, api_path, &wanted, false).await
    }

    /// With `follows`, nothing may have been written to the secrets since they were looked at.
    async fn restore_once(
        &self,
        caller: &Caller,
        api_path: &str,
        wanted: &Restoration,
        follows: bool,
    ) -> Result<At<Restoring>, Error> {
        let own = caller.asks(Need::to(policy::Operation::Update, api_path));
        if !self.may(caller, &own).await? {
            return Err(Error::Denied);
        }
        let then = self.time_of(wanted.at).await?;
        let targets = self.targets(caller, &wanted.places).await?;
        let (mut told, mut impossible) = (Vec::new(), Vec::new());
        let (mut needs, mut changes) = (vec![own], Vec::new());
        for Target { mount, path, named } in targets {
            let found = self
                .past_of(caller, &mount, &path, (wanted.at, then))
                .await?;
            let full = format!("{}{path}", mount.path);
            let outcome = match found {
                Found::Nothing(why) if named || why == Why::Erased => {
                    impossible.push((full, why));
                    continue;
                }
                Found::Nothing(why) => Outcome::Left(why),
                Found::Current(version) => Outcome::Current(version),
                Found::Past {
                    from,
                    basis,
                    cas,
                    data,
                } => {
                    let put = Step::Put(Put {
                        cas: Some(cas),
                        data,
                        credential: None,
                    });
                    needs.push(self.need_for(caller, &mount, &path, &put));
                    needs.push(caller.asks(asked(Operation::RestoreData, &mount, &path)));
                    let Step::Put(Put { data: payload, .. }) = put else {
                        continue;
                    };
                    changes.push(Change {
                        mount: mount.id,
                        record: self.record(mount.id, &path),
                        folders: self.folders(mount.id, &path),
                        what: What::Restore {
                            version: from,
                            basis,
                            cas: follows.then_some(cas),
                            payload,
                        },
                    });
                    Outcome::Written {
                        from,
                        version: None,
                    }
                }
            };
            told.push(Restored {
                path: full,
                outcome,
            });
        }
        let seq = self.keychain.head().seq;
        if !impossible.is_empty() {
            let value = Restoring::Impossible(impossible);
            return Ok(At { seq, value });
        }
        if wanted.dry_run || changes.is_empty() {
            for need in &needs {
                if !self.may(caller, need).await? {
                    return Err(Error::Denied);
                }
            }
            let value = Restoring::Done(told, None);
            return Ok(At { seq, value });
        }
        let written = self.submit(caller, needs, changes, None).await?;
        let mut made = written.done.versions.iter().copied();
        for secret in &mut told {
            if let Outcome::Written { version, .. } = &mut secret.outcome {
                *version = made.next();
            }
        }
        Ok(At {
            seq: written.seq,
            value: Restoring::Done(told, Some(written)),
        })
    }

    /// The time of a moment, which this node's view has come to.
    async fn time_of(&self, at: Moment) -> Result<Millis, Error> {
        self.come_to_the_end().await?;
        match at {
            Moment::Time(time) => {
                let known = self.now().max(self.keychain.head().time);
                let to_come = || Error::Invalid("the time is still to come".to_owned());
                (time <= known).then_some(time).ok_or_else(to_come)
            }
            Moment::Seq(seq) => {
                let found = tokio::time::timeout(self.patience, self.keychain.time_of(seq)).await;
                let found = found.map_err(|_| Error::Unavailable("the log is slow".to_owned()))?;
                let found = found.map_err(|error| Error::Unavailable(error.to_string()))?;
                found.ok_or_else(|| Error::Invalid("the log ends before that sequence".to_owned()))
            }
        }
    }

    /// The secrets that are meant, each once.
    async fn targets(
        &self,
        caller: &Caller,
        places: &[(Mount, String)],
    ) -> Result<Vec<Target>, Error> {
        let mut targets: BTreeMap<String, Target> = BTreeMap::new();
        for (mount, path) in places {
            let named = !(path.is_empty() || path.ends_with('/'));
            let paths = match named {
                true => vec![path.clone()],
                false => self.all_below(caller, mount, path).await?,
            };
            for path in paths {
                let full = format!("{}{path}", mount.path);
                let target = targets.entry(full).or_insert_with(|| Target {
                    mount: mount.clone(),
                    path,
                    named,
                });
                target.named |= named;
            }
            if targets.len() > SECRETS {
                return Err(Error::Invalid(format!(
                    "a restoration may be about {SECRETS} secrets"
                )));
            }
        }
        Ok(targets.into_values().collect())
    }

    /// The paths of all secrets below a folder.
    async fn all_below(
        &self,
        caller: &Caller,
        mount: &Mount,
        folder: &str,
    ) -> Result<Vec<String>, Error> {
        let question = Question {
            operation: Operation::Scan,
            mount: Some(mount.id),
            record: None,
            version: None,
            path: Some(folder),
            ask: Ask::Everything(self.keychain.view().folder(mount.id, folder)),
            need: asked(Operation::Scan, mount, folder),
        };
        let judged = self.put_on_record(caller, question).await?;
        let lines = lines_of(judged.verdict, judged.material)?;
        let page = judged.page.and_then(|page| usize::try_from(page).ok());
        if page.is_some_and(|page| page < lines.len()) {
            let told = "a policy bounds how much of a folder is shown: name the secrets";
            return Err(Error::Invalid(told.to_owned()));
        }
        let mut paths = Vec::with_capacity(lines.len());
        for line in lines {
            let names = self.names_in(&line).await?;
            paths.extend(names.map(|names| names.path));
        }
        match paths.is_empty() {
            true => Err(Error::Invalid("there is nothing in a folder".to_owned())),
            false => Ok(paths),
        }
    }

    /// What a secret said at a moment, and what it says now; on record before anything is looked at.
    async fn past_of(
        &self,
        caller: &Caller,
        mount: &Mount,
        path: &str,
        (at, time): (Moment, Millis),
    ) -> Result<Found, Error> {
        let id = self.record(mount.id, path);
        let place = Place { mount, id, path };
        let past = match self.version_at(&id, at, time)? {
            Ok(past) => past,
            Err(why) => {
                // Whoever may not read it is not told why, either.
                self.may_read(caller, place).await?;
                return Ok(Found::Nothing(why));
            }
        };
        let (stored, version, data) =
            match self.open_restored(caller, place, Some(past.number)).await {
                Err(Error::Absent | Error::Erased) => return Ok(Found::Nothing(Why::Erased)),
                other => other?,
            };
        if version.key != past.key {
            return Err(Error::Refused(Refusal::Changed));
        }
        let (Some(data), current) = (data, stored.record.current) else {
            return Ok(Found::Nothing(Why::Erased));
        };
        let basis = Basis::of(Some(&stored.record));
        if current == version.number {
            return Ok(match version.is_deleted(self.now()) {
                false => Found::Current(current),
                true => Found::Past {
                    from: version.number,
                    basis,
                    cas: current,
                    data,
                },
            });
        }
        let cas = match self.open_restored(caller, place, None).await {
            Ok((_, now, Some(told)))
                if !now.is_deleted(self.now()) && told.expose() == data.expose() =>
            {
                return Ok(Found::Current(now.number));
            }
            Ok((_, now, _)) => now.number,
            // What cannot be read is not the same.
            Err(Error::Absent | Error::Erased) => current,
            Err(other) => return Err(other),
        };
        Ok(Found::Past {
            from: version.number,
            basis,
            cas,
            data,
        })
    }

    /// The version that was current at a moment, by what this node knows of the past: what comes now
    /// does not change it, but for erasing it.
    fn version_at(
        &self,
        id: &RecordId,
        at: Moment,
        time: Millis,
    ) -> Result<Result<Version, Why>, Error> {
        let view = self.keychain.view();
        let Some(stored) = view.stored_record(id)? else {
            return Ok(Err(Why::NoValue));
        };
        Ok(match view.at(id, &stored, at, time)? {
            Then::Version(version) => Ok(version),
            Then::Nothing => Err(Why::NoValue),
            Then::Deleted => Err(Why::Deleted),
            Then::Erased => Err(Why::Erased),
        })
    }

    async fn may_read(&self, caller: &Caller, place: Place<'_>) -> Result<(), Error> {
        let operation = Operation::RestoreData;
        let need = asked(operation, place.mount, place.path);
        let judged = self
            .ask_record(caller, place, None, operation, need)
            .await?;
        match judged.verdict {
            billfold_core::judge::Verdict::Denied => Err(Error::Denied),
            _ => Ok(()),
        }
    }

    async fn open_restored(
        &self,
        caller: &Caller,
        place: Place<'_>,
        version: Option<u32>,
    ) -> Result<(StoredRecord, Version, Option<SecretBytes>), Error> {
        let operation = Operation::RestoreData;
        let need = asked(operation, place.mount, place.path);
        let opened = self.resolve(caller, place, version, operation, need).await;
        opened.map(|(_, opened)| opened)
    }
}
