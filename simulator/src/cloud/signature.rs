//! Checks the signature of a request, algorithm `SDK-HMAC-SHA256` of the vendor's signing guide.
//!
//! The canonical request is rebuilt from what came in; no code of a client is used.

use jiff::Timestamp;
use jiff::civil::DateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;

use super::Request;
use crate::digest::sha256_hex;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// Everything but letters, digits and `- _ . ~` is percent-encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What the header `Authorization` of a signed request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub(super) access_key: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header; `None` if it is of another algorithm or not of its form.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let mut access_key = None;
        let mut signed_headers = None;
        let mut signature = None;
        for field in fields.split(',') {
            match field.trim().split_once('=')? {
                ("Access", value) => access_key = Some(value),
                ("SignedHeaders", value) => signed_headers = Some(value.split(';').collect()),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        Some(Self {
            access_key: access_key?,
            signed_headers: signed_headers?,
            signature: signature?,
        })
    }
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureError {
    /// A signed header is absent.
    HeaderMissing,
    /// The body is not the one that `X-Sdk-Content-Sha256` names.
    BodyChanged,
    /// The signature does not match this key and request.
    Mismatch,
}

/// Checks that `authorization` is the signature that `secret` gives for `request`.
pub(super) fn verify(
    request: &Request,
    authorization: &Authorization<'_>,
    secret: &str,
) -> Result<(), SignatureError> {
    let canonical = canonical_request(request, authorization)?;
    let date = request.header("x-sdk-date").unwrap_or_default();
    let text = format!("{ALGORITHM}\n{date}\n{}", sha256_hex(canonical.as_bytes()));
    let claimed = decode_hex(authorization.signature).ok_or(SignatureError::Mismatch)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, text.as_bytes(), &claimed).map_err(|_| SignatureError::Mismatch)
}

fn canonical_request(request: &Request, authorization: &Authorization<'_>) -> Result<String, SignatureError> {
    let mut names: Vec<String> = authorization
        .signed_headers
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    names.sort();
    let mut headers = String::new();
    for name in &names {
        let value = request
            .headers
            .get(name.as_str())
            .ok_or(SignatureError::HeaderMissing)?;
        headers.push_str(name);
        headers.push(':');
        headers.push_str(String::from_utf8_lossy(value.as_bytes()).trim());
        headers.push('\n');
    }
    Ok([
        request.method.as_str().to_ascii_uppercase(),
        canonical_path(&request.path),
        canonical_query(&request.query),
        headers,
        names.join(";"),
        body_hash(request)?,
    ]
    .join("\n"))
}

fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut canonical = decoded.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    pairs.sort();
    let pairs = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The last part of the canonical request: the caller may send the hash of the body in a header, or declare that the
/// body is not signed.
fn body_hash(request: &Request) -> Result<String, SignatureError> {
    let actual = sha256_hex(&request.body);
    match request.header("x-sdk-content-sha256") {
        None => Ok(actual),
        Some(word @ "UNSIGNED-PAYLOAD") => Ok(word.to_owned()),
        Some(named) if named == actual => Ok(actual),
        Some(_) => Err(SignatureError::BodyChanged),
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The time in `X-Sdk-Date`, written like `20260115T083042Z`.
pub(super) fn signing_time(header: &str) -> Option<Timestamp> {
    let shaped = header.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    if !shaped || header.len() != 16 {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", header).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !text.len().is_multiple_of(2) || !text.as_bytes().iter().all(lower) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use serde_json::Value;

    use super::*;

    fn vectors() -> Vec<Value> {
        let file: Value =
            serde_json::from_str(include_str!("../../../tests/fixtures/signing-vectors.json")).unwrap();
        file["vectors"].as_array().unwrap().clone()
    }

    /// The request that the vector's signer put on the wire.
    fn sent(vector: &Value) -> Request {
        let url = vector["expect"]["url_sent"].as_str().unwrap();
        let rest = url.split_once("://").unwrap().1;
        let target = rest.find('/').map_or("", |at| &rest[at..]);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in vector["expect"]["headers_out"].as_object().unwrap() {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
        }
        Request {
            method: Method::from_bytes(vector["method"].as_str().unwrap().as_bytes()).unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: vector["body"].as_str().unwrap_or_default().to_owned().into(),
        }
    }

    fn check(request: &Request, secret: &str) -> Result<(), SignatureError> {
        let header = request.headers["authorization"].to_str().unwrap().to_owned();
        verify(request, &Authorization::parse(&header).unwrap(), secret)
    }

    #[test]
    fn every_vector_of_the_vendors_signer_gives_its_canonical_request_and_is_accepted() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 40);
        for vector in &vectors {
            let name = &vector["name"];
            let request = sent(vector);
            let header = request.headers["authorization"].to_str().unwrap();
            let authorization = Authorization::parse(header).unwrap();
            assert_eq!(
                Ok(()),
                verify(&request, &authorization, vector["sk"].as_str().unwrap()),
                "{name}"
            );
            let canonical = canonical_request(&request, &authorization).unwrap();
            assert_eq!(
                Value::from(canonical),
                vector["expect"]["canonical_request"],
                "{name}"
            );
        }
    }

    #[test]
    fn every_vector_is_refused_once_anything_that_it_signs_is_changed() {
        for vector in vectors() {
            let name = &vector["name"];
            let secret = vector["sk"].as_str().unwrap();
            let unsigned_body = vector["expect"]["headers_out"]["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD";

            assert!(check(&sent(&vector), "another secret").is_err(), "{name}: secret");

            let mut changed = sent(&vector);
            changed.body = [changed.body.as_ref(), b" "].concat().into();
            assert_eq!(check(&changed, secret).is_err(), !unsigned_body, "{name}: body");

            let mut changed = sent(&vector);
            changed.query.push_str("&more=1");
            assert!(check(&changed, secret).is_err(), "{name}: query");

            let mut changed = sent(&vector);
            changed.path.push_str("/more");
            assert!(check(&changed, secret).is_err(), "{name}: path");

            let mut changed = sent(&vector);
            changed
                .headers
                .insert("x-sdk-date", HeaderValue::from_static("20260115T083043Z"));
            assert!(check(&changed, secret).is_err(), "{name}: date");

            let mut changed = sent(&vector);
            changed.method = Method::PATCH;
            assert!(check(&changed, secret).is_err(), "{name}: method");
        }
    }

    #[test]
    fn signing_times_are_read_strictly() {
        let time = signing_time("20260115T083042Z").unwrap();
        assert_eq!(time.to_string(), "2026-01-15T08:30:42Z");
        for wrong in [
            "",
            "20260115T083042",
            "2026-01-15T08:30:42Z",
            "20261315T083042Z",
            "2026 115T083042Z",
        ] {
            assert_eq!(signing_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_malformed_authorization_header_is_refused() {
        for wrong in [
            "",
            "Bearer abc",
            "SDK-HMAC-SHA256",
            "SDK-HMAC-SHA256 Access=a",
            "SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=00, More=1",
            "SDK-HMAC-SM3 Access=a, SignedHeaders=host, Signature=00",
        ] {
            assert_eq!(Authorization::parse(wrong), None, "{wrong}");
        }
    }
}
