//! KV version 2.

pub(super) mod input;

use axum::http::StatusCode;
use billfold_core::event::v1::Operation;
use serde::Serialize;
use serde_json::value::RawValue;

use self::input::{data_and_cas, version, versions};
use super::{
    failure,
    shape::{Envelope, Version, ignored},
};
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::Endpoint,
        json::{self, Object},
        reply::Reply,
    },
    wallet::{At, Error, Patch, Patched, Put, Secret, Step, Written},
};

#[derive(Serialize)]
struct Data<'a> {
    data: Option<&'a RawValue>,
    metadata: Version<'a>,
}

pub(super) async fn read(call: &Call) -> Outcome {
    let number = version(call.single("version")?)?;
    if call.rest.ends_with('/') {
        return Err(Failure::silent(StatusCode::NOT_FOUND));
    }
    let read = call
        .wallet
        .read(&call.caller, call.mount()?, &call.rest, number)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    let Secret {
        version,
        data,
        custom,
    } = &read.value;
    let text = data.as_ref().map(|data| raw(data.expose())).transpose()?;
    // A deleted version is told as missing, with what is known about it.
    let status = if text.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let data = Data {
        data: text,
        metadata: Version::of(version, custom),
    };
    Ok(Reply::json(status, &Envelope::of(call.caller.request, data)).at(read.seq))
}

pub(super) async fn write(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let (data, cas) = data_and_cas(&body)?;
    let put = Step::Put(Put {
        cas,
        data,
        credential: None,
    });
    let (mount, path) = (call.mount()?, &call.rest);
    let written = call
        .wallet
        .change(&call.caller, mount, path, put, call.command()?)
        .await;
    let written = written.map_err(|error| failure(&error))?;
    written_version(call, &body, &written).await
}

async fn written_version(call: &Call, body: &Object<'_>, written: &Written) -> Outcome {
    let told = call
        .wallet
        .written(call.mount()?, &call.rest, written)
        .await
        .map_err(|error| failure(&error))?;
    let version = Version::of(&told.value.version, &told.value.custom);
    let warnings = ignored(body.has_others(&["data", "options", "version"]).len());
    let envelope = Envelope::of(call.caller.request, version).warning(warnings);
    Ok(Reply::json(StatusCode::OK, &envelope).at(told.seq))
}

pub(super) async fn delete(call: &Call) -> Outcome {
    change(call, Step::DeleteCurrent).await
}

pub(super) async fn remove(call: &Call) -> Outcome {
    // A folder has no metadata of its own: there is nothing to remove.
    if call.rest.ends_with('/') {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    change(call, Step::Remove).await
}

pub(super) async fn change_versions(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let versions = versions(&body)?;
    let (step, missing): (fn(Vec<u32>) -> Step, _) = match call.endpoint {
        Endpoint::KvUndelete => (Step::Undelete, "No version number provided"),
        Endpoint::KvDestroy => (Step::Destroy, "no version number provided"),
        _ => (Step::Delete, "No version number provided"),
    };
    let versions = versions.filter(|versions| !versions.is_empty());
    change(call, step(versions.ok_or_else(|| Failure::bad(missing))?)).await
}

pub(super) async fn change(call: &Call, step: Step) -> Outcome {
    let changed = call
        .wallet
        .change(
            &call.caller,
            call.mount()?,
            &call.rest,
            step,
            call.command()?,
        )
        .await;
    let changed = changed.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(changed.seq))
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

pub(super) async fn list(call: &Call) -> Outcome {
    let folder = match call.rest.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let after = page(call)?.after;
    let listed = call
        .wallet
        .list(&call.caller, call.mount()?, &folder, after)
        .await;
    told_page(call, &listed.map_err(|error| failure(&error))?)
}

/// The page of a listing that a call asks for.
pub(super) fn told_page(call: &Call, listed: &At<Vec<String>>) -> Outcome {
    let keys = page(call)?.of(&listed.value);
    // OpenBao answers an empty page like an empty folder.
    if keys.is_empty() {
        return Err(Failure::silent(StatusCode::NOT_FOUND));
    }
    let keys = Keys { keys };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, keys)).at(listed.seq))
}

#[derive(Serialize)]
struct Scanned<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    keys: &'a [String],
}

pub(super) async fn scan(call: &Call) -> Outcome {
    let folder = match call.rest.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let found = call.wallet.scan(&call.caller, call.mount()?, &folder).await;
    let found = found.map_err(|error| failure(&error))?;
    let keys = Scanned { keys: &found.value };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, keys)).at(found.seq))
}

#[derive(Serialize)]
struct Subkeys<'a> {
    metadata: Version<'a>,
    subkeys: Option<&'a RawValue>,
}

pub(super) async fn subkeys(call: &Call) -> Outcome {
    let number = version(call.single("version")?)?;
    let depth = input::number(call, "depth")?.unwrap_or(0);
    let subkeys = Operation::ReadSubkeys;
    let read = call
        .wallet
        .read_for(&call.caller, call.mount()?, &call.rest, number, subkeys)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    let Secret {
        version,
        data,
        custom,
    } = &read.value;
    let names = match data {
        Some(data) => Some(json::subkeys(raw(data.expose())?.get(), depth).map_err(unreadable)?),
        None => None,
    };
    let names = names.as_ref().map(|names| raw(names.expose()));
    let data = Subkeys {
        metadata: Version::of(version, custom),
        subkeys: names.transpose()?,
    };
    let status = if data.subkeys.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    Ok(Reply::json(status, &Envelope::of(call.caller.request, data)).at(read.seq))
}

pub(super) async fn patch(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let (data, cas) = input::patch_and_cas(&body)?;
    let (mount, path) = (call.mount()?, &call.rest);
    let patch = Patch { cas, data };
    let patched = call
        .wallet
        .patch(&call.caller, mount, path, &patch, call.command()?)
        .await;
    match patched {
        Ok(Patched::Written(written)) => written_version(call, &body, &written).await,
        // What is deleted cannot be patched: the answer tells since when.
        Ok(Patched::Nothing(read)) => {
            let version = Version::of(&read.value.version, &read.value.custom);
            let envelope = Envelope::of(call.caller.request, version);
            Ok(Reply::json(StatusCode::NOT_FOUND, &envelope).at(read.seq))
        }
        Err(Error::Absent) => Ok(Reply::empty(StatusCode::NOT_FOUND)),
        Err(error) => Err(failure(&error)),
    }
}

/// Which part of a listing is asked for.
pub(super) struct Page<'a> {
    after: Option<&'a str>,
    limit: Option<usize>,
}

impl Page<'_> {
    pub(super) fn of<'k>(&self, keys: &'k [String]) -> &'k [String] {
        let first = self
            .after
            .map_or(0, |after| keys.partition_point(|key| key.as_str() <= after));
        let rest = keys.get(first..).unwrap_or_default();
        rest.get(..self.limit.unwrap_or(usize::MAX)).unwrap_or(rest)
    }
}

pub(super) fn page(call: &Call) -> Result<Page<'_>, Failure> {
    let limit = input::number(call, "limit")?.filter(|limit| *limit > 0);
    Ok(Page {
        after: call.parameter("after"),
        limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    })
}

fn unreadable(_: &str) -> Failure {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the stored secret is not JSON",
    )
}

/// Stored JSON as a part of an answer.
pub(super) fn raw(stored: &[u8]) -> Result<&RawValue, Failure> {
    serde_json::from_slice(stored).map_err(|_| unreadable(""))
}
