//! Claims of requests that still exist.

use super::*;

fn is_held(claim: &Claim, by: Option<&str>) -> bool {
    matches!(claim, Claim::Reserved(conflict) if conflict.name.as_deref() == by)
}

#[tokio::test(start_paused = true)]
async fn no_claim_is_granted_before_every_watch_has_listed_its_objects() {
    let world = World::new();
    let (projects, _writer) = reflector::store();
    world
        .claims
        .register_watch(Scope::Namespace("late".into()), projects);
    assert_eq!(
        world.claim(&request("here/one", 0, &["a"])).await,
        Claim::WatchesNotSynced
    );
}

#[tokio::test(start_paused = true)]
async fn the_older_of_two_comes_first_and_a_name_stays_in_its_namespace() {
    let world = World::new();
    let older = request("here/older", 0, &["a", "b"]);
    world.shows(&older);
    let younger = request("here/younger", 1, &["B"]);
    assert!(is_held(&world.claim(&younger).await, Some("older")));
    let elsewhere = request("there/younger", 1, &["b"]);
    assert!(is_held(&world.claim(&elsewhere).await, None));
    world.shows(&younger);
    assert_eq!(world.claim(&older).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_time_has_not_come_reserves_nothing() {
    let world = World::new();
    let mut older = request("here/older", 0, &["a"]);
    let time = after(start(), Duration::from_secs(600)).to_string();
    older.spec.not_before = serde_json::from_value(json!(time)).unwrap();
    world.shows(&older);
    let younger = request("here/younger", 1, &["a"]);
    assert_eq!(world.claim(&younger).await, Claim::Granted);
    drop(younger);
    pass(&world, 600).await;
    let latest = request("here/latest", 2, &["a"]);
    assert!(is_held(&world.claim(&latest).await, Some("older")));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_desktops_do_not_match_or_are_not_approved_reserves_nothing() {
    for reason in ["ExpectationFailed", "AwaitingApproval", "PlanChanged"] {
        let world = World::new();
        let mut older = request("here/older", 0, &["a"]);
        world.shows(&older);
        let younger = request("here/younger", 1, &["a"]);
        assert!(is_held(&world.claim(&younger).await, Some("older")));
        older.metadata.resource_version = Some("11".to_owned());
        let condition = json!({"type": "Submitted", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": start().to_string()});
        older.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
        world.shows(&older);
        assert_eq!(world.claim(&younger).await, Claim::Granted, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_reserves_by_project_id_and_an_older_request_by_endpoint_too() {
    let mut world = World::new();
    world.project("other", "https://other.example", &json!({"ready": "True"}));
    let mut older = request("there/older", 0, &["a"]);
    older.spec.project_ref.name = "other".to_owned();
    world.shows(&older);
    let ours = request("here/ours", 1, &["a"]);
    assert_eq!(
        world.claim(&ours).await,
        Claim::Granted,
        "it may be another service"
    );
    let mut sent = submitted(older, "Pending", &["a"]);
    sent.status.as_mut().unwrap().project.as_mut().unwrap().endpoint = "https://other.example".to_owned();
    world.shows(&sent);
    assert!(is_held(&world.claim(&ours).await, None), "it may be the same one");
}

#[tokio::test(start_paused = true)]
async fn a_reservation_compares_normalized_endpoints() {
    let mut world = World::new();
    world.project(
        "prod",
        "https://WorkSpace.example:443/",
        &json!({"ready": "True"}),
    );
    world.shows(&request("here/older", 0, &["a"]));
    let younger = request("here/younger", 1, &["a"]);
    assert!(is_held(&world.claim(&younger).await, Some("older")));
}

#[tokio::test(start_paused = true)]
async fn an_older_request_whose_project_was_not_checked_is_waited_for_a_minute() {
    let mut world = World::new();
    world.shows(&request("here/older", 0, &["a"]));
    let younger = request("here/younger", 1, &["a"]);
    for unchecked in [
        json!({}),
        json!({"ready": "Unknown"}),
        json!({"ready": "True", "generation": 2}),
    ] {
        world.project("prod", ENDPOINT, &unchecked);
        let claim = world.claim(&younger).await;
        let named =
            matches!(&claim, Claim::OlderProjectUnchecked(older) if older.name.as_deref() == Some("older"));
        assert!(named, "{unchecked}: {claim:?}");
        // Its check has ended, and it may not submit anything.
        world.project("prod", ENDPOINT, &json!({"ready": "False"}));
        assert_eq!(world.claim(&younger).await, Claim::Granted, "{unchecked}");
    }
    world.project("prod", ENDPOINT, &json!({}));
    assert!(matches!(
        world.claim(&younger).await,
        Claim::OlderProjectUnchecked(_)
    ));
    pass(&world, 59).await;
    assert!(matches!(
        world.claim(&younger).await,
        Claim::OlderProjectUnchecked(_)
    ));
    pass(&world, 1).await;
    assert_eq!(
        world.claim(&younger).await,
        Claim::Granted,
        "it does not come about"
    );
    world.project("prod", ENDPOINT, &json!({"ready": "True"}));
    assert!(is_held(&world.claim(&younger).await, Some("older")));
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_of_a_request_changes_nothing() {
    let world = World::new();
    let before = request("here/sent", 1, &["a"]);
    world.shows(&before);
    world
        .claims
        .observe(&submitted(before.clone(), "Pending", &["a"]));
    let older = request("here/older", 0, &["a"]);
    for late in [Event::Apply(before.clone()), Event::InitApply(before)] {
        world.note(&late);
        assert!(is_held(&world.claim(&older).await, Some("sent")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_from_before_the_release_of_a_desktop_does_not_admit_a_request() {
    let world = World::new();
    let sent = in_flight("here/sent", "Pending", &["a"]);
    world.shows(&sent);
    let other = request("here/other", 1, &["A"]);
    pass(&world, 10).await;
    let mut refused = submitted(request("here/sent", 0, &["a"]), "Rejected", &["a"]);
    refused.metadata.resource_version = Some("21".to_owned());
    refused.metadata.creation_timestamp = None;
    world.shows(&refused);
    pass(&world, 10).await;
    let answer = world.ask(&other).await;
    assert_eq!(answer.claim, Claim::Granted);
    assert_eq!(answer.released, Some(Duration::from_secs(10)));
    let unconcerned = world.ask(&request("here/third", 1, &["b"])).await;
    assert_eq!(unconcerned.released, None);
}

#[tokio::test(start_paused = true)]
async fn a_cached_object_does_not_release_the_claim_of_an_earlier_reconciliation() {
    let (own, older) = (request("here/own", 5, &["a"]), request("here/older", 4, &["a"]));
    for (known, released) in [
        (ObjectSource::Cached { claimed: false }, false),
        (ObjectSource::Cached { claimed: true }, true),
        (ObjectSource::Live, true),
    ] {
        let world = World::new();
        world.shows(&own);
        let answer = world.ask(&own).await;
        assert_eq!((answer.claim, answer.newly_granted), (Claim::Granted, true));
        assert!(!world.ask(&own).await.newly_granted, "it has them already");
        world.claims.release_unless_in_flight(&own, known);
        world.shows(&older);
        let claim = world.claim(&older).await;
        assert_eq!(claim == Claim::Granted, released, "{known:?}");
    }
}
