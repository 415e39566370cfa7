//! A node put together from its parts, without a server: for tests that need a hand on one of them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use billfold_core::{
    SecretBytes,
    access::Need,
    command::{Action, Change, Command, NewMount, NewNames, NewWallet, What},
    entropy::Entropy as _,
    event::{
        Actor,
        v1::{MountKind, Operation, ResolutionRequested, Settings},
    },
    id::{CommandId, MountId, PrincipalId, ProcessId, RecordId, RequestId, Seq, TokenId},
    names::{MountNames, Names, RequestNames},
    policy,
    state::{Key, Source as _, Value},
    subject::Generation,
};
use billfold_projector::{
    Keychain,
    keychain::{self, Ask, Judged, Outcome, Progress},
};
use billfold_streams::{
    Courier, EventLog, KeyStore,
    clock::{Clock, System},
    committer::{self, Committed},
    custody::Custody,
    embedded::Embedded,
    entropy::Os,
    jetstream::{Config, JetStream},
    pool::Pool,
    recorder::{self, Request, Unrecorded},
    sweeper::Sweeper,
};
use billfold_tests::tools;
use billfold_upstreams::KeyFile;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub const GENERATION: Generation = Generation::FIRST;
/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a node is made of.
#[derive(Clone)]
pub struct Setup {
    pub log: Arc<dyn EventLog>,
    pub keys: Arc<dyn KeyStore>,
    pub courier: Option<Arc<dyn Courier>>,
    pub clock: Arc<dyn Clock>,
    pub key_file: PathBuf,
    /// Whether it stores keys ahead. Without any it can only do what needs none.
    pub fills: bool,
    pub patience: Duration,
}

impl Setup {
    /// On the embedded log in this folder, which no process may have open.
    pub fn embedded(dir: &Path, key_file: &Path) -> Self {
        let embedded = Embedded::open(dir).unwrap();
        Self::new(embedded.log(), embedded.keys(), None, key_file)
    }

    /// Beside the process that owns this folder, to read only.
    pub fn embedded_reader(dir: &Path, key_file: &Path) -> Self {
        let embedded = Embedded::open_reader(dir).unwrap();
        Self::new(embedded.log(), embedded.keys(), None, key_file)
    }

    /// On this NATS server.
    pub async fn jetstream(url: &str, key_file: &Path) -> Self {
        let open = JetStream::connect(Config::dev(url)).await.unwrap();
        Self::new(open.log(), open.keys(), Some(open.courier()), key_file)
    }

    fn new(
        log: Arc<dyn EventLog>,
        keys: Arc<dyn KeyStore>,
        courier: Option<Arc<dyn Courier>>,
        key_file: &Path,
    ) -> Self {
        if !key_file.exists() {
            KeyFile::create(key_file, &mut Os::new()).unwrap();
        }
        Self {
            log,
            keys,
            courier,
            clock: Arc::new(System),
            key_file: key_file.to_owned(),
            fills: true,
            patience: PATIENCE,
        }
    }

    /// The wallet's keys, as a process of their own opens them.
    pub async fn custody(&self) -> Arc<Custody> {
        let manager = KeyFile::open(&self.key_file).unwrap();
        let process = ProcessId::from_bytes(tools::random());
        let custody = Custody::open(Arc::clone(&self.keys), &manager, process).await;
        Arc::new(custody.unwrap())
    }

    /// Begins a wallet, with a mount at `secret/`, and starts a node of it.
    pub async fn create(&self) -> Node {
        let manager = KeyFile::open(&self.key_file).unwrap();
        let process = ProcessId::from_bytes(tools::random());
        let custody = Custody::found(Arc::clone(&self.keys), &manager, process).await;
        let custody = Arc::new(custody.unwrap());
        let node = self.start_as(Arc::clone(&custody), None).await;
        let action = Action::CreateWallet(NewWallet {
            wallet: custody.wallet(),
            root: PrincipalId::from_bytes(tools::random()),
            root_token: TokenId::from_bytes(tools::random()),
            root_token_mac: custody.keys().token_mac.mac(b"root"),
            kek: custody.kek(),
            mounts: vec![mount(&custody, "secret/")],
        });
        let done = node.order(None, Actor::System, action).await.unwrap();
        node.keychain_at(done.seq).await;
        node
    }

