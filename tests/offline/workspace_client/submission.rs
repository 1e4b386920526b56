//! The one call that must not be repeated: its bytes, its connection, its response.

use desktop_deletion_operator::clock::TimeSource;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::ids::ProjectID;
use desktop_deletion_operator::plan::error_policy::cloud_error;
use desktop_deletion_operator::workspace::api::BatchDelete;
use desktop_deletion_operator::workspace::auth::{Credentials, SecretCredentials};
use desktop_deletion_operator::workspace::connector::Target;
use desktop_deletion_operator::workspace::error::Failure;
use desktop_deletion_operator::workspace::signature::{Request, sha256_hex, sign};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::server::{Behaviour, Server, answer, authority};
use super::{
    AK, ALICE, BOB, JOB, PROJECT, SK, Stopped, TOKEN, access_key, batch, connector, desktop, job, not_sent,
    patient, secret, submit, target, token, unreadable, workspace, workspace_with,
};

const ACCEPTED: &[u8] = include_bytes!("../../fixtures/workspace/accepted.json");

async fn accepting() -> Server {
    Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await
}

fn body() -> String {
    format!(
        r#"{{"desktop_ids":["{ALICE}","{BOB}"],"delete_users":false,"email_notification":true,"is_force_delete":false}}"#
    )
}

/// The lines of a request's head, sorted, and its body.
fn parts(request: &str) -> (Vec<String>, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    lines.sort();
    (lines, body.to_owned())
}

#[tokio::test]
async fn the_bytes_that_go_out_are_the_documented_ones() {
    let server = accepting().await;
    let answered = submit(&*workspace(&server)).await.unwrap();
    assert_eq!(answered.value, job(JOB));
    assert_eq!(
        answered.service_time,
        Some("2026-01-15T08:30:45Z".parse().unwrap())
    );

    let url = format!("{}/v2/{PROJECT}/desktops/batch-delete", server.endpoint());
    let body = body();
    let headers = [("content-type", "application/json"), ("x-project-id", PROJECT)];
    let request = Request {
        method: "POST",
        url: &url,
        headers: &headers,
        body: body.as_bytes(),
    };
    let signed = sign(&request, AK, SK, "20260115T083042Z");
    let mut expected = vec![
        format!("POST /v2/{PROJECT}/desktops/batch-delete HTTP/1.1"),
        format!("authorization: {}", signed.authorization),
        format!("content-length: {}", body.len()),
        format!("host: {}", server.endpoint().trim_start_matches("https://")),
        format!(
            "user-agent: desktop-deletion-operator/{}",
            env!("CARGO_PKG_VERSION")
        ),
        format!("x-project-id: {PROJECT}"),
        "accept: */*".to_owned(),
        "content-type: application/json".to_owned(),
        "x-language: en-us".to_owned(),
        "x-sdk-date: 20260115T083042Z".to_owned(),
    ];
    expected.sort();
    assert_eq!(parts(&server.request()), (expected, body));
}

