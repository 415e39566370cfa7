//! `kill -9` between any two steps of a change: the next start finishes it, and says it once.

use billfold_streams::fault_point::REPLACING;
use billfold_tests::wallet::Backend;
use serde_json::json;

use super::{
    PATH,
    open::{KeyFiles, Open, next_file, none_next},
};

pub async fn the_change_goes_on_after_a_crash_at_each_step(backend: Backend) {
    for fault in REPLACING {
        let files = KeyFiles::new();
        let (old, new) = (files.file("old"), files.file("new"));
        let (mut wallet, _) = Open::begin(backend, json!({}), |builder| {
            next_file(builder.key_file(&old), &new).env("BILLFOLD_FAULT", fault)
        })
        .await;
        wallet.until_sealed(false).await;
        wallet.put("stays").await;
        wallet.put("goes").await;
        wallet.remove_and_retire("goes").await;
        assert!(!wallet.is_complete().await);
        let client = wallet.node.client();
        let answer = client.call("POST", PATH, Some(&wallet.token), json!({}));
        assert!(answer.await.is_err(), "{fault}: it was to end the process");
        wallet.node.kill9();
        // The same settings open it, and so do those of the new key.
        let again = wallet.node.builder().clone().env_remove("BILLFOLD_FAULT");
        wallet.node = again.spawn_closed().await.unwrap();
        wallet.until_sealed(false).await;
        assert_eq!(wallet.says("GenerationReplaced").await, 1, "{fault}");
        assert!(wallet.is_complete().await, "{fault}");
        assert_eq!(wallet.read("stays").await, Some("stays-value".to_owned()));
        wallet
            .again(|builder| none_next(builder).env("BILLFOLD_KEY_FILE", new.to_str().unwrap()))
            .await;
        wallet.until_sealed(false).await;
        assert_eq!(wallet.generations().await, ["key-file", "key-file"]);
        assert_eq!(wallet.says("GenerationReplaced").await, 1, "{fault}");
    }
}
