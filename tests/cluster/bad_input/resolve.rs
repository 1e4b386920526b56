//! The annotation that settles an attempt, stale and malformed: each is answered once, with an Event that says what
//! would be right, and changes nothing.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::doubt::lost;
use crate::fixture::{Fixture, desktop, endless, pair, says};

const FORM: &str = "use <attempt id>=retry, <attempt id>=abandon or <attempt id>=adopt:<job id>";
const UNKNOWN: &str = "is not in the status";
const EARLY: &str = "can still take effect, so it must not be repeated yet";
const FOREIGN: &str = "names no desktop of attempt";
const SETTLED: &str = "already has outcome Accepted";
const FOLLOWED: &str = "took effect; it can be abandoned once its job is overdue";

/// What is requested while the outcome of an attempt is unknown, and why it is refused; `ID` is the attempt.
const IN_DOUBT: &[(&str, &str)] = &[
    ("", FORM),
    ("retry", FORM),
    ("=retry", FORM),
    ("ID", FORM),
    ("ID=", FORM),
    ("ID=RETRY", FORM),
    ("ID=delete", FORM),
    ("ID=retry,abandon", FORM),
    ("ID=adopt", FORM),
    ("ID=adopt:", FORM),
    ("ID=adopt:../jobs", FORM),
    ("ID:retry", FORM),
    ("a/b=retry", FORM),
    ("ID=retry\u{200b}", FORM),
    ("ID=retry\nID=abandon", FORM),
    ("\u{202e}yrter=DI", FORM),
    ("0123456789abcdef=abandon", UNKNOWN),
    ("ffffffffffffffff=retry", UNKNOWN),
    ("0123456789abcdef=adopt:a-job", UNKNOWN),
    ("ID=retry", EARLY),
    ("ID=adopt:a-job-of-nobody", FOREIGN),
];

/// What is asked for once the attempt was accepted.
const STALE: &[(&str, &str)] = &[
    ("ID=retry", SETTLED),
    ("ID=adopt:a-job", SETTLED),
    ("ID=abandon", FOLLOWED),
    ("0123456789abcdef=retry", UNKNOWN),
];

/// Sets the annotation, and waits for the Event that refuses it.
async fn refused(fixture: &Fixture, name: &str, value: &str, why: &str) {
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: value}}}));
    let requests = fixture.requests();
    let before = requests.get(name).await.unwrap().data["status"]["attempts"].clone();
    requests
        .patch(name, &PatchParams::default(), &annotation)
        .await
        .unwrap();
    let kept: String = value.chars().take(1024).collect();
    let answered = |status: &Value| status["lastHandledResolve"] == kept.as_str();
    let status = fixture
        .until(name, &format!("{value:?} is answered"), answered)
        .await;
    assert_eq!(
        status["attempts"], before,
        "{value:?} changes nothing: {status:#}"
    );
    let note: String = format!("={}: ", kept.escape_debug()).chars().take(900).collect();
    let event = fixture.event(name, "ResolveRefused", &note).await;
    let note = event.note.unwrap();
    assert!(note.contains(why), "{value:?}: not {why:?} but {note:?}");
}

async fn each_is_refused(fixture: &Fixture, name: &str, id: &str, rows: &[(&str, &str)]) {
    for (value, why) in rows {
        refused(fixture, name, &value.replace("ID", id), why).await;
    }
}

/// The id of the only attempt.
fn attempt(status: &Value) -> String {
    status["attempts"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_that_cannot_be_applied_is_refused_once_and_changes_nothing() {
    let fixture = Fixture::set("resolve", &["in-doubt", "accepted"].map(endless)).await;
    fixture.cloud.add_desktop(&desktop("good")).unwrap();
    fixture
        .cloud
        .add_fault(&lost("in-doubt", true, &json!("reset")))
        .unwrap();
    // A signature lives for a quarter of an hour, so that the outcome stays unknown.
    let _operator = fixture.operator(&[]);
    for name in ["in-doubt", "accepted"] {
        fixture.request(name, &[name]).await;
    }
    let doubt = attempt(&fixture.reason("in-doubt", Submitted, "AwaitingEvidence").await);
    let accepted = attempt(&fixture.accepted("accepted").await);
    tokio::join!(
        each_is_refused(&fixture, "in-doubt", &doubt, IN_DOUBT),
        each_is_refused(&fixture, "accepted", &accepted, STALE),
    );
    let long = "x".repeat(10_000);
    refused(&fixture, "accepted", &long, &"x".repeat(100)).await;

    fixture.request("good", &["good"]).await;
    let status = fixture.completed("good").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 3);
}
