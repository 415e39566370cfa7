//! The life of one DEK: taken into use, rewrapped, given up, destroyed, gone from every copy.

use billfold_core::{
    commit::Entry,
    event::Event,
    id::Seq,
    keys::{
        keyring::{FIRST, KekVersion},
        page::KeyRef,
    },
};
use billfold_projector::chain::Opened;
use serde::Serialize;

use super::When;
use crate::{
    Error, Source, Walk,
    uses::{Owner, given_up, used},
};

/// The life of a DEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DekLife {
    /// Its id.
    pub key: String,
    /// What happened to it, in the order of the log.
    pub steps: Vec<DekStep>,
}

/// Something that happened to a DEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DekStep {
    /// Where in the log.
    #[serde(flatten)]
    pub when: When,
    /// The event that tells it.
    pub event: &'static str,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What can happen to a DEK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Happened {
    /// It sealed something.
    Used {
        /// What, by ids.
        owner: String,
        /// The KEK version that it was under.
        kek: KekVersion,
    },
    /// No more keys are drawn from its page.
    PageClosed,
    /// It is under another KEK version.
    Rewrapped {
        /// The one before.
        from: KekVersion,
        /// The new one.
        to: KekVersion,
    },
    /// Nothing live refers to it any more: it is to be destroyed.
    GivenUp,
    /// It is gone from the key store.
    Destroyed {
        /// The newest KEK version then: it may have wrapped it, and no newer one.
        newest: KekVersion,
    },
    /// That KEK version is destroyed, too.
    KekDestroyed,
    /// Another unseal generation is above the KEK versions, and what opens it does not open those
    /// before: it is gone from every copy, wherever that is.
    Complete,
}

/// The life of a DEK, by the whole log. `progress` is told each sequence and where it ends.
///
/// # Errors
/// When the log does not tell of such a key, is broken, or cannot be reached.
pub async fn dek(
    source: &Source,
    key: KeyRef,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<DekLife, Error> {
    let end = source.head().await?;
    let mut walk = Walk::start(source, end).await?;
    let mut story = Story::about(key);
    while let Some(opened) = walk.next().await? {
        story.go_on(&opened, &walk)?;
        walk.fold(&opened).await?;
        story.completed(&opened, &walk)?;
        progress(opened.seq, end);
    }
    if story.owner.is_none() {
        let told = format!("the log takes no key {key} into use");
        return Err(Error::Usage(told));
    }
    Ok(DekLife {
        key: key.to_string(),
        steps: story.steps,
    })
}

struct Story {
    key: KeyRef,
    /// The current KEK version.
    current: KekVersion,
    /// The one that the key is under, or the newest one that it may have been under.
    kek: KekVersion,
    owner: Option<Owner>,
    given_up: bool,
    destroyed: bool,
    kek_destroyed: bool,
    steps: Vec<DekStep>,
}

impl Story {
    const fn about(key: KeyRef) -> Self {
        Self {
            key,
            // The wallet's first key comes before the version that it is counted under.
            current: FIRST,
            kek: 0,
            owner: None,
            given_up: false,
            destroyed: false,
            kek_destroyed: false,
            steps: Vec::new(),
        }
    }

    /// What a commit tells; the walk has not folded it yet.
    fn go_on(&mut self, opened: &Opened, walk: &Walk) -> Result<(), Error> {
        for entry in &opened.entries {
            let mut happened = Vec::new();
            self.used(entry, &mut happened);
            self.gone(&entry.fact.event, walk, &mut happened)?;
            self.wrapped(&entry.fact.event, &mut happened);
            self.steps.extend(happened.into_iter().map(|what| DekStep {
                when: When::of(opened),
                event: entry.fact.event.name(),
                what,
            }));
        }
        Ok(())
    }

    fn used(&mut self, entry: &Entry, happened: &mut Vec<Happened>) {
        let mut uses = used(entry).into_iter();
        if let Some(found) = uses.find(|used| used.key == self.key) {
            self.kek = self.current;
            self.owner = Some(found.owner);
            happened.push(Happened::Used {
                owner: found.owner.to_string(),
                kek: self.kek,
            });
        }
    }

    fn gone(
        &mut self,
        event: &Event,
        walk: &Walk,
        happened: &mut Vec<Happened>,
    ) -> Result<(), Error> {
        let in_use = self.owner.is_some() && !self.given_up;
        let gives_up = in_use
            && match event {
                // The state does not have what the same commit did to the mount before.
                Event::MountDisabled(event) => self.owner == Some(Owner::Mount(event.mount)),
                other => given_up(other, walk.state())?.contains(&self.key),
            };
        if gives_up {
            self.given_up = true;
            happened.push(Happened::GivenUp);
        }
        if let Event::KeysDestroyed(event) = event
            && event.keys.contains(&self.key)
        {
            self.destroyed = true;
            // A rewrap may have written it under the newest one before the log knew of it.
            self.kek = self.current;
            happened.push(Happened::Destroyed { newest: self.kek });
        }
        Ok(())
    }

    fn wrapped(&mut self, event: &Event, happened: &mut Vec<Happened>) {
        match event {
            Event::KekCreated(event) => self.current = event.version,
            Event::KeyPageClosed(event) if event.page == self.key.page => {
                happened.push(Happened::PageClosed);
            }
            Event::KeysRewrapped(event)
                if self.owner.is_some()
                    && !self.destroyed
                    && event.pages.contains(&self.key.page) =>
            {
                let from = std::mem::replace(&mut self.kek, event.version);
                happened.push(Happened::Rewrapped {
                    from,
                    to: event.version,
                });
            }
            Event::KeksDestroyed(event)
                if self.destroyed && !self.kek_destroyed && self.kek <= event.version =>
            {
                self.kek_destroyed = true;
                happened.push(Happened::KekDestroyed);
            }
            _ => {}
        }
    }

    /// What the wallet says after a commit: it alone knows what opens old copies.
    fn completed(&mut self, opened: &Opened, walk: &Walk) -> Result<(), Error> {
        let replaced = |entry: &&Entry| matches!(entry.fact.event, Event::GenerationReplaced(_));
        let Some(replaced) = opened.entries.iter().find(replaced) else {
            return Ok(());
        };
        let complete = |step: &DekStep| step.what == Happened::Complete;
        let wallet = walk.state().wallet()?;
        let reached = wallet.is_some_and(|wallet| wallet.complete >= self.kek);
        if self.kek_destroyed && reached && !self.steps.iter().any(complete) {
            self.steps.push(DekStep {
                when: When::of(opened),
                event: replaced.fact.event.name(),
                what: Happened::Complete,
            });
        }
        Ok(())
    }
}
