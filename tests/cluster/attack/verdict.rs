//! A final result is final, the reported numbers are consistent, and a finished request does not change (I4).

use serde_json::{Value, json};

use super::forged_edits::{ForgedEdit, drop, forged_edit, put};
use super::victims::{
    approved, condition, digest, error, finished, followed, in_doubt, planned, summary, waiting,
};
use crate::crd_rules::attempt;

const SUCCEEDED: &str =
    "condition Succeeded is final: its status and reason can neither be changed nor removed";
const LISTED: &str =
    "status.desktops must list exactly the desktops of spec.desktopIDs, in the same spelling";
const COUNTS: &str = "summary must match status.desktops";
const GONE: &str = "condition Succeeded is True only if every desktop is Deleted or Absent";
const DECIDED: &str =
    "completionTime can be set only if condition Succeeded is True or False and no attempt is Pending";
const END: &str = "the request is finished: its status cannot change, except for jobs that are found late";

pub(super) fn taken_back() -> Vec<ForgedEdit> {
    let once = |name, edit, refusal| forged_edit(name, followed, [edit], refusal);
    let job = "jobID is written once and can neither be changed nor removed";
    let project = "project is written once and can neither be changed nor removed";
    let begun = "startTime is written once and can neither be changed nor removed";
    let ended = "completionTime is written once and can neither be changed nor removed";
    let count = "refusedAttempts cannot decrease";
    vec![
        once("name another job", put("/jobID", "job-2"), job),
        once("forget the job", drop("/jobID"), job),
        once(
            "change the region of the request",
            put("/project/region", "cn-north-4"),
            project,
        ),
        once(
            "change the project of the request",
            put("/project/projectID", "fedcba9876543210"),
            project,
        ),
        once(
            "change the endpoint of the request",
            put("/project/endpoint", "https://workspace.example.com"),
            project,
        ),
        once("remove the project of the request", drop("/project"), project),
        once(
            "say that it began later",
            put("/startTime", "2026-12-02T00:00:00Z"),
            begun,
        ),
        once("forget when it began", drop("/startTime"), begun),
        once("count fewer refusals", put("/refusedAttempts", 1), count),
        once("count no refusal", drop("/refusedAttempts"), count),
        forged_edit(
            "let a finished request run again",
            finished,
            [drop("/completionTime")],
            ended,
        ),
        forged_edit(
            "say that it ended later",
            finished,
            [put("/completionTime", "2026-12-02T00:00:00Z")],
            ended,
        ),
        forged_edit(
            "invert the final result",
            finished,
            [put("/conditions/0/status", "True")],
            SUCCEEDED,
        ),
        forged_edit(
            "set the final result back to Unknown",
            finished,
            [put("/conditions/0/status", "Unknown")],
            SUCCEEDED,
        ),
        forged_edit(
            "change the reason of the final result",
            finished,
            [put("/conditions/0/reason", "Expired")],
            SUCCEEDED,
        ),
        forged_edit(
            "remove the final result",
            finished,
            [drop("/conditions/0")],
            SUCCEEDED,
        ),
        forged_edit(
            "rename the condition of the final result",
            finished,
            [put("/conditions/0/type", "Failed")],
            SUCCEEDED,
        ),
        forged_edit(
            "remove all conditions",
            finished,
            [drop("/conditions")],
            SUCCEEDED,
        ),
    ]
}

pub(super) fn desktops_taken_back() -> Vec<ForgedEdit> {
    let once = |name, edit, refusal| forged_edit(name, followed, [edit], refusal);
    vec![
        once(
            "set a deleted desktop to another state",
            put("/desktops/0/state", "Failed"),
            "state is immutable once it is Deleted",
        ),
        once(
            "say that a deleted desktop was never submitted",
            put("/desktops/0/state", "Pending"),
            "once it is Deleted",
        ),
        once(
            "take a desktop off the list",
            drop("/desktops/1"),
            "entries of status.desktops cannot be removed",
        ),
        once(
            "exchange a desktop for another",
            put("/desktops/1/id", "d3"),
            "entries of status.desktops cannot be removed",
        ),
        once(
            "remove the list of desktops",
            drop("/desktops"),
            "desktops cannot be removed",
        ),
    ]
}

