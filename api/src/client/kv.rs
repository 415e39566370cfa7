//! Secrets: put, get, list, delete, bring back, destroy.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Answer, Client, Error, Kv, Method, Place, Request, answer::read};

/// What is known of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// Its number, where the server tells it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When it was written.
    pub created_time: String,
    /// When it was deleted, or will be; empty if it was not.
    #[serde(default)]
    pub deletion_time: String,
    /// Whether it is gone for ever.
    #[serde(default)]
    pub destroyed: bool,
}

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// The version that is read when none is named; 0 is none.
    pub current_version: u64,
    /// The oldest that is kept; 0 when none was dropped.
    #[serde(default)]
    pub oldest_version: u64,
    /// When the secret was made.
    pub created_time: String,
    /// When it was written last.
    pub updated_time: String,
    /// The versions by their numbers.
    pub versions: BTreeMap<u64, Version>,
}

/// A secret that was read: borrowed from the answer, so that it is wiped with it.
pub struct Reading<'a> {
    /// Its members, each as JSON.
    pub members: BTreeMap<Cow<'a, str>, &'a RawValue>,
    /// Its version, where there are any.
    pub version: Option<Version>,
}

#[derive(Deserialize)]
struct Both<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Version,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Mounts {
    secret: BTreeMap<String, Kind>,
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Serialize)]
struct Numbers<'a> {
    versions: &'a [u64],
}

impl Version {
    /// `live`, `deleted` or `destroyed` at a time, which is written as servers do, in UTC.
    #[must_use]
    pub fn state(&self, now: &str) -> &'static str {
        // To the second, texts of times in UTC are in the order of time.
        let second = |time: &str| time.get(..19).map(str::to_owned);
        if self.destroyed {
            "destroyed"
        } else if self.deletion_time.is_empty() || second(&self.deletion_time) > second(now) {
            "live"
        } else {
            "deleted"
        }
    }
}

impl<'a> Reading<'a> {
    /// Reads what [`Client::read`] answered.
    ///
    /// # Errors
    /// When the version is gone, or the answer has another form.
    pub fn of(place: &Place, answer: &'a Answer) -> Result<Self, Error> {
        let data = answer.data()?;
        if place.kv() == Kv::V1 {
            let members = read(data)?;
            return Ok(Self {
                members,
                version: None,
            });
        }
        let both: Both<'a> = read(data)?;
        if answer.is_gone() {
            return Err(Error::Gone {
                path: place.path().to_owned(),
                version: both.metadata.version.unwrap_or_default(),
                destroyed: both.metadata.destroyed,
            });
        }
        // A version without data, which is not one with no members, reads as null.
        let members = both
            .data
            .map_or(Ok(BTreeMap::new()), |data| read(data.get()))?;
        Ok(Self {
            members,
            version: Some(both.metadata),
        })
    }
}

