//! SIGKILL before and after the writes that an approval depends on: the plan is shown, the approval is recorded, the
//! intent is stored. While no operator works, a desktop is assigned to another user, the approval is withdrawn, or the
//! request is created again with the approval of the first one. The next operator deletes what is approved then, or
//! nothing.

use std::sync::Arc;

use futures::future::join_all;
use invariants::reading::items;
use serde_json::{Value, json};
use testkit::Moment::{After, Before};
use testkit::{ApiServerProxy, ControlPlane, Moment, Operator, SERVICE_ACCOUNT, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::Submitted;

use crate::effects::Effect::{self, RecordApproval, RecordIntent, ShowPlan};
use crate::fixture::{pair, says};
use crate::oracle::{self, End, Run};
use crate::plans;
use crate::trial::{self, BOUND, Trial};

/// What happens while no operator works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// A desktop is assigned to another user.
    Reassigned,
    /// The approval is taken back.
    Withdrawn,
    /// The request is deleted and created again, with the approval of the first one.
    MadeAnew,
}

/// A write that the operator is killed at, and what happens then.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    moment: Moment,
    write: Effect,
    meanwhile: Meanwhile,
}

const fn case(name: &'static str, moment: Moment, write: Effect, meanwhile: Meanwhile) -> Case {
    Case {
        name,
        moment,
        write,
        meanwhile,
    }
}

use Meanwhile::{MadeAnew, Nothing, Reassigned, Withdrawn};

#[rustfmt::skip]
pub(crate) const CASES: [Case; 15] = [
    case("before-plan",               Before, ShowPlan,       Nothing),
    case("after-plan",                After,  ShowPlan,       Nothing),
    case("after-plan-swapped",        After,  ShowPlan,       Reassigned),
    case("before-approval",           Before, RecordApproval, Nothing),
    case("after-approval",            After,  RecordApproval, Nothing),
    case("before-approval-swapped",   Before, RecordApproval, Reassigned),
    case("after-approval-swapped",    After,  RecordApproval, Reassigned),
    case("before-approval-withdrawn", Before, RecordApproval, Withdrawn),
    case("after-approval-withdrawn",  After,  RecordApproval, Withdrawn),
    case("after-approval-remade",     After,  RecordApproval, MadeAnew),
    case("before-bound-swapped",      Before, RecordIntent,   Reassigned),
    // The call was never made: what is submitted in its place is compared once more.
    case("after-bound-swapped",       After,  RecordIntent,   Reassigned),
    case("before-bound-withdrawn",    Before, RecordIntent,   Withdrawn),
    case("after-bound-withdrawn",     After,  RecordIntent,   Withdrawn),
    case("after-bound-remade",        After,  RecordIntent,   MadeAnew),
];

impl Case {
    async fn run(&self, number: usize) -> Run {
        let control_plane = ControlPlane::shared().await;
        let namespace = control_plane.namespace(self.name).await.unwrap();
        control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        let mut desktops = trial::one_of_two_fails();
        for (desktop, user) in desktops.iter_mut().zip(["anna", "ben"]) {
            desktop["user"] = json!(user);
        }
        let trial = Trial::set(&namespace, self.name, number, &desktops).await;
        trial.require_approvals().await;
        let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT)
            .await
            .unwrap();
        let mut operators = Vec::new();
        let ended = self.go_through(&trial, &proxy, &mut operators).await;
        Run::new(trial, Arc::new(operators), Arc::new(proxy), ended)
    }

    async fn go_through(
        &self,
        trial: &Trial,
        proxy: &ApiServerProxy,
        operators: &mut Vec<Operator>,
    ) -> Result<Value, String> {
        let start = || trial::operator(proxy.kubeconfig(), trial.namespace.name());
        let trap = self.write.trap(proxy, self.moment, self.name);
        operators.push(start());
        trial.begin().await;
        let approved = if self.write == ShowPlan {
            Value::Null
        } else {
            approve(trial).await?
        };
        let caught = trap.sprung().await.map_err(|error| error.to_string())?;
        operators[0].kill().await.map_err(|error| error.to_string())?;
        // No operator is left to receive the effect or the response.
        drop(caught);
        match self.meanwhile {
            Nothing => {}
            Reassigned => trial.assign("pc-2", "eve"),
            Withdrawn => trial.change(json!({"approvedPlan": null})).await?,
            MadeAnew => trial.delete().await,
        }
        operators.push(start());
        if self.meanwhile == MadeAnew {
            recreated(trial, &approved).await?;
        }
        if let Some(reason) = self.waits() {
            let waits = |status: &Value| says(status, Submitted) == pair("False", reason);
            let either = |status: &Value| waits(status) || status["completionTime"].is_string();
            let status = trial.until("it waits or has ended", either).await?;
            if !waits(&status) {
                return Err(format!("it does not wait ({reason}): {status:#}"));
            }
            approve(trial).await?;
        }
        trial.ended().await
    }

    /// Why the request waits for a person after that; it does not if its approval still holds.
    fn waits(&self) -> Option<&'static str> {
        match self.meanwhile {
            _ if self.write == ShowPlan => Some("AwaitingApproval"),
            Nothing => None,
            Withdrawn => Some("AwaitingApproval"),
            Reassigned | MadeAnew => Some("PlanChanged"),
        }
    }

    fn judge(&self, run: &Run) -> Vec<String> {
        let posts = run.trial.own_posts();
        let mut wrong = Vec::new();
        wrong.extend(run.expect_end(&End::one_of_two_failed()));
        if posts.len() != 1 {
            wrong.push(format!("{}: it is submitted once: {posts:#?}", self.name));
        }
        wrong
    }
}

/// Waits until a plan is on show that is not approved and has the desktops as they are, and approves it. Gives its hash.
async fn approve(trial: &Trial) -> Result<Value, String> {
    let object = trial.object().await.ok_or("the request is gone")?;
    let named = &object.data["spec"]["approvedPlan"];
    let desktops = trial.cloud.simulator().desktops();
    let is_shown = |status: &Value| {
        let shown = |id: &str| items(status, "desktops").iter().find(|shown| shown["id"] == id);
        desktops
            .iter()
            .all(|desktop| shown(&desktop.id).is_some_and(|shown| shown["user"] == desktop.user))
    };
    let is_new = |status: &Value| {
        let hash = &status["plan"]["hash"];
        hash.is_string() && hash != named && is_shown(status)
    };
    let status = trial.until("the plan is shown", is_new).await?;
    let hash = &status["plan"]["hash"];
    trial.change(json!({"approvedPlan": hash})).await?;
    Ok(hash.clone())
}

/// Applies the request with that approval until it is another one.
async fn recreated(trial: &Trial, approved: &Value) -> Result<(), String> {
    let first = async || {
        trial
            .object()
            .await
            .filter(|o| o.metadata.deletion_timestamp.is_some())
    };
    let look = async || match first().await {
        Some(object) => Err(format!("it is still the first: {:#}", object.data)),
        None => Ok(()),
    };
    let gone = eventually("the first request is gone", BOUND, look).await;
    gone.map_err(|error| error.to_string())?;
    trial.begin_approved(approved).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_around_an_approval_deletes_only_approved_desktops() {
    let wanted = || CASES.iter().filter(|case| plans::is_wanted(case.name));
    let runs = join_all(wanted().enumerate().map(|(number, case)| case.run(number))).await;
    let mut broken = oracle::judge(&runs).await;
    for (case, run) in wanted().zip(&runs) {
        broken.extend(case.judge(run));
    }
    oracle::report(runs.len(), &broken);
}
