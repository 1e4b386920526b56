//! Objects that cannot be decoded.

use super::*;

/// The JSON of an object after `change`, as its watch shows it.
fn shows(world: &World, object: &DesktopDeletion, change: impl FnOnce(&mut Value)) -> Value {
    let mut json = serde_json::to_value(object).unwrap();
    change(&mut json);
    world
        .claims
        .apply_undecodable(&Scope::All, &json, &object.metadata, false);
    json
}

/// Who holds the desktop, if it is an object that cannot be decoded.
async fn held_by(world: &World, name: &str, created: u64) -> Option<Option<String>> {
    match world.claim(&request(name, created, &["A"])).await {
        Claim::ReservedByUndecodable(conflict) => Some(conflict.name),
        Claim::Granted => None,
        claim => panic!("{claim:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_reserves_the_desktops_of_its_attempts() {
    let world = World::new();
    let broken = in_flight("here/broken", "Accepted", &["a"]);
    shows(&world, &broken, |json| {
        json["status"]["startTime"] = json!("never");
    });
    assert_eq!(
        held_by(&world, "here/twin", 9).await,
        Some(Some("broken".to_owned()))
    );
    assert_eq!(
        held_by(&world, "there/twin", 9).await,
        Some(None),
        "another namespace's names are not shown"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_cannot_be_read_counts_as_in_flight() {
    for outcome in ["Rejected", "NoEffect"] {
        let world = World::new();
        let broken = in_flight("here/broken", outcome, &["a"]);
        let unreadable = |json: &mut Value| json["status"]["attempts"][0]["signedAt"] = json!("never");
        shows(&world, &broken, unreadable);
        assert!(held_by(&world, "here/twin", 9).await.is_some(), "{outcome}");
    }
    let world = World::new();
    let broken = in_flight("here/broken", "Rejected", &["a"]);
    shows(&world, &broken, |json| json["status"]["attempts"] = json!(7));
    assert!(held_by(&world, "here/twin", 9).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_project_cannot_be_read_counts_for_every_project() {
    let world = World::new();
    let broken = in_flight("here/broken", "Pending", &["a"]);
    shows(&world, &broken, |json| json["status"]["project"] = json!("?"));
    assert!(held_by(&world, "there/twin", 9).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_that_was_not_submitted_comes_first_if_it_is_older() {
    let world = World::new();
    let broken = request("here/broken", 5, &["a"]);
    shows(&world, &broken, |json| {
        json["status"]["startTime"] = json!("never");
    });
    assert!(held_by(&world, "here/younger", 9).await.is_some());
    assert!(held_by(&world, "here/older", 1).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_attempt_reserves_its_desktops_for_the_longest_life_of_a_call_after_its_object_is_gone()
{
    let world = World::new();
    let broken = in_flight("here/broken", "Pending", &["a"]);
    let unreadable = |json: &mut Value| json["status"]["attempts"][0]["signedAt"] = json!("never");
    let json = shows(&world, &broken, unreadable);
    world
        .claims
        .remove_undecodable(&Scope::All, &json, &broken.metadata);
    let twin = request("here/twin", 9, &["a"]);
    let timing = config(&[]).timing;
    let life = timing.token_life + timing.job_visibility_timeout + timing.clock_skew * 3;
    pass(&world, life.as_secs() - 1).await;
    assert!(matches!(world.claim(&twin).await, Claim::ReservedByDeleted(_)));
    pass(&world, 1).await;
    assert_eq!(world.claim(&twin).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_can_be_decoded_again_is_handled_normally() {
    let world = World::new();
    let object = submitted(request("here/broken", 5, &["a"]), "Rejected", &["a"]);
    shows(&world, &object, |json| json["status"]["attempts"] = json!(7));
    assert!(held_by(&world, "here/older", 1).await.is_some());
    world.shows(&object);
    assert!(held_by(&world, "here/older", 1).await.is_none());
}
