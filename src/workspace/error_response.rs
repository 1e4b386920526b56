//! Parses error responses of a service. Workspace, the gateway in front of it, IAM and STS each have their own format
//! (vendor's API reference, errors); a proxy in between has none.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::ErrorResponse;
use super::text::{self, Sanitizer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The same in responses of IAM.
const TRACE_ID: HeaderName = HeaderName::from_static("x-iam-trace-id");

/// Maximum length of the text from a body that is not JSON.
const MAX_PAGE_TEXT: usize = 200;

/// The error response with this status, these headers and this body; `now` is the service's clock, or the local one.
pub(super) fn read(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
    sanitizer: Sanitizer<'_>,
) -> ErrorResponse {
    let json = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let parsed = json.as_ref().map(envelope).unwrap_or_default();
    let clean = |text: Option<String>, max| text.and_then(|text| sanitizer.line(&text, max));
    let message = match json {
        Some(_) => clean(parsed.message, text::MAX_MESSAGE),
        None => clean(Some(text::of_page(body)), MAX_PAGE_TEXT),
    };
    ErrorResponse {
        status,
        code: clean(parsed.code, text::MAX_CODE),
        message,
        detail: clean(parsed.detail, text::MAX_MESSAGE),
        request_id: request_id(headers, sanitizer).or_else(|| clean(parsed.request_id, text::MAX_REQUEST_ID)),
        encoded_authorization_message: parsed
            .encoded_authorization_message
            .filter(|text| is_decodable(text))
            .map(|text| sanitizer.0.redact(&text)),
        retry_after: retry_after(headers, now),
        json: json.is_some(),
    }
}

/// The request ID, for the support of the service.
pub(super) fn request_id(headers: &HeaderMap, sanitizer: Sanitizer<'_>) -> Option<String> {
    let id = headers.get(REQUEST_ID).or_else(|| headers.get(TRACE_ID))?;
    sanitizer.line(id.to_str().ok()?, text::MAX_REQUEST_ID)
}

/// What the envelope holds, as sent: that at the top, or else one level down (`{"error": {…}}` of IAM, and others).
fn envelope(object: &Map<String, Value>) -> ErrorResponse {
    let inner = object.values().filter_map(Value::as_object);
    std::iter::once(object)
        .chain(inner)
        .map(envelope_at)
        .find(|found| found.code.is_some() || found.message.is_some())
        .unwrap_or_default()
}

fn envelope_at(object: &Map<String, Value>) -> ErrorResponse {
    let first = |names: &[&str]| names.iter().find_map(|name| scalar_text(object.get(*name)?));
    ErrorResponse {
        code: first(&["error_code", "errorCode", "code"]),
        message: first(&["error_msg", "errorMsg", "message"]),
        detail: first(&["error_detail", "title"]),
        request_id: first(&["request_id"]),
        encoded_authorization_message: first(&["encoded_authorization_message"]),
        ..ErrorResponse::default()
    }
}

/// IAM sends its code as a number or as a string.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// STS decodes only the whole text, so one that is too long to be kept is worth nothing.
fn is_decodable(text: &str) -> bool {
    text.len() <= text::MAX_ENCODED_MESSAGE && text.bytes().all(|b| b.is_ascii_graphic())
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = date(text)?;
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

/// The `Date` header. In a response from a cache (`Age`), it is not the present time of the service.
pub(super) fn service_time(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.contains_key(http::header::AGE) {
        return None;
    }
    date(headers.get(http::header::DATE)?.to_str().ok()?)
}

fn date(text: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use secrecy::SecretString;

    use super::*;
    use crate::workspace::auth::Credentials;

    fn now() -> Timestamp {
        "2026-01-15T08:30:42Z".parse().unwrap()
    }

    fn refused(body: &str) -> ErrorResponse {
        refused_with(&HeaderMap::new(), body)
    }

    fn refused_with(headers: &HeaderMap, body: &str) -> ErrorResponse {
        let login = Credentials::Token(SecretString::from("TOKEN-canary"));
        read(403, headers, body.as_bytes(), now(), Sanitizer(&login))
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    #[test]
    fn code_and_message_are_read_from_every_error_format() {
        for (body, code, message) in [
            (
                r#"{"error_code":"WKS.0407","error_msg":"busy"}"#,
                "WKS.0407",
                "busy",
            ),
            (
                r#"{"error_code":"APIGW.0301","error_msg":"verify aksk signature fail","request_id":"r1"}"#,
                "APIGW.0301",
                "verify aksk signature fail",
            ),
            (
                r#"{"error":{"code":401,"message":"The token must be updated","title":"Unauthorized"}}"#,
                "401",
                "The token must be updated",
            ),
            (r#"{"error":{"code":"401","message":"no"}}"#, "401", "no"),
            (
                r#"{"error_code":"IAM.0011","error_msg":"illegal"}"#,
                "IAM.0011",
                "illegal",
            ),
            (r#"{"errorCode":"X.1","errorMsg":"m"}"#, "X.1", "m"),
            (r#"{"code":"X.2","message":"m"}"#, "X.2", "m"),
            (
                r#"{"error_code":"","code":"X.4","error_msg":"","message":"m"}"#,
                "X.4",
                "m",
            ),
            (
                r#"{"status":"failed","fault":{"errorCode":"X.3","errorMsg":"m"}}"#,
                "X.3",
                "m",
            ),
        ] {
            let response = refused(body);
            assert_eq!(
                (response.code.as_deref(), response.message.as_deref()),
                (Some(code), Some(message)),
                "{body}"
            );
            assert!(response.json);
        }
    }

    #[test]
    fn all_fields_of_the_service_are_kept() {
        let response = refused(
            r#"{"error_code":"WKS.403","error_msg":"denied","error_detail":"policy","encoded_authorization_message":"EXAMPLE+/==","request_id":"r1"}"#,
        );
        assert_eq!(response.detail.as_deref(), Some("policy"));
        assert_eq!(
            response.encoded_authorization_message.as_deref(),
            Some("EXAMPLE+/==")
        );
        assert_eq!(response.request_id.as_deref(), Some("r1"));
        let response = refused_with(
            &headers("x-request-id", "r2"),
            r#"{"error_code":"A","request_id":"r1"}"#,
        );
        assert_eq!(response.request_id.as_deref(), Some("r2"));
    }

    #[test]
    fn a_body_that_is_not_a_json_object_does_not_count_as_a_response_of_the_service() {
        for (body, message) in [
            ("", None),
            (
                "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
                Some("502 Bad Gateway"),
            ),
            ("upstream connect error", Some("upstream connect error")),
            ("[]", Some("[]")),
            ("null", Some("null")),
        ] {
            let response = refused(body);
            assert_eq!(
                (response.json, response.code, response.message.as_deref()),
                (false, None, message),
                "{body}"
            );
        }
    }

    #[test]
    fn an_empty_object_has_neither_code_nor_message_but_is_json() {
        assert_eq!(
            refused("{}"),
            ErrorResponse {
                status: 403,
                json: true,
                ..ErrorResponse::default()
            }
        );
    }

    #[test]
    fn texts_are_truncated_sanitized_and_redacted() {
        let body = format!(
            r#"{{"error_code":"{}","error_msg":"bad\r\ntoken TOKEN-canary <b>here</b>","error_detail":"{}","encoded_authorization_message":"{}"}}"#,
            "C".repeat(100),
            "d".repeat(2000),
            "e".repeat(10_241),
        );
        let response = refused(&body);
        assert_eq!(response.code.unwrap().chars().count(), 64);
        assert_eq!(response.message.as_deref(), Some("bad token [redacted] here"));
        assert_eq!(response.detail.unwrap().chars().count(), 1000);
        assert_eq!(response.encoded_authorization_message, None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        for (value, expected) in [
            ("7", Some(7)),
            ("Thu, 15 Jan 2026 08:31:42 GMT", Some(60)),
            ("Thu, 15 Jan 2026 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
        ] {
            let response = refused_with(&headers("retry-after", value), "{}");
            assert_eq!(response.retry_after, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn the_services_clock_is_read_from_the_date() {
        let date = headers("date", "Thu, 15 Jan 2026 08:30:42 GMT");
        assert_eq!(service_time(&date), Some(now()));
        assert_eq!(service_time(&headers("date", "yesterday")), None);
        assert_eq!(service_time(&HeaderMap::new()), None);
    }
}
