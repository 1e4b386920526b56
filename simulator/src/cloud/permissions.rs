//! What a caller may do: projects and actions.

use std::collections::BTreeMap;

use http::StatusCode;

use super::api_error::ApiError;
use super::caller::Caller;
use super::operation::{Call, Operation};
use super::{Cloud, Request};
use crate::digest::sha256_hex;
use crate::world::{MixedAuthorization, Project};

/// Checks that the projects that a call names, in its path and its headers, are the caller's.
pub(super) fn check_project(
    cloud: &Cloud,
    call: &Call,
    request: &Request,
    caller: &Caller,
) -> Result<(), ApiError> {
    let owned = |id: &str| {
        cloud
            .project(id)
            .is_some_and(|project| project.account == caller.account)
    };
    let unavailable = |why: String| ApiError::gateway(StatusCode::FORBIDDEN, "0310", why);
    if let Some(domain) = request
        .header("x-domain-id")
        .filter(|domain| *domain != caller.account_id)
    {
        return Err(unavailable(format!(
            "X-Domain-Id {domain} is not the account of the caller"
        )));
    }
    let header = request.header("x-project-id");
    if let Some(project) = header.filter(|project| !owned(project)) {
        return Err(unavailable(format!(
            "the project {project} in X-Project-Id is unavailable"
        )));
    }
    if call.operation.of_iam() {
        return Ok(());
    }
    if !owned(&call.project) {
        return Err(unavailable(format!(
            "the project {} is unavailable",
            call.project
        )));
    }
    if header.is_some_and(|project| project != call.project) {
        return Err(unavailable(
            "X-Project-Id and the project in the path differ".to_owned(),
        ));
    }
    if caller
        .project
        .as_ref()
        .is_some_and(|project| *project != call.project)
    {
        return Err(unavailable(format!(
            "the token is not for the project {}",
            call.project
        )));
    }
    Ok(())
}

/// Checks that the caller may call this operation at all.
pub(super) fn check_action(cloud: &Cloud, call: &Call, caller: &Caller) -> Result<(), ApiError> {
    match call.operation.action() {
        Some(action) if !caller.is_allowed(action, None) => {
            let kind = if call.operation == Operation::ShowJob {
                "job"
            } else {
                "desktop"
            };
            let target = if call.target.is_empty() { "*" } else { &call.target };
            Err(denied(cloud, call, caller, action, &format!("{kind}:{target}")))
        }
        _ => Ok(()),
    }
}

/// Which of these desktops the caller may delete.
pub(super) fn check_desktops(
    cloud: &Cloud,
    call: &Call,
    caller: &Caller,
    desktops: &[String],
) -> Result<Vec<bool>, ApiError> {
    let Some(action) = call.operation.action() else {
        return Ok(vec![true; desktops.len()]);
    };
    let untagged = BTreeMap::new();
    let may = |id: &String| {
        let record = cloud.desktops.find(&call.project, id);
        caller.is_allowed(
            action,
            Some(record.map_or(&untagged, |record| &record.desktop.tags)),
        )
    };
    let allowed: Vec<bool> = desktops.iter().map(may).collect();
    let first_denied = desktops.iter().zip(&allowed).find(|(_, allowed)| !**allowed);
    match (first_denied, cloud.world.switches.mixed_authorization) {
        (Some((id, _)), MixedAuthorization::Refuse) => {
            Err(denied(cloud, call, caller, action, &format!("desktop:{id}")))
        }
        (Some((id, _)), MixedAuthorization::Fail) if !allowed.contains(&true) => {
            Err(denied(cloud, call, caller, action, &format!("desktop:{id}")))
        }
        _ => Ok(allowed),
    }
}

/// The error response names principal, action and resource, as those of the vendor do.
fn denied(cloud: &Cloud, call: &Call, caller: &Caller, action: &str, resource: &str) -> ApiError {
    let region = cloud
        .project(&call.project)
        .map_or("", |project: &Project| &project.region);
    let resource = format!("workspace:{region}:{}:{resource}", caller.account_id);
    let message = format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} \
         because no identity-based policy allows the {action} action",
        caller.principal()
    );
    let encoded = cloud.world.switches.encoded_authorization_message;
    let encoded = encoded.then(|| sha256_hex(message.as_bytes()));
    ApiError::workspace(StatusCode::FORBIDDEN, "WKS.0403", message).with_authorization_message(encoded)
}
