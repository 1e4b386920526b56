//! Bodies of IAM (vendor's API reference, tokens and temporary access keys). Error texts never quote a response, since
//! it may contain secrets.

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::ids::ProjectID;
use crate::workspace::auth::{Credentials, MAX_TOKEN, PasswordCredentials};
use crate::workspace::wire::Unreadable;

/// Header of a new token.
const SUBJECT_TOKEN: &str = "x-subject-token";

/// Requested lifetime of a temporary access key, in seconds: 900 to 86 400 are allowed. An hour limits the use of a
/// stolen key, and the delay until a change of the user's permissions takes effect.
pub(super) const KEY_LIFETIME_SECONDS: u32 = 3600;

/// Latest end that is believed; Kubernetes cannot store one after the year 9999.
const MAX_YEAR: i16 = 9998;

/// Body of the request for a token for one project.
pub(super) fn credentials(password_credentials: &PasswordCredentials, project: &ProjectID) -> Value {
    let user = json!({
        "name": password_credentials.user(),
        "password": password_credentials.password(),
        "domain": {"name": password_credentials.domain()},
    });
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"id": project.as_str()}},
    }})
}

/// Body of the request for a temporary access key; the token is sent in a header.
pub(super) fn exchange() -> Value {
    json!({"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": KEY_LIFETIME_SECONDS}}}})
}

/// The token in the headers of a response.
pub(super) fn token(headers: &HeaderMap) -> Result<SecretString, Unreadable> {
    let header = headers.get(SUBJECT_TOKEN).ok_or("it has no X-Subject-Token")?;
    let text = header.to_str().ok().filter(|text| is_secret(text));
    text.map(SecretString::from)
        .ok_or_else(|| "its X-Subject-Token cannot be sent in a header".to_owned())
}

/// When the token in a response expires.
pub(super) fn token_end(body: &[u8]) -> Result<Timestamp, Unreadable> {
    expiry(&parse(body)?["token"]["expires_at"], "token.expires_at")
}

/// The access key in a response, and when it expires.
pub(super) fn temporary_key(body: &[u8]) -> Result<(Credentials, Timestamp), Unreadable> {
    let body = parse(body)?;
    let credential = &body["credential"];
    let part = |name: &str| {
        let text = credential[name].as_str().filter(|text| is_secret(text));
        text.map(str::to_owned)
            .ok_or_else(|| format!("it has no usable credential.{name}"))
    };
    let id = part("access")?;
    if id.contains([',', '=']) {
        return Err(
            "its credential.access contains ',' or '=', which is invalid in an access key ID".to_owned(),
        );
    }
    let key = Credentials::temporary(id, part("secret")?.into(), part("securitytoken")?.into());
    Ok((key, expiry(&credential["expires_at"], "credential.expires_at")?))
}

fn parse(body: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(body).map_err(|_| "not JSON".to_owned())
}

fn is_secret(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A time in UTC, rounded up to whole seconds: nothing may be considered expired before it is.
fn expiry(value: &Value, name: &str) -> Result<Timestamp, Unreadable> {
    let unusable = || format!("it has no usable {name}");
    let text = value.as_str().ok_or_else(unusable)?;
    let time: Timestamp = text
        .parse()
        .or_else(|_| format!("{text}Z").parse())
        .map_err(|_| unusable())?;
    let rounded = Timestamp::from_second(time.as_second() + i64::from(time.subsec_nanosecond() > 0))
        .map_err(|_| unusable())?;
    if rounded.to_zoned(jiff::tz::TimeZone::UTC).year() > MAX_YEAR {
        return Err(unusable());
    }
    Ok(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_end_of_a_token_is_read_and_never_too_early() {
        for (given, read) in [
            ("2026-01-04T09:05:22.701000Z", "2026-01-04T09:05:23Z"),
            ("2026-01-04T09:05:22.000000Z", "2026-01-04T09:05:22Z"),
            ("2026-01-04T09:05:22", "2026-01-04T09:05:22Z"),
            ("2026-01-04T17:05:22+08:00", "2026-01-04T09:05:22Z"),
        ] {
            let body = json!({"token": {"expires_at": given}}).to_string();
            assert_eq!(token_end(body.as_bytes()), Ok(time(read)), "{given}");
        }
        for unusable in [
            "{}",
            "[]",
            "<html>",
            r#"{"token": {"expires_at": "soon"}}"#,
            r#"{"token": {"expires_at": 3}}"#,
            r#"{"token": {"expires_at": "9999-01-01T00:00:00Z"}}"#,
        ] {
            assert!(token_end(unusable.as_bytes()).is_err(), "{unusable}");
        }
    }

    #[test]
    fn a_temporary_key_needs_every_part() {
        let good = json!({
            "access": "HSTCANARY", "secret": "canary", "securitytoken": "canary+/==",
            "expires_at": "2026-01-04T09:05:22.701000Z",
        });
        let read =
            |credential: &Value| temporary_key(json!({"credential": credential}).to_string().as_bytes());
        let (key, ends) = read(&good).unwrap();
        assert!(matches!(key, Credentials::AccessKey(_)), "{key:?}");
        assert_eq!(ends, time("2026-01-04T09:05:23Z"));
        for part in ["access", "secret", "securitytoken", "expires_at"] {
            for bad in [
                Value::Null,
                json!(""),
                json!("can\r\nary"),
                json!({"x": "canary"}),
            ] {
                let mut broken = good.clone();
                broken[part] = bad;
                let why = read(&broken).unwrap_err();
                assert!(why.contains(part) && !why.contains("canary"), "{why}");
            }
        }
    }

    #[test]
    fn a_token_comes_in_a_header() {
        let headers = |value: &str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static(SUBJECT_TOKEN),
                value.parse().unwrap(),
            )])
        };
        assert!(token(&headers("MIICanary")).is_ok());
        for bad in ["", "a b"] {
            assert!(token(&headers(bad)).is_err(), "{bad:?}");
        }
        assert!(token(&HeaderMap::new()).is_err());
    }
}
