//! Clusters without IPv4, and with both families of addresses.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use testkit::node::{Family, Settings, Version};

use crate::fixture::{Fixture, assert_sent_once};

on_nodes! {
    async fn the_operator_works_in_an_ipv6_only_cluster() {
        let fixture = works(Family::V6).await;
        assert_eq!(families(&fixture).await, [[false, true]; 2]);
    }

    async fn the_operator_works_in_a_dual_stack_cluster() {
        let fixture = works(Family::Dual).await;
        assert_eq!(families(&fixture).await, [[true, true]; 2]);
    }
}

async fn works(family: Family) -> Fixture {
    let settings = Settings {
        family,
        ..Settings::default()
    };
    let fixture = Fixture::empty(settings, &["pc-1"]).await;
    fixture.deploy(&Version::current(), &[]).await;
    fixture.rolled_out().await;
    fixture.connect().await;
    fixture.request("leavers", &["pc-1"]).await;
    fixture.succeeded("leavers").await;
    assert_sent_once(&fixture, "pc-1");
    fixture
}

/// Whether each pod has an address of IPv4, and one of IPv6.
async fn families(fixture: &Fixture) -> Vec<[bool; 2]> {
    let mut found = Vec::new();
    for pod in fixture.pods().await {
        let pod = fixture.namespace.api::<Pod>().get(&pod.name).await.unwrap();
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
