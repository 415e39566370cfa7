//! vaultrs, the library for Rust.

use std::collections::HashMap;

use serde_json::{Value, json};
use vaultrs::{
    api::{
        kv2::requests::{
            SetConfigurationRequest, SetSecretMetadataRequest, SetSecretRequestOptions,
        },
        sys::requests::EnableEngineRequest,
        token::requests::{CreateOrphanTokenRequest, CreateTokenRequest},
    },
    client::{Client as _, VaultClient, VaultClientSettingsBuilder},
    error::ClientError,
    kv1, kv2, sys, token,
};

use crate::server::Server;

fn client(server: &Server, token: &str) -> VaultClient {
    let settings = VaultClientSettingsBuilder::default()
        .address(server.url())
        .token(token)
        .build();
    VaultClient::new(settings.unwrap()).unwrap()
}

/// The status and the errors of a call that must fail.
fn refused<T>(answer: Result<T, ClientError>) -> (u16, String) {
    match answer {
        Err(ClientError::APIError { code, errors }) => (code, errors.join("; ")),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

/// Whether a read found nothing: a version that is gone is told with its metadata, which the library does not read.
fn is_missing(answer: Result<Value, ClientError>) -> bool {
    match answer {
        Err(ClientError::RestClientError { source }) => format!("{source:?}").contains("code: 404"),
        other => refused(other).0 == 404,
    }
}

pub async fn kv_version_2(server: &Server) {
    let client = client(server, server.token());
    let at = ("secret", "rs/app");
    for version in 1..=3 {
        let data = json!({ "user": "app", "password": format!("p{version}"), "n": [1, null, "ü"] });
        let cas = SetSecretRequestOptions { cas: version - 1 };
        let made = kv2::set_with_options(&client, at.0, at.1, &data, cas).await;
        assert_eq!(made.unwrap().version, u64::from(version));
    }
    let late = SetSecretRequestOptions { cas: 1 };
    let (code, told) = refused(kv2::set_with_options(&client, at.0, at.1, &json!({}), late).await);
    assert_eq!(code, 400);
    assert!(
        told.contains("check-and-set parameter did not match"),
        "{told}"
    );
    kv2::set(&client, at.0, at.1, &json!({ "password": "p4" }))
        .await
        .unwrap();
    let read: Value = kv2::read(&client, at.0, at.1).await.unwrap();
    assert_eq!(read, json!({ "password": "p4" }));
    let first: Value = kv2::read_version(&client, at.0, at.1, 1).await.unwrap();
    assert_eq!(
        first,
        json!({ "user": "app", "password": "p1", "n": [1, null, "ü"] })
    );
    assert_eq!(kv2::list(&client, "secret", "rs").await.unwrap(), ["app"]);
    assert_eq!(kv2::list(&client, "secret", "").await.unwrap(), ["rs/"]);

    let custom = HashMap::from([("team".to_owned(), "a".to_owned())]);
    let mut change = SetSecretMetadataRequest::builder();
    change.max_versions(3_u64).custom_metadata(custom.clone());
    kv2::set_metadata(&client, at.0, at.1, Some(&mut change))
        .await
        .unwrap();
    kv2::set(&client, at.0, at.1, &json!({ "password": "p5" }))
        .await
        .unwrap();
    let metadata = kv2::read_metadata(&client, at.0, at.1).await.unwrap();
    assert_eq!((metadata.current_version, metadata.oldest_version), (5, 3));
    assert_eq!(metadata.custom_metadata, Some(custom));
    assert_eq!(metadata.versions.len(), 3);

    kv2::delete_latest(&client, at.0, at.1).await.unwrap();
    assert!(is_missing(kv2::read(&client, at.0, at.1).await));
    kv2::delete_versions(&client, at.0, at.1, vec![3, 4])
        .await
        .unwrap();
    kv2::undelete_versions(&client, at.0, at.1, vec![4, 5])
        .await
        .unwrap();
    let back: Value = kv2::read(&client, at.0, at.1).await.unwrap();
    assert_eq!(back, json!({ "password": "p5" }));
    kv2::destroy_versions(&client, at.0, at.1, vec![5])
        .await
        .unwrap();
    kv2::undelete_versions(&client, at.0, at.1, vec![5])
        .await
        .unwrap();
    assert!(is_missing(kv2::read(&client, at.0, at.1).await));
    let metadata = kv2::read_metadata(&client, at.0, at.1).await.unwrap();
    let state = |version: &str| {
        let version = &metadata.versions[version];
        (version.destroyed, version.deletion_time.is_empty())
    };
    assert_eq!(
        (state("3"), state("4"), state("5")),
        ((false, false), (false, true), (true, true))
    );
    kv2::delete_metadata(&client, at.0, at.1).await.unwrap();
    assert_eq!(
        refused(kv2::read_metadata(&client, at.0, at.1).await),
        (404, String::new())
    );
    assert_eq!(refused(kv2::list(&client, "secret", "rs").await).0, 404);

    let mut settings = SetConfigurationRequest::builder();
    settings
        .cas_required(true)
        .max_versions(7_u64)
        .delete_version_after("1h");
    kv2::config::set(&client, "secret", Some(&mut settings))
        .await
        .unwrap();
    let config = kv2::config::read(&client, "secret").await.unwrap();
    assert_eq!((config.cas_required, config.max_versions), (true, 7));
    assert_eq!(config.delete_version_after, "1h0m0s");
    assert_eq!(
        refused(kv2::set(&client, at.0, at.1, &json!({})).await).0,
        400
    );
}

pub async fn kv_version_1(server: &Server) {
    let client = client(server, server.token());
    let mut version = EnableEngineRequest::builder();
    version.options(HashMap::from([("version".to_owned(), "1".to_owned())]));
    sys::mount::enable(&client, "old", "kv", Some(&mut version))
        .await
        .unwrap();
    for value in ["p1", "p2"] {
        let data = HashMap::from([("password", value)]);
        kv1::set(&client, "old", "rs/app", &data).await.unwrap();
    }
    let read: Value = kv1::get(&client, "old", "rs/app").await.unwrap();
    assert_eq!(read, json!({ "password": "p2" }));
    let raw = kv1::get_raw(&client, "old", "rs/app").await.unwrap();
    assert_eq!((raw.data, raw.renewable), (read, false));
    assert_eq!(
        kv1::list(&client, "old", "rs").await.unwrap().data.keys,
        ["app"]
    );
    kv1::delete(&client, "old", "rs/app").await.unwrap();
    assert_eq!(
        refused(kv1::get::<Value>(&client, "old", "rs/app").await),
        (404, String::new())
    );
}

pub async fn tokens(server: &Server) {
    let root = client(server, server.token());
    let own = root.lookup().await.unwrap();
    assert_eq!((own.id.as_str(), own.ttl), (server.token(), 0));
    let rules = r#"path "secret/data/rs/*" { capabilities = ["read"] }"#;
    sys::policy::set(&root, "rs", rules).await.unwrap();
    kv2::set(&root, "secret", "rs/app", &json!({ "k": "v" }))
        .await
        .unwrap();

    let mut wish = CreateTokenRequest::builder();
    wish.policies(vec!["rs".to_owned()])
        .ttl("1h")
        .display_name("joe")
        .meta(HashMap::from([("a".to_owned(), "b".to_owned())]));
    let made = token::new(&root, Some(&mut wish)).await.unwrap();
    assert_eq!(made.policies, ["default", "rs"]);
    assert_eq!(
        (made.lease_duration, made.renewable, made.orphan),
        (3600, true, false)
    );
    let joe = client(server, &made.client_token);
    let read: Value = kv2::read(&joe, "secret", "rs/app").await.unwrap();
    assert_eq!(read["k"], "v");
    let (code, told) = refused(kv2::set(&joe, "secret", "rs/app", &json!({})).await);
    assert!(
        code == 403 && told.contains("permission denied"),
        "{code} {told}"
    );
    assert_eq!(refused(sys::mount::list(&joe).await).0, 403);

    let looked = token::lookup(&root, &made.client_token).await.unwrap();
    assert_eq!(
        (looked.display_name.as_str(), looked.orphan),
        ("token-joe", false)
    );
    assert_eq!(looked.meta.unwrap()["a"], "b");
    let looked = token::lookup_accessor(&root, &made.accessor).await.unwrap();
    assert_eq!((looked.id.as_str(), looked.policies), ("", made.policies));
    assert_eq!(joe.renew(Some("30m")).await.unwrap().lease_duration, 1800);
    let renewed = token::renew(&root, &made.client_token, Some("2h"))
        .await
        .unwrap();
    assert_eq!(renewed.lease_duration, 7200);
    let renewed = token::renew_accessor(&root, &made.accessor, Some("1h"))
        .await
        .unwrap();
    assert_eq!(renewed.lease_duration, 3600);
    token::revoke(&root, &made.client_token).await.unwrap();
    assert_eq!(refused(joe.lookup().await).0, 403);

    let mut wish = CreateOrphanTokenRequest::builder();
    wish.policies(vec!["rs".to_owned()]);
    let orphan = token::new_orphan(&root, Some(&mut wish)).await.unwrap();
    assert!(orphan.orphan);
    token::revoke_accessor(&root, &orphan.accessor)
        .await
        .unwrap();
    assert_eq!(
        refused(client(server, &orphan.client_token).lookup().await).0,
        403
    );
    let parent = token::new(&root, None).await.unwrap().client_token;
    let child = token::new(&client(server, &parent), None).await.unwrap();
    token::revoke_orphan(&root, &parent).await.unwrap();
    let child = client(server, &child.client_token);
    child.lookup().await.unwrap();
    child.revoke().await.unwrap();
    assert_eq!(refused(child.lookup().await).0, 403);
}

pub async fn the_system(server: &Server) {
    let client = client(server, server.token());
    let mut enable = EnableEngineRequest::builder();
    enable.description("of Rust");
    sys::mount::enable(&client, "rs", "kv-v2", Some(&mut enable))
        .await
        .unwrap();
    assert_eq!(
        refused(sys::mount::enable(&client, "rs", "kv", None).await).0,
        400
    );
    let mounts = sys::mount::list(&client).await.unwrap();
    let mount = &mounts["rs/"];
    assert_eq!(
        (mount.mount_type.as_str(), mount.description.as_str()),
        ("kv", "of Rust")
    );
    assert_eq!(mount.options.as_ref().unwrap()["version"], "2");
    let one = sys::mount::get_configuration_of_a_secret_engine(&client, "rs")
        .await
        .unwrap();
    assert_eq!((&one.accessor, &one.uuid), (&mount.accessor, &mount.uuid));
    let moved = sys::remount::remount(&client, "rs", "crab").await.unwrap();
    loop {
        let status = sys::remount::remount_status(&client, &moved.migration_id)
            .await
            .unwrap();
        match status.migration_info.status.as_str() {
            "in-progress" => tokio::task::yield_now().await,
            status => break assert_eq!(status, "success"),
        }
    }
    sys::mount::disable(&client, "crab").await.unwrap();
    assert!(
        !sys::mount::list(&client)
            .await
            .unwrap()
            .contains_key("crab/")
    );
    assert!(
        sys::auth::list(&client)
            .await
            .unwrap()
            .contains_key("token/")
    );

    let rules = r#"path "secret/*" { capabilities = ["list"] }"#;
    sys::policy::set(&client, "rs", rules).await.unwrap();
    let policy = sys::policy::read(&client, "rs").await.unwrap();
    assert_eq!((policy.name.as_str(), policy.rules.as_str()), ("rs", rules));
    let listed = sys::policy::list(&client).await.unwrap();
    assert_eq!(listed.policies, ["default", "rs", "root"]);
    assert_eq!(
        refused(sys::policy::set(&client, "broken", "path {").await).0,
        400
    );
    sys::policy::delete(&client, "rs").await.unwrap();
    assert_eq!(refused(sys::policy::read(&client, "rs").await).0, 404);
    let bytes = sys::tools::random(&client, None).await.unwrap();
    assert_eq!(bytes.random_bytes.len(), 44);
}
