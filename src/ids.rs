//! Identifiers, parsed once at the edge, so that no bare string travels through the code.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub mod code;
mod operation;
mod project_key;

pub use operation::Operation;
pub use project_key::{Origin, ProjectKey};

/// Characters and length that every identifier of the Workspace API may have. The vendor documents only
/// 1 to 255 characters; the narrower alphabet keeps path separators, query characters, line feeds and
/// look-alike characters out of URLs and logs.
pub const PATTERN: &str = "^[0-9A-Za-z][0-9A-Za-z_-]{0,254}$";

/// Longest identifier, in characters.
pub const MAX_LENGTH: usize = 255;

/// A string that is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} must be 1 to 255 letters, digits, '-' or '_', starting with a letter or digit; a text of {} characters \
     was given that does not match",
    .length
)]
pub struct InvalidId {
    kind: &'static str,
    length: usize,
}

fn parse(kind: &'static str, text: &str) -> Result<String, InvalidId> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if first && rest && text.len() <= MAX_LENGTH {
        Ok(text.to_owned())
    } else {
        Err(InvalidId {
            kind,
            length: text.chars().count(),
        })
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                parse($kind, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                parse($kind, &text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": PATTERN})
            }
        }
    };
}

id!(
    /// A cloud desktop: `desktop_id` of the Workspace API, a UUID that is never reused.
    DesktopID,
    "a desktop ID"
);
id!(
    /// A parent job: the `job_id` in the response to batch-delete. (The `id` of a sub-job is something else.)
    JobID,
    "a job ID"
);
id!(
    /// A Huawei Cloud project: `project_id` of the API paths, one region of one account.
    ProjectID,
    "a project ID"
);
id!(
    /// A region such as `ap-southeast-1`; part of host names, hence without dots.
    Region,
    "a region"
);
id!(
    /// One attempt to submit a request: a nonce made by the operator, unique within the cluster.
    AttemptID,
    "an attempt ID"
);

impl DesktopID {
    /// The ID in lower case, for comparisons: the service returns UUIDs in either case.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self(self.0.to_ascii_lowercase())
    }
}

impl AttemptID {
    /// Placeholder for the ID of an attempt that cannot be read.
    #[must_use]
    pub fn unreadable() -> Self {
        Self("unreadable".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_admit_what_the_pattern_admits() {
        for good in [
            "a",
            "1d81c1dc-312b-4621-b778-bac3a1336442",
            "A_b-9",
            &"x".repeat(255),
        ] {
            assert!(DesktopID::try_from(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "_a",
            "a/b",
            "a?b",
            "a\n",
            "a b",
            "\u{e9}",
            "a.b",
            &"x".repeat(256),
        ] {
            assert!(DesktopID::try_from(bad).is_err(), "{bad:?}");
        }
    }
}
