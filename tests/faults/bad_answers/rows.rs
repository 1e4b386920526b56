//! The responses. A row says to which call a response comes, what it is, and what the request says meanwhile.

use std::fmt::Write;

use serde_json::{Value, json};

/// A call of the cloud in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
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
}

impl Call {
    /// Such a call is made before the submission too, or not before it, so that the fault must come after it.
    pub(super) fn is_late(self) -> bool {
        matches!(self, Self::PollerSubJobs | Self::PollerJob | Self::VerifyingList)
    }
}

/// What happens to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubmissionResult {
    /// It takes effect, and its response says so.
    Accepted,
    /// It takes effect, and its response does not say so.
    Lost,
    /// It takes no effect, and its response does not say so.
    NoEffect,
}

/// One case.
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) call: Call,
    pub(super) fate: SubmissionResult,
    /// In the simulator's words; `JOB` stands for the job of the submission.
    pub(super) answer: Value,
    /// What the status of the request says meanwhile; empty where there is nothing to be said.
    pub(super) told: &'static str,
}

impl Row {
    /// A name for Kubernetes objects.
    pub(super) fn name(&self) -> String {
        let call = format!("{:?}", self.call).to_lowercase();
        let what = self.what.to_lowercase();
        let words: Vec<_> = what
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| !w.is_empty())
            .collect();
        let fate = if self.fate == SubmissionResult::NoEffect {
            "-no-effect"
        } else {
            ""
        };
        format!("{call}-{}{fate}", words.join("-"))
    }

    /// The fault that gives the response: to the first submission, or to every call until it is taken away.
    pub(super) fn fault(&self, job: &str) -> Value {
        let (operation, desktop) = match self.call {
            Call::AdmissionList | Call::VerifyingList => ("listDesktops", Some("pc-1")),
            Call::AdmissionShow => ("showDesktop", Some("pc-gone")),
            Call::AdmissionSubJobs | Call::PollerSubJobs => ("listSubJobs", None),
            Call::Post => ("batchDelete", None),
            Call::PollerJob => ("showJob", None),
        };
        let answer: Value = serde_json::from_str(&self.answer.to_string().replace("JOB", job)).unwrap();
        json!({
            "operation": operation, "desktop": desktop,
            "nth": (self.call == Call::Post).then_some(1),
            "effectFirst": self.call == Call::Post && self.fate != SubmissionResult::NoEffect,
            "answer": answer,
        })
    }

    /// The reason of `Submitted` in the end.
    pub(super) fn submitted(&self) -> &'static str {
        match self.fate {
            SubmissionResult::Accepted | SubmissionResult::NoEffect => "JobAccepted",
            SubmissionResult::Lost => "JobRecovered",
        }
    }

    /// Whether the response takes longer than the submission timeout.
    pub(super) fn times_out(&self) -> bool {
        self.told == LATE
    }

    /// How many submissions arrive; of two the first has no effect.
    pub(super) fn posts(&self) -> usize {
        if self.fate == SubmissionResult::NoEffect {
            2
        } else {
            1
        }
    }
}

/// All rows; redirects lead to `sink`.
pub(super) fn all(sink: &str) -> Vec<Row> {
    let mut rows = submissions(sink);
    rows.extend(lists_of_desktops(sink));
    rows.extend(desktops());
    rows.extend(lists_of_sub_jobs(sink));
    rows.extend(later());
    rows
}

/// A job of another client.
const OTHER: &str = "00000000000000000000000000000bad";

const EMPTY: &str = "it is empty";
const NO_OBJECT: &str = "not a JSON object";
const COMPRESSED: &str = "unexpected Content-Encoding";
const LATE: &str = "timed out";

fn text(status: u16, body: &str) -> Value {
    json!({"status": status, "body": body})
}

