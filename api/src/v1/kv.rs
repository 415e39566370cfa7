//! KV version 2.

mod input;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use self::input::{data_and_cas, version, versions};
use super::{
    failure,
    shape::{Envelope, Time, Version, VersionLine, ignored},
};
use crate::{
    http::{Call, Failure, Outcome, endpoints::Endpoint, json::Object, reply::Reply},
    wallet::{Put, Secret, SecretMetadata, Step, VersionFacts},
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
    let told = call
        .wallet
        .written(mount, path, &written)
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

async fn change(call: &Call, step: Step) -> Outcome {
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
struct Metadata<'a> {
    cas_required: bool,
    created_time: Time,
    current_metadata_version: u32,
    current_version: u32,
    custom_metadata: Option<&'a BTreeMap<String, String>>,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
    oldest_version: u32,
    updated_time: Time,
    versions: BTreeMap<String, VersionLine>,
}

pub(super) async fn read_metadata(call: &Call) -> Outcome {
    let path = call.rest.trim_end_matches('/');
    let read = call
        .wallet
        .read_metadata(&call.caller, call.mount()?, path)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    let SecretMetadata { record, custom } = &read.value;
    let oldest = record.versions.first().map_or(0, |version| version.number);
    let data = Metadata {
        cas_required: record.settings.cas_required,
        created_time: Time(Some(record.created)),
        current_metadata_version: 0,
        current_version: record.current,
        custom_metadata: (!custom.is_empty()).then_some(custom),
        delete_version_after: format!("{}s", record.settings.delete_version_after / 1000),
        max_versions: record.settings.max_versions,
        metadata_cas_required: false,
        // As long as nothing has fallen off the end, clients are told 0.
        oldest_version: if oldest > 1 { oldest } else { 0 },
        updated_time: Time(Some(record.updated)),
        versions: record
            .versions
            .iter()
            .map(|version| {
                (
                    version.number.to_string(),
                    VersionLine::of(&VersionFacts::from(version)),
                )
            })
            .collect(),
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, data)).at(read.seq))
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
    let listed = call.wallet.list(&call.caller, call.mount()?, &folder).await;
    let listed = listed.map_err(|error| failure(&error))?;
    let keys = Keys {
        keys: &listed.value,
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, keys)).at(listed.seq))
}

/// Stored JSON as a part of an answer.
fn raw(stored: &[u8]) -> Result<&RawValue, Failure> {
    serde_json::from_slice(stored).map_err(|_| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the stored secret is not JSON",
        )
    })
}
