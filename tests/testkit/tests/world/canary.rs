//! A secret in anything that an operator puts out fails the test that ran it; tried on a shell in its place.
#![allow(clippy::unwrap_used)] // a test that cannot go on says so by a panic

use std::io::{Read, Write};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::json;
use testkit::{Cloud, ControlPlane, Error, GENEROUS, Operator, OperatorOptions, eventually};

fn script(script: &str, kubeconfig: Option<&Path>) -> Operator {
    let started = Operator::start(OperatorOptions {
        binary: "sh",
        arguments: &["-c", script],
        environment: &[],
        kubeconfig,
    });
    started.unwrap()
}

/// What the end of an operator says; empty if all is well.
fn verdict(operator: Operator) -> String {
    match catch_unwind(AssertUnwindSafe(|| drop(operator))) {
        Ok(()) => String::new(),
        Err(panic) => panic.downcast_ref::<String>().unwrap().clone(),
    }
}

/// Ends an operator that has printed this.
async fn printed(command: &str) -> String {
    let operator = script(command, None);
    operator.wait().await.unwrap();
    verdict(operator)
}

#[tokio::test]
async fn a_secret_in_the_log_is_found_in_every_encoding() {
    assert_eq!(printed("echo all is well").await, "");
    for command in [
        "echo first; echo 'the key canary-1 is wrong'; echo last",
        "echo \"thread 'main' panicked: canary-1\" >&2; exit 101",
        "echo 'data: Y2FuYXJ5LXNlY3JldA=='",
        "echo 'Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln'",
    ] {
        let found = printed(command).await;
        assert!(
            found.starts_with("a secret stands in the log of operator "),
            "{command}: {found}"
        );
    }
}

#[tokio::test]
async fn output_at_exit_is_searched() -> Result<(), Error> {
    let operator = script(
        "trap 'echo canary-1; exit 0' TERM; echo ready; while :; do sleep 0.01; done",
        None,
    );
    eventually("the trap is set", GENEROUS, async || {
        if operator.log().contains("ready") {
            Ok(())
        } else {
            Err(operator.log())
        }
    })
    .await?;
    operator.terminate().await?;
    assert!(verdict(operator).contains("canary-1"));
    Ok(())
}

#[tokio::test]
async fn the_secrets_of_a_simulated_cloud_are_searched_for_even_without_the_mark() {
    let mut world = Cloud::world();
    let key = json!({"id": "KEY", "secret": "plain-key-0001", "securityToken": "plain-session-0002"});
    world["accounts"][0]["accessKeys"] = json!([key]);
    world["accounts"][0]["users"] = json!([{"name": "robot", "password": "plain-password-0003"}]);
    world["accounts"][0]["tokens"] = json!([{"token": "plain-token-0004", "user": "robot"}]);
    let _cloud = Cloud::start(&world).await.unwrap();
    testkit::manifests::secret(
        "login",
        &[("userName", "plain-user-0005"), ("password", "plain-wrong-0006")],
    );
    for secret in [
        "plain-key-0001",
        "plain-session-0002",
        "plain-password-0003",
        "plain-token-0004",
        "plain-wrong-0006",
    ] {
        assert!(
            printed(&format!("echo {secret}")).await.contains(secret),
            "{secret}"
        );
    }
    assert_eq!(
        printed("echo KEY plain-user-0005").await,
        "",
        "names are no secrets"
    );
}

#[tokio::test]
async fn a_secret_in_the_metrics_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        format!("echo 'INFO serving /livez, /readyz and /metrics address={address}'; exec sleep 600");
    let operator = script(&serving, None);
    let told = eventually("it says where it serves", GENEROUS, async || {
        operator.address().ok_or("nothing")
    });
    assert_eq!(told.await.unwrap(), address);
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = client.read(&mut request).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ncalls_total{key=\"canary-1\"} 1\n";
        client.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    assert_eq!(
        verdict(operator),
        "a secret stands in the metrics: calls_total{key=\"canary-1\"} 1"
    );
    assert!(server.join().unwrap().starts_with("GET /metrics HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_secret_in_a_write_is_found_except_in_a_kubernetes_secret() -> Result<(), Error> {
    // Of its own, so that no other test comes upon what is written here.
    let control_plane = ControlPlane::start().await?;
    control_plane.install_crds().await?;
    let namespace = control_plane.namespace("told").await?;
    let kubeconfig = control_plane.deploy("deploy/base", namespace.name()).await?;
    namespace
        .apply(&testkit::manifests::secret(
            "login",
            &[("token", "canary-in-its-place")],
        ))
        .await?;
    assert_eq!(verdict(script("true", Some(&kubeconfig))), "");

    let event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "told"},
        "eventTime": "2026-12-01T00:00:00.000000Z",
        "action": "Submit",
        "reason": "Told",
        "type": "Normal",
        "reportingController": "test",
        "reportingInstance": "test",
        "regarding": {"kind": "Namespace", "name": namespace.name(), "namespace": namespace.name()},
        "note": "the token canary-out-of-place",
    });
    namespace.apply(&event).await?;
    // The event of the audit log may come a moment after the response.
    eventually("the write is found", GENEROUS, async || {
        let found = verdict(script("true", Some(&kubeconfig)));
        if found.contains("a secret stands in the audit log") && found.contains("canary-out-of-place") {
            Ok(())
        } else {
            Err(found)
        }
    })
    .await
}

#[tokio::test]
async fn a_secret_does_not_hide_the_failure_of_a_test() {
    let operator = script("echo canary-1", None);
    operator.wait().await.unwrap();
    let failing = std::thread::spawn(move || {
        let _operator = operator;
        panic!("the test's own reason");
    });
    let panic = failing.join().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the test's own reason"));
}