pub(super) fn made_up() -> Vec<ForgedEdit> {
    let count = |name, path, number: u32| forged_edit(name, followed, [put(path, number)], COUNTS);
    let succeeded = |status, reason| put("/conditions/0", condition("Succeeded", status, reason));
    let end = || put("/completionTime", "2026-12-01T01:00:00Z");
    let other = || json!({"id": "d3", "state": "Deleted"});
    vec![
        forged_edit(
            "claim success while a desktop is being deleted",
            followed,
            [succeeded("True", "AllDeleted")],
            GONE,
        ),
        forged_edit(
            "claim that all was gone before",
            in_doubt,
            [succeeded("True", "AlreadyAbsent")],
            GONE,
        ),
        forged_edit("finish without a final result", followed, [end()], DECIDED),
        forged_edit(
            "finish while the outcome of a call is unknown",
            in_doubt,
            [succeeded("False", "Abandoned"), end()],
            DECIDED,
        ),
        forged_edit(
            "end while a desktop is being deleted",
            followed,
            [succeeded("False", "Abandoned"), end()],
            "completionTime cannot be set while a desktop is Deleting",
        ),
        forged_edit(
            "list a desktop that is not in the spec",
            followed,
            [put("/desktops/-", other())],
            LISTED,
        ),
        forged_edit(
            "list some of the desktops",
            waiting,
            [put("/desktops", json!([{"id": "d1", "state": "Pending"}]))],
            LISTED,
        ),
        forged_edit(
            "list a desktop in another spelling",
            waiting,
            [put(
                "/desktops",
                json!([{"id": "d1", "state": "Pending"}, {"id": "D2", "state": "Pending"}]),
            )],
            LISTED,
        ),
        count("count more desktops", "/summary/total", 3),
        count("count one as absent", "/summary/absent", 1),
        count("count both as deleted", "/summary/deleted", 2),
        count("count none that is being deleted", "/summary/deleting", 0),
        count("count one as failed", "/summary/failed", 1),
        count("count one as not submitted", "/summary/pending", 1),
        count("count one as unknown", "/summary/unknown", 1),
    ]
}

pub(super) fn approvals() -> Vec<ForgedEdit> {
    let unshown = "approved can only be the plan that status.plan showed";
    let unapproved = "planHash of a Pending attempt must be status.approved.hash";
    let attempt = |digit| json!([attempt("new", "Pending", json!({"planHash": digest(digit)}))]);
    vec![
        forged_edit(
            "approve where no plan was shown",
            waiting,
            [put("/approved", approved("0"))],
            unshown,
        ),
        forged_edit(
            "approve another plan than was shown",
            planned,
            [put("/approved", approved("1"))],
            unshown,
        ),
        forged_edit(
            "approve a plan in the write that shows it",
            planned,
            [put("/plan/hash", digest("1")), put("/approved", approved("1"))],
            unshown,
        ),
        forged_edit(
            "record an intent for a plan that was not approved",
            planned,
            [put("/attempts", attempt("0"))],
            unapproved,
        ),
        forged_edit(
            "record an intent for another plan than the approved one",
            planned,
            [put("/approved", approved("0")), put("/attempts", attempt("1"))],
            unapproved,
        ),
    ]
}

pub(super) fn after_the_end() -> Vec<ForgedEdit> {
    let late = |name, edit| forged_edit(name, finished, [edit], END);
    let more = || condition("Approved", "True", "Everybody");
    vec![
        late("say that it is ready", put("/conditions/1/status", "True")),
        late(
            "change the message of the final result",
            put("/conditions/0/message", "a person wanted it so"),
        ),
        late(
            "say that nothing was submitted",
            put("/conditions/3/status", "False"),
        ),
        late(
            "give another reason for the submission",
            put("/conditions/3/reason", "JobRecovered"),
        ),
        late("remove the condition Stalled", drop("/conditions/2")),
        late("rename a condition", put("/conditions/2/type", "Approved")),
        late("add a condition", put("/conditions/-", more())),
        late(
            "set an earlier time of a condition",
            put("/conditions/1/lastTransitionTime", "2026-11-01T00:00:00Z"),
        ),
        late(
            "say that an earlier generation was seen",
            put("/observedGeneration", 0),
        ),
        late("show another plan", put("/plan/delete", 1)),
        late("show no plan", drop("/plan")),
        late(
            "say that another plan was approved",
            put("/approved", approved("1")),
        ),
        late("say that nothing was approved", drop("/approved")),
        late(
            "say that an approval was refused",
            put("/refusedPlan", digest("1")),
        ),
        late(
            "say that the cloud does not report a fact",
            put("/desktops/1/missingFacts", json!(["Users"])),
        ),
        late("forget the generation that was seen", drop("/observedGeneration")),
        forged_edit("say that the failed desktop is gone", finished, gone(), END),
        late(
            "say that the failed desktop is being deleted",
            put("/desktops/1/state", "Deleting"),
        ),
        late(
            "give the failure another code",
            put("/desktops/1/code", "StillPresent"),
        ),
        late(
            "explain the failure otherwise",
            put("/desktops/1/message", "it never existed"),
        ),
        late("hide why it failed", drop("/desktops/1/message")),
        late("change the name of the desktop", put("/desktops/1/name", "PC-9")),
        late(
            "give another last error",
            put("/lastError", error("Throttled", 429)),
        ),
        late("hide the last error", drop("/lastError")),
        late("count more refusals", put("/refusedAttempts", 4)),
        late("forget a refused call", drop("/attempts/0")),
        late("remove the summary", drop("/summary")),
    ]
}

/// The failed desktop as deleted, counted rightly.
fn gone() -> Vec<super::forged_edits::Edit> {
    let counts: Value = summary(&[("deleted", 2)]);
    vec![put("/desktops/1/state", "Deleted"), put("/summary", counts)]
}
