//! The points of the protocol: every call of a request's life in flight, either before its effect or after it with the
//! response in transit. The gap between two effects is the point at which the second one is in transit and has not
//! arrived: only the operator itself can distinguish the two. Each plan of this suite is a point times a fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{ApiRequest, ApiServerProxy, Caught, Moment, Trap, eventually};

use crate::effects::{Effect, is_get};
use crate::trial::{BOUND, Trial, lost};

/// One of them.
#[derive(Debug)]
pub(crate) struct Point {
    /// Its number, as names of plans begin with it.
    pub(crate) id: &'static str,
    /// What is in flight.
    pub(crate) meaning: &'static str,
    place: Place,
    /// The submission took effect and its response was lost before.
    response_lost: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// The operator reads the project of the request.
    ProjectRead,
    /// Before it signs it reads the Secret once more.
    LastProjectRead,
    /// A write to the request.
    Write(Moment, Effect),
    /// A call of the cloud.
    Cloud(Call),
}

/// Which call of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    AdmissionList,
    AdmissionSubJobs,
    PostUnheard,
    PostHeard,
    PollerSubJobs,
    VerifyingList,
    EvidenceSubJobs,
}

const fn point(id: &'static str, place: Place, doubt: bool, meaning: &'static str) -> Point {
    Point {
        id,
        meaning,
        place,
        response_lost: doubt,
    }
}

use Effect::{AddFinalizer, DropFinalizer, Finish, RecordDoubt, RecordIntent, RecordOutcome, RecordProgress};
use Moment::{After, Before};
use Place::{Cloud, LastProjectRead, ProjectRead, Write};

const ACCEPTED: Effect = RecordOutcome("Accepted");
const ADOPTED: Effect = RecordOutcome("Adopted");

#[rustfmt::skip]
pub(crate) const POINTS: [Point; 25] = [
    point("p00", ProjectRead,                    false, "the request was seen, and its project is being read"),
    point("p01", Cloud(Call::AdmissionList),     false, "its desktops are being listed"),
    point("p02", Cloud(Call::AdmissionSubJobs),  false, "the jobs that name them are being listed"),
    point("p03", Write(Before, AddFinalizer),    false, "the write of the finalizer is in flight"),
    point("p04", Write(After, AddFinalizer),     false, "the finalizer is stored, and the operator does not know"),
    point("p05", LastProjectRead,                       false, "project and Secret are checked for the last time"),
    point("p06", Write(Before, RecordIntent),    false, "the request is signed, and the write of the intent is in flight"),
    point("p07", Write(After, RecordIntent),     false, "the intent is stored, and nothing was sent"),
    point("p08", Cloud(Call::PostUnheard),       false, "the submission is in flight"),
    point("p09", Cloud(Call::PostHeard),         false, "the submission took effect, and its response is in flight"),
    point("p10", Write(Before, ACCEPTED),        false, "the response has arrived, and its record is in flight"),
    point("p11", Write(After, ACCEPTED),         false, "the response is recorded, and the operator does not know"),
    point("p12", Cloud(Call::PollerSubJobs),     false, "the running job is being polled"),
    point("p13", Cloud(Call::VerifyingList),     false, "the desktops are being verified"),
    point("p14", Write(Before, RecordProgress),  false, "the state of one desktop is being written"),
    point("p15", Write(After, RecordProgress),   false, "the state of one desktop is stored, and the operator does not know"),
    point("p16", Write(Before, DropFinalizer),   false, "the removal of the finalizer is in flight"),
    point("p17", Write(After, DropFinalizer),    false, "the finalizer is removed, and the operator does not know"),
    point("p18", Write(Before, Finish),          false, "the final result is being written"),
    point("p19", Write(After, Finish),           false, "the final result is stored, and the operator does not know"),
    point("p20", Write(Before, RecordDoubt),     true,  "the response was lost, and the record of that is in flight"),
    point("p21", Write(After, RecordDoubt),      true,  "the lost response is recorded, and the operator does not know"),
    point("p22", Cloud(Call::EvidenceSubJobs),   true,  "evidence is being read"),
    point("p23", Write(Before, ADOPTED),         true,  "the evidence is found, and the outcome is being written"),
    point("p24", Write(After, ADOPTED),          true,  "the attempt is settled, and the operator does not know"),
];

