//! The life cycle of the process: its probes, and how it exits without losing the result of a submission.

use serde_json::{Value, json};
use testkit::eventually;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, Running, desktop, endless, pair, says};

/// The response of a path of the operator's own server: status and text.
async fn ask(fixture: &Fixture, operator: &Running, path: &str) -> Result<(u16, String), String> {
    let address = address(operator)?;
    let answer = fixture
        .http()
        .get(format!("http://{address}{path}"))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    Ok((status, text))
}

/// Where its own server listens, as its log says.
pub(crate) fn address(operator: &Running) -> Result<String, String> {
    let log = operator.log();
    let line = log.lines().find(|line| line.contains("serving /livez"));
    let address = line.and_then(|line| line.split_once("address="));
    let address = address.and_then(|(_, address)| address.split_whitespace().next());
    address
        .map(str::to_owned)
        .ok_or_else(|| format!("the log names no address: {log}"))
}

/// Waits until a path answers with that status, and gives the text.
pub(crate) async fn answers(fixture: &Fixture, operator: &Running, path: &str, status: u16) -> String {
    let what = format!("{path} answers {status}");
    let look = async || match ask(fixture, operator, path).await {
        Ok((found, text)) if found == status => Ok(text),
        other => Err(format!("{other:?}")),
    };
    eventually(&what, BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until the operator reports that it is shutting down.
pub(crate) async fn stops(fixture: &Fixture, operator: &Running) {
    let look = async || match answers(fixture, operator, "/readyz", 500).await {
        text if text.contains("the operator is stopping") => Ok(()),
        text => Err(text),
    };
    eventually("it is shutting down", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn the_operator_serves_probes_and_metrics() {
    let fixture = Fixture::set("probes", &[desktop("pc-1")]).await;
    let operator = fixture.operator(&[]);
    answers(&fixture, &operator, "/readyz", 200).await;
    answers(&fixture, &operator, "/livez", 200).await;
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    let metrics = answers(&fixture, &operator, "/metrics", 200).await;
    let accepted =
        |line: &str| line.contains("submission") && line.contains("Accepted") && line.ends_with(" 1");
    assert!(metrics.lines().any(accepted), "{metrics}");
    assert_eq!(operator.stopped().await, 0);
}

#[tokio::test]
async fn an_operator_that_cannot_watch_yet_is_alive_but_not_ready() {
    let fixture = Fixture::set("not-ready", &[]).await;
    let elsewhere = fixture.control_plane.namespace("without-rights").await.unwrap();
    let operator = fixture.operator(&[&format!("--namespaces={}", elsewhere.name())]);
    let waits = async || match answers(&fixture, &operator, "/readyz", 500).await {
        text if text.contains("desktopdeletions") => Ok(()),
        text => Err(text),
    };
    eventually("it waits for the watch", BOUND, waits).await.unwrap();
    answers(&fixture, &operator, "/livez", 200).await;
    assert_eq!(operator.stopped().await, 0);
}

#[tokio::test]
async fn a_shutdown_waits_for_the_response_to_a_submission_and_its_record() {
    let fixture = Fixture::set("shutdown", &[endless("pc-1")]).await;
    let late = json!({"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&late).unwrap();
    let operator = fixture.operator(&["--submission-timeout=10m"]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    let probed = async {
        stops(&fixture, &operator).await;
        answers(&fixture, &operator, "/livez", 200).await;
        fixture.cloud.simulator().end_delays();
    };
    let (exit, ()) = tokio::join!(operator.stopped(), probed);
    assert_eq!(exit, 0);
    let status = fixture.status("leaver").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobAccepted"),
        "{status:#}"
    );
    let posts = fixture.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(status["jobID"], posts[0]["jobID"]);
}

#[tokio::test]
async fn an_operator_that_only_waits_exits_at_once_and_the_next_one_continues() {
    let slow = json!({"id": "pc-1", "outcome": {"result": "success", "running": "4s"}});
    let fixture = Fixture::set(
        "restart",
        &[slow, json!({"id": "pc-2", "taskStatus": "deleting"})],
    )
    .await;
    let operator = fixture.operator(&[]);
    fixture.request("running", &["pc-1"]).await;
    fixture.request("waiting", &["pc-2"]).await;
    fixture.accepted("running").await;
    fixture.reason("waiting", Submitted, "DeletionInProgress").await;
    assert_eq!(operator.stopped().await, 0);

    let _operator = fixture.operator(&[]);
    fixture.cloud.add_desktop(&desktop("pc-2")).unwrap();
    for name in ["running", "waiting"] {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
    let bodies: Vec<Value> = fixture.effective_posts();
    assert_eq!(bodies.len(), 2, "{bodies:#?}");
}

#[tokio::test]
async fn an_operator_that_shuts_down_starts_nothing_new() {
    let fixture = Fixture::set("stopping", &[desktop("pc-1")]).await;
    let slow = json!({"operation": "listSubJobs", "nth": 1, "answer": {"delay": "1h"}});
    fixture.cloud.add_fault(&slow).unwrap();
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.struck().await;
    // It waits for the read in progress.
    let noticed = async {
        stops(&fixture, &operator).await;
        fixture.cloud.simulator().end_delays();
    };
    let (exit, ()) = tokio::join!(operator.stopped(), noticed);
    assert_eq!(exit, 0);
    assert_eq!(fixture.posts(), Vec::<Value>::new());

    let _operator = fixture.operator(&[]);
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}
