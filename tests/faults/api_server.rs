//! The API server loses, refuses, holds or cuts each of the operator's writes, before or after it has carried it out,
//! and each of its reads. The requests of a test run at the same time, under one operator.

use std::sync::Mutex;

use serde_json::json;
use testkit::{Caught, Moment};

use crate::effects::{Effect, Read, owner_trap};
use crate::oracle::{self, End};
use crate::plans;
use crate::trial::{self, Trial, lost};
use crate::trial_group::TrialGroup;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallFault {
    /// The connection is closed: without an effect the request was lost, with it the response.
    Lost,
    /// No response arrives until the operator times out.
    Hung,
    /// It is answered with this status.
    Status(u16),
    /// The response breaks off in the middle.
    Cut,
}

const CALL_FAULTS: [CallFault; 10] = [
    CallFault::Lost,
    CallFault::Hung,
    CallFault::Status(401),
    CallFault::Status(403),
    CallFault::Status(409),
    CallFault::Status(429),
    CallFault::Status(500),
    CallFault::Status(503),
    CallFault::Status(504),
    CallFault::Cut,
];

/// A call of the API server.
#[derive(Debug, Clone, Copy)]
enum Call {
    Write(Effect),
    Read(Read),
    /// Whether another request has the job that was found.
    Owner,
}

/// What happens to one call of one request.
pub(crate) struct Case {
    pub(crate) name: String,
    call: Call,
    moment: Moment,
    fault: CallFault,
}

impl Case {
    fn new(call: Call, moment: Moment, fault: CallFault) -> Self {
        let name = match call {
            Call::Write(effect) => format!("{moment:?} {effect:?} {fault:?}"),
            Call::Read(read) => format!("{read:?} {fault:?}"),
            Call::Owner => format!("owner {fault:?}"),
        };
        let name = name
            .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            .to_lowercase();
        let name = name.trim_matches('-').replace("--", "-");
        Self {
            name,
            call,
            moment,
            fault,
        }
    }
}

fn writes(effects: &[Effect]) -> Vec<Case> {
    let mut cases = Vec::new();
    for effect in effects {
        for fault in CALL_FAULTS {
            cases.push(Case::new(Call::Write(*effect), Moment::After, fault));
            // There is nothing to cut yet.
            if fault != CallFault::Cut {
                cases.push(Case::new(Call::Write(*effect), Moment::Before, fault));
            }
        }
    }
    cases
}

fn reads(call: Call) -> [Case; CALL_FAULTS.len()] {
    CALL_FAULTS.map(|fault| Case::new(call, Moment::After, fault))
}

/// Calls of a request whose submission is answered.
pub(crate) fn answered() -> Vec<Case> {
    let mut cases = writes(&Effect::CALM);
    for read in [Read::Project, Read::Secret] {
        cases.extend(reads(Call::Read(read)));
    }
    cases
}

/// Calls of a request whose submission took effect and was not answered.
pub(crate) fn unanswered() -> Vec<Case> {
    let mut cases = writes(&[Effect::RecordDoubt, Effect::RecordOutcome("Adopted")]);
    cases.extend(reads(Call::Owner));
    cases
}

/// Calls of a request whose submission had no effect and was not answered.
pub(crate) fn without_effect() -> Vec<Case> {
    writes(&[Effect::RecordOutcome("NoEffect")])
}

impl CallFault {
    /// Applies the fault; a returned request stays held.
    fn strike(self, caught: Caught) -> Option<Caught> {
        match self {
            Self::Lost => caught.drop_connection(),
            Self::Hung => return Some(caught),
            Self::Status(status) => caught.answer(status).unwrap(),
            Self::Cut => caught.cut_answer(),
        }
        None
    }
}

/// Runs the cases; the first submission of each is answered, or took effect or not and was not answered.
async fn run(name: &str, mut cases: Vec<Case>, took_effect: Option<bool>) {
    cases.retain(|case| plans::is_wanted(&case.name));
    let mut group = TrialGroup::new(name).await;
    for case in &cases {
        let trial = group.add(&case.name, &trial::one_of_two_fails()).await;
        if let Some(took_effect) = took_effect {
            trial
                .cloud
                .add_fault(&lost(took_effect, &json!("reset")))
                .unwrap();
        }
    }
    let lay = |case: &Case| match case.call {
        Call::Write(effect) => Some(effect.trap(&group.proxy, case.moment, &case.name)),
        Call::Read(read) => Some(read.trap(&group.proxy, case.moment, &case.name)),
        // It names the job, which is not known yet.
        Call::Owner => None,
    };
    let traps: Vec<_> = cases.iter().map(|case| Mutex::new(lay(case))).collect();
    let proxy = group.proxy.clone();
    let run_one = async |trial: &Trial, number: usize| {
        let laid = traps[number].lock().unwrap().take();
        let trap = match laid {
            Some(trap) => trap,
            None => owner_trap(&proxy, &trial.effective_job().await?),
        };
        let caught = trap.sprung().await.map_err(|error| error.to_string())?;
        let held = cases[number].fault.strike(caught);
        let ended = trial.ended().await;
        drop(held);
        ended
    };
    let runs = group.run_each(run_one).await;
    let mut broken = oracle::judge(&runs).await;
    let undisturbed = End::one_of_two_failed();
    for run in &runs {
        broken.extend(run.expect_end(&undisturbed));
        if took_effect == Some(true) {
            broken.extend(run.expect_submitted("JobRecovered"));
        }
    }
    oracle::report(cases.len(), &broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_lost_refused_truncated_or_never_answered_does_not_change_the_final_result() {
    run("api-server", answered(), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_a_lost_response_is_resolved_does_not_change_the_final_result() {
    run("api-server-doubt", unanswered(), Some(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_while_a_lost_submission_is_resolved_does_not_change_the_final_result() {
    run("api-server-no-effect", without_effect(), Some(false)).await;
}
