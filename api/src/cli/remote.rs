//! What the client commands have in common: their options, the client, and how they end.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use billfold::client::{Address, Choices, Client, Error, Settings, Trust, Variables, escape};
use clap::{Args, ValueEnum};

/// Which server, as whom, and how the answer looks.
#[derive(Args)]
#[command(next_help_heading = "Server and output")]
pub(super) struct Remote {
    /// The server [BILLFOLD_ADDR, BAO_ADDR, VAULT_ADDR; else http://127.0.0.1:8200]
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// The namespace, which Billfold refuses [*_NAMESPACE]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// PEM certificates that may sign the server's [*_CACERT]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// The client's own certificate in PEM [*_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Its key in PEM [*_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Trust whoever answers: insecure [*_SKIP_VERIFY]
    #[arg(long)]
    tls_skip_verify: bool,
    /// How the answer looks [*_FORMAT; else table]
    #[arg(short = 'o', long = "format", value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

/// How an answer looks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What a command works with.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) format: Format,
    pub(super) variables: Variables,
}

impl Remote {
    /// A client with the token of the environment, or the stored one.
    pub(super) fn open(self) -> Result<Session, Error> {
        self.start(true)
    }

    /// A client without a token.
    pub(super) fn open_without_token(self) -> Result<Session, Error> {
        self.start(false)
    }

    fn start(self, with_token: bool) -> Result<Session, Error> {
        let variables = Variables::of_this_process()?;
        let format = match (self.format, variables.find("FORMAT")) {
            (Some(format), _) => format,
            (None, None | Some((_, "table"))) => Format::Table,
            (None, Some((_, "json"))) => Format::Json,
            (None, Some((name, _))) => {
                return Err(Error::usage(format!("{name} is table or json")));
            }
        };
        let choices = Choices {
            address: self.address,
            namespace: self.namespace,
            trust: Trust {
                ca_cert: self.ca_cert,
                client_cert: self.client_cert,
                client_key: self.client_key,
                skip_verify: self.tls_skip_verify,
            },
        };
        let mut settings = Settings::read(choices, &variables)?;
        if with_token {
            settings = settings.find_token(&variables)?;
        }
        warn_of(&settings.address, &settings.trust);
        Ok(Session {
            client: Client::new(settings)?,
            format,
            variables,
        })
    }
}

fn warn_of(address: &Address, trust: &Trust) {
    if address.is_tls() && trust.skip_verify {
        warn(
            "THE SERVER'S CERTIFICATE IS NOT CHECKED: whoever is on the way to it can read and \
             change everything, the token first",
        );
    }
    if !address.is_tls() && !address.is_loopback() {
        warn("plain HTTP to another machine: the token and every secret go in clear");
    }
}

/// Tells of something that does not keep the command from its work.
pub(super) fn warn(told: &str) {
    // Standard error may be closed; then nobody listens anyway.
    let _ = writeln!(std::io::stderr(), "billfold: warning: {}", escape(told));
}

/// The exit code of a command that failed: 2 when the server or the way to it is to blame, else 1.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    let blame = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>());
    ExitCode::from(if blame.is_some_and(Error::is_remote) {
        2
    } else {
        1
    })
}
