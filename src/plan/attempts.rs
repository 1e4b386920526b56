//! Layer 2, data: what the stored attempts of a request show.

use crate::crd::deletion::ErrorClass;
use crate::crd::deletion::{Attempt, DesktopDeletionStatus, Outcome};
use crate::ids::DesktopID;

/// Whether it certainly had no effect: the cloud rejected it, it was not sent, or evidence shows that.
pub fn had_no_effect(outcome: Outcome) -> bool {
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

/// The attempt that prevents a further one: it has reached the cloud, or may have.
pub fn unsettled(status: &DesktopDeletionStatus) -> Option<&Attempt> {
    let settled = |a: &Attempt| had_no_effect(a.outcome) && !a.took_effect();
    status.attempts.iter().find(|a| !settled(a))
}

/// Whether some attempt took effect.
pub fn submitted(status: &DesktopDeletionStatus) -> bool {
    status.attempts.iter().any(Attempt::took_effect)
}
