//! What each step of the process does to the world, and what it learns.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::deletion::{Attempt, AuthMethod, Outcome};
use desktop_deletion_operator::crd::project::{Approval, Guardrails};
use desktop_deletion_operator::ids::{AttemptID, DesktopID};
use desktop_deletion_operator::plan::deadlines::{self, Deadlines};
use desktop_deletion_operator::plan::evidence;
use desktop_deletion_operator::plan::observed::{PostResult, ReadTime, SendPermit, SingleRead, Submission};
use desktop_deletion_operator::plan::progress::{Progress, Requeue};
use desktop_deletion_operator::plan::step::{Batch, Step};
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::workspace::api::Fact;
use invariants::intent_first;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::build::{Seen, attempt, failure, nonce, observation, pay_per_use, timing};
use super::super::rules;
use super::world::{Answer, SIGNATURE, TOKEN};
use super::{Reconciliation, Then, Walk, uptime};

impl Walk {
    /// Carries out a step.
    pub(super) fn take(&mut self, reconciliation: &mut Reconciliation, step: &Step) -> Result<Then, String> {
        match step {
            Step::ReadProject => self.read_project(reconciliation),
            Step::ClaimDesktops => {
                let seen = Seen(reconciliation.seen.clone());
                let asked = if self.around.claimed_by_another {
                    seen.conflicting_request(None)
                } else {
                    seen.claimed()
                };
                reconciliation.seen = asked.0;
            }
            Step::ReadOwner(job) => {
                let others = !self.cloud.effects.iter().any(|(_, ours, _)| ours == job) && self.dice.bad();
                reconciliation
                    .seen
                    .owned_by_other_request
                    .insert(job.clone(), others);
            }
            Step::ReadDesktops(ids) => self.read_desktops(reconciliation, ids),
            Step::ReadDesktop(id) => {
                if self.readable(reconciliation) {
                    let view = self.cloud.read_desktop(id, &mut self.dice);
                    self.saw(reconciliation, id, view);
                    reconciliation
                        .seen
                        .single_reads
                        .insert(id.folded(), SingleRead::Succeeded);
                }
            }
            Step::ReadDetails(ids) => {
                if self.readable(reconciliation) {
                    for id in ids {
                        let seen = reconciliation.seen.desktops.get_mut(&id.folded()).unwrap();
                        seen.details = Some(Box::new(pay_per_use()));
                    }
                }
            }
            Step::ReadSubJobs => {
                if self.readable(reconciliation) {
                    let sub_job_list = self.cloud.sub_job_list(&mut self.dice);
                    let (ids, now) = (&reconciliation.seen.request.desktop_ids, uptime(self.cloud.now));
                    for id in self.memory.plan.observe_sub_jobs(&sub_job_list, ids, now) {
                        if let Some(desktop) = reconciliation.seen.desktops.get_mut(&id) {
                            desktop.idle_twice = false;
                        }
                    }
                    reconciliation.seen.sub_job_list = Some(sub_job_list);
                    reconciliation.reads.sub_jobs = Some(ReadTime {
                        began: now,
                        ..ReadTime::default()
                    });
                }
            }
            Step::ReadJob(job) => {
                let view = self.cloud.view(job, &mut self.dice);
                reconciliation.seen.jobs.insert(job.clone(), view);
            }
            Step::AddFinalizer => return Ok(self.set_finalizer(reconciliation, true)),
            Step::DropFinalizer => return Ok(self.set_finalizer(reconciliation, false)),
            Step::AcquirePermit => {
                reconciliation.seen.permit = SendPermit::Held;
                // A long wait makes the last check of the project outdated.
                reconciliation.seen.project_is_fresh &= !self.dice.bad();
            }
            Step::ReleasePermit => reconciliation.seen.permit = SendPermit::Returned,
            Step::ReserveDesktops(count) => self.reserve(reconciliation, *count)?,
            Step::Sign(batch) => self.sign(reconciliation, batch),
            Step::RecordIntent(_) => return self.store_intent(reconciliation, step),
            Step::Post => self.post(reconciliation)?,
            Step::RecordOutcome(_) => return self.store_outcome(reconciliation, step),
            Step::RefuseResolve(_) | Step::RecordProgress(_) | Step::RecordApproval(_) | Step::Finish(_) => {
                return self.write(reconciliation, step);
            }
            Step::Wait(progress) => {
                self.remember(reconciliation, progress);
                let sleep = self.until(reconciliation, progress.requeue);
                return Ok(Then::End { sleep });
            }
            Step::StartOver => return Ok(Then::End { sleep: 0 }),
            Step::Done => return Ok(Then::End { sleep: 10 }),
        }
        Ok(Then::GoOn)
    }

    fn sign(&mut self, reconciliation: &mut Reconciliation, batch: &Batch) {
        let id = match reconciliation.seen.reserved.take() {
            Some(id) => id,
            None => self.new_attempt(),
        };
        let token = self.dice.bad();
        let signed = Attempt {
            id,
            auth: if token {
                AuthMethod::Token
            } else {
                AuthMethod::Signature
            },
            desktop_ids: batch.desktop_ids.clone(),
            baseline_job_ids: batch.baseline_job_ids.clone(),
            baseline_failed_ids: batch.baseline_failed_ids.clone(),
            baseline_incomplete: batch.baseline_incomplete,
            plan_hash: batch.plan_hash.clone(),
            signed_at: Time(self.wall()),
            not_after: (!token).then(|| Time(deadlines::end_of_signature(self.wall(), None, &timing()))),
            ..attempt("a")
        };
        self.memory.plan.forget_idle();
        reconciliation.armed_at = self.cloud.now;
        reconciliation.seen.submission = Submission::Signed {
            attempt: signed,
            fresh: true,
        };
    }

