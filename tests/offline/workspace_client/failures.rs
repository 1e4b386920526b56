//! Sent or not sent: everything that can happen to a connection. If it is unclear, it counts as sent.

use std::process::Command;
use std::time::Duration;

use desktop_deletion_operator::workspace::auth::SecretCredentials;
use desktop_deletion_operator::workspace::transport::Options;
use tokio::net::TcpSocket;

use super::server::{Behaviour, Server, answer, authority};
use super::{
    access_key, connector, no_answer, not_sent, patient, submit, target, unreadable, workspace,
    workspace_with,
};

const ACCEPTED: &[u8] = include_bytes!("../../fixtures/workspace/accepted.json");

/// Head of an acceptance whose body never ends in time.
const UNFINISHED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n";

#[tokio::test]
async fn a_refused_connection_means_not_sent() {
    // Bound and not listening: no other program gets the port, and it refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("https://{}", socket.local_addr().unwrap());
    let workspace = connector("127.0.0.1=127.0.0.0/8", patient())
        .connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    let error = submit(&*workspace).await.unwrap_err();
    let reason = not_sent(&error);
    assert!(
        reason.starts_with(&format!("{endpoint}: no connection: ")),
        "{reason}"
    );
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_means_not_sent() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger.example".to_owned()])
        .unwrap()
        .cert
        .pem();
    let workspace = connector("127.0.0.1=127.0.0.0/8", patient())
        .connect(
            &target(&server.endpoint(), &stranger),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    let error = submit(&*workspace).await.unwrap_err();
    assert!(not_sent(&error).contains("invalid peer certificate"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_ca_certificate_that_is_used_as_server_certificate_is_reported_as_such() {
    let (server, authority) =
        Server::presenting_an_authority(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let workspace = connector("127.0.0.1=127.0.0.0/8", patient())
        .connect(
            &target(&server.endpoint(), &authority),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    let error = submit(&*workspace).await.unwrap_err();
    assert!(
        not_sent(&error).contains("the server uses a CA certificate as its server certificate"),
        "{error}"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_handshake_that_hangs_means_not_sent() {
    let server = Server::start(Behaviour::SilentHandshake).await;
    let options = Options {
        connect_timeout: Duration::from_millis(300),
        ..patient()
    };
    let error = submit(&*workspace_with(&server, access_key(), options))
        .await
        .unwrap_err();
    not_sent(&error);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_handshake_that_is_cut_means_not_sent() {
    let server = Server::start(Behaviour::NoHandshake).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    not_sent(&error);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_name_without_an_address_means_not_sent() {
    let workspace = connector("nowhere.invalid", patient())
        .connect(
            &target("https://nowhere.invalid", &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    let error = submit(&*workspace).await.unwrap_err();
    not_sent(&error);
}

#[tokio::test]
async fn a_name_that_leads_to_a_refused_address_is_not_connected_to() {
    let server = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
    let endpoint = format!("https://localhost:{}", server.port());
    let through = |allowed: &str| {
        connector(allowed, patient())
            .connect(
                &target(&endpoint, &authority()),
                SecretCredentials::Static(access_key()),
            )
            .unwrap()
    };
    let error = submit(&*through("localhost")).await.unwrap_err();
    let reason = not_sent(&error);
    assert!(
        reason.contains("a loopback address") && reason.contains("--allowed-endpoints"),
        "{reason}"
    );
    assert_eq!(server.connections(), 0);

    submit(&*through("localhost=127.0.0.0/8")).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_reset_after_the_request_leaves_the_outcome_unknown_and_is_never_retried() {
    let server = Server::start(Behaviour::Reset).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    no_answer(&error);
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_connection_that_is_closed_without_a_response_leaves_the_outcome_unknown_and_is_never_retried() {
    let server = Server::start(Behaviour::AnswerAndClose(Vec::new())).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    no_answer(&error);
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_missing_response_leaves_the_outcome_unknown() {
    let server = Server::start(Behaviour::Silence).await;
    // Within that time the request must have arrived.
    let options = Options {
        submission_timeout: Duration::from_secs(10),
        ..patient()
    };
    let error = submit(&*workspace_with(&server, access_key(), options))
        .await
        .unwrap_err();
    assert_eq!(no_answer(&error), format!("{}: timed out", server.endpoint()));
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
}

#[tokio::test]
async fn a_truncated_response_head_leaves_the_outcome_unknown() {
    let head = b"HTTP/1.1 202 Accepted\r\nContent-Le".to_vec();
    let server = Server::start(Behaviour::AnswerAndClose(head)).await;
    no_answer(&submit(&*workspace(&server)).await.unwrap_err());
}

#[tokio::test]
async fn a_truncated_body_leaves_the_outcome_unknown_with_every_status() {
    for status in [202, 400, 500] {
        let mut bytes = answer(status, "", ACCEPTED);
        bytes.truncate(bytes.len() - 1);
        let server = Server::start(Behaviour::AnswerAndClose(bytes)).await;
        let error = submit(&*workspace(&server)).await.unwrap_err();
        no_answer(&error);
        assert_eq!(error.service_time, None, "it may have come from anywhere");
    }
}

#[tokio::test]
async fn a_response_that_is_not_http_leaves_the_outcome_unknown() {
    let server = Server::start(Behaviour::AnswerAndClose(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec())).await;
    no_answer(&submit(&*workspace(&server)).await.unwrap_err());
}

#[tokio::test]
async fn an_endless_body_is_abandoned_at_the_size_limit() {
    let head = b"HTTP/1.1 202 Accepted\r\n\r\n".to_vec();
    let server = Server::start(Behaviour::Endless(head)).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    assert_eq!(unreadable(&error), (202, "it is longer than 65536 bytes"));

    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::start(Behaviour::Endless(head)).await;
    let error = workspace(&server).list_desktops(&[]).await.unwrap_err();
    assert_eq!(unreadable(&error), (200, "it is longer than 8388608 bytes"));
}

#[tokio::test]
async fn an_endless_error_response_is_an_error_without_a_message() {
    let server = Server::start(Behaviour::Endless(b"HTTP/1.1 503 Busy\r\n\r\n".to_vec())).await;
    let error = submit(&*workspace(&server)).await.unwrap_err();
    let refusal = error.error_response().unwrap();
    assert_eq!(
        (refusal.status, refusal.json, &refusal.message),
        (503, false, &None)
    );
}

#[tokio::test]
async fn a_body_that_arrives_byte_by_byte_times_out() {
    let server = Server::start(Behaviour::Drip(UNFINISHED.to_vec(), Duration::from_millis(100))).await;
    let options = Options {
        submission_timeout: Duration::from_secs(3),
        ..patient()
    };
    no_answer(
        &submit(&*workspace_with(&server, access_key(), options))
            .await
            .unwrap_err(),
    );
}

#[tokio::test]
async fn a_body_that_stops_arriving_times_out() {
    let server = Server::start(Behaviour::Drip(UNFINISHED.to_vec(), Duration::from_secs(3600))).await;
    let options = Options {
        submission_timeout: Duration::from_secs(3),
        ..patient()
    };
    no_answer(
        &submit(&*workspace_with(&server, access_key(), options))
            .await
            .unwrap_err(),
    );
}

/// Runs another test of this binary in a process whose environment names a proxy that does not exist.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let proxied = "workspace_client::submission::the_bytes_that_go_out_are_the_documented_ones";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", proxied]);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env(name, "http://127.0.0.1:9");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}
