//! `billfold token`.

use std::{collections::BTreeMap, path::PathBuf};

use billfold::client::{Answer, Error, NewToken, Token, Whose};
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    input::Source,
    output::{Asked, Shown},
    remote::{Remote, Session, warn},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it
    Create(Box<Create>),
    /// Tell what a token is: your own, unless another is named
    Lookup(Lookup),
    /// Make a token's life longer: your own, unless another is named
    Renew(Renew),
    /// Revoke a token and all that were made with it
    Revoke(Revoke),
}

#[derive(Args)]
pub(crate) struct Create {
    /// A policy of the token; may be given several times
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// What is known of its holder; may be given several times
    #[arg(long = "metadata", value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// How long it lives: 1h, 30m
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// How long it lives at most, however often it is renewed
    #[arg(long, value_name = "DURATION")]
    explicit_max_ttl: Option<String>,
    /// How long it lives after each renewal, without an end
    #[arg(long, value_name = "DURATION")]
    period: Option<String>,
    /// Whether its life can be made longer
    #[arg(long, value_name = "BOOL")]
    renewable: Option<bool>,
    /// The name that the audit trail shows
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// How often it can be used; 0 is without a limit
    #[arg(long = "use-limit", value_name = "N")]
    uses: Option<u64>,
    /// Let it live on when the token that makes it is revoked
    #[arg(long)]
    orphan: bool,
    /// Leave the policy `default` away
    #[arg(long)]
    no_default_policy: bool,
    /// Its kind: service or batch
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,
    /// The role whose bounds it is made within
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// The alias of the entity that it stands for
    #[arg(long, value_name = "NAME")]
    entity_alias: Option<String>,
    /// Use the token in this file (- is standard input) instead of a random one
    #[arg(long, value_name = "FILE")]
    id_file: Option<PathBuf>,
    /// Print this field alone: `token`, `accessor`
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Kept by the server
    Service,
    /// Kept by nobody: it cannot be renewed or revoked
    Batch,
}

/// Which token a command is about.
#[derive(Args)]
struct About {
    /// `-` reads the token from standard input. The token itself does not belong here
    #[arg(value_name = "-")]
    token: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["token", "accessor"])]
    token_file: Option<PathBuf>,
    /// The token with this accessor
    #[arg(long, value_name = "ACCESSOR", conflicts_with = "token")]
    accessor: Option<String>,
}

#[derive(Args)]
pub(crate) struct Lookup {
    #[command(flatten)]
    about: About,
    /// Print this field alone
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Show the token on a terminal, too
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Renew {
    #[command(flatten)]
    about: About,
    /// How much longer: 1h
    #[arg(long, value_name = "DURATION")]
    increment: Option<String>,
    /// Print this field alone
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    about: About,
    /// Revoke your own token
    #[arg(long = "self", conflicts_with_all = ["token", "token_file", "accessor"])]
    own: bool,
    /// Revoke this one token; those that were made with it live on
    #[arg(long, conflicts_with_all = ["own", "accessor"])]
    orphan: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What a server tells of a token.
#[derive(Deserialize)]
pub(super) struct Found {
    #[serde(default, deserialize_with = "wiped")]
    id: Zeroizing<String>,
    #[serde(default)]
    pub(super) accessor: String,
    #[serde(default)]
    pub(super) display_name: String,
    #[serde(default)]
    pub(super) policies: Vec<String>,
    #[serde(default)]
    path: String,
    expire_time: Option<String>,
    #[serde(default)]
    pub(super) ttl: u64,
    #[serde(default)]
    num_uses: u64,
    #[serde(default)]
    orphan: bool,
    #[serde(default)]
    pub(super) renewable: bool,
    #[serde(default)]
    r#type: String,
}

/// What a server tells of a token that it made or renewed.
#[derive(Deserialize)]
struct Made {
    #[serde(deserialize_with = "wiped")]
    client_token: Zeroizing<String>,
    accessor: String,
    #[serde(default)]
    policies: Vec<String>,
    lease_duration: u64,
    renewable: bool,
}

impl Found {
    pub(super) fn read(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|_| Error::Malformed("it tells of no token"))
    }
}

impl About {
    async fn whose(self) -> Result<Whose, Error> {
        let source = match (self.token.as_deref(), self.token_file, self.accessor) {
            (None, None, None) => return Ok(Whose::Own),
            (_, _, Some(accessor)) => return Ok(Whose::Accessor(accessor)),
            (_, Some(file), _) => Source::File(file),
            (Some("-"), ..) => Source::Stdin,
            (Some(_), ..) => return Err(on_the_command_line()),
        };
        Ok(Whose::Token(Token::parse(
            &source.read_text("Token").await?,
        )?))
    }
}

/// Runs a command about tokens.
pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(create) => self::create(*create).await,
        Command::Lookup(lookup) => look_up(lookup).await,
        Command::Renew(renew) => self::renew(renew).await,
        Command::Revoke(revoke) => self::revoke(revoke).await,
    }
}

