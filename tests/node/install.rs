//! The operator as it is installed.

use std::collections::BTreeSet;

use crate::stage::Stage;

on_nodes! {
    async fn both_replicas_become_ready_on_different_nodes_and_a_request_is_submitted_once() {
        let stage = Stage::set(&["pc-1"]).await;
        let pods = stage.pods().await;
        let nodes: BTreeSet<_> = pods.iter().map(|(_, node)| node).collect();
        assert_eq!((pods.len(), nodes.len()), (2, 2), "{pods:?}");
        assert!(stage.holder().await.is_some());

        stage.request("leavers", &["pc-1"]).await;
        stage.succeeded("leavers").await;
        let posts = stage.posts();
        assert_eq!(posts.len(), 1, "{posts:#?}");
    }
}
