//! Each rule at the moment at which its result changes, with clocks that are true, wrong and unknown.

use std::time::Duration;

use desktop_deletion_operator::config::Timing;
use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, CloudError, Outcome};
use desktop_deletion_operator::crd::project::SubmittedDesktops;
use desktop_deletion_operator::plan::clocks::Clocks;
use desktop_deletion_operator::plan::deadlines::{
    Deadlines, FactInputs, drop_stale, exponential, is_stale, oldest_admitting_read, oldest_gone, with_jitter,
};
use desktop_deletion_operator::plan::memory::{RequestMemory, SubmissionFailure};
use desktop_deletion_operator::plan::observed::{
    Circuit, Deadline, Facts, NotBefore, ReadTime, ReadTimes, Request,
};
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::views::DesktopView;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build::{self, failure, timing, untouched};

/// Seconds: what is left of a call with the flags that the operator has by itself.
const WINDOW: i64 = 900;
const SKEW: i64 = 300;
const JOB_VISIBILITY: i64 = 120;
/// A call has expired: signature window, clock skew and job visibility timeout.
const OVER: i64 = WINDOW + SKEW + JOB_VISIBILITY;
/// When an accepted call must show: it is sent within 60 s, answered within 120 s.
const SHOWN: i64 = 60 + 120 + JOB_VISIBILITY;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_600_000 + seconds).unwrap()
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.unsigned_abs())
}

fn attempt(outcome: Outcome) -> Attempt {
    Attempt {
        signed_at: Time(at(0)),
        not_after: Some(Time(at(WINDOW))),
        outcome,
        ..build::attempt("a")
    }
}

fn refused(class: ErrorClass) -> Attempt {
    let error = CloudError {
        time: Time(at(0)),
        ..failure(class)
    };
    Attempt {
        error: Some(error),
        ..attempt(Outcome::Rejected)
    }
}

/// A request created at 0, and what this process knows of it since its start.
struct Case {
    request: Request,
    memory: RequestMemory,
    clocks: Clocks,
    began: i64,
    submitted: Vec<SubmittedDesktops>,
}

impl Case {
    fn new(attempts: Vec<Attempt>) -> Self {
        let mut request = untouched("a").0.request;
        request.created = Some(at(0));
        request.finalizer = true;
        request.status.attempts = attempts;
        let mut memory = RequestMemory::default();
        memory.observe(&request, Duration::ZERO);
        let case = Self {
            request,
            memory,
            clocks: Clocks {
                uptime: Duration::ZERO,
                local: at(0),
                service: Some(at(0)),
                api_server: Some(at(0)),
            },
            began: 0,
            submitted: vec![],
        };
        case.later(0)
    }

    /// So many seconds later, by every clock; the reconciliation begins then.
    fn later(mut self, by: i64) -> Self {
        self.clocks = self.clocks.at(self.clocks.uptime + seconds(by));
        self.began += by;
        self
    }

    fn ours(mut self, ahead: i64) -> Self {
        self.clocks.local += SignedDuration::from_secs(ahead);
        self
    }

    fn service(mut self, ahead: i64) -> Self {
        self.clocks.service = self
            .clocks
            .service
            .map(|clock| clock + SignedDuration::from_secs(ahead));
        self
    }

    fn service_unknown(mut self) -> Self {
        self.clocks.service = None;
        self
    }

    fn facts(&self) -> Facts {
        let timing = timing();
        self.with(&timing, |rules| {
            rules.facts(&FactInputs {
                hide_users: false,
                stopping: false,
                credentials: None,
                began: seconds(self.began),
                circuit: Circuit::Closed,
            })
        })
    }

