//! A wallet in a temporary folder, and what is done with it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use billfold_core::{
    SecretBytes,
    command::{Action, Change, NewMount, NewNames, NewSettings, NewWallet, What},
    event::{
        Actor,
        v1::{MountKind, Operation, ResolutionRequested, Settings},
    },
    id::{MountId, PrincipalId, RecordId, RequestId, TokenId},
    names::{MountNames, Names, RequestNames},
};
use billfold_projector::keychain::Ask;
use billfold_replay::{Place, Source};
use billfold_streams::{committer::Committed, recorder};
use tempfile::TempDir;

use crate::node::{Node, closed};

pub const MOUNT: MountId = MountId::from_bytes([0x33; 16]);
pub const TOKEN: TokenId = TokenId::from_bytes([0x22; 16]);
pub const ROOT: Actor = Actor::Principal(PrincipalId::from_bytes([0x11; 16]), TOKEN);
pub const CLIENT: &str = "192.0.2.7";
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A wallet, running or not.
pub struct Wallet {
    pub dir: TempDir,
    pub node: Option<Node>,
    requests: AtomicU8,
}

impl Wallet {
    /// A new wallet with one mount, `secret/`, running.
    pub async fn new() -> Self {
        let wallet = Self {
            dir: tempfile::tempdir().unwrap(),
            node: None,
            requests: AtomicU8::new(0),
        }
        .started()
        .await;
        let custody = &wallet.node().custody;
        let names = MountNames {
            path: "secret/".into(),
            description: String::new(),
        };
        let new = NewWallet {
            wallet: custody.wallet(),
            root: PrincipalId::from_bytes([0x11; 16]),
            root_token: TOKEN,
            root_token_mac: custody.keys().token_mac.mac(b"hvs.canary-token"),
            kek: custody.kek(),
            mounts: vec![NewMount {
                mount: MOUNT,
                kind: MountKind::KvV2,
                path: vec![custody.keys().id.mount_path("secret/")],
                settings: Settings {
                    max_versions: 3,
                    ..Settings::default()
                },
                names,
            }],
        };
        let node = wallet.node();
        node.submit(Actor::System, Action::CreateWallet(new)).await;
        wallet
    }

    pub async fn started(mut self) -> Self {
        self.node = Some(Node::start(self.dir.path()).await);
        self
    }

    /// Closes everything, cleanly.
    pub async fn stopped(mut self) -> Self {
        if let Some(node) = self.node.take() {
            node.stop().await;
            closed(self.dir.path(), &self.view_dir()).await;
        }
        self
    }

    pub fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    pub fn place(&self) -> Place {
        Place {
            data_dir: Some(self.dir.path().to_owned()),
            ..Place::default()
        }
    }

    /// As the command opens it.
    pub async fn source(&self) -> Source {
        Source::open(&self.place()).await.unwrap()
    }

    pub fn view_dir(&self) -> PathBuf {
        self.dir.path().join("view")
    }

    pub fn record(&self, path: &str) -> RecordId {
        self.node().custody.keys().id.record(MOUNT, path)
    }

    pub async fn change(&self, changes: Vec<(&str, What)>) -> Committed {
        let changes = changes.into_iter().map(|(path, what)| Change {
            mount: MOUNT,
            record: self.record(path),
            folders: self.node().custody.keys().id.folders(MOUNT, path),
            what,
        });
        let action = Action::Change(changes.collect());
        self.node().submit(ROOT, action).await
    }

    pub async fn put(&self, path: &str) -> Committed {
        self.change(vec![(path, put(path))]).await
    }

    /// Asks for a version as the doors do it; returns what it was answered, in one word.
    pub async fn read(&self, actor: Actor, path: &str, version: Option<u32>) -> &'static str {
        let node = self.node();
        let record = self.record(path);
        let known = node.keychain.view().stored_record(&record).unwrap();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let request = RequestId::from_bytes([number; 16]);
        let ticket = node.keychain.desk().register(
            request,
            Ask::Version(record),
            billfold_core::access::Need::to(billfold_core::policy::Operation::Read, ""),
        );
        let asked = ResolutionRequested {
            request,
            operation: Operation::ReadData,
            mount: Some(MOUNT),
            record: Some(record),
            version,
            wrap_ttl: None,
            names: Default::default(),
        };
        let names = RequestNames {
            path: known.is_none().then(|| path.to_owned()),
            client: CLIENT.to_owned(),
            execution: Some("execution-9".to_owned()),
        };
        let request = recorder::Request {
            actor,
            asked,
            names,
        };
        node.recorder.request(request).await.unwrap();
        let outcome = ticket.outcome().await.unwrap();
        outcome.judged().unwrap().verdict.name()
    }

    /// A request without a valid token.
    pub async fn refuse(&self) {
        self.node().recorder.refusal().await.unwrap();
    }

    /// Waits until every key that was given up is destroyed, and the log says so.
    pub async fn swept(&self) {
        let view = self.node().keychain.view();
        let swept = async {
            while !view.pages_with_dying_keys().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, swept).await.unwrap();
    }

    /// A bit of everything: several versions, deleted and destroyed ones, a record that is gone,
    /// requests of every verdict.
    pub async fn lived_in(self) -> Self {
        for _ in 0..5 {
            self.put("app/db").await;
        }
        self.put("app/api").await;
        self.put("gone/soon").await;
        assert_eq!(self.read(ROOT, "app/db", None).await, "permitted");
        assert_eq!(self.read(ROOT, "app/db", Some(1)).await, "absent");
        assert_eq!(self.read(ROOT, "no/such", None).await, "absent");
        assert_eq!(self.read(stranger(), "app/db", None).await, "denied");
        self.change(vec![("app/db", What::Delete(vec![4]))]).await;
        assert_eq!(self.read(ROOT, "app/db", Some(4)).await, "deleted");
        self.change(vec![("app/db", What::Undelete(vec![4]))]).await;
        self.change(vec![("app/db", What::Destroy(vec![3]))]).await;
        self.change(vec![("app/db", What::Delete(vec![4]))]).await;
        self.change(vec![("app/api", rename("app/api"))]).await;
        assert_eq!(self.read(ROOT, "gone/soon", None).await, "permitted");
        self.change(vec![("gone/soon", What::DeleteMetadata)]).await;
        assert_eq!(self.read(ROOT, "gone/soon", None).await, "absent");
        self.change(vec![
            ("brief", put("brief")),
            ("brief", What::DeleteMetadata),
            ("new", rename("new")),
            ("new", put("new")),
        ])
        .await;
        self.refuse().await;
        self.swept().await;
        self
    }
}

pub fn stranger() -> Actor {
    Actor::Principal(PrincipalId::from_bytes([0x99; 16]), TOKEN)
}

/// A payload and a path with a word in them that must not be seen anywhere.
pub fn put(path: &str) -> What {
    What::Put {
        cas: None,
        basis: None,
        payload: SecretBytes::copied_from(format!("canary-payload of {path}").as_bytes()),
        names: NewNames::IfNew(names(path)),
    }
}

pub fn rename(path: &str) -> What {
    What::ChangeMetadata {
        basis: None,
        metadata_cas: None,
        settings: NewSettings::default(),
        names: NewNames::Replace(names(path)),
    }
}

fn names(path: &str) -> Names {
    Names {
        path: path.to_owned(),
        custom: [("canary-custom".to_owned(), "x".to_owned())].into(),
        credential: None,
    }
}
