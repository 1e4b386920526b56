//! Traces: which spans of a request reach an OTLP collector, and how the operator handles a collector that fails.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use testkit::{OtlpCollector, OtlpSpan, canary, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::doubt::{STEADY, lost};
use crate::fixture::{BOUND, Fixture, Running, desktop, pair, says};

/// Batches are sent at once, more or less.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");

/// The log message about a collector that rejects spans.
const WARNING: &str = "failed to export traces";

fn endpoint(url: &str) -> String {
    format!("--otlp-endpoint={url}")
}

/// The one span of that name with that attribute.
fn one<'a>(spans: &'a [OtlpSpan], name: &str, (attribute, value): (&str, &str)) -> &'a OtlpSpan {
    let mut found = spans
        .iter()
        .filter(|span| span.name == name && span.attribute(attribute) == value);
    let first = found.next();
    let first = first.unwrap_or_else(|| panic!("no {name} with {attribute}={value} in {spans:#?}"));
    assert_eq!(found.count(), 0, "{spans:#?}");
    first
}

fn parent<'a>(spans: &'a [OtlpSpan], child: &OtlpSpan) -> &'a OtlpSpan {
    let found = spans.iter().find(|span| span.id == child.parent);
    let found = found.unwrap_or_else(|| panic!("no parent of {child:#?} in {spans:#?}"));
    assert_eq!(found.trace, child.trace);
    found
}

fn warnings(operator: &Running) -> usize {
    let log = operator.log();
    log.lines().filter(|line| line.contains(WARNING)).count()
}

