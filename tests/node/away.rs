//! The API server, or the network to it, is unavailable.

use std::time::Duration;

use serde_json::json;
use testkit::eventually;
use testkit::node::{NAMESPACE, Settings, Version};

use crate::fixture::{BOUND, Fixture, Replica, assert_sent_once, outcomes};

/// Probes of liveness, one every ten seconds, in five minutes.
const FIVE_MINUTES: u64 = 30;

/// Liveness probes in a minute, which is longer than the failure threshold of a container.
const A_MINUTE: u64 = 6;

on_nodes! {
    async fn a_request_in_flight_is_recorded_after_the_api_server_was_unavailable_for_five_minutes() {
        let fixture = Fixture::set(&["pc-1", "pc-2"]).await;
        fixture.answer_next_submission(&json!({"delay": "1h"}));
        let leader = fixture.leader().await;
        fixture.request("leavers", &["pc-1"]).await;
        fixture.submitted().await;

        let pods = fixture.pods().await;
        let started = starts(&fixture);
        assert!(started >= pods.len(), "{started}");
        fixture.cluster.control_plane().kill_api_server().await.unwrap();
        fixture.cloud.cloud.simulator().end_delays();
        let mut before = Vec::new();
        for pod in &pods {
            before.push(live_probes(&fixture, pod).await.unwrap());
        }
        let look = async || {
            let mut counts = Vec::new();
            for (pod, before) in pods.iter().zip(&before) {
                counts.push(live_probes(&fixture, pod).await? - before);
            }
            if counts.iter().all(|&count| count >= FIVE_MINUTES) { Ok(()) } else { Err(format!("{counts:?}")) }
        };
        let bound = Duration::from_secs(900);
        eventually("both pods were found alive for five minutes", bound, look).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(starts(&fixture), started, "neither was restarted");
        fixture.cluster.control_plane().start_api_server().await.unwrap();

        // The leader kept the response, and then handed over to another one.
        assert_eq!(outcomes(&fixture.succeeded("leavers").await), ["Accepted"]);
        assert_sent_once(&fixture, "pc-1");
        fixture.rolled_out().await;
        fixture.request("more", &["pc-2"]).await;
        fixture.succeeded("more").await;
        let pods = fixture.pods().await;
        assert!(pods.iter().all(|pod| !pod.killed), "{leader:?}, {pods:?}");
    }

    async fn pods_that_start_before_the_api_server_can_be_reached_wait_for_it() {
        let fixture = Fixture::empty(Settings::default(), &["pc-1"]).await;
        for node in fixture.cluster.nodes() {
            node.block_services().unwrap();
        }
        fixture.deploy(&Version::current(), &[]).await;
        let look = async || {
            let pods = fixture.pods().await;
            for pod in &pods {
                let log = ["logs", "--namespace", NAMESPACE, &pod.name];
                let log = fixture.cluster.control_plane().kubectl(log).await.unwrap().stdout;
                if !log.contains("failed to get the version of the API server") {
                    return Err(format!("{pod:?}\n{log}"));
                }
                let probes = live_probes(&fixture, pod).await?;
                if probes < A_MINUTE {
                    return Err(format!("{pod:?}: {probes} probes of liveness"));
                }
            }
            if pods.len() == 2 {
                Ok(pods)
            } else {
                Err(format!("{pods:?}"))
            }
        };
        let waiting = eventually("both pods wait, and are alive", BOUND, look).await;
        let pods = waiting.unwrap_or_else(|error| panic!("{error}"));
        // Neither leads, so neither has given up the Lease.
        assert!(pods.iter().all(|pod| pod.restarts == 0), "{pods:?}");
        for node in fixture.cluster.nodes() {
            node.unblock_services().unwrap();
        }
        fixture.rolled_out().await;
        let pods = fixture.pods().await;
        assert!(pods.iter().all(|pod| !pod.killed), "{pods:?}");
        fixture.connect().await;
        fixture.request("leavers", &["pc-1"]).await;
        fixture.succeeded("leavers").await;
    }
}

/// How many processes of the operator have started so far.
fn starts(fixture: &Fixture) -> usize {
    let nodes = fixture.cluster.nodes().iter();
    let logs = nodes.map(|node| node.pod_logs().unwrap());
    logs.map(|log| log.matches("serving /livez").count()).sum()
}

/// How often the kubelet has found a pod alive.
async fn live_probes(fixture: &Fixture, pod: &Replica) -> Result<u64, String> {
    let node = fixture
        .cluster
        .nodes()
        .iter()
        .find(|node| node.name() == pod.node)
        .unwrap();
    let url = format!("http://{}/metrics/probes", node.read_only_address());
    let failed = |error: reqwest::Error| error.to_string();
    let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
    let text = client
        .get(url)
        .send()
        .await
        .map_err(failed)?
        .text()
        .await
        .map_err(failed)?;
    let wanted = [
        "prober_probe_total{",
        &pod.uid,
        r#"probe_type="Liveness""#,
        r#"result="successful""#,
    ];
    let line = text
        .lines()
        .find(|line| wanted.iter().all(|part| line.contains(part)));
    let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    Ok(count.unwrap_or_default())
}