/// For how long a call of the cloud is in flight.
pub(crate) const IN_FLIGHT: &str = "3s";

/// The desktops of a request that passes all points: one is gone at once, and the other one's deletion fails some time
/// later. That it failed shows in the second read only, so that the first one was gone before.
pub(crate) fn desktops() -> [Value; 2] {
    running("failed", "10s")
}

/// The same with another result after another time.
pub(crate) fn running(result: &str, time: &str) -> [Value; 2] {
    [
        json!({"id": "pc-1"}),
        json!({"id": "pc-2", "outcome": {"result": result, "running": time}}),
    ]
}

/// A point of one trial that is waited for.
pub(crate) enum Laid {
    /// A call of the API server.
    Trap(Trap),
    /// A call of the cloud, whose fault is there already.
    Fault,
    /// The same, but such calls are made before the submission too: the faults are set when it has arrived, and its
    /// response is held until then.
    Late(Vec<Value>),
    /// Another task waits for it.
    Never,
}

/// A call that is in flight until it is released; a call of the cloud ends its flight by itself.
pub(crate) struct Held(Option<Caught>);

impl Held {
    /// Lets it go on.
    pub(crate) fn release(self) {
        if let Some(caught) = self.0 {
            caught.go_on();
        }
    }

    /// The connection is closed: the request, or the response to it, is lost.
    pub(crate) fn lose(self) {
        drop(self.0);
    }
}

impl Point {
    /// Prepares a trial that has not begun, so that its request stops at this point.
    pub(crate) fn lay(&self, proxy: &ApiServerProxy, trial: &Trial) -> Laid {
        self.lay_for(proxy, trial, IN_FLIGHT)
    }

    /// The same with another length of the flight in the cloud.
    pub(crate) fn lay_for(&self, proxy: &ApiServerProxy, trial: &Trial, in_flight: &str) -> Laid {
        self.doubt_in(trial);
        let Cloud(call) = self.place else {
            return self.lay_trap(proxy, trial);
        };
        let fault = call.fault(in_flight, 1);
        if call.is_late() {
            self.hold_response(trial);
            return Laid::Late(vec![fault]);
        }
        trial.cloud.add_fault(&fault).unwrap();
        Laid::Fault
    }

    /// The same for two replicas, each behind a proxy of its own; in the cloud the first two calls are in flight.
    pub(crate) fn lay_in_both(&self, proxies: &[Arc<ApiServerProxy>; 2], trial: &Trial) -> [Laid; 2] {
        self.doubt_in(trial);
        let Cloud(call) = self.place else {
            return [0, 1].map(|replica| self.lay_trap(&proxies[replica], trial));
        };
        let faults = [1, 2].map(|nth| call.fault(IN_FLIGHT, nth));
        if call.is_late() {
            self.hold_response(trial);
            return [Laid::Late(faults.to_vec()), Laid::Never];
        }
        for fault in faults {
            trial.cloud.add_fault(&fault).unwrap();
        }
        [Laid::Fault, Laid::Never]
    }

    fn doubt_in(&self, trial: &Trial) {
        if self.response_lost {
            trial.cloud.add_fault(&lost(true, &json!("reset"))).unwrap();
        }
    }

    /// Lets the response to the submission wait, if it is not lost: what is read after it can then be prepared in time.
    fn hold_response(&self, trial: &Trial) {
        if !self.response_lost {
            trial
                .cloud
                .add_fault(&lost(true, &json!({"delay": "1h"})))
                .unwrap();
        }
    }

    fn lay_trap(&self, proxy: &ApiServerProxy, trial: &Trial) -> Laid {
        let name = trial.name.clone();
        Laid::Trap(match self.place {
            LastProjectRead => proxy.trap(Before, 1, last_project_read(name)),
            Write(moment, effect) => effect.trap(proxy, moment, &name),
            ProjectRead | Cloud(_) => {
                proxy.trap(Before, 1, move |asked| is_get(asked, "workspaceprojects", &name))
            }
        })
    }

