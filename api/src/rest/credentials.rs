//! `/api/credentials`.

use axum::http::StatusCode;
use billfold_core::{decide::Refusal, id::RecordId, names::CredentialNames};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{checked_name, mount};
use crate::{
    http::{
        Call, Failure, Outcome,
        json::{Object, canonical, is_object},
        reply::Reply,
    },
    v1::failure,
    wallet::{Credential, Error, Mount, Put, Step, Written},
};

/// The members of a credential that a client writes.
const MEMBERS: &[&str] = &["name", "type", "data", "meta", "tags", "description", "cas"];

#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    name: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl<'a> Shown<'a> {
    fn of(credential: &'a Credential) -> Self {
        let Credential {
            id,
            name,
            names,
            created,
            updated,
            data,
        } = credential;
        let stored = data
            .as_ref()
            .and_then(|data| serde_json::from_slice(data.expose()).ok());
        Self {
            id: id.to_string(),
            name,
            r#type: &names.kind,
            meta: names
                .meta
                .as_deref()
                .and_then(|meta| serde_json::from_str(meta).ok()),
            tags: &names.tags,
            description: names.description.as_deref(),
            created_at: created.to_string(),
            updated_at: updated.to_string(),
            data: stored,
        }
    }
}

fn invalid(told: &str) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told)
}

pub(super) async fn write(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(MEMBERS).is_empty() {
        return Err(invalid("there are members that a credential does not have"));
    }
    let text = |name: &str| body.read::<String>(name);
    let name = text("name")
        .ok()
        .flatten()
        .ok_or_else(|| invalid("name is missing"))?;
    let kind = text("type")
        .ok()
        .flatten()
        .ok_or_else(|| invalid("type is missing"))?;
    let data = body.get("data").filter(|data| is_object(data));
    let data = data.ok_or_else(|| invalid("data is missing, or no object"))?;
    let meta = match body.get("meta") {
        None | Some("null") => None,
        Some(meta) if is_object(meta) => {
            let form = canonical(meta).map_err(Failure::bad)?;
            Some(String::from_utf8_lossy(form.expose()).into_owned())
        }
        Some(_) => return Err(invalid("meta is no object")),
    };
    let names = CredentialNames {
        kind,
        description: text("description").map_err(|()| invalid("description is no text"))?,
        tags: body
            .read("tags")
            .map_err(|()| invalid("tags is no list of texts"))?
            .unwrap_or_default(),
        meta,
    };
    let cas = body
        .read("cas")
        .map_err(|()| invalid("cas is no version number"))?;
    let data = canonical(data).map_err(Failure::bad)?;
    let put = Step::Put(Put {
        cas,
        data,
        credential: Some(names.clone()),
    });
    let (mount, name) = (mount(call).await?, checked_name(&name)?);
    let written = call
        .wallet
        .change(&call.caller, &mount, name, put, call.command()?)
        .await;
    let written = written.map_err(|error| refused(&error))?;
    let told = call
        .wallet
        .written_credential(&mount, name, names, &written)
        .await;
    let told = told.map_err(|error| failure(&error))?;
    Ok(Reply::json(StatusCode::OK, &Shown::of(&told.value)).at(told.seq))
}

/// This door tells a version that does not match as a conflict.
pub(super) fn refused(error: &Error) -> Failure {
    let failure = failure(error);
    match error {
        Error::Refused(Refusal::CasMismatch | Refusal::CasRequired) => Failure {
            status: StatusCode::CONFLICT,
            ..failure
        },
        _ => failure,
    }
}

#[derive(Serialize)]
struct Items<'a> {
    items: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter<'a>>,
}

#[derive(Serialize)]
struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<&'a str>,
}

