//! A log that says that it has more, and gives nothing: whoever reads it ends, and says why.

use std::sync::Arc;

use async_trait::async_trait;
use billfold_core::{
    Millis,
    grant::AuditorSecret,
    id::{Seq, WalletId},
    keys::CheckpointSeed,
    proof::{KeyName, Signer},
    subject::{Generation, Subject},
};
use billfold_replay::{Error, Source, bundle, digest::digest, integrity, receipt};
use billfold_streams::{
    EventLog,
    entropy::Os,
    log::{self, AppendError, Filter, Message, Tail},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::fixture::Wallet;

#[derive(Debug)]
struct Silent;

#[async_trait]
impl EventLog for Silent {
    fn max_message(&self) -> usize {
        0
    }

    async fn append(&self, _: &Subject, _: Seq, _: Bytes) -> Result<Seq, AppendError> {
        Err(AppendError::Refused("it is only read".to_owned()))
    }

    async fn last(&self, _: &Subject) -> Result<Option<Message>, log::Error> {
        Ok(None)
    }

    async fn next_after(&self, _: &Subject, _: Seq) -> Result<Option<Message>, log::Error> {
        Ok(None)
    }

    async fn head(&self, _: Filter) -> Result<Seq, log::Error> {
        Ok(Seq(5))
    }

    async fn read(&self, _: Filter, _: Seq) -> Result<Tail, log::Error> {
        Ok(stream::pending().boxed())
    }

    async fn now(&self) -> Result<Millis, log::Error> {
        Ok(Millis(0))
    }
}

fn assert_out_of_reach<T>(ended: Result<T, Error>) {
    match ended {
        Err(Error::Unreachable(why)) => {
            assert_eq!(why, "the log gives nothing more before its end");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it gave nothing"),
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_without_keys() {
    let log: Arc<dyn EventLog> = Arc::new(Silent);
    let secret = AuditorSecret::generate(&mut Os::new());
    assert_out_of_reach(Source::of_granted(Arc::clone(&log), &secret).await);
    let name = KeyName::origin(WalletId::from_bytes([7; 16]), Generation::FIRST);
    let signer = Signer::of_checkpoints(name, &CheckpointSeed::generate(&mut Os::new()));
    let progress = &mut |_, _| ();
    let verified = integrity::verify(&log, &[signer.verifier()], &[], progress).await;
    assert_out_of_reach(verified);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle");
    assert_out_of_reach(bundle::write(&log, Seq(5), &[], &file, progress).await);
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_ever_with_them() {
    let wallet = Wallet::new().await;
    let source = Source::of(Arc::new(Silent), wallet.node().custody.clone());
    let source = source.with_patience(std::time::Duration::from_millis(1));
    let (wanted, progress) = (receipt::Wanted::default(), &mut |_, _| ());
    assert_out_of_reach(receipt::prove(&source, Seq(2), &wanted, progress).await);
    assert_out_of_reach(digest(&source, None, progress).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_key_of_another_wallet_is_told_once() {
    let wallet = Wallet::new().await.lived_in().await;
    let other = WalletId::from_bytes([7; 16]);
    let name = KeyName::origin(other, Generation::FIRST);
    let signer = Signer::of_checkpoints(name, &CheckpointSeed::generate(&mut Os::new()));
    let log = wallet.node().embedded.log();
    let report = integrity::verify(&log, &[signer.verifier()], &[], &mut |_, _| ()).await;
    let report = report.unwrap();
    let told: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    let here = wallet.node().custody.wallet();
    let what = format!(
        "the checkpoint key is that of wallet {other}, and the log is that of wallet {here}"
    );
    assert_eq!(told, [what]);
    assert!(!report.sound && report.more_findings == 0);
}
