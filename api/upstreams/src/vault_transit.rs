//! A key manager that keeps the wallet's key under a transit key of a Vault or OpenBao.

mod refusal;

use std::{
    fs,
    io::Read as _,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::{
    entropy::Entropy,
    keys::{
        GenerationKey,
        manager::{Error, GenerationId, KeyManager},
    },
};
use reqwest::{Certificate, Url, header::HeaderValue, redirect::Policy};
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use self::refusal::refused;

/// Its name in the configuration.
pub const NAME: &str = "vault-transit";

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one attempt may take, from the first byte to the last.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often an attempt is made again when no answer came, or none that counts.
const REPEATS: usize = 2;
/// How long to wait before the first repeat.
const PAUSE: Duration = Duration::from_millis(200);
/// How long an answer may be, in bytes.
const LONGEST: usize = 64 * 1024;
/// How long a token file may be, in bytes.
const LONGEST_TOKEN: u64 = 16 * 1024;

/// Where the key is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server: `https://…`; plain HTTP on this machine alone.
    pub address: String,
    /// Where the transit engine is mounted.
    pub mount: String,
    /// The name of the key.
    pub key: String,
    /// The file with the token. It is read before each call, so whoever renews it tells nobody.
    pub token_file: PathBuf,
    /// PEM certificates that may sign the server's; without them, those of the system.
    pub ca_file: Option<PathBuf>,
}

/// A transit key of a Vault or OpenBao.
#[derive(Debug)]
pub struct VaultTransit {
    http: reqwest::Client,
    encrypt: Url,
    decrypt: Url,
    token_file: PathBuf,
}

impl VaultTransit {
    /// The key that the settings name. Nothing is reached for yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let base = address(&settings.address)?;
        let path = |operation: &str| {
            let mount = settings.mount.trim_matches('/');
            let fits = |text: &str| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
                !text.is_empty() && text.bytes().all(fits) && !text.bytes().all(|byte| byte == b'.')
            };
            if !mount.split('/').all(fits) || !fits(&settings.key) {
                return Err(wrong(
                    "a mount and a key are named by letters, digits, _, - and .",
                ));
            }
            let path = format!("v1/{mount}/{operation}/{}", settings.key);
            base.join(&path)
                .map_err(|_| wrong("the address is no address"))
        };
        Ok(Self {
            http: client(&base, settings.ca_file.as_deref())?,
            encrypt: path("encrypt")?,
            decrypt: path("decrypt")?,
            token_file: settings.token_file.clone(),
        })
    }

    /// Sends a body, again while no answer comes, and gives what is under `data` in the answer.
    async fn call<T>(&self, url: &Url, body: Zeroizing<Vec<u8>>) -> Result<T, Error>
    where
        T: for<'a> Deserialize<'a>,
    {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSE)
            .with_max_times(REPEATS)
            .with_jitter();
        (|| self.attempt(url, &body))
            .retry(pauses)
            .when(|error| matches!(error, Error::Unavailable(..)))
            .await
    }

    async fn attempt<T>(&self, url: &Url, body: &[u8]) -> Result<T, Error>
    where
        T: for<'a> Deserialize<'a>,
    {
        let token = self.token()?;
        let response = self
            .http
            .post(url.clone())
            .header("X-Vault-Token", token)
            .header("X-Vault-Request", "true")
            .header("Content-Type", "application/json")
            .body(body.to_vec())
            .send()
            .await
            .map_err(|error| unavailable(&error))?;
        let status = response.status();
        let body = read(response).await?;
        if !status.is_success() {
            return Err(refused(status, &body, &self.token_file));
        }
        let answer: Result<Answer<T>, _> = serde_json::from_slice(&body);
        let answer = answer.map_err(|_| {
            let told = "its answer is not that of a transit engine".to_owned();
            Error::Key(NAME, told)
        })?;
        Ok(answer.data)
    }

    fn token(&self) -> Result<HeaderValue, Error> {
        let failed = |what: &str| {
            Error::Denied(
                NAME,
                format!("the token file {}: {what}", self.token_file.display()),
            )
        };
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_TOKEN as usize + 1));
        let file = fs::File::open(&self.token_file).map_err(|error| failed(&error.to_string()))?;
        file.take(LONGEST_TOKEN + 1)
            .read_to_end(&mut text)
            .map_err(|error| failed(&error.to_string()))?;
        let token = text.trim_ascii();
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            return Err(failed("holds no token"));
        }
        let mut token = HeaderValue::from_bytes(token).map_err(|_| failed("holds no token"))?;
        token.set_sensitive(true);
        Ok(token)
    }
}