    /// The request may not yet have been submitted here: it is only prepared.
    pub(crate) fn is_before_the_intent(&self) -> bool {
        self.id <= "p06"
    }

    /// One desktop has been deleted while the other one is still being deleted.
    pub(crate) fn is_halfway(&self) -> bool {
        matches!(self.place, Write(_, RecordProgress))
    }

    /// What is in flight ends its flight by itself, so that a slow machine may come too late for it.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.place, Cloud(_))
    }

    /// The submission itself is in flight.
    pub(crate) fn is_submission(&self) -> bool {
        matches!(self.place, Cloud(Call::PostUnheard))
    }
}

impl Laid {
    /// Waits until the request is there.
    ///
    /// # Errors
    /// It never gets there.
    pub(crate) async fn held(self, trial: &Trial) -> Result<Held, String> {
        match self {
            Self::Trap(trap) => {
                let caught = trap.sprung().await.map_err(|error| error.to_string())?;
                return Ok(Held(Some(caught)));
            }
            Self::Fault => {}
            Self::Late(faults) => {
                trial.effective_job().await?;
                for fault in &faults {
                    trial.cloud.add_fault(fault).unwrap();
                }
                trial.cloud.simulator().end_delays();
            }
            Self::Never => std::future::pending().await,
        }
        trial.struck_first().await.map(|()| Held(None))
    }
}

impl Call {
    /// Such calls are made before the submission too.
    fn is_late(self) -> bool {
        matches!(
            self,
            Self::PollerSubJobs | Self::VerifyingList | Self::EvidenceSubJobs
        )
    }

    fn fault(self, in_flight: &str, nth: usize) -> Value {
        let (operation, desktop) = match self {
            Self::AdmissionList | Self::VerifyingList => ("listDesktops", Some("pc-1")),
            Self::AdmissionSubJobs | Self::PollerSubJobs | Self::EvidenceSubJobs => ("listSubJobs", None),
            Self::PostUnheard | Self::PostHeard => ("batchDelete", None),
        };
        json!({
            "operation": operation, "desktop": desktop, "nth": nth,
            "effectFirst": self == Self::PostHeard, "answer": {"delay": in_flight},
        })
    }
}

/// Picks the reads of the Secret that come after the finalizer.
fn last_project_read(name: String) -> impl Fn(&ApiRequest) -> bool + Send {
    let finalized = AtomicBool::new(false);
    move |asked| {
        if AddFinalizer.is(asked, &name) {
            finalized.store(true, Ordering::Relaxed);
        }
        finalized.load(Ordering::Relaxed) && is_get(asked, "secrets", &name)
    }
}

/// Waits until an operator has reconciled the request since `before` reads, or until it has ended.
pub(crate) async fn looked_at(trial: &Trial, proxy: &ApiServerProxy, before: usize) -> Result<(), String> {
    let look = async || {
        let reads = reads(trial, proxy);
        let status = trial.status().await;
        if reads > before || status["completionTime"].is_string() {
            Ok(())
        } else {
            Err(format!("{reads} reads, {before} before: {status:#}"))
        }
    };
    let looked = eventually("the request was reconciled", BOUND, look).await;
    looked.map_err(|error| error.to_string())
}

/// How often the project of the request was read, with which each reconciliation begins, or the request itself.
pub(crate) fn reads(trial: &Trial, proxy: &ApiServerProxy) -> usize {
    let read = |asked: &ApiRequest| {
        ["workspaceprojects", "desktopdeletions"]
            .iter()
            .any(|kind| is_get(asked, kind, &trial.name))
    };
    proxy.count(read)
}

/// The time after which a submission of this moment can no longer take effect nor be invisible, by the flags of all
/// trials: signature window, clock skew and job visibility timeout, and a second for a `Date` in whole seconds.
pub(crate) const EXPIRY: Duration = Duration::from_secs(6 + 3 + 1 + 1);