/// Why a token as an argument is refused.
pub(super) fn on_the_command_line() -> Error {
    Error::usage(
        "a token on the command line stands in the shell's history and in the list of processes: \
         use - for standard input, or --token-file",
    )
}

/// How long a token lives.
pub(super) fn lifetime(seconds: u64) -> String {
    match seconds {
        0 => "without an end".to_owned(),
        seconds => format!("{seconds}s"),
    }
}

async fn create(create: Create) -> anyhow::Result<()> {
    let Session { client, format, .. } = create.remote.open()?;
    let mut meta = BTreeMap::new();
    for (key, value) in create.metadata {
        if meta.insert(key, value).is_some() {
            return Err(Error::usage("a key of --metadata is given twice").into());
        }
    }
    let id = match create.id_file {
        None => None,
        Some(file) => {
            let text = Source::named(&file).read_text("Token").await?;
            Some(Token::parse(&text)?)
        }
    };
    let kind = create.kind.map(|kind| match kind {
        Kind::Service => "service".to_owned(),
        Kind::Batch => "batch".to_owned(),
    });
    let new = NewToken {
        id,
        policies: create.policies,
        meta,
        no_parent: create.orphan,
        no_default_policy: create.no_default_policy,
        renewable: create.renewable,
        ttl: create.ttl,
        explicit_max_ttl: create.explicit_max_ttl,
        period: create.period,
        display_name: create.display_name,
        num_uses: create.uses,
        r#type: kind,
        entity_alias: create.entity_alias,
        role: create.role,
    };
    let answer = client.create_token(&new).await?;
    // The token was asked for, and is told only now.
    made(&answer)?.print(Asked {
        format,
        field: create.field.as_deref(),
        show: true,
    })
}

async fn look_up(lookup: Lookup) -> anyhow::Result<()> {
    let Session { client, format, .. } = lookup.remote.open()?;
    let answer = client.look_up_token(&lookup.about.whose().await?).await?;
    let found = Found::read(answer.data()?)?;
    Shown::json(answer.data()?)
        .secret("id", found.id)
        .row("accessor", found.accessor)
        .row("display_name", found.display_name)
        .row("policies", found.policies.join(", "))
        .row("path", found.path)
        .row("expire_time", found.expire_time.unwrap_or_default())
        .row("ttl", lifetime(found.ttl))
        .row("num_uses", found.num_uses)
        .row("orphan", found.orphan)
        .row("renewable", found.renewable)
        .row("type", found.r#type)
        .print(Asked {
            format,
            field: lookup.field.as_deref(),
            show: lookup.show,
        })
}

async fn renew(renew: Renew) -> anyhow::Result<()> {
    let Session { client, format, .. } = renew.remote.open()?;
    let whose = renew.about.whose().await?;
    let answer = client
        .renew_token(&whose, renew.increment.as_deref())
        .await?;
    made(&answer)?.print(Asked {
        format,
        field: renew.field.as_deref(),
        show: false,
    })
}

async fn revoke(revoke: Revoke) -> anyhow::Result<()> {
    let Session { client, format, .. } = revoke.remote.open()?;
    let whose = revoke.about.whose().await?;
    match (&whose, revoke.orphan) {
        (Whose::Own, _) if !revoke.own => {
            return Err(Error::usage(
                "say which token to revoke: --self, --accessor, --token-file, or - for standard \
                 input",
            )
            .into());
        }
        (Whose::Token(token), true) => client.revoke_orphan(token).await?,
        (_, _) => client.revoke_token(&whose).await?,
    }
    Shown::of(&json!({ "revoked": true }))
        .row("revoked", true)
        .print(format.plain())
}

fn made(answer: &Answer) -> Result<Shown, Error> {
    for warning in answer.warnings() {
        warn(&warning);
    }
    let auth = answer.auth()?;
    let made: Made =
        serde_json::from_str(auth).map_err(|_| Error::Malformed("it tells of no token"))?;
    Ok(Shown::json(auth)
        .secret("token", made.client_token)
        .row("accessor", made.accessor)
        .row("policies", made.policies.join(", "))
        .row("ttl", lifetime(made.lease_duration))
        .row("renewable", made.renewable))
}

fn wiped<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
