//! Random situations: any status that legal transitions can produce, and anything read and remembered.

use std::collections::BTreeMap;

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, DesktopState, DesktopStatus, Outcome};
use desktop_deletion_operator::ids::{DesktopID, JobID};
use desktop_deletion_operator::plan::observed::{
    Circuit, ClockSkew, Deadline, Facts, NotBefore, Observed, PostResult, Request, SendPermit, SingleRead,
    Submission, Window,
};
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::status;
use desktop_deletion_operator::plan::step::{Intent, OutcomeUpdate};
use desktop_deletion_operator::plan::views::{
    DesktopObservation, DesktopView, Evidence, JobView, Listed, SubJobList, SubJobResult,
};
use desktop_deletion_operator::workspace::api::{SubJob, SubJobStatus};
use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::build::{Seen, attempt, failure, here, ids, job, jobs, minute, nonce, outcome_update, untouched};

mod approvals;

pub(crate) use approvals::{has_room, is_reserved, may_go};

use approvals::approvals;

/// Every outcome.
pub(crate) fn outcomes() -> [Outcome; 7] {
    [
        Outcome::Pending,
        Outcome::NotSent,
        Outcome::Rejected,
        Outcome::Accepted,
        Outcome::Adopted,
        Outcome::NoEffect,
        Outcome::Abandoned,
    ]
}

/// One step in the life of a status.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a handful live at a time
enum Move {
    Intend {
        body: Vec<DesktopID>,
        attempt: Attempt,
    },
    Settle {
        outcome: Outcome,
        class: ErrorClass,
        jobs: Vec<JobID>,
    },
    Tell {
        states: Vec<DesktopState>,
    },
}

fn all() -> Vec<DesktopID> {
    ids("a B c")
}

fn moves() -> impl Strategy<Value = Move> {
    let record_intent = (
        subsequence(all(), 1..=3),
        subsequence(jobs("j1 j2"), 0..=2),
        subsequence(all(), 0..=1),
        weighted(0.2, Just(())),
        any::<bool>(),
    )
        .prop_map(|(body, known, failed, token, incomplete)| {
            let token = token.is_some();
            Move::Intend {
                attempt: Attempt {
                    auth: if token {
                        AuthMethod::Token
                    } else {
                        AuthMethod::Signature
                    },
                    not_after: (!token).then(|| minute(15)),
                    baseline_job_ids: known,
                    baseline_failed_ids: failed.into_iter().filter(|id| body.contains(id)).collect(),
                    baseline_incomplete: incomplete,
                    ..attempt("a")
                },
                body,
            }
        });
    let settle = (
        select(outcomes().to_vec()),
        select(ErrorClass::ALL),
        subsequence(jobs("j3 j4 j5"), 1..=2),
    )
        .prop_map(|(outcome, class, jobs)| Move::Settle { outcome, class, jobs });
    let states = select(vec![
        DesktopState::Deleting,
        DesktopState::Deleted,
        DesktopState::Pending,
    ]);
    let tell = vec(states, 3).prop_map(|states| Move::Tell { states });
    prop_oneof![3 => record_intent, 3 => settle, 1 => tell]
}

/// Requests whose status came about by legal moves.
pub(crate) fn requests() -> impl Strategy<Value = Request> {
    (vec(moves(), 0..8), any::<[bool; 3]>()).prop_map(|(moves, [suspend, deleting, finalizer])| {
        let mut request = untouched("a B c").0.request;
        for (number, step) in moves.into_iter().enumerate() {
            take(&mut request, number, step);
        }
        Request {
            suspend,
            deleting,
            finalizer,
            ..request
        }
    })
}

