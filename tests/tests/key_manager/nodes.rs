//! Several nodes: two that change at once, and one that goes on while another changes.

use billfold_tests::wallet::Backend;
use serde_json::{Value, json};

use super::{
    PATH,
    open::{KeyFiles, Open, next_file, none_next},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_change_at_once_and_both_go_on() {
    let files = KeyFiles::new();
    let (old, new) = (files.file("old"), files.file("new"));
    let (mut one, _) = Open::begin(Backend::JetStream, json!({}), |builder| {
        next_file(builder.key_file(&old), &new)
    })
    .await;
    one.until_sealed(false).await;
    let second = one.node.builder().another_node().spawn().await.unwrap();
    let third = none_next(one.node.builder().another_node());
    let third = third.spawn().await.unwrap();
    let (a, b) = tokio::join!(
        one.call("POST", PATH, json!({})),
        one.call_at(&second, "POST", PATH, json!({}))
    );
    let both = format!("{}\n{}", a.text(), b.text());
    let done = [&a, &b].iter().filter(|reply| reply.status == 200).count();
    assert_eq!(done, 1, "{both}");
    // The other one comes too late, or finds the key in place.
    let late = [&a, &b].into_iter().find(|reply| reply.status != 200);
    let late = late.unwrap().text();
    assert!(
        late.contains("came first") || late.contains("nothing would be severed"),
        "{late}"
    );
    assert_eq!(one.generations().await, ["key-file", "key-file"]);
    assert_eq!(one.says("GenerationReplaced").await, 1);
    // The others have heard of it before the keys are rotated.
    for node in [&one.node, &second, &third] {
        one.until_generations(node, 2).await;
    }
    // Nodes that run go on, also through a rotation, and so does one whose settings know nothing of it.
    for (number, node) in [&one.node, &second, &third].into_iter().enumerate() {
        let rotated = "/api/internal/wallet/rotate-kek";
        let reply = one.call_at(node, "POST", rotated, json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let path = format!("/v1/secret/data/{number}");
        let body = json!({ "data": { "value": "v" } });
        let written = one.call_at(node, "POST", &path, body).await;
        assert_eq!(written.status, 200, "{}", written.text());
    }
    for node in [&one.node, &second, &third] {
        for number in 0..3 {
            let path = format!("/v1/secret/data/{number}");
            let read = one.call_at(node, "GET", &path, Value::Null).await;
            assert_eq!(read.status, 200, "{}", read.text());
        }
    }
    one.again(|builder| none_next(builder).env("BILLFOLD_KEY_FILE", new.to_str().unwrap()))
        .await;
    one.until_sealed(false).await;
    assert_eq!(one.read("2").await, Some("v".to_owned()));
}
