//! `X-Vault-Index`: the place that an answer rests on, and requests that name one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_tests::wallet::{Backend, Wallet};

/// The sequence that an index names.
pub fn read(index: &str) -> u64 {
    let bytes = STANDARD.decode(index).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let parts: Vec<_> = text.split(':').collect();
    let ["v1", wallet, seq, "0", ""] = parts[..] else {
        panic!("{text}");
    };
    assert_eq!(wallet.len(), 36, "{text}");
    seq.parse().unwrap()
}

pub async fn a_place_that_the_log_has_not_is_told(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let root = Some(wallet.node.token());
    let client = wallet.node.client();
    let get = async |index: &str, token: Option<&str>| {
        let client = client.header("X-Vault-Index", index);
        let reply = client
            .call("GET", "/v1/sys/mounts", token, ())
            .await
            .unwrap();
        (
            reply.status,
            reply.json()["errors"][0].as_str().map(str::to_owned),
        )
    };
    let mounts = wallet.node.root("GET", "/v1/sys/mounts", ()).await;
    let here = mounts.header("x-vault-index").unwrap();
    assert_eq!(get(here, root).await, (200, None));
    assert_eq!(get("", root).await, (200, None));

    let text = String::from_utf8(STANDARD.decode(here).unwrap()).unwrap();
    let seq = read(here).to_string();
    let of = |text: String| STANDARD.encode(text);
    let refused = |status, told: &str| (status, Some(told.to_owned()));
    for later in [(read(here) + 1_000).to_string(), u64::MAX.to_string()] {
        let index = of(text.replace(&format!(":{seq}:"), &format!(":{later}:")));
        assert_eq!(
            get(&index, root).await,
            refused(412, "required index state not present")
        );
        // Whoever has no token is told nothing about the log.
        assert_eq!(get(&index, None).await, refused(403, "permission denied"));
    }
    let malformed = refused(400, "failed to decode \"X-Vault-Index\"");
    for index in [
        "abc",
        "djE6",
        &of(text.replace("v1:", "v2:")),
        &here[..here.len() - 4],
    ] {
        assert_eq!(get(index, root).await, malformed, "{index}");
    }
    let other = text.replace(
        text.split(':').nth(1).unwrap(),
        "00000000-0000-0000-0000-000000000000",
    );
    assert_eq!(
        get(&of(other), root).await,
        refused(400, "X-Vault-Index is of another wallet")
    );
    let inconsistent = client.header("X-Vault-Inconsistent", "forward-active-node");
    let read = inconsistent.call("GET", "/v1/sys/mounts", root, ()).await;
    assert_eq!(read.unwrap().status, 200);
}
