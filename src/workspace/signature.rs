//! `SDK-HMAC-SHA256`, the request signature of Huawei Cloud's API gateway (vendor's signing guide). A pure function
//! of plain arguments: no clock, no I/O, no type of this crate, so that it can be reused elsewhere.
//!
//! The intermediate texts are part of the result, since a rejected signature is debugged by comparing canonical
//! requests.

use std::borrow::Cow;
use std::fmt::Write;

use form_urlencoded::parse;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::{digest, hmac};

/// Name of the algorithm, as it opens the string to sign and the `Authorization` header.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// Header that holds the time of the signature: UTC, `YYYYMMDDTHHMMSSZ`.
pub const DATE_HEADER: &str = "X-Sdk-Date";

const CONTENT_HASH_HEADER: &str = "X-Sdk-Content-Sha256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Only letters, digits and `-_.~` stay bare.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The request to sign.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method, in either case.
    pub method: &'a str,
    /// Absolute URL. The path is taken as written; the query is read as a form (percent escapes, and plus as
    /// space).
    pub url: &'a str,
    /// Headers to send, each name once. All are signed, except those with an underscore in the name. `Host` is
    /// added from the URL unless given.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

/// A request after signing.
///
/// Its parts authenticate the caller for this request: do not log them.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// The canonical request, six parts joined by line feeds.
    pub canonical_request: String,
    /// Lower-case hex SHA-256 of the canonical request.
    pub canonical_request_sha256: String,
    /// What the key signs.
    pub string_to_sign: String,
    /// Names of the signed headers: lower case, sorted, joined by `;`.
    pub signed_headers: String,
    /// Lower-case hex HMAC-SHA256 of the string to sign.
    pub signature: String,
    /// Value of the `Authorization` header.
    pub authorization: String,
    /// Every header to send, `Authorization` included; values without blanks at either end.
    pub headers: Vec<(String, String)>,
    /// The URL to send to: the path as written, the query in canonical form.
    pub url: String,
}

/// Signs a request with an access key.
///
/// `date` is the value of `X-Sdk-Date`: UTC, `YYYYMMDDTHHMMSSZ`; the gateway refuses one more than 15 minutes off
/// its own clock. The secret key itself is the HMAC key: nothing is derived from region or service.
///
/// As in the vendor's SDK, a body whose `Content-Type` is given and is neither JSON nor BSON is sent with
/// `X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD` and is not covered by the signature; and a given
/// `X-Sdk-Content-Sha256` is trusted as the hash of the body.
pub fn sign(request: &Request<'_>, access_key_id: &str, secret_key: &str, date: &str) -> Signed {
    let url = Url::split(request.url);
    let query = canonical_query(url.query);
    let mut headers = headers_to_send(request.headers, &url.host(), date);
    let signed = headers_to_sign(&headers);
    let signed_headers = signed
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";");
    let canonical_headers = signed.iter().fold(String::new(), |text, (name, value)| {
        text + name + ":" + value + "\n"
    });

    let canonical_request = [
        request.method.to_uppercase().as_str(),
        &canonical_path(url.path),
        &query,
        &canonical_headers,
        &signed_headers,
        &body_hash(&headers, request.body),
    ]
    .join("\n");
    let canonical_request_sha256 = sha256_hex(canonical_request.as_bytes());
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{canonical_request_sha256}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes());
    let signature = hex(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
    let authorization =
        format!("{ALGORITHM} Access={access_key_id}, SignedHeaders={signed_headers}, Signature={signature}");
    headers.push(("Authorization".to_owned(), authorization.clone()));

    Signed {
        canonical_request,
        canonical_request_sha256,
        string_to_sign,
        signed_headers,
        signature,
        authorization,
        headers,
        url: url.with_query(&query),
    }
}

/// A query string in canonical form: pairs sorted by key, then by value, every one written `key=value`. The vendor's
/// SDK also sends it like this.
pub fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = parse(query.as_bytes()).collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key.as_bytes()), encode(value.as_bytes())))
        .collect::<Vec<_>>()
        .join("&")
}

