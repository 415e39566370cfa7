//! Writing a view: all that commits change, and the place that they lead to, in one batch.

use std::sync::PoisonError;

use billfold_core::{
    id::CommandId,
    state::{Change, Key, Value},
};
use billfold_streams::entropy::Os;

use super::{Error, Extras, Meta, Raw, StoredRecord, View, layout, source::Globals};

/// What is written at once: changed entries of the fold, changed keys beside them, and the place in the
/// log that this leads to.
pub(crate) struct Changes {
    pub(crate) entries: Vec<(Key, Change, Option<Extras>)>,
    pub(crate) raw: Raw,
    pub(crate) meta: Meta,
}

impl View {
    /// Writes all of it, or nothing.
    pub(crate) fn write(&self, changes: Changes, entropy: &mut Os) -> Result<(), Error> {
        let Changes { entries, raw, meta } = changes;
        let mut batch = sled::Batch::default();
        let mut commands_changed = false;
        let mut globals = Globals::default();
        for (key, change, extras) in entries {
            let at = layout::entry(&key);
            commands_changed |= matches!(key, Key::Command(_));
            if let Key::Command(id) = key {
                self.order_command(&mut batch, &id, change.now.as_ref().map(|(value, _)| value))?;
            }
            match change.now {
                None => batch.remove(at),
                Some((value, plain)) => {
                    let sealed = self.sealing.seal(&at, &plain, entropy);
                    batch.insert(
                        at,
                        match extras {
                            Some(extras) => StoredRecord::encode(sealed, &extras),
                            None => sealed,
                        },
                    );
                    match key {
                        Key::Wallet => globals.wallet = Some(value),
                        Key::Mounts => globals.mounts = Some(value),
                        Key::Policies => globals.policies = Some(value),
                        Key::Holds => globals.holds = Some(value),
                        Key::Record(_)
                        | Key::Page(_)
                        | Key::Command(_)
                        | Key::Token(_)
                        | Key::Cubbyhole(_)
                        | Key::TokenRoles
                        | Key::Erasure(_)
                        | Key::Epoch(_)
                        | Key::Grants => {}
                    }
                }
            }
        }
        for (key, value) in raw {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(
            layout::META,
            self.sealing.seal(layout::META, &meta.encode(), entropy),
        );
        self.tree.apply_batch(batch)?;
        self.publish(globals, meta);
        if commands_changed {
            self.find_oldest_command()
        } else {
            Ok(())
        }
    }

    /// Keeps the order of commands by time in step with their entries.
    fn order_command(
        &self,
        batch: &mut sled::Batch,
        id: &CommandId,
        now: Option<&Value>,
    ) -> Result<(), Error> {
        let time = |value: &Value| match value {
            Value::Command(command) => Some(command.time),
            _ => None,
        };
        let before = self.read(&Key::Command(*id))?;
        if let Some(time) = before.as_ref().and_then(time) {
            batch.remove(layout::command_by_time(time, id));
        }
        if let Some(time) = now.and_then(time) {
            batch.insert(layout::command_by_time(time, id), &[]);
        }
        Ok(())
    }

    fn publish(&self, changed: Globals, meta: Meta) {
        let mut globals = self.globals.write().unwrap_or_else(PoisonError::into_inner);
        globals.wallet = changed.wallet.or_else(|| globals.wallet.take());
        globals.mounts = changed.mounts.or_else(|| globals.mounts.take());
        globals.policies = changed.policies.or_else(|| globals.policies.take());
        globals.holds = changed.holds.or_else(|| globals.holds.take());
        drop(globals);
        *self.meta.write().unwrap_or_else(PoisonError::into_inner) = meta;
    }
}
