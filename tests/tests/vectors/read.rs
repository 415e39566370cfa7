//! Runs a vector through the reader, and compares what was read with what the vector says.

use std::fmt;

use billfold_core::{
    Millis, cbor,
    commit::{self, CommitHash, Sealed},
    event::Fact,
    id::{CommandId, FactKeyId, MountId, PageId, RecordId, RequestId, Seq, WalletId},
    keys::{
        CheckpointSeed, CommandKey, Content, Dek, FactKey, FileKey, GenerationKey, IdKey, Kek,
        RequestNameKey, ShareKey, TokenMacKey, ViewKey, ViewWrapKey,
        keyring::{self, Keyring},
        page::Page,
        wallet::{Epoch, WalletKeys},
    },
    names::{self, ErasureNames, HoldNames, MountNames, Names, RequestNames},
    proof::{Frontier, Hash, KeyName, Signer, Statement, leaf::Leaves},
    seal::Place,
    state::{At, Digest, Memory, State},
    subject::Generation,
    test_entropy::Counter,
};
use bytes::Bytes;

use crate::{
    bundles, diagnostic::notation, facts, file::Vector, grants, handed_over, notes, shares,
};

/// How reading ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Success,
    /// The bytes are not in this format, or belong to another place by what they say themselves.
    ParseFailure,
    /// They are in this format, but do not open, or hold what is not known.
    OpenFailure,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::ParseFailure => "parse failure",
            Self::OpenFailure => "open failure",
        })
    }
}

pub(crate) type Read = Result<(), Outcome>;

pub(crate) fn read(area: &str, vector: &Vector) -> Outcome {
    let read = match area {
        "commit" => commit(vector),
        "derived" => derived(vector),
        "digest" => digest(vector),
        "fact" => fact(vector),
        "grant" => grants::read(vector),
        "keyring" => keyring(vector),
        "names" => names(vector),
        "note" => notes::read(vector),
        "page" => page(vector),
        "bundle" => bundles::read(vector),
        "receipt" => handed_over::read(vector),
        "recovery" => shares::read_recovery(vector),
        "sealed" => sealed(vector),
        "share" => shares::read_share(vector),
        "shared-generation" => shares::read_shared_generation(vector),
        "wallet-keys" => wallet_keys(vector),
        other => panic!("no reader for {other}"),
    };
    read.err().unwrap_or(Outcome::Success)
}

fn sealed(vector: &Vector) -> Read {
    let key = vector.fixed("key");
    let generic = vector.all("place").fold(Place::new(), |place, part| {
        place.and(&hex::decode(part).unwrap())
    });
    for place in [Some(generic), place_of(vector)].into_iter().flatten() {
        let (place, bytes) = (&place, vector.body.as_slice());
        let opened = match vector.one("label") {
            "billfold v1 payload" => {
                Dek::danger_from_bytes(&key).open(Content::Payload, place, bytes)
            }
            "billfold v1 names" => Dek::danger_from_bytes(&key).open(Content::Names, place, bytes),
            "billfold v1 fact" => FactKey::danger_from_bytes(&key).open(place, bytes),
            "billfold v1 request names" => {
                RequestNameKey::danger_from_bytes(&key).open(place, bytes)
            }
            "billfold v1 unseal generation" => FileKey::danger_from_bytes(&key).open(place, bytes),
            "billfold v1 shared unseal generation" => {
                ShareKey::danger_from_bytes(&key).open(place, bytes)
            }
            "billfold v1 kek" => GenerationKey::danger_from_bytes(&key).open(place, bytes),
            "billfold v1 view key" => ViewWrapKey::danger_from_bytes(&key).open(place, bytes),
            "billfold v1 view value" => ViewKey::danger_from_bytes(&key).open(place, bytes),
            other => panic!("no key for {other}"),
        };
        let plaintext = opened.map_err(|_| Outcome::OpenFailure)?;
        assert_eq!(plaintext.expose(), vector.hex("plaintext"));
    }
    Ok(())
}

/// The place of a ciphertext that names the function which gives it.
fn place_of(vector: &Vector) -> Option<Place> {
    let id = |key| vector.fixed::<16>(key);
    let version = || vector.one("version").parse().unwrap();
    let wallet = || WalletId::from_bytes(id("wallet"));
    let record = || RecordId::from_bytes(id("record"));
    Some(match vector.all("place-of").next()? {
        "payload" => names::payload_place(wallet(), record(), version()),
        "names" => names::names_place(wallet(), record(), version()),
        "mount names" => names::mount_names_place(wallet(), MountId::from_bytes(id("mount"))),
        "request names" => names::request_names_place(
            wallet(),
            FactKeyId::from_bytes(id("fact-key")),
            RequestId::from_bytes(id("request")),
        ),
        other => panic!("no place of {other}"),
    })
}