async fn ends_well(fixture: &Fixture, name: &str) {
    let status = fixture.completed(name).await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

/// Waits until a collector has spans like these. When the operator exits, what is left is lost if the collector does
/// not answer within seconds.
async fn sent(collector: &OtlpCollector, what: &str, wanted: impl Fn(&[OtlpSpan]) -> bool) {
    let look = async || {
        let spans = collector.spans();
        if wanted(&spans) {
            Ok(())
        } else {
            Err(format!("{spans:#?}"))
        }
    };
    eventually(what, BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Whether there is a span of that name with that attribute.
fn any(spans: &[OtlpSpan], name: &str, (attribute, value): (&str, &str)) -> bool {
    let mut found = spans.iter();
    found.any(|span| span.name == name && span.attribute(attribute) == value)
}

/// Waits until so many connections were made to a collector.
async fn reached(collector: &OtlpCollector, times: usize) {
    let look = async || match collector.connections() {
        count if count >= times => Ok(()),
        count => Err(format!("{count} of {times}")),
    };
    eventually("the collector is connected to", BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_request_is_traced_from_its_reconciliation_to_every_call_of_the_cloud() {
    let fixture = Fixture::set("traced", &[desktop("pc-1")]).await;
    let collector = OtlpCollector::start().await.unwrap();
    let operator = fixture.operator_among(&[SOON], &[&endpoint(&collector.url()), "--pod-name=operator-7"]);
    let request = fixture.request("leaver", &["pc-1"]).await;
    ends_well(&fixture, "leaver").await;
    sent(&collector, "every call and every submission is sent", |spans| {
        let mut submissions = spans.iter().filter(|span| span.name == "submit");
        let mut answered = spans.to_vec();
        answered.retain(|span| !span.attribute("http.response.status_code").is_empty());
        submissions.all(|submit| spans.iter().any(|span| span.id == submit.parent))
            && any(spans, "batchDelete", ("http.response.status_code", "202"))
            && answered.len() >= fixture.cloud.ledger().len()
    })
    .await;
    assert_eq!(operator.stopped().await, 0);
    let spans = collector.spans();

    let status = fixture.status("leaver").await;
    let attempt = status["attempts"][0]["id"].as_str().unwrap();
    let submit = one(&spans, "submit", ("attempt", attempt));
    let reconcile = parent(&spans, submit);
    let shown = ["namespace", "name", "uid", "result"].map(|name| reconcile.attribute(name));
    let uid = request.metadata.uid.unwrap();
    assert_eq!(reconcile.name, "reconcile");
    assert_eq!(shown, [fixture.namespace.name(), "leaver", &uid, "ok"]);
    assert_eq!(reconcile.parent, "");
    let post = one(&spans, "batchDelete", ("http.response.status_code", "202"));
    assert_eq!(post.parent, submit.id);
    assert!(
        !post.failed && !post.attribute("request_id").is_empty(),
        "{post:#?}"
    );
    for (name, value) in [
        ("service.name", "desktop-deletion-operator"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("k8s.pod.name", "operator-7"),
    ] {
        assert_eq!(post.resource.get(name).map(String::as_str), Some(value), "{name}");
    }

    let mut traced = BTreeMap::<_, usize>::new();
    for span in spans
        .iter()
        .filter(|span| !span.attribute("operation").is_empty() && span.attribute("error.type") != "notSent")
    {
        assert_ne!(span.parent, "", "{span:#?}");
        let answer = ["operation", "http.response.status_code"].map(|name| span.attribute(name).to_owned());
        *traced.entry(answer).or_default() += 1;
    }
    let mut made = BTreeMap::<_, usize>::new();
    for call in fixture.cloud.simulator().ledger() {
        let operation = serde_json::to_value(call.operation).unwrap();
        let answer = [
            operation.as_str().unwrap().to_owned(),
            call.status.unwrap().to_string(),
        ];
        *made.entry(answer).or_default() += 1;
    }
    assert_eq!(traced, made);
}

#[tokio::test]
async fn a_failed_call_of_the_cloud_is_a_failed_span_with_its_error_class() {
    let fixture = Fixture::set("traced-failures", &[desktop("pc-1")]).await;
    fixture
        .cloud
        .add_fault(&lost("pc-1", true, &json!("reset")))
        .unwrap();
    let busy = json!({"operation": "listSubJobs", "nth": 1, "answer": {"status": 503}});
    fixture.cloud.add_fault(&busy).unwrap();
    let collector = OtlpCollector::start().await.unwrap();
    let operator = fixture.operator_among(&[SOON], &[STEADY, &[&*endpoint(&collector.url())]].concat());
    fixture.request("leaver", &["pc-1"]).await;
    ends_well(&fixture, "leaver").await;
    let failures = [("batchDelete", "noResponse"), ("listSubJobs", "503")];
    sent(&collector, "both failures are sent", |spans| {
        failures
            .iter()
            .all(|(operation, class)| any(spans, operation, ("error.type", class)))
    })
    .await;
    assert_eq!(operator.stopped().await, 0);
    let spans = collector.spans();
    for (operation, class) in failures {
        let span = one(&spans, operation, ("error.type", class));
        assert!(span.failed, "{span:#?}");
    }
}

#[tokio::test]
async fn the_standard_environment_variables_configure_the_collector_and_its_headers() {
    let fixture = Fixture::set("traced-standard", &[desktop("pc-1")]).await;
    let collector = OtlpCollector::start().await.unwrap();
    canary::guard("canary-of-the-collector");
    let url = collector.url();
    let environment = [
        SOON,
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer canary-of-the-collector",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let operator = fixture.operator_among(&environment, &["--log-level=debug"]);
    fixture.request("leaver", &["pc-1"]).await;
    ends_well(&fixture, "leaver").await;
    let accepted = ("http.response.status_code", "202");
    sent(&collector, "the submission is sent", |spans| {
        any(spans, "batchDelete", accepted)
    })
    .await;
    assert_eq!(warnings(&operator), 0);
    assert_eq!(operator.stopped().await, 0);
    let spans = collector.spans();
    let post = one(&spans, "batchDelete", accepted);
    let environment = post.resource.get("deployment.environment.name");
    assert_eq!(environment.map(String::as_str), Some("test"));
}

#[tokio::test]
async fn a_collector_that_never_responds_delays_neither_a_request_nor_the_exit() {
    let fixture = Fixture::set("traced-silent", &["pc-1", "pc-2"].map(desktop)).await;
    let collector = OtlpCollector::start_silent().await.unwrap();
    let operator = fixture.operator_among(&[SOON], &[&endpoint(&collector.url())]);
    fixture.request("first", &["pc-1"]).await;
    ends_well(&fixture, "first").await;
    // One batch is in flight, and more are to be sent.
    reached(&collector, 1).await;
    fixture.request("second", &["pc-2"]).await;
    ends_well(&fixture, "second").await;
    assert_eq!(operator.stopped().await, 0);
    assert!(warnings(&operator) <= 1, "{}", operator.log());
}

#[tokio::test]
async fn a_collector_that_refuses_every_batch_is_one_warning() {
    let fixture = Fixture::set("traced-refused", &[desktop("pc-1")]).await;
    let collector = OtlpCollector::start().await.unwrap();
    let elsewhere = endpoint(&format!("{}/elsewhere", collector.url()));
    let operator = fixture.operator_among(&[SOON], &[&elsewhere, "--project-refresh=300ms"]);
    fixture.request("leaver", &["pc-1"]).await;
    ends_well(&fixture, "leaver").await;
    reached(&collector, 3).await;
    assert_eq!(operator.stopped().await, 0);
    assert_eq!(warnings(&operator), 1, "{}", operator.log());
    assert!(operator.log().contains("the collector returned HTTP 404"));
}

#[tokio::test]
async fn only_an_operator_with_a_collector_has_a_thread_for_it() {
    let fixture = Fixture::set("untraced", &[desktop("pc-1")]).await;
    let collector = OtlpCollector::start().await.unwrap();
    let threads = |operator: &Running| {
        let tasks = fs::read_dir(format!("/proc/{}/task", operator.pid())).unwrap();
        // Another thread may end meanwhile.
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("OpenTelemetry")).count()
    };
    for (flags, expected) in [(vec![], 0), (vec![endpoint(&collector.url())], 1)] {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let operator = fixture.operator(&flags);
        fixture.project_says("prod", "CredentialsValid").await;
        crate::shutdown::answers(&fixture, &operator, "/readyz", 200).await;
        assert_eq!(threads(&operator), expected);
        assert_eq!(operator.stopped().await, 0);
    }
}
