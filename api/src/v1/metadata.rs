//! The metadata of KV secrets, and the settings of their mounts.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::event::v1::Operation;
use serde::Serialize;

use super::{
    duration, failure,
    kv::{input, page},
    shape::{Envelope, Time, VersionLine},
};
use crate::{
    http::{Call, Failure, Outcome, endpoints::Verb, json::Object, reply::Reply},
    wallet::{Error, NewCustom, NewMetadata, NewSettings, SecretMetadata, VersionFacts, Written},
};

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

impl<'a> Metadata<'a> {
    fn of(metadata: &'a SecretMetadata) -> Self {
        let SecretMetadata { record, custom, .. } = metadata;
        Self {
            cas_required: record.settings.cas_required,
            created_time: Time(Some(record.created)),
            current_metadata_version: record.metadata_version,
            current_version: record.current,
            custom_metadata: (!custom.is_empty()).then_some(custom),
            delete_version_after: duration::told(record.settings.delete_version_after),
            max_versions: record.settings.max_versions,
            metadata_cas_required: record.settings.metadata_cas_required,
            oldest_version: metadata.oldest,
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
        }
    }
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    key_info: BTreeMap<&'a str, Detail<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    keys: &'a [String],
}

/// Of a folder nothing is known but its name.
#[derive(Serialize)]
#[serde(untagged)]
enum Detail<'a> {
    Secret(Box<Metadata<'a>>),
    Folder {},
}

/// A listing that tells what is known about each secret.
pub(super) async fn details(call: &Call) -> Outcome {
    let folder = match call.rest.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let lists = call.verb == Verb::List;
    let operation = match lists {
        true => Operation::ListDetails,
        false => Operation::ScanDetails,
    };
    let page = page(call)?;
    let mount = call.mount()?;
    let found = call.wallet.details(&call.caller, mount, &folder, operation);
    let found = found.await.map_err(|error| failure(&error))?;
    let all: Vec<String> = found.value.iter().map(|(name, _)| name.clone()).collect();
    // What is scanned has no pages, as in OpenBao.
    let keys = if lists { page.of(&all) } else { &all };
    if keys.is_empty() && lists {
        return Err(Failure::silent(StatusCode::NOT_FOUND));
    }
    let key_info = found
        .value
        .iter()
        .filter(|(name, _)| keys.binary_search(name).is_ok())
        .map(|(name, metadata)| {
            let detail = metadata.as_ref().map_or(Detail::Folder {}, |metadata| {
                Detail::Secret(Box::new(Metadata::of(metadata)))
            });
            (name.as_str(), detail)
        })
        .collect();
    let details = Details { key_info, keys };
    let envelope = Envelope::of(call.caller.request, details);
    Ok(Reply::json(StatusCode::OK, &envelope).at(found.seq))
}

pub(super) async fn read(call: &Call) -> Outcome {
    let path = call.rest.trim_end_matches('/');
    let mount = call.mount()?;
    let read = call.wallet.read_metadata(&call.caller, mount, path).await;
    let read = read.map_err(|error| failure(&error))?;
    let data = Metadata::of(&read.value);
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, data)).at(read.seq))
}

/// Changes what is told, and leaves the rest. A member of the custom metadata that is null is empty, and refused as
/// such.
pub(super) async fn write(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let change = NewMetadata {
        settings: input::settings(&body)?,
        cas: input::metadata_cas(&body)?,
        custom: match (body.get("custom_metadata"), input::custom(&body)?) {
            (None, _) => NewCustom::Keep,
            (Some(_), members) => NewCustom::Replace(
                members
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, value.unwrap_or_default()))
                    .collect(),
            ),
        },
    };
    if change.is_nothing() {
        // It makes no secret either.
        call.command()?;
        let mount = call.mount()?;
        let may = call
            .wallet
            .may_change_metadata(&call.caller, mount, &call.rest)
            .await;
        return match may.map_err(|error| failure(&error))? {
            true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            false => Err(failure(&Error::Denied)),
        };
    }
    changed(call, &change, false).await
}

