//! Which reads of desktops are missing before the request may be submitted.

use crate::crd::conditions::{ConditionType, Reason, find};
use crate::crd::deletion::ErrorClass;
use crate::ids::DesktopID;
use crate::plan::attempts::was_not_found;
use crate::plan::blockers::{UNREADABLE_LIMIT, known_error};
use crate::plan::observed::{Observed, SingleRead};
use crate::plan::progress::{Progress, Requeue};
use crate::plan::status::would_change;
use crate::plan::step::Step;
use crate::plan::views::{DesktopView, Listed, SortedDesktops};
use crate::plan::{guardrails, messages};

/// How many GETs of one desktop may fail in a row before user action is required.
const FAILED_READS_LIMIT: u32 = 4;

/// Minimum number of desktops to read one by one for which the conditions report the progress.
const MIN_REPORTED_DESKTOPS: usize = 10;

const CHECKING_SUFFIX: &str = "checked; reading the others one by one";

/// Whether the conditions report the progress of a long check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporting {
    /// They report it: the request waits for this check.
    Progress,
    /// They do not: the request waits for something else, which they continue to report.
    Nothing,
}

/// Checks every desktop, or returns the read that is missing. Single reads come first, since the result of a list would
/// become outdated in the meantime.
#[allow(clippy::result_large_err)] // the error is the next step
pub(super) fn read_desktops(observed: &Observed, reporting: Reporting) -> Result<SortedDesktops, Step> {
    let ids = &observed.request.desktop_ids;
    let unconfirmed: Vec<_> = ids.iter().filter(|id| needs_single_read(observed, id)).collect();
    let too_many_failures = observed.failed_reads().count() >= UNREADABLE_LIMIT;
    if let Some(id) = unconfirmed.first().filter(|_| !too_many_failures) {
        let progress = checking(ids.len() - unconfirmed.len(), ids.len());
        let long = unconfirmed.len() >= MIN_REPORTED_DESKTOPS || is_announced(observed);
        return Err(
            if reporting == Reporting::Progress
                && long
                && observed.facts.progress_due
                && would_change(&observed.request, &progress)
            {
                Step::RecordProgress(progress)
            } else {
                Step::ReadDesktop((*id).clone())
            },
        );
    }
    if let Some(progress) = failing_desktop_reads(observed) {
        return Err(Step::Wait(progress));
    }
    let unread: Vec<_> = ids
        .iter()
        .filter(|id| !observed.desktops.contains_key(&id.folded()))
        .cloned()
        .collect();
    if !unread.is_empty() {
        return Err(Step::ReadDesktops(unread));
    }
    let mut sorted = SortedDesktops::default();
    for id in ids {
        match observed.desktops[&id.folded()].view {
            DesktopView::Missing | DesktopView::Unlisted => return Err(Step::ReadDesktop(id.clone())),
            DesktopView::Gone => sorted.absent.push(id.clone()),
            DesktopView::Deleting => sorted.being_deleted.push(id.clone()),
            DesktopView::Idle | DesktopView::Busy => sorted.present.push(id.clone()),
            DesktopView::DeleteFailed => {
                sorted.failed_before.push(id.clone());
                sorted.present.push(id.clone());
            }
        }
    }
    let not_listed = |id: &&DesktopID| observed.desktops[&id.folded()].listed == Listed::Unknown;
    let unlisted: Vec<_> = sorted.present.iter().filter(not_listed).cloned().collect();
    if guardrails::need_list(observed) && !unlisted.is_empty() {
        return Err(Step::ReadDesktops(unlisted));
    }
    let lacks_details = |id: &&DesktopID| observed.desktops[&id.folded()].details.is_none();
    let undetailed: Vec<_> = sorted.present.iter().filter(lacks_details).cloned().collect();
    if guardrails::need_details(observed) && !undetailed.is_empty() {
        return Err(Step::ReadDetails(undetailed));
    }
    Ok(sorted)
}

/// Whether a desktop must be read by a single GET. After the cloud has reported that something does not exist, a list
/// is not sufficient: it may lag and still show a desktop that is gone.
fn needs_single_read(observed: &Observed, id: &DesktopID) -> bool {
    let read = observed.single_reads.get(&id.folded());
    match observed
        .desktops
        .get(&id.folded())
        .map(|observation| observation.view)
    {
        Some(DesktopView::Gone) => false,
        Some(view) if view.needs_lookup() => !matches!(read, Some(SingleRead::Failed { .. })),
        _ => read.is_none() && observed.request.status.attempts.last().is_some_and(was_not_found),
    }
}

/// The conditions for desktops whose GETs fail while other reads succeed.
fn failing_desktop_reads(observed: &Observed) -> Option<Progress> {
    let (_, read_failure, _) = observed.failed_reads().next()?;
    let error = known_error(observed, read_failure);
    let in_a_row = observed.failed_reads().map(|(.., in_a_row)| in_a_row).max();
    let is_unreadable = |id: &&DesktopID| observed.failed_reads().any(|(failed, ..)| *failed == id.folded());
    let ids: Vec<_> = observed
        .request
        .desktop_ids
        .iter()
        .filter(is_unreadable)
        .collect();
    let remedy = if ids.len() == observed.request.desktop_ids.len() {
        "Check them in the console"
    } else {
        "To delete the other desktops now, delete this request and create one without them"
    };
    let message = format!(
        "the cloud returns an error for these desktops, so nothing is submitted: {}. {remedy}; retrying ({})",
        messages::list(ids),
        messages::describe_error(error)
    );
    let reason = match read_failure.error.class {
        ErrorClass::InDoubt => Reason::ServiceUnavailable,
        _ => Reason::RequestRefused,
    };
    let lasts = in_a_row >= Some(FAILED_READS_LIMIT);
    let progress = Progress::stalled_or_retrying(lasts, reason, message, Requeue::Backoff);
    Some(progress.with_error(error.clone()))
}

/// The conditions while many desktops are read one by one.
fn checking(checked: usize, all: usize) -> Progress {
    let message = format!("{checked} of {all} desktops {CHECKING_SUFFIX}");
    Progress::reconciling(Reason::CheckingDesktops, message, Requeue::PollInterval)
}

/// Whether the conditions report the progress of a long check.
fn is_announced(observed: &Observed) -> bool {
    let submitted = find(&observed.request.status.conditions, ConditionType::Submitted);
    submitted.is_some_and(|c| c.reason == Reason::CheckingDesktops && c.message.ends_with(CHECKING_SUFFIX))
}