#[async_trait]
impl KeyManager for VaultTransit {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(
        &self,
        generation: GenerationId,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(GenerationKey, Vec<u8>), Error> {
        let key = GenerationKey::generate(entropy);
        let body = body("plaintext", &BASE64_STANDARD.encode(key.state(generation)));
        let made: Ciphertext = self.call(&self.encrypt, body).await?;
        // What cannot be opened again must not be stored.
        self.open(generation, made.ciphertext.as_bytes()).await?;
        Ok((key, made.ciphertext.into_bytes()))
    }

    async fn open(&self, generation: GenerationId, wrapped: &[u8]) -> Result<GenerationKey, Error> {
        // What JSON would take otherwise than as it is, no transit engine gave.
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
        let text = std::str::from_utf8(wrapped).ok();
        let text = text
            .filter(|text| text.as_bytes().iter().all(plain))
            .ok_or(Error::WrongKey(NAME))?;
        let opened: Plaintext = self.call(&self.decrypt, body("ciphertext", text)).await?;
        let plain = BASE64_STANDARD.decode(opened.plaintext.as_bytes());
        let plain = Zeroizing::new(plain.map_err(|_| Error::WrongKey(NAME))?);
        GenerationKey::from_stated(generation, &plain).map_err(|_| Error::WrongKey(NAME))
    }

    fn is_newer(&self, before: &[u8], after: &[u8]) -> bool {
        match (version(before), version(after)) {
            (Some(before), Some(after)) => before < after,
            _ => false,
        }
    }
}

/// The version of the transit key in what it wrapped: `vault:v7:…`.
fn version(wrapped: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(wrapped).ok()?;
    let (number, _) = text.strip_prefix("vault:v")?.split_once(':')?;
    number.parse().ok()
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Plaintext {
    plaintext: String,
}

/// A body of one field, whose value JSON takes as it is.
fn body(name: &str, value: &str) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(name.len() + value.len() + 8));
    for part in ["{\"", name, "\":\"", value, "\"}"] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

fn wrong(told: &str) -> Error {
    Error::Configuration(format!("the key manager {NAME}: {told}"))
}

fn address(text: &str) -> Result<Url, Error> {
    let mut url = Url::parse(text).map_err(|_| wrong("the address is no address"))?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !plain || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("an address is a scheme, a host and perhaps a path"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        _ => {
            return Err(wrong(
                "the address begins with https://; plain HTTP is for this machine alone",
            ));
        }
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn client(address: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("billfold/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(ATTEMPT)
        // A token goes nowhere else, and no answer is kept for later.
        .redirect(Policy::none())
        .referer(false)
        .pool_max_idle_per_host(0);
    if is_loopback(address) {
        builder = builder.no_proxy();
    }
    if let Some(file) = ca_file {
        let failed = |what: &str| wrong(&format!("the CA file {}: {what}", file.display()));
        let pem = fs::read(file).map_err(|error| failed(&error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(failed("holds no certificate in PEM"));
        }
        builder = builder.tls_certs_only(certificates);
    } else if address.scheme() == "http" {
        // Without TLS, a system without certificates is no reason to fail.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .map_err(|error| wrong(&format!("no client for it: {}", error.without_url())))
}

/// Why no answer came: the reason below all wordings, which names no URL.
fn unavailable(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Unavailable(NAME, "it did not answer in time".to_owned());
    }
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    Error::Unavailable(NAME, reason.to_string())
}

async fn read(mut response: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST));
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unavailable(&error))?
    {
        if body.len() + chunk.len() > LONGEST {
            return Err(Error::Key(NAME, "its answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
        if let Ok(mut chunk) = chunk.try_into_mut() {
            chunk.as_mut().zeroize();
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str) -> Settings {
        Settings {
            address: address.to_owned(),
            mount: "transit/".to_owned(),
            key: "billfold".to_owned(),
            token_file: PathBuf::from("/nowhere/token"),
            ca_file: None,
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_at_once() {
        let told = |settings: &Settings| VaultTransit::new(settings).unwrap_err().to_string();
        for address in [
            "",
            "bao:8200",
            "http://bao:8200",
            "ftp://bao",
            "https://u:p@bao",
        ] {
            assert!(told(&settings(address)).contains("address"), "{address}");
        }
        for (mount, key) in [
            ("", "k"),
            ("a//b", "k"),
            ("..", "k"),
            ("t", ""),
            ("t", "a/b"),
            ("t", ".."),
        ] {
            let settings = Settings {
                mount: mount.to_owned(),
                key: key.to_owned(),
                ..settings("https://bao:8200")
            };
            assert!(told(&settings).contains("named by"), "{mount} {key}");
        }
        let settings = Settings {
            ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
            ..settings("https://bao:8200")
        };
        assert!(told(&settings).contains("/nowhere/ca.pem"));
    }

    #[test]
    fn a_newer_version_of_the_key_is_told_by_what_it_wrapped() {
        let made = VaultTransit::new(&settings("http://127.0.0.1:1")).unwrap();
        let newer = |before: &str, after: &str| made.is_newer(before.as_bytes(), after.as_bytes());
        assert!(newer("vault:v9:aa==", "vault:v10:bb=="));
        assert!(!newer("vault:v2:aa==", "vault:v2:bb=="));
        assert!(!newer("vault:v2:aa==", "vault:v1:bb=="));
        assert!(!newer("vault:v2", "vault:v3:bb==") && !newer("v1", "vault:v3:bb=="));
    }

    #[test]
    fn paths_go_below_the_address() {
        let made = VaultTransit::new(&settings("http://127.0.0.1:1/bao")).unwrap();
        assert_eq!(
            made.decrypt.as_str(),
            "http://127.0.0.1:1/bao/v1/transit/decrypt/billfold"
        );
        assert!(format!("{made:?}").contains("/nowhere/token"));
    }

    #[test]
    fn a_token_file_is_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let settings = Settings {
            token_file: file.clone(),
            ..settings("http://127.0.0.1:1")
        };
        let made = VaultTransit::new(&settings).unwrap();
        assert!(
            made.token()
                .unwrap_err()
                .to_string()
                .contains("No such file")
        );
        for empty in ["", " \n", "two words"] {
            fs::write(&file, empty).unwrap();
            assert!(
                made.token()
                    .unwrap_err()
                    .to_string()
                    .contains("holds no token")
            );
        }
        for token in ["hvs.one\n", "hvs.two"] {
            fs::write(&file, token).unwrap();
            let read = made.token().unwrap();
            assert_eq!(read.to_str().unwrap(), token.trim());
            assert_eq!(format!("{read:?}"), "Sensitive");
        }
    }
}
