//! What a request costs: writes of the API server from its audit log, calls of the cloud from the ledger.

use serde_json::{Value, json};
use testkit::Cloud;
use testkit::cloud::PROJECT_ID;
use workspace_simulator::cloud::{LedgerEntry, Operation};

use desktop_deletion_operator::crd::conditions::ConditionType::{Planned, Submitted, Succeeded};

use crate::fixture::{Fixture, desktop, endless, pair, refused_attempts, says};
use crate::metrics::shows;

/// Another project of the same account, whose jobs give the beat.
const SECOND: &str = "second-project";

#[tokio::test]
async fn the_happy_path_of_one_desktop_costs_five_writes() {
    let fixture = Fixture::set("five-writes", &[desktop("pc-1")]).await;
    // On a busy machine its reconciliation may begin late, and the first report would be one more write.
    let _operator = fixture.operator(&["--first-report=1h"]);
    fixture.project_says("prod", "CredentialsValid").await;
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let writes = fixture.writes("leaver").await;
    let most = 5 + 2 * refused_attempts(&status);
    assert!(writes.len() <= most, "{} writes: {writes:#?}", writes.len());
    assert!(writes.iter().all(|write| write.code() == 200), "{writes:#?}");
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    let desktops = [endless("pc-1"), json!({"id": "pc-2", "taskStatus": "deleting"})];
    let fixture = Fixture::set("quiet", &desktops).await;
    let _operator = fixture.operator(&[]);
    fixture.request("running", &["pc-1"]).await;
    fixture.request("waiting", &["pc-2"]).await;
    fixture
        .request_with("held", &["pc-2"], json!({"suspend": true}))
        .await;
    fixture.accepted("running").await;
    fixture.reason("waiting", Submitted, "DeletionInProgress").await;
    fixture.reason("held", Planned, "DesktopBlocked").await;
    fixture.more_ticks(PROJECT_ID, 3).await;
    let mut before = Vec::new();
    for name in ["running", "waiting", "held"] {
        before.push(fixture.writes(name).await.len());
    }
    // More than after which a wake-up that got lost would be made up for.
    fixture.more_ticks(PROJECT_ID, 12).await;
    for (name, before) in ["running", "waiting", "held"].into_iter().zip(before) {
        let writes = fixture.writes(name).await;
        assert_eq!(writes.len(), before, "{name}: {writes:#?}");
    }
}

#[tokio::test]
async fn all_open_jobs_of_a_project_share_one_poll() {
    const COUNT: usize = 10;
    const TICKS: usize = 8;
    let names: Vec<_> = (0..COUNT).map(|n| format!("pc-{n}")).collect();
    let desktops: Vec<_> = names.iter().map(|name| endless(name)).collect();
    let fixture = Fixture::set("shared-look", &desktops).await;
    let _operator = fixture.operator(&[]);
    for name in &names {
        fixture.request(name, &[name]).await;
    }
    for name in &names {
        fixture.accepted(name).await;
    }
    fixture.more_ticks(PROJECT_ID, 2).await;
    let start = fixture.cloud.ledger().len();
    fixture.more_ticks(PROJECT_ID, TICKS).await;
    let calls: Vec<LedgerEntry> = fixture.cloud.ledger().split_off(start);

    let alone = calls
        .iter()
        .filter(|call| call.operation != Operation::ListSubJobs)
        .collect::<Vec<_>>();
    assert!(
        alone.is_empty(),
        "nothing is asked about one job alone: {alone:#?}"
    );
    // A tick comes no sooner than 300 ms after the one before; only the way of its call may be shorter.
    let ticks = calls.len();
    let took = calls[ticks - 1].time.duration_since(calls[0].time);
    let most = took.as_millis() / 300 + 2;
    assert!(
        i128::try_from(ticks).unwrap() <= most,
        "{ticks} polls in {took:#}, one every 300ms is enough for all {COUNT} jobs"
    );
}

#[tokio::test]
async fn a_finished_request_causes_no_calls_and_no_writes() {
    let fixture = Fixture::set("ended", &[desktop("pc-1"), endless("pc-2")]).await;
    let operator = fixture.operator(&[]);
    fixture.request("ended", &["pc-1"]).await;
    fixture.completed("ended").await;
    fixture.request("running", &["pc-2"]).await;
    fixture.accepted("running").await;
    // A watch that is late shows "ended" as unfinished once more, and then it is read.
    shows(
        &fixture,
        &operator,
        &[("unfinished_requests{condition=\"Submitted\"", 1.0)],
    )
    .await;
    fixture.more_ticks(PROJECT_ID, 3).await;

    let (asked, calls) = (fixture.asked("ended").await.len(), fixture.cloud.ledger().len());
    fixture.more_ticks(PROJECT_ID, 5).await;
    let now = fixture.asked("ended").await;
    assert_eq!(now.len(), asked, "{now:#?}");
    let calls = fixture.cloud.ledger().split_off(calls);
    assert!(
        calls.iter().all(|call| call.query.contains("status=")),
        "only the running job is asked for: {calls:#?}"
    );

    operator.kill().await.unwrap();
    drop(operator);
    let _operator = fixture.operator(&[]);
    fixture.more_ticks(PROJECT_ID, 3).await;
    let now = fixture.asked("ended").await;
    assert_eq!(now.len(), asked, "also after a restart: {now:#?}");
    let about = |call: &&LedgerEntry| call.query.contains("pc-1") || call.path.contains("pc-1");
    let again = fixture.cloud.ledger().split_off(calls.len());
    assert_eq!(fixture.posts().len(), 2);
    let restarted: Vec<_> = again.iter().rev().take(6).filter(about).collect();
    assert!(restarted.is_empty(), "{restarted:#?}");
}

#[tokio::test]
async fn a_released_request_causes_no_calls_and_no_writes() {
    let mut world = Cloud::world();
    world["projects"] = json!([{"id": PROJECT_ID}, {"id": SECOND}]);
    let mut other = endless("pc-2");
    other["project"] = json!(SECOND);
    let fixture = Fixture::set_with("let-go", world, &[endless("pc-1"), other]).await;
    let mut second: Value = fixture.cloud.project("second", "login");
    second["spec"]["projectID"] = json!(SECOND);
    fixture.namespace.apply(&second).await.unwrap();
    let _operator = fixture.operator(&["--max-signature-age=3s", "--submission-timeout=10s"]);
    fixture.request("let-go", &["pc-1"]).await;
    let there = json!({"projectRef": {"name": "second"}});
    fixture.request_with("running", &["pc-2"], there).await;
    fixture.accepted("let-go").await;
    fixture.accepted("running").await;
    fixture.more_ticks(PROJECT_ID, 1).await;
    fixture.delete("let-go").await;
    fixture.gone("let-go").await;

    fixture.more_ticks(SECOND, 2).await;
    let before = fixture.ticks(PROJECT_ID).len();
    fixture.more_ticks(SECOND, 5).await;
    assert_eq!(
        fixture.ticks(PROJECT_ID).len(),
        before,
        "no request waits for that job any more"
    );
}
