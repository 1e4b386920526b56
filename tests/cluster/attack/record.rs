//! One attempt: what was decided of it and what was true of it when it was written stays so (I4).

use serde_json::json;

use super::lies::{Lie, drop, lie, put};
use super::victims::{digest, error, finished, followed, in_doubt};

const OUTCOME: &str = "outcome is immutable once it is not Pending";
const JOBS: &str = "entries of jobIDs cannot be removed or changed, only added";
const ERROR: &str = "error is immutable once outcome is not Pending";
const FACTS: &str = "an attempt is immutable except for outcome, jobIDs and error";

pub(super) fn settled_again() -> Vec<Lie> {
    let outcome = |name, victim, path, outcome: &str| lie(name, victim, [put(path, outcome)], OUTCOME);
    let refused = "/attempts/0/outcome";
    let second = "/attempts/1/outcome";
    vec![
        outcome("open the accepted call again", followed, second, "Pending"),
        outcome(
            "say that the accepted call was refused",
            followed,
            second,
            "Rejected",
        ),
        outcome(
            "say that the accepted call was never sent",
            followed,
            second,
            "NotSent",
        ),
        outcome(
            "say that the accepted call had no effect",
            followed,
            second,
            "NoEffect",
        ),
        outcome(
            "say that the accepted call was found",
            followed,
            second,
            "Adopted",
        ),
        outcome("give the accepted call up", followed, second, "Abandoned"),
        outcome(
            "open the call that had no effect again",
            in_doubt,
            second,
            "Pending",
        ),
        outcome(
            "say that the call without effect was refused",
            in_doubt,
            second,
            "Rejected",
        ),
        outcome("open the refused call again", in_doubt, refused, "Pending"),
        outcome(
            "open a call of a finished request again",
            finished,
            second,
            "Pending",
        ),
        outcome(
            "clear a finished request of its call",
            finished,
            second,
            "NotSent",
        ),
        lie(
            "say that the refused call was accepted",
            in_doubt,
            [
                put(refused, "Accepted"),
                put("/attempts/0/jobIDs", json!(["job-9"])),
            ],
            OUTCOME,
        ),
        lie(
            "say that the call in doubt was accepted, and name no job",
            in_doubt,
            [put("/attempts/2/outcome", "Accepted")],
            "jobIDs is required when outcome is Accepted",
        ),
    ]
}

pub(super) fn jobs_and_errors() -> Vec<Lie> {
    vec![
        lie(
            "exchange the job of a call",
            followed,
            [put("/attempts/1/jobIDs", json!(["job-2"]))],
            JOBS,
        ),
        lie(
            "take the job from a call",
            followed,
            [drop("/attempts/1/jobIDs")],
            JOBS,
        ),
        lie(
            "empty the jobs of a call",
            followed,
            [put("/attempts/1/jobIDs", json!([]))],
            JOBS,
        ),
        lie(
            "take the job from a finished call",
            finished,
            [drop("/attempts/1/jobIDs")],
            JOBS,
        ),
        lie(
            "say that a call was refused for another reason",
            in_doubt,
            [put("/attempts/0/error", error("NotFound", 404))],
            ERROR,
        ),
        lie(
            "forget why a call was refused",
            in_doubt,
            [drop("/attempts/0/error")],
            ERROR,
        ),
        lie(
            "put an error to the accepted call",
            followed,
            [put("/attempts/1/error", error("InDoubt", 504))],
            ERROR,
        ),
    ]
}

/// Told of the accepted call, where the facts are what an auditor reads.
pub(super) fn facts() -> Vec<Lie> {
    let fact = |name, edit| lie(name, followed, [edit], FACTS);
    vec![
        fact(
            "say that another pod wrote it",
            put("/attempts/1/writer", "operator-9"),
        ),
        fact("say that it went with a token", put("/attempts/1/auth", "Token")),
        fact(
            "take a desktop out of its body",
            put("/attempts/1/desktopIDs", json!(["d1"])),
        ),
        fact(
            "order its body otherwise",
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
            "date it back",
            put("/attempts/1/signedAt", "2026-11-01T00:00:00Z"),
        ),
        fact(
            "let it live longer",
            put("/attempts/1/notAfter", "2027-12-01T00:00:00Z"),
        ),
        fact(
            "let it die sooner",
            put("/attempts/1/notAfter", "2026-12-01T00:00:01Z"),
        ),
        fact("hide when it dies", drop("/attempts/1/notAfter")),
        fact(
            "say that another plan was approved",
            put("/attempts/1/planHash", digest("9")),
        ),
        fact("say that no plan was approved", drop("/attempts/1/planHash")),
    ]
}

/// What was there before the call, told of the accepted call.
pub(super) fn baselines() -> Vec<Lie> {
    let fact = |name, edit| lie(name, followed, [edit], FACTS);
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
