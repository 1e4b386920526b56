//! SIGKILL before and after each effect, at every place where a crash leaves something different behind. Another
//! operator is then started, and must bring the request to the end that it has without a crash.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{ApiServerProxy, Caught, ControlPlane, Moment, SERVICE_ACCOUNT, Trap};

use crate::effects::Effect;
use crate::oracle::{self, End, Run};
use crate::plans;
use crate::trial::{self, Trial, lost};

/// Where the operator is killed.
#[derive(Debug, Clone)]
enum Point {
    /// Nowhere: the undisturbed run.
    Nowhere,
    /// The write is in flight, and lost; or it was carried out, and the response is lost.
    Write(Moment, Effect),
    /// The POST is in flight or answered; what the cloud does with it is a fault.
    Post(Value),
}

/// A kill, what the cloud does to the POST meanwhile, and what must be said of the submission in the end.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    point: Point,
    post: Option<Value>,
    submitted: &'static str,
}

fn write(name: &'static str, moment: Moment, effect: Effect, submitted: &'static str) -> Case {
    Case {
        name,
        point: Point::Write(moment, effect),
        post: None,
        submitted,
    }
}

fn post(name: &'static str, fault: Value, submitted: &'static str) -> Case {
    Case {
        name,
        point: Point::Post(fault),
        post: None,
        submitted,
    }
}

/// As [`write`], of a request whose POST took effect or not and whose response was lost before.
fn doubt(name: &'static str, moment: Moment, effect: Effect, took_effect: bool) -> Case {
    Case {
        name,
        point: Point::Write(moment, effect),
        post: Some(lost(took_effect, &json!("reset"))),
        submitted: if took_effect {
            "JobRecovered"
        } else {
            "JobAccepted"
        },
    }
}

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    use Effect::{AddFinalizer, DropFinalizer, Finish, RecordDoubt, RecordIntent, RecordOutcome, RecordProgress, RefuseResolve};
    use Moment::{After, Before};
    vec![
        Case { name: "undisturbed", point: Point::Nowhere, post: None, submitted: "JobAccepted" },
        write("before-finalizer", Before, AddFinalizer, "JobAccepted"),
        write("after-finalizer", After, AddFinalizer, "JobAccepted"),
        write("before-intent", Before, RecordIntent, "JobAccepted"),
        // The gap between intent and POST: one POST after the expiry of the first.
        write("after-intent", After, RecordIntent, "JobAccepted"),
        post("post-never-arrives", lost(false, &json!("timeout")), "JobAccepted"),
        post("post-arrives-later", lost(false, &json!({"delay": "3s"})), "JobRecovered"),
        post("post-accepted", lost(true, &json!("timeout")), "JobRecovered"),
        write("before-outcome", Before, RecordOutcome("Accepted"), "JobRecovered"),
        write("after-outcome", After, RecordOutcome("Accepted"), "JobAccepted"),
        write("before-progress", Before, RecordProgress, "JobAccepted"),
        write("after-progress", After, RecordProgress, "JobAccepted"),
        write("before-refusal", Before, RefuseResolve, "JobAccepted"),
        write("after-refusal", After, RefuseResolve, "JobAccepted"),
        write("before-release", Before, DropFinalizer, "JobAccepted"),
        write("after-release", After, DropFinalizer, "JobAccepted"),
        write("before-finish", Before, Finish, "JobAccepted"),
        write("after-finish", After, Finish, "JobAccepted"),
        doubt("before-doubt", Before, RecordDoubt, true),
        doubt("after-doubt", After, RecordDoubt, true),
        doubt("before-adoption", Before, RecordOutcome("Adopted"), true),
        doubt("after-adoption", After, RecordOutcome("Adopted"), true),
        doubt("before-no-effect", Before, RecordOutcome("NoEffect"), false),
        doubt("after-no-effect", After, RecordOutcome("NoEffect"), false),
    ]
}

impl Case {
    async fn run(&self, number: usize) -> Run {
        let control_plane = ControlPlane::shared().await;
        let namespace = control_plane
            .namespace(&format!("kill-{}", self.name))
            .await
            .unwrap();
        control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        let trial = Trial::set(&namespace, self.name, number, &trial::one_of_two_fails()).await;
        let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT)
            .await
            .unwrap();
        for fault in self.post.iter().chain(self.point.fault()) {
            trial.cloud.add_fault(fault).unwrap();
        }
        let trap = self.point.trap(&proxy, self.name);
        // An operator that is killed late has not recorded the response either.
        let unrecorded = matches!(self.point, Point::Post(_))
            .then(|| Effect::RecordOutcome("Accepted").trap(&proxy, Moment::Before, self.name));
        // Only a kill loses a response.
        let patient = ["--submission-timeout=10m"];
        let start = || trial::operator_with(proxy.kubeconfig(), namespace.name(), &patient);
        let mut operators = vec![start()];
        if matches!(self.point, Point::Write(_, Effect::RefuseResolve)) {
            trial.begin_annotated("nonsense").await;
        } else {
            trial.begin().await;
        }
        if !matches!(self.point, Point::Nowhere) {
            let caught = match reached(&trial, trap).await {
                Ok(caught) => caught,
                Err(why) => return Run::stuck(trial, operators, proxy, why),
            };
            operators[0].kill().await.unwrap();
            // No operator is left to receive the effect or the response.
            drop((caught, unrecorded));
            operators.push(start());
        }
        Run::to_its_end(trial, Arc::new(operators), Arc::new(proxy)).await
    }
}

impl Point {
    fn fault(&self) -> Option<&Value> {
        if let Self::Post(fault) = self {
            Some(fault)
        } else {
            None
        }
    }

    fn trap(&self, proxy: &ApiServerProxy, request: &str) -> Option<Trap> {
        if let Self::Write(moment, effect) = self {
            Some(effect.trap(proxy, *moment, request))
        } else {
            None
        }
    }
}

/// Waits until the operator is where it is to be killed.
///
/// # Errors
/// It never gets there.
async fn reached(trial: &Trial, trap: Option<Trap>) -> Result<Option<Caught>, String> {
    match trap {
        Some(trap) => trap.sprung().await.map(Some).map_err(|error| error.to_string()),
        None => trial.struck().await.map(|()| None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_before_or_after_any_effect_the_next_operator_can_finish_the_request() {
    let mut cases = cases();
    cases.retain(|case| plans::is_wanted(case.name));
    let runs = join_all(cases.iter().enumerate().map(|(number, case)| case.run(number))).await;
    let mut broken = oracle::judge(&runs).await;
    let undisturbed = End::one_of_two_failed();
    for (case, run) in cases.iter().zip(&runs) {
        broken.extend(run.expect_end(&undisturbed));
        broken.extend(run.expect_submitted(case.submitted));
    }
    oracle::report(cases.len(), &broken);
}
