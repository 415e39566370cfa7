//! From one key file to another: what a copy of before is worth afterwards, with its control.

use billfold_tests::{
    billfold::{Billfold, Builder},
    nats::{self, NatsServer},
    wallet::Backend,
};
use serde_json::json;
use tempfile::TempDir;

use super::open::{KeyFiles, Open, copy_of, next_file, none_next};

pub async fn inv07_another_key_file_severs_what_the_old_one_opened(backend: Backend) {
    let files = KeyFiles::new();
    let (old, new) = (files.file("old"), files.file("new"));
    let (mut now, _) = Open::begin(backend, json!({}), |builder| builder.key_file(&old)).await;
    now.until_sealed(false).await;
    now.put("stays").await;
    now.put("goes").await;
    // The copy is taken while nothing runs: of the log, of the key store, and of the node's folder.
    let copy = TempDir::new().unwrap();
    now.node.stop().await.unwrap();
    copy_of(now.node.data_dir(), &copy.path().join("data"));
    if let Some(nats) = &mut now.nats {
        nats.stop();
        copy_of(nats.store(), &copy.path().join("nats"));
        nats.run();
    }
    let builder = next_file(now.node.builder().clone(), &new);
    now.node = builder.spawn_closed().await.unwrap();
    now.until_sealed(false).await;
    now.remove_and_retire("goes").await;
    assert!(!now.is_complete().await, "the key file opens the copy");
    let done = now.change(json!({})).await;
    assert_eq!(
        json!([done["step"], done["generation"]]),
        json!(["done", 2])
    );
    assert!(now.is_complete().await);
    assert_eq!(now.read("goes").await, None);

    // The old file is not needed any more, and does not open the wallet.
    now.again(|builder| builder.env("BILLFOLD_KEY_FILE", "/nowhere/key"))
        .await;
    now.until_sealed(false).await;
    let told = now
        .ends(|builder| none_next(builder).env("BILLFOLD_KEY_FILE", old.to_str().unwrap()))
        .await;
    assert!(
        told.contains("key-file does not open this wallet's unseal generation 2")
            && told.contains("replaced since generation 1"),
        "{told}"
    );
    now.node = none_next(now.node.builder().clone())
        .env("BILLFOLD_KEY_FILE", new.to_str().unwrap())
        .spawn_closed()
        .await
        .unwrap();
    now.until_sealed(false).await;
    assert_eq!(now.read("stays").await, Some("stays-value".to_owned()));
    // What was gone must not come back with the key of before.
    now.again(|builder| next_file(builder, &old)).await;
    now.until_sealed(false).await;
    let refused = now.call("POST", super::PATH, json!({})).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("an unseal generation of the past"),
        "{}",
        refused.text()
    );

    // The control comes first: with the key of then, what was erased since opens.
    let copied = copied(&copy, backend, |builder| builder.key_file(&old));
    let copied = Open {
        node: copied.0.spawn_closed().await.unwrap(),
        nats: copied.1,
        token: now.token.clone(),
    };
    copied.until_sealed(false).await;
    assert_eq!(copied.read("goes").await, Some("goes-value".to_owned()));
    drop(copied);
    // With the key of now it does not.
    let (builder, _nats) = self::copied(&copy, backend, |builder| builder.key_file(&new));
    let ended = builder.spawn_refused().await.unwrap();
    assert_ne!(ended.code, 0);
    let told = ended.stdout + &ended.stderr;
    assert!(
        told.contains("key-file does not open this wallet's unseal generation"),
        "{told}"
    );
}

/// A node on a fresh copy of the copy.
fn copied(
    copy: &TempDir,
    backend: Backend,
    change: impl FnOnce(Builder) -> Builder,
) -> (Builder, Option<NatsServer>) {
    let fresh = copy
        .path()
        .join(hex::encode(billfold_tests::tools::random::<4>()));
    let (data, store) = (fresh.join("data"), fresh.join("nats"));
    copy_of(&copy.path().join("data"), &data);
    let builder = change(Billfold::serve().data_dir(&data));
    match backend {
        Backend::Embedded => (builder, None),
        Backend::JetStream => {
            copy_of(&copy.path().join("nats"), &store);
            let nats = NatsServer::start_with(&nats::Settings::default(), Some(&store));
            (builder.nats(nats.url()), Some(nats))
        }
    }
}
