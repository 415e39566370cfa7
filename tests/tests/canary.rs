//! Invariant 4: nothing readable outside ciphertext.
//!
//! Unique words are planted through every endpoint of the router, in calls that succeed and in calls that fail: as
//! secrets, paths, credential names, tokens, queries and headers. Then they are searched for in every file of the node
//! and of the NATS server, in all that went over NATS, in logs and metrics, and in every answer but those that tell them
//! on purpose. A word that was put there in each encoding is found first. What is readable and may be is listed in
//! `docs/threat-model.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "canary/places.rs"]
mod places;
#[path = "canary/plan.rs"]
mod plan;
#[path = "canary/search.rs"]
mod search;

use billfold::http::endpoints::ROUTES;
use billfold_tests::{
    billfold::Reply,
    on_both_backends,
    wallet::{Backend, Wallet},
};
use places::{Wiretap, assert_clean, files_of};
use plan::{Call, Token};
use search::{Search, Words};

on_both_backends! {
    inv04_nothing_is_readable_where_it_should_not_be,
}

async fn inv04_nothing_is_readable_where_it_should_not_be(backend: Backend) {
    let words = Words::new();
    let root = format!("hvs.{}", words.word('t'));
    let change = |builder: billfold_tests::billfold::Builder| {
        builder.root_token(&root).env("BILLFOLD_LOG", "trace")
    };
    // The key beside the data, and the key of its own: `dev` tells its token on purpose, `serve` tells it nowhere.
    let mut wallet = match backend {
        Backend::Embedded => Wallet::dev_with(backend, change).await,
        Backend::JetStream => Wallet::serve_with(backend, change).await,
    };
    let search = words.search();
    let tap = match &wallet.nats {
        Some(nats) => Some(Wiretap::on(&nats.url(), &words).await),
        None => None,
    };
    places::plant_and_find(&wallet, &words, &search);

    let mut calls = 0;
    for route in ROUTES {
        for verb in route.verbs {
            for call in plan::calls(route, *verb, &words) {
                let reply = send(&wallet, &call).await;
                assert!(
                    call.statuses.contains(&reply.status),
                    "{} {}: {} {}",
                    call.verb,
                    call.path,
                    reply.status,
                    reply.text()
                );
                assert_tells(&search, &call, &reply);
                calls += 1;
            }
        }
    }
    for path in ["/metrics", "/v1/sys/metrics?format=prometheus"] {
        let told = wallet.node.root("GET", path, ()).await;
        assert!(
            told.status == 200 && told.text().contains("KvRead"),
            "{}",
            told.text()
        );
        assert_eq!(search.in_bytes(&told.bytes), [], "{path}");
    }
    eprintln!("{calls} calls with {} words", words.count());

    // While it runs, when it has been killed and came back, and when it has ended.
    assert_clean(&files_of(&wallet), &search);
    wallet.node.kill9();
    wallet.node.restart().await.unwrap();
    assert_clean(&files_of(&wallet), &search);
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    assert_clean(&files_of(&wallet), &search);
    if let Some(tap) = tap {
        tap.assert_clean(&search).await;
    }
    places::assert_key_stays(&wallet);
    wallet.assert_sound().await;
}

async fn send(wallet: &Wallet, call: &Call) -> Reply {
    let mut client = wallet.node.client();
    for (name, value) in &call.headers {
        client = client.header(name, value);
    }
    let token = match &call.token {
        Token::Root => Some(wallet.node.token()),
        Token::None => None,
        Token::Other(token) => Some(token.as_str()),
    };
    let verb = call.verb.as_str();
    let answer = client
        .call_raw(verb, &call.path, token, call.body.clone())
        .await;
    answer.unwrap_or_else(|error| panic!("{verb} {}: {error:#}", call.path))
}

/// An answer tells the kinds of words that its call is for, and no others.
fn assert_tells(search: &Search, call: &Call, reply: &Reply) {
    let mut head = Vec::new();
    for (name, value) in &reply.headers {
        // The one header that repeats what the client sent, to that client alone.
        if name != "location" {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(value.as_bytes());
        }
    }
    let tells = reply.status < 300 || (reply.status == 409 && call.names);
    let may = if tells {
        [call.tells, call.may_tell].concat()
    } else {
        String::new()
    };
    let told = format!("{} {} → {}", call.verb, call.path, reply.status);
    assert_eq!(search.in_bytes(&head), [], "the head of {told}");
    for found in search.in_bytes(&reply.bytes) {
        let plain = found.kind.is_some_and(|kind| may.contains(kind));
        assert!(plain, "{told}: {found:?} in {}", reply.text());
    }
    for kind in call.tells.chars().filter(|_| tells) {
        let there = search
            .in_bytes(&reply.bytes)
            .iter()
            .any(|found| found.kind == Some(kind));
        assert!(there, "{told}: it should tell {kind} in {}", reply.text());
    }
}
