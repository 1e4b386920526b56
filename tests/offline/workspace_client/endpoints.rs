//! Endpoints that would send credentials elsewhere are refused before any packet is sent: a sink on the loopback
//! addresses counts connections. Each is tried as the service's endpoint and as that of IAM, with a read, a submission
//! and a login.
//!
//! | file | what |
//! | --- | --- |
//! | [`corpus`] | the tricks, in tables that read as documentation |
//! | [`sink`] | who listens, and where names lead |

use std::net::IpAddr;

use desktop_deletion_operator::clock::TimeSource;
use desktop_deletion_operator::workspace::auth::SecretCredentials;
use desktop_deletion_operator::workspace::connector::{Connector, Target};
use desktop_deletion_operator::workspace::error::Failure;
use ipnet::IpNet;

use super::server::{Behaviour, Server, answer, authority};
use super::{AK, SK, Stopped, access_key, batch, connector, not_sent, patient, secret, submit, target};
use sink::{Answers, Sink};

mod corpus;
pub(super) mod sink;

/// What a program learns that is given this endpoint in each of its places: an error for each place and each use.
async fn errors_of(connector: &Connector, endpoint: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let key = SecretCredentials::access_key(&secret(&[("accessKey", AK), ("secretKey", SK)])).unwrap();
    errors.extend(used(connector, target(endpoint, &authority()), key).await);
    let person = [("domainName", "d"), ("userName", "u"), ("password", "canary")];
    // The service comes after IAM, so that nothing is asked of it.
    let iam = Target {
        iam_endpoint: Some(endpoint.to_owned()),
        ..target("https://allowed.example", &authority())
    };
    errors.extend(
        used(
            connector,
            iam,
            SecretCredentials::password(&secret(&person)).unwrap(),
        )
        .await,
    );
    errors
}

/// The errors of connecting, or else of a read and of a submission, which must be known not to have been sent.
async fn used(connector: &Connector, target: Target, login: SecretCredentials) -> Vec<String> {
    let workspace = match connector.connect(&target, login) {
        Ok(workspace) => workspace,
        Err(error) => return vec![error.to_string()],
    };
    let mut results = vec![workspace.list_desktops(&[]).await.map(|_| ())];
    // Who could not log in has nothing to sign with.
    if let Ok(signed) = workspace.sign_batch_delete(&batch(), Stopped.now()) {
        results.push(workspace.send(signed).await.map(|_| ()));
    }
    results
        .into_iter()
        .map(|result| match result.map_err(|error| error.failure) {
            Err(Failure::NotSent { reason }) => reason,
            other => format!("not refused: {other:?}"),
        })
        .collect()
}

/// What is wrong with a row: it was reported differently.
fn mismatch(row: &str, errors: &[String], wanted: &str) -> Option<String> {
    let silent = errors.is_empty() || errors.iter().any(|text| !text.contains(wanted));
    silent.then(|| format!("{row}: not {wanted:?} but {errors:#?}"))
}

fn report(wrong: &[String], rows: usize) {
    println!("{rows} rows");
    let text = wrong.join("\n");
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{text}", wrong.len());
}

#[tokio::test]
async fn a_malicious_endpoint_is_refused_without_resolving_it() {
    let sink = Sink::open().await;
    let names = Answers::of(&[&["127.0.0.1"]]);
    let connector = connector(corpus::ALLOWED, patient()).with_resolver(names.clone());
    let mut wrong = Vec::new();
    for (trick, endpoint, what) in corpus::WRITTEN {
        let endpoint = endpoint.replace("PORT", &sink.port.to_string());
        let errors = errors_of(&connector, &endpoint).await;
        wrong.extend(mismatch(&format!("{trick} ({endpoint:?})"), &errors, what));
    }
    report(&wrong, corpus::WRITTEN.len());
    assert_eq!(
        (names.asked(), sink.connections()),
        (0, 0),
        "names asked for, connections"
    );
}

