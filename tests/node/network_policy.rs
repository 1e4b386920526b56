//! The network policy that is shipped, enforced: what the operator needs passes, and nothing else.

use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Pod;
use testkit::node::{Settings, Version};
use testkit::{Process, eventually};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{BOUND, Fixture, pause};

/// Where Huawei Cloud CCE has its API server.
const API_SERVER: u16 = 5443;

/// Ports with a server that the operator must not reach.
const FOREIGN: [u16; 3] = [9999, 8444, 5432];

on_nodes! {
    #[needs(NetworkPolicies)]
    async fn the_operator_reaches_what_it_needs_and_nothing_else() {
        let settings = Settings { port: API_SERVER, ..Settings::default() };
        let mut fixture = Fixture::empty(settings, &["pc-1"]).await;
        fixture.cluster.enforce_network_policies().unwrap();
        let [host, cloud] = fixture.cluster.host_and_cloud();
        // Because the Service's address is not translated, pods get the API server's own address.
        let (address, port) = (host.to_string(), API_SERVER.to_string());
        let own = [("KUBERNETES_SERVICE_HOST", &*address), ("KUBERNETES_SERVICE_PORT", &*port)];
        fixture.deploy(&Version::current(), &own).await;
        fixture.rolled_out().await;
        fixture.connect().await;

        let mut listeners = Vec::new();
        for port in FOREIGN {
            listeners.push(TcpListener::bind((host, port)).await.unwrap());
        }
        let kubelet = fixture.cluster.nodes()[0].kubelet_address();
        let foreign: Vec<_> = FOREIGN.map(|port| SocketAddr::new(host, port)).into_iter().chain([kubelet]).collect();
        let needed = [SocketAddr::new(host, API_SERVER), SocketAddr::new(cloud, 443)];
        // Another pod, which no policy names, reaches all of them.
        pause(&fixture, "neighbour", "node2", None).await;
        let neighbours = fixture.cluster.control_plane().existing_namespace("default").await.unwrap();
        let neighbour = neighbours.api::<Pod>().get("neighbour").await.unwrap().metadata.uid.unwrap();
        for &address in foreign.iter().chain(&needed) {
            let connects = async || {
                if fixture.cluster.connects(&neighbour, address).unwrap() { Ok(()) } else { Err(address) }
            };
            eventually("the neighbour reaches it", BOUND, connects).await.unwrap_or_else(|error| panic!("{error}"));
        }
        for pod in fixture.pods().await {
            let open = |addresses: &[SocketAddr]| -> Vec<_> {
                let open = |&address: &SocketAddr| fixture.cluster.connects(&pod.uid, address).unwrap();
                addresses.iter().copied().filter(open).collect()
            };
            let closed = async || match open(&foreign) {
                open if open.is_empty() => Ok(()),
                open => Err(format!("{open:?}")),
            };
            eventually("foreign ports are closed", BOUND, closed).await.unwrap_or_else(|error| panic!("{error}"));
            let reached = async || match open(&needed) {
                open if open == needed => Ok(()),
                open => Err(format!("{open:?} of {needed:?}")),
            };
            let reached = eventually("what it needs is open", BOUND, reached).await;
            reached.unwrap_or_else(|error| panic!("{pod:?}: {error}"));
        }
        from_outside(&fixture).await;

        // Also what begins now: names, the cloud, the API server.
        fixture.restart().await;
        fixture.request("leavers", &["pc-1"]).await;
        fixture.succeeded("leavers").await;
    }
}

/// Of the listening ports of a replica, only that of probes and metrics is open.
async fn from_outside(fixture: &Fixture) {
    let leader = fixture.leader().await;
    let pod = fixture.namespace.api::<Pod>().get(&leader.name).await.unwrap();
    let address = pod.status.unwrap().pod_ip.unwrap().parse().unwrap();
    let listener: Process = fixture.cluster.listen_in(&leader.uid, FOREIGN[0]).unwrap();
    let listens = async || {
        // From within the pod there is no policy.
        let own = SocketAddr::new(address, FOREIGN[0]);
        if fixture.cluster.connects(&leader.uid, own).unwrap() {
            Ok(())
        } else {
            Err(listener.log_tail())
        }
    };
    eventually("a server listens in the pod", BOUND, listens)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    TcpStream::connect((address, 8080)).await.unwrap();
    let refused = tokio::time::timeout(
        std::time::Duration::from_secs(5),
        TcpStream::connect((address, FOREIGN[0])),
    )
    .await;
    assert!(!matches!(refused, Ok(Ok(_))), "{refused:?}");
}
