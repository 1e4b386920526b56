//! The operator as it is installed.

use std::collections::BTreeSet;

use crate::stage::{Replica, Stage};

on_nodes! {
    async fn both_replicas_run_on_different_nodes_also_after_a_roll_out() {
        let stage = Stage::set(&["pc-1"]).await;
        assert_spread(&stage.pods().await);
        assert!(stage.holder().await.is_some());

        stage.request("leavers", &["pc-1"]).await;
        stage.succeeded("leavers").await;
        let posts = stage.posts();
        assert_eq!(posts.len(), 1, "{posts:#?}");

        for _ in 0..2 {
            stage.restart().await;
            assert_spread(&stage.pods().await);
        }
    }
}

fn assert_spread(pods: &[Replica]) {
    let nodes: BTreeSet<_> = pods.iter().map(|pod| &pod.node).collect();
    assert_eq!((pods.len(), nodes.len()), (2, 2), "{pods:?}");
}
