//! A real `nats-server` that a test starts, kills and starts again on the same port and files.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::tools;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server's settings, apart from ports and folders.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether it syncs before it acknowledges.
    pub sync_always: bool,
    /// What it holds on disk at most, as it is written in its configuration.
    pub max_file_store: String,
    /// The largest message it takes, in bytes.
    pub max_payload: usize,
    /// Further lines of its configuration.
    pub extra: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_always: true,
            max_file_store: "1GB".into(),
            max_payload: 1_048_576,
            extra: String::new(),
        }
    }
}

/// A running server, or one between two runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    child: Option<Child>,
    config: PathBuf,
    store: PathBuf,
    port: u16,
    monitoring: u16,
    _dir: TempDir,
}

impl NatsServer {
    /// A server with JetStream in a folder of its own.
    pub fn start() -> Self {
        Self::start_with(&Settings::default(), None)
    }

    /// A server that keeps its files in `store`, or in a folder of its own.
    pub fn start_with(settings: &Settings, store: Option<&Path>) -> Self {
        let mut server = Self::configured(settings, store);
        server.run();
        server
    }

    fn configured(settings: &Settings, store: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = store.map_or_else(|| dir.path().join("store"), Path::to_path_buf);
        let config = dir.path().join("nats.conf");
        let (port, monitoring) = (tools::free_port(), tools::free_port());
        let sync = if settings.sync_always { "always" } else { "2m" };
        let text = format!(
            "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitoring}\nmax_payload: {}\n\
             jetstream {{ store_dir: {:?}, sync_interval: {sync}, max_file_store: {}, \
             max_memory_store: 64MB }}\n{}\n",
            settings.max_payload, store, settings.max_file_store, settings.extra
        );
        fs::write(&config, text).expect("the configuration is written");
        Self {
            child: None,
            config,
            store,
            port,
            monitoring,
            _dir: dir,
        }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it tells about itself.
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring)
    }

    /// The process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where its files are.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = child.id().to_string();
            let asked = Command::new("kill").args(["-TERM", &pid]).status();
            assert!(asked.expect("`kill` runs").success());
            child.wait().expect("it ends");
        }
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`], and waits until it has read its
    /// files.
    pub fn run(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "it is running");
        let output = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.config.with_extension("log"));
        let child = Command::new(tools::nats_server())
            .arg("-c")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output.expect("its log can be written"))
            .spawn()
            .expect("nats-server starts");
        self.child = Some(child);
    }

    fn wait(&mut self) {
        let until = Instant::now() + READY_WITHIN;
        while !self.is_healthy() {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.config.with_extension("log"));
                panic!("nats-server is not ready: {}", log.unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it and starts it again.
    pub fn crash(&mut self) {
        self.kill();
        self.run();
    }

    fn is_healthy(&self) -> bool {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.monitoring)) else {
            return false;
        };
        let request = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
        let mut answer = String::new();
        socket.write_all(request.as_bytes()).is_ok()
            && socket.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.0 200")
    }
}

/// Three servers on loopback that replicate to each other.
#[derive(Debug)]
pub struct NatsCluster {
    /// The servers, named `n0` to `n2`.
    pub servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three servers, and waits until they have found each other.
    pub fn start() -> Self {
        let ports = [(); 3].map(|()| tools::free_port());
        let routes: Vec<_> = ports
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        let mut servers: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(i, port)| {
                let extra = format!(
                    "server_name: n{i}\ncluster {{ name: wallet, listen: \"127.0.0.1:{port}\", \
                     routes: [{}] }}",
                    routes.join(", ")
                );
                NatsServer::configured(
                    &Settings {
                        extra,
                        ..Settings::default()
                    },
                    None,
                )
            })
            .collect();
        servers.iter_mut().for_each(NatsServer::spawn);
        servers.iter_mut().for_each(NatsServer::wait);
        Self { servers }
    }

    /// Where clients connect: all of them.
    pub fn url(&self) -> String {
        self.servers
            .iter()
            .map(NatsServer::url)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Where they tell about themselves.
    pub fn monitoring_urls(&self) -> Vec<String> {
        self.servers
            .iter()
            .map(NatsServer::monitoring_url)
            .collect()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
