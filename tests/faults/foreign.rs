//! What other clients do to the desktops of a request whose response was lost, and what had happened to them before, is
//! not mistaken for its own effect, and never leads to a second submission of desktops that are being deleted.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::manifests;

use crate::fixture::entry;
use crate::oracle::{self, End, Run};
use crate::trial::{Trial, desktop, lost};
use crate::trial_group::TrialGroup;

/// What was, or is done by others, around a submission whose response is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// A person deletes one of two desktops of a submission that had no effect.
    ConsoleInstead,
    /// A person deletes one of two desktops of a submission that had its effect.
    ConsoleToo,
    /// An earlier deletion of the desktop had failed.
    FailedBefore,
    /// Another request's job names the desktop.
    JobOfAnother,
}

const CASES: [Case; 4] = [
    Case::ConsoleInstead,
    Case::ConsoleToo,
    Case::FailedBefore,
    Case::JobOfAnother,
];

impl Case {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn desktops(self) -> Vec<Value> {
        match self {
            Self::ConsoleInstead | Self::ConsoleToo => vec![desktop("pc-1", "1h"), desktop("pc-2", "1h")],
            Self::FailedBefore => vec![json!({"id": "pc-1", "taskStatus": "deleteFailed"})],
            // The other request's deletion fails, so that the desktop is there and idle afterwards.
            Self::JobOfAnother => vec![json!({"id": "pc-1", "outcome": "failed"})],
        }
    }

    async fn meanwhile(self, trial: &Trial) {
        trial.struck().await.unwrap();
        match self {
            Self::ConsoleInstead | Self::ConsoleToo => {
                trial.console_deletes(&["pc-1"]).await;
                trial.cloud.simulator().end_jobs();
            }
            Self::FailedBefore => {}
            Self::JobOfAnother => {
                another_request_has(trial, &trial.console_deletes(&["pc-1"]).await).await;
                // By now it has failed, or will not any more; the next deletion goes well.
                trial.cloud.add_desktop(&json!({"id": "pc-1"})).unwrap();
            }
        }
    }

    fn judge(self, run: &Run) -> Vec<String> {
        let Ok(status) = &run.ended else { return vec![] };
        let end = match self {
            Self::ConsoleInstead => End::with(
                "False",
                "PartiallyFailed",
                [("pc-1", "Deleted"), ("pc-2", "Failed")],
            ),
            Self::ConsoleToo => End::with("True", "AllDeleted", [("pc-1", "Deleted"), ("pc-2", "Deleted")]),
            Self::FailedBefore | Self::JobOfAnother => End::with("True", "AllDeleted", [("pc-1", "Deleted")]),
        };
        let mut wrong: Vec<_> = run.expect_end(&end).into_iter().collect();
        let own = run.trial.own_posts().len();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{}: not so: {what}: {status:#}", run.trial.name));
            }
        };
        match self {
            Self::ConsoleInstead => {
                check(own == 1, "nothing is sent again");
                check(
                    entry(status, "pc-2")["code"] == "NotSubmitted",
                    "the other desktop was not submitted",
                );
            }
            Self::ConsoleToo => {
                check(own == 1, "nothing is sent again");
                check(
                    status["jobID"] == run.trial.job().unwrap_or_default(),
                    "the job is the one that covers both",
                );
            }
            Self::FailedBefore | Self::JobOfAnother => {
                check(own == 2, "it is submitted again");
                check(
                    status["attempts"][0]["outcome"] == "NoEffect",
                    "the first submission had no effect",
                );
                check(
                    status["jobID"] == run.trial.job().unwrap_or_default(),
                    "the job is its own",
                );
            }
        }
        if self == Self::FailedBefore {
            check(
                status["attempts"][0]["baselineFailedIDs"] == json!(["pc-1"]),
                "the failure was known before",
            );
        }
        wrong
    }
}

/// A request that waits for its release, and whose status names this job.
async fn another_request_has(trial: &Trial, job: &str) {
    let name = format!("{}-other", trial.name);
    let mut manifest = manifests::desktop_deletion(&name, &trial.name, ["pc-1"]);
    manifest["spec"]["suspend"] = json!(true);
    trial.namespace.apply(&manifest).await.unwrap();
    let status = Patch::Merge(json!({"status": {"jobID": job}}));
    let requests = trial.namespace.deletions();
    requests
        .patch_status(&name, &PatchParams::default(), &status)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_by_other_clients_are_not_mistaken_for_the_effect_of_a_submission_whose_response_was_lost()
{
    let mut group = TrialGroup::new("foreign").await;
    // No evidence is read before what others do has been done.
    group.flags = &["--signature-window=20s"];
    for case in CASES {
        let trial = group.add(&case.name(), &case.desktops()).await;
        let took_effect = case == Case::ConsoleToo;
        trial
            .cloud
            .add_fault(&lost(took_effect, &json!("reset")))
            .unwrap();
    }
    let runs = group
        .run_with(async |trial, number| CASES[number].meanwhile(trial).await)
        .await;
    let mut broken = oracle::judge(&runs).await;
    for (case, run) in CASES.iter().zip(&runs) {
        broken.extend(case.judge(run));
    }
    oracle::report(CASES.len(), &broken);
}
