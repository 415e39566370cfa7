//! What the clients do: write secrets and read them.

use std::fmt::Write as _;

use billfold_tests::{
    bench::Work,
    tools::{self, Rng},
};

use super::{
    systems::{Engine, System},
    wire::{self, Connection},
};

/// How many secrets lie in a folder.
const FOLDER: u64 = 1000;

/// Which secrets a client goes to.
#[derive(Clone, Copy)]
pub(crate) enum Which {
    /// Each of some, from one up to another, that falls to this client among so many.
    Each { from: u64, to: u64, clients: u64 },
    /// Any of the first ones.
    Any(u64),
}

/// One client.
pub(crate) struct Client {
    connection: Connection,
    engine: Engine,
    writes: bool,
    which: Which,
    number: u64,
    rng: Rng,
    path: String,
    body: String,
}

impl Client {
    pub(crate) fn of(system: &System, number: usize, writes: bool, which: Which) -> Self {
        Self {
            connection: Connection::new(system.address(), system.token()),
            engine: system.engine(),
            writes,
            which,
            number: number as u64,
            rng: Rng::new(u64::from_le_bytes(tools::random()), ""),
            path: String::new(),
            body: String::new(),
        }
    }

    /// Goes to every secret that falls to it.
    pub(crate) async fn finish(mut self) -> u64 {
        let Which::Each { from, to, clients } = self.which else {
            panic!("there is no end to any of them");
        };
        let mut turn = 0;
        while from + self.number + turn * clients < to {
            self.turn(turn).await;
            turn += 1;
        }
        turn
    }

    async fn write(&mut self) {
        // A credential as services keep it: some 400 bytes of JSON, no two alike.
        self.body.clear();
        let parts = [
            ("{\"username\":\"svc-", 1),
            ("\",\"password\":\"", 4),
            ("\",\"url\":\"postgres://db.internal:5432/", 2),
            ("\",\"certificate\":\"", 14),
        ];
        if self.engine == Engine::V2 {
            self.body.push_str("{\"data\":");
        }
        for (text, words) in parts {
            self.body.push_str(text);
            for _ in 0..words {
                write!(self.body, "{:016x}", self.rng.draw()).unwrap();
            }
        }
        self.body.push_str("\"}");
        if self.engine == Engine::V2 {
            self.body.push('}');
        }
        let called = self
            .connection
            .call("POST", &self.path, self.body.as_bytes());
        let (status, answer) = called.await;
        assert!(
            matches!(status, 200 | 204),
            "a write was answered: {}",
            String::from_utf8_lossy(answer)
        );
    }

    async fn read(&mut self) {
        let (status, answer) = self.connection.call("GET", &self.path, b"").await;
        assert!(
            status == 200 && wire::find(answer, b"\"certificate\":\"").is_some(),
            "a read was answered: {}",
            String::from_utf8_lossy(answer)
        );
    }
}

impl Work for Client {
    async fn turn(&mut self, number: u64) {
        let secret = match self.which {
            Which::Each { from, clients, .. } => from + self.number + number * clients,
            Which::Any(all) => self.rng.below(all),
        };
        let below = match self.engine {
            Engine::V2 => "data/",
            Engine::V1 => "",
        };
        self.path.clear();
        let folder = secret / FOLDER;
        let mount = "/v1/secret";
        write!(self.path, "{mount}/{below}team-{folder}/app-{secret}").unwrap();
        match self.writes {
            true => self.write().await,
            false => self.read().await,
        }
    }
}
