//! The operator as it is installed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use kube::api::Api;

use crate::fixture::{Fixture, Replica, pause};

on_nodes! {
    async fn both_replicas_run_on_different_nodes_also_after_a_roll_out() {
        let fixture = Fixture::set(&["pc-1"]).await;
        assert_spread(&fixture.pods().await);
        assert!(fixture.holder().await.is_some());

        fixture.request("leavers", &["pc-1"]).await;
        fixture.succeeded("leavers").await;
        let posts = fixture.posts();
        assert_eq!(posts.len(), 1, "{posts:#?}");

        // Where nodes are not equally busy, the idle one is preferred for whatever reason allows it.
        occupy(&fixture, "node2").await;
        for _ in 0..2 {
            fixture.restart().await;
            assert_spread(&fixture.pods().await);
        }
        // What the test kit searches for secrets has the logs of all three generations.
        let logs: String = fixture.cluster.nodes().iter().map(|node| node.pod_logs().unwrap()).collect();
        let started = logs.matches("serving /livez").count();
        assert!(started >= 6, "{started} in\n{logs}");
    }
}

/// Has half of the CPUs of a node reserved.
async fn occupy(fixture: &Fixture, node: &str) {
    let nodes = Api::<Node>::all(fixture.namespace.client());
    let status = nodes.get(node).await.unwrap().status.unwrap();
    let cores: u32 = status.allocatable.unwrap()["cpu"].0.parse().unwrap();
    pause(fixture, "busy", node, Some(&format!("{}m", cores * 500))).await;
}

fn assert_spread(pods: &[Replica]) {
    let nodes: BTreeSet<_> = pods.iter().map(|pod| &pod.node).collect();
    assert_eq!((pods.len(), nodes.len()), (2, 2), "{pods:?}");
}
