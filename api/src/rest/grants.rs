//! `/api/internal/wallet/auditor-grants`: who may read what happened.

use axum::http::StatusCode;
use billfold_core::{
    Millis, access::Need, grant::AuditorKey, id::GrantId, moment::Moment, policy::Operation,
    told::By,
};
use serde::Serialize;

use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::{self, GrantFacts, GrantWish},
};

#[derive(Serialize)]
struct All {
    grants: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    recipient: Option<String>,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    live: bool,
    names: bool,
    /// The number of the last epoch that is granted; 0 is none yet.
    granted_epoch: u32,
    /// Up to when all that came to be is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    named_until: Option<String>,
    /// How many parts stand in the log.
    parts: u32,
    granted_at: String,
    by: By,
}

impl From<GrantFacts> for Shown {
    fn from(GrantFacts { id, grant }: GrantFacts) -> Self {
        let recipient = AuditorKey::from_bytes(&grant.recipient).ok();
        Self {
            id: id.to_string(),
            recipient: recipient.map(|key| key.to_string()),
            from: grant.from.to_string(),
            to: grant.to.map(|to| to.to_string()),
            live: grant.live,
            names: grant.names,
            granted_epoch: grant.last_epoch,
            named_until: grant.named.map(|named| named.to_string()),
            parts: grant.parts,
            granted_at: grant.granted.to_string(),
            by: grant.actor.into(),
        }
    }
}

/// Grants what happened to an auditor.
pub(super) async fn grant(call: &Call) -> Outcome {
    // Whoever may not do this is not told what is wrong with the request either.
    let need = Need {
        sudo: true,
        ..Need::to(Operation::Update, call.path.as_str())
    };
    let may = call.wallet.may(&call.caller, &need).await;
    if !may.map_err(|error| failure(&error))? {
        return Err(failure(&wallet::Error::Denied));
    }
    let wish = wished(&Object::parse(&call.body).map_err(Failure::bad)?)?;
    let granted = call
        .wallet
        .grant_auditor(&call.caller, wish, call.command()?)
        .await;
    let granted = granted.map_err(|error| failure(&error))?;
    Ok(Reply::json(StatusCode::OK, &Shown::from(granted.value)).at(granted.seq))
}

fn wished(body: &Object<'_>) -> Result<GrantWish, Failure> {
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let known = ["recipient", "from", "to", "live", "names"];
    if !body.has_others(&known).is_empty() {
        return Err(invalid("there are members that a grant does not have"));
    }
    let text = |name: &str| {
        let read = body.read::<String>(name);
        read.map_err(|()| invalid("recipient, from and to are texts"))
    };
    let flag = |name: &str, usual: bool| {
        let read = body.read::<bool>(name);
        let read = read.map_err(|()| invalid("live and names are true or false"))?;
        Ok::<_, Failure>(read.unwrap_or(usual))
    };
    let moment = |name: &str| {
        let read = text(name)?.map(|text| text.parse::<Moment>());
        let told = "from and to are times of RFC 3339, times in milliseconds, or from a sequence";
        read.transpose().map_err(|_| invalid(told))
    };
    let recipient = text("recipient")?.and_then(|key| key.parse().ok());
    let recipient = recipient.ok_or_else(|| invalid("recipient is not an auditor's public key"))?;
    let from = moment("from")?.unwrap_or(Moment::Time(Millis(0)));
    let to = match moment("to")? {
        None => None,
        Some(Moment::Time(time)) => Some(time),
        Some(Moment::Seq(_)) => return Err(invalid("to is a time")),
    };
    Ok(GrantWish {
        recipient,
        from,
        to,
        live: flag("live", false)?,
        names: flag("names", true)?,
    })
}

/// The grants that stand.
pub(super) async fn all(call: &Call) -> Outcome {
    let found = call.wallet.grants(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let grants = found.value.into_iter().map(Shown::from).collect();
    Ok(Reply::json(StatusCode::OK, &All { grants }).at(found.seq))
}

/// Ends a grant.
pub(super) async fn revoke(call: &Call) -> Outcome {
    let id: GrantId = call
        .rest
        .parse()
        .map_err(|_| Failure::bad("the id of a grant is 32 hexadecimal digits"))?;
    let ended = call
        .wallet
        .revoke_grant(&call.caller, &call.path, id, call.command()?)
        .await;
    let ended = ended.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(ended.seq))
}
