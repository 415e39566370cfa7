//! Where to look.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use billfold_tests::wallet::Wallet;
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

use crate::search::{Search, Words};

/// What the name of a file or its content may be.
type Content = (PathBuf, Vec<u8>);

/// Every file of the node and of its NATS server: logs, keys, views, settings, and what they printed.
pub fn files_of(wallet: &Wallet) -> Vec<Content> {
    let mut files = Vec::new();
    for folder in folders_of(wallet) {
        collect(&folder, &mut files);
    }
    let told = wallet.node.log_path();
    for (path, content) in &mut files {
        // `dev` tells its root token, in a file of its own and in its banner.
        if *path == wallet.node.data_dir().join("root-token") {
            content.clear();
        } else if *path == told {
            *content = without_banner(content);
        }
    }
    files
}

fn folders_of(wallet: &Wallet) -> Vec<PathBuf> {
    let home = wallet
        .node
        .log_path()
        .parent()
        .expect("a home")
        .to_path_buf();
    assert!(
        wallet.node.data_dir().starts_with(&home),
        "the data folder is in the home"
    );
    let nats = wallet.nats.iter();
    let stores = nats.map(|nats| nats.store().parent().expect("a folder").to_path_buf());
    stores.chain([home]).collect()
}

fn collect(folder: &Path, files: &mut Vec<Content>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(content) = fs::read(&path) {
            // A file that went away meanwhile is looked for the next time.
            files.push((path, content));
        }
    }
}

fn without_banner(log: &[u8]) -> Vec<u8> {
    let banner: [&[u8]; 2] = [b"  root token  ", b"  export VAULT_ADDR="];
    let lines = log.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !banner.iter().any(|start| line.starts_with(start)))
        .flatten()
        .copied()
        .collect()
}

/// Panics when a word stands in a file, or in the name of one.
pub fn assert_clean(files: &[Content], search: &Search) {
    let total: usize = files.iter().map(|(_, content)| content.len()).sum();
    assert!(total > 0, "there is nothing to look at");
    if let Some(told) = files
        .iter()
        .find_map(|(path, content)| leak(path, content, search))
    {
        panic!("{told}");
    }
}

fn leak(path: &Path, content: &[u8], search: &Search) -> Option<String> {
    [content, path.to_string_lossy().as_bytes()]
        .into_iter()
        .find_map(|bytes| {
            let found = search.in_bytes(bytes).into_iter().next()?;
            let around = &bytes[found.at.saturating_sub(200)..bytes.len().min(found.at + 200)];
            Some(format!(
                "{}: {found:?}: {}",
                path.display(),
                String::from_utf8_lossy(around)
            ))
        })
}

/// A word that stands in a file, in whatever form, is found there.
pub fn plant_and_find(wallet: &Wallet, words: &Words, search: &Search) {
    let leaking = || -> Vec<PathBuf> {
        let files = files_of(wallet).into_iter();
        let leaking = files.filter(|(path, content)| leak(path, content, search).is_some());
        leaking.map(|(path, _)| path).collect()
    };
    for folder in folders_of(wallet)
        .into_iter()
        .chain([wallet.node.data_dir().to_path_buf()])
    {
        for (form, bytes) in Search::disguises(&words.word('x')) {
            let planted = folder.join("planted");
            fs::write(&planted, bytes).unwrap();
            assert_eq!(leaking(), std::slice::from_ref(&planted), "{form}");
            fs::remove_file(&planted).unwrap();
        }
        let named = folder.join(words.word('x'));
        fs::write(&named, b"").unwrap();
        assert_eq!(leaking(), std::slice::from_ref(&named));
        fs::remove_file(&named).unwrap();
    }
    assert_clean(&files_of(wallet), search);
}

/// The key that opens everything stands in its own file only.
pub fn assert_key_stays(wallet: &Wallet) {
    let beside = wallet.node.data_dir().join("dev.key");
    let own = if beside.exists() {
        beside
    } else {
        wallet.node.key_file().to_path_buf()
    };
    let key = fs::read(&own).unwrap();
    assert_eq!(key.len(), 32);
    let mut files = files_of(wallet);
    let search = Search::of(&key);
    let in_own = files
        .iter()
        .find(|(path, _)| *path == own)
        .expect("the key file is looked at");
    assert_eq!(search.in_bytes(&in_own.1).len(), 1);
    files.retain(|(path, _)| *path != own);
    assert_clean(&files, &search);
}

/// All that goes over a NATS server while it is looked at: subjects, headers and contents.
pub struct Wiretap {
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    client: async_nats::Client,
}

impl Wiretap {
    pub async fn on(url: &str, words: &Words) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let mut messages = client.subscribe(">").await.unwrap();
        client.flush().await.unwrap();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let into = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let headers = message
                    .headers
                    .map(|headers| format!("{headers:?}"))
                    .unwrap_or_default();
                let parts = [
                    message.subject.as_bytes(),
                    message.reply.as_deref().unwrap_or_default().as_bytes(),
                    headers.as_bytes(),
                    &message.payload,
                ];
                into.lock().unwrap().push(parts.join(&b' '));
            }
        });
        let tap = Self { heard, client };
        tap.find_planted(words).await;
        tap
    }

    /// What stands in a subject, a header or a content is heard.
    async fn find_planted(&self, words: &Words) {
        let search = words.search();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Planted", words.word('x'));
        let subject = |name: String| async_nats::Subject::from(format!("planted.{name}"));
        let plain = || subject("plainly".to_owned());
        self.client
            .publish(subject(words.word('x')), "".into())
            .await
            .unwrap();
        self.client
            .publish_with_headers(plain(), headers, "".into())
            .await
            .unwrap();
        self.client
            .publish(plain(), words.word('x').into())
            .await
            .unwrap();
        self.client.flush().await.unwrap();
        let heard = || {
            self.heard
                .lock()
                .unwrap()
                .iter()
                .filter(|m| !search.in_bytes(m).is_empty())
                .count()
        };
        let all = async {
            while heard() < 3 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), all)
            .await
            .expect("what is planted is heard");
        self.heard.lock().unwrap().clear();
    }

    /// Panics when a word was heard, or when nothing was.
    pub async fn assert_clean(&self, search: &Search) {
        self.client.flush().await.unwrap();
        let heard = self.heard.lock().unwrap();
        assert!(
            heard.len() > 100,
            "only {} messages were heard",
            heard.len()
        );
        for message in heard.iter() {
            let found = search.in_bytes(message);
            assert!(
                found.is_empty(),
                "{found:?} in {}",
                String::from_utf8_lossy(message)
            );
        }
    }
}
