//! Clusters without IPv4, and with both families of addresses.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use testkit::node::{Family, Settings, Version};

use crate::stage::{Stage, assert_sent_once};

on_nodes! {
    async fn the_operator_works_in_a_cluster_of_ipv6_alone() {
        let stage = works(Family::V6).await;
        assert_eq!(families(&stage).await, [[false, true]; 2]);
    }

    async fn the_operator_works_in_a_cluster_of_both_families() {
        let stage = works(Family::Dual).await;
        assert_eq!(families(&stage).await, [[true, true]; 2]);
    }
}

async fn works(family: Family) -> Stage {
    let settings = Settings {
        family,
        ..Settings::default()
    };
    let stage = Stage::empty(settings, &["pc-1"]).await;
    stage.deploy(&Version::current(), &[]).await;
    stage.rolled_out().await;
    stage.connect().await;
    stage.request("leavers", &["pc-1"]).await;
    stage.succeeded("leavers").await;
    assert_sent_once(&stage, "pc-1");
    stage
}

/// Whether each pod has an address of IPv4, and one of IPv6.
async fn families(stage: &Stage) -> Vec<[bool; 2]> {
    let mut found = Vec::new();
    for pod in stage.pods().await {
        let pod = stage.namespace.api::<Pod>().get(&pod.name).await.unwrap();
        let addresses = pod.status.unwrap().pod_ips.unwrap();
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|address| address.ip.parse().unwrap())
            .collect();
        found.push([
            addresses.iter().any(IpAddr::is_ipv4),
            addresses.iter().any(IpAddr::is_ipv6),
        ]);
    }
    found
}