    /// Starts a node with an empty view.
    pub async fn start(&self) -> Node {
        self.start_as(self.custody().await, None).await
    }

    /// Starts a node with these keys; its view is in `dir`, or in a folder of its own.
    pub async fn start_as(&self, custody: Arc<Custody>, dir: Option<&Path>) -> Node {
        let own = TempDir::with_prefix("billfold-view-").unwrap();
        let parts = keychain::Parts {
            log: Arc::clone(&self.log),
            generation: GENERATION,
            custody: Arc::clone(&custody),
            dir: dir.unwrap_or(own.path()).to_owned(),
            cache_bytes: 16 << 20,
            progress: Box::new(Quiet),
        };
        let (keychain, following) = Keychain::start(parts).await.unwrap();
        let pool = Pool::new(Arc::clone(&custody), Arc::clone(&self.clock));
        let mut tasks = vec![following];
        if self.fills {
            tasks.push(tokio::spawn(Arc::clone(&pool).run()));
        }
        let (committer, committing) = committer::start(committer::Parts {
            log: Arc::clone(&self.log),
            generation: GENERATION,
            courier: self.courier.clone(),
            custody: Arc::clone(&custody),
            pool: Arc::clone(&pool),
            replica: Arc::clone(&keychain),
            clock: Arc::clone(&self.clock),
            patience: self.patience,
        });
        let (recorder, recording) = recorder::start(recorder::Parts {
            log: Arc::clone(&self.log),
            generation: GENERATION,
            custody: Arc::clone(&custody),
            clock: Arc::clone(&self.clock),
            patience: self.patience,
        });
        tasks.extend([committing, recording]);
        Node {
            custody,
            keychain,
            committer,
            recorder,
            pool,
            tasks,
            _dir: own,
        }
    }
}

/// A node that runs until it is dropped.
pub struct Node {
    pub custody: Arc<Custody>,
    pub keychain: Arc<Keychain>,
    pub committer: committer::Handle,
    pub recorder: recorder::Handle,
    pub pool: Arc<Pool>,
    tasks: Vec<JoinHandle<()>>,
    _dir: TempDir,
}

impl Node {
    /// Who may do everything.
    pub fn root(&self) -> Actor {
        let Some(Value::Wallet(wallet)) = self.keychain.view().get(&Key::Wallet).unwrap() else {
            panic!("the wallet is there")
        };
        Actor::Principal(wallet.root, wallet.root_token)
    }

    /// The mount of this path, whose blinded path ends with it.
    pub fn mount(&self, path: &str) -> MountId {
        let Some(Value::Mounts(mounts)) = self.keychain.view().get(&Key::Mounts).unwrap() else {
            panic!("there are mounts")
        };
        let blinded = self.custody.keys().id.mount_path(path);
        let found = mounts
            .iter()
            .find(|(_, mount)| mount.path.last() == Some(&blinded));
        *found.expect("the mount is there").0
    }

    /// Does something as `actor`.
    pub async fn order(
        &self,
        id: Option<CommandId>,
        actor: Actor,
        action: Action,
    ) -> Result<Committed, committer::Error> {
        let command = Command {
            id,
            actor,
            needs: Vec::new(),
            action,
        };
        self.committer.submit(command).await
    }

    /// Writes a secret.
    pub async fn put(
        &self,
        mount: MountId,
        path: &str,
        cas: Option<u32>,
        payload: &[u8],
    ) -> Result<Committed, committer::Error> {
        let change = self.change(mount, path, put(path, cas, payload));
        self.order(None, self.root(), Action::Change(vec![change]))
            .await
    }

    /// One change of one secret.
    pub fn change(&self, mount: MountId, path: &str, what: What) -> Change {
        let ids = &self.custody.keys().id;
        Change {
            mount,
            record: ids.record(mount, path),
            folders: ids.folders(mount, path),
            what,
        }
    }

