//! Layer 2, data: what the stored attempts of a request show.

use crate::crd::deletion::{Attempt, CloudError, DesktopDeletionStatus, ErrorClass, Outcome};
use crate::ids::DesktopID;

/// Whether it certainly had no effect: the cloud rejected it, it was not sent, or evidence shows that.
fn had_no_effect(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect)
}

/// Whether the cloud rejected it because something that it names does not exist.
pub fn was_not_found(attempt: &Attempt) -> bool {
    let class = attempt.error.as_ref().map(|error| error.class);
    attempt.outcome == Outcome::Rejected && class == Some(ErrorClass::NotFound)
}

/// How often the cloud rejected exactly these desktops because something did not exist.
pub fn count_identical_not_found(status: &DesktopDeletionStatus, body: &[DesktopID]) -> usize {
    let alike = |a: &&Attempt| was_not_found(a) && a.desktop_ids == body;
    status.attempts.iter().filter(alike).count()
}

/// Whether it certainly had no effect, and has none that became visible later.
pub fn is_without_effect(attempt: &Attempt) -> bool {
    had_no_effect(attempt.outcome) && !attempt.took_effect()
}

/// The attempt that prevents a further one: it has reached the cloud, or may have.
pub fn unsettled(status: &DesktopDeletionStatus) -> Option<&Attempt> {
    status.attempts.iter().find(|a| !is_without_effect(a))
}

/// The last attempt that took effect. There is an earlier one as well if its effect became visible only after a further
/// submission.
pub fn last_effective(status: &DesktopDeletionStatus) -> Option<&Attempt> {
    status.attempts.iter().rev().find(|attempt| attempt.took_effect())
}

/// Whether some attempt took effect.
pub fn submitted(status: &DesktopDeletionStatus) -> bool {
    status.attempts.iter().any(Attempt::took_effect)
}

/// The last attempt, if the cloud rejected it or it was not sent, and the error.
pub fn last_failed_submission(status: &DesktopDeletionStatus) -> Option<(&Attempt, &CloudError)> {
    let last = status.attempts.last()?;
    let refused = matches!(last.outcome, Outcome::Rejected | Outcome::NotSent);
    last.error.as_ref().filter(|_| refused).map(|error| (last, error))
}

/// Attempts that were sent, and that had no effect as far as was known.
pub fn without_effect(status: &DesktopDeletionStatus) -> impl Iterator<Item = &Attempt> {
    status.attempts.iter().filter(|a| a.outcome == Outcome::NoEffect)
}
