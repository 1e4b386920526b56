//! Every envelope of an error, as it comes back from a call.

use std::time::Duration;

use desktop_deletion_operator::workspace::error::{ErrorResponse, Operation};

use super::server::{Behaviour, Server, answer};
use super::{AK, SK, TOKEN, access_key, patient, submit, token, workspace, workspace_with};

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/workspace/refusals/", $name))
    };
}

async fn refused(status: u16, headers: &str, body: &[u8]) -> ErrorResponse {
    let server = Server::start(Behaviour::Answer(answer(status, headers, body))).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    assert_eq!(error.operation, Operation::BatchDelete);
    let refusal = error.error_response().unwrap().clone();
    // What is no response of the service in its own form may have any clock.
    let date = refusal
        .code
        .as_ref()
        .map(|_| "2026-01-15T08:30:45Z".parse().unwrap());
    assert_eq!(error.service_time, date);
    refusal
}

#[tokio::test]
async fn only_a_response_of_the_service_itself_provides_its_time() {
    let of_gateway = br#"{"error_code":"APIGW.0301","error_msg":"verify aksk signature fail"}"#;
    for (headers, body, tells) in [
        ("", &of_gateway[..], true),
        ("Age: 3600\r\n", of_gateway, false),
        ("", b"<html><title>502 Bad Gateway</title></html>", false),
        ("", b"{}", false),
        ("", b"x", false),
    ] {
        let server = Server::start(Behaviour::Answer(answer(502, headers, body))).await;
        let error = submit(&*workspace(&server)).await.unwrap_err();
        let body = String::from_utf8_lossy(body);
        assert_eq!(error.service_time.is_some(), tells, "{headers}{body}");
    }
}

#[tokio::test]
async fn code_and_message_are_read_from_every_recorded_error_format() {
    let table: [(&[u8], u16, &str, &str); 11] = [
        (
            recorded!("workspace.json"),
            409,
            "WKS.00010032",
            "The operation conflicts with the desktop status.",
        ),
        (
            recorded!("workspace-denied.json"),
            403,
            "WKS.403",
            "User alice is not authorized to perform workspace:desktops:batchDelete.",
        ),
        (
            recorded!("gateway.json"),
            401,
            "APIGW.0301",
            "Incorrect IAM authentication information: verify aksk signature fail",
        ),
        (
            recorded!("gateway-throttled.json"),
            429,
            "APIG.0308",
            "The throttling threshold has been reached: policy user over ratelimit,limit:100,time:1 minute",
        ),
        (
            recorded!("gateway-no-api.json"),
            404,
            "APIGW.0101",
            "The API does not exist or has not been published in the environment",
        ),
        (
            recorded!("iam-keystone.json"),
            401,
            "401",
            "The request you have made requires authentication.",
        ),
        (recorded!("iam.json"), 400, "IAM.0011", "Illegal request."),
        (recorded!("sts.json"), 403, "STS5.1001", "Access denied."),
        (recorded!("camel-case.json"), 400, "SVCSTG.0001", "Camel case."),
        (recorded!("short-names.json"), 400, "0042", "Short names."),
        (recorded!("nested.json"), 400, "WKS.0001", "One level down."),
    ];
    for (body, status, code, message) in table {
        let refusal = refused(status, "", body).await;
        assert_eq!(refusal.status, status);
        assert_eq!(refusal.code.as_deref(), Some(code));
        assert_eq!(refusal.message.as_deref(), Some(message));
        assert_eq!(refusal.request_id.as_deref(), Some("req-1"));
        assert!(refusal.json);
    }
}

#[tokio::test]
async fn a_denial_keeps_the_encoded_authorization_message() {
    let refusal = refused(403, "", recorded!("workspace-denied.json")).await;
    assert_eq!(
        refusal.encoded_authorization_message.as_deref(),
        Some("EXAMPLE+encoded/message==")
    );
    assert_eq!(refusal.detail.as_deref(), Some("implicit deny"));
}

#[tokio::test]
async fn a_page_of_a_proxy_gives_its_title_and_no_code() {
    let refusal = refused(502, "Content-Type: text/html\r\n", recorded!("proxy.html")).await;
    assert_eq!((refusal.json, refusal.code), (false, None));
    assert_eq!(refusal.message.as_deref(), Some("502 Bad Gateway"));
}

#[tokio::test]
async fn an_empty_error_response_still_has_its_status() {
    let refusal = refused(504, "", b"").await;
    let request_id = Some("req-1".to_owned());
    assert_eq!(
        refusal,
        ErrorResponse {
            status: 504,
            request_id,
            ..ErrorResponse::default()
        }
    );
}

#[tokio::test]
async fn a_compressed_error_response_is_not_quoted() {
    let refusal = refused(400, "Content-Encoding: gzip\r\n", br#"{"error_code":"X"}"#).await;
    assert_eq!((refusal.json, refusal.code, refusal.message), (false, None, None));
}

#[tokio::test]
async fn retry_after_is_computed_with_the_services_clock() {
    for (value, seconds) in [("30", 30), ("Thu, 15 Jan 2026 08:31:45 GMT", 60)] {
        let refusal = refused(
            429,
            &format!("Retry-After: {value}\r\n"),
            recorded!("gateway-throttled.json"),
        )
        .await;
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn credentials_that_the_cloud_repeats_are_redacted() {
    for (credentials, canary) in [(access_key(), SK), (access_key(), AK), (token(), TOKEN)] {
        let said = format!(
            r#"{{"error_code":"{canary}","error_msg":"bad {canary}","error_detail":"{canary}","request_id":"{canary}","encoded_authorization_message":"{canary}"}}"#
        );
        for (status, body) in [
            (401, said),
            (401, format!("<title>{canary}</title>")),
            (202, format!(r#"{{"job_id":"{canary} "}}"#)),
        ] {
            let server = Server::start(Behaviour::Answer(answer(status, "", body.as_bytes()))).await;
            let workspace = workspace_with(&server, credentials.clone(), patient());
            let error = submit(&*workspace).await.unwrap_err();
            let shown = format!("{error} {error:?} {workspace:?}");
            assert!(!shown.contains(canary), "{shown}");
        }
    }
}
