//! `digest`: the fold from zero comes to what every node has at the same place.

use billfold_core::id::Seq;
use billfold_replay::{Error, digest::digest};

use crate::fixture::Wallet;

#[tokio::test(flavor = "multi_thread")]
async fn inv01_equal_to_the_nodes_at_every_place() {
    let wallet = Wallet::new().await;
    let view = wallet.node().keychain.view();
    let mut places = Vec::new();
    for path in ["a", "b", "a", "c/d"] {
        wallet.put(path).await;
        wallet.refuse().await;
        places.push(view.meta());
    }
    let wallet = wallet.lived_in().await;
    places.push(wallet.node().keychain.view().meta());
    let source = wallet.source().await;
    for place in &places {
        let folded = digest(&source, Some(place.head.seq), &mut |_, _| ())
            .await
            .unwrap();
        assert_eq!(
            (folded.sequence, folded.digest),
            (place.head.seq, place.digest)
        );
    }
    // What was observed behind a place changes nothing.
    let first = places[0];
    let behind = digest(&source, Some(first.head.seq.next()), &mut |_, _| ())
        .await
        .unwrap();
    assert_eq!(
        (behind.sequence, behind.digest),
        (first.head.seq, first.digest)
    );
    let mut told = Vec::new();
    let end = digest(&source, None, &mut |at, end| told.push((at, end)))
        .await
        .unwrap();
    assert_eq!(end.digest, places.last().unwrap().digest);
    assert_eq!(told.last().unwrap().0, told.last().unwrap().1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_the_log_does_not_have_is_refused() {
    let wallet = Wallet::new().await.stopped().await;
    let source = wallet.source().await;
    let refused = digest(&source, Some(Seq(1000)), &mut |_, _| ()).await;
    assert!(matches!(refused, Err(Error::Usage(why)) if why.contains("the log ends at sequence")));
}