fn fact(vector: &Vector) -> Read {
    let found = Fact::decode(&vector.body).map_err(|_| Outcome::ParseFailure)?;
    assert_eq!(found.encode(), vector.body);
    assert_eq!(found.event.kind().to_string(), vector.one("kind"));
    assert_eq!(found.event.name(), vector.one("event"));
    assert_eq!(notation(&vector.body).unwrap(), vector.one("notation"));
    // Which bytes belong to which field.
    let known = facts::all();
    let expected = known.iter().find(|(name, _)| *name == vector.one("fact"));
    assert_eq!(found, expected.unwrap().1);
    Ok(())
}

fn names(vector: &Vector) -> Read {
    let bytes = &vector.body;
    let again = match vector.one("type") {
        "record" => cbor::decode::<Names>(bytes).map(|names| cbor::encode(&names)),
        "mount" => cbor::decode::<MountNames>(bytes).map(|names| cbor::encode(&names)),
        "erasure" => cbor::decode::<ErasureNames>(bytes).map(|names| cbor::encode(&names)),
        "hold" => cbor::decode::<HoldNames>(bytes).map(|names| cbor::encode(&names)),
        "request" => cbor::decode::<RequestNames>(bytes).map(|names| cbor::encode(&names)),
        other => panic!("no names of a {other}"),
    };
    assert_eq!(again.map_err(|_| Outcome::ParseFailure)?, *bytes);
    assert_eq!(notation(bytes).unwrap(), vector.one("notation"));
    Ok(())
}

fn commit(vector: &Vector) -> Read {
    let epochs: Vec<Epoch> = vector.all("fact-key").map(epoch).collect();
    let bytes = Bytes::from(vector.body.clone());
    let sealed = Sealed::parse(&bytes).map_err(|_| Outcome::ParseFailure)?;
    let entries = sealed
        .open(|id| epochs.iter().find(|epoch| epoch.id == *id))
        .map_err(|_| Outcome::OpenFailure)?;
    let header = &sealed.header;
    assert_eq!(header.wallet.to_string(), vector.one("wallet"));
    assert_eq!(header.subject.to_string(), vector.one("subject"));
    assert_eq!(*header.previous.as_bytes(), vector.fixed("previous"));
    assert_eq!(header.writer.to_string(), vector.one("writer"));
    assert_eq!(header.time.0.to_string(), vector.one("time"));
    assert_eq!(*CommitHash::of(&bytes).as_bytes(), vector.fixed("hash"));
    let found: Vec<_> = entries.iter().map(describe).collect();
    assert_eq!(found, vector.all("entry").collect::<Vec<_>>());
    let stated: Vec<_> = sealed.statements().iter().map(describe_statement).collect();
    assert_eq!(stated, vector.all("statement").collect::<Vec<_>>());
    Ok(())
}

/// A statement of a commit in a line: its number, then its note.
pub(crate) fn describe_statement(statement: &Statement) -> String {
    let (number, note) = match statement {
        Statement::Checkpoint(note) => (1, note),
        Statement::KeyChange(note) => (2, note),
    };
    format!("{number} {}", hex::encode(note))
}

/// An entry of a commit in a line: the plain fact, then names and payload.
pub(crate) fn describe(entry: &commit::Entry) -> String {
    let part = |bytes: &Option<Bytes>| bytes.as_ref().map_or("none".to_owned(), hex::encode);
    let fact = hex::encode(entry.fact.encode());
    format!("{fact} {} {}", part(&entry.names), part(&entry.payload))
}

fn epoch(line: &str) -> Epoch {
    let parts: Vec<_> = line.split(' ').collect();
    let key = |at: usize| -> [u8; 32] { hex::decode(parts[at]).unwrap().try_into().unwrap() };
    Epoch {
        id: parts[0].parse().unwrap(),
        number: parts[1].parse().unwrap(),
        facts: FactKey::danger_from_bytes(&key(2)),
        request_names: RequestNameKey::danger_from_bytes(&key(3)),
    }
}

fn numbered(line: &str) -> (u32, [u8; 32]) {
    let (number, key) = line.split_once(' ').unwrap();
    let key = hex::decode(key).unwrap().try_into().unwrap();
    (number.parse().unwrap(), key)
}

fn keks(vector: &Vector) -> Vec<(u32, Kek)> {
    let keks = vector.all("kek").map(numbered);
    keks.map(|(version, key)| (version, Kek::danger_from_bytes(&key)))
        .collect()
}

fn failure(error: keyring::Error) -> Outcome {
    match error {
        keyring::Error::Unopened | keyring::Error::NoKek(_) => Outcome::OpenFailure,
        _ => Outcome::ParseFailure,
    }
}

