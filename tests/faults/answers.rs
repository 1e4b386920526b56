//! The cloud rejects, loses or delays each of its calls, once, returns a wrong time in one response, or returns a list
//! without its rows, and is healthy again. All requests run at the same time, under one operator; each has its own
//! cloud.

use serde_json::{Value, json};

use crate::oracle::{self, End};
use crate::plans;
use crate::trial::{desktop, lost};
use crate::trial_group::TrialGroup;

/// A call of the cloud in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Before the submission: which desktops are there?
    AdmissionList,
    /// One was not in the list: is it gone?
    AdmissionShow,
    /// Who deletes them already?
    AdmissionSubJobs,
    /// The submission.
    Post,
    /// The poller: which jobs run?
    PollerSubJobs,
    /// The job has left that list: how did it end?
    PollerJob,
    /// The job says that they are gone: are they?
    VerifyingList,
    /// The response was lost: what do the desktops show?
    EvidenceList,
    /// What do the jobs show?
    EvidenceSubJobs,
}

const CALLS: [Call; 9] = [
    Call::AdmissionList,
    Call::AdmissionShow,
    Call::AdmissionSubJobs,
    Call::Post,
    Call::PollerSubJobs,
    Call::PollerJob,
    Call::VerifyingList,
    Call::EvidenceList,
    Call::EvidenceSubJobs,
];

const STATUSES: [u16; 11] = [400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504];

/// What the cloud does to one call.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    call: Call,
    /// The POST takes effect, and its response is lost.
    effect_first: bool,
    answer: Value,
}

fn case(call: Call, effect_first: bool, how: &str, answer: Value) -> Case {
    let effect = if effect_first { "-with-effect" } else { "" };
    Case {
        name: format!("{call:?}-{how}{effect}").to_lowercase(),
        call,
        effect_first,
        answer,
    }
}

fn status(status: u16) -> Value {
    // Of these only the first one says that it is about what the request holds.
    let code = if status == 400 { "WKS.0001" } else { "TEST.0001" };
    let mut answer =
        json!({"status": status, "body": {"error_code": code, "error_msg": "made up by a test"}});
    if status == 429 {
        answer["headers"] = json!({"Retry-After": "1"});
    }
    answer
}

/// A page of so many sub-jobs of others, that counts so many.
fn sub_jobs(count: usize, rows: usize) -> Value {
    let row = |number| {
        json!({
            "id": format!("sub-{number}"), "job_id": format!("job-{number}"), "job_type": "deleteDesktops",
            "status": "SUCCESS", "entities": {"desktop_id": "pc-of-somebody"},
        })
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    json!({"status": 200, "body": {"total_count": count, "jobs": rows}})
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for call in CALLS {
        cases.extend(STATUSES.map(|code| case(call, false, &code.to_string(), status(code))));
        cases.push(case(call, false, "reset", json!("reset")));
        cases.push(case(call, false, "timeout", json!("timeout")));
        cases.push(case(call, false, "date-ahead", json!({"dateAhead": "25m"})));
        cases.push(case(call, false, "date-behind", json!({"dateBehind": "25m"})));
    }
    for call in [Call::AdmissionSubJobs, Call::PollerSubJobs, Call::EvidenceSubJobs] {
        cases.push(case(call, false, "empty", sub_jobs(0, 0)));
        cases.push(case(call, false, "capped", sub_jobs(100, 100)));
        cases.push(case(call, false, "cut", sub_jobs(101, 100)));
    }
    // The response to a POST that took effect is lost.
    cases.extend([500, 502, 503, 504].map(|code| case(Call::Post, true, &code.to_string(), status(code))));
    cases.push(case(Call::Post, true, "reset", json!("reset")));
    cases.push(case(Call::Post, true, "timeout", json!("timeout")));
    cases.push(case(Call::Post, true, "cut", json!({"cutAfter": 9})));
    cases
}

impl Case {
    fn fault(&self) -> Value {
        let (operation, desktop) = match self.call {
            Call::AdmissionList | Call::VerifyingList | Call::EvidenceList => ("listDesktops", Some("pc-1")),
            Call::AdmissionShow => ("showDesktop", Some("pc-gone")),
            Call::AdmissionSubJobs | Call::PollerSubJobs | Call::EvidenceSubJobs => ("listSubJobs", None),
            Call::Post => ("batchDelete", None),
            Call::PollerJob => ("showJob", None),
        };
        json!({
            "operation": operation, "desktop": desktop, "nth": 1,
            "effectFirst": self.effect_first, "answer": self.answer,
        })
    }

    /// Such a call is made before the submission too, so that the fault must come after it.
    fn is_late(&self) -> bool {
        matches!(self.call, Call::PollerSubJobs | Call::VerifyingList) || self.seeks_evidence()
    }

    fn seeks_evidence(&self) -> bool {
        matches!(self.call, Call::EvidenceList | Call::EvidenceSubJobs)
    }

    /// How it ends: as without the fault, unless the cloud rejected the request as invalid.
    fn end(&self) -> End {
        let refused = self.call == Call::Post && self.answer["status"] == 400;
        let (truth, verdict, state) = if refused {
            ("False", "Rejected", "Failed")
        } else {
            ("True", "AllDeleted", "Deleted")
        };
        let also = (self.call == Call::AdmissionShow).then_some(("pc-gone", "Absent"));
        End::with(truth, verdict, [("pc-1", state)].into_iter().chain(also))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_response_does_not_change_the_final_result_unless_it_is_a_definite_rejection() {
    let mut cases = cases();
    cases.retain(|case| plans::is_wanted(&case.name));
    let mut group = TrialGroup::new("answers").await;
    for case in &cases {
        // The late fault must occur while the job runs, even on a slow machine.
        let running = if case.is_late() { "10s" } else { "2s" };
        let trial = group.add(&case.name, &[desktop("pc-1", running)]).await;
        if case.call == Call::AdmissionShow {
            trial.also_name("pc-gone");
        }
        if case.seeks_evidence() {
            trial.cloud.add_fault(&lost(true, &json!("reset"))).unwrap();
        }
        if !case.is_late() {
            trial.cloud.add_fault(&case.fault()).unwrap();
        }
    }
    let late = cases
        .iter()
        .map(|case| case.is_late().then(|| case.fault()))
        .collect::<Vec<_>>();
    let runs = group
        .run_with(async |trial, number| {
            if let Some(fault) = &late[number] {
                trial.effective_job().await.unwrap();
                trial.cloud.add_fault(fault).unwrap();
            }
        })
        .await;

    let mut broken = oracle::judge(&runs).await;
    for (case, run) in cases.iter().zip(&runs) {
        broken.extend(run.expect_end(&case.end()));
        let faults = run.trial.cloud.simulator().faults();
        if faults.iter().any(|fault| fault.struck == 0) {
            broken.push(format!("{}: the fault was never applied: {faults:?}", case.name));
        }
        if case.effect_first || case.seeks_evidence() {
            broken.extend(run.expect_submitted("JobRecovered"));
        }
    }
    oracle::report(cases.len(), &broken);
}
