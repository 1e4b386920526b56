//! Through a real HTTP proxy, as clusters without a way of their own to the internet have it.

use std::io::Write;

use serde_json::{Value, json};
use testkit::{ConnectProxy, canary};
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Ready, Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, message, pair, says, until};

const CREDENTIALS: &str = "robot:canary-proxy-password";

/// A file with the proxy's credentials.
fn credentials(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{content}").unwrap();
    file
}

#[tokio::test]
async fn the_sample_request_succeeds_through_a_connect_proxy() {
    canary::guard(CREDENTIALS);
    let file = testkit::workspace().join("deploy/samples/deletion-batch.yaml");
    let sample: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    // The cloud has what the sample expects.
    let expected = sample["spec"]["expected"].as_array().unwrap();
    let of = |e: &Value| json!({"id": e["id"], "name": e["computerName"].as_str().unwrap_or("PC"), "user": e["userName"]});
    let desktops: Vec<_> = expected.iter().map(of).collect();
    let fixture = Fixture::set("proxied", &desktops).await;
    let proxy = ConnectProxy::start(Some(CREDENTIALS)).await.unwrap();
    let file = credentials(CREDENTIALS);
    let url = format!("--cloud-proxy={}", proxy.url());
    let shown = format!("--cloud-proxy-credentials-file={}", file.path().display());
    let _operator = fixture.operator(&[&url, &shown]);
    fixture.namespace.apply(&sample).await.unwrap();
    let status = fixture.completed("leavers").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.cloud.calls(Operation::BatchDelete).len(), 1);
    let workspace = fixture.cloud.simulator().workspace.replace("https://", "");
    let tunnels = proxy.tunnels();
    assert!(
        !tunnels.is_empty() && tunnels.iter().all(|host| *host == workspace),
        "{tunnels:?}"
    );
    assert_eq!(proxy.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_rejects_the_credentials_is_reported_and_nothing_reaches_the_cloud() {
    canary::guard("robot:canary-wrong-password");
    let fixture = Fixture::set("proxy-refuses", &[desktop("pc-1")]).await;
    let proxy = ConnectProxy::start(Some(CREDENTIALS)).await.unwrap();
    let file = credentials("robot:canary-wrong-password");
    let url = format!("--cloud-proxy={}", proxy.url());
    let shown = format!("--cloud-proxy-credentials-file={}", file.path().display());
    let _operator = fixture.operator(&[&url, &shown]);
    fixture.request("leaver", &["pc-1"]).await;
    // A proxy that takes long to answer is unreachable for another reason first.
    let rejected = |status: &Value| {
        let words = message(status, Ready);
        says(status, Ready).1 == "EndpointUnreachable"
            && words.contains("proxy")
            && words.contains("HTTP 407")
    };
    let projects = fixture.namespace.projects();
    until(&projects, "prod", "it names the response of the proxy", rejected).await;
    let status = fixture.reason("leaver", Submitted, "ServiceUnavailable").await;
    assert!(
        message(&status, Submitted).contains("through the proxy "),
        "{status:#}"
    );
    assert_eq!(fixture.cloud.ledger(), []);
    assert!(!proxy.refusals().is_empty());
}

#[tokio::test]
async fn the_api_server_is_reached_through_the_proxy_of_the_environment_and_the_cloud_is_not() {
    let fixture = Fixture::set("https-proxy", &[desktop("pc-1")]).await;
    let proxy = ConnectProxy::start(None).await.unwrap();
    let nowhere = "http://127.0.0.1:9";
    let exempt = [("HTTPS_PROXY", nowhere), ("NO_PROXY", "127.0.0.0/8,localhost")];
    let direct = fixture.operator_among(&exempt, &[]);
    fixture.request("first", &["pc-1"]).await;
    let status = fixture.completed("first").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(direct.stopped().await, 0);

    fixture.cloud.add_desktop(&desktop("pc-2")).unwrap();
    let _through = fixture.operator_among(&[("HTTPS_PROXY", &proxy.url())], &[]);
    fixture.request("second", &["pc-2"]).await;
    let status = fixture.completed("second").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let cloud = fixture.cloud.simulator().workspace.replace("https://", "");
    let tunnels = proxy.tunnels();
    assert!(!tunnels.is_empty() && !tunnels.contains(&cloud), "{tunnels:?}");
}