    fn with<T>(&self, timing: &Timing, ask: impl FnOnce(&Deadlines<'_>) -> T) -> T {
        ask(&Deadlines {
            request: &self.request,
            memory: &self.memory,
            clocks: self.clocks,
            timing,
            windows: &[],
            submitted: &self.submitted,
        })
    }

    fn delay(&self, requeue: Requeue) -> Duration {
        let timing = timing();
        self.with(&timing, |rules| rules.delay(requeue))
    }
}

fn unknown_outcome() -> Case {
    Case::new(vec![attempt(Outcome::Pending)])
}

#[test]
fn a_call_has_expired_once_both_clocks_are_past_its_expiry() {
    for (what, case, over) in vec![
        ("a moment before", unknown_outcome().later(OVER - 1), false),
        ("then", unknown_outcome().later(OVER), true),
        ("ours is ahead", unknown_outcome().later(OVER - 1).ours(60), false),
        (
            "the service's is ahead",
            unknown_outcome().later(OVER - 1).service(60),
            false,
        ),
        (
            "ours is behind",
            unknown_outcome().later(OVER + 59).ours(-60),
            false,
        ),
        (
            "ours is behind, and past it",
            unknown_outcome().later(OVER + 60).ours(-60),
            true,
        ),
        (
            "the service lies far ahead",
            unknown_outcome().later(180).service(1500),
            false,
        ),
        (
            "and at the right time",
            unknown_outcome().later(OVER).service(1500),
            false,
        ),
        (
            "past it by the difference",
            unknown_outcome().later(OVER + 1500).service(1500),
            true,
        ),
        (
            "a day ahead, by one clock or the other",
            unknown_outcome().later(OVER).ours(86_400),
            false,
        ),
        (
            "abandoned: the same",
            Case::new(vec![attempt(Outcome::Abandoned)]).later(OVER - 1),
            false,
        ),
        (
            "abandoned, over",
            Case::new(vec![attempt(Outcome::Abandoned)]).later(OVER),
            true,
        ),
        ("nothing in doubt", Case::new(vec![]).later(OVER), false),
    ] {
        assert_eq!(case.facts().call_expired, over, "{what}");
    }
}

#[test]
fn two_clocks_that_are_wrong_one_after_the_other_do_not_expire_a_call() {
    let both_ahead = |by| unknown_outcome().later(by).ours(2 * OVER).service(2 * OVER);
    assert!(!both_ahead(180).facts().call_expired, "the API server's clock");
    assert!(both_ahead(OVER).facts().call_expired, "past it by all three");
    let mut stopped = both_ahead(OVER + 2 * SKEW - 1);
    stopped.clocks.api_server = Some(at(0));
    assert!(!stopped.facts().call_expired, "the API server's clock is behind");
    let mut stopped = both_ahead(OVER + 2 * SKEW);
    stopped.clocks.api_server = Some(at(0));
    assert!(
        stopped.facts().call_expired,
        "this process has known it for long enough"
    );
}

#[test]
fn without_the_services_clock_a_call_expires_by_the_uptime_of_this_process_and_the_api_servers_clock() {
    let span = OVER + 2 * SKEW;
    let doubt = || unknown_outcome().service_unknown();
    for (what, case, over) in [
        ("a moment before", doubt().later(span - 1), false),
        ("then", doubt().later(span), true),
        (
            "our clock does not count",
            doubt().later(span - 1).ours(86_400),
            false,
        ),
        (
            "not even if it is behind",
            doubt().later(span).ours(-86_400),
            true,
        ),
    ] {
        assert_eq!(case.facts().call_expired, over, "{what}");
    }
    let mut behind = doubt().later(span);
    behind.clocks.api_server = Some(at(span - 1));
    assert!(!behind.facts().call_expired, "the API server's clock counts");
    let mut late = doubt().later(span);
    late.memory = RequestMemory::default();
    late.memory.observe(&late.request, seconds(1));
    assert!(!late.facts().call_expired, "this process saw it a second later");
}

#[test]
fn reads_count_as_evidence_only_if_they_began_after_the_call_had_expired() {
    let mut case = unknown_outcome().later(OVER);
    case.began -= 1;
    assert!(!case.facts().call_expired);
}

#[test]
fn a_token_with_unknown_expiry_is_assumed_to_live_for_a_day() {
    let token = Attempt {
        auth: AuthMethod::Token,
        not_after: None,
        ..attempt(Outcome::Pending)
    };
    let over = 86_400 + SKEW + JOB_VISIBILITY;
    assert!(
        !Case::new(vec![token.clone()])
            .later(over - 1)
            .facts()
            .call_expired
    );
    assert!(Case::new(vec![token]).later(over).facts().call_expired);
}

#[test]
fn the_recovery_timeout_passes_half_an_hour_after_the_expiry() {
    assert!(!unknown_outcome().later(OVER + 1799).facts().recovery_timed_out);
    assert!(unknown_outcome().later(OVER + 1800).facts().recovery_timed_out);
    assert!(
        !unknown_outcome()
            .later(OVER + 1800)
            .service(1500)
            .facts()
            .recovery_timed_out
    );
}

#[test]
fn the_visibility_timeout_and_the_overdue_time_of_an_accepted_call_need_both_clocks() {
    let accepted = || Case::new(vec![attempt(Outcome::Accepted)]);
    for (case, expected) in [
        (accepted().later(SHOWN - 1), false),
        (accepted().later(SHOWN), true),
        (accepted().later(SHOWN - 1).ours(200), false),
        (accepted().later(SHOWN - 1).service(200), false),
        (Case::new(vec![]), true),
    ] {
        assert_eq!(case.facts().job_visibility_timeout_over, expected);
    }
    assert!(!accepted().later(3599).ours(200).facts().overdue);
    assert!(accepted().later(3600).ours(200).facts().overdue);
    assert!(!accepted().later(3600).service(-1).facts().overdue);
}

#[test]
fn the_earliest_time_of_a_submission_is_reached_by_both_clocks() {
    let due = || {
        let mut case = Case::new(vec![]);
        case.request.not_before = Some(at(1000));
        case
    };
    let alone = |mut case: Case| {
        (case.clocks.service, case.clocks.api_server) = (None, None);
        case
    };
    for (what, case, start) in [
        ("none is given", Case::new(vec![]), NotBefore::Reached),
        ("before", due().later(999), NotBefore::Ahead),
        ("at it", due().later(1000), NotBefore::Reached),
        ("by ours", due().later(999).ours(60), NotBefore::Ahead),
        ("by the service's", due().later(999).service(60), NotBefore::Ahead),
        (
            "by ours, and no other is known",
            alone(due().later(1000)),
            NotBefore::ClockUnknown,
        ),
        (
            "before, and no other is known",
            alone(due().later(999)),
            NotBefore::Ahead,
        ),
        (
            "by clocks that differ too much",
            due().later(1000).service(301),
            NotBefore::Ahead,
        ),
    ] {
        assert_eq!(case.facts().start, start, "{what}");
    }
    let rounded = |delay: Duration| delay.as_secs();
    assert_eq!(rounded(due().later(900).delay(Requeue::Start)), 100);
    assert_eq!(
        rounded(due().later(900).service(-50).delay(Requeue::Start)),
        150,
        "by the later clock"
    );
    assert_eq!(
        rounded(due().delay(Requeue::Start)),
        600,
        "a clock may be corrected"
    );
}

#[test]
fn a_deadline_that_is_not_given_counts_from_the_earliest_time_of_the_submission() {
    let mut case = Case::new(vec![]);
    let default = i64::try_from(timing().request_deadline.as_secs()).unwrap();
    case.request.not_before = Some(at(1000));
    let case = case.later(default);
    assert_eq!(case.facts().deadline, Deadline::Ahead);
    assert_eq!(case.later(1000).facts().deadline, Deadline::Passed);
}

#[test]
fn a_deadline_passes_by_both_clocks_and_nothing_is_sent_once_it_has_passed_by_one() {
    let due = || {
        let mut case = Case::new(vec![]);
        case.request.not_after = Some(at(1000));
        case
    };
    for (what, case, deadline) in [
        ("before", due().later(999), Deadline::Ahead),
        ("at it", due().later(1000), Deadline::Passed),
        ("by ours", due().later(999).ours(60), Deadline::ClocksDisagree),
        (
            "by the service's",
            due().later(999).service(60),
            Deadline::ClocksDisagree,
        ),
        (
            "by clocks that differ too much",
            due().later(10_000).service(301),
            Deadline::ClocksDisagree,
        ),
        (
            "by a service that lies",
            due().later(10).service(60_000_000),
            Deadline::ClocksDisagree,
        ),
        (
            "by the API server's",
            due().later(1000).service_unknown(),
            Deadline::Passed,
        ),
    ] {
        assert_eq!(case.facts().deadline, deadline, "{what}");
    }
    let mut ours_alone = due().later(1000).service_unknown();
    ours_alone.clocks.api_server = None;
    assert_eq!(ours_alone.facts().deadline, Deadline::ClocksDisagree);
    let by_default = || Case::new(vec![]);
    assert_eq!(
        by_default().later(7 * 86_400 - 1).facts().deadline,
        Deadline::Ahead
    );
    assert_eq!(by_default().later(7 * 86_400).facts().deadline, Deadline::Passed);
}

#[test]
fn clocks_are_too_far_apart_beyond_the_allowance() {
    let skew = |case: Case| {
        case.facts()
            .clock_skew
            .map(|skew| (skew.ahead.as_secs(), skew.of_service))
    };
    assert_eq!(skew(Case::new(vec![]).service(300)), None);
    assert_eq!(skew(Case::new(vec![]).service(301)), Some((301, true)));
    assert_eq!(skew(Case::new(vec![]).service(-301)), Some((-301, true)));
    assert_eq!(
        skew(Case::new(vec![]).ours(301).service_unknown()),
        Some((-301, false))
    );
}

#[test]
fn the_delay_after_a_rejection_is_not_affected_by_clock_steps() {
    let own = |class, retry_after| {
        let mut case = Case::new(vec![refused(class)]);
        // Others before it were refused too, for other reasons.
        case.request.status.refused_attempts = 9;
        case.memory.record_failure(SubmissionFailure {
            attempt: build::attempt("a").id,
            at: Duration::ZERO,
            class,
            in_a_row: 1,
            retry_after,
            credentials: Some("1/old".to_owned()),
        });
        case
    };
    let due = |case: Case| case.facts().retry_due;
    assert!(!due(own(ErrorClass::Conflict, None).later(4)));
    assert!(due(own(ErrorClass::Conflict, None).later(5)));
    assert!(!due(own(ErrorClass::Conflict, None).later(4).ours(86_400)));
    assert!(due(own(ErrorClass::Conflict, None).later(5).ours(-86_400)));
    assert!(!due(own(ErrorClass::Throttled, Some(seconds(60))).later(59)));
    assert!(due(own(ErrorClass::Throttled, Some(seconds(60))).later(60)));
    assert!(
        due(own(ErrorClass::Throttled, Some(seconds(86_400))).later(300)),
        "clamped"
    );
    assert!(!due(own(ErrorClass::Permission, None).later(299)));
    assert!(due(own(ErrorClass::Permission, None).later(300)));
    let another = || Case::new(vec![refused(ErrorClass::Permission)]);
    assert!(!due(another().later(299)));
    assert!(due(another().later(200).ours(100)), "older than this process");
    assert!(due(another().later(300).ours(-86_400)), "our clock was set back");
    assert!(due(Case::new(vec![])));
}

#[test]
fn the_delay_grows_with_consecutive_rejections_of_one_error_class() {
    let mut case = Case::new(vec![refused(ErrorClass::Conflict)]);
    for (class, in_a_row) in [
        (ErrorClass::Throttled, 1),
        (ErrorClass::Throttled, 2),
        (ErrorClass::Throttled, 3),
        (ErrorClass::Conflict, 1),
        (ErrorClass::Conflict, 2),
    ] {
        case.memory.record_failure(SubmissionFailure {
            attempt: build::attempt("a").id,
            at: Duration::ZERO,
            class,
            in_a_row: 1,
            retry_after: None,
            credentials: None,
        });
        assert_eq!(
            case.memory.last_submission_failure.as_ref().unwrap().in_a_row,
            in_a_row,
            "{class:?}"
        );
    }
    assert!(!case.facts().retry_due);
    assert!(!Case { ..case.later(9) }.facts().retry_due, "twice as long");
}

#[test]
fn three_rejections_as_not_found_span_more_than_two_job_visibility_timeouts() {
    let times = |count: usize| {
        let again = |n: usize| Attempt {
            id: build::nonce(&format!("n{n}")),
            ..refused(ErrorClass::NotFound)
        };
        (0..count).map(again).collect::<Vec<_>>()
    };
    let due = |attempts: &[Attempt], after: i64| Case::new(attempts.to_vec()).later(after).facts().retry_due;
    assert!(!due(&times(1), 4) && due(&times(1), 5), "each is asked for soon");
    for count in [2, 3] {
        let attempts = times(count);
        assert!(
            !due(&attempts, JOB_VISIBILITY - 1) && due(&attempts, JOB_VISIBILITY),
            "{count}"
        );
    }
    let mut narrowed = times(2);
    narrowed[0].desktop_ids = build::ids("a b");
    assert!(due(&narrowed, 5), "of other desktops it is the first one");
}

#[test]
fn the_progress_of_a_check_is_reported_every_ten_seconds() {
    let told = |reason: Reason, after: i64| {
        let mut case = Case::new(vec![]);
        let progress = Progress::reconciling(reason, "so it is".to_owned(), Requeue::PollInterval);
        case.memory.record_progress(&progress, Duration::ZERO);
        case.later(after).facts().progress_due
    };
    assert!(Case::new(vec![]).facts().progress_due, "it was not reported yet");
    assert!(told(Reason::Waiting, 0), "something else was reported");
    assert!(!told(Reason::CheckingDesktops, 9));
    assert!(told(Reason::CheckingDesktops, 10));
}

#[test]
fn facts_are_missing_for_long_if_all_reads_within_a_job_visibility_timeout_lack_some() {
    let for_long = |reads: &[(bool, i64)], after: i64| {
        let mut case = Case::new(vec![]);
        for (lacks_some, began) in reads {
            case.memory.record_missing_facts(*lacks_some, seconds(*began));
        }
        case.later(after).facts().facts_missing_for_long
    };
    assert!(!for_long(&[], JOB_VISIBILITY));
    assert!(!for_long(&[(true, 0)], JOB_VISIBILITY - 1) && for_long(&[(true, 0)], JOB_VISIBILITY));
    assert!(
        for_long(&[(true, 0), (true, 15)], JOB_VISIBILITY),
        "it counts from the first one"
    );
    assert!(
        !for_long(&[(true, 0), (false, 15)], JOB_VISIBILITY),
        "one was complete"
    );
    assert!(!for_long(
        &[(true, 0), (false, 15), (true, 30)],
        JOB_VISIBILITY + 29
    ));
}

#[test]
fn a_desktop_that_cannot_be_read_is_retried_with_backoff_even_if_other_reads_succeed() {
    let mut case = Case::new(vec![]);
    let (odd, other) = (build::id("odd"), build::id("other"));
    let counts = [1, 2, 3].map(|_| case.memory.single_read_failed(&odd));
    assert_eq!(counts, [1, 2, 3]);
    case.memory.clear_read_failures(&other);
    case.memory.failures = 0;
    assert_eq!(case.memory.failures_in_a_row(), 3);
    assert_eq!(case.delay(Requeue::Backoff).as_secs(), 20);
    case.memory.clear_read_failures(&odd);
    assert_eq!(case.memory.failures_in_a_row(), 0);
    assert_eq!(case.memory.single_read_failed(&odd), 1);
}

#[test]
fn the_age_of_each_read_is_tracked_separately() {
    let timing = timing();
    let seen = |reads: &ReadTimes| {
        let mut seen = build::ready("a b c d e")
            .desktop_views("c Gone d Missing e Unlisted")
            .0;
        let dropped = drop_stale(&mut seen, None, reads, seconds(100), &timing);
        let kept: Vec<_> = seen.desktops.keys().map(ToString::to_string).collect();
        (kept.join(" "), seen.sub_job_list.is_some(), dropped)
    };
    let read = |began: i64, took_before: i64| ReadTime {
        began: seconds(began),
        took_before: seconds(took_before),
    };
    let reads = |a: i64, b: i64, sub_job_list: i64| ReadTimes {
        desktops: [("a", a), ("b", b), ("c", 0), ("d", 0), ("e", 0)]
            .map(|(name, began)| (build::id(name), read(began, 0)))
            .into(),
        sub_jobs: Some(read(sub_job_list, 0)),
        ..ReadTimes::default()
    };
    assert_eq!(seen(&reads(41, 41, 41)), ("a b c d e".to_owned(), true, false));
    assert_eq!(seen(&reads(40, 41, 41)), ("b c d e".to_owned(), true, true));
    let slow = |desktops_took: i64, sub_jobs_took: i64| ReadTimes {
        desktops_took: seconds(desktops_took),
        sub_jobs_took: seconds(sub_jobs_took),
        ..reads(20, 40, 30)
    };
    assert_eq!(seen(&slow(21, 11)), ("a b c d e".to_owned(), true, false));
    assert_eq!(seen(&slow(20, 11)), ("b c d e".to_owned(), true, true));
    assert_eq!(seen(&slow(21, 10)), ("a b c d e".to_owned(), false, true));
    // Only the time that reads took after it does not count as its age.
    let second = |sub_jobs_before: i64| {
        let mut reads = slow(21, 21);
        reads.desktops.insert(build::id("a"), read(40, 20));
        reads.sub_jobs = Some(read(40, sub_jobs_before));
        reads
    };
    assert_eq!(seen(&second(20)), ("a b c d e".to_owned(), true, false));
    assert_eq!(seen(&second(21)), ("a b c d e".to_owned(), false, true));
    assert_eq!(seen(&reads(41, 41, 40)), ("a b c d e".to_owned(), false, true));
    assert_eq!(
        seen(&ReadTimes::default()),
        ("c d e".to_owned(), false, true),
        "what is gone stays gone, and what must be asked for must be"
    );
}

#[test]
fn an_undocumented_sub_job_status_blocks_until_its_desktop_was_idle_since_it_was_first_seen() {
    let settle = timing().job_visibility_timeout;
    let mut case = Case::new(vec![]);
    let (b, ids) = (build::id("b"), [build::id("a"), build::id("B")]);
    let idle =
        |memory: &mut RequestMemory, at: i64| memory.record_idle(&b, DesktopView::Idle, seconds(at), settle);
    let sub_job_list = |text: &str| untouched("a b").sub_job_list(text).0.sub_job_list.unwrap();
    // The request has waited for long, and the desktop has been idle all the time.
    idle(&mut case.memory, 0);
    assert!(idle(&mut case.memory, 5000));
    assert_eq!(
        case.memory
            .observe_sub_jobs(&sub_job_list("j1/b Success"), &ids, seconds(5000)),
        []
    );
    assert_eq!(
        case.memory
            .observe_sub_jobs(&sub_job_list("j2/b Other"), &ids, seconds(5000)),
        std::slice::from_ref(&b)
    );
    assert!(!idle(&mut case.memory, 5001));
    assert_eq!(
        case.memory
            .observe_sub_jobs(&sub_job_list("j2/b Other"), &ids, seconds(6000)),
        []
    );
    assert!(idle(&mut case.memory, 6000));
    let since = |memory: &RequestMemory| memory.undocumented_since().map(|at| at.as_secs());
    assert_eq!(since(&case.memory), Some(5000));
    // Another one is another matter, and one that is shown again is new.
    case.memory
        .observe_sub_jobs(&sub_job_list("j2/b Other j3/b Other"), &ids, seconds(7000));
    assert_eq!(since(&case.memory), Some(7000));
    case.memory
        .observe_sub_jobs(&sub_job_list(""), &ids, seconds(7000));
    assert_eq!(since(&case.memory), None);
    case.memory
        .observe_sub_jobs(&sub_job_list("j2/b Other"), &ids, seconds(8000));
    assert_eq!(since(&case.memory), Some(8000));
    let long = |uptime: i64| {
        let memory = case.memory.clone();
        let case = Case {
            memory,
            ..Case::new(vec![])
        }
        .later(uptime);
        case.facts().undocumented_for_long
    };
    let overdue = i64::try_from(timing().job_overdue.as_secs()).unwrap();
    assert!(!long(8000 + overdue - 1));
    assert!(long(8000 + overdue));
}

#[test]
fn that_a_desktop_is_gone_is_known_for_ten_minutes_and_in_its_project_only() {
    let project = |id: &str| build::coordinates(id).key();
    let mut memory = RequestMemory::default();
    memory.mark_gone(&build::id("Gone"), project("here"), seconds(100));
    let known = |place: &str, now: i64| {
        let since = oldest_gone(seconds(now));
        memory
            .known_gone(&project(place), since)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(known("here", 700), ["gone"]);
    assert_eq!(known("here", 701), [""; 0]);
    assert_eq!(known("there", 100), [""; 0]);
}

#[test]
fn changed_credentials_are_tried_at_once() {
    let mut case = Case::new(vec![refused(ErrorClass::Permission)]);
    let failure = SubmissionFailure {
        attempt: build::attempt("a").id,
        at: Duration::ZERO,
        class: ErrorClass::Permission,
        in_a_row: 1,
        retry_after: None,
        credentials: Some("1/old".to_owned()),
    };
    case.memory.last_submission_failure = Some(failure);
    let timing = timing();
    for (credentials, due) in [(Some("1/old"), false), (Some("1/new"), true), (None, false)] {
        let facts = case.with(&timing, |rules| {
            rules.facts(&FactInputs {
                hide_users: false,
                stopping: false,
                credentials,
                began: Duration::ZERO,
                circuit: Circuit::Closed,
            })
        });
        assert_eq!(facts.retry_due, due, "{credentials:?}");
    }
}

#[test]
fn a_missing_finalizer_is_detected_while_a_call_can_take_effect_or_become_visible() {
    let without = |case: Case| {
        let mut case = case;
        case.request.finalizer = false;
        case
    };
    let accepted = || Case::new(vec![attempt(Outcome::Accepted)]);
    for (what, case, missing) in [
        ("there", unknown_outcome(), false),
        ("in doubt", without(unknown_outcome().later(OVER - 1)), true),
        ("over", without(unknown_outcome().later(OVER)), false),
        ("accepted", without(accepted()), true),
        ("settled", without(accepted().later(SHOWN)), false),
        ("nothing submitted", without(Case::new(vec![])), false),
    ] {
        assert_eq!(case.facts().finalizer_missing, missing, "{what}");
    }
    let mut deleting = without(unknown_outcome());
    deleting.request.deleting = true;
    assert!(!deleting.facts().finalizer_missing);
}

#[test]
fn a_finalizer_that_is_repeatedly_removed_is_restored_with_backoff() {
    let mut case = unknown_outcome();
    assert!(case.facts().finalizer_due);
    case.memory.record_finalizer_added(Duration::ZERO);
    assert!(case.facts().finalizer_due, "the answer may have been lost");
    case.memory.record_finalizer_added(Duration::ZERO);
    assert!(!unknown_outcome_after(&case, 4).finalizer_due);
    assert!(unknown_outcome_after(&case, 5).finalizer_due);
    case.memory.record_finalizer_added(Duration::ZERO);
    assert!(!unknown_outcome_after(&case, 9).finalizer_due);
    assert!(unknown_outcome_after(&case, 10).finalizer_due);
}

#[test]
fn a_finalizer_that_was_removed_to_finish_the_request_does_not_count_as_missing() {
    let mut case = Case::new(vec![attempt(Outcome::Accepted)]);
    case.request.finalizer = false;
    case.memory.finalizer_dropped = true;
    assert!(!case.facts().finalizer_missing);
    case.memory.record_finalizer_added(Duration::ZERO);
    assert!(case.facts().finalizer_missing, "it was put on again since");
}

fn unknown_outcome_after(case: &Case, by: i64) -> Facts {
    let later = Case {
        memory: case.memory.clone(),
        ..unknown_outcome()
    };
    later.later(by).facts()
}

#[test]
fn waits_end_at_the_next_moment_at_which_something_changes() {
    let rounded = |delay: Duration| delay.as_secs();
    assert_eq!(
        rounded(unknown_outcome().later(OVER - 10).delay(Requeue::Expiry)),
        10
    );
    assert_eq!(rounded(Case::new(vec![]).delay(Requeue::Change)), 600);
    assert_eq!(rounded(Case::new(vec![]).delay(Requeue::Plan)), 600);
    let mut due = Case::new(vec![]);
    due.request.not_after = Some(at(30));
    assert_eq!(rounded(due.delay(Requeue::Change)), 30);
    let due = due.service(10);
    assert_eq!(rounded(due.delay(Requeue::Change)), 20, "by the first clock");
    let due = due.later(25);
    assert_eq!(rounded(due.delay(Requeue::Change)), 5, "then by the other");
    let accepted = Case::new(vec![attempt(Outcome::Accepted)]).later(SHOWN - 200);
    assert_eq!(rounded(accepted.delay(Requeue::JobVisibility)), 200);
    let astray = Case::new(vec![attempt(Outcome::Accepted)]).ours(-86_400);
    assert_eq!(
        rounded(astray.delay(Requeue::JobVisibility)),
        600,
        "the clock may be corrected"
    );
    let mut missing = unknown_outcome();
    missing.request.finalizer = false;
    missing.memory.record_finalizer_added(Duration::ZERO);
    missing.memory.record_finalizer_added(Duration::ZERO);
    assert_eq!(
        rounded(missing.delay(Requeue::Expiry)),
        5,
        "until it may be put back"
    );
}

#[test]
fn while_nothing_can_be_decided_the_jobs_are_read_soon_and_then_every_few_minutes() {
    let mut looks = Vec::new();
    let mut age = 0;
    while age < OVER - 1 {
        let case = unknown_outcome().later(age);
        assert_eq!(case.facts().before_initial_poll, age == 0);
        age += i64::try_from(case.delay(Requeue::Expiry).as_secs()).unwrap();
        looks.push(age);
    }
    assert_eq!(looks, [10, 20, 40, 80, 160, 320, 500, 680, 860, 1040, 1220, OVER]);
    // Each time the jobs must have been read since the last one, and others may have read them.
    for (age, accepted) in [(10, 5), (20, 10), (160, 80), (320, 90), (1220, 90)] {
        let timing = timing();
        let case = unknown_outcome().later(age);
        let old = case.with(&timing, |rules| {
            rules.clocks.uptime.saturating_sub(rules.oldest_early_read())
        });
        assert_eq!(old, seconds(accepted), "{age}");
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_the_jobs_from_being_read() {
    let case = unknown_outcome().later(100).ours(-86_400);
    assert!(!case.facts().before_initial_poll);
    assert_eq!(case.delay(Requeue::Expiry).as_secs(), 100);
}

#[test]
fn reads_become_outdated() {
    let timing = timing();
    let oldest = |first_seen, released| oldest_admitting_read(seconds(1000), first_seen, released, &timing);
    assert_eq!(
        oldest(Some(seconds(10)), None),
        seconds(970),
        "half of the maximum signature age, which is less than half of the job visibility timeout"
    );
    assert_eq!(
        oldest(Some(seconds(990)), None),
        seconds(990),
        "no older than the object is known"
    );
    assert_eq!(
        oldest(Some(seconds(10)), Some(seconds(980))),
        seconds(980),
        "nor than the last claim"
    );
    assert_eq!(oldest(None, None), seconds(1000));
    // Otherwise the same shared read would be taken and dropped again and again.
    for (job_visibility_timeout, max_signature_age) in [(120, 60), (600, 60), (120, 10)] {
        let timing = Timing {
            job_visibility_timeout: seconds(job_visibility_timeout),
            max_signature_age: seconds(max_signature_age),
            ..timing.clone()
        };
        let oldest = oldest_admitting_read(seconds(1000), Some(seconds(10)), None, &timing);
        assert!(!is_stale(oldest, seconds(1000), &timing), "{timing:?}");
    }
    assert!(!is_stale(seconds(0), seconds(59), &timing));
    assert!(is_stale(seconds(0), seconds(60), &timing));
    // Every claim on a desktop lasts longer than the maximum age of a read.
    let progress = timing.max_signature_age + timing.submission_timeout + timing.job_visibility_timeout;
    assert!(progress > timing.job_visibility_timeout / 2 + timing.max_signature_age);
}

#[test]
fn delays_double_and_have_a_jitter_of_a_fifth() {
    let timing = timing();
    let pauses: Vec<_> = [0, 1, 2, 3, 100]
        .map(|n| exponential(n, &timing).as_secs())
        .into();
    assert_eq!(pauses, [5, 5, 10, 20, 300]);
    assert_eq!(with_jitter(seconds(10), 0), seconds(10));
    assert_eq!(with_jitter(seconds(10), 999), Duration::from_millis(11_998));
}
