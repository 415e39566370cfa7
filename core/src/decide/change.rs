//! Deciding one change of one secret. The rules of versions are those of the Vault KV engine.

use bytes::Bytes;

use crate::{
    Millis, SecretBytes, cbor,
    command::{Basis, Change, NewNames, What},
    decide::{Deciding, Error, Refusal, Sealer},
    event::{
        Event, SealedRef,
        v1::{self, MountKind, Retired, Settings},
    },
    keys::page::KeyRef,
    names::{Names, names_place, payload_place},
    state::{DEFAULT_MAX_VERSIONS, Mount, Record, Source, Version, keys_of},
};

/// How many versions fall off with one write: after a hold there may be more than a commit can name.
const TRIMMED_AT_ONCE: usize = 1024;

/// New names for a record, sealed; and the key of those before.
type Renamed = (Option<(SealedRef, Bytes)>, Option<KeyRef>);

impl<S: Source> Deciding<'_, S> {
    /// Decides one change and returns the version that it wrote, or 0.
    pub(super) fn change(
        &mut self,
        change: &Change,
        sealer: &mut Sealer<'_>,
    ) -> Result<u32, Error<S::Error>> {
        let mount = self.require_mount(&change.mount)?;
        let record = self.state.record(&change.record).map_err(Error::Source)?;
        if record
            .as_ref()
            .is_some_and(|record| record.mount != change.mount)
        {
            return Err(Refusal::NoMount.into());
        }
        match (&change.what, record) {
            (
                What::Put {
                    cas,
                    basis,
                    payload,
                    names,
                },
                record,
            ) => {
                let current = record.as_ref().map_or(0, |record| record.current);
                if basis.is_some_and(|basis| basis != current) {
                    return Err(Refusal::Changed.into());
                }
                return self.put(
                    change,
                    &mount,
                    record.as_ref(),
                    // Whoever worked it out from a version says which one it follows.
                    cas.or(*basis),
                    payload,
                    names,
                    sealer,
                );
            }
            (
                What::ChangeMetadata {
                    basis,
                    metadata_cas,
                    settings,
                    names,
                },
                record,
            ) => {
                follows(&mount, record.as_ref(), *metadata_cas)?;
                if basis.is_some_and(|basis| basis != Basis::of(record.as_ref())) {
                    return Err(Refusal::Changed.into());
                }
                let before = record.as_ref().map(|record| record.settings);
                let settings = settings.over(before.unwrap_or_default());
                self.change_metadata(change, &mount, record.as_ref(), settings, names, sealer)?;
            }
            (
                What::Restore {
                    version,
                    basis,
                    cas,
                    payload,
                },
                record,
            ) => {
                let there = record.as_ref().and_then(|record| record.version(*version));
                let erased = there.is_none_or(|version| version.destroyed);
                // What was erased since must not come back.
                if erased || *basis != Basis::of(record.as_ref()) {
                    return Err(Refusal::Changed.into());
                }
                let kept = NewNames::IfNew(Names::default());
                let record = record.as_ref();
                // It says which version it follows: the current one, whichever that is by now.
                let cas = cas.or_else(|| record.map(|record| record.current));
                return self.put(change, &mount, record, cas, payload, &kept, sealer);
            }
            // What does not exist needs no deleting.
            (_, None) => {}
            (What::DeleteCurrent, Some(record)) => {
                self.delete(change, &record, &[record.current])?
            }
            (What::Delete(versions), Some(record)) => self.delete(change, &record, versions)?,
            (What::Undelete(versions), Some(record)) => self.undelete(change, &record, versions)?,
            (What::Destroy(versions), Some(record)) => self.destroy(change, &record, versions)?,
            (What::DeleteMetadata, Some(record)) => {
                self.refuse_if_held(change.mount, change.record, &change.folders)?;
                let event = v1::MetadataDeleted {
                    record: change.record,
                    keys: keys_of(&record),
                };
                self.happen(Event::MetadataDeleted(event), None, None)?;
            }
        }
        Ok(0)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one write, taken apart once"
    )]
    fn put(
        &mut self,
        change: &Change,
        mount: &Mount,
        record: Option<&Record>,
        cas: Option<u32>,
        payload: &SecretBytes,
        names: &NewNames,
        sealer: &mut Sealer<'_>,
    ) -> Result<u32, Error<S::Error>> {
        let settings = effective(mount, record.map(|record| record.settings));
        let current = record.map_or(0, |record| record.current);
        match cas {
            Some(cas) if cas != current => return Err(Refusal::CasMismatch.into()),
            None if settings.cas_required => return Err(Refusal::CasRequired.into()),
            _ => {}
        }
        let version = current.checked_add(1).ok_or(Refusal::LastVersion)?;
        let place = payload_place(sealer.wallet(), change.record, version);
        let (payload, payload_bytes) = sealer.payload(self.state, &place, payload.expose())?;
        let (renamed, retired_names) = self.rename(change, record, version, names, sealer)?;
        let (names, names_bytes) = renamed.unzip();
        let kept = record.map_or(&[][..], |record| &record.versions);
        let event = v1::CredentialWritten {
            record: change.record,
            mount: change.mount,
            version,
            payload,
            names,
            retired_names,
            deletes_at: (settings.delete_version_after > 0)
                .then(|| self.now().plus(settings.delete_version_after)),
            trimmed: self.trimmed(change, kept, settings.max_versions, 1)?,
        };
        self.happen(
            Event::CredentialWritten(event),
            names_bytes,
            Some(payload_bytes),
        )?;
        Ok(version)
    }

    fn change_metadata(
        &mut self,
        change: &Change,
        mount: &Mount,
        record: Option<&Record>,
        settings: Settings,
        names: &NewNames,
        sealer: &mut Sealer<'_>,
    ) -> Result<(), Error<S::Error>> {
        let current = record.map_or(0, |record| record.current);
        let (renamed, retired_names) = self.rename(change, record, current, names, sealer)?;
        let (names, names_bytes) = renamed.unzip();
        let kept = record.map_or(&[][..], |record| &record.versions);
        let max = effective(mount, Some(settings)).max_versions;
        let event = v1::MetadataChanged {
            record: change.record,
            mount: change.mount,
            settings,
            names,
            retired_names,
            trimmed: self.trimmed(change, kept, max, 0)?,
        };
        self.happen(Event::MetadataChanged(event), names_bytes, None)
    }

    fn rename(
        &self,
        change: &Change,
        record: Option<&Record>,
        version: u32,
        names: &NewNames,
        sealer: &mut Sealer<'_>,
    ) -> Result<Renamed, Error<S::Error>> {
        let names = match (record, names) {
            (Some(_), NewNames::IfNew(_)) => return Ok((None, None)),
            (_, NewNames::IfNew(names) | NewNames::Replace(names)) => names,
        };
        let place = names_place(sealer.wallet(), change.record, version);
        let sealed = sealer.names(self.state, &place, &cbor::encode(names))?;
        // Each writing has a key of its own, so that old names are erased with theirs.
        Ok((Some(sealed), record.map(|record| record.names.key)))
    }

    fn delete(
        &mut self,
        change: &Change,
        record: &Record,
        versions: &[u32],
    ) -> Result<(), Error<S::Error>> {
        let now: Millis = self.now();
        let versions = chosen(record, versions, |version| {
            !version.destroyed && !version.is_deleted(now)
        });
        if versions.is_empty() {
            return Ok(());
        }
        let event = v1::VersionsDeleted {
            record: change.record,
            versions,
        };
        self.happen(Event::VersionsDeleted(event), None, None)
    }

    fn undelete(
        &mut self,
        change: &Change,
        record: &Record,
        versions: &[u32],
    ) -> Result<(), Error<S::Error>> {
        let versions = chosen(record, versions, |version| {
            !version.destroyed && version.deletion.is_some()
        });
        if versions.is_empty() {
            return Ok(());
        }
        let event = v1::VersionsUndeleted {
            record: change.record,
            versions,
        };
        self.happen(Event::VersionsUndeleted(event), None, None)
    }

    fn destroy(
        &mut self,
        change: &Change,
        record: &Record,
        versions: &[u32],
    ) -> Result<(), Error<S::Error>> {
        let versions: Vec<Retired> = chosen(record, versions, |version| !version.destroyed)
            .into_iter()
            .filter_map(|number| record.version(number))
            .map(retired)
            .collect();
        if versions.is_empty() {
            return Ok(());
        }
        self.refuse_if_held(change.mount, change.record, &change.folders)?;
        let event = v1::VersionsDestroyed {
            record: change.record,
            versions,
        };
        self.happen(Event::VersionsDestroyed(event), None, None)
    }

    /// The versions that fall off the end when `new` more are written: none of a record that is held.
    fn trimmed(
        &self,
        change: &Change,
        versions: &[Version],
        max: u32,
        new: usize,
    ) -> Result<Vec<Retired>, Error<S::Error>> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let surplus = (versions.len() + new).saturating_sub(max);
        if surplus == 0 || self.is_held(change.mount, change.record, &change.folders)? {
            return Ok(Vec::new());
        }
        let falling = versions.iter().take(surplus.min(TRIMMED_AT_ONCE));
        Ok(falling.map(retired).collect())
    }
}