/// Makes the move, if it is legal.
fn take(request: &mut Request, number: usize, step: Move) {
    let progress = Progress::reconciling(Reason::Submitting, "so it is".to_owned(), Requeue::JobChange);
    let next = match step {
        Move::Intend { body, attempt } => {
            let absent = all().into_iter().filter(|id| !body.contains(id));
            let desktops = absent
                .map(|id| DesktopStatus::new(&id, DesktopState::Absent))
                .collect();
            let attempt = Attempt {
                id: nonce(&format!("n{number}")),
                desktop_ids: body,
                ..attempt
            };
            status::record_intent(
                request,
                &Intent {
                    attempt,
                    project: here(),
                    desktops,
                    progress,
                },
                &minute(0),
            )
            .ok()
        }
        Move::Settle { outcome, class, jobs } => request.pending().cloned().and_then(|pending| {
            let refused = matches!(outcome, Outcome::Rejected | Outcome::NotSent | Outcome::Pending);
            let jobs = match outcome {
                Outcome::Accepted => jobs[..1].to_vec(),
                Outcome::Adopted => jobs,
                _ => vec![],
            };
            let outcome_update = OutcomeUpdate {
                attempt: pending.id,
                jobs,
                error: refused.then(|| failure(class)),
                ..outcome_update(outcome, "")
            };
            status::record_outcome(request, &outcome_update, &minute(2)).ok()
        }),
        Move::Tell { states } => {
            let news = all()
                .iter()
                .zip(states)
                .map(|(id, s)| DesktopStatus::new(id, s))
                .collect();
            Some(status::with_progress(
                request,
                &progress.with_desktops(news),
                &minute(3),
            ))
        }
    };
    if let Some(status) = next {
        request.status = status;
    }
}

fn views_of_desktops() -> impl Strategy<Value = DesktopView> {
    select(vec![
        DesktopView::Idle,
        DesktopView::Busy,
        DesktopView::Deleting,
        DesktopView::DeleteFailed,
        DesktopView::Missing,
        DesktopView::Unlisted,
        DesktopView::Gone,
    ])
}

fn folded() -> impl Strategy<Value = DesktopID> {
    select(ids("a b c"))
}

fn sub_job_lists() -> impl Strategy<Value = SubJobList> {
    let row = (
        select(jobs("j1 j2 j3 j4 j5")),
        select(ids("a b B c z")),
        select(vec![
            SubJobStatus::Waiting,
            SubJobStatus::Running,
            SubJobStatus::Success,
            SubJobStatus::Failed,
            SubJobStatus::Other,
        ]),
    )
        .prop_map(|(job, desktop, status)| SubJob {
            id: "sub".to_owned(),
            job,
            desktop,
            status,
            code: None,
            reason: None,
        });
    (vec(row, 0..4), any::<bool>()).prop_map(|(sub_jobs, complete)| SubJobList { sub_jobs, complete })
}

fn views() -> impl Strategy<Value = JobView> {
    let word = prop_oneof![
        Just(SubJobResult::Open),
        Just(SubJobResult::Success),
        of("[a-z]{0,300}").prop_map(|text| SubJobResult::Failed {
            code: text.clone(),
            reason: text
        }),
        of("[a-z]{0,300}").prop_map(|code| SubJobResult::Other { code }),
    ];
    (btree_map(folded(), word, 0..=3), any::<[bool; 3]>()).prop_map(
        |(results, [finished, unclear, complete])| JobView {
            finished,
            end_unknown: unclear,
            complete: finished && complete,
            parent_reason: None,
            results,
        },
    )
}

fn evidence_checks() -> impl Strategy<Value = Evidence> {
    (
        subsequence(jobs("j1 j3 j5"), 0..=2),
        subsequence(ids("a b c"), 0..=2),
        any::<bool>(),
    )
        .prop_map(|(jobs, affected, complete)| Evidence {
            jobs: jobs.into_iter().collect(),
            affected: affected.into_iter().collect(),
            complete,
        })
}

fn post_results() -> impl Strategy<Value = PostResult> {
    let refusals = select(
        ErrorClass::ALL
            .iter()
            .copied()
            .filter(|class| !matches!(class, ErrorClass::Unreachable | ErrorClass::InDoubt))
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        Just(PostResult::Accepted(job("j9"))),
        Just(PostResult::NotSent(failure(ErrorClass::Unreachable))),
        refusals.prop_map(|class| PostResult::Rejected(failure(class))),
        Just(PostResult::OutcomeUnknown(failure(ErrorClass::InDoubt))),
    ]
}