/// Lower-case hex SHA-256.
pub fn sha256_hex(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The whole path is decoded before it is split, so that an encoded slash becomes a real one, as in the gateway.
fn canonical_path(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut canonical = decoded
        .split(|byte| *byte == b'/')
        .map(encode)
        .collect::<Vec<_>>()
        .join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

fn headers_to_send(given: &[(&str, &str)], host: &str, date: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.trim().to_owned()))
        .collect();
    let content_type = find(&headers, "Content-Type").unwrap_or_default();
    if !(content_type.is_empty() || is_hashed(content_type)) {
        set(&mut headers, CONTENT_HASH_HEADER, UNSIGNED_PAYLOAD);
    }
    set(&mut headers, DATE_HEADER, date);
    if find(&headers, "Host").is_none() {
        set(&mut headers, "Host", host);
    }
    headers
}

fn is_hashed(content_type: &str) -> bool {
    ["application/json", "application/bson"]
        .iter()
        .any(|prefix| content_type.starts_with(prefix))
}

fn headers_to_sign(headers: &[(String, String)]) -> Vec<(String, &str)> {
    let mut signed: Vec<(String, &str)> = headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_lowercase(), value.as_str()))
        .collect();
    signed.sort();
    signed
}

fn body_hash(headers: &[(String, String)], body: &[u8]) -> String {
    match find(headers, CONTENT_HASH_HEADER) {
        Some(hash) if !body.is_empty() && !hash.is_empty() => hash.to_owned(),
        _ => sha256_hex(body),
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn set(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
}

/// A URL in pieces, every piece as written: a parser that normalises would sign another path than the one sent.
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    fn split(url: &'a str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        let path = if path.is_empty() { "/" } else { path };
        Self {
            scheme,
            authority,
            path,
            query,
        }
    }

    /// `Host` holds the port only if it is not the default one.
    fn host(&self) -> String {
        let default_port = if self.scheme.eq_ignore_ascii_case("http") {
            ":80"
        } else {
            ":443"
        };
        self.authority
            .strip_suffix(default_port)
            .unwrap_or(self.authority)
            .to_owned()
    }

    fn with_query(&self, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "?" };
        format!(
            "{}://{}{}{separator}{query}",
            self.scheme, self.authority, self.path
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Signed {
        let request = Request {
            method: "POST",
            url,
            headers,
            body,
        };
        sign(&request, "AKEXAMPLE", "SKEXAMPLE", "20260115T083042Z")
    }

    #[test]
    fn the_default_port_is_left_out_of_host() {
        for (url, host) in [
            ("https://example.com:443/a", "example.com"),
            ("http://example.com:80/a", "example.com"),
            ("https://example.com:80/a", "example.com:80"),
            ("https://[::1]:8443/a", "[::1]:8443"),
        ] {
            assert!(
                signed(url, &[], b"")
                    .canonical_request
                    .contains(&format!("\nhost:{host}\n")),
                "{url}"
            );
        }
    }

    #[test]
    fn a_fragment_is_neither_signed_nor_sent() {
        assert_eq!(
            signed("https://example.com/a#b", &[], b"").url,
            "https://example.com/a"
        );
    }

    #[test]
    fn the_date_given_wins_over_a_date_header() {
        let signed = signed("https://example.com/", &[("x-sdk-date", "20000101T000000Z")], b"");
        assert!(signed.canonical_request.contains("x-sdk-date:20260115T083042Z\n"));
        assert_eq!(
            signed
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(DATE_HEADER))
                .count(),
            1
        );
    }

    #[test]
    fn every_bit_of_the_body_counts() {
        let json = [("Content-Type", "application/json")];
        let one = signed("https://example.com/", &json, br#"{"a":1}"#);
        let other = signed("https://example.com/", &json, br#"{"a":2}"#);
        assert_ne!(one.signature, other.signature);
    }
}
