//! Wrapped answers, as the command line, hvac and vaultrs ask for them and open them.

use billfold_tests::{bao::Bao, billfold::ended_within, tools};
use serde_json::{Value, json};
use vaultrs::{
    api::{ResponseWrapper as _, kv2::requests::ReadSecretRequest},
    client::{VaultClient, VaultClientSettingsBuilder},
    error::ClientError,
    kv2, sys,
};

use crate::server::{PATIENCE, Server, program};

pub async fn unwraps_by_the_command_line(server: &Server) {
    let bao = server.bao();
    let nobody = Bao::new(server.address());
    bao.ok(&["kv", "put", "-mount=secret", "app", "password=p1"])
        .await;
    let wrap = async |args: &[&str]| {
        // Options stand behind the command, which is of one or two words.
        let words = if args[0] == "write" { 1 } else { 2 };
        let (command, rest) = args.split_at(words);
        let told = bao
            .json(&[command, &["-wrap-ttl=10m"], rest].concat())
            .await;
        assert_eq!(told["data"], json!(null), "{told}");
        told["wrap_info"]["token"].as_str().unwrap().to_owned()
    };

    let wrapped = wrap(&["kv", "get", "-mount=secret", "app"]).await;
    let about = format!("token={wrapped}");
    let lookup = ["write", "sys/wrapping/lookup", &about];
    let found = bao.json(&lookup).await["data"].clone();
    assert_eq!(found["creation_path"], "secret/data/app");
    let opened = nobody.json(&["unwrap", &wrapped]).await;
    assert_eq!(opened["data"]["data"], json!({ "password": "p1" }));
    let told = "wrapping token is not valid or does not exist";
    nobody.refused(&["unwrap", &wrapped], told).await;
    bao.refused(&lookup, told).await;

    // As the token in the environment, and after it was wrapped anew.
    let wrapped = wrap(&["kv", "get", "-mount=secret", "app"]).await;
    let about = format!("token={wrapped}");
    let rewrap = [
        "write",
        "-field=wrapping_token",
        "sys/wrapping/rewrap",
        &about,
    ];
    let again = bao.ok(&rewrap).await.trim().to_owned();
    nobody.refused(&["unwrap", &wrapped], told).await;
    let opened = server.bao_with(&again).json(&["unwrap"]).await;
    assert_eq!(opened["data"]["data"]["password"], "p1");

    // A token, which nobody sees before it is unwrapped.
    let wrapped = wrap(&["token", "create", "-policy=default", "-ttl=1h"]).await;
    let token = nobody.ok(&["unwrap", "-field=token", &wrapped]).await;
    let own = server.bao_with(token.trim());
    let looked = own.json(&["token", "lookup"]).await;
    assert_eq!(looked["data"]["policies"], json!(["default"]));
    let wrapped = wrap(&["write", "sys/wrapping/wrap", "a=b"]).await;
    assert_eq!(
        nobody.ok(&["unwrap", "-field=a", &wrapped]).await.trim(),
        "b"
    );
}

pub async fn unwraps_with_hvac(server: &Server) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hvac_wrapping.py");
    let mut command = program(tools::python());
    command.args([script, &server.url(), server.token()]);
    let told = ended_within(PATIENCE, command)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(told.stdout.contains("hvac is content"), "{told:?}");
}

pub async fn unwraps_with_vaultrs(server: &Server) {
    let client = |token: &str| {
        let settings = VaultClientSettingsBuilder::default()
            .address(server.url())
            .token(token)
            .build();
        VaultClient::new(settings.unwrap()).unwrap()
    };
    let root = client(server.token());
    kv2::set(&root, "secret", "app", &json!({ "password": "p1" }))
        .await
        .unwrap();
    let read = || {
        let request = ReadSecretRequest::builder()
            .mount("secret")
            .path("app")
            .build();
        request.unwrap()
    };
    let wrapped = read().wrap(&root).await.unwrap();
    assert_eq!(wrapped.info.ttl, 600);
    assert_eq!(wrapped.info.creation_path, "secret/data/app");
    let found = wrapped.lookup(&root).await.unwrap();
    assert_eq!(found.creation_ttl, 600);
    let opened = wrapped.unwrap(&root).await.unwrap();
    assert_eq!(opened.data, json!({ "password": "p1" }));
    assert_eq!(opened.metadata.version, 1);
    let gone = wrapped.lookup(&root).await;
    assert!(
        matches!(gone, Err(ClientError::WrapInvalidError)),
        "{gone:?}"
    );
    match wrapped.unwrap(&root).await {
        Err(ClientError::APIError { code: 400, .. }) => {}
        other => panic!("{other:?}"),
    }
    // Who has nothing but the wrapping token can open it with that.
    let wrapped = read().wrap(&root).await.unwrap();
    let opened: Value = sys::wrapping::unwrap(&client(&wrapped.info.token), None)
        .await
        .unwrap();
    assert_eq!(opened["data"], json!({ "password": "p1" }));
}
