//! Claims of requests that are gone.

use super::*;

/// The default durations: an accepted call is visible by then, and one with an unknown outcome has expired.
const ACCEPTED: u64 = 60 + 120 + 120;
const IN_DOUBT: u64 = 900 + 300 + 120;

fn again(name: &str) -> DesktopDeletion {
    request(name, 5, &["a"])
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_deleted_in_flight_reserves_its_desktops_until_its_call_can_no_longer_take_effect()
{
    for (outcome, lasts) in [
        ("Accepted", ACCEPTED),
        ("Pending", IN_DOUBT),
        ("Abandoned", IN_DOUBT),
    ] {
        let world = World::new();
        let sent = in_flight("here/leaver", outcome, &["a"]);
        world.shows(&sent);
        world.shows_gone(&sent);
        let twin = again("here/leaver-2");
        let holder = world.holder(&twin).await;
        assert_eq!(holder.name.as_deref(), Some("leaver"));
        assert_eq!(holder.jobs.len(), usize::from(outcome == "Accepted"));
        let minutes = between(start(), holder.until).as_secs() / 60;
        assert_eq!(minutes, lasts / 60 + 1, "{outcome}");
        pass(&world, lasts - 1).await;
        assert_eq!(world.holder(&twin).await.until, holder.until, "{outcome}");
        assert_eq!(world.claims.count_deleted_requests(), 1);
        pass(&world, 1).await;
        assert_eq!(world.claims.count_deleted_requests(), 0);
        let answer = world.ask(&twin).await;
        assert_eq!(answer.claim, Claim::Granted, "{outcome}");
        assert_eq!(answer.released, Some(Duration::from_secs(lasts)), "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_lasts_longer_while_the_time_of_the_service_is_unknown() {
    let world = World::new();
    let mut sent = in_flight("here/leaver", "Accepted", &["a"]);
    sent.status.as_mut().unwrap().project.as_mut().unwrap().endpoint = "https://silent.example".to_owned();
    world.shows(&sent);
    world.shows_gone(&sent);
    pass(&world, ACCEPTED + 599).await;
    world.holder(&again("here/twin")).await;
    pass(&world, 1).await;
    assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_name_of_another_namespace_is_not_shown() {
    let world = World::new();
    let sent = in_flight("here/leaver", "Accepted", &["a"]);
    world.shows(&sent);
    world.shows_gone(&sent);
    assert_eq!(world.holder(&again("there/other")).await.name, None);
}

#[tokio::test(start_paused = true)]
async fn only_the_desktops_of_the_call_are_reserved() {
    let world = World::new();
    let sent = submitted(request("here/leaver", 0, &["a", "b"]), "Accepted", &["a"]);
    world.shows(&sent);
    world.shows_gone(&sent);
    assert_eq!(
        world.claim(&request("here/other", 5, &["b"])).await,
        Claim::Granted
    );
    world.holder(&again("here/other")).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_call_in_flight_leaves_no_claim() {
    let world = World::new();
    let waiting = request("here/waiting", 0, &["a"]);
    for gone in [
        waiting,
        in_flight("here/refused", "Rejected", &["a"]),
        in_flight("here/unsent", "NotSent", &["a"]),
        in_flight("here/nothing", "NoEffect", &["a"]),
    ] {
        world.shows(&gone);
        world.shows_gone(&gone);
        assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);
    }
    let old = in_flight("here/old", "Accepted", &["a"]);
    world.shows(&old);
    pass(&world, ACCEPTED).await;
    world.shows_gone(&old);
    assert_eq!(
        world.claim(&again("here/twin")).await,
        Claim::Granted,
        "its job is visible"
    );
}

#[tokio::test(start_paused = true)]
async fn every_source_that_reports_an_object_as_gone_begins_the_claim() {
    type Way = fn(&World, &DesktopDeletion);
    let ways: [(&str, Way); 5] = [
        ("a watch", |world, sent| {
            world.shows(sent);
            world.shows_gone(sent);
        }),
        ("a watch that shows only the end", |world, sent| {
            world.shows(&request("here/leaver", 0, &["a"]));
            world.shows_gone(sent);
        }),
        ("a list", |world, sent| {
            world.shows(sent);
            assert_eq!(world.relist(&[]), ["here/leaver"]);
        }),
        (
            "a reconciliation, before the watch has shown the attempt",
            |world, sent| {
                world.shows(&request("here/leaver", 0, &["a"]));
                world.claims.observe(sent);
                world.claims.mark_deleted("here/leaver");
            },
        ),
        ("a list, before the attempt was stored", |world, sent| {
            world.shows(&request("here/leaver", 0, &["a"]));
            world.relist(&[]);
            world.claims.observe(sent);
        }),
    ];
    for (name, way) in ways {
        let world = World::new();
        let sent = in_flight("here/leaver", "Pending", &["a"]);
        way(&world, &sent);
        let claim = world.claim(&again("here/twin")).await;
        assert!(matches!(claim, Claim::ReservedByDeleted(_)), "{name}: {claim:?}");
        // Reporting it twice changes nothing.
        world.shows_gone(&sent);
        assert_eq!(world.claims.count_deleted_requests(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_reappears_reserves_its_desktops_itself() {
    let world = World::new();
    let sent = in_flight("here/leaver", "Pending", &["a"]);
    world.shows(&sent);
    pass(&world, 100).await;
    world.claims.mark_deleted("here/leaver");
    world.shows(&sent);
    assert!(matches!(
        world.claim(&again("here/twin")).await,
        Claim::Reserved(_)
    ));
    pass(&world, 100).await;
    world.shows_gone(&sent);
    world.holder(&again("here/twin")).await;
    pass(&world, IN_DOUBT - 200).await;
    assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_this_process_finished_leaves_no_claim() {
    let world = World::new();
    let sent = in_flight("here/leaver", "Accepted", &["a"]);
    world.shows(&sent);
    world.claims.mark_finished("here/leaver");
    // Events of the time before, and then its leaving of the watch, which shows its state before it was finished.
    world.shows(&sent);
    assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);
    world.shows_gone(&sent);
    assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);

    // The watch can be faster than the response to the last write.
    let other = in_flight("here/other", "Accepted", &["a"]);
    world.shows(&other);
    world.shows_gone(&other);
    world.holder(&again("here/twin")).await;
    world.claims.observe(&finished(other));
    assert_eq!(world.claim(&again("here/twin")).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_finished_request_is_remembered_until_a_list_lacks_it() {
    let world = World::new();
    let sent = in_flight("here/leaver", "Accepted", &["a"]);
    world.shows(&sent);
    world.claims.mark_finished("here/leaver");
    world.relist(&[&sent]);
    assert_eq!(
        world.claim(&again("here/twin")).await,
        Claim::Granted,
        "an old list"
    );
    world.relist(&[]);
    assert_eq!(world.claims.lock().remembered_as_finished(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_request_checks_once_whether_the_object_is_really_gone() {
    let world = World::new();
    let sent = in_flight("here/leaver", "Accepted", &["a"]);
    world.shows(&sent);
    world.shows_gone(&sent);
    let twin = again("there/twin");
    let asked = world.ask(&twin).await.unconfirmed.unwrap();
    assert_eq!(
        (asked.name.as_str(), asked.namespace.as_deref()),
        ("leaver", Some("here"))
    );
    assert_eq!(asked.extra.uid.as_deref(), Some("here/leaver"));
    world.claims.confirm_deleted("here/leaver");
    let answer = world.ask(&twin).await;
    assert!(matches!(answer.claim, Claim::ReservedByDeleted(_)));
    assert!(answer.unconfirmed.is_none());
    world.claims.mark_finished("here/leaver");
    assert_eq!(world.claim(&twin).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_visible_job_ends_the_claim_of_an_accepted_call_and_a_deleted_desktop_ends_any_claim() {
    let ids = &["a", "b"];
    let shown = |id: &str| ReleasedDesktops {
        shown: vec![super::id(id)],
        ..ReleasedDesktops::default()
    };
    let gone = |id: &str| ReleasedDesktops {
        gone: vec![super::id(id)],
        ..ReleasedDesktops::default()
    };
    for (outcome, ends_by_job) in [("Accepted", true), ("Pending", false)] {
        let world = World::new();
        let sent = in_flight("here/leaver", outcome, ids);
        world.shows(&sent);
        world.shows_gone(&sent);
        let (one, other) = (request("here/x", 5, &["a"]), request("here/y", 5, &["b"]));
        pass(&world, 7).await;
        world.claims.release("here/leaver", &shown("A"));
        let answer = world.ask(&one).await;
        assert_eq!(answer.claim == Claim::Granted, ends_by_job, "{outcome}");
        if ends_by_job {
            assert_eq!(answer.released, Some(Duration::from_secs(7)));
        }
        world.claims.release_unless_in_flight(&one, ObjectSource::Live);
        world.claims.release("here/leaver", &gone("A"));
        assert_eq!(world.claim(&one).await, Claim::Granted);
        world.holder(&other).await;
        world.claims.release("here/leaver", &gone("b"));
        assert_eq!(world.claim(&other).await, Claim::Granted);
        assert_eq!(world.claims.count_deleted_requests(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_call_counts_also_after_its_object_is_gone() {
    let settled = |outcome, jobs: &[&str]| OutcomeUpdate {
        attempt: "0000000000000001".try_into().unwrap(),
        outcome,
        jobs: jobs.iter().map(|job| (*job).try_into().unwrap()).collect(),
        job: None,
        error: None,
        handled_annotation: None,
        progress: Progress::reconciling(
            crate::crd::conditions::Reason::Submitting,
            String::new(),
            Requeue::JobChange,
        ),
    };
    let world = World::new();
    let sent = in_flight("here/leaver", "Pending", &["a"]);
    world.shows(&sent);
    world.shows_gone(&sent);
    let twin = again("here/twin");
    world
        .claims
        .record_outcome("here/leaver", &settled(Outcome::Accepted, &["job-7"]));
    let holder = world.holder(&twin).await;
    assert_eq!(
        holder
            .jobs
            .iter()
            .map(crate::ids::JobID::as_str)
            .collect::<Vec<_>>(),
        ["job-7"]
    );
    assert!(between(start(), holder.until) < Duration::from_secs(IN_DOUBT));
    // Evidence was wrong about it, and its job is known now.
    world
        .claims
        .record_outcome("here/leaver", &settled(Outcome::NoEffect, &[]));
    assert_eq!(world.holder(&twin).await.jobs, holder.jobs);

    let world = World::new();
    world.shows(&sent);
    world.shows_gone(&sent);
    world
        .claims
        .record_outcome("here/leaver", &settled(Outcome::Rejected, &[]));
    assert_eq!(world.claim(&twin).await, Claim::Granted);
}

#[tokio::test(start_paused = true)]
async fn if_there_are_too_many_claims_the_one_that_ends_first_is_dropped() {
    let world = World::new();
    let sent = |name: &str, outcome: &str| in_flight(&format!("here/{name}"), outcome, &[name]);
    let soonest = sent("soonest", "Accepted");
    world.shows(&soonest);
    world.shows_gone(&soonest);
    for number in 0..super::super::deleted::MAX_CLAIMS {
        let object = sent(&format!("leaver-{number}"), "Pending");
        world.shows(&object);
        world.shows_gone(&object);
    }
    assert_eq!(
        world.claims.count_deleted_requests(),
        super::super::deleted::MAX_CLAIMS
    );
    let twin = |id: &str| request("here/twin", 5, &[id]);
    assert_eq!(world.claim(&twin("soonest")).await, Claim::Granted);
    world.holder(&twin("leaver-0")).await;
}