pub(super) async fn list(call: &Call) -> Outcome {
    let (kind, q) = (call.parameter("type"), call.parameter("q"));
    let described = format!(
        "type={} q={}",
        kind.unwrap_or_default(),
        q.unwrap_or_default()
    );
    let found = call
        .wallet
        .credentials(&call.caller, &mount(call).await?, &described)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let fits = |credential: &&Credential| {
        let Credential { name, names, .. } = credential;
        kind.is_none_or(|kind| names.kind == kind)
            && q.is_none_or(|q| {
                let described = names
                    .description
                    .as_deref()
                    .is_some_and(|text| text.contains(q));
                name.contains(q) || described || names.tags.iter().any(|tag| tag.contains(q))
            })
    };
    let items = found.value.iter().filter(fits).map(Shown::of).collect();
    let filter = (kind.is_some() || q.is_some()).then_some(Filter { r#type: kind, q });
    Ok(Reply::json(StatusCode::OK, &Items { items, filter }).at(found.seq))
}

pub(super) async fn read(call: &Call) -> Outcome {
    let with_data = match call.parameter("include_data") {
        None | Some("false" | "0") => false,
        Some("true" | "1" | "") => true,
        Some(_) => return Err(Failure::bad("include_data is true or false")),
    };
    let mount = mount(call).await?;
    let (id, path) = record(call, &mount).await?;
    let read = call
        .wallet
        .read_credential(&call.caller, &mount, id, &path, with_data)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    Ok(Reply::json(StatusCode::OK, &Shown::of(&read.value)).at(read.seq))
}

#[derive(Serialize)]
struct Removed {
    message: &'static str,
    id: String,
}

pub(super) async fn remove(call: &Call) -> Outcome {
    let mount = mount(call).await?;
    let is_done = call.wallet.is_done(call.command()?).await;
    if is_done.map_err(|error| failure(&error))? {
        return removed_before(call, &mount).await;
    }
    let (id, path) = record(call, &mount).await?;
    // Removing what is not there is no error of the wallet's, but this door tells it.
    let known = call
        .wallet
        .read_credential(&call.caller, &mount, id, &path, false)
        .await;
    known.map_err(|error| failure(&error))?;
    let removed = call
        .wallet
        .remove(&call.caller, &mount, id, &path, call.command()?)
        .await;
    let removed = match removed.map_err(|error| failure(&error)) {
        Ok(removed) => removed,
        Err(refused) => {
            // On record is only that it was looked for.
            if refused.status == StatusCode::FORBIDDEN {
                let place = format!("{}metadata/{path}", mount.path);
                let recorded = call.wallet.record_refusal(&call.caller, &place).await;
                recorded.map_err(|error| failure(&error))?;
            }
            return Err(refused);
        }
    };
    Ok(told_removed(id, &removed))
}

/// The answer to a removal that is sent again: what it removed is not there to be asked for.
async fn removed_before(call: &Call, mount: &Mount) -> Outcome {
    let name = checked_name(&call.rest)?;
    // Which of both was meant shows the command itself.
    let by_id = id_of(&call.rest);
    for id in by_id
        .into_iter()
        .chain([call.wallet.record(mount.id, name)])
    {
        let command = call.command()?;
        let removed = call.wallet.remove(&call.caller, mount, id, name, command);
        match removed.await {
            Err(Error::Refused(Refusal::CommandReused)) => {}
            Ok(removed) => return Ok(told_removed(id, &removed)),
            Err(error) => return Err(failure(&error)),
        }
    }
    Err(failure(&Error::Refused(Refusal::CommandReused)))
}

fn told_removed(id: RecordId, removed: &Written) -> Reply {
    let told = Removed {
        message: "the credential is deleted",
        id: id.to_string(),
    };
    Reply::json(StatusCode::OK, &told).at(removed.seq)
}

/// The record that a path means, and its own path: by its id, which is 32 hexadecimal digits, or by
/// its name. Policies speak of names, so whoever comes with an id is held to the name behind it.
async fn record(call: &Call, mount: &Mount) -> Result<(RecordId, String), Failure> {
    if let Some(id) = id_of(&call.rest) {
        let path = call.wallet.path_of(mount, id).await;
        if let Some(path) = path.map_err(|error| failure(&error))? {
            return Ok((id, path));
        }
    }
    let name = checked_name(&call.rest)?;
    Ok((call.wallet.record(mount.id, name), name.to_owned()))
}

/// The id that a path may be: 32 hexadecimal digits.
fn id_of(text: &str) -> Option<RecordId> {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.parse().ok()).flatten()
}
