//! Layer 1, texts and error policy: messages for users.
//!
//! Only those that more than one part of the decision uses.

use crate::crd::deletion::ErrorClass;
use crate::crd::deletion::{Attempt, CloudError};
use crate::ids::{DesktopID, Operation};

/// "1 desktop", "7 desktops".
pub fn desktops(count: usize) -> String {
    if count == 1 {
        "1 desktop".to_owned()
    } else {
        format!("{count} desktops")
    }
}

/// All items, separated by commas.
pub fn list<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    let names: Vec<_> = items.into_iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// At most three IDs, and the number of the others.
pub fn name_some<'a, T: ToString + 'a>(ids: impl IntoIterator<Item = &'a T>) -> String {
    let ids: Vec<_> = ids.into_iter().map(ToString::to_string).collect();
    match ids.len() {
        0..=3 => ids.join(", "),
        more => format!("{} and {} more", ids[..3].join(", "), more - 3),
    }
}

/// At most three descriptions, the rest by number.
pub fn describe_some(all: &[String]) -> String {
    match all.len() {
        0..=3 => all.join("; "),
        more => format!("{}; and {} more", all[..3].join("; "), more - 3),
    }
}

/// What is wrong with some of these desktops, if something is.
pub fn describe_desktops(ids: &[DesktopID], wrong: impl Fn(&DesktopID) -> Option<String>) -> Option<String> {
    let wrong = ids
        .iter()
        .filter_map(|id| Some(format!("desktop {id}: {}", wrong(id)?)));
    let wrong: Vec<_> = wrong.collect();
    (!wrong.is_empty()).then(|| describe_some(&wrong))
}

/// A message for users: what to do about an error of the cloud, and which call failed with which response.
pub fn of_error(error: &CloudError) -> String {
    format!("{} ({})", remedy(error), describe_error(error))
}

fn remedy(error: &CloudError) -> String {
    match error.class {
        ErrorClass::InvalidRequest => "the cloud rejected the request as invalid; create a corrected DesktopDeletion".to_owned(),
        // A read, of a project or of a request that may have been submitted: replacing the request would be wrong.
        ErrorClass::UnknownRefusal if error.operation != Operation::BatchDelete => {
            "the cloud rejects a call with an unknown error code: fix the cause that the error message names; retrying"
                .to_owned()
        }
        ErrorClass::UnknownRefusal => {
            "the cloud rejected the request with an unknown error code: fix the cause that the error message names, or delete this request and create a new one; retrying".to_owned()
        }
        ErrorClass::Authentication => {
            "the cloud rejects the credentials; put valid ones into the project's Secret".to_owned()
        }
        // For these codes no permission is missing; the message of the gateway names the cause.
        ErrorClass::Permission
            if error.code.as_deref().is_some_and(is_about_the_caller) =>
        {
            "the API gateway rejects this caller, project or region; see its message".to_owned()
        }
        ErrorClass::Permission if error.code.is_none() => format!(
            "the call was rejected with HTTP 403 without an error code, for example by a proxy or firewall: correct its rules, or grant permission {} to the IAM user",
            error.operation.permission()
        ),
        ErrorClass::Permission => {
            let permission = named_action(error).unwrap_or(error.operation.permission());
            format!("credentials lack permission {permission}; grant it to the IAM user")
        }
        ErrorClass::WrongEndpoint => {
            let (service, field) = if error.operation.is_of_iam() {
                (
                    "IAM, or IAM does not know the project",
                    "spec.iamEndpoint, spec.region and spec.projectID",
                )
            } else {
                ("the Workspace service", "spec.region and spec.endpoint")
            };
            format!("the response is not from {service}; check {field} of the project")
        }
        ErrorClass::ServiceDisabled => {
            "Workspace is not enabled for this account and region: enable it, or correct the project"
                .to_owned()
        }
        ErrorClass::NotFound => "the cloud reports that a resource in the request does not exist; check the project and the desktop IDs".to_owned(),
        ErrorClass::Conflict => "a desktop cannot be deleted in its current state; retrying".to_owned(),
        ErrorClass::Throttled => "rate limited by the cloud API; retrying".to_owned(),
        // A success or a redirect that is not as documented, as of a login page or of another web server.
        ErrorClass::InDoubt if error.http_status.is_some_and(|status| status < 400) => {
            "the response is not one of the cloud API; check the endpoints of the project and any proxy; retrying"
                .to_owned()
        }
        ErrorClass::Unavailable | ErrorClass::InDoubt | ErrorClass::Other => {
            "the cloud API is unavailable; retrying".to_owned()
        }
        ErrorClass::Unreachable => "the cloud API cannot be reached; retrying".to_owned(),
    }
}

/// Codes of the gateway that speak of the caller, project or region, not of a permission.
fn is_about_the_caller(code: &str) -> bool {
    let number = code.rsplit('.').next().unwrap_or(code);
    matches!(number, "0310" | "0401" | "0402" | "0802")
}

/// The action that a denial names, such as `vpc:ports:delete`: the service may need another one than that of the call.
fn named_action(error: &CloudError) -> Option<&str> {
    let is_part = |part: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        part.chars().any(|c| c.is_ascii_alphabetic()) && part.chars().all(word)
    };
    let words = error.message.as_deref()?;
    words
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_')))
        .find(|token| token.split(':').count() == 3 && token.split(':').all(is_part))
}

/// Which call failed, and the response of the cloud.
pub fn describe_error(error: &CloudError) -> String {
    let operation = error.operation;
    let mut words = match (error.http_status, &error.code) {
        (Some(status), Some(code)) if *code != status.to_string() => {
            format!("{operation}: HTTP {status} {code}")
        }
        (Some(status), _) => format!("{operation}: HTTP {status}"),
        _ => operation.to_string(),
    };
    if let Some(message) = &error.message {
        words.push_str(": ");
        words.push_str(message);
    }
    words
}

/// A hint about absent desktops whose IDs do not look like those of the service.
pub fn hint_not_an_id<'a>(absent: impl IntoIterator<Item = &'a DesktopID>) -> String {
    let odd: Vec<_> = absent.into_iter().filter(|id| !looks_like_an_id(id)).collect();
    if odd.is_empty() {
        return String::new();
    }
    format!(
        "; these do not have the form of a desktop ID (a UUID): {}; spec.desktopIDs takes IDs, not computer names",
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

/// When a delete request without a response can no longer take effect.
pub fn expiry_of(attempt: &Attempt) -> String {
    attempt.not_after.as_ref().map_or_else(
        || {
            format!(
                "a few minutes after --token-life of the operator, 24h by default, has passed since {}",
                attempt.signed_at.0
            )
        },
        |end| format!("a few minutes after {}", end.0),
    )
}

/// An attempt whose outcome only a newer version of the operator knows.
pub fn outcome_of_newer_version(attempt: &Attempt) -> String {
    format!(
        "attempt {} has an outcome that this version of the operator does not recognize, so it may have reached the cloud and nothing is sent; run the version of the operator that wrote it",
        attempt.id
    )
}

/// What a user can do about an attempt whose outcome stays unknown.
pub fn manual_resolution_hint(attempt: &Attempt) -> String {
    format!(
        "check the desktops and their deletion jobs in the console, then set the annotation {} of this object to \
         {}=ACTION, where ACTION is adopt:<job id> if a job deletes them, retry only if they are untouched and the \
         delete request has expired, or abandon if the result is no longer needed",
        crate::crd::RESOLVE_ANNOTATION,
        attempt.id
    )
}
