//! Patience and evidence, where the answer was lost.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no-wait-for-expiry",
        does: "A call whose answer was lost is considered expired before its signature has expired",
        edits: &[Edit {
            file: "src/plan/deadlines.rs",
            find: "    known.unwrap_or(timing.token_life) + timing.clock_skew + timing.job_visibility_timeout",
            replace: "    known.unwrap_or(timing.token_life) * 0 + timing.clock_skew + timing.job_visibility_timeout",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_submission_that_arrives_after_its_window_is_refused_and_made_anew"],
        }],
    },
    Mutant {
        name: "no-job-visibility-timeout",
        does: "No time is left for an accepted call to show, neither after its expiry nor between two looks",
        edits: &[
            Edit {
                file: "src/plan/deadlines.rs",
                find: "    known.unwrap_or(timing.token_life) + timing.clock_skew + timing.job_visibility_timeout",
                replace: "    known.unwrap_or(timing.token_life) + timing.clock_skew",
            },
            Edit {
                file: "src/plan/memory.rs",
                find: "(pending && first.began.saturating_add(visibility_timeout) <= began)",
                replace: "(pending && first.began.saturating_add(visibility_timeout * 0) <= began)",
            },
            Edit {
                file: "src/plan/deadlines.rs",
                find: "            Requeue::SecondRead => timing.job_visibility_timeout,",
                replace: "            Requeue::SecondRead => Duration::ZERO,",
            },
        ],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_submission_that_arrives_late_and_shows_later_still_is_found_too"],
        }],
    },
    Mutant {
        name: "settled-before-expiry",
        does: "What is seen settles an attempt although its call can still take effect",
        edits: &[Edit {
            file: "src/plan/recovery.rs",
            find: "    if !observed.facts.expired {
        return early(observed, attempt).unwrap_or_else(|step| step);
    }
",
            replace: "    if let Err(step) = early(observed, attempt) {
        return step;
    }
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery", "plan::walk"],
        }],
    },
    Mutant {
        name: "evidence-ignored",
        does: "Evidence of an effect is ignored",
        edits: &[Edit {
            file: "src/plan/recovery.rs",
            find: "    if evidence.found() && is_conclusive(observed, attempt, &evidence) {
        return Step::RecordOutcome(adopted(observed, attempt, &evidence));
    }
",
            replace: "",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery"],
        }],
    },
    Mutant {
        name: "single-evidence-check",
        does: "One look without evidence is enough to submit again",
        edits: &[Edit {
            file: "src/plan/recovery.rs",
            find: "    let Some(earlier) = &observed.earlier_evidence else {
        return Step::Wait(wait(&evidence.jobs));
    };
    let evidence = evidence.or(earlier);
",
            replace:
                "    let earlier = observed.earlier_evidence.clone().unwrap_or_else(|| evidence.clone());
    let evidence = evidence.or(&earlier);
",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery"],
        }],
    },
    Mutant {
        name: "incomplete-list-accepted",
        does: "A list that was not read to its end proves that there is no job",
        edits: &[Edit {
            file: "src/plan/recovery.rs",
            find: "    if evidence.complete {
        return",
            replace: "    if evidence.complete || !evidence.found() {
        return",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery"],
        }],
    },
    Mutant {
        name: "partial-job-adopted",
        does: "A job that deletes a part of the batch is taken for the request's own though the list was cut",
        edits: &[Edit {
            file: "src/plan/evidence.rs",
            find: "    evidence.complete || observed.facts.recovery_timed_out || ours()",
            replace: "    evidence.complete || observed.facts.recovery_timed_out || ours() || evidence.found()",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery"],
        }],
    },
    Mutant {
        name: "baseline-ignored",
        does: "Jobs from before the call prove that it took effect",
        edits: &[Edit {
            file: "src/plan/evidence.rs",
            find: "    jobs.retain(|job| !attempt.baseline_job_ids.contains(job));
",
            replace: "",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::recovery"],
        }],
    },
    Mutant {
        name: "finalizer-dropped-while-pending",
        does: "A deleted object goes although its call may still take effect",
        edits: &[Edit {
            file: "src/plan/finalize.rs",
            find: "blockers::next_clock_read(observed).unwrap_or_else(|| Step::Wait(waiting_for_expiry(attempt)))",
            replace: "blockers::next_clock_read(observed).unwrap_or(Step::DropFinalizer)",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::finalize"],
        }],
    },
    Mutant {
        name: "finalizer-dropped-before-the-job-shows",
        does: "A deleted object goes although the job of its call need not show yet, so that one with the same name would not see it",
        edits: &[Edit {
            file: "src/plan/finalize.rs",
            find: "if submitted(&observed.request.status) && !observed.facts.job_visibility_timeout_over {",
            replace: "if submitted(&observed.request.status) && observed.read_failure.is_some() {",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::finalize"],
        }],
    },
];
