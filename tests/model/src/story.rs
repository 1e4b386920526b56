//! A path in words, for people.

use std::fmt::Write;

use crate::action::{Action, CallResult, StepResult};
use crate::decide::Act;
use crate::moves::Protocol;
use crate::names;
use crate::world::{Answer, CallState, Held, Reconciliation, World, WriteKind};

impl Protocol {
    /// A path in words: what happened, and how the world stood then.
    pub fn story(&self, path: &[(World, Action)], last: &World) -> String {
        let mut text = String::new();
        let mut number = 0;
        for (at, (before, action)) in path.iter().enumerate() {
            let after = path.get(at + 1).map_or(last, |(world, _)| world);
            number += 1;
            let what = self.happens(before, *action);
            // Writing to a text never fails.
            writeln!(text, "{number:3}. {what}").ok();
            if self.tell(before) != self.tell(after) {
                writeln!(text, "       now: {}", self.tell(after)).ok();
            }
        }
        if let Some(wrong) = last.wrong {
            writeln!(
                text,
                "  => {}\n     broken: {}",
                wrong.how,
                wrong.invariant.words()
            )
            .ok();
        }
        text
    }

    /// What happens, in one sentence.
    pub fn happens(&self, before: &World, action: Action) -> String {
        match action {
            Action::Begin(operator) => format!(
                "{} begins a reconciliation: it reads the live object",
                who(operator)
            ),
            Action::Step(operator, result) => self.steps(before, operator, result),
            Action::GiveUp(operator) => format!(
                "{} stops waiting for the answer to its POST, which is still on its way",
                who(operator)
            ),
            Action::Crash(operator) => format!("{} crashes and starts again without memory", who(operator)),
            Action::Stop(operator) => format!("{} begins to shut down", who(operator)),
            Action::Restart(operator) => format!("{} is replaced by a new process", who(operator)),
            Action::Arrive(attempt, result) => {
                format!("the POST of attempt {} {}", attempt + 1, arrives(result))
            }
            Action::Show(job) => format!("{} shows in reads from now on", job_name(job)),
            Action::End {
                job,
                desktop,
                deleted,
            } => {
                let end = if deleted { "deletes" } else { "fails to delete" };
                format!("{} {end} {}", job_name(job), names::desktop(desktop))
            }
            Action::Tick => "time passes: one tick".to_owned(),
            Action::Land => "the delayed write takes effect".to_owned(),
            Action::Delete => "a user deletes the object".to_owned(),
            Action::Recreate => "a user creates the object again, same name and content".to_owned(),
            Action::Suspend => "a user sets spec.suspend".to_owned(),
            Action::Resume => "a user resets spec.suspend".to_owned(),
            Action::Console(desktop) => {
                format!("a user deletes {} in the console", names::desktop(desktop))
            }
            Action::Abandon(attempt) => format!("a user abandons attempt {} by annotation", attempt + 1),
            Action::Deadline => "the deadline of the request passes".to_owned(),
            Action::Approve => "a user approves the plan that is shown".to_owned(),
            Action::ApproveAgain => "a user sets the last approval again".to_owned(),
            Action::Withdraw => "a user withdraws the approval".to_owned(),
            Action::Reassign(desktop) => {
                format!("a user assigns {} to another user", names::desktop(desktop))
            }
            Action::Replace => {
                "a client replaces the object, which removes the operator's finalizer".to_owned()
            }
            Action::CheckProject(operator) => {
                format!("{} checks its project, and so learns the date", who(operator))
            }
            Action::CloudClock(0) => "the clock of the cloud is set right again".to_owned(),
            Action::CloudClock(ahead) => format!("the clock of the cloud jumps: it is {} now", off(ahead)),
            Action::WallClock(operator, 0) => {
                format!("the clock of the machine of {} is set right again", who(operator))
            }
            Action::WallClock(operator, ahead) => format!(
                "the clock of the machine of {} steps: it is {} now",
                who(operator),
                off(ahead)
            ),
        }
    }

    fn steps(&self, before: &World, operator: usize, result: StepResult) -> String {
        if before.operators[operator]
            .reconciliation
            .is_some_and(|reconciliation| reconciliation.reload.is_some())
        {
            return format!("{} reads the object again to see how it stands", who(operator));
        }
        let act = self.next_act(before, operator);
        let what = act.map_or_else(String::new, does);
        let writes = matches!(act, Some(Act::Write(..)));
        let end = match result {
            StepResult::Well if writes && !self.would_write(before, operator) => {
                ": its copy is old, so the API server should refuse it (409)"
            }
            StepResult::Well => "",
            StepResult::ReadFailure => ": the read fails",
            StepResult::Incomplete => ": not all rows can be read",
            StepResult::FalseDate(ahead) => &format!(": the answer has a false date, {}", off(ahead)),
            StepResult::RequestLost => ": the request is lost",
            StepResult::ResponseLost => ": it is stored, but the response is lost",
            StepResult::Late => ": it times out, but the request is still in flight",
        };
        format!("{} {what}{end}", who(operator))
    }