/// Whether a change of metadata comes behind the one that it says.
fn follows(mount: &Mount, record: Option<&Record>, cas: Option<u32>) -> Result<(), Refusal> {
    let settings = effective(mount, record.map(|record| record.settings));
    match (cas, record) {
        (None, _) if settings.metadata_cas_required => Err(Refusal::MetadataCasRequired),
        (Some(1..), None) => Err(Refusal::MetadataCasNew),
        (Some(cas), Some(record)) if cas != record.metadata_version => {
            Err(Refusal::MetadataCasMismatch)
        }
        (_, Some(record)) if record.metadata_version == u32::MAX => Err(Refusal::LastVersion),
        _ => Ok(()),
    }
}

/// What counts for a record: of its own and its mount's word the larger number of versions, the
/// shorter time that is set, and a check that either asks for. So does the KV engine of OpenBao.
#[must_use]
pub(crate) fn effective(mount: &Mount, own: Option<Settings>) -> Settings {
    if mount.kind == MountKind::KvV1 {
        // Each write replaces the one before.
        return Settings {
            max_versions: 1,
            ..Settings::default()
        };
    }
    let (own, mount) = (own.unwrap_or_default(), mount.settings);
    let times = [own.delete_version_after, mount.delete_version_after];
    Settings {
        max_versions: match own.max_versions.max(mount.max_versions) {
            0 => DEFAULT_MAX_VERSIONS,
            max => max,
        },
        cas_required: own.cas_required || mount.cas_required,
        delete_version_after: times.into_iter().filter(|t| *t > 0).min().unwrap_or(0),
        metadata_cas_required: own.metadata_cas_required || mount.metadata_cas_required,
    }
}

pub(super) const fn retired(version: &Version) -> Retired {
    Retired {
        version: version.number,
        key: version.key,
    }
}

/// Those of the asked-for versions that exist and fit, each once, in order.
fn chosen(record: &Record, asked: &[u32], fits: impl Fn(&Version) -> bool) -> Vec<u32> {
    let found = record
        .versions
        .iter()
        .filter(|version| asked.contains(&version.number));
    found
        .filter(|version| fits(version))
        .map(|version| version.number)
        .collect()
}
