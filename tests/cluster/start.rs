//! A start while the network or the API server is not yet available.

use std::net::Ipv4Addr;

use testkit::eventually;
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{BOUND, Fixture, desktop};
use crate::shutdown::answers;

#[tokio::test]
async fn an_operator_that_cannot_reach_the_api_server_at_its_start_waits_for_it() {
    let fixture = Fixture::set("early-start", &[desktop("pc-1")]).await;
    let port = testkit::ReservedPort::reserve().unwrap();
    let url = fixture.control_plane.url();
    let config = std::fs::read_to_string(fixture.kubeconfig()).unwrap();
    let elsewhere = fixture.control_plane.folder().join("early-start.kubeconfig");
    std::fs::write(
        &elsewhere,
        config.replace(url, &format!("https://127.0.0.1:{}", port.number())),
    )
    .unwrap();
    let operator = fixture.operator_at(&elsewhere, &[]);

    // Before it has tried the API server, it is not ready for another reason.
    let unreachable = async || match answers(&fixture, &operator, "/readyz", 500).await {
        text if text.contains("[-]api-server failed: ") => Ok(()),
        text => Err(text),
    };
    eventually("it is not ready without the API server", BOUND, unreachable)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let told = async || {
        if operator
            .log()
            .contains("Connection refused (os error 111); retrying")
        {
            Ok(())
        } else {
            Err(operator.log())
        }
    };
    eventually("it reports why it waits", BOUND, told)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    answers(&fixture, &operator, "/livez", 200).await;
    assert_eq!(operator.exit_status(), None, "{}", operator.log());

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))
        .await
        .unwrap();
    let api_server = url.trim_start_matches("https://").to_owned();
    let forwarder = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&api_server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    answers(&fixture, &operator, "/readyz", 200).await;
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    assert_eq!(operator.stopped().await, 0);
    forwarder.abort();
}

#[tokio::test]
async fn an_operator_that_waits_for_the_api_server_exits_after_sigterm() {
    let fixture = Fixture::set("early-stop", &[]).await;
    let config = std::fs::read_to_string(fixture.kubeconfig()).unwrap();
    let nowhere = fixture.control_plane.folder().join("early-stop.kubeconfig");
    let port = testkit::ReservedPort::reserve().unwrap();
    let url = fixture.control_plane.url();
    std::fs::write(
        &nowhere,
        config.replace(url, &format!("https://127.0.0.1:{}", port.number())),
    )
    .unwrap();
    let operator = fixture.operator_at(&nowhere, &[]);
    answers(&fixture, &operator, "/readyz", 500).await;
    assert_eq!(operator.stopped().await, 0);
}
