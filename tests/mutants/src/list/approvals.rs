//! Only approved and unchanged desktops are deleted.

use crate::{Edit, Layer, Mutant, Trial};

const TRIALS: &[Trial] = &[Trial {
    layer: Layer::Offline,
    tests: &["plan::admission", "plan::properties", "plan::submission"],
}];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "approved-facts-not-compared",
        does: "A desktop that has changed since its approval is deleted anyway",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "        changed.extend(describe(id, &differences.changed));\n",
            replace: "",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "missing-facts-treated-as-equal",
        does: "A fact that is missing from a read is treated as equal to the approved one",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "        unclear.extend(describe(id, &differences.missing));\n",
            replace: "",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "new-desktops-treated-as-approved",
        does: "A desktop that did not exist when the plan was approved is deleted with it",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "            changed.push(format!(\n                \"desktop {id}: it did not exist when the plan was approved\"\n            ));\n",
            replace: "",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "hash-without-uid",
        does: "The hash of a plan does not cover the uid of the object, so an approval can be copied to another object",
        edits: &[Edit {
            file: "src/plan/plan_hash.rs",
            find: "        uid: &request.uid,",
            replace: "        uid: \"\",",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "approval-valid-for-copies",
        does: "The hash of a plan does not cover the uid of the object, so an approval also counts for a copy or a request that is created again",
        edits: &[Edit {
            file: "src/plan/plan_hash.rs",
            find: "        uid: &request.uid,",
            replace: "        uid: \"\",",
        }],
        trials: &[Trial {
            layer: Layer::Simulation,
            tests: &["the_invariants_hold_with_random_faults"],
        }],
    },
    Mutant {
        name: "single-user-treated-as-all-users",
        does: "A read that names one user of a desktop counts as the list of all its users",
        edits: &[Edit {
            file: "src/plan/plan_hash.rs",
            find: "            Fact::NotGiven | Fact::Unreadable(_) => (None, hash),",
            replace: "            Fact::NotGiven | Fact::Unreadable(_) => (hash, None),",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "approval-of-another-object",
        does: "The record of an approved plan counts for another object or project than the approved one",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "    (approved.hash == *named && is_ours()).then_some(approved)",
            replace: "    (approved.hash == *named && (is_ours() || true)).then_some(approved)",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "outdated-approval-accepted",
        does: "An earlier approved plan still counts after spec.approvedPlan names another one",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "    (approved.hash == *named && is_ours()).then_some(approved)",
            replace: "    (!named.is_empty() && is_ours()).then_some(approved)",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "approval-of-a-plan-not-shown",
        does: "A plan is approved although it was never shown",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "    status.plan.as_ref().is_some_and(|shown| shown.hash == named) && !is_refused",
            replace: "    (status.plan.is_none() || !named.is_empty()) && !(is_refused && named.is_empty())",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "refused-approval-counts-later",
        does: "An approval that was not accepted becomes valid once its plan is shown",
        edits: &[Edit {
            file: "src/plan/approval.rs",
            find: "    status.plan.as_ref().is_some_and(|shown| shown.hash == named) && !is_refused",
            replace: "    status.plan.as_ref().is_some_and(|shown| shown.hash == named) && !(is_refused && named.is_empty())",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "incomplete-read-replaces-plan",
        does: "A read that lacks a fact replaces the plan that is shown, so its approval applies to another plan",
        edits: &[Edit {
            file: "src/plan/preview.rs",
            find: "    let lacks_facts = !missing.is_empty() && !observed.facts.facts_missing_for_long;",
            replace: "    let lacks_facts = !missing.is_empty() && observed.facts.facts_missing_for_long;",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "approval-not-rechecked",
        does: "The desktops are not compared with the approved ones in the last read before signing",
        edits: &[Edit {
            file: "src/plan/admission.rs",
            find: "    if let Some(progress) = not_permitted(observed, &sorted) {",
            replace: "    if let Some(progress) = expectations::failed(observed, &sorted.present) {",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "withdrawn-approval-ignored",
        does: "The delete request is sent although its approval was withdrawn after the intent was stored",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "            attempt.plan_hash != request.approved_plan,",
            replace: "            attempt.plan_hash != request.approved_plan && false,",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "guardrails-from-stale-read",
        does: "A request is signed based on an earlier read of its project, for example that it needs no approval",
        edits: &[Edit {
            file: "src/plan/admission.rs",
            find: "    if !observed.project_is_fresh {",
            replace: "    if !observed.project_is_fresh && observed.project.is_none() {",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "guardrails-ignored",
        does: "A desktop is deleted although the guardrails of the project protect it",
        edits: &[Edit {
            file: "src/plan/admission.rs",
            find: "        .or_else(|| guardrails::blocked(observed, &sorted.present))\n",
            replace: "",
        }],
        trials: TRIALS,
    },
    Mutant {
        name: "window-by-operator-clock-only",
        does: "A request is submitted although only the operator's clock is within a submission window",
        edits: &[Edit {
            file: "src/plan/deadlines/windows.rs",
            find: "Some(other) if inside(other) =>",
            replace: "Some(other) if inside(other) || other != clocks.local =>",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::windows"],
        }],
    },
];
