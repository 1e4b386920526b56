//! Credentials with a ready token: the call can live as long as the token, so user action is requested at once, and
//! each of the three resolutions works. A resolution that cannot be applied is refused once, with an Event.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use testkit::eventually;
use workspace_simulator::cloud::Operation;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted};

use crate::fixture::{message, pair, says};
use crate::oracle::{self, End};
use crate::trial::{BOUND, Trial, lost};
use crate::trial_group::TrialGroup;

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    Adopt,
    AbandonWhatTookEffect,
    AbandonWhatDidNot,
    /// Too early first, and once the token is over.
    Retry,
    /// Nothing that can be done, before what can.
    Nonsense,
}

/// Long enough for all that a person does before.
const TOKEN_LIFE: &[&str] = &["--token-life=40s"];

/// The same, `--clock-skew` and `--job-visibility-timeout`, and two seconds for a `Date` in whole seconds.
const CALL_EXPIRY: Duration = Duration::from_secs(40 + 3 + 1 + 2);

async fn add(group: &mut TrialGroup, resolution: Resolution) -> &Trial {
    let name = format!("{resolution:?}").to_lowercase();
    let trial = group.add(&name, &[json!({"id": "pc-1"})]).await;
    trial.log_in_by_token().await;
    let took_effect = !matches!(resolution, Resolution::AbandonWhatDidNot | Resolution::Retry);
    let lost = lost(took_effect, &json!("reset"));
    trial.cloud.add_fault(&lost).unwrap();
    trial
}

/// IAM does not report the expiry of this token: then it is assumed to live as long as `--token-life` says.
fn hide_the_end(trial: &Trial) {
    let refusal = json!({"operation": "validateToken", "answer": {"status": 403}});
    trial.cloud.add_fault(&refusal).unwrap();
}

/// Waits until a person is asked; gives the attempt's id.
async fn asked(trial: &Trial) -> String {
    let asks = |status: &Value| says(status, Stalled) == pair("True", "OutcomeUnknown");
    let status = trial.until("user action is requested", asks).await.unwrap();
    assert_eq!(
        says(&status, Submitted),
        pair("Unknown", "OutcomeUnknown"),
        "{status:#}"
    );
    let attempt = status["attempts"][0]["id"].as_str().unwrap().to_owned();
    for way in ["adopt:<job id>", "retry", "abandon"] {
        let text = message(&status, Stalled);
        assert!(text.contains(&attempt) && text.contains(way), "{text}");
    }
    attempt
}

/// Waits until an annotation was answered, and gives the status.
async fn answered(trial: &Trial, value: &str) -> Value {
    trial.resolve(value).await;
    trial
        .until("the annotation was handled", |status| {
            status["lastHandledResolve"] == value
        })
        .await
        .unwrap()
}

/// Waits for so many Events that refuse an annotation of this request, which come after their record; gives the notes.
async fn refusals(trial: &Trial, count: usize) -> Vec<String> {
    let events: Api<Event> = trial.namespace.api();
    let ours = |e: &Event| {
        let about = e.regarding.as_ref().and_then(|r| r.name.as_deref());
        e.reason.as_deref() == Some("ResolveRefused") && about == Some(&*trial.name)
    };
    let look = async || {
        let listed = events.list(&ListParams::default()).await.unwrap();
        let notes: Vec<_> = listed
            .items
            .into_iter()
            .filter(ours)
            .filter_map(|e| e.note)
            .collect();
        if notes.len() >= count {
            Ok(notes)
        } else {
            Err(format!("{notes:#?}"))
        }
    };
    let notes = eventually("each refusal has its Event", BOUND, look).await;
    notes.unwrap_or_else(|error| panic!("{error}"))
}

impl Resolution {
    async fn give(self, trial: &Trial) {
        let attempt = asked(trial).await;
        match self {
            Self::Adopt => adopt(trial, &attempt).await,
            Self::AbandonWhatTookEffect | Self::AbandonWhatDidNot => {
                let status = answered(trial, &format!("{attempt}=abandon")).await;
                assert_eq!(status["attempts"][0]["outcome"], "Abandoned", "{status:#}");
                let text = message(&status, Submitted);
                assert!(
                    text.contains("can still take effect; its desktops stay reserved until"),
                    "{text}"
                );
            }
            Self::Retry => retry(trial, &attempt).await,
            Self::Nonsense => {
                invalid_resolutions(trial, &attempt).await;
                adopt(trial, &attempt).await;
            }
        }
    }