    /// Asks for a secret's current version, on record.
    pub async fn ask(&self, record: RecordId) -> Result<Judged, Unrecorded> {
        let outcome = self.try_ask(record).await?;
        Ok(outcome.judged().expect("its epoch goes on"))
    }

    /// The same, whatever comes of it.
    pub async fn outcome(&self, record: RecordId) -> Outcome {
        self.try_ask(record).await.unwrap()
    }

    /// The lines of a mount, on record.
    pub async fn list(&self, mount: MountId) -> Result<Judged, Unrecorded> {
        let ask = Ask::Folder(*mount.as_bytes(), 0);
        let outcome = self.resolve(Operation::List, ask, Some(mount), None);
        Ok(outcome.await?.judged().expect("its epoch goes on"))
    }

    async fn try_ask(&self, record: RecordId) -> Result<Outcome, Unrecorded> {
        let ask = Ask::Version(record);
        self.resolve(Operation::ReadData, ask, None, Some(record))
            .await
    }

    async fn resolve(
        &self,
        operation: Operation,
        ask: Ask,
        mount: Option<MountId>,
        record: Option<RecordId>,
    ) -> Result<Outcome, Unrecorded> {
        let request = RequestId::from_bytes(tools::random());
        let need = Need::to(policy::Operation::Read, "");
        let ticket = self.keychain.desk().register(request, ask, need);
        let asked = ResolutionRequested {
            request,
            operation,
            mount,
            record,
            version: None,
            wrap_ttl: None,
            names: Default::default(),
        };
        let names = RequestNames {
            path: None,
            client: "test".to_owned(),
            execution: None,
        };
        let actor = self.root();
        self.recorder
            .request(Request {
                actor,
                asked,
                names,
            })
            .await?;
        let outcome = tokio::time::timeout(PATIENCE, ticket.outcome()).await;
        Ok(outcome.expect("in time").expect("the node follows the log"))
    }

    /// What makes the key store agree with the fold.
    pub fn sweeper(&self) -> Sweeper<Keychain> {
        Sweeper::new(
            Arc::clone(&self.custody),
            Arc::clone(&self.keychain),
            self.committer.clone(),
        )
    }

    /// Keeps the key store in step with the fold, in a task of its own.
    pub fn sweep(&self) -> tokio::task::JoinHandle<()> {
        let sweeper = self.sweeper();
        tokio::spawn(async move { sweeper.run().await })
    }

    /// Waits until its view has come to this sequence.
    pub async fn keychain_at(&self, seq: Seq) {
        use billfold_streams::replica::Replica as _;
        let reached = tokio::time::timeout(PATIENCE, self.keychain.caught_up(seq)).await;
        reached.expect("in time").expect("it follows the log");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A mount at the top level.
pub fn mount(custody: &Custody, path: &str) -> NewMount {
    NewMount {
        mount: MountId::from_bytes(tools::random()),
        kind: MountKind::KvV2,
        path: vec![custody.keys().id.mount_path(path)],
        settings: Settings::default(),
        names: MountNames {
            path: path.to_owned(),
            description: String::new(),
        },
    }
}

/// The writing of a secret.
pub fn put(path: &str, cas: Option<u32>, payload: &[u8]) -> What {
    What::Put {
        cas,
        basis: None,
        payload: SecretBytes::copied_from(payload),
        names: NewNames::IfNew(names(path)),
    }
}

/// The names of a secret that is only called by its path.
pub fn names(path: &str) -> Names {
    Names {
        path: path.to_owned(),
        ..Names::default()
    }
}

/// A UUID of version 7, made now.
pub fn command_id() -> CommandId {
    let mut bytes: [u8; 16] = Os::new().bytes();
    bytes[..6].copy_from_slice(&System.now().0.to_be_bytes()[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    CommandId::from_bytes(bytes)
}

struct Quiet;

impl Progress for Quiet {
    fn at(&self, _: Seq, _: Seq) {}
    fn caught_up(&self, _: u64) {}
}