/// What the process may hold in memory about that request.
fn submissions(request: &Request) -> BoxedStrategy<Submission> {
    let signed = Attempt {
        id: nonce("signed"),
        desktop_ids: request.desktop_ids[..1].to_vec(),
        ..attempt("a")
    };
    let armed = |attempt: Attempt| {
        any::<bool>().prop_map(move |fresh| Submission::Signed {
            attempt: attempt.clone(),
            fresh,
        })
    };
    let common = prop_oneof![3 => Just(Submission::None), 1 => Just(Submission::InProgress)];
    match request.pending().cloned() {
        None => prop_oneof![3 => common, 2 => armed(signed)].boxed(),
        Some(pending) => {
            let id = pending.id.clone();
            let answered = post_results().prop_map(move |result| Submission::Responded {
                attempt: id.clone(),
                result,
            });
            prop_oneof![3 => common, 1 => armed(pending), 2 => answered, 1 => armed(signed)].boxed()
        }
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    let deadline = prop_oneof![
        4 => Just(Deadline::Ahead),
        1 => Just(Deadline::ClocksDisagree),
        2 => Just(Deadline::Passed),
    ];
    let start = prop_oneof![6 => Just(NotBefore::Reached), 1 => Just(NotBefore::ClockUnknown), 1 => Just(NotBefore::Ahead)];
    let window = prop_oneof![
        8 => Just(Window::Open),
        1 => Just(Window::ClockUnknown),
        1 => Just(Window::Closed { opens: None }),
        1 => Just(Window::Unknown),
    ];
    let skew = proptest::option::weighted(
        0.2,
        (-100_i64..100, any::<bool>()).prop_map(|(minutes, of_service)| ClockSkew {
            ahead: jiff::SignedDuration::from_mins(minutes),
            of_service,
        }),
    );
    let circuit = prop_oneof![
        6 => Just(Circuit::Closed),
        1 => Just(Circuit::NeedsRead),
        1 => Just(Circuit::Open),
    ];
    (any::<[bool; 13]>(), (start, window), deadline, skew, circuit).prop_map(
        |(
            [
                stopping,
                service_clock_known,
                retry_due,
                facts_missing_for_long,
                job_visibility_timeout_over,
                overdue,
                undocumented_for_long,
                expired,
                late,
                before_initial_poll,
                finalizer_missing,
                finalizer_due,
                progress_due,
            ],
            (start, window),
            deadline,
            clock_skew,
            circuit,
        )| Facts {
            hide_users: false,
            stopping,
            start,
            window,
            deadline,
            service_clock_known,
            retry_due,
            clock_skew,
            facts_missing_for_long,
            job_visibility_timeout_over,
            overdue,
            undocumented_for_long,
            call_expired: expired,
            recovery_timed_out: expired && late,
            before_initial_poll: !expired && before_initial_poll,
            finalizer_missing,
            finalizer_due,
            circuit,
            progress_due,
        },
    )
}

const PERMITS: &[SendPermit] = &[SendPermit::None, SendPermit::Held, SendPermit::Returned];

/// Anything that this reconciliation has read.
#[derive(Debug, Clone)]
struct Reads {
    project: u8,
    claim: u8,
    project_is_fresh: bool,
    permit: SendPermit,
    desktops: BTreeMap<DesktopID, DesktopObservation>,
    asked_singly: BTreeMap<DesktopID, SingleRead>,
    sub_job_list: Option<SubJobList>,
    jobs: BTreeMap<JobID, JobView>,
    read_failure: Option<ErrorClass>,
    earlier: Option<Evidence>,
    owners: BTreeMap<JobID, bool>,
    resolve: Option<String>,
}

/// What a read may fail with: only a submission is refused for its content.
fn error_of_read() -> impl Strategy<Value = ErrorClass> {
    let classes = ErrorClass::ALL.iter().copied();
    select(
        classes
            .filter(|class| *class != ErrorClass::InvalidRequest)
            .collect::<Vec<_>>(),
    )
}

fn reads() -> impl Strategy<Value = Reads> {
    let observation =
        (views_of_desktops(), any::<bool>(), approvals::details()).prop_map(|(view, twice, details)| {
            DesktopObservation {
                view,
                idle_twice: twice && view.is_idle(),
                name: None,
                facts: Box::default(),
                listed: Listed::Yes,
                details,
            }
        });
    let failed = |(class, in_a_row)| {
        let Seen(seen) = untouched("a").unreadable("a", class, in_a_row);
        seen.single_reads.into_values().next()
    };
    let single_read = prop_oneof![
        Just(Some(SingleRead::Succeeded)),
        (error_of_read(), 0_u32..6).prop_map(failed)
    ]
    .prop_filter_map("it is there", |read| read);
    let owners = btree_map(select(jobs("j1 j2 j3 j4 j5")), any::<bool>(), 0..=5);
    let verb = select(vec!["retry", "abandon", "adopt:j3", "adopt:j4", "nonsense"]);
    let resolve = (0..8, verb).prop_map(|(number, verb)| format!("n{number}={verb}"));
    (
        (0_u8..8, 0_u8..5, any::<bool>(), select(PERMITS)),
        (
            btree_map(folded(), observation, 0..=3),
            btree_map(folded(), single_read, 0..=3),
        ),
        (weighted(0.7, sub_job_lists()), owners),
        btree_map(select(jobs("j3 j4 j5")), views(), 0..=3),
        weighted(0.2, error_of_read()),
        of(evidence_checks()),
        weighted(0.2, resolve),
    )
        .prop_map(
            |(
                (project, claim, project_is_fresh, permit),
                (desktops, asked_singly),
                (sub_job_list, owners),
                jobs,
                read_failure,
                earlier,
                resolve,
            )| {
                Reads {
                    project,
                    claim,
                    project_is_fresh,
                    permit,
                    desktops,
                    asked_singly,
                    sub_job_list,
                    jobs,
                    read_failure,
                    earlier,
                    owners,
                    resolve,
                }
            },
        )
}

/// Any situation.
pub(crate) fn situations() -> impl Strategy<Value = Observed> {
    requests().prop_flat_map(|request| {
        let submissions = submissions(&request);
        let all = (
            Just(request),
            reads(),
            submissions,
            facts(),
            weighted(0.7, approvals()),
        );
        all.prop_map(|(request, reads, submission, facts, approvals)| {
            let seen = untouched("a B c");
            let seen = match reads.project {
                0 => seen,
                1 => seen.project_at("another"),
                2 => seen.obstacle(Reason::ProjectNotReady, false),
                3 => seen.obstacle(Reason::PermissionDenied, true),
                4 => seen.project_suspended(),
                _ => seen.project(),
            };
            let seen = match reads.claim {
                0 => seen,
                1 => seen.conflicting_request(Some("older")),
                _ => seen.claimed(),
            };
            let seen = match reads.read_failure {
                Some(class) => seen.read_failure(class),
                None => seen,
            };
            let Seen(mut seen) = seen;
            seen.request = request;
            seen.request.resolve = reads.resolve;
            seen.owned_by_other_request = reads.owners;
            seen.project_is_fresh = reads.project_is_fresh && seen.project.is_some();
            seen.permit = reads.permit;
            seen.desktops = reads.desktops;
            seen.single_reads = reads.asked_singly;
            seen.sub_job_list = reads.sub_job_list;
            seen.jobs = reads.jobs;
            seen.earlier_evidence = reads.earlier;
            seen.submission = submission;
            seen.facts = facts;
            seen.request.not_before = (facts.start != NotBefore::Reached).then(|| minute(60).0);
            match approvals {
                Some(approvals) => approvals.over(seen),
                None => seen,
            }
        })
    })
}
