//! What `/metrics` shows of the work: doubt and how it was settled, what has not ended and why, and nothing of what is
//! gone.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::eventually;

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::{FLAGS, lost, world};
use crate::shutdown::answers;
use crate::stage::{BOUND, Running, Stage, desktop, pair, says};

const UNFINISHED: &str = "unfinished_requests{condition=\"Submitted\"";

/// The sum over the series that begin like this; `None` if there is none.
fn sum(text: &str, series: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let line = line.strip_prefix("desktop_deletion_")?.strip_prefix(series)?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.reduce(|a, b| a + b)
}

/// Waits until each of these sums is shown, all at one time.
pub(crate) async fn shows(stage: &Stage, operator: &Running, expected: &[(&str, f64)]) {
    let look = async || {
        let text = answers(stage, operator, "/metrics", 200).await;
        let wrong: Vec<_> = expected
            .iter()
            .map(|(series, value)| (series, value, sum(&text, series)))
            .filter(|(_, value, found)| *found != Some(**value))
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("series, expected, found: {wrong:?} in\n{text}"))
        }
    };
    eventually("the metrics show it", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

fn unfinished(condition: &str, reason: &str) -> String {
    format!("unfinished_requests{{condition=\"{condition}\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_lost_answer_that_was_found_again_shows_in_the_metrics() {
    let stage = Stage::set_with("metrics-recovered", world(), &["pc-1", "pc-2"].map(desktop)).await;
    let fault = lost("pc-1", true, &json!("reset"));
    stage.cloud.add_fault(&fault).unwrap();
    let operator = stage.operator(FLAGS);
    stage.request("lost", &["pc-1"]).await;
    stage.request("heard", &["pc-2"]).await;
    for name in ["lost", "heard"] {
        let status = stage.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
    shows(
        &stage,
        &operator,
        &[
            ("submissions_total{outcome=\"Accepted\"", 1.0),
            ("submissions_total{outcome=\"Adopted\"", 1.0),
            ("submissions_total{", 2.0),
            ("lost_answers_total ", 1.0),
            ("completed_requests_total{verdict=\"AllDeleted\"}", 2.0),
            ("completed_desktops_total{state=\"Deleted\"}", 2.0),
            ("completed_desktops_total{", 2.0),
            ("incidents_total{", 0.0),
            ("attempts_in_doubt ", 0.0),
            ("unfinished_requests{", 0.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_attempt_in_doubt_is_shown_until_a_person_settles_it() {
    let stage = Stage::set("metrics-doubt", &[desktop("pc-1")]).await;
    let fault = lost("pc-1", false, &json!("reset"));
    stage.cloud.add_fault(&fault).unwrap();
    let operator = stage.operator(&[]);
    stage.request("leaver", &["pc-1"]).await;
    let status = stage.reason("leaver", Submitted, "AwaitingEvidence").await;
    let awaiting = unfinished("Submitted", "AwaitingEvidence");
    shows(
        &stage,
        &operator,
        &[
            ("attempts_in_doubt ", 1.0),
            (&awaiting, 1.0),
            (UNFINISHED, 1.0),
            ("submissions_total{", 0.0),
        ],
    )
    .await;

    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    let annotation = json!({RESOLVE_ANNOTATION: format!("{attempt}=abandon")});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotation}}));
    let parameters = PatchParams::default();
    stage
        .requests()
        .patch("leaver", &parameters, &patch)
        .await
        .unwrap();
    shows(
        &stage,
        &operator,
        &[
            ("submissions_total{outcome=\"Abandoned\"", 1.0),
            ("attempts_in_doubt ", 0.0),
            // It is waited for until its call is surely dead.
            (&awaiting, 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_waits_is_shown_by_its_reason_and_what_was_deleted_is_not() {
    let stage = Stage::without_project("metrics-waiting", testkit::Cloud::world(), &[]).await;
    let operator = stage.operator(&[]);
    let project = stage.cloud.project("prod", "login");
    stage.namespace.apply(&project).await.unwrap();
    let suspend = json!({"suspend": true});
    stage.request_with("suspended", &["pc-1"], suspend).await;
    stage.request("without-login", &["pc-2"]).await;
    let suspended = unfinished("Submitted", "Suspended");
    let waiting = unfinished("Submitted", "ProjectNotReady");
    let missing = "projects{reason=\"SecretNotFound\"}";
    shows(
        &stage,
        &operator,
        &[
            (&suspended, 1.0),
            (&waiting, 1.0),
            (UNFINISHED, 2.0),
            (missing, 1.0),
            ("projects{", 1.0),
        ],
    )
    .await;
    let text = answers(&stage, &operator, "/metrics", 200).await;
    let tried = sum(&text, "login_checks_total{reason=\"SecretNotFound\"}");
    assert!(tried >= Some(1.0), "{text}");
    let watch = format!(
        "heartbeat_age_seconds{{task=\"watch of {}/desktopdeletions\"}}",
        stage.namespace.name()
    );
    assert!(sum(&text, &watch).is_some(), "{text}");

    for name in ["suspended", "without-login"] {
        stage.delete(name).await;
        stage.gone(name).await;
    }
    let projects = stage.namespace.projects();
    projects.delete("prod", &DeleteParams::default()).await.unwrap();
    shows(
        &stage,
        &operator,
        &[("unfinished_requests{", 0.0), ("projects{", 0.0)],
    )
    .await;
}
