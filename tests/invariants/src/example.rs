//! Histories in which all holds, for tests to break.
#![allow(clippy::expect_used)] // an example that is not as expected says so by a panic

use crate::history::{
    Attempt, BaseVersion, Call, Desktop, History, Login, Moment, Object, Outcome, Post, Request, State,
    Status, Termination, Version, Write, WriteResult,
};
use crate::invariant::Violation;

/// The place of the version in which the intent shows.
pub(crate) const INTENT: usize = 1;

const DESKTOPS: [&str; 2] = ["pc-1", "pc-2"];

/// What happened, of each violation.
pub(crate) fn hows(broken: &[Violation]) -> Vec<&'static str> {
    broken.iter().map(|what| what.how).collect()
}

/// An attempt with this outcome.
pub(crate) fn with_outcome(outcome: Outcome) -> Attempt {
    attempt("n1", outcome, &[])
}

/// A request is created at 1, its intent is stored at 2, sent at 3, accepted at 5, finished at 10.
pub(crate) fn ordinary_history() -> History {
    History {
        requests: vec![request(
            "leavers",
            vec![
                (1, Status::default()),
                (2, with(vec![attempt("n1", Outcome::Pending, &[])])),
                (5, with(vec![attempt("n1", Outcome::Accepted, &["j1"])])),
                (10, finished()),
            ],
            &["the intent", "the outcome", "the verdict"],
        )],
        posts: vec![post(3, "n1", Some("j1"))],
        there: Some([].into()),
        calls: vec![Call {
            endpoint: "home".to_owned(),
            project: Some("project".to_owned()),
            credential: Some("key".to_owned()),
        }],
        logins: vec![Login {
            credential: "key".to_owned(),
            endpoint: "home".to_owned(),
            project: "project".to_owned(),
        }],
        ..History::default()
    }
}

/// The first attempt is lost and settled at 5 as one without effect; the second is sent at 7 and accepted.
pub(crate) fn second_attempt() -> History {
    let first = |outcome| attempt("n1", outcome, &[]);
    let second = |outcome, jobs| attempt("n2", outcome, jobs);
    let versions = vec![
        (1, Status::default()),
        (2, with(vec![first(Outcome::Pending)])),
        (5, with(vec![first(Outcome::NoEffect)])),
        (
            6,
            with(vec![first(Outcome::NoEffect), second(Outcome::Pending, &[])]),
        ),
        (
            8,
            with(vec![first(Outcome::NoEffect), second(Outcome::Accepted, &["j2"])]),
        ),
    ];
    let writes = ["the intent", "the doubt", "the second intent", "the outcome"];
    History {
        requests: vec![request("leavers", versions, &writes)],
        posts: vec![post(3, "n1", None), post(7, "n2", Some("j2"))],
        ..History::default()
    }
}

/// The same life twice, the second time by another request so much later.
pub(crate) fn second_request(later: Moment) -> History {
    let mut history = ordinary_history();
    let mut other = ordinary_history();
    let mut request = other.requests.remove(0);
    request.name = "twin".to_owned();
    for version in &mut request.versions {
        version.at += later;
        version.uid = "twin".to_owned();
        for attempt in &mut version.object.status.attempts {
            attempt.id.push_str("-twin");
            attempt.signature = Some("n1-twin".to_owned());
        }
    }
    request.writes.clear();
    let mut post = other.posts.remove(0);
    post.at += later;
    post.signature = Some("n1-twin".to_owned());
    history.requests.push(request);
    history.posts.push(post);
    history
}

/// The same life, but the job is not stored and the attempt ends like this.
pub(crate) fn without_the_job(outcome: Outcome) -> History {
    let mut history = ordinary_history();
    for version in &mut history.requests[0].versions {
        let status = &mut version.object.status;
        for attempt in status
            .attempts
            .iter_mut()
            .filter(|a| a.outcome != Outcome::Pending)
        {
            attempt.jobs.clear();
            attempt.outcome = outcome;
        }
    }
    history
}

/// The status in the end.
pub(crate) fn finished() -> Status {
    let deleted = |id: &str| Desktop {
        id: id.to_owned(),
        state: State::Deleted,
    };
    Status {
        desktops: DESKTOPS.map(deleted).to_vec(),
        finished: Some("at 10".to_owned()),
        verdict: Some("True AllDeleted".to_owned()),
        job: Some("j1".to_owned()),
        ..with(vec![attempt("n1", Outcome::Accepted, &["j1"])])
    }
}

fn with(attempts: Vec<Attempt>) -> Status {
    Status {
        attempts,
        project: Some("project".to_owned()),
        ..Status::default()
    }
}

fn request(name: &str, versions: Vec<(Moment, Status)>, writes: &[&str]) -> Request {
    let versions: Vec<_> = versions
        .into_iter()
        .map(|(at, status)| Version {
            at,
            uid: name.to_owned(),
            object: Object {
                spec: "as admitted".to_owned(),
                status,
                ..Object::default()
            },
            gone: false,
        })
        .collect();
    let writes = writes.iter().enumerate().map(|(from, write)| Write {
        name: (*write).to_owned(),
        by_operator: true,
        from: BaseVersion::Version(from),
        status: Some(versions[from + 1].object.status.clone()),
        result: WriteResult::Stored,
    });
    Request {
        name: name.to_owned(),
        admitted: DESKTOPS.map(str::to_owned).to_vec(),
        writes: writes.collect(),
        versions,
        termination: Termination::Reached,
        quiet_from: None,
        bases: [].into(),
        approvals: None,
    }
}

fn attempt(id: &str, outcome: Outcome, jobs: &[&str]) -> Attempt {
    Attempt {
        id: id.to_owned(),
        outcome,
        desktops: DESKTOPS.map(str::to_owned).to_vec(),
        digest: "sha256:1".to_owned(),
        signature: Some(id.to_owned()),
        not_after: Some(4),
        facts: format!("facts of {id}"),
        jobs: jobs.iter().map(|job| (*job).to_owned()).collect(),
        given_up: outcome == Outcome::Abandoned,
        plan: None,
    }
}

fn post(at: Moment, signature: &str, job: Option<&str>) -> Post {
    Post {
        at,
        digest: "sha256:1".to_owned(),
        desktops: DESKTOPS.map(str::to_owned).to_vec(),
        signature: Some(signature.to_owned()),
        left: None,
        job: job.map(str::to_owned),
    }
}