#[tokio::test]
async fn a_literal_address_needs_a_network_that_holds_it() {
    let sink = Sink::open().await;
    let mut wrong = Vec::new();
    for (trick, entry, endpoint) in corpus::NAMED {
        let endpoint = endpoint.replace("PORT", &sink.port.to_string());
        let allowed = format!("{};{entry}", "allowed.example=127.0.0.0/8");
        let errors = errors_of(&connector(&allowed, patient()), &endpoint).await;
        let what = "an IP address needs an entry of --allowed-endpoints with a network that contains it";
        wrong.extend(mismatch(trick, &errors, what));
    }
    report(&wrong, corpus::NAMED.len());
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn an_allowed_name_that_resolves_to_a_refused_address_is_not_connected_to() {
    let sink = Sink::open().await;
    let endpoint = format!("https://named.example:{}", sink.port);
    let mut wrong = Vec::new();
    for (address, what) in corpus::RESOLVED {
        let names = Answers::of(&[&[address]]);
        let allowed = "named.example;allowed.example=127.0.0.0/8";
        let connector = connector(allowed, patient()).with_resolver(names.clone());
        let errors = errors_of(&connector, &endpoint).await;
        let address: IpAddr = address.parse().unwrap();
        let cure = IpNet::from(address.to_canonical());
        let said = format!(
            "named.example resolves to {address}, {what}, which is not allowed; an administrator can allow it \
             with an entry of --allowed-endpoints such as named.example={cure}"
        );
        wrong.extend(mismatch(&address.to_string(), &errors, &said));
        if names.asked() == 0 {
            wrong.push(format!("{address}: the name was not resolved"));
        }
    }
    report(&wrong, corpus::RESOLVED.len());
    assert_eq!(sink.connections(), 0);
}

/// Without this, the tests above would pass with a sink that counts nothing.
#[tokio::test]
async fn an_allowed_address_reaches_the_sink() {
    let sink = Sink::open().await;
    for (came, address) in sink.addresses.iter().enumerate() {
        let names = Answers::of(&[&[&address.to_string()]]);
        let connector = connector(corpus::ALLOWED, patient()).with_resolver(names.clone());
        let endpoint = format!("https://allowed.example:{}", sink.port);
        let workspace = connector.connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        );
        let error = submit(&*workspace.unwrap()).await.unwrap_err();
        not_sent(&error);
        assert_eq!(
            (names.asked(), sink.connections()),
            (1, came + 1),
            "{address}: {error}"
        );
    }
}

const ACCEPTED: &[u8] = include_bytes!("../../fixtures/workspace/accepted.json");

/// A cloud whose name leads to it at first and to a sink of the same port afterwards.
async fn cloud_and_sink() -> (Server, Sink) {
    for _ in 0..100 {
        let cloud = Server::start(Behaviour::Answer(answer(202, "", ACCEPTED))).await;
        let addresses = ["127.0.0.2", "127.1.2.3"].map(|address| address.parse().unwrap());
        if let Some(sink) = Sink::on(cloud.port(), &addresses).await {
            return (cloud, sink);
        }
    }
    panic!("no port is free on all addresses");
}

#[tokio::test]
async fn a_name_that_resolves_differently_after_the_check_is_not_connected_to() {
    let (cloud, sink) = cloud_and_sink().await;
    // Every other answer leads astray.
    let (good, bad): (&[&str], &[&str]) = (&["127.0.0.1"], &["127.0.0.2"]);
    let answers = [good, bad].repeat(10);
    let names = Answers::of(&answers);
    let connector = connector("localhost=127.0.0.1/32", patient()).with_resolver(names.clone());
    let endpoint = format!("https://localhost:{}", cloud.port());
    let workspace = connector
        .connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    for number in 0..answers.len() {
        let result = submit(&*workspace).await;
        if number % 2 == 0 {
            result.unwrap();
        } else {
            let error = result.unwrap_err();
            assert!(
                not_sent(&error).contains("localhost resolves to 127.0.0.2, a loopback address"),
                "{error}"
            );
        }
    }
    assert_eq!(sink.connections(), 0);
    // One question for each connection: the answer that was checked is the one that was connected to.
    assert_eq!((names.asked(), cloud.connections()), (20, 10));
}

#[tokio::test]
async fn of_several_addresses_the_refused_ones_are_never_tried() {
    let (cloud, sink) = cloud_and_sink().await;
    let endpoint = format!("https://localhost:{}", cloud.port());
    let names = Answers::of(&[&["127.0.0.2", "127.0.0.1", "127.1.2.3"]]);
    let connector = connector("localhost=127.0.0.1/32", patient()).with_resolver(names);
    let workspace = connector
        .connect(
            &target(&endpoint, &authority()),
            SecretCredentials::Static(access_key()),
        )
        .unwrap();
    submit(&*workspace).await.unwrap();
    assert_eq!((cloud.connections(), sink.connections()), (1, 0));

    // Nor when the only one that may be connected to does not answer.
    drop(cloud);
    let error = submit(&*workspace).await.unwrap_err();
    assert!(not_sent(&error).contains("no connection: "), "{error}");
    assert_eq!(sink.connections(), 0);
}
