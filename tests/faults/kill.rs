//! SIGKILL before and after each effect, at every place where a crash leaves something different behind. Another
//! operator is then started, and must bring the request to the end that it has without a crash.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{ApiServerProxy, ControlPlane, Moment, SERVICE_ACCOUNT, eventually};

use crate::effects::Effect;
use crate::oracle::{self, End, Run};
use crate::scene::{self, BOUND, Scene, desktop};

/// Where the operator is killed.
#[derive(Debug, Clone)]
enum Point {
    /// Nowhere: the undisturbed run.
    Nowhere,
    /// The write is on its way, and lost; or it was carried out, and nobody knows.
    Write(Moment, Effect),
    /// The POST is on its way or answered; what the cloud makes of it is a fault.
    Post(Value),
}

/// A kill, what the cloud does to the POST meanwhile, and what must be said of the submission in the end.
struct Case {
    name: &'static str,
    point: Point,
    post: Option<Value>,
    submitted: &'static str,
}

fn lost(effect_first: bool, answer: Value) -> Value {
    json!({"operation": "batchDelete", "nth": 1, "effectFirst": effect_first, "answer": answer})
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

/// As [`write`], of a request whose POST took effect or not and whose answer was lost before.
fn doubt(name: &'static str, moment: Moment, effect: Effect, took_effect: bool) -> Case {
    Case {
        name,
        point: Point::Write(moment, effect),
        post: Some(lost(took_effect, json!("reset"))),
        submitted: if took_effect {
            "JobRecovered"
        } else {
            "JobAccepted"
        },
    }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    use Effect::{AddFinalizer, DropFinalizer, Finish, RecordDoubt, RecordIntent, RecordOutcome, RecordProgress};
    use Moment::{After, Before};
    vec![
        Case { name: "undisturbed", point: Point::Nowhere, post: None, submitted: "JobAccepted" },
        write("before-finalizer", Before, AddFinalizer, "JobAccepted"),
        write("after-finalizer", After, AddFinalizer, "JobAccepted"),
        write("before-intent", Before, RecordIntent, "JobAccepted"),
        // The gap between intent and POST: one POST after the expiry of the first.
        write("after-intent", After, RecordIntent, "JobAccepted"),
        post("post-never-arrives", lost(false, json!("timeout")), "JobAccepted"),
        post("post-arrives-later", lost(false, json!({"delay": "3s"})), "JobRecovered"),
        post("post-accepted", lost(true, json!("timeout")), "JobRecovered"),
        write("before-outcome", Before, RecordOutcome("Accepted"), "JobRecovered"),
        write("after-outcome", After, RecordOutcome("Accepted"), "JobAccepted"),
        write("before-progress", Before, RecordProgress, "JobAccepted"),
        write("after-progress", After, RecordProgress, "JobAccepted"),
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
    async fn play(&self, number: usize) -> Run {
        let control_plane = ControlPlane::shared().await;
        let namespace = control_plane
            .namespace(&format!("kill-{}", self.name))
            .await
            .unwrap();
        control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        let desktops = [desktop("pc-1", "300ms"), desktop("pc-2", "2500ms")];
        let scene = Scene::set(&namespace, self.name, number, &desktops).await;
        let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT)
            .await
            .unwrap();
        let point = if let Point::Post(fault) = &self.point {
            Some(fault)
        } else {
            None
        };
        for fault in self.post.iter().chain(point) {
            scene.cloud.add_fault(fault).unwrap();
        }
        let trap = match self.point {
            Point::Write(moment, effect) => Some(effect.trap(&proxy, moment, self.name)),
            Point::Nowhere | Point::Post(_) => None,
        };

        let operator = scene::operator(proxy.kubeconfig(), namespace.name());
        scene.begin().await;
        let mut operators = vec![operator];
        if !matches!(self.point, Point::Nowhere) {
            let caught =
                match trap {
                    Some(trap) => Some(trap.sprung().await.unwrap_or_else(|error| {
                        panic!("{}: {error}\n{}", self.name, operators[0].log_tail())
                    })),
                    None => {
                        struck(&scene).await;
                        None
                    }
                };
            operators[0].kill().await.unwrap();
            // Nobody is left for whom it could be carried out or answered.
            drop(caught);
            operators.push(scene::operator(proxy.kubeconfig(), namespace.name()));
        }
        Run::to_its_end(scene, Arc::new(operators), Arc::new(proxy)).await
    }
}

async fn struck(scene: &Scene) {
    let look = async || {
        let faults = scene.cloud.simulator().faults();
        if faults.iter().all(|fault| fault.struck > 0) {
            Ok(())
        } else {
            Err(format!("{faults:?}"))
        }
    };
    eventually("the POST has arrived", BOUND, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_before_or_after_any_effect_leaves_what_the_next_one_needs() {
    let cases = cases();
    let runs = join_all(cases.iter().enumerate().map(|(number, case)| case.play(number))).await;
    let mut broken = oracle::judge(&runs).await;
    let undisturbed = End::all_deleted(["pc-1", "pc-2"]);
    for (case, run) in cases.iter().zip(&runs) {
        broken.extend(run.expect_end(&undisturbed));
        broken.extend(run.expect_submitted(case.submitted));
    }
    oracle::report(cases.len(), &broken);
}
