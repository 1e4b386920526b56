//! That a project does not submit more than it takes within a day.

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
            find: "unreserved || seen.request.suspend",
            replace: "(unreserved && false) || seen.request.suspend",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "reservation-outlives-a-write",
        does: "A reservation counts although the request was written since, so that its desktops may have been given back",
        edits: &[Edit {
            file: "src/plan/daily_limit.rs",
            find: "let unchanged = r.resource_version == request.resource_version;",
            replace: "let unchanged = true;",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "given-back-while-the-intent-can-be-stored",
        does: "Reserved desktops are given back although whoever reserved them can still store the intent",
        edits: &[Edit {
            file: "src/plan/daily_usage.rs",
            find: "None if resource_version == reservation.resource_version => Fate::Open,",
            replace: "None if resource_version == reservation.resource_version => Fate::GivenBack,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "given-back-while-pending",
        does: "Reserved desktops are given back although the call may have taken effect",
        edits: &[Edit {
            file: "src/plan/daily_usage.rs",
            find: "Some(attempt) if attempt.outcome == Outcome::Pending => Fate::Open,",
            replace: "Some(attempt) if attempt.outcome == Outcome::Pending => Fate::GivenBack,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "in-its-own-way-for-a-day",
        does: "A request that was interrupted after its reservation waits a day for what it reserved itself",
        edits: &[Edit {
            file: "src/plan/daily_limit.rs",
            find: "left_over(seen, &others)",
            replace: "left_over(seen, &others).filter(|_| false)",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "usage-forgotten-by-the-check",
        does: "The check of the credentials writes a status without what was submitted within the day",
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
