//! Applies the rules about time ([`deadlines`]) to one reconciliation: the facts for the next decision, and the delay
//! until the next reconciliation.

use std::time::Duration;

use super::super::Context;
use super::reconciliation::Reconciliation;
use crate::plan::clocks::Clocks;
use crate::plan::daily_usage;
use crate::plan::deadlines::{self, Circumstances, Deadlines};
use crate::plan::memory::Remembered;
use crate::plan::progress::Requeue;

/// Brings the facts of a reconciliation up to date.
pub fn refresh(pass: &mut Reconciliation, context: &Context) {
    let timing = &context.process.config.timing;
    let clocks = clocks(pass, context);
    if let Some(project) = &mut pass.seen.project {
        daily_usage::expire(&mut project.usage, &clocks, timing);
    }
    context.requests.memory.change(&pass.uid(), |memory| {
        memory.saw(&pass.seen.request, clocks.uptime);
        let mut facts = rules(pass, memory, clocks, context).facts(&Circumstances {
            stopping: context.process.stopping.is_cancelled() || !context.process.leadership.holds(),
            credentials: pass.login.as_ref().map(|login| login.version.as_str()),
            began: pass.began,
            circuit: pass.circuit(),
            hide_users: !context.process.config.show_users,
        });
        if let Some(skew) = &mut facts.clock_skew {
            skew.ahead = memory.steady(skew.ahead);
        }
        pass.seen.facts = facts;
        let earlier = memory.earlier_look(&pass.seen.request, pass.began, timing.job_visibility_timeout);
        pass.seen.earlier_evidence = earlier.cloned();
    });
    let answered = pass.project_read;
    pass.seen.last_look &= answered.is_some_and(|at| deadlines::is_last_look(at, clocks.uptime));
    let armed = pass.signed_since;
    if deadlines::drop_stale(&mut pass.seen, armed, &pass.reads, clocks.uptime, timing) {
        pass.reads_since = clocks.uptime;
    }
}

/// How long to wait for `wake` at most.
pub fn delay(pass: &Reconciliation, wake: Requeue, context: &Context) -> Duration {
    let delay = ask(pass, context, |deadlines| deadlines.delay(wake));
    if wake == Requeue::Backoff {
        deadlines::with_jitter(delay, context.process.clock.random())
    } else {
        delay
    }
}

/// What the deadlines of the request say to a question.
pub fn ask<T>(pass: &Reconciliation, context: &Context, question: impl FnOnce(&Deadlines<'_>) -> T) -> T {
    let memory = context.requests.memory.of(&pass.uid());
    question(&rules(pass, &memory, clocks(pass, context), context))
}

fn rules<'a>(
    pass: &'a Reconciliation,
    memory: &'a Remembered,
    clocks: Clocks,
    context: &'a Context,
) -> Deadlines<'a> {
    Deadlines {
        request: &pass.seen.request,
        memory,
        clocks,
        timing: &context.process.config.timing,
        windows: pass
            .seen
            .guardrails()
            .map_or(&[], |guardrails| guardrails.windows.as_slice()),
        submitted: pass
            .seen
            .project
            .as_ref()
            .map_or(&[], |project| project.usage.submitted.as_slice()),
    }
}

fn clocks(pass: &Reconciliation, context: &Context) -> Clocks {
    context.clocks(pass.endpoint())
}
