//! The life of every KEK version: made, used, left for a later one, retired, destroyed.

use std::collections::HashMap;

use billfold_core::{
    event::Event,
    id::{PageId, Seq},
    keys::keyring::{FIRST, KekVersion},
    state::key_status::{KekState, KeyStatus},
};
use billfold_projector::chain::Opened;
use serde::Serialize;

use super::When;
use crate::{Error, Source, Walk, uses::used};

/// The wallet's KEK versions and unseal generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Keks {
    /// The last decided sequence that it comes of.
    pub sequence: Seq,
    /// The unseal generations, oldest first.
    pub generations: Vec<GenerationLife>,
    /// The KEK versions, oldest first.
    pub versions: Vec<KekLife>,
}

/// An unseal generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationLife {
    /// Its number.
    pub generation: u32,
    /// Its key manager.
    pub provider: String,
    /// Since when it wraps the KEK versions.
    pub made: When,
}

/// The life of a KEK version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KekLife {
    /// Its number.
    pub version: KekVersion,
    /// What can be done with it now.
    pub state: KekState,
    /// The unseal generation that wraps it, or wrapped it last.
    pub generation: u32,
    /// The key manager of that generation.
    pub provider: String,
    /// When it was made.
    pub made: When,
    /// Keys that were taken into use under it.
    pub used: Span,
    /// Keys that came to it from an older version.
    pub taken_over: Span,
    /// Keys that went on to a newer version.
    pub rewrapped: Span,
    /// Keys that were destroyed while it was the newest: it may have wrapped them, and no newer one.
    pub erased: Span,
    /// Keys under it that something live refers to.
    pub live: u64,
    /// Keys under it that are to be destroyed.
    pub dying: u64,
    /// When it was to be destroyed.
    pub retired: Option<When>,
    /// When it was destroyed.
    pub destroyed: Option<When>,
}

/// How many keys something happened to, and from when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Span {
    /// So many keys.
    pub keys: u64,
    /// The first time.
    pub first: Option<When>,
    /// The last time.
    pub last: Option<When>,
}

impl Span {
    fn add(&mut self, keys: u64, when: When) {
        self.keys += keys;
        self.first = self.first.or(Some(when));
        self.last = Some(when);
    }
}

/// The life of every KEK version, by the whole log. `progress` is told each sequence and where it
/// ends.
///
/// # Errors
/// When the log is broken or cannot be reached.
pub async fn keks(
    source: &Source,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Keks, Error> {
    let end = source.head().await?;
    let mut walk = Walk::start(source, end).await?;
    let mut story = Story::default();
    while let Some(opened) = walk.next().await? {
        walk.fold(&opened).await?;
        story.go_on(&opened);
        progress(opened.seq, end);
    }
    let wallet = walk.state().wallet()?;
    let status = wallet.as_deref().map(KeyStatus::of);
    Ok(story.tell(walk.head().seq, status))
}

/// What the log told so far.
#[derive(Default)]
struct Story {
    generations: Vec<GenerationLife>,
    versions: Vec<Chapter>,
    /// The KEK version of each page that keys were drawn from, and how many it holds.
    pages: HashMap<PageId, (KekVersion, u64)>,
}

struct Chapter {
    version: KekVersion,
    made: When,
    used: Span,
    taken_over: Span,
    rewrapped: Span,
    erased: Span,
    retired: Option<When>,
    destroyed: Option<When>,
}

impl Story {
    /// What a commit tells; it was folded already, so it fits.
    fn go_on(&mut self, opened: &Opened) {
        let when = When::of(opened);
        for entry in &opened.entries {
            self.event(&entry.fact.event, when);
            for used in used(entry) {
                // The wallet's first key comes before the version that it is counted under.
                let current = self.versions.last().map_or(FIRST, |kek| kek.version);
                let (kek, held) = self.pages.entry(used.key.page).or_insert((current, 0));
                *held += 1;
                let kek = *kek;
                self.chapter(kek, when).used.add(1, when);
            }
        }
    }

    fn event(&mut self, event: &Event, when: When) {
        match event {
            Event::KekCreated(event) => {
                self.chapter(event.version, when);
                self.generation(event.generation, &event.manager, when);
            }
            Event::GenerationReplaced(event) => {
                self.generation(event.generation, &event.manager, when);
            }
            Event::KeysDestroyed(event) => {
                for key in &event.keys {
                    if let Some((_, held)) = self.pages.get_mut(&key.page) {
                        *held = held.saturating_sub(1);
                    }
                    if let Some(newest) = self.versions.last_mut() {
                        newest.erased.add(1, when);
                    }
                }
            }
            Event::KeysRewrapped(event) => {
                for page in &event.pages {
                    let Some((kek, held)) = self.pages.get_mut(page) else {
                        continue;
                    };
                    let (before, held) = (std::mem::replace(kek, event.version), *held);
                    self.chapter(before, when).rewrapped.add(held, when);
                    let now = self.chapter(event.version, when);
                    now.taken_over.add(held, when);
                }
            }
            Event::KeksRetired(event) => {
                for kek in self.up_to(event.version) {
                    kek.retired = kek.retired.or(Some(when));
                }
            }
            Event::KeksDestroyed(event) => {
                for kek in self.up_to(event.version) {
                    kek.destroyed = kek.destroyed.or(Some(when));
                }
            }
            _ => {}
        }
    }

    /// A KEK version; the first one may be used before the event that makes it.
    fn chapter(&mut self, version: KekVersion, when: When) -> &mut Chapter {
        let at = self.versions.iter().position(|kek| kek.version == version);
        let at = at.unwrap_or_else(|| {
            self.versions.push(Chapter {
                version,
                made: when,
                used: Span::default(),
                taken_over: Span::default(),
                rewrapped: Span::default(),
                erased: Span::default(),
                retired: None,
                destroyed: None,
            });
            self.versions.len() - 1
        });
        #[allow(
            clippy::indexing_slicing,
            reason = "it was found or put there just now"
        )]
        &mut self.versions[at]
    }

    fn up_to(&mut self, version: KekVersion) -> impl Iterator<Item = &mut Chapter> {
        let versions = self.versions.iter_mut();
        versions.filter(move |kek| kek.version <= version)
    }

    fn generation(&mut self, generation: u32, provider: &str, made: When) {
        let newest = self.generations.last().map_or(0, |last| last.generation);
        if self.generations.is_empty() || generation > newest {
            self.generations.push(GenerationLife {
                generation,
                provider: provider.to_owned(),
                made,
            });
        }
    }

    fn tell(self, sequence: Seq, status: Option<KeyStatus>) -> Keks {
        let mut known = status.map(|status| status.versions).unwrap_or_default();
        let mut versions = Vec::with_capacity(self.versions.len());
        for chapter in self.versions {
            let at = known.iter().position(|kek| kek.version == chapter.version);
            let Some(now) = at.map(|at| known.swap_remove(at)) else {
                continue;
            };
            versions.push(KekLife {
                version: chapter.version,
                state: now.state,
                generation: now.generation,
                provider: now.provider,
                made: chapter.made,
                used: chapter.used,
                taken_over: chapter.taken_over,
                rewrapped: chapter.rewrapped,
                erased: chapter.erased,
                live: now.live,
                dying: now.dying,
                retired: chapter.retired,
                destroyed: chapter.destroyed,
            });
        }
        Keks {
            sequence,
            generations: self.generations,
            versions,
        }
    }
}
