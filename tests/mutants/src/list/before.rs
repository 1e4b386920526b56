//! Between the decision to submit and the call.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "intent-without-resource-version",
        does: "The intent is stored without checking whether the object has changed since it was validated",
        edits: &[Edit {
            file: "src/controllers/deletion/execute/write.rs",
            find: "    let requests = reconciliation.requests(context);
    let (name, parameters) = (next.name_any(), PostParams::default());
",
            replace: r#"    let requests = reconciliation.requests(context);
    let mut next = next;
    if step == "RecordIntent" {
        let newer = api::call("read the DesktopDeletion", requests.get(&next.name_any())).await?;
        next.json["metadata"]["resourceVersion"] = newer.resource_version().into();
    }
    let (name, parameters) = (next.name_any(), PostParams::default());
"#,
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["at_the_moment_of_the_intent"],
        }],
    },
    Mutant {
        name: "sent-without-intent",
        does: "The delete request is sent without a stored intent",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "(None, None) if unsettled(&observed.request.status).is_none() => intent(observed, attempt),",
            replace: "(None, None) if unsettled(&observed.request.status).is_none() => Step::Post,",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission", "plan::properties"],
        }],
    },
    Mutant {
        name: "signed-when-sent",
        does: "The request is signed when it is sent, so the signature does not show the age of the intent",
        edits: &[
            Edit {
                file: "src/plan/deadlines/reads.rs",
                find: "*fresh = signed_uptime.is_some_and(|made| !is_stale(made, uptime, timing));",
                replace: "*fresh = signed_uptime.is_some_and(|made| made <= uptime);",
            },
            Edit {
                file: "src/controllers/deletion/execute.rs",
                find: "    // Between the guard",
                replace: "    let sent = reconciliation.observed.request.attempt(&attempt);
    let spec = &reconciliation.object.spec;
    let body = BatchDelete {
        desktop_ids: sent.map(|sent| sent.desktop_ids.clone()).unwrap_or_default(),
        delete_users: spec.delete_users,
        email_notification: spec.email_notification,
        force: spec.force,
    };
    let request = cloud.sign_batch_delete(&body, context.process.clock.now()).unwrap_or(request);
    // Between the guard",
            },
        ],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_signature_that_became_too_old_while_its_intent_was_stored_is_not_sent"],
        }],
    },
    Mutant {
        name: "signature-age-not-checked",
        does: "The delete request is sent regardless of the age of its signature",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "(!fresh, Reason::Queued, ",
            replace: "(!fresh && false, Reason::Queued, ",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission"],
        }],
    },
    Mutant {
        name: "sent-after-deletion-or-suspension",
        does: "The delete request is sent although its object was deleted or suspended after the intent was stored",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "        (Some(Outcome::Pending), None) => Step::Post,",
            replace: "        (Some(Outcome::Pending), None | Some((Reason::Queued | Reason::Suspended, _)))
            if fresh && !observed.facts.stopping =>
        {
            Step::Post
        }
        (Some(Outcome::Pending), None) => Step::Post,",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission"],
        }],
    },
    Mutant {
        name: "second-attempt-while-one-is-open",
        does: "A new attempt begins although an earlier one may have reached the cloud",
        edits: &[Edit {
            file: "src/plan/attempts.rs",
            find: "had_no_effect(attempt.outcome) && !attempt.took_effect()",
            replace: "(attempt.outcome == Outcome::Pending || had_no_effect(attempt.outcome)) && !attempt.took_effect()",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission", "plan::status", "plan::properties"],
        }],
    },
    Mutant {
        name: "permit-not-taken",
        does: "The delete request is signed without a permit of the rate limiter",
        edits: &[Edit {
            file: "src/plan/admission.rs",
            find: "(observed.permit != SendPermit::Held).then_some(Step::AcquirePermit)",
            replace: "(observed.permit != SendPermit::Held).then_some(Step::AcquirePermit).filter(|_| false)",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::admission", "plan::properties"],
        }],
    },
    Mutant {
        name: "permit-kept-while-reading",
        does: "A request keeps its permit while its reads wait for permits of their own",
        edits: &[Edit {
            file: "src/plan.rs",
            find: "step if observed.permit == SendPermit::Held && !step.keeps_permit() => Step::ReleasePermit,",
            replace: "step if observed.permit == SendPermit::Held && !step.keeps_permit() => step,",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::admission", "plan::properties"],
        }],
    },
    Mutant {
        name: "stale-cache-accepted",
        does: "A reconciliation uses a cached object that is older than the last write of this process",
        edits: &[Edit {
            file: "src/controllers/cache.rs",
            find: "(LatestState::Version(known), Some(shown)) if shown >= known => Source::Cache,",
            replace: "(LatestState::Version(known), Some(shown)) if shown >= known || shown < known => Source::Cache,",
        }],
        trials: &[Trial {
            layer: Layer::Unit,
            tests: &["controllers::cache"],
        }],
    },
    Mutant {
        name: "claim-released-from-cache",
        does: "A cached object that shows no attempt releases the desktops of a request that is being submitted",
        edits: &[Edit {
            file: "src/controllers/claims.rs",
            find: "            ObjectSource::Cached { claimed } => claimed,",
            replace: "            ObjectSource::Cached { claimed } => claimed || !object.status.as_ref().is_some_and(entry::is_in_flight),",
        }],
        trials: &[Trial {
            layer: Layer::Unit,
            tests: &["controllers::claims"],
        }],
    },
    Mutant {
        name: "claims-ignored",
        does: "Two requests can have the same desktop in flight",
        edits: &[Edit {
            file: "src/controllers/claims.rs",
            find: "let Some(claim) = table.conflict(object, project_key) else {",
            replace: "let Some(claim) = table.conflict(object, project_key).filter(|_| false) else {",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["two_requests_never_have_one_desktop_in_flight"],
        }],
    },
    Mutant {
        name: "claim-dropped-on-deletion",
        does: "If a request is deleted while its delete request is in flight, its desktops are no longer reserved",
        edits: &[Edit {
            file: "src/controllers/claims/table.rs",
            find: "project.and_then(|project| DeletedClaim::begin(name, project, in_flight, &self.time))",
            replace: "project.and_then(|project| DeletedClaim::begin(name, project, in_flight, &self.time)).filter(|_| false)",
        }],
        trials: &[
            Trial {
                layer: Layer::Unit,
                tests: &["claims::tests::deleted"],
            },
            Trial {
                layer: Layer::Cluster,
                tests: &["a_request_that_lost_its_finalizer_reserves_its_desktops_after_its_deletion"],
            },
        ],
    },
    Mutant {
        name: "claims-by-endpoint-only",
        does: "A request in flight reserves its desktops only at its own endpoint",
        edits: &[Edit {
            file: "src/controllers/claims/table.rs",
            find: "known.is_some_and(|theirs| theirs.project_id == project_key.project_id);",
            replace: "known.is_some_and(|theirs| theirs == project_key);",
        }],
        trials: &[
            Trial {
                layer: Layer::Unit,
                tests: &["claims::tests::unfinished"],
            },
            Trial {
                layer: Layer::Cluster,
                tests: &["a_desktop_in_flight_is_reserved_regardless_of_the_name_of_the_endpoint"],
            },
        ],
    },
    Mutant {
        name: "unchecked-project-reserves-nothing",
        does: "An older request reserves nothing before the first check of its project",
        edits: &[Edit {
            file: "src/controllers/claims/table.rs",
            find: "if first_check_is_awaited(since, now) {",
            replace: "if first_check_is_awaited(since, now) && since > now {",
        }],
        trials: &[
            Trial {
                layer: Layer::Unit,
                tests: &["claims::tests::unfinished"],
            },
            Trial {
                layer: Layer::Cluster,
                tests: &["a_request_waits_for_the_first_check_of_the_project_of_an_older_one"],
            },
        ],
    },
    Mutant {
        name: "unreadable-namespace-treated-as-empty",
        does: "A namespace that the operator may not read is treated as if it had no request in flight",
        edits: &[Edit {
            file: "src/controllers/claims/table.rs",
            find: "&& !until_earlier_calls_end(&self.time).is_zero()",
            replace: "&& until_earlier_calls_end(&self.time) == Duration::MAX",
        }],
        trials: &[Trial {
            layer: Layer::Unit,
            tests: &["claims::tests::unreadable"],
        }],
    },
    Mutant {
        name: "stale-read-after-release",
        does: "A read that is older than the release of a desktop is used to admit the next request",
        edits: &[Edit {
            file: "src/controllers/claims.rs",
            find: "released: table.released.latest(&object.spec.desktop_ids),",
            replace: "released: table.released.latest(&object.spec.desktop_ids).filter(|_| false),",
        }],
        trials: &[Trial {
            layer: Layer::Unit,
            tests: &["claims::tests"],
        }],
    },
];
