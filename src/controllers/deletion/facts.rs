//! Applies the rules about time ([`deadlines`]) to one reconciliation: the facts for the next decision, and the delay
//! until the next reconciliation.

use std::time::Duration;

use super::super::Context;
use super::reconciliation::Reconciliation;
use crate::plan::clocks::Clocks;
use crate::plan::daily_usage;
use crate::plan::deadlines::{self, Deadlines, FactInputs};
use crate::plan::memory::RequestMemory;
use crate::plan::progress::Requeue;

/// Brings the facts of a reconciliation up to date.
pub fn refresh(reconciliation: &mut Reconciliation, context: &Context) {
    let timing = &context.process.config.timing;
    let clocks = clocks(reconciliation, context);
    if let Some(project) = &mut reconciliation.observed.project {
        daily_usage::expire(&mut project.usage, &clocks, timing);
    }
    context.requests.memory.change(&reconciliation.uid(), |memory| {
        memory.observe(&reconciliation.observed.request, clocks.uptime);
        let mut facts = deadlines(reconciliation, memory, clocks, context).facts(&FactInputs {
            stopping: context.process.stopping.is_cancelled() || !context.process.leadership.holds(),
            credentials: reconciliation
                .project_session
                .as_ref()
                .map(|project_session| project_session.version.as_str()),
            began: reconciliation.began,
            circuit: reconciliation.circuit(),
            hide_users: !context.process.config.show_users,
        });
        if let Some(skew) = &mut facts.clock_skew {
            skew.ahead = memory.stable_skew(skew.ahead);
        }
        reconciliation.observed.facts = facts;
        let earlier = memory.earlier_evidence(
            &reconciliation.observed.request,
            reconciliation.began,
            timing.job_visibility_timeout,
        );
        reconciliation.observed.earlier_evidence = earlier.cloned();
    });
    let answered = reconciliation.project_read;
    reconciliation.observed.project_is_fresh &=
        answered.is_some_and(|at| deadlines::is_fresh_enough_to_sign(at, clocks.uptime));
    let signed_uptime = reconciliation.signed_uptime;
    if deadlines::drop_stale(
        &mut reconciliation.observed,
        signed_uptime,
        &reconciliation.reads,
        clocks.uptime,
        timing,
    ) {
        reconciliation.reads_since = clocks.uptime;
    }
}

/// How long to wait for `requeue` at most.
pub fn delay(reconciliation: &Reconciliation, requeue: Requeue, context: &Context) -> Duration {
    let delay = with_deadlines(reconciliation, context, |deadlines| deadlines.delay(requeue));
    if requeue == Requeue::Backoff {
        deadlines::with_jitter(delay, context.process.clock.random())
    } else {
        delay
    }
}

/// Evaluates a rule about time for the request.
pub fn with_deadlines<T>(
    reconciliation: &Reconciliation,
    context: &Context,
    rule: impl FnOnce(&Deadlines<'_>) -> T,
) -> T {
    let memory = context.requests.memory.of(&reconciliation.uid());
    rule(&deadlines(
        reconciliation,
        &memory,
        clocks(reconciliation, context),
        context,
    ))
}

fn deadlines<'a>(
    reconciliation: &'a Reconciliation,
    memory: &'a RequestMemory,
    clocks: Clocks,
    context: &'a Context,
) -> Deadlines<'a> {
    Deadlines {
        request: &reconciliation.observed.request,
        memory,
        clocks,
        timing: &context.process.config.timing,
        windows: reconciliation
            .observed
            .guardrails()
            .map_or(&[], |guardrails| guardrails.windows.as_slice()),
        submitted: reconciliation
            .observed
            .project
            .as_ref()
            .map_or(&[], |project| project.usage.submitted.as_slice()),
    }
}

fn clocks(reconciliation: &Reconciliation, context: &Context) -> Clocks {
    context.clocks(reconciliation.endpoint())
}