fn html(status: u16) -> Value {
    let page =
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body>{\"job_id\":\"JOB\"}</body></html>";
    json!({"status": status, "headers": {"Content-Type": "text/html"}, "body": page})
}

/// 1 GiB of blanks in 1.8 kB.
fn bomb(status: u16) -> Value {
    let bytes = include_bytes!("../../fixtures/workspace/bomb.gz.gz");
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    json!({"status": status, "headers": {"Content-Encoding": "gzip, gzip"}, "bodyHex": hex})
}

fn redirect(status: u16, to: &str) -> Value {
    json!({"status": status, "headers": {"Location": to}, "body": ""})
}

/// Arrays in arrays, deeper than any reader goes.
fn deep(status: u16, field: &str) -> Value {
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    text(status, &format!("{{\"{field}\":{open}{close}}}"))
}

#[rustfmt::skip]
fn submissions(sink: &str) -> Vec<Row> {
    use SubmissionResult::{Lost, NoEffect};
    let row = |what, fate, answer, told| Row { what, call: Call::Post, fate, answer, told };
    vec![
        row("202 without a body", Lost, text(202, ""), EMPTY),
        row("202 without a body", NoEffect, text(202, ""), EMPTY),
        row("202 without job_id", Lost, json!({"status": 202, "body": {}}), "no job_id"),
        row("202 without job_id", NoEffect, json!({"status": 202, "body": {"jobId": "a"}}), "no job_id"),
        row("202 with job_id null", Lost, json!({"status": 202, "body": {"job_id": null}}), "no job_id"),
        row("202 with a number as job_id", Lost, json!({"status": 202, "body": {"job_id": 7}}), "job_id is not a string"),
        row("202 with an object as job_id", Lost, json!({"status": 202, "body": {"job_id": {"id": "a"}}}), "job_id is not a string"),
        row("202 with an empty job_id", Lost, json!({"status": 202, "body": {"job_id": ""}}), "a job ID must be"),
        row("202 with a path as job_id", Lost, json!({"status": 202, "body": {"job_id": "../desktops"}}), "a job ID must be"),
        row("202 with a job_id of 256 characters", Lost, json!({"status": 202, "body": {"job_id": "x".repeat(256)}}), "a job ID must be"),
        row("202 with two values of job_id", Lost, text(202, r#"{"job_id":"a","job_id":"b"}"#), "duplicate field"),
        row("202 with an array", Lost, json!({"status": 202, "body": ["job_id"]}), NO_OBJECT),
        row("202 with a text", NoEffect, json!({"status": 202, "body": "accepted"}), NO_OBJECT),
        row("202 with a byte order mark", Lost, text(202, "\u{feff}{\"job_id\":\"a\"}"), NO_OBJECT),
        row("202 with half an object", NoEffect, text(202, r#"{"job_id":"#), "unexpected JSON"),
        row("202 with a page in HTML", Lost, html(202), NO_OBJECT),
        row("202 with a page in HTML", NoEffect, html(202), NO_OBJECT),
        row("202 nested deeply", Lost, deep(202, "job_id"), "recursion limit exceeded"),
        row("202 as a bomb in gzip", Lost, bomb(202), COMPRESSED),
        row("202 as a bomb in gzip", NoEffect, bomb(202), COMPRESSED),
        row("202 without an end", Lost, json!("endless"), "it is longer than 65536 bytes"),
        row("202 of one byte a second", Lost, json!({"drip": "1s"}), LATE),
        row("200 without a body", NoEffect, text(200, ""), EMPTY),
        row("200 with a page in HTML", Lost, html(200), NO_OBJECT),
        row("204", Lost, text(204, ""), EMPTY),
        row("301 to another host", NoEffect, redirect(301, sink), r#""httpStatus":301"#),
        row("302 to another host", NoEffect, redirect(302, sink), r#""httpStatus":302"#),
        row("303 to another host", Lost, redirect(303, sink), r#""httpStatus":303"#),
        row("307 to another host", NoEffect, redirect(307, sink), r#""httpStatus":307"#),
        row("308 to another host", Lost, redirect(308, sink), r#""httpStatus":308"#),
        row("307 to itself", NoEffect, redirect(307, "?again"), r#""httpStatus":307"#),
        row("302 to no host at all", Lost, redirect(302, "//"), r#""httpStatus":302"#),
        row("a status that does not exist", Lost, text(799, "?"), r#""httpStatus":799"#),
        row("202 without a date", Lost, json!({"status": 202, "headers": {"Date": null}, "body": ""}), EMPTY),
        row("202 with a date that is none", Lost, json!({"status": 202, "headers": {"Date": "soon"}, "body": ""}), EMPTY),
    ]
}

#[rustfmt::skip]
fn lists_of_desktops(sink: &str) -> Vec<Row> {
    let row = |what, answer, told| Row { what, call: Call::AdmissionList, fate: SubmissionResult::Accepted, answer, told };
    let body = |body: Value| json!({"status": 200, "body": body});
    vec![
        row("200 without a body", text(200, ""), EMPTY),
        row("200 with a page in HTML", html(200), NO_OBJECT),
        row("200 with an array", body(json!([])), NO_OBJECT),
        row("202 in place of 200", json!({"status": 202, "body": {"total_count": 0, "desktops": []}}), "HTTP 202"),
        row("no total_count", body(json!({"desktops": []})), "no total_count"),
        row("a negative total_count", body(json!({"total_count": -1, "desktops": []})), "no total_count"),
        row("no desktops", body(json!({"total_count": 1, "desktops": null})), "no desktops"),
        row("nested deeply", deep(200, "desktops"), "recursion limit exceeded"),
        row("a bomb in gzip", bomb(200), COMPRESSED),
        row("without an end", json!("endless"), "it is longer than 8388608 bytes"),
        row("301 to another host", redirect(301, sink), "HTTP 301"),
        row("302 to another host", redirect(302, sink), "HTTP 302"),
        row("303 to another host", redirect(303, sink), "HTTP 303"),
        row("307 to another host", redirect(307, sink), "HTTP 307"),
        row("308 to another host", redirect(308, sink), "HTTP 308"),
    ]
}

#[rustfmt::skip]
fn desktops() -> Vec<Row> {
    let row = |what, answer, told| Row { what, call: Call::AdmissionShow, fate: SubmissionResult::Accepted, answer, told };
    vec![
        row("another desktop", json!({"status": 200, "body": {"desktop": {"desktop_id": "pc-1"}}}), "instead of pc-gone"),
        row("no desktop", json!({"status": 200, "body": {"desktop": []}}), "no desktop"),
        row("404 with a page in HTML", html(404), "HTTP 404"),
        row("404 of the gateway", json!({"status": 404, "body": {"error_code": "APIGW.0101"}}), "APIGW.0101"),
        row("410", json!({"status": 410, "body": {}}), "HTTP 410"),
    ]
}

#[rustfmt::skip]
fn lists_of_sub_jobs(sink: &str) -> Vec<Row> {
    let row = |what, answer, told| Row { what, call: Call::AdmissionSubJobs, fate: SubmissionResult::Accepted, answer, told };
    let body = |body: Value| json!({"status": 200, "body": body});
    vec![
        row("200 without a body", text(200, ""), EMPTY),
        row("200 with a page in HTML", html(200), NO_OBJECT),
        row("no total_count", body(json!({"jobs": []})), "no total_count"),
        row("no jobs", body(json!({"total_count": 1})), "no jobs"),
        row("nested deeply", deep(200, "jobs"), "recursion limit exceeded"),
        row("a bomb in gzip", bomb(200), COMPRESSED),
        row("without an end", json!("endless"), "it is longer than 8388608 bytes"),
        row("307 to another host", redirect(307, sink), "HTTP 307"),
    ]
}

/// A list of one sub-job of the submission.
fn own(status: &str, more: &Value) -> Value {
    let mut sub_job = json!({
        "id": "sub-1", "job_id": "JOB", "job_type": "deleteDesktops", "status": status,
        "entities": {"desktop_id": "pc-1"},
    });
    for (key, value) in more.as_object().unwrap() {
        sub_job[key] = value.clone();
    }
    json!({"status": 200, "body": {"total_count": 1, "jobs": [sub_job]}})
}

/// Once the submission was accepted. What is readable here and not true is believed no more than the desktop itself.
#[rustfmt::skip]
fn later() -> Vec<Row> {
    let row = |what, call, answer, told| Row { what, call, fate: SubmissionResult::Accepted, answer, told };
    let body = |body: Value| json!({"status": 200, "body": body});
    let (list, job) = (Call::PollerSubJobs, Call::PollerJob);
    let others = json!([
        {"id": "sub-1", "job_id": OTHER, "status": "FAILED", "entities": {"desktop_id": "pc-1"}},
        {"id": "sub-2", "job_id": OTHER, "status": "SUCCESS", "entities": {"desktop_id": "pc-2"}},
    ]);
    vec![
        row("a page in HTML", list, html(200), NO_OBJECT),
        row("a bomb in gzip", list, bomb(200), COMPRESSED),
        row("an unknown status", list, own("CANCELLED", &json!({})), ""),
        row("no status", list, own("", &json!({})), ""),
        row("an object as status", list, own("", &json!({"status": {"of": "it"}})), ""),
        row("times without a zone", list, own("RUNNING", &json!({"begin_time": "2026-01-01 00:00:00", "end_time": "1970-01-01T00:00:00"})), ""),
        row("sub-jobs of others", list, body(json!({"total_count": 2, "jobs": others})), ""),
        row("sub-jobs that are none", list, body(json!({"total_count": 3, "jobs": [null, "x", {"job_id": "JOB"}]})), ""),
        row("no sub-jobs", list, body(json!({"total_count": 0, "jobs": []})), ""),
        row("no sub-jobs though there is one", list, body(json!({"total_count": 1, "jobs": []})), ""),
        row("a page that shifts, and the same row for ever", list, body(json!({"total_count": 5000, "jobs": others})), ""),
        row("a failure of a desktop that is not in the batch", list,
            own("FAILED", &json!({"entities": {"desktop_id": "pc-2"}})), ""),
        row("a failure while the desktop is being deleted", list, own("FAILED", &json!({})), ""),
        row("another job", job, body(json!({"id": OTHER, "status": "SUCCESS"})), "it describes job 00000000000000000000000000000bad instead of"),
        row("an unknown status", job, body(json!({"id": "JOB", "status": "EXPLODED"})), ""),
        row("success without sub-jobs", job, body(json!({"id": "JOB", "status": "SUCCESS", "sub_jobs": null})), ""),
        row("failure without sub-jobs", job, body(json!({"id": "JOB", "status": "FAIL", "sub_jobs": []})), ""),
        row("sub-jobs of others", job, body(json!({"id": "JOB", "status": "FAIL", "sub_jobs": others})), ""),
        row("a page in HTML", job, html(200), NO_OBJECT),
        row("nested deeply", job, deep(200, "sub_jobs"), "recursion limit exceeded"),
        row("a page in HTML", Call::VerifyingList, html(200), NO_OBJECT),
        row("another desktop", Call::VerifyingList,
            body(json!({"total_count": 1, "desktops": [{"desktop_id": "pc-2", "status": "ACTIVE"}]})), ""),
        row("fewer desktops than it counts", Call::VerifyingList, body(json!({"total_count": 1, "desktops": []})), ""),
    ]
}
