//! Steps in few words, and the tables that compare them.

use std::collections::BTreeSet;

use desktop_deletion_operator::crd::deletion::{DesktopState, DesktopStatus};
use desktop_deletion_operator::plan::observed::SendPermit;
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::progress::{Activity, Progress};
use desktop_deletion_operator::plan::step::Step;

use super::build::Seen;

/// A situation and the step that follows.
pub(crate) struct Row {
    /// The situation and the step in words.
    pub(crate) name: &'static str,
    pub(crate) seen: Seen,
    /// The step as [`describe`] returns it.
    pub(crate) step: &'static str,
}

pub(crate) fn row(name: &'static str, seen: Seen, step: &'static str) -> Row {
    Row { name, seen, step }
}

/// Asks for the step of each situation. A permit to send is there once it is asked for, where the table does not ask for
/// that.
pub(crate) fn check(rows: &[Row]) {
    let mut names = BTreeSet::new();
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            assert!(names.insert(row.name), "two rows are called {:?}", row.name);
            let step = match plan(&row.seen.0) {
                Step::AcquirePermit if row.step != PERMIT => {
                    plan(&row.seen.clone().permit(SendPermit::Held).0)
                }
                step => step,
            };
            let step = describe(&step);
            (step != row.step).then(|| format!("{}\n  want: {}\n  got:  {step}", row.name, row.step))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The step that waits for a permit to send.
const PERMIT: &str = "permit";

/// A step as text. A wait and the write that first reports it read the same.
pub(crate) fn describe(step: &Step) -> String {
    match step {
        Step::ReadProject => "read the project".to_owned(),
        Step::ClaimDesktops => "claim".to_owned(),
        Step::ReadDesktops(ids) => format!("list {}", words(ids)),
        Step::ReadDesktop(id) => format!("get {id}"),
        Step::ReadDetails(ids) => format!("details {}", words(ids)),
        Step::ReadSubJobs => "list sub-jobs".to_owned(),
        Step::ReadOwner(job) => format!("owner of {job}"),
        Step::ReadJob(job) => format!("read {job}"),
        Step::AddFinalizer => "finalizer on".to_owned(),
        Step::DropFinalizer => "finalizer off".to_owned(),
        Step::AcquirePermit => PERMIT.to_owned(),
        Step::ReleasePermit => "permit back".to_owned(),
        Step::ReserveDesktops(count) => format!("reserve {count}"),
        Step::Sign(batch) => {
            let mut text = format!("sign {}", words(&batch.desktop_ids));
            note(&mut text, "known", &words(&batch.baseline_job_ids));
            note(&mut text, "failed before", &words(&batch.baseline_failed_ids));
            if batch.baseline_incomplete {
                text.push_str(", baseline incomplete");
            }
            text
        }
        Step::RecordIntent(intent) => {
            let mut text = format!("intend {}", words(&intent.attempt.desktop_ids));
            let absent = intent.desktops.iter().filter(|d| d.state == DesktopState::Absent);
            note(
                &mut text,
                "absent",
                &words(&absent.map(|d| d.id.clone()).collect::<Vec<_>>()),
            );
            format!("{text}: {}", progress(&intent.progress))
        }
        Step::Post => "post".to_owned(),
        Step::RecordOutcome(outcome_update) => {
            let mut text = format!("record {:?}", outcome_update.outcome);
            note(&mut text, "job", &words(&outcome_update.jobs));
            format!("{text}: {}", progress(&outcome_update.progress))
        }
        Step::RefuseResolve(refusal) => format!("refuse {}", refusal.value),
        Step::RecordProgress(told) | Step::Wait(told) => progress(told),
        Step::RecordApproval(told) => format!("approve: {}", progress(told)),
        Step::Finish(ending) => format!(
            "finish {} (submitted: {}){}",
            ending.succeeded,
            ending.submitted,
            desktop_states(&ending.desktops)
        ),
        Step::StartOver => "start over".to_owned(),
        Step::Done => "rest".to_owned(),
        #[allow(unreachable_patterns)] // a step that these tables do not contain yet is printed in full
        other => format!("{other:?}"),
    }
}

fn progress(progress: &Progress) -> String {
    let shows = match progress.activity {
        Activity::Reconciling(reason) if reason == progress.reason => "moving".to_owned(),
        Activity::Reconciling(reason) => reason.to_string().to_lowercase(),
        Activity::Paused => "held".to_owned(),
        Activity::Stalled => "stalled".to_owned(),
    };
    let mut text = format!("{} {shows} until {:?}", progress.reason, progress.requeue);
    if let Some(error) = &progress.error {
        note(&mut text, "error", error.class.as_str());
    }
    text += &desktop_states(&progress.desktops);
    if let Some(preview) = &progress.preview {
        let reasons = preview.updates.iter().map(|claim| claim.reason.as_str());
        let record = preview.approved.as_ref().map(|_| "recorded");
        let said: Vec<_> = reasons.chain(record).collect();
        text = format!("{text} [{}]", said.join(", "));
    }
    text
}

fn desktop_states(desktops: &[DesktopStatus]) -> String {
    let told: Vec<_> = desktops
        .iter()
        .map(|d| match &d.code {
            Some(code) => format!("{} {:?}/{code}", d.id, d.state),
            None => format!("{} {:?}", d.id, d.state),
        })
        .collect();
    if told.is_empty() {
        String::new()
    } else {
        format!("; {}", told.join(", "))
    }
}

fn note(text: &mut String, what: &str, told: &str) {
    if !told.is_empty() {
        *text = format!("{text}, {what} {told}");
    }
}

fn words<'a, T: ToString + 'a>(ids: impl IntoIterator<Item = &'a T>) -> String {
    ids.into_iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
