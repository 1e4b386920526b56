//! Namespaces that the operator lacks a right to read.

use super::*;
use crate::plan::clocks::after;
use crate::plan::observed::UnreadableNamespace;

/// The longest life of a call, a day, with the job visibility timeout of two minutes and the allowance of five minutes three
/// times.
const LONGEST: u64 = 86_400 + 120 + 900;

fn there() -> Scope {
    Scope::Namespace("there".to_owned())
}

fn answered(code: u16) -> watcher::Error {
    let status = json!({"status": "Failure", "code": code, "message": "no"});
    let status = serde_json::from_value(status).unwrap();
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

/// A second watch, which has listed its projects and no requests.
fn world() -> (World, Writer<WorkspaceProject>) {
    let world = World::new();
    let (projects, writer) = reflector::store();
    world.claims.register_watch(there(), projects);
    world.claims.projects_listed(&there());
    (world, writer)
}

fn unreadable() -> Claim {
    Claim::Unreadable(UnreadableNamespace {
        name: "there".to_owned(),
        permission: "list desktopdeletions".to_owned(),
        until: after(start(), Duration::from_secs(LONGEST + 60)),
    })
}

fn list(world: &World, objects: &[&DesktopDeletion]) {
    world.claims.apply_event(&there(), &Event::Init);
    for object in objects {
        world
            .claims
            .apply_event(&there(), &Event::InitApply((*object).clone()));
    }
    world.claims.apply_event(&there(), &Event::InitDone);
}

#[tokio::test(start_paused = true)]
async fn others_wait_until_no_call_from_an_unreadable_namespace_can_take_effect_and_report_it_at_once() {
    let (world, _writer) = world();
    let request = request("here/one", 0, &["a"]);
    let refuse = || world.claims.requests_failed(&there(), &answered(403));
    refuse();
    let asked = Instant::now();
    assert_eq!(world.claim(&request).await, unreadable());
    assert_eq!(asked.elapsed(), Duration::ZERO);
    pass(&world, LONGEST - 1).await;
    refuse();
    assert_eq!(world.claim(&request).await, unreadable());
    pass(&world, 1).await;
    assert_eq!(world.claim(&request).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_another_watch_does_not_hide_a_missing_permission() {
    let (world, _writer) = world();
    let (projects, _other) = reflector::store();
    world
        .claims
        .register_watch(Scope::Namespace("slow".to_owned()), projects);
    world.claims.requests_failed(&there(), &answered(403));
    assert_eq!(world.claim(&request("here/one", 0, &["a"])).await, unreadable());
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_api_server_does_not_count_as_a_missing_permission() {
    let (world, _writer) = world();
    let request = request("here/one", 0, &["a"]);
    for code in [404, 429, 500, 503] {
        world.claims.requests_failed(&there(), &answered(code));
    }
    assert_eq!(world.claims.count_unreadable_namespaces(), 0);
    assert_eq!(world.claim(&request).await, Claim::WatchesNotSynced);
    pass(&world, LONGEST).await;
    assert_eq!(world.claim(&request).await, Claim::WatchesNotSynced);

    // Nor does a rejection from long ago.
    world.claims.requests_failed(&there(), &answered(403));
    assert_eq!(world.claims.count_unreadable_namespaces(), 1);
    pass(&world, 180).await;
    assert_eq!(world.claims.count_unreadable_namespaces(), 0);
    assert_eq!(world.claim(&request).await, Claim::WatchesNotSynced);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_keeps_its_desktop_once_its_namespace_can_be_listed() {
    for waited in [0, LONGEST] {
        let (world, _writer) = world();
        world.claims.requests_failed(&there(), &answered(403));
        pass(&world, waited).await;
        let sent = submitted(request("there/sent", 5, &["a"]), "Accepted", &["a"]);
        list(&world, &[&sent]);
        assert_eq!(world.claims.count_unreadable_namespaces(), 0);
        let claim = world.claim(&request("here/one", 0, &["a"])).await;
        assert!(
            matches!(&claim, Claim::Reserved(conflict) if conflict.name.is_none()),
            "{claim:?}"
        );
        assert_eq!(world.claim(&request("here/two", 0, &["b"])).await, Claim::Granted);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_listed_before_the_permission_was_lost_are_known() {
    let (world, _writer) = world();
    let sent = submitted(request("there/sent", 5, &["a"]), "Accepted", &["a"]);
    list(&world, &[&sent]);
    world.claims.requests_failed(&there(), &answered(403));
    assert_eq!(world.claims.count_unreadable_namespaces(), 1);
    let claim = world.claim(&request("here/one", 0, &["a"])).await;
    assert!(matches!(claim, Claim::Reserved(_)), "{claim:?}");
    assert_eq!(world.claim(&request("here/two", 0, &["b"])).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn projects_that_cannot_be_listed_do_not_block_requests() {
    let world = World::new();
    let (projects, _writer) = reflector::store();
    world.claims.register_watch(there(), projects);
    list(&world, &[]);
    let request = request("here/one", 0, &["a"]);
    assert_eq!(world.claim(&request).await, Claim::WatchesNotSynced);
    world.claims.projects_failed(&there(), &answered(403));
    assert_eq!(world.claim(&request).await, Claim::Granted);
    assert_eq!(world.claims.count_unreadable_namespaces(), 1);
    let permission = world.claims.missing_project_permission("there");
    assert_eq!(permission.as_deref(), Some("list workspaceprojects"));
    assert_eq!(world.claims.missing_project_permission("here"), None);
}