/// Changes what is told and exists: a member that is null is taken back.
pub(super) async fn patch(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let change = NewMetadata {
        settings: input::settings(&body)?,
        cas: input::metadata_cas(&body)?,
        custom: match (body.get("custom_metadata"), input::custom(&body)?) {
            (None, _) => NewCustom::Keep,
            (Some(_), None) => NewCustom::Replace(BTreeMap::new()),
            (Some(_), Some(members)) => NewCustom::Merge(members),
        },
    };
    let is_done = call.wallet.is_done(call.command()?).await;
    if is_done.map_err(|error| failure(&error))? {
        return changed(call, &change, true).await;
    }
    // Whether there is something to be patched is asked like any other question.
    let found = call
        .wallet
        .look_for_metadata(&call.caller, call.mount()?, &call.rest)
        .await;
    match found {
        // What changes nothing counts as no change, and is fine where there is nothing.
        Ok(()) | Err(Error::Absent) if change.is_nothing() => {
            call.command()?;
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        Ok(()) => changed(call, &change, true).await,
        Err(Error::Absent) => Ok(Reply::empty(StatusCode::NOT_FOUND)),
        Err(error) => Err(failure(&error)),
    }
}

async fn changed(call: &Call, change: &NewMetadata, is_patch: bool) -> Outcome {
    let changed = call
        .wallet
        .change_metadata(
            &call.caller,
            call.mount()?,
            &call.rest,
            change,
            is_patch,
            call.command()?,
        )
        .await;
    let changed = changed.map_err(|error| failure(&error))?;
    let overruled = overruled(call, change.settings, &changed).await?;
    let reply = match overruled.is_empty() {
        true => Reply::empty(StatusCode::NO_CONTENT),
        false => {
            let envelope = Envelope::of(call.caller.request, None::<()>).warning(Some(overruled));
            Reply::json(StatusCode::OK, &envelope)
        }
    };
    Ok(reply.at(changed.seq))
}

/// Warnings about checks that a secret is to go without although its mount asks for them.
async fn overruled(
    call: &Call,
    change: NewSettings,
    changed: &Written,
) -> Result<Vec<String>, Failure> {
    if change.cas_required != Some(false) && change.metadata_cas_required != Some(false) {
        return Ok(Vec::new());
    }
    let asks = match call.wallet.settings_at(call.mount()?, changed).await {
        // Of a mount that went since, nothing asks for anything.
        Err(Error::Absent) => return Ok(Vec::new()),
        asks => asks.map_err(|error| failure(&error))?,
    };
    let checks = [
        ("cas_required", change.cas_required, asks.cas_required),
        (
            "metadata_cas_required",
            change.metadata_cas_required,
            asks.metadata_cas_required,
        ),
    ];
    let overruled = checks
        .iter()
        .filter(|(_, own, asked)| *own == Some(false) && *asked);
    Ok(overruled
        .map(|(name, ..)| {
            format!(
                "\"{name}\" set to false, but is mandated by backend config. This value will be ignored."
            )
        })
        .collect())
}

#[derive(Serialize)]
struct Config {
    cas_required: bool,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
}

pub(super) async fn read_config(call: &Call) -> Outcome {
    let read = call
        .wallet
        .read_settings(&call.caller, call.mount()?)
        .await
        .map_err(|error| failure(&error))?;
    let config = Config {
        cas_required: read.value.cas_required,
        delete_version_after: duration::told(read.value.delete_version_after),
        max_versions: read.value.max_versions,
        metadata_cas_required: read.value.metadata_cas_required,
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, config)).at(read.seq))
}

pub(super) async fn write_config(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !matches!(body.get("metadata_cas"), None | Some("null")) {
        return Err(Failure::bad("metadata_cas is not supported here"));
    }
    let change = input::settings(&body)?;
    let tuned = call
        .wallet
        .tune(&call.caller, call.mount()?, change, call.command()?)
        .await;
    let tuned = tuned.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(tuned.seq))
}
