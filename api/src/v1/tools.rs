//! `sys/tools/*`: hashes and random bytes.

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_core::entropy::Entropy as _;
use billfold_streams::entropy::Os;
use serde::Serialize;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use zeroize::Zeroizing;

use super::{failure, kv::input, shape::Envelope};
use crate::http::{Call, Failure, Outcome, json::Object, reply::Reply};

/// How many random bytes are given at most.
const MOST: i64 = 128 << 10;
/// Told to who asks for the random bytes of a seal, in the words of OpenBao.
const NO_OTHER_SOURCE: &str =
    "no seal/entropy augmentation available, using platform entropy source";

#[derive(Serialize)]
struct Sum {
    sum: String,
}

pub(super) async fn hash(call: &Call) -> Outcome {
    let seq = asked(call).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let text = |name: &str| {
        body.read::<String>(name)
            .map(|text| text.map(Zeroizing::new))
            .map_err(|()| input::invalid(name))
    };
    let sent = text("input")?.unwrap_or_default();
    let bytes = Zeroizing::new(
        STANDARD
            .decode(sent.as_str())
            .map_err(|_| Failure::bad("unable to decode input as base64"))?,
    );
    let stated = text("algorithm")?;
    // The path counts, as in OpenBao.
    let algorithm = match call.rest.as_str() {
        "" => stated.as_ref().map_or("sha2-256", |name| name.as_str()),
        path => path,
    };
    let sum = match algorithm {
        "sha2-224" => Sha224::digest(&bytes).to_vec(),
        "sha2-256" => Sha256::digest(&bytes).to_vec(),
        "sha2-384" => Sha384::digest(&bytes).to_vec(),
        "sha2-512" => Sha512::digest(&bytes).to_vec(),
        "sha3-224" => Sha3_224::digest(&bytes).to_vec(),
        "sha3-256" => Sha3_256::digest(&bytes).to_vec(),
        "sha3-384" => Sha3_384::digest(&bytes).to_vec(),
        "sha3-512" => Sha3_512::digest(&bytes).to_vec(),
        _ => return Err(Failure::bad("unsupported algorithm")),
    };
    let sum = match text("format")?.as_ref().map_or("hex", |text| text.as_str()) {
        "hex" => hex::encode(sum),
        "base64" => STANDARD.encode(sum),
        _ => return Err(bad_format()),
    };
    let envelope = Envelope::of(call.caller.request, Sum { sum });
    Ok(Reply::json(StatusCode::OK, &envelope).at(seq))
}

#[derive(Serialize)]
struct Random<'a> {
    random_bytes: &'a str,
}

pub(super) async fn random(call: &Call) -> Outcome {
    let seq = asked(call).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    // A source may stand before the number: there is one, whatever it is called.
    let stated = match call.rest.split_once('/') {
        Some(("platform" | "seal" | "all", number)) => number,
        Some(_) => {
            return Err(Failure::bad(
                "unsupported entropy source; must be \"platform\" or \"seal\", or \"all\"",
            ));
        }
        None => match call.rest.as_str() {
            "platform" | "seal" | "all" => "",
            number => number,
        },
    };
    let number = match (stated, input::count(&body, "bytes")?) {
        ("", None) => 32,
        ("", Some(number)) => number,
        (stated, _) => stated
            .parse()
            .map_err(|_| Failure::bad("error parsing url-set byte count"))?,
    };
    if number < 1 {
        return Err(Failure::bad("'bytes' cannot be less than 1"));
    }
    if number > MOST {
        return Err(Failure::bad("'bytes' should be less than 131072"));
    }
    let format = body
        .read::<String>("format")
        .map_err(|()| input::invalid("format"))?;
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(number).unwrap_or_default()]);
    Os::new().fill(&mut bytes);
    let text = Zeroizing::new(match format.as_deref().unwrap_or("base64") {
        "base64" => STANDARD.encode(&bytes),
        "hex" => hex::encode(&bytes),
        _ => return Err(bad_format()),
    });
    let random = Random {
        random_bytes: &text,
    };
    let of_seal = call.rest.split('/').next() == Some("seal");
    let envelope = Envelope::of(call.caller.request, random)
        .warning(of_seal.then(|| vec![NO_OTHER_SOURCE.to_owned()]));
    Ok(Reply::json(StatusCode::OK, &envelope).at(seq))
}

fn bad_format() -> Failure {
    Failure::bad("unsupported encoding format; must be \"hex\" or \"base64\"")
}

async fn asked(call: &Call) -> Result<billfold_core::id::Seq, Failure> {
    let asked = call.wallet.ask(&call.caller, &call.path).await;
    asked.map_err(|error| failure(&error))
}
