//! Floor 1, words.
//!
//! Sentences for people that more than one part of the decision uses.

use super::classify::Class;
use crate::crd::deletion::{Attempt, CloudError};
use crate::ids::DesktopID;
use crate::workspace::error::Operation;

/// "1 desktop", "7 desktops".
pub fn desktops(count: usize) -> String {
    if count == 1 {
        "1 desktop".to_owned()
    } else {
        format!("{count} desktops")
    }
}

/// At most three ids by name, the rest by number.
pub fn name_some<'a, T: ToString + 'a>(ids: impl IntoIterator<Item = &'a T>) -> String {
    let ids: Vec<_> = ids.into_iter().map(ToString::to_string).collect();
    match ids.len() {
        0..=3 => ids.join(", "),
        more => format!("{} and {} more", ids[..3].join(", "), more - 3),
    }
}

/// One sentence for people: what the cloud said and what to do about it.
pub fn explain(operation: Operation, class: Class, error: &str) -> String {
    let cure = match class {
        Class::InvalidRequest => "the request is refused as it stands: correct it in a new object".to_owned(),
        Class::UnknownRefusal => {
            "the cloud refuses the request for a reason that the operator does not know, retrying every few minutes: do what its message says, or create a new request".to_owned()
        }
        Class::Authentication => {
            "the cloud rejects the credentials; put valid ones into the project's Secret".to_owned()
        }
        // Of these it is not a permission that is missing, and the gateway's words say what.
        Class::Permission
            if ["0310", "0401", "0402", "0802"]
                .iter()
                .any(|code| error.contains(&format!(".{code}"))) =>
        {
            "the gateway does not serve this caller, project or region: do what its message says".to_owned()
        }
        Class::Permission => {
            let permission = named_action(error).unwrap_or(operation.permission());
            format!("credentials lack permission {permission}; grant it to the IAM user")
        }
        Class::WrongEndpoint => {
            let (service, field) = if operation.is_of_iam() {
                (
                    "IAM, or knows no such project",
                    "iamEndpoint, region and project ID",
                )
            } else {
                ("the Workspace service", "region and endpoint")
            };
            format!("this address is not {service}: check {field} of the project")
        }
        Class::ServiceDisabled => {
            "Workspace is not enabled for this account and region: enable it, or correct the project"
                .to_owned()
        }
        Class::NotFound => "the cloud says that something named in the request does not exist".to_owned(),
        Class::Conflict => "a desktop cannot be deleted in its current state; retrying".to_owned(),
        Class::Throttled => "rate limited by the cloud API; retrying".to_owned(),
        Class::Unavailable | Class::InDoubt => {
            "the cloud cannot answer at the moment, tried again later".to_owned()
        }
        Class::Unreachable => "the cloud cannot be reached, tried again later".to_owned(),
    };
    format!("{cure} ({error})")
}

/// The action that a denial names, such as `vpc:ports:delete`: the service may need another one than that of the call.
fn named_action(error: &str) -> Option<&str> {
    let is_part = |part: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        part.chars().any(|c| c.is_ascii_alphabetic()) && part.chars().all(word)
    };
    error
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_')))
        .find(|token| token.split(':').count() == 3 && token.split(':').all(is_part))
}

/// What the cloud answered to which call, and what to do about it.
pub fn of_error(error: &CloudError) -> String {
    let class = Class::named(&error.class).unwrap_or(Class::InDoubt);
    explain(operation_of(error), class, &answer(error))
}

/// What the cloud answered to which call.
pub fn answer(error: &CloudError) -> String {
    let operation = operation_of(error);
    let mut words = match (error.http_status, &error.code) {
        (Some(status), Some(code)) => format!("{operation}: HTTP {status} {code}"),
        (Some(status), None) => format!("{operation}: HTTP {status}"),
        _ => operation.to_string(),
    };
    if let Some(message) = &error.message {
        words.push_str(": ");
        words.push_str(message);
    }
    words
}

fn operation_of(error: &CloudError) -> Operation {
    Operation::named(&error.operation).unwrap_or(Operation::BatchDelete)
}

/// A hint about absent desktops whose IDs do not look like those of the service.
pub fn no_ids<'a>(absent: impl IntoIterator<Item = &'a DesktopID>) -> String {
    let odd: Vec<_> = absent.into_iter().filter(|id| !looks_like_an_id(id)).collect();
    if odd.is_empty() {
        return String::new();
    }
    format!(
        "; {} does not look like a desktop ID of the service: spec.desktopIDs takes IDs, not computer names",
        name_some(odd)
    )
}

/// The service's IDs are UUIDs (vendor's API reference).
fn looks_like_an_id(id: &DesktopID) -> bool {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<_> = id.as_str().split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| digits(part))
}

/// What a person can do about an attempt whose outcome stays unknown.
pub fn advice(attempt: &Attempt) -> String {
    format!(
        "check the desktops and their deletion jobs in the console, then annotate this object with {}={}=adopt:<job id>, =retry or =abandon",
        crate::crd::RESOLVE_ANNOTATION,
        attempt.id
    )
}