/// Two keys are the same when they seal to the same bytes.
macro_rules! same {
    ($a:expr, $b:expr $(, $content:expr)?) => {{
        let (nowhere, plain) = (Place::new(), b"");
        assert_eq!(
            $a.seal($($content,)? &nowhere, plain, &mut Counter::new(0)),
            $b.seal($($content,)? &nowhere, plain, &mut Counter::new(0)),
        );
    }};
}

pub(crate) use same;

fn page(vector: &Vector) -> Read {
    let keks = keks(vector);
    let wallet = WalletId::from_bytes(vector.fixed("wallet"));
    let id = PageId::from_bytes(vector.fixed("page"));
    let page = Page::unwrap(wallet, id, &vector.body, |version| {
        keks.iter()
            .find(|(known, _)| *known == version)
            .map(|(_, kek)| kek)
    })
    .map_err(failure)?;
    assert_eq!(page.owner.to_string(), vector.one("owner"));
    assert_eq!(page.made.0.to_string(), vector.one("made"));
    assert_eq!(page.slots().len().to_string(), vector.one("keys"));
    for (slot, key) in vector.all("key").map(numbered) {
        let found = page.key(slot.try_into().unwrap()).unwrap();
        same!(found, Dek::danger_from_bytes(&key), Content::Payload);
    }
    for slot in vector.all("no-key") {
        assert!(page.key(slot.parse().unwrap()).is_none());
    }
    Ok(())
}

fn wallet_keys(vector: &Vector) -> Read {
    let keks = keks(vector);
    let wallet = WalletId::from_bytes(vector.fixed("wallet"));
    let found = WalletKeys::unwrap(wallet, &vector.body, |version| {
        keks.iter()
            .find(|(known, _)| *known == version)
            .map(|(_, kek)| kek)
    })
    .map_err(failure)?;
    let record = |key: &IdKey| key.record(MountId::default(), "path");
    let id = IdKey::danger_from_bytes(&vector.fixed("id-key"));
    assert_eq!(record(&found.id), record(&id));
    same!(
        found.view,
        ViewWrapKey::danger_from_bytes(&vector.fixed("view-key"))
    );
    let token = TokenMacKey::danger_from_bytes(&vector.fixed("token-mac-key"));
    assert!(token.mac(b"t").matches(&found.token_mac.mac(b"t")));
    let command = CommandKey::danger_from_bytes(&vector.fixed("command-key"));
    assert_eq!(command.fingerprint(b"c"), found.command.fingerprint(b"c"));
    let signs = |seed: &CheckpointSeed| {
        let origin = KeyName::origin(wallet, Generation::FIRST);
        Signer::of_checkpoints(origin, seed).verifier()
    };
    for (line, found) in [
        ("checkpoint-seed", &found.checkpoint),
        ("next-checkpoint-seed", &found.next_checkpoint),
    ] {
        let seed = CheckpointSeed::danger_from_bytes(&vector.fixed(line));
        assert_eq!(signs(&seed), signs(found));
    }
    let epochs: Vec<_> = vector.all("epoch").map(epoch).collect();
    assert_eq!(epochs.len(), found.epochs.len());
    for (epoch, found) in epochs.iter().zip(&found.epochs) {
        assert_eq!((epoch.id, epoch.number), (found.id, found.number));
        same!(epoch.facts, found.facts);
        same!(epoch.request_names, found.request_names);
    }
    Ok(())
}

fn keyring(vector: &Vector) -> Read {
    let keyring = Keyring::decode(&vector.body).map_err(failure)?;
    let file = FileKey::danger_from_bytes(&vector.fixed("file-key"));
    let generation = file
        .open_generation(keyring.generation_id(), &keyring.wrapped_generation)
        .map_err(|_| Outcome::OpenFailure)?;
    let keks = keyring.open(&generation).map_err(failure)?;
    assert_eq!(keyring.encode(), vector.body);
    assert_eq!(keyring.wallet.to_string(), vector.one("wallet"));
    assert_eq!(keyring.generation.to_string(), vector.one("generation"));
    assert_eq!(keyring.manager, vector.one("manager"));
    let expected = GenerationKey::danger_from_bytes(&vector.fixed("generation-key"));
    same!(generation, expected);
    same!(keyring.take_over(&keks).map_err(failure)?, expected);
    let reach = keyring.reach();
    assert_eq!(reach.oldest.to_string(), vector.one("oldest"));
    assert_eq!(reach.back_to.to_string(), vector.one("back-to"));
    let earlier = reach.earlier.iter().map(|earlier| {
        let wrapped = hex::encode(&earlier.wrapped);
        format!("{} {wrapped} {}", earlier.number, earlier.oldest)
    });
    assert!(earlier.eq(vector.all("earlier").map(str::to_owned)));
    let listed: Vec<_> = vector.all("kek").map(numbered).collect();
    let versions: Vec<_> = listed.iter().map(|(version, _)| *version).collect();
    assert_eq!(keyring.versions().collect::<Vec<_>>(), versions);
    for (version, bytes) in &listed {
        // A KEK opens what was wrapped under it, and nothing else does.
        let (id, kek) = (PageId::default(), keks.get(*version).unwrap());
        let page = Page::generate(id, Default::default(), Millis(0), 1, &mut Counter::new(0));
        let wrapped = page.wrap(keyring.wallet, kek, &mut Counter::new(1));
        let expected = Kek::danger_from_bytes(bytes);
        assert!(Page::unwrap(keyring.wallet, id, &wrapped, |_| Some(&expected)).is_ok());
    }
    Ok(())
}

