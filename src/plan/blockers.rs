//! Layer 5, shared by phases: what blocks a request from outside.
//!
//! That is its project, clocks, and errors of the cloud.

use super::error_policy::RetryPolicy;
use super::messages;
use super::observed::{ClockSkew, Observed, ProjectView, ReadFailure};
use super::progress::{Progress, Requeue};
use super::status::same_error;
use super::step::Step;
use crate::crd::RESOLVE_ANNOTATION;
use crate::crd::conditions::Reason;
use crate::crd::deletion::{CloudError, ErrorClass, Outcome};

/// How many desktops may fail to be read before no further one is tried: it is the service then.
pub const UNREADABLE_LIMIT: usize = 10;

/// Irreversible decisions need the service's clock, so it is read in time: it is known once two responses agree. A
/// clock that differs from the local one is read again, or a wrong one would never be corrected.
pub fn next_clock_read(observed: &Observed) -> Option<Step> {
    let agreed = observed.facts.service_clock_known && observed.facts.clock_skew.is_none();
    if agreed || observed.read_failure.is_some() {
        return None;
    }
    let Some(project) = &observed.project else {
        return Some(Step::ReadProject);
    };
    if unusable(observed, project).is_some() {
        None
    } else if observed.desktops.is_empty() {
        Some(Step::ReadDesktops(observed.request.desktop_ids.clone()))
    } else {
        observed.sub_job_list.is_none().then_some(Step::ReadSubJobs)
    }
}

/// Why the project cannot be used for this request, if so.
pub fn unusable(observed: &Observed, project: &ProjectView) -> Option<Progress> {
    let stored_project = observed.request.status.project.as_ref();
    if let (Some(stored_project), Some(now)) = (stored_project, project.coordinates.as_ref())
        && stored_project.key() != now.key()
    {
        let mut attempts = observed.request.status.attempts.iter().rev();
        let alternative = match attempts.find(|attempt| attempt.may_have_taken_effect()) {
            Some(attempt) => format!(
                "or set the annotation {RESOLVE_ANNOTATION} of this object to {}=abandon, and check the desktops in the console",
                attempt.id
            ),
            None => "or delete this request and create a new one".to_owned(),
        };
        let message = format!(
            "WorkspaceProject {} now points to project {} at {}, but this request started in project {} at {}. Recreate the WorkspaceProject as it was, {alternative}",
            observed.request.project,
            now.project_id,
            now.endpoint,
            stored_project.project_id,
            stored_project.endpoint
        );
        return Some(Progress::stalled(
            Reason::ProjectChanged,
            message,
            Requeue::Refresh,
        ));
    }
    let obstacle = project.obstacle.as_ref()?;
    let message = obstacle.message.clone();
    Some(Progress::stalled_or_retrying(
        obstacle.needs_user,
        obstacle.reason,
        message,
        Requeue::Refresh,
    ))
}

/// Why nothing can be read of a request that was submitted, if so: its project cannot be used, or a read failed.
pub fn unreadable(observed: &Observed) -> Option<Progress> {
    let project = observed.project.as_ref()?;
    unusable(observed, project).or_else(|| read_failure(observed))
}

/// The wait after a failed read, if one failed, including reads of one desktop.
pub fn read_failure(observed: &Observed) -> Option<Progress> {
    let of_desktop = || {
        observed
            .failed_reads()
            .next()
            .map(|(_, read_failure, _)| read_failure)
    };
    let read_failure = observed.read_failure.as_ref().or_else(of_desktop)?;
    Some(after_read_failure(observed, read_failure))
}

/// The wait after that failure of a read.
pub fn after_read_failure(observed: &Observed, read_failure: &ReadFailure) -> Progress {
    let error_policy = read_failure.error.class.error_policy();
    let error = known_error(observed, read_failure);
    // The service rejects a signature with a wrong time like an invalid one.
    if let (ErrorClass::Authentication, Some(skew)) = (read_failure.error.class, observed.facts.clock_skew) {
        return clock_skew(skew).with_error(error.clone());
    }
    let message = messages::of_error(error);
    let requeue = if error_policy.retry == RetryPolicy::Slow {
        Requeue::Refresh
    } else {
        Requeue::Backoff
    };
    Progress::stalled_or_retrying(error_policy.needs_user, error_policy.reason, message, requeue)
        .with_error(error.clone())
}

/// The stored error, if it is the same.
pub fn known_error<'a>(observed: &'a Observed, read_failure: &'a ReadFailure) -> &'a CloudError {
    let known = observed.request.status.last_error.as_ref();
    let known = known.filter(|known| {
        let suppressed = read_failure.suppressed && known.class == read_failure.error.class;
        suppressed || same_error(known, &read_failure.error)
    });
    known.unwrap_or(&read_failure.error)
}

/// The conditions while clocks differ by more than is allowed.
pub fn clock_skew(skew: ClockSkew) -> Progress {
    Progress::stalled(Reason::ClockSkew, skew.sentence(), Requeue::Refresh)
}

/// The wait after a failed submission.
pub fn after_failed_submission(outcome: Outcome, error: &CloudError) -> Progress {
    let class = error.class;
    let error_policy = class.error_policy();
    // A request that is rejected as invalid is checked once more before that is final.
    let needs_user =
        error_policy.needs_user && class != ErrorClass::InvalidRequest && outcome == Outcome::Rejected;
    let message = messages::of_error(error);
    Progress::stalled_or_retrying(needs_user, error_policy.reason, message, Requeue::Retry)
        .with_error(error.clone())
}

/// Several consecutive responses were lost, and a further submission may leave another request with an unknown outcome.
pub fn circuit_open() -> Progress {
    let message = "no conclusive response to the last 3 delete requests with these credentials: new ones wait until a \
        read succeeds, then are sent one at a time until one gets a conclusive response. If this persists, check the \
        network path to the cloud and the vendor's status page";
    Progress::retrying(Reason::ServiceUnavailable, message.to_owned(), Requeue::Refresh)
}