    /// How the world stands.
    pub fn tell(&self, world: &World) -> String {
        let mut parts = vec![match world.object {
            None => "no object".to_owned(),
            Some(object) => {
                let known = self.requests.get(object.request);
                let mut words = vec![format!("object {}", object.uid)];
                let flags = [
                    (known.request.deleting, "being deleted"),
                    (known.request.suspend, "suspended"),
                    (known.request.finalizer, "held by the finalizer"),
                    (known.finished, "finished"),
                    (known.shown.is_some(), "with a plan on show"),
                    (
                        known.approved.is_some() && known.approved == known.shown,
                        "which is approved",
                    ),
                    (
                        known.approved.is_some() && known.approved != known.shown,
                        "with the approval of another plan",
                    ),
                    (
                        known.request.status.approved.is_some(),
                        "with a recorded approval",
                    ),
                ];
                words.extend(
                    flags
                        .iter()
                        .filter(|(is, _)| *is)
                        .map(|(_, word)| (*word).to_owned()),
                );
                for attempt in &known.request.status.attempts {
                    words.push(format!(
                        "{} {:?} {:?}",
                        attempt.id,
                        attempt.outcome,
                        names_of(&attempt.job_ids)
                    ));
                }
                let ready = known
                    .request
                    .status
                    .conditions
                    .iter()
                    .find(|c| c.type_ == "Ready");
                if let Some(ready) = ready {
                    words.push(format!("Ready {} {}", ready.status, ready.reason));
                }
                words.join(", ")
            }
        }];
        for (number, call) in world.calls.iter().enumerate() {
            if let Some(call) = call.filter(|call| call.state == CallState::InFlight) {
                parts.push(format!(
                    "POST of attempt {} on its way, {} ticks old",
                    number + 1,
                    call.age
                ));
            }
        }
        for (number, job) in world.cloud.jobs.iter().enumerate() {
            if let Some(job) = job {
                let seen = if job.visible { "" } else { " (not visible yet)" };
                let state = if job.open() == 0 { "ended" } else { "running" };
                parts.push(format!("{} {state}{seen}", job_name(number)));
            }
        }
        for (number, it) in world.operators.iter().enumerate() {
            if let Some(reconciliation) = it.reconciliation {
                parts.push(format!("{} {}", who(number), holds(&reconciliation)));
            }
        }
        parts.join("; ")
    }
}

fn names_of(jobs: &[desktop_deletion_operator::ids::JobID]) -> Vec<String> {
    jobs.iter().map(ToString::to_string).collect()
}

fn off(ahead: i8) -> String {
    let side = if ahead < 0 { "behind" } else { "ahead" };
    format!("{} ticks {side}", ahead.abs())
}

fn who(operator: usize) -> String {
    format!("operator {}", ["A", "B"][operator])
}

fn job_name(job: usize) -> String {
    names::job(job).to_string()
}

fn holds(reconciliation: &Reconciliation) -> String {
    match reconciliation.held {
        Held::Nothing => "is in a reconciliation".to_owned(),
        Held::Armed(draft) => format!("has attempt {} signed", draft.attempt + 1),
        Held::Waiting(attempt) => format!("waits for the answer to attempt {}", attempt + 1),
        Held::Answered(attempt, answer) => {
            let answer = match answer {
                Answer::Accepted => "a job",
                Answer::NotSent => "not sent",
                Answer::Throttled => "429",
                Answer::Invalid => "400",
                Answer::Expired => "401, too old",
                Answer::Doubt => "no usable answer",
            };
            format!("has to record for attempt {}: {answer}", attempt + 1)
        }
    }
}

fn does(act: Act) -> String {
    match act {
        Act::ReadDesktops(_) => "lists the desktops".to_owned(),
        Act::ReadDesktop(desktop) => format!("reads {} individually", names::desktop(desktop)),
        Act::ReadSubJobs => "reads the sub-jobs".to_owned(),
        Act::ReadJob(job) => format!("follows {}", job_name(job)),
        Act::Write(kind, _) => match kind {
            WriteKind::AddFinalizer => "adds the finalizer".to_owned(),
            WriteKind::DropFinalizer => "removes the finalizer".to_owned(),
            WriteKind::Intent(attempt) => format!("stores the intent of attempt {}", attempt + 1),
            WriteKind::Outcome => "records the outcome of the attempt".to_owned(),
            WriteKind::Refusal => "refuses the annotation".to_owned(),
            WriteKind::Progress => "writes the conditions".to_owned(),
            WriteKind::Approval => "writes which desktops were approved".to_owned(),
            WriteKind::Finish => "writes the final result".to_owned(),
        },
        Act::Post(attempt) => format!("sends the POST of attempt {}", attempt + 1),
        other => format!("goes on ({other:?})"),
    }
}

fn arrives(result: CallResult) -> &'static str {
    match result {
        CallResult::Accepted => "is accepted",
        CallResult::AcceptedResponseLost => "is accepted, and the response is lost",
        CallResult::AcceptedWith5xx => "is accepted, although the response is a 5xx",
        CallResult::Failed5xx => "is answered with a 5xx, and nothing happened",
        CallResult::RequestLost => "is lost in transit",
        CallResult::NotSent => "never left the operator",
        CallResult::Throttled => "is refused (429)",
        CallResult::Invalid => "is refused (400)",
        CallResult::Expired => "arrives too late and is rejected (401)",
    }
}
