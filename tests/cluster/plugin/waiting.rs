//! `wait`, while the API server does not answer as it should.

use kube::api::DeleteParams;
use testkit::{ApiRequest, ApiServerProxy, Moment, SERVICE_ACCOUNT};

use super::*;
use crate::fixture::Fixture;

/// Answers the next read of the request with that status.
async fn answer(proxy: &ApiServerProxy, status: u16) {
    let read = |asked: &ApiRequest| asked.resource == "desktopdeletions" && asked.name == "leavers";
    let caught = proxy.trap(Moment::Before, 1, read).sprung().await;
    caught.unwrap().answer(status).unwrap();
}

#[tokio::test]
async fn wait_continues_while_the_api_server_is_unavailable_and_ends_when_access_is_denied() {
    let fixture = Fixture::set("plugin-outage", &[]).await;
    let namespace = fixture.namespace.name();
    let proxy = ApiServerProxy::start(fixture.control_plane, namespace, SERVICE_ACCOUNT).await;
    let proxy = proxy.unwrap();
    let desk = PluginUser::with(fixture.namespace.clone(), proxy.kubeconfig().to_owned());
    desk.request("leavers", &planned()).await;

    let mut child = desk.start(&["wait", "leavers"]);
    printed(&mut child, "leavers: AwaitingApproval: ").await;
    for status in [503, 502, 500, 429] {
        answer(&proxy, status).await;
    }
    let deletions = desk.namespace.deletions();
    let deleted = deletions.delete("leavers", &DeleteParams::default()).await;
    deleted.unwrap();
    let ran = ended(child, "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    // The client library itself repeats what was answered with 503 or 429.
    for warning in ["Bad Gateway", "Internal Server Error"] {
        let warning = format!("warning: Error from server ({warning}): made up by a test; retrying\n");
        assert!(ran.err.contains(&warning), "{ran:?}");
    }
    assert!(
        ran.err.contains("leavers was deleted before it was finished"),
        "{ran:?}"
    );

    desk.request("leavers", &planned()).await;
    let mut child = desk.start(&["wait", "leavers"]);
    printed(&mut child, "leavers: AwaitingApproval: ").await;
    answer(&proxy, 403).await;
    let ran = ended(child, "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.err, "Error from server (Forbidden): made up by a test\n");
}