impl Client {
    /// Writes a secret: the members of its JSON object, as text. `cas` is the version that must be
    /// the current one, 0 for none.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn write(
        &self,
        place: &Place,
        data: &[u8],
        cas: Option<u64>,
    ) -> Result<Option<Version>, Error> {
        place.secret()?;
        if place.kv() == Kv::V1 {
            if cas.is_some() {
                place.versioned()?;
            }
            let body = Zeroizing::new(data.to_vec());
            let request = Request::new(Method::Put, place.below(None)).body(body);
            self.send(request).await?;
            return Ok(None);
        }
        let options = cas.map_or_else(|| "{}".to_owned(), |cas| format!("{{\"cas\":{cas}}}"));
        let parts: [&[u8]; 5] = [
            b"{\"data\":",
            data,
            b",\"options\":",
            options.as_bytes(),
            b"}",
        ];
        let body = Zeroizing::new(parts.concat());
        let request = Request::new(Method::Put, place.below(Some("data"))).body(body);
        let answer = self.send(request).await?;
        read(answer.data()?).map(Some)
    }

    /// Reads a secret, or one version of it. [`Reading::of`] takes the answer apart.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn read(&self, place: &Place, version: Option<u64>) -> Result<Answer, Error> {
        place.secret()?;
        let mut request = match place.kv() {
            Kv::V1 => Request::get(place.below(None)),
            Kv::V2 => Request::get(place.below(Some("data"))),
        };
        if let Some(version) = version {
            place.versioned()?;
            request = request.query("version", version.to_string());
        }
        self.send(request)
            .await
            .map_err(|error| nothing(error, place))
    }

    /// Lists a folder; the names of folders in it end with a slash.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn list(&self, place: &Place) -> Result<Vec<String>, Error> {
        let path = match place.kv() {
            Kv::V1 => place.below(None),
            Kv::V2 => place.below(Some("metadata")),
        };
        let answer = self.send(Request::get(path).query("list", "true")).await;
        let answer = answer.map_err(|error| nothing(error, place))?;
        Ok(read::<Keys>(answer.data()?)?.keys)
    }

    /// Lists the mounts that hold secrets.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn mounts(&self) -> Result<Vec<String>, Error> {
        let path = ["v1", "sys", "internal", "ui", "mounts"];
        let answer = self.send(Request::get(path)).await?;
        let mounts: Mounts = read(answer.data()?)?;
        let kept = mounts.secret.into_iter();
        let kept = kept.filter(|(_, kind)| matches!(kind.r#type.as_str(), "kv" | "generic"));
        Ok(kept.map(|(path, _)| path).collect())
    }

    /// Deletes the current version, or these. It can be undone, where there are versions.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn delete(&self, place: &Place, versions: &[u64]) -> Result<(), Error> {
        if !versions.is_empty() {
            return self.change(place, "delete", versions).await;
        }
        place.secret()?;
        let path = match place.kv() {
            Kv::V1 => place.below(None),
            Kv::V2 => place.below(Some("data")),
        };
        self.send(Request::new(Method::Delete, path)).await?;
        Ok(())
    }

    /// Brings deleted versions back.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn undelete(&self, place: &Place, versions: &[u64]) -> Result<(), Error> {
        self.change(place, "undelete", versions).await
    }

    /// Destroys versions, for ever.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn destroy(&self, place: &Place, versions: &[u64]) -> Result<(), Error> {
        self.change(place, "destroy", versions).await
    }

    /// Removes a secret with all its versions and its history, for ever.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn remove(&self, place: &Place) -> Result<(), Error> {
        let path = place.versioned()?.below(Some("metadata"));
        self.send(Request::new(Method::Delete, path)).await?;
        Ok(())
    }

    /// What is known of a secret and its versions.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn metadata(&self, place: &Place) -> Result<Metadata, Error> {
        let path = place.versioned()?.below(Some("metadata"));
        let answer = self.send(Request::get(path)).await;
        read(answer.map_err(|error| nothing(error, place))?.data()?)
    }

    async fn change(&self, place: &Place, what: &str, versions: &[u64]) -> Result<(), Error> {
        let path = place.versioned()?.below(Some(what));
        let request = Request::new(Method::Put, path).json(&Numbers { versions });
        self.send(request).await?;
        Ok(())
    }
}

/// A 404 without a word means that nothing is there.
fn nothing(error: Error, place: &Place) -> Error {
    match error {
        Error::Answered { status: 404, told } if told.is_empty() => {
            Error::Nothing(place.path().to_owned())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_lives_until_it_is_deleted() {
        let state = |deletion_time: &str, destroyed| {
            let version = Version {
                version: None,
                created_time: String::new(),
                deletion_time: deletion_time.to_owned(),
                destroyed,
            };
            version.state("2026-11-22T06:22:17.719Z")
        };
        assert_eq!(state("", false), "live");
        assert_eq!(state("2026-11-22T06:22:18Z", false), "live");
        assert_eq!(state("2026-11-22T06:22:17.5Z", false), "deleted");
        assert_eq!(state("2025-11-22T06:22:18Z", false), "deleted");
        assert_eq!(state("", true), "destroyed");
    }
}
