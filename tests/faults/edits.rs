//! What users do to the request while one of its calls is in flight, at every point: it is deleted, or suspended; or it
//! is suspended and resumed, or deleted and created again, while the watch is silent, so that the operator never sees
//! the state between; or a client replaces it, which removes the operator's finalizer, and perhaps deletes it and
//! creates it again. All requests of one edit run at the same time, under one operator.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::{ApiServerProxy, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

use crate::fixture::{pair, says};
use crate::oracle::{self, End, Run};
use crate::plans;
use crate::points::{self, Laid, POINTS, Point};
use crate::trial::{self, BOUND, Trial};
use crate::trial_group::TrialGroup;

/// What is done to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Deleted,
    Suspended,
    ResumedUnseen,
    RecreatedUnseen,
    Replaced,
    ReplacedAndRecreated,
}

impl Edit {
    pub(crate) const ALL: [Self; 6] = [
        Self::Deleted,
        Self::Suspended,
        Self::ResumedUnseen,
        Self::RecreatedUnseen,
        Self::Replaced,
        Self::ReplacedAndRecreated,
    ];

    /// The name of a plan.
    pub(crate) fn plan(self, point: &Point) -> String {
        format!("{}-{self:?}", point.id).to_lowercase()
    }

    fn is_unseen(self) -> bool {
        matches!(self, Self::ResumedUnseen | Self::RecreatedUnseen)
    }

    fn is_recreated(self) -> bool {
        matches!(self, Self::RecreatedUnseen | Self::ReplacedAndRecreated)
    }

    /// The outcome of the second desktop. A request that is created again would submit a desktop that still exists once
    /// more, which is correct.
    fn result(self) -> &'static str {
        if self.is_recreated() { "success" } else { "failed" }
    }

    async fn make(self, trial: &Trial) -> Result<(), String> {
        match self {
            Self::Deleted => trial.delete().await,
            // At once where nothing holds it, and else as soon as it is released.
            Self::RecreatedUnseen => {
                trial.delete().await;
                trial.begin().await;
            }
            Self::Replaced => trial.replace().await,
            Self::ReplacedAndRecreated => {
                trial.replace().await;
                trial.delete().await;
                trial.begin().await;
            }
            Self::Suspended => trial.change(json!({"suspend": true})).await?,
            Self::ResumedUnseen => {
                trial.change(json!({"suspend": true})).await?;
                trial.change(json!({"suspend": false})).await?;
            }
        }
        Ok(())
    }

    /// Waits for the end that the request has after this edit.
    async fn end(self, trial: &Trial, first: &str) -> Result<Value, String> {
        match self {
            Self::Deleted => gone(trial).await,
            Self::Suspended => {
                let held = |status: &Value| says(status, Submitted) == pair("False", "Suspended");
                let rests = |status: &Value| status["completionTime"].is_string() || held(status);
                let status = trial.until("it is suspended, or has ended", rests).await?;
                if held(&status) {
                    trial.change(json!({"suspend": false})).await?;
                }
                trial.settled().await
            }
            Self::ResumedUnseen | Self::Replaced => trial.settled().await,
            Self::RecreatedUnseen | Self::ReplacedAndRecreated => {
                recreated(trial, first).await?;
                trial.ended().await
            }
        }
    }

    fn judge(self, point: &Point, run: &Run) -> Vec<String> {
        let posts = run.trial.own_posts();
        let mut wrong = Vec::new();
        let name = &run.trial.name;
        match self {
            Self::Deleted if point.is_before_the_intent() && !point.passes() && !posts.is_empty() => {
                wrong.push(format!(
                    "{name}: it was deleted before it was submitted: {posts:?}"
                ));
            }
            Self::Suspended | Self::ResumedUnseen | Self::Replaced => {
                wrong.extend(run.expect_end(&End::one_of_two_failed()));
            }
            Self::RecreatedUnseen | Self::ReplacedAndRecreated => {
                // The second request finds the desktops present, being deleted, or gone.
                let ends = ["AllDeleted", "AlreadyAbsent"];
                let verdict = run.ended.as_ref().ok().map(|status| says(status, Succeeded));
                if verdict.is_some_and(|(truth, reason)| truth != "True" || !ends.contains(&&*reason)) {
                    wrong.push(format!(
                        "{name}: the recreated request ends with an error: {:?}",
                        run.ended
                    ));
                }
            }
            Self::Deleted => {}
        }
        wrong
    }
}

