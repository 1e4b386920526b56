//! Between the decision to submit and the call.

use crate::{Edit, Layer, Mutant, Trial};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "intent-without-resource-version",
        does: "The intent is stored over whatever the object has become since it was validated",
        edits: &[Edit {
            file: "src/controllers/deletion/execute/write.rs",
            find: "    let next = DesktopDeletion {
        status: Some(status),
        ..pass.object.clone()
    };
    let requests = pass.requests(context);
",
            replace: r#"    let mut next = DesktopDeletion {
        status: Some(status),
        ..pass.object.clone()
    };
    let requests = pass.requests(context);
    if step == "RecordIntent" {
        let newer = api::call("read the DesktopDeletion", requests.get(&next.name_any())).await?;
        next.metadata.resource_version = newer.metadata.resource_version;
    }
"#,
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["at_the_moment_of_the_intent"],
        }],
    },
    Mutant {
        name: "sent-without-intent",
        does: "The call is made without an intent",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "None if go && unsettled(&seen.request.status).is_none() => intent(seen, attempt),",
            replace: "None if go && unsettled(&seen.request.status).is_none() => Step::Post,",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission", "plan::properties"],
        }],
    },
    Mutant {
        name: "signed-when-sent",
        does: "The signature is made when the call is sent, so that its age says nothing of the intent's",
        edits: &[
            Edit {
                file: "src/plan/deadlines.rs",
                find: "*fresh = armed.is_some_and(|made| !is_stale(made, uptime, timing));",
                replace: "*fresh = armed.is_some_and(|made| made <= uptime);",
            },
            Edit {
                file: "src/controllers/deletion/execute.rs",
                find: "    let attempt = attempt.id.clone();
    // Between",
                replace: "    let spec = &pass.object.spec;
    let body = BatchDelete {
        desktop_ids: attempt.desktop_ids.clone(),
        delete_users: spec.delete_users,
        email_notification: spec.email_notification,
        force: spec.force,
    };
    let request = pass
        .cloud()?
        .sign_batch_delete(&body, context.clock.now())
        .unwrap_or(request);
    let attempt = attempt.id.clone();
    // Between",
            },
        ],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["a_signature_that_grew_old_while_its_intent_was_stored_is_not_sent"],
        }],
    },
    Mutant {
        name: "no-guard",
        does: "The call is made however old its signature is",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "let go = fresh && !called_off && !seen.facts.stopping;",
            replace: "let go = (fresh || !fresh) && !called_off && !seen.facts.stopping;",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission"],
        }],
    },
    Mutant {
        name: "sent-though-called-off",
        does: "The call is made although its object was deleted or suspended after the intent",
        edits: &[Edit {
            file: "src/plan/submission.rs",
            find: "let go = fresh && !called_off && !seen.facts.stopping;",
            replace: "let go = fresh && (!called_off || stored.is_some()) && !seen.facts.stopping;",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission"],
        }],
    },
    Mutant {
        name: "second-attempt-beside-an-open-one",
        does: "An attempt begins although an earlier one may have reached the cloud",
        edits: &[Edit {
            file: "src/plan/record.rs",
            find: "            Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
        ) && !a.took_effect()",
            replace: "            Outcome::Pending | Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect
        ) && !a.took_effect()",
        }],
        trials: &[Trial {
            layer: Layer::Offline,
            tests: &["plan::submission", "plan::record", "plan::properties"],
        }],
    },
    Mutant {
        name: "claims-ignored",
        does: "Two requests may have one desktop in flight",
        edits: &[Edit {
            file: "src/controllers/claims.rs",
            find: ".map_or(Claim::Granted, Claim::Held);",
            replace: ".map_or(Claim::Granted, |_| Claim::Granted);",
        }],
        trials: &[Trial {
            layer: Layer::Cluster,
            tests: &["two_requests_never_have_one_desktop_in_flight"],
        }],
    },
];
