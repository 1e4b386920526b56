//! Which clocks are trusted, and that the finalizer survives writes of other clients.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "single-date-accepted",
        does: "The `Date` of a single response sets the service's clock",
        edits: &[Edit {
            file: "src/plan/clocks.rs",
            find: "        let enough = if self.known.is_some() {\n            SAMPLES_TO_CORRECT\n        } else {\n            2\n        };\n",
            replace: "        let enough = SAMPLES_TO_CORRECT / 3;\n",
        }],
        trials: &[Trial {
            layer: Layer::Unit,
            tests: &["plan::clocks"],
        }],
    },
    Mutant {
        name: "date-of-any-response-accepted",
        does: "The `Date` of a response that is not from the service itself sets the service's clock",
        edits: &[Edit {
            file: "src/workspace/exchange.rs",
            find: "            service_time: error_response::service_time(&received.headers).filter(|_| of_service),",
            replace: "            service_time: error_response::service_time(&received.headers).filter(|_| of_service || !of_service),",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["workspace_client::refusals"],
        }],
    },
    Mutant {
        name: "service-clock-only",
        does: "Requests are finished, attempts settled and objects released by the service's clock alone, regardless of the operator's clock",
        edits: &[Edit {
            file: "src/plan/clocks.rs",
            find: "        let behind = self.other()?.min(self.local);",
            replace: "        let behind = self.other()?;",
        }],
        trials: &[
            Trial {
                layer: Layer::Unit,
                tests: &["plan::clocks"],
            },
            Trial {
                layer: Layer::Offline,
                tests: &["plan::deadlines"],
            },
        ],
    },
    Mutant {
        name: "operator-clock-only",
        does: "If the service's clock is unknown, a call expires by the operator's clock alone, regardless of how long this process has known the call",
        edits: &[Edit {
            file: "src/plan/deadlines/effect.rs",
            find: "    known.max(there.unwrap_or_default())",
            replace: "    known.min(between(clocks.local, end)).max(there.unwrap_or_default())",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::deadlines"],
        }],
    },
    Mutant {
        name: "third-time-source-ignored",
        does: "A call expires by the service's and the operator's clock, although both may have been wrong one after the other",
        edits: &[Edit {
            file: "src/plan/deadlines/effect.rs",
            find: "        return both.max(there.min(known));",
            replace: "        return both.max(there.min(known).min(Duration::ZERO));",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::deadlines"],
        }],
    },
    Mutant {
        name: "finalizer-not-restored",
        does: "A finalizer that another client removed while a call can take effect is not restored",
        edits: &[Edit {
            file: "src/plan/finalizer.rs",
            find: "    (observed.facts.finalizer_missing && observed.facts.finalizer_due && !observed.facts.stopping)",
            replace: "    (observed.facts.finalizer_missing && observed.facts.finalizer_due && observed.facts.stopping)",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::finalizer"],
        }],
    },
    Mutant {
        name: "stale-sub-job-list-accepted",
        does: "A request is admitted based on a list of sub-jobs that is older than the object",
        edits: &[Edit {
            file: "src/plan/deadlines/reads.rs",
            find: "        .max(first_seen.unwrap_or(uptime))",
            replace: "        .max(first_seen.map_or(uptime, |_| Duration::ZERO))",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::deadlines"],
        }],
    },
];
