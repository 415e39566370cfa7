//! The shapes of this door's answers. The order of fields is that of OpenBao.

use std::collections::BTreeMap;

use billfold_core::{Millis, id::RequestId, told};
use serde::{Serialize, Serializer};

use crate::wallet::VersionFacts;

/// What every answer with content is wrapped in.
#[derive(Serialize)]
pub(super) struct Envelope<T, A = ()> {
    pub(super) request_id: String,
    pub(super) lease_id: &'static str,
    pub(super) renewable: bool,
    pub(super) lease_duration: u64,
    pub(super) data: T,
    pub(super) wrap_info: Option<()>,
    pub(super) warnings: Option<Vec<String>>,
    pub(super) auth: Option<A>,
}

impl<T> Envelope<T> {
    pub(super) fn of(request: RequestId, data: T) -> Self {
        Self {
            request_id: uuid(request.as_bytes()),
            lease_id: "",
            renewable: false,
            lease_duration: 0,
            data,
            wrap_info: None,
            warnings: None,
            auth: None,
        }
    }

    pub(super) fn warning(mut self, warnings: Option<Vec<String>>) -> Self {
        self.warnings = warnings;
        self
    }
}

impl<T> Envelope<T> {
    /// The same, with a token that the client may use from now on.
    pub(super) fn auth<A>(self, auth: A) -> Envelope<T, A> {
        Envelope {
            request_id: self.request_id,
            lease_id: self.lease_id,
            renewable: self.renewable,
            lease_duration: self.lease_duration,
            data: self.data,
            wrap_info: self.wrap_info,
            warnings: self.warnings,
            auth: Some(auth),
        }
    }
}

/// An id in the form of a UUID.
pub(super) fn uuid(bytes: &[u8; 16]) -> String {
    uuid::Uuid::from_bytes(*bytes).hyphenated().to_string()
}

#[derive(Serialize)]
pub(super) struct Errors<'a> {
    pub(super) errors: Vec<&'a str>,
}

/// A time as Go writes it: RFC 3339, without the zeros at the end of its fraction.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Option<Millis>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(time) = self.0 else {
            return serializer.serialize_str("");
        };
        serializer.serialize_str(&told::time(time))
    }
}

/// What is told about a version of a secret.
#[derive(Serialize)]
pub(super) struct Version<'a> {
    created_time: Time,
    custom_metadata: Option<&'a BTreeMap<String, String>>,
    deletion_time: Time,
    destroyed: bool,
    version: u32,
}

impl<'a> Version<'a> {
    pub(super) fn of(version: &VersionFacts, custom: &'a BTreeMap<String, String>) -> Self {
        Self {
            created_time: Time(Some(version.created)),
            custom_metadata: (!custom.is_empty()).then_some(custom),
            deletion_time: Time(version.deletion),
            destroyed: version.destroyed,
            version: version.number,
        }
    }
}

/// A line of a secret's metadata.
#[derive(Serialize)]
pub(super) struct VersionLine {
    created_time: Time,
    deletion_time: Time,
    destroyed: bool,
}

impl VersionLine {
    pub(super) const fn of(version: &VersionFacts) -> Self {
        Self {
            created_time: Time(Some(version.created)),
            deletion_time: Time(version.deletion),
            destroyed: version.destroyed,
        }
    }
}

/// The warning about members that an endpoint does not know.
pub(super) fn ignored(count: usize) -> Option<Vec<String>> {
    // Their names are not repeated: a misplaced secret could be among them.
    (count > 0).then(|| vec![format!("Endpoint ignored {count} unrecognized parameters")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let written = |millis| serde_json::to_string(&Time(millis)).unwrap();
        assert_eq!(written(None), r#""""#);
        assert_eq!(written(Some(Millis(10_000))), r#""1970-01-01T00:00:10Z""#);
        assert_eq!(
            written(Some(Millis(10_120))),
            r#""1970-01-01T00:00:10.12Z""#
        );
        assert_eq!(
            written(Some(Millis(10_001))),
            r#""1970-01-01T00:00:10.001Z""#
        );
    }
}
