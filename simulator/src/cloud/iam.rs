//! IAM: tokens for passwords, temporary access keys for tokens, and the list of projects.

use http::{HeaderName, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::caller::Caller;
use super::credentials::{CredentialStore, TemporaryKey};
use super::operation::Call;
use super::{Cloud, HandledRequest, Request, Response};
use crate::world::{Project, Span};

/// When a token ends that never does: 9998-12-31T23:59:59Z, which every client can store.
const NEVER: Timestamp = Timestamp::constant(253_370_764_799, 0);

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// `POST /v3/auth/tokens`
pub(super) fn create_token(
    cloud: &mut Cloud,
    clock: Timestamp,
    request: &Request,
) -> Result<HandledRequest, ApiError> {
    let bad = |message: &str| ApiError::keystone(StatusCode::BAD_REQUEST, message);
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| bad("the request message is not JSON"))?;
    let identity = &body["auth"]["identity"];
    if identity["methods"] != json!(["password"]) {
        return Err(bad("auth.identity.methods must be [\"password\"]"));
    }
    let user = &identity["password"]["user"];
    let texts = (
        user["domain"]["name"].as_str(),
        user["name"].as_str(),
        user["password"].as_str(),
    );
    let (Some(account), Some(name), Some(password)) = texts else {
        return Err(bad(
            "auth.identity.password.user must have name, password and domain.name",
        ));
    };
    let project = scope(cloud, account, &body["auth"]["scope"])?.cloned();
    let project_id = project.as_ref().map(|project| project.id.clone());
    let caller = CredentialStore::password(&cloud.world, account, name, password, project_id)
        .ok_or_else(|| ApiError::keystone(StatusCode::UNAUTHORIZED, "The username or password is wrong."))?;
    let text = cloud.next_secret("token", 1024);
    let expires = cloud.world.timings.token_lifetime.after(clock);
    let body = token_body(&caller, project.as_ref(), Some(clock), expires);
    cloud.credentials.add_token(text.clone(), caller, expires);
    let mut response = Response::json(StatusCode::CREATED, &body);
    response.set(SUBJECT_TOKEN, &text);
    Ok(HandledRequest {
        response,
        took_effect: true,
        job_id: None,
    })
}

/// The project that a token request names by ID or name; `None` if it names the account or nothing.
fn scope<'a>(cloud: &'a Cloud, account: &str, scope: &Value) -> Result<Option<&'a Project>, ApiError> {
    let wanted = &scope["project"];
    if wanted.is_null() {
        return Ok(None);
    }
    let mut projects = cloud
        .world
        .projects
        .iter()
        .filter(|project| project.account == account);
    let found = projects
        .find(|project| wanted["id"] == project.id.as_str() || wanted["name"] == project.name.as_str());
    let missing = || {
        ApiError::keystone(
            StatusCode::UNAUTHORIZED,
            "The project of auth.scope does not exist.",
        )
    };
    found.map(Some).ok_or_else(missing)
}

/// `GET /v3/auth/tokens`: the project of a token, and when it expires.
pub(super) fn validate_token(
    cloud: &Cloud,
    clock: Timestamp,
    request: &Request,
) -> Result<HandledRequest, ApiError> {
    let token = |header: &str| {
        request
            .header(header)
            .and_then(|text| cloud.credentials.token(text, clock))
    };
    let caller = token("x-auth-token").ok_or_else(|| {
        let message = "The request you have made requires authentication.";
        ApiError::keystone(StatusCode::UNAUTHORIZED, message)
    })?;
    let subject = token(SUBJECT_TOKEN.as_str())
        .ok_or_else(|| ApiError::keystone(StatusCode::NOT_FOUND, "The token does not exist."))?;
    let (own, other) = (&caller.caller, &subject.caller);
    if (&own.account, &own.user) != (&other.account, &other.user) {
        let message = "You are not authorized to perform the requested action.";
        return Err(ApiError::keystone(StatusCode::FORBIDDEN, message));
    }
    let project = other.project.as_ref().and_then(|id| cloud.project(id));
    let body = token_body(other, project, None, subject.expires.unwrap_or(NEVER));
    Ok(HandledRequest::read(&body))
}

