//! The load of `cargo run --example load` on an operator with the memory that the manifest gives it.

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ListParams, PostParams};
use serde_json::json;
use testkit::{eventually, manifests};

use crate::fixture::{BOUND, Fixture};

const OBJECTS: usize = 500;

on_nodes! {
    async fn a_burst_of_requests_fits_into_the_memory_limit() {
        let fixture = Fixture::set(&[]).await;
        let leader = fixture.leader().await;
        let limit = fixture.cluster.memory(&leader.uid, "limit_in_bytes").unwrap();
        assert_eq!(limit, 256 << 20, "the limit of the manifest holds");
        let requests = fixture.namespace.deletions();
        let create = async |number: usize| {
            let name = format!("pc-{number}");
            fixture.cloud.cloud.add_desktop(&json!({"id": name})).unwrap();
            let manifest = manifests::desktop_deletion(&name, "prod", [&name]);
            let object = serde_json::from_value(manifest).unwrap();
            requests.create(&PostParams::default(), &object).await.map(drop)
        };
        stream::iter(0..OBJECTS).map(create).buffer_unordered(8).try_collect::<()>().await.unwrap();

        let unfinished = ListParams::default().fields("status.completionTime=");
        let finished = async || match requests.list_metadata(&unfinished).await.unwrap().items.len() {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        };
        eventually("all requests are finished", BOUND * 2, finished).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(fixture.posts().len(), OBJECTS);
        // A replica that has lost the Lease under the load starts again.
        fixture.rolled_out().await;
        let pods = fixture.pods().await;
        assert!(pods.iter().any(|pod| pod.uid == leader.uid), "{leader:?}, {pods:?}");
        assert!(pods.iter().all(|pod| !pod.killed), "{pods:?}");
        let peak = fixture.cluster.memory(&leader.uid, "max_usage_in_bytes").unwrap();
        println!("{} MiB of {} MiB were used", peak >> 20, limit >> 20);
    }
}
