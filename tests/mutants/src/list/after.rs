//! The wait for the expiry, and the evidence, if the response was lost.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no-wait-for-expiry",
        does: "A call whose response was lost is considered expired before its signature has expired",
        edits: &[Edit {
            file: "src/plan/deadlines/effect.rs",
            find: "    known.unwrap_or(timing.token_life) + timing.clock_skew + timing.job_visibility_timeout",
            replace: "    known.unwrap_or(timing.token_life) * 0 + timing.clock_skew + timing.job_visibility_timeout",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_submission_that_arrives_after_its_signature_window_is_refused_and_repeated"],
        }],
    },
    Mutant {
        name: "no-job-visibility-timeout",
        does: "No time is left for the job of an accepted call to become visible, neither after the expiry of the call nor between the two evidence checks",
        edits: &[
            Edit {
                file: "src/plan/deadlines/effect.rs",
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
            tests: &["a_submission_that_arrives_late_and_becomes_visible_even_later_is_also_found"],
        }],
    },
    Mutant {
        name: "settled-before-expiry",
        does: "Evidence settles an attempt although its call can still take effect",
        edits: &[Edit {
            file: "src/plan/recovery.rs",
            find: "    if !observed.facts.call_expired {
        return early(observed, attempt).map_or_else(|step| step, Step::Wait);
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
        does: "One evidence check without a result is enough to submit again",
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
        does: "An incomplete list of jobs counts as evidence that there is no job",
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
        does: "A job that deletes only a part of the batch is adopted although the list of jobs is incomplete",
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
        does: "Jobs that existed before the call count as evidence that it took effect",
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
        does: "A deleted object is released although its call can still take effect",
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
        name: "finalizer-dropped-before-job-visible",
        does: "A deleted object is released before the job of its call must be visible, so a new object with the same name would not find the job",
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
