//! A leader ends while one of its requests is in flight: the other replica continues, and nothing is sent twice.

use serde_json::json;
use testkit::eventually;
use testkit::node::NAMESPACE;

use crate::fixture::{BOUND, Fixture, OPERATOR, Replica, assert_sent_once, outcomes};

/// A call that is never answered expires within seconds, so that its outcome is known soon.
const SOON: [(&str, &str); 4] = [
    ("DESKTOP_DELETION_MAX_SIGNATURE_AGE", "3s"),
    ("DESKTOP_DELETION_SIGNATURE_WINDOW", "6s"),
    ("DESKTOP_DELETION_CLOCK_SKEW", "3s"),
    ("DESKTOP_DELETION_JOB_VISIBILITY_TIMEOUT", "1s"),
];

on_nodes! {
    async fn a_leader_that_shuts_down_records_its_submission_and_hands_over() {
        let fixture = Fixture::set(&["pc-1", "pc-2", "pc-3"]).await;
        for (desktop, way) in [("pc-1", "deleted"), ("pc-2", "drained"), ("pc-3", "rolled out")] {
            fixture.answer_next_submission_late();
            let leader = fixture.leader().await;
            fixture.request(desktop, &[desktop]).await;
            fixture.submitted().await;
            tokio::join!(stop(&fixture, &leader, way), fixture.stops_in_flight(&leader, desktop));
            let next = fixture.other_leader(&leader.name).await;
            assert!(!next.killed, "{way}: {next:?}");
            let status = fixture.succeeded(desktop).await;
            assert_eq!(outcomes(&status), ["Accepted"], "{way}");
            assert_sent_once(&fixture, desktop);
            // For the next round both are ready, on two nodes.
            fixture.rolled_out().await;
        }
    }

    async fn the_request_of_a_node_that_fails_is_finished_by_the_other_replica() {
        let fixture = Fixture::set_with(&["pc-1"], &SOON).await;
        fixture.answer_next_submission(&json!("timeout"));
        let leader = fixture.leader().await;
        fixture.request("leavers", &["pc-1"]).await;
        fixture.submitted().await;
        let node = fixture.cluster.nodes().iter().find(|node| node.name() == leader.node);
        node.unwrap().fail().await.unwrap();
        fixture.other_leader(&leader.name).await;
        let status = fixture.succeeded("leavers").await;
        assert_eq!(outcomes(&status), ["Adopted"]);
        assert_sent_once(&fixture, "pc-1");
    }

    async fn a_frozen_leader_is_replaced_at_once_and_restarted_soon() {
        let fixture = Fixture::set_with(&["pc-1", "pc-2"], &SOON).await;
        fixture.answer_next_submission(&json!("timeout"));
        let leader = fixture.leader().await;
        fixture.request("leavers", &["pc-1"]).await;
        fixture.submitted().await;
        fixture.cluster.signal(&leader.uid, "STOP").unwrap();
        fixture.other_leader(&leader.name).await;
        let status = fixture.succeeded("leavers").await;
        assert_eq!(outcomes(&status), ["Adopted"]);
        assert_sent_once(&fixture, "pc-1");

        let restarted = async || {
            let pods = fixture.pods().await;
            let pod = pods.iter().find(|pod| pod.uid == leader.uid);
            pod.filter(|pod| pod.restarts > 0 && pod.ready).map(|_| ()).ok_or_else(|| format!("{pods:?}"))
        };
        eventually("the frozen container is restarted", BOUND, restarted).await.unwrap_or_else(|error| panic!("{error}"));
        // It was not given the time that a submission may take.
        let node = fixture.cluster.nodes().iter().find(|node| node.name() == leader.node);
        let log = node.unwrap().kubelet_log();
        let kill = log.lines().find(|line| line.contains("\"Killing container with a grace period\"") && line.contains(&leader.uid));
        assert!(kill.is_some_and(|line| line.contains("gracePeriod=15")), "{kill:?}");
        fixture.request("more", &["pc-2"]).await;
        fixture.succeeded("more").await;
        assert_sent_once(&fixture, "pc-2");
    }
}

/// Stops the leader in one of the usual ways.
async fn stop(fixture: &Fixture, leader: &Replica, way: &str) {
    let deployment = format!("deployment/{OPERATOR}");
    match way {
        "deleted" => {
            fixture
                .kubectl(&[
                    "delete",
                    "pod",
                    "--namespace",
                    NAMESPACE,
                    "--wait=false",
                    &leader.name,
                ])
                .await;
        }
        "drained" => {
            fixture
                .kubectl(&["drain", "--ignore-daemonsets", "--timeout=300s", &leader.node])
                .await;
            fixture.kubectl(&["uncordon", &leader.node]).await;
        }
        _ => {
            fixture
                .kubectl(&["rollout", "restart", "--namespace", NAMESPACE, &deployment])
                .await;
        }
    }
}