async fn gone(trial: &Trial) -> Result<Value, String> {
    let look = async || match trial.object().await {
        None => Ok(Value::Null),
        Some(object) => Err(format!("{:#}", object.data)),
    };
    let gone = eventually("the request is gone", BOUND, look).await;
    gone.map_err(|error| error.to_string())
}

/// Applies the request until it is another one than the first.
async fn recreated(trial: &Trial, first: &str) -> Result<(), String> {
    let look = async || {
        trial.begin().await;
        match trial.object().await.and_then(|object| object.metadata.uid) {
            Some(uid) if uid != first => Ok(()),
            _ => Err("it is still the first"),
        }
    };
    let remade = eventually("the request was created again", BOUND, look).await;
    remade.map_err(|error| error.to_string())
}

async fn run(edit: Edit) {
    let wanted = |point: &&Point| plans::is_wanted(&edit.plan(point));
    let points: Vec<_> = POINTS.iter().filter(wanted).collect();
    let mut group = TrialGroup::new(&format!("{edit:?}").to_lowercase()).await;
    for point in &points {
        // Where both deletions go well, the second one ends only after the operator has seen the first one's end.
        let running = if point.is_halfway() { "1h" } else { "10s" };
        group
            .add(&edit.plan(point), &points::running(edit.result(), running))
            .await;
    }
    let lay = |(trial, point): (&Trial, &&Point)| Mutex::new(Some(point.lay(&group.proxy, trial)));
    let laid: Vec<_> = group.trials().iter().zip(&points).map(lay).collect();
    group.begin().await;
    let operator = trial::operator(group.proxy.kubeconfig(), group.namespace.name());
    let proxy = group.proxy.clone();
    if edit.is_unseen() {
        watched(&proxy).await;
        proxy.freeze_watches();
    }
    let left = AtomicUsize::new(points.len());
    let run_one = async |trial: &Trial, number: usize| {
        let first = trial.object().await.and_then(|object| object.metadata.uid);
        let edited = strike(edit, trial, &laid[number]).await;
        if points[number].is_halfway() {
            trial.cloud.simulator().end_jobs();
        }
        // The watches are heard again when all is done.
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            proxy.lose_watches();
        }
        edited?;
        edit.end(trial, &first.unwrap_or_default()).await
    };
    let runs = group.run_under(vec![operator], run_one).await;
    let mut broken = oracle::judge(&runs).await;
    for (point, run) in points.iter().zip(&runs) {
        broken.extend(edit.judge(point, run));
    }
    oracle::report(runs.len(), &broken);
}

async fn strike(edit: Edit, trial: &Trial, laid: &Mutex<Option<Laid>>) -> Result<(), String> {
    let laid = laid.lock().unwrap().take().expect("each trial runs once");
    let held = laid.held(trial).await?;
    let made = edit.make(trial).await;
    held.release();
    made
}

/// Waits until the operator has listed the requests and watches them.
async fn watched(proxy: &ApiServerProxy) {
    let look = async || {
        let watches = proxy.count(|asked| asked.verb == "watch" && asked.resource == "desktopdeletions");
        if watches > 0 { Ok(()) } else { Err("no watch") }
    };
    eventually("the requests are watched", BOUND, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_deleted_while_a_call_is_in_flight_is_released_without_losing_a_job() {
    run(Edit::Deleted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_suspended_while_a_call_is_in_flight_stops_or_it_is_too_late() {
    run(Edit::Suspended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_suspended_and_resumed_unobserved_ends_as_if_undisturbed() {
    run(Edit::ResumedUnseen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_recreated_unobserved_submits_no_desktop_that_the_first_one_submitted() {
    run(Edit::RecreatedUnseen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_client_replaces_ends_as_if_undisturbed() {
    run(Edit::Replaced).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_replaced_deleted_and_recreated_submits_no_desktop_that_the_first_one_submitted() {
    run(Edit::ReplacedAndRecreated).await;
}
