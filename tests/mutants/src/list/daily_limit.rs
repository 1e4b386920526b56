//! A project does not exceed its daily limit.

use crate::{Edit, Layer, Mutant, Trial};

const TRIALS: &[Trial] = &[Trial {
    layer: Layer::Offline,
    tests: &["plan::admission::daily_limit", "plan::daily_usage"],
}];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "signed-without-reservation",
        does: "A request is signed although nothing is reserved for it under the daily limit",
        edits: &[Edit {
            file: "src/plan/admission.rs",
            find: "(!is_reserved).then_some(",
            replace: "(!is_reserved && false).then_some(",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "intent-without-reservation",
        does: "An intent is stored although its desktops are not reserved under the daily limit",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "            unreserved,",
            replace: "            unreserved && false,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "stale-reservation-accepted",
        does: "A reservation counts although the request was written since, so its desktops may already have been released",
        edits: &[Edit {
            file: "src/plan/daily_limit.rs",
            find: "let unchanged = r.resource_version == request.resource_version;",
            replace: "let unchanged = true;",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "released-while-intent-possible",
        does: "Reserved desktops are released although the reconciliation that reserved them can still store the intent",
        edits: &[Edit {
            file: "src/plan/daily_usage.rs",
            find: "None if resource_version == reservation.resource_version => ReservationState::Open,",
            replace: "None if resource_version == reservation.resource_version => ReservationState::Released,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "released-while-pending",
        does: "Reserved desktops are released although the call may have taken effect",
        edits: &[Edit {
            file: "src/plan/daily_usage.rs",
            find: "Some(attempt) if attempt.outcome == Outcome::Pending => ReservationState::Open,",
            replace: "Some(attempt) if attempt.outcome == Outcome::Pending => ReservationState::Released,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "blocked-by-own-reservation",
        does: "A request that was interrupted after its reservation waits for a day because of its own reservation",
        edits: &[Edit {
            file: "src/plan/daily_limit.rs",
            find: "left_over(observed, &others)",
            replace: "left_over(observed, &others).filter(|_| false)",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "daily-usage-dropped-by-credential-check",
        does: "The check of the credentials writes a status without the daily usage",
        edits: &[Edit {
            file: "src/controllers/project.rs",
            find: "        ..old.clone()\n",
            replace: "        ..WorkspaceProjectStatus::default()\n",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["daily_limit"],
        }],
    },
];
