//! One attempt: what was decided of it and what was true of it when it was written stays so (I4).

use serde_json::json;

use super::forged_edits::{ForgedEdit, drop, forged_edit, put};
use super::victims::{digest, error, finished, followed, in_doubt};

const OUTCOME: &str = "outcome is immutable once it is not Pending";
const JOBS: &str = "entries of jobIDs cannot be removed or changed, only added";
const ERROR: &str = "error is immutable once outcome is not Pending";
const FACTS: &str = "an attempt is immutable except for outcome, jobIDs and error";

pub(super) fn settled_again() -> Vec<ForgedEdit> {
    let outcome =
        |name, victim, path, outcome: &str| forged_edit(name, victim, [put(path, outcome)], OUTCOME);
    let refused = "/attempts/0/outcome";
    let second = "/attempts/1/outcome";
    vec![
        outcome(
            "set the accepted call back to Pending",
            followed,
            second,
            "Pending",
        ),
        outcome("set the accepted call to Rejected", followed, second, "Rejected"),
        outcome("set the accepted call to NotSent", followed, second, "NotSent"),
        outcome("set the accepted call to NoEffect", followed, second, "NoEffect"),
        outcome("set the accepted call to Adopted", followed, second, "Adopted"),
        outcome(
            "set the accepted call to Abandoned",
            followed,
            second,
            "Abandoned",
        ),
        outcome(
            "set the call without effect back to Pending",
            in_doubt,
            second,
            "Pending",
        ),
        outcome(
            "set the call without effect to Rejected",
            in_doubt,
            second,
            "Rejected",
        ),
        outcome(
            "set the rejected call back to Pending",
            in_doubt,
            refused,
            "Pending",
        ),
        outcome(
            "set a call of a finished request back to Pending",
            finished,
            second,
            "Pending",
        ),
        outcome(
            "set the call of a finished request to an outcome without effect",
            finished,
            second,
            "NotSent",
        ),
        forged_edit(
            "set the rejected call to Accepted",
            in_doubt,
            [
                put(refused, "Accepted"),
                put("/attempts/0/jobIDs", json!(["job-9"])),
            ],
            OUTCOME,
        ),
        forged_edit(
            "set the call with unknown outcome to Accepted without a job",
            in_doubt,
            [put("/attempts/2/outcome", "Accepted")],
            "jobIDs is required when outcome is Accepted",
        ),
    ]
}

pub(super) fn jobs_and_errors() -> Vec<ForgedEdit> {
    vec![
        forged_edit(
            "exchange the job of a call",
            followed,
            [put("/attempts/1/jobIDs", json!(["job-2"]))],
            JOBS,
        ),
        forged_edit(
            "take the job from a call",
            followed,
            [drop("/attempts/1/jobIDs")],
            JOBS,
        ),
        forged_edit(
            "empty the jobs of a call",
            followed,
            [put("/attempts/1/jobIDs", json!([]))],
            JOBS,
        ),
        forged_edit(
            "take the job from a finished call",
            finished,
            [drop("/attempts/1/jobIDs")],
            JOBS,
        ),
        forged_edit(
            "change the error of a rejected call",
            in_doubt,
            [put("/attempts/0/error", error("NotFound", 404))],
            ERROR,
        ),
        forged_edit(
            "remove the error of a rejected call",
            in_doubt,
            [drop("/attempts/0/error")],
            ERROR,
        ),
        forged_edit(
            "add an error to the accepted call",
            followed,
            [put("/attempts/1/error", error("InDoubt", 504))],
            ERROR,
        ),
    ]
}

/// Told of the accepted call, where the facts are what an auditor reads.
pub(super) fn facts() -> Vec<ForgedEdit> {
    let fact = |name, edit| forged_edit(name, followed, [edit], FACTS);
    vec![
        fact(
            "change the pod that wrote it",
            put("/attempts/1/writer", "operator-9"),
        ),
        fact(
            "change the authentication to a token",
            put("/attempts/1/auth", "Token"),
        ),
        fact(
            "take a desktop out of its body",
            put("/attempts/1/desktopIDs", json!(["d1"])),
        ),
        fact(
            "change the order of its body",
            put("/attempts/1/desktopIDs", json!(["d2", "d1"])),
        ),
        fact(
            "put a desktop into its body",
            put("/attempts/1/desktopIDs", json!(["d1", "d2", "d3"])),
        ),
        fact(
            "give it another digest",
            put("/attempts/1/bodyDigest", format!("sha256:{}", "f".repeat(64))),
        ),
        fact(
            "set an earlier signature time",
            put("/attempts/1/signedAt", "2026-11-01T00:00:00Z"),
        ),
        fact(
            "extend its expiry",
            put("/attempts/1/notAfter", "2027-12-01T00:00:00Z"),
        ),
        fact(
            "shorten its expiry",
            put("/attempts/1/notAfter", "2026-12-01T00:00:01Z"),
        ),
        fact("remove its expiry", drop("/attempts/1/notAfter")),
        fact(
            "say that another plan was approved",
            put("/attempts/1/planHash", digest("9")),
        ),
        fact("say that no plan was approved", drop("/attempts/1/planHash")),
    ]
}

/// The baseline of the accepted call, that is, the jobs that existed before it.
pub(super) fn baselines() -> Vec<ForgedEdit> {
    let fact = |name, edit| forged_edit(name, followed, [edit], FACTS);
    vec![
        fact(
            "add an earlier job",
            put("/attempts/1/baselineJobIDs", json!(["job-0", "job-1"])),
        ),
        fact("hide the earlier jobs", drop("/attempts/1/baselineJobIDs")),
        fact(
            "add an earlier failure",
            put("/attempts/1/baselineFailedIDs", json!(["d1", "d2"])),
        ),
        fact("hide the earlier failures", drop("/attempts/1/baselineFailedIDs")),
        fact(
            "say that there were more earlier jobs",
            put("/attempts/1/baselineIncomplete", true),
        ),
    ]
}
