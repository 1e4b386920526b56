//! What `/metrics` shows of the requests: unknown outcomes and how they were settled, unfinished requests and their
//! reasons, and nothing about objects that are gone.

use std::io::Write;
use std::process::{Command, Stdio};

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::eventually;

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::{FLAGS, STEADY, lost};
use crate::fixture::{BOUND, Fixture, Running, desktop, pair, says};
use crate::shutdown::answers;

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
pub(crate) async fn shows(fixture: &Fixture, operator: &Running, expected: &[(&str, f64)]) {
    let look = async || {
        let text = answers(fixture, operator, "/metrics", 200).await;
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
async fn a_lost_response_that_was_resolved_is_counted_in_the_metrics() {
    let fixture = Fixture::set("metrics-recovered", &["pc-1", "pc-2"].map(desktop)).await;
    let fault = lost("pc-1", true, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let operator = fixture.operator(STEADY);
    fixture.request("lost", &["pc-1"]).await;
    fixture.request("heard", &["pc-2"]).await;
    for name in ["lost", "heard"] {
        let status = fixture.completed(name).await;
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    }
    shows(
        &fixture,
        &operator,
        &[
            ("submissions_total{outcome=\"Accepted\"", 1.0),
            ("submissions_total{outcome=\"Adopted\"", 1.0),
            // What was signed and not sent is counted too, but did no harm.
            ("submissions_total{outcome=\"NoEffect\"", 0.0),
            ("submissions_total{outcome=\"Abandoned\"", 0.0),
            ("lost_responses_total ", 1.0),
            ("completed_requests_total{reason=\"AllDeleted\"}", 2.0),
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
async fn an_attempt_with_unknown_outcome_is_exported_until_a_user_resolves_it() {
    let fixture = Fixture::set("metrics-doubt", &[desktop("pc-1")]).await;
    let fault = lost("pc-1", false, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.reason("leaver", Submitted, "AwaitingEvidence").await;
    let awaiting = unfinished("Submitted", "AwaitingEvidence");
    shows(
        &fixture,
        &operator,
        &[
            ("attempts_in_doubt ", 1.0),
            (&awaiting, 1.0),
            (UNFINISHED, 1.0),
            ("submissions_total{outcome=\"Accepted\"", 0.0),
            ("submissions_total{outcome=\"Adopted\"", 0.0),
            ("submissions_total{outcome=\"NoEffect\"", 0.0),
            ("submissions_total{outcome=\"Abandoned\"", 0.0),
        ],
    )
    .await;

    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    let annotation = json!({RESOLVE_ANNOTATION: format!("{attempt}=abandon")});
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotation}}));
    let parameters = PatchParams::default();
    fixture
        .requests()
        .patch("leaver", &parameters, &patch)
        .await
        .unwrap();
    shows(
        &fixture,
        &operator,
        &[
            ("submissions_total{outcome=\"Abandoned\"", 1.0),
            ("attempts_in_doubt ", 0.0),
            // It is waited for until its call has expired.
            (&awaiting, 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn waiting_requests_are_exported_with_their_reason_and_deleted_ones_are_not() {
    let fixture = Fixture::without_project("metrics-waiting", testkit::Cloud::world(), &[]).await;
    let operator = fixture.operator(&[]);
    let project = fixture.cloud.project("prod", "login");
    fixture.namespace.apply(&project).await.unwrap();
    let suspend = json!({"suspend": true});
    fixture.request_with("suspended", &["pc-1"], suspend).await;
    fixture.request("without-login", &["pc-2"]).await;
    let suspended = unfinished("Submitted", "Suspended");
    let waiting = unfinished("Submitted", "ProjectNotReady");
    let missing = "projects{reason=\"SecretNotFound\"}";
    shows(
        &fixture,
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
    let text = answers(&fixture, &operator, "/metrics", 200).await;
    let tried = sum(&text, "credential_checks_total{reason=\"SecretNotFound\"}");
    assert!(tried >= Some(1.0), "{text}");
    let watch = format!(
        "heartbeat_age_seconds{{task=\"watch of {}/desktopdeletions\"}}",
        fixture.namespace.name()
    );
    assert!(sum(&text, &watch).is_some(), "{text}");

    for name in ["suspended", "without-login"] {
        fixture.delete(name).await;
        fixture.gone(name).await;
    }
    let projects = fixture.namespace.projects();
    projects.delete("prod", &DeleteParams::default()).await.unwrap();
    shows(
        &fixture,
        &operator,
        &[("unfinished_requests{", 0.0), ("projects{", 0.0)],
    )
    .await;
}

#[tokio::test]
async fn promtool_accepts_the_metrics_of_a_running_operator_without_findings() {
    let fixture = Fixture::set("metrics-promtool", &[desktop("pc-1")]).await;
    let operator = fixture.operator(FLAGS);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.completed("leaver").await;
    let finished = ("completed_requests_total{reason=\"AllDeleted\"}", 1.0);
    shows(&fixture, &operator, &[finished]).await;
    let text = answers(&fixture, &operator, "/metrics", 200).await;

    // By the parser of a scrape, which Prometheus' tool applies to a file of samples with times only.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples");
    let data = folder.path().join("data");
    let timed = |line: &str| {
        let sample = !line.starts_with('#');
        let line = line.to_owned();
        if sample {
            line + " 1800000000\n"
        } else {
            line + "\n"
        }
    };
    std::fs::write(&file, text.lines().map(timed).collect::<String>()).unwrap();
    let paths = [file, data].map(|path| path.display().to_string());
    let [file, data] = paths.each_ref().map(String::as_str);
    promtool(&["tsdb", "create-blocks-from", "openmetrics", file, data], "");
    // A dump wants the folder of the log of writes, which a data folder of blocks alone does not have.
    std::fs::create_dir(folder.path().join("data/wal")).unwrap();
    let read = promtool(&["tsdb", "dump", data], "");
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(read.lines().count(), samples, "{text}\n{read}");

    let objections = promtool(&["check", "metrics"], &older_format(&text));
    assert_eq!(objections, "");
}

/// The same in the older text format, for which alone there is a linter: it has no units, no infos and no end, and a
/// counter has its whole name everywhere.
fn older_format(text: &str) -> String {
    let mut older = Vec::new();
    let mut help = "";
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = help.split_once(' ').unwrap().1;
            older.push(format!("# HELP {name}{suffix} {help}"));
            older.push(format!("# TYPE {name}{suffix} {kind}"));
        } else if let Some(text) = line.strip_prefix("# HELP ") {
            help = text;
        } else if !line.starts_with('#') {
            older.push(line.to_owned());
        }
    }
    older.join("\n") + "\n"
}

/// What promtool prints of its findings; it must succeed.
fn promtool(arguments: &[&str], input: &str) -> String {
    let program = testkit::prometheus_tool("promtool").unwrap();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
    stdout
}