fn token_body(
    caller: &Caller,
    project: Option<&Project>,
    issued: Option<Timestamp>,
    expires: Timestamp,
) -> Value {
    let domain = json!({"id": caller.account_id, "name": caller.account});
    let mut token = json!({
        "methods": ["password"],
        "issued_at": issued.map(six_decimals),
        "expires_at": six_decimals(expires),
        "user": {"id": "", "name": caller.user, "domain": domain, "password_expires_at": ""},
        "roles": [],
    });
    match project {
        Some(project) => token["project"] = json!({"id": project.id, "name": project.name, "domain": domain}),
        None => token["domain"] = domain,
    }
    json!({"token": token})
}

/// `POST /v3.0/OS-CREDENTIAL/securitytokens`: a temporary access key with the rights of a token.
pub(super) fn create_temporary_key(
    cloud: &mut Cloud,
    clock: Timestamp,
    request: &Request,
) -> Result<HandledRequest, ApiError> {
    let bad = |message: &str| ApiError::iam(StatusCode::BAD_REQUEST, "IAM.0011", message);
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| bad("the request message is not JSON"))?;
    let identity = &body["auth"]["identity"];
    if identity["methods"] != json!(["token"]) {
        return Err(bad("auth.identity.methods must be [\"token\"]"));
    }
    let seconds = match &identity["token"]["duration_seconds"] {
        Value::Null => 900,
        value => value
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok())
            .filter(|seconds| (900..=86_400).contains(seconds))
            .ok_or_else(|| bad("auth.identity.token.duration_seconds must be a number from 900 to 86400"))?,
    };
    let named = identity["token"]["id"]
        .as_str()
        .or_else(|| request.header("x-auth-token"));
    let token = named
        .and_then(|text| cloud.credentials.token(text, clock))
        .cloned();
    let token = token.ok_or_else(|| {
        ApiError::iam(
            StatusCode::UNAUTHORIZED,
            "IAM.0001",
            "The token is missing or not valid",
        )
    })?;
    if !cloud.world.switches.token_exchange {
        let message = "The token may not be exchanged for a temporary access key";
        return Err(ApiError::iam(StatusCode::FORBIDDEN, "IAM.0002", message));
    }
    let key = TemporaryKey {
        access: format!("HST{}", cloud.next_id("access key")[..17].to_uppercase()),
        secret: cloud.next_secret("secret key", 40),
        security_token: cloud.next_secret("security token", 512),
        expires: Span::from_secs(seconds).after(clock),
    };
    cloud.credentials.add_temporary_key(&key, token.caller);
    let body = json!({"credential": {
        "access": key.access,
        "secret": key.secret,
        "securitytoken": key.security_token,
        "expires_at": six_decimals(key.expires),
    }});
    Ok(HandledRequest {
        response: Response::json(StatusCode::CREATED, &body),
        took_effect: true,
        job_id: None,
    })
}

/// `GET /v3/projects?name=`
pub(super) fn list_projects(cloud: &Cloud, call: &Call, caller: &Caller) -> HandledRequest {
    let wanted = call.values("name").next();
    let projects = cloud
        .world
        .projects
        .iter()
        .filter(|project| project.account == caller.account);
    let projects: Vec<Value> = projects
        .filter(|project| wanted.is_none_or(|name| project.name == name))
        .map(|project| {
            json!({
                "id": project.id,
                "name": project.name,
                "domain_id": caller.account_id,
                "parent_id": caller.account_id,
                "is_domain": false,
                "enabled": true,
                "description": "",
            })
        })
        .collect();
    HandledRequest::read(&json!({"projects": projects, "links": {}}))
}

fn six_decimals(time: Timestamp) -> String {
    format!("{time:.6}")
}