#[tokio::test]
async fn a_security_token_is_sent_and_signed() {
    let server = accepting().await;
    let temporary = secret(&[
        ("accessKey", AK),
        ("secretKey", SK),
        ("securityToken", "ST-canary+/=="),
    ]);
    let workspace = workspace_with(&server, Credentials::access_key(&temporary).unwrap(), patient());
    submit(&*workspace).await.unwrap();
    let (lines, _) = parts(&server.request());
    assert!(
        lines.contains(&"x-security-token: ST-canary+/==".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains(";x-sdk-date;x-security-token, Signature=")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn token_credentials_send_the_token_and_no_signature() {
    let server = accepting().await;
    submit(&*workspace_with(&server, token(), patient()))
        .await
        .unwrap();
    let (lines, sent) = parts(&server.request());
    assert!(lines.contains(&format!("x-auth-token: {TOKEN}")), "{lines:?}");
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("authorization") || line.starts_with("x-sdk-date"))
    );
    assert_eq!(sent, body());
}

#[tokio::test]
async fn the_signed_request_is_known_before_it_is_sent() {
    let server = accepting().await;
    let workspace = workspace(&server);
    let signed = workspace.sign_batch_delete(&batch(), Stopped.now()).unwrap();
    assert_eq!(
        signed.digest(),
        format!("sha256:{}", sha256_hex(body().as_bytes()))
    );
    assert_eq!(signed.signed_at(), "2026-01-15T08:30:42Z".parse().unwrap());
    let shown = format!("{signed:?}");
    assert!(!shown.contains("Signature") && !shown.contains(AK), "{shown}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn every_submission_has_a_connection_of_its_own() {
    let server = accepting().await;
    let workspace = workspace(&server);
    for sent in 1..=3 {
        submit(&*workspace).await.unwrap();
        assert_eq!((server.requests().len(), server.connections()), (sent, sent));
    }
}

#[tokio::test]
async fn a_batch_of_no_or_too_many_desktops_is_not_signed() {
    let server = accepting().await;
    for count in [0, 101] {
        let desktop_ids = (0..count).map(|n| desktop(&format!("d{n}"))).collect();
        let batch = BatchDelete {
            desktop_ids,
            ..batch()
        };
        let error = workspace(&server)
            .sign_batch_delete(&batch, Stopped.now())
            .unwrap_err();
        assert_eq!(not_sent(&error), "a batch must name 1 to 100 desktops");
    }
}

#[tokio::test]
async fn a_request_that_was_signed_for_one_project_is_not_sent_to_another() {
    let server = accepting().await;
    let other = Target {
        project_id: ProjectID::try_from("another").unwrap(),
        ..target(&server.endpoint(), &authority())
    };
    let other = connector("127.0.0.1=127.0.0.0/8", patient())
        .connect(&other, SecretCredentials::Static(access_key()))
        .unwrap();
    let signed = other.sign_batch_delete(&batch(), Stopped.now()).unwrap();
    let error = workspace(&server).send(signed).await.unwrap_err();
    assert_eq!(not_sent(&error), "it was signed for another endpoint or project");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_acceptance_without_a_readable_job_id_is_unreadable() {
    let long = format!(r#"{{"x":"{}","job_id":"{JOB}"}}"#, "x".repeat(70_000));
    for (body, why) in [
        ("", "it is empty"),
        ("{}", "no job_id"),
        (r#"{"job_id":null}"#, "no job_id"),
        (r#"{"job_id":["a"]}"#, "job_id is not a string"),
        (r#"{"job_id":"a b"}"#, "a job ID must be 1 to 255 letters"),
        ("<html><title>Accepted</title></html>", "not a JSON object"),
        (&long, "it is longer than 65536 bytes"),
    ] {
        let server = Server::start(Behaviour::Answer(answer(202, "", body.as_bytes()))).await;
        let error = submit(&*workspace(&server)).await.unwrap_err();
        let (status, reason) = unreadable(&error);
        assert_eq!(status, 202);
        assert!(reason.contains(why), "{reason}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_error_in_place_of_a_job_id_keeps_its_code_and_message() {
    for (body, code) in [
        (r#"{"error_code":"WKS.0407","error_msg":"busy"}"#, "WKS.0407"),
        (r#"{"error":{"code":401,"message":"busy"}}"#, "401"),
        (r#"{"error":{"code":"X.1","message":"busy"}}"#, "X.1"),
        (r#"{"code":"X.1","message":"busy"}"#, "X.1"),
        (r#"{"job_id":null,"code":7,"message":"busy"}"#, "7"),
    ] {
        for status in [200, 202] {
            let server = Server::start(Behaviour::Answer(answer(status, "", body.as_bytes()))).await;
            let error = submit(&*workspace(&server)).await.unwrap_err();
            let Failure::Unreadable { code: said, .. } = &error.failure else {
                panic!("{error:?}");
            };
            assert_eq!(said.as_deref(), Some(code), "{body}");
            assert_eq!(unreadable(&error), (status, "no job_id; message: busy"));
            let shown = cloud_error(&error, Time(Stopped.now()));
            assert_eq!(shown.code.as_deref(), Some(code), "{body}");
            assert!(
                shown.message.as_ref().is_some_and(|text| text.contains("busy")),
                "{shown:?}"
            );
            assert_eq!(shown.class, ErrorClass::InDoubt, "it may have taken effect");
        }
    }
}

#[tokio::test]
async fn a_job_id_is_accepted_with_every_success_status() {
    for status in [200, 201, 202] {
        let server = Server::start(Behaviour::Answer(answer(status, "", ACCEPTED))).await;
        assert_eq!(
            submit(&*workspace(&server)).await.unwrap().value,
            job(JOB),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_compressed_acceptance_is_unreadable() {
    let server = Server::start(Behaviour::Answer(answer(
        202,
        "Content-Encoding: gzip\r\n",
        &[0x1f, 0x8b, 8, 0],
    )))
    .await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    assert_eq!(unreadable(&error), (202, "unexpected Content-Encoding"));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = accepting().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/\r\n", elsewhere.endpoint());
        let server = Server::start(Behaviour::Answer(answer(status, &location, b""))).await;
        let error = submit(&*workspace(&server)).await.unwrap_err();
        assert_eq!(error.error_response().map(|refusal| refusal.status), Some(status));
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_refused_submission_is_sent_once() {
    for status in [400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504] {
        let server = Server::start(Behaviour::Answer(answer(status, "Retry-After: 0\r\n", b"{}"))).await;
        let error = submit(&*workspace(&server)).await.unwrap_err();
        assert_eq!(error.error_response().map(|refusal| refusal.status), Some(status));
        assert_eq!((server.requests().len(), server.connections()), (1, 1));
    }
}