/// What is computed from keys and inputs: the body is the result.
fn derived(vector: &Vector) -> Read {
    let inputs: Vec<_> = vector
        .all("input")
        .map(|part| hex::decode(part).unwrap())
        .collect();
    let text = |at: usize| std::str::from_utf8(&inputs[at]).unwrap();
    let id = |at: usize| -> [u8; 16] { inputs[at].as_slice().try_into().unwrap() };
    let key = || vector.fixed("key");
    let found = match vector.one("function") {
        "record id" => {
            let mount = MountId::from_bytes(id(0));
            let record = IdKey::danger_from_bytes(&key()).record(mount, text(1));
            record.as_bytes().to_vec()
        }
        "folder id" => {
            let mount = MountId::from_bytes(id(0));
            let folder = IdKey::danger_from_bytes(&key()).folder(mount, text(1));
            folder.as_bytes().to_vec()
        }
        "mount path" => {
            let path = IdKey::danger_from_bytes(&key()).mount_path(text(0));
            path.as_bytes().to_vec()
        }
        "token mac" => {
            let mac = TokenMacKey::danger_from_bytes(&key()).mac(&inputs[0]);
            mac.as_bytes().to_vec()
        }
        "command fingerprint" => {
            let print = CommandKey::danger_from_bytes(&key()).fingerprint(&inputs[0]);
            print.to_vec()
        }
        "view segment" => {
            let segment = ViewKey::danger_from_bytes(&key()).segment(&id(0), text(1));
            segment.to_vec()
        }
        "command time" => {
            let made = CommandId::from_bytes(id(0)).made_at().unwrap();
            made.0.to_be_bytes().to_vec()
        }
        "ciphertext hash" => commit::ciphertext_hash(&inputs[0]).to_vec(),
        "leaf hash" => {
            let number = |at: usize| u64::from_be_bytes(inputs[at].as_slice().try_into().unwrap());
            let generation = Generation(number(1).try_into().unwrap());
            let leaves = Leaves::of(WalletId::from_bytes(id(0)), generation);
            let subject = text(3).parse().unwrap();
            let leaf = leaves.hash(Seq(number(2)), &subject, &inputs[4]);
            leaf.as_bytes().to_vec()
        }
        "tree root" => {
            let mut tree = Frontier::default();
            let mut leaves = inputs.iter().map(|input| Hash::leaf(input));
            leaves
                .by_ref()
                .for_each(|leaf| tree.append(leaf, |_, _| ()));
            tree.root().as_bytes().to_vec()
        }
        "commit hash" => CommitHash::of(&inputs[0]).as_bytes().to_vec(),
        other => panic!("no function {other}"),
    };
    assert_eq!(found, vector.body);
    Ok(())
}

/// A log, and what it folds to: the body is the digest.
fn digest(vector: &Vector) -> Read {
    let (digest, entries) = fold(vector);
    assert_eq!(digest.to_string(), hex::encode(&vector.body));
    assert_eq!(entries, vector.all("entry").collect::<Vec<_>>());
    Ok(())
}

/// The digest of a vector's commits, and the entries of the state.
pub(crate) fn fold(vector: &Vector) -> (Digest, Vec<String>) {
    let mut view = Memory::default();
    let mut digest = Digest::default();
    for line in vector.all("commit") {
        let mut parts = line.split(' ');
        let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
        let (seq, at) = (
            Seq(number()),
            At {
                time: Millis(number()),
            },
        );
        let mut state = State::over(&view, digest);
        let Ok(()) = state.begin_commit(at);
        for fact in parts {
            let fact = Fact::decode(&hex::decode(fact).unwrap()).unwrap();
            state.apply(at, &fact).unwrap();
        }
        let changes = state.finish_commit(seq);
        digest = state.digest();
        view.absorb(changes);
    }
    let entries = view.entries().map(|(key, value)| {
        format!(
            "{} {}",
            hex::encode(key.encode()),
            hex::encode(value.encode())
        )
    });
    let entries = entries.collect();
    (digest, entries)
}
