//! The signer against vectors made by the vendor's own SDK, byte for byte.

use std::collections::BTreeMap;

use desktop_deletion_operator::workspace::signature::{Request, sha256_hex, sign};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    count: usize,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    url: String,
    headers_in: BTreeMap<String, String>,
    body: Option<String>,
    ak: String,
    sk: String,
    date: String,
    credentials: Credentials,
    security_token: Option<String>,
    published_canonical_request_sha256: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Credentials {
    project_id: Option<String>,
    domain_id: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Expect {
    signed_headers: String,
    canonical_request: String,
    canonical_request_sha256: String,
    string_to_sign: String,
    authorization: String,
    signature: String,
    headers_out: BTreeMap<String, String>,
    url_sent: String,
}

fn vectors() -> Vec<Vector> {
    let file: File = serde_json::from_str(include_str!("../fixtures/signing-vectors.json")).unwrap();
    assert_eq!(file.vectors.len(), file.count);
    file.vectors
}

fn result(vector: &Vector) -> Expect {
    let mut headers: Vec<(&str, &str)> = vector
        .headers_in
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let added = [
        ("X-Project-Id", &vector.credentials.project_id),
        ("X-Domain-Id", &vector.credentials.domain_id),
        ("X-Security-Token", &vector.security_token),
    ];
    headers.extend(
        added
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?))),
    );
    let request = Request {
        method: &vector.method,
        url: &vector.url,
        headers: &headers,
        body: vector.body.as_deref().unwrap_or_default().as_bytes(),
    };
    let signed = sign(&request, &vector.ak, &vector.sk, &vector.date);
    Expect {
        signed_headers: signed.signed_headers,
        canonical_request: signed.canonical_request,
        canonical_request_sha256: signed.canonical_request_sha256,
        string_to_sign: signed.string_to_sign,
        authorization: signed.authorization,
        signature: signed.signature,
        headers_out: signed.headers.into_iter().collect(),
        url_sent: signed.url,
    }
}

#[test]
fn every_vector_is_reproduced_byte_for_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 40);
    for vector in &vectors {
        assert_eq!(result(vector), vector.expect, "vector {}", vector.name);
    }
}

#[test]
fn the_hash_printed_in_the_vendors_manual_is_reproduced() {
    let published: Vec<(String, String)> = vectors()
        .into_iter()
        .filter_map(|vector| {
            Some((
                vector.published_canonical_request_sha256.clone()?,
                result(&vector).canonical_request,
            ))
        })
        .collect();
    assert_eq!(published.len(), 1);
    for (hash, canonical_request) in published {
        assert_eq!(sha256_hex(canonical_request.as_bytes()), hash);
    }
}