    fn end(self) -> End {
        if self == Self::AbandonWhatDidNot {
            return End::with("False", "Abandoned", [("pc-1", "Unknown")]);
        }
        End::with("True", "AllDeleted", [("pc-1", "Deleted")])
    }
}

async fn adopt(trial: &Trial, attempt: &str) {
    let job = trial.job().unwrap();
    let status = answered(trial, &format!("{attempt}=adopt:{job}")).await;
    assert_eq!(status["jobID"], job, "{status:#}");
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobRecovered"),
        "{status:#}"
    );
}

/// While the evidence cannot be read, only a person can know that nothing happened.
async fn retry(trial: &Trial, attempt: &str) {
    let unreadable = json!({"operation": "listSubJobs", "answer": {"status": 500}});
    trial.cloud.add_fault(&unreadable).unwrap();
    let value = format!("{attempt}=retry");
    let status = answered(trial, &value).await;
    assert_eq!(status["attempts"][0]["outcome"], "Pending", "{status:#}");
    let refused = refusals(trial, 1).await;
    assert!(
        refused.iter().any(|note| note.contains("can still take effect")),
        "{refused:?}"
    );

    // The token is over: not by a change that could be seen, but by the time.
    tokio::time::sleep(CALL_EXPIRY).await;
    asked(trial).await;
    let status = answered(trial, &format!("{value} ")).await;
    assert_eq!(status["attempts"][0]["outcome"], "NoEffect", "{status:#}");
    assert_eq!(trial.cloud.calls(Operation::BatchDelete).len(), 1);
    trial.cloud.clear_faults();
}

async fn invalid_resolutions(trial: &Trial, attempt: &str) {
    trial.cloud.add_desktop(&json!({"id": "pc-of-others"})).unwrap();
    let foreign = trial.console_deletes(&["pc-of-others"]).await;
    let values = [
        ("do it".to_owned(), "use <attempt id>=retry"),
        ("0123456789abcdef=abandon".to_owned(), "is not in the status"),
        (format!("{attempt}=retry"), "can still take effect"),
        (
            format!("{attempt}=adopt:{foreign}"),
            "names no desktop of attempt",
        ),
        (
            format!("{attempt}=adopt:no-such-job"),
            "names no desktop of attempt",
        ),
    ];
    for (value, _) in &values {
        let status = answered(trial, value).await;
        assert_eq!(status["attempts"][0]["outcome"], "Pending", "{value}: {status:#}");
        assert_eq!(
            says(&status, Stalled),
            pair("True", "OutcomeUnknown"),
            "{status:#}"
        );
    }
    let refused = refusals(trial, values.len()).await;
    for (value, why) in &values {
        let notes = refused
            .iter()
            .filter(|note| note.contains(&format!("={value}: ")) && note.contains(why));
        assert_eq!(
            notes.count(),
            1,
            "{value} is refused once, since it {why}: {refused:#?}"
        );
    }
}

async fn run(group: TrialGroup, answers: &[Resolution]) {
    let runs = group
        .run_with(async |trial, number| answers[number].give(trial).await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for (answer, run) in answers.iter().zip(&runs) {
        broken.extend(run.expect_end(&answer.end()));
    }
    oracle::report(answers.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_can_resolve_an_attempt_before_its_long_lived_token_expires() {
    let mut group = TrialGroup::new("person").await;
    let answers = [Resolution::Adopt, Resolution::Nonsense];
    for resolution in answers {
        add(&mut group, resolution).await;
    }
    run(group, &answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_and_retried_attempts_wait_until_the_token_has_expired() {
    let mut group = TrialGroup::new("person-waits").await;
    group.flags = TOKEN_LIFE;
    let answers = [
        Resolution::AbandonWhatTookEffect,
        Resolution::AbandonWhatDidNot,
        Resolution::Retry,
    ];
    for resolution in answers {
        hide_the_end(add(&mut group, resolution).await);
    }
    run(group, &answers).await;
}
