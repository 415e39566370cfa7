//! Where a path leads: its mount, the version of the mount, and the rest.

use serde::Deserialize;

use super::{Client, Error, Request, answer::read, is_dangerous};

/// The two versions of the key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kv {
    /// One value for each path.
    V1,
    /// Values with versions.
    V2,
}

/// A path and the mount that it leads into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    whole: String,
    mount: Vec<String>,
    rest: Vec<String>,
    kv: Kv,
}

#[derive(Deserialize)]
struct Mount {
    path: String,
    r#type: String,
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    version: Option<String>,
}

/// The segments of a path as it was typed.
///
/// # Errors
/// When a server, or something on the way to it, could read it as another path.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Error> {
    let trimmed = path.trim_matches('/');
    let parts: Vec<String> = trimmed.split('/').map(str::to_owned).collect();
    let bad = |part: &String| matches!(part.as_str(), "" | "." | "..");
    if parts.iter().any(bad) || trimmed.chars().any(is_dangerous) {
        return Err(Error::usage(
            "a path is segments with / between them: none is empty, `.` or `..`, and there is no \
             control character in it",
        ));
    }
    Ok(parts)
}

impl Place {
    /// As it was typed.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.whole
    }

    /// The version of the mount's engine.
    #[must_use]
    pub const fn kv(&self) -> Kv {
        self.kv
    }

    /// The path of a request: `v1`, the mount, what is asked for, and the rest.
    pub(super) fn below(&self, part: Option<&str>) -> Vec<String> {
        let mut path = vec!["v1".to_owned()];
        path.extend_from_slice(&self.mount);
        path.extend(part.map(str::to_owned));
        path.extend_from_slice(&self.rest);
        path
    }

    /// Refuses the mount itself, where a secret is needed.
    pub(super) fn secret(&self) -> Result<&Self, Error> {
        if self.rest.is_empty() || self.whole.ends_with('/') {
            return Err(Error::usage(format!(
                "{} is a folder: name a secret in it",
                super::escape(&self.whole)
            )));
        }
        Ok(self)
    }

    /// Refuses a mount without versions, where versions are needed.
    pub(super) fn versioned(&self) -> Result<&Self, Error> {
        match self.kv {
            Kv::V2 => self.secret(),
            Kv::V1 => Err(Error::usage(
                "this mount is of version 1 of the key-value engine, which keeps no versions",
            )),
        }
    }

    fn new(whole: &str, segments: &[String], mount: &Mount) -> Result<Self, Error> {
        let elsewhere = Error::Malformed("it names a mount that the path does not lead into");
        let names: Vec<String> = mount
            .path
            .trim_matches('/')
            .split('/')
            .map(str::to_owned)
            .collect();
        let Some(rest) = segments.strip_prefix(names.as_slice()) else {
            return Err(elsewhere);
        };
        let version = mount.options.as_ref().and_then(|o| o.version.as_deref());
        let kv = match (mount.r#type.as_str(), version) {
            ("kv", Some("2")) => Kv::V2,
            ("kv" | "generic", None | Some("" | "1")) => Kv::V1,
            _ => {
                return Err(Error::usage(
                    "the path leads into a mount of another kind than key-value",
                ));
            }
        };
        Ok(Self {
            whole: whole.to_owned(),
            rest: rest.to_vec(),
            mount: names,
            kv,
        })
    }
}

impl Client {
    /// Asks the server where a path leads: `mount/path`.
    ///
    /// # Errors
    /// When it leads nowhere, or the server does not tell.
    pub async fn place(&self, path: &str) -> Result<Place, Error> {
        let parts = segments(path)?;
        let mut asked: Vec<String> = ["v1", "sys", "internal", "ui", "mounts"]
            .map(str::to_owned)
            .into();
        asked.extend_from_slice(&parts);
        let answer = self.send(Request::get(asked)).await?;
        Place::new(path, &parts, &read(answer.data()?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, mount: &str, r#type: &str, version: Option<&str>) -> Result<Place, Error> {
        let mount = Mount {
            path: mount.to_owned(),
            r#type: r#type.to_owned(),
            options: Some(Options {
                version: version.map(str::to_owned),
            }),
        };
        Place::new(path, &segments(path)?, &mount)
    }

    #[test]
    fn a_mount_is_as_many_segments_as_its_name_has() {
        let found = place("team/a/b/c", "team/a/", "kv", Some("2")).unwrap();
        assert_eq!(
            found.below(Some("data")),
            ["v1", "team", "a", "data", "b", "c"]
        );
        let v1 = place("/old/x", "old/", "kv", None).unwrap();
        assert_eq!(
            (v1.kv(), v1.below(None)),
            (Kv::V1, vec!["v1".into(), "old".into(), "x".into()])
        );
        assert!(place("secret2/x", "secret/", "kv", Some("2")).is_err());
        assert!(place("sys/x", "sys/", "system", None).is_err());
        assert!(place("secret/x", "secret/", "kv", Some("3")).is_err());
    }

    #[test]
    fn folders_are_not_secrets() {
        for folder in ["secret", "secret/", "secret/a/"] {
            assert!(
                place(folder, "secret/", "kv", Some("2"))
                    .unwrap()
                    .secret()
                    .is_err()
            );
        }
        assert!(
            place("secret/a", "secret/", "kv", Some("2"))
                .unwrap()
                .versioned()
                .is_ok()
        );
        assert!(
            place("secret/a", "secret/", "kv", Some("1"))
                .unwrap()
                .versioned()
                .is_err()
        );
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        for bad in [
            "",
            "/",
            "a//b",
            "a/./b",
            "a/../b",
            "..",
            "a/b\tc",
            "a\u{202e}b",
        ] {
            assert!(segments(bad).is_err(), "{bad:?}");
        }
        assert_eq!(segments("/a/%2e%2e/b c/").unwrap(), ["a", "%2e%2e", "b c"]);
    }
}