    pub(super) fn new_attempt(&mut self) -> AttemptID {
        self.attempts_made += 1;
        nonce(&format!("n{}", self.attempts_made))
    }

    fn read_project(&mut self, reconciliation: &mut Reconciliation) {
        let seen = Seen(reconciliation.seen.clone());
        let seen = if self.around.missing {
            let person = self.dice.throw(2) == 1;
            seen.obstacle(Reason::ProjectNotReady, person)
        } else if self.around.elsewhere {
            seen.project_at("another")
        } else if self.around.project_suspended {
            seen.project_suspended()
        } else {
            seen.project()
        };
        reconciliation.seen = seen.project_is_fresh().0;
        reconciliation.usage_version = self.usage_version;
        let Some(project) = &mut reconciliation.seen.project else {
            return;
        };
        project.usage = self.usage.clone();
        if self.around.guarded || self.around.limit.is_some() {
            project.guardrails = Some(Guardrails {
                approval: if self.around.guarded {
                    Approval::Required
                } else {
                    Approval::None
                },
                max_desktops_per_day: self.around.limit,
                ..Guardrails::default()
            });
        }
    }

    /// A read of the cloud, which may fail.
    fn readable(&mut self, reconciliation: &mut Reconciliation) -> bool {
        reconciliation.seen.project_is_fresh = false;
        if !self.dice.bad() {
            self.answered();
            return true;
        }
        // Only a submission is refused for its content, which is the first class.
        let class = ErrorClass::ALL[1 + usize::from(self.dice.throw(10))];
        reconciliation.seen = Seen(reconciliation.seen.clone()).read_failure(class).0;
        false
    }

    fn read_desktops(&mut self, reconciliation: &mut Reconciliation, ids: &[DesktopID]) {
        if !self.readable(reconciliation) {
            return;
        }
        let cut = self.dice.bad();
        for id in ids {
            let view = match self.cloud.read_desktop(id, &mut self.dice) {
                DesktopView::Gone if cut => DesktopView::Unlisted,
                DesktopView::Gone => DesktopView::Missing,
                there => there,
            };
            self.saw(reconciliation, id, view);
        }
    }

    fn saw(&mut self, reconciliation: &mut Reconciliation, id: &DesktopID, view: DesktopView) {
        let now = uptime(self.cloud.now);
        let mut seen = observation(view);
        seen.details = None;
        seen.facts.computer_name = Fact::Given(format!("pc-{}", self.around.renamed));
        seen.idle_twice = self
            .memory
            .plan
            .record_idle(id, view, now, timing().job_visibility_timeout);
        reconciliation.seen.desktops.insert(id.folded(), seen);
        let read = ReadTime {
            began: now,
            ..ReadTime::default()
        };
        reconciliation.reads.desktops.insert(id.folded(), read);
    }

    /// The first evidence check is remembered for the second.
    fn remember(&mut self, reconciliation: &Reconciliation, progress: &Progress) {
        let Some(attempt) = reconciliation
            .seen
            .request
            .pending()
            .filter(|_| progress.requeue == Requeue::SecondRead)
        else {
            return;
        };
        let Some(evidence) = evidence::evidence(&reconciliation.seen, attempt) else {
            return;
        };
        let began = uptime(reconciliation.began);
        self.memory.plan.record_evidence(&attempt.id, began, evidence);
    }

    /// How long the shipped rules wait, in whole minutes.
    fn until(&self, reconciliation: &Reconciliation, requeue: Requeue) -> i64 {
        let timing = timing();
        let rules = Deadlines {
            request: &reconciliation.seen.request,
            memory: &self.memory.plan,
            clocks: self.clocks(),
            timing: &timing,
            windows: &[],
            submitted: reconciliation
                .seen
                .project
                .as_ref()
                .map_or(&[], |project| project.usage.submitted.as_slice()),
        };
        i64::try_from(rules.delay(requeue).as_secs().div_ceil(60)).unwrap()
    }

    fn post(&mut self, reconciliation: &mut Reconciliation) -> Result<(), String> {
        let Submission::Signed { attempt, .. } = reconciliation.seen.submission.clone() else {
            return rules::holds(intent_first::sent(false, || "nothing is signed".to_owned()));
        };
        if reconciliation.seen.permit != SendPermit::Held {
            return Err("it is sent without a permit".to_owned());
        }
        self.is_reserved(reconciliation, &attempt)?;
        reconciliation.seen.permit = SendPermit::None;
        let intent = self.object.status.attempts.iter().find(|a| a.id == attempt.id);
        let stored =
            intent.is_some_and(|a| a.outcome == Outcome::Pending && a.body_digest == attempt.body_digest);
        rules::holds(intent_first::sent(stored, || attempt.id.to_string()))?;
        // The gateway holds what the clock of the process said against its own.
        let life = if attempt.not_after.is_some() {
            SIGNATURE + self.around.ahead
        } else {
            TOKEN
        };
        let answer = self
            .cloud
            .submit(&attempt.id, &attempt.desktop_ids, life, &mut self.dice)?;
        let now = Time(self.wall());
        let error = |class: ErrorClass| {
            let mut error = failure(class);
            error.time = now.clone();
            error
        };
        self.trace.push(format!("-- answer: {answer:?}"));
        reconciliation.seen.submission = Submission::Responded {
            attempt: attempt.id,
            result: match answer {
                Answer::Accepted(job) => PostResult::Accepted(job),
                Answer::Refused(class) => PostResult::Rejected(error(class)),
                Answer::NotSent => PostResult::NotSent(error(ErrorClass::Unreachable)),
                Answer::Lost => PostResult::OutcomeUnknown(error(ErrorClass::InDoubt)),
            },
        };
        Ok(())
    }
}
