//! A cloud with every behaviour that the vendor's documentation permits. Time is in minutes. Every choice is thrown
//! for; the first option is the good one, and once the throws are used up only that is chosen.

use std::collections::BTreeMap;

use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::ids::{AttemptID, DesktopID, JobID};
use desktop_deletion_operator::plan::views::{DesktopView, JobView, SubJobList};
use desktop_deletion_operator::workspace::api::{SubJob, SubJobStatus};
use invariants::at_most_once;
use invariants::history::Effect;

use super::super::build::job;
use super::super::rules;
use super::dice::Dice;

/// Time by which an accepted batch shows in the sub-jobs (assumption A2).
pub(crate) const JOB_VISIBILITY: i64 = 2;
/// Life of a signature (assumption A1), and of a token whose end is unknown.
pub(crate) const SIGNATURE: i64 = 15;
pub(crate) const TOKEN: i64 = 24 * 60;

/// A desktop as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Busy,
    Deleting,
    DeleteFailed,
    Gone,
}

/// A sub-job as it is.
#[derive(Debug, Clone)]
struct Row {
    job: JobID,
    desktop: DesktopID,
    status: SubJobStatus,
    shows_from: i64,
}

/// A request whose response was lost on the way, and that may still arrive.
#[derive(Debug, Clone)]
struct CallInFlight {
    attempt: AttemptID,
    body: Vec<DesktopID>,
    until: i64,
}

/// What the cloud answers to a batch-delete.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Accepted(JobID),
    Refused(ErrorClass),
    NotSent,
    Lost,
}

/// The cloud.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) now: i64,
    /// Each desktop, and since when it is so; the newest last.
    desktops: BTreeMap<DesktopID, Vec<(i64, State)>>,
    rows: Vec<Row>,
    flights: Vec<CallInFlight>,
    /// The batches of ours that took effect.
    pub(crate) effects: Vec<(AttemptID, JobID, Vec<DesktopID>)>,
    jobs_made: usize,
}

impl Cloud {
    pub(crate) fn new(ids: &[DesktopID], dice: &mut Dice) -> Self {
        let begin = |dice: &mut Dice| match dice.throw(4) {
            0 => State::Idle,
            1 => State::Busy,
            2 => State::DeleteFailed,
            _ => State::Gone,
        };
        Self {
            now: 0,
            desktops: ids
                .iter()
                .map(|id| (id.folded(), vec![(-100, begin(dice))]))
                .collect(),
            rows: vec![],
            flights: vec![],
            effects: vec![],
            jobs_made: 0,
        }
    }

    fn state(&self, id: &DesktopID) -> State {
        self.state_at(id, self.now)
    }

    fn state_at(&self, id: &DesktopID, at: i64) -> State {
        let mut history = self.desktops[&id.folded()].iter().rev();
        history.find(|(since, _)| *since <= at).unwrap().1
    }

    fn set(&mut self, id: &DesktopID, state: State, at: i64) {
        self.desktops.get_mut(&id.folded()).unwrap().push((at, state));
    }

    /// The desktop is really gone.
    pub(crate) fn is_gone(&self, id: &DesktopID) -> bool {
        self.state(id) == State::Gone
    }

    /// A job of ours deletes the desktop, or has.
    pub(crate) fn is_ours(&self, id: &DesktopID) -> bool {
        let ours = |row: &&Row| {
            self.effects.iter().any(|(_, job, _)| *job == row.job) && row.desktop.folded() == id.folded()
        };
        self.rows
            .iter()
            .filter(ours)
            .any(|row| row.status != SubJobStatus::Failed)
    }

    /// A request of ours may still arrive.
    pub(crate) fn is_awaited(&self) -> bool {
        self.flights.iter().any(|f| f.until > self.now)
    }

    /// A batch-delete arrives, or does not. What it answers may get lost.
    ///
    /// # Errors
    /// Two batches of ours took effect for one desktop.
    pub(crate) fn submit(
        &mut self,
        attempt: &AttemptID,
        body: &[DesktopID],
        life: i64,
        dice: &mut Dice,
    ) -> Result<Answer, String> {
        let flight = CallInFlight {
            attempt: attempt.clone(),
            body: body.to_vec(),
            until: self.now + life,
        };
        match dice.throw(6) {
            0 => {
                let job = self.land(&flight, dice)?;
                Ok(job.map_or(Answer::Refused(ErrorClass::Conflict), Answer::Accepted))
            }
            1 => Ok(Answer::Refused(refusal(dice))),
            2 => Ok(Answer::NotSent),
            3 => self.land(&flight, dice).map(|_| Answer::Lost),
            4 => {
                self.flights.push(flight);
                Ok(Answer::Lost)
            }
            _ => Ok(Answer::Lost),
        }
    }

    /// A batch-delete takes effect, unless some desktop is being deleted already.
    fn land(&mut self, flight: &CallInFlight, dice: &mut Dice) -> Result<Option<JobID>, String> {
        if flight.body.iter().any(|id| self.state(id) == State::Deleting) {
            return Ok(None);
        }
        let there: Vec<_> = flight
            .body
            .iter()
            .filter(|id| !self.is_gone(id))
            .cloned()
            .collect();
        if there.is_empty() {
            return Ok(None);
        }
        self.judge_effect(&flight.attempt, &there)?;
        let job = self.begin(&there, dice);
        self.effects.push((flight.attempt.clone(), job.clone(), there));
        Ok(Some(job))
    }

    fn judge_effect(&self, attempt: &AttemptID, body: &[DesktopID]) -> Result<(), String> {
        let body = rules::texts(body);
        for (earlier, _, ids) in &self.effects {
            let ids = rules::texts(ids);
            let theirs = effect(earlier, &ids);
            rules::holds(at_most_once::effect(&effect(attempt, &body), [theirs]))?;
        }
        Ok(())
    }

    fn begin(&mut self, ids: &[DesktopID], dice: &mut Dice) -> JobID {
        self.jobs_made += 1;
        let job = job(&format!("j{}", self.jobs_made));
        let shows_from = self.now + i64::from(dice.throw(3));
        assert!(shows_from <= self.now + JOB_VISIBILITY, "A2");
        for id in ids {
            self.set(id, State::Deleting, self.now);
            self.rows.push(Row {
                job: job.clone(),
                desktop: id.clone(),
                status: SubJobStatus::Running,
                shows_from,
            });
        }
        job
    }

    /// Every task that is no deletion comes to its end.
    pub(crate) fn finish_tasks(&mut self) {
        let busy = |id: &&DesktopID| self.state(id) == State::Busy;
        let busy: Vec<_> = self.desktops.keys().filter(busy).cloned().collect();
        for id in busy {
            self.set(&id, State::Idle, self.now);
        }
    }

    /// Another client deletes a desktop.
    pub(crate) fn delete_by_another_client(&mut self, dice: &mut Dice) {
        let idle = |state: State| !matches!(state, State::Deleting | State::Gone);
        let idle: Vec<_> = self
            .desktops
            .keys()
            .filter(|id| idle(self.state(id)))
            .cloned()
            .collect();
        if let Some(id) = idle.get(usize::from(dice.throw(3))) {
            self.begin(std::slice::from_ref(id), dice);
        }
    }

    /// Time passes: calls arrive or expire, jobs go on. `kept` says that no row may vanish (assumption A3).
    ///
    /// # Errors
    /// Two batches of ours took effect for one desktop.
    pub(crate) fn pass(&mut self, minutes: i64, kept: bool, dice: &mut Dice) -> Result<(), String> {
        self.now += minutes;
        for flight in std::mem::take(&mut self.flights) {
            if self.now >= flight.until {
                // Too late, but it may have arrived in time.
                if dice.throw(2) == 1 {
                    let now = std::mem::replace(&mut self.now, flight.until);
                    let landed = self.land(&flight, dice);
                    self.now = now;
                    landed?;
                }
            } else if dice.throw(3) == 1 {
                self.land(&flight, dice)?;
            } else {
                self.flights.push(flight);
            }
        }
        for mut row in std::mem::take(&mut self.rows) {
            if row.status != SubJobStatus::Running || row.shows_from >= self.now {
                self.rows.push(row);
                continue;
            }
            let end = match dice.throw(6) {
                0 => (SubJobStatus::Success, State::Gone, self.now),
                1 => (SubJobStatus::Running, State::Deleting, self.now),
                2 => (SubJobStatus::Failed, State::Idle, self.now),
                3 => (SubJobStatus::Failed, State::DeleteFailed, self.now),
                // The desktop still shows a while.
                4 => (SubJobStatus::Success, State::Gone, self.now + 3),
                _ if kept => (SubJobStatus::Failed, State::Idle, self.now),
                // It vanishes, and the desktop stays.
                _ => {
                    self.set(&row.desktop, State::Idle, self.now);
                    continue;
                }
            };
            row.status = end.0;
            if end.1 != State::Deleting {
                self.set(&row.desktop, end.1, end.2);
            }
            self.rows.push(row);
        }
        Ok(())
    }

    /// What a list, or a GET, says of a desktop; it may lag.
    pub(crate) fn read_desktop(&self, id: &DesktopID, dice: &mut Dice) -> DesktopView {
        let at = self.now - i64::from(dice.throw(2));
        match self.state_at(id, at) {
            State::Idle => DesktopView::Idle,
            State::Busy => DesktopView::Busy,
            State::Deleting => DesktopView::Deleting,
            State::DeleteFailed => DesktopView::DeleteFailed,
            State::Gone => DesktopView::Gone,
        }
    }

    /// What a sweep of the sub-jobs shows.
    pub(crate) fn sub_job_list(&self, dice: &mut Dice) -> SubJobList {
        let complete = !dice.bad();
        let shows = |row: &&Row| row.shows_from <= self.now;
        let rows = self.rows.iter().filter(shows).skip(usize::from(!complete));
        SubJobList {
            sub_jobs: rows.map(sub_job).collect(),
            complete,
        }
    }

    /// What the poller knows of a job.
    pub(crate) fn view(&self, job: &JobID, dice: &mut Dice) -> JobView {
        let mut view = JobView::default();
        let ours: Vec<_> = self.rows.iter().filter(|row| row.job == *job).collect();
        if dice.bad() || ours.iter().any(|row| row.shows_from > self.now) {
            return view;
        }
        view.merge_sub_jobs(&ours.iter().copied().map(sub_job).collect::<Vec<_>>());
        view.finished = ours.iter().all(|row| row.status != SubJobStatus::Running);
        view.complete = view.finished && dice.throw(6) != 1;
        view
    }
}

fn effect<'a>(attempt: &'a AttemptID, desktops: &'a [String]) -> Effect<'a> {
    Effect {
        request: "the request",
        attempt: attempt.as_str(),
        desktops,
        given_up: false,
    }
}

fn sub_job(row: &Row) -> SubJob {
    SubJob {
        id: format!("sub-{}-{}", row.job, row.desktop),
        job: row.job.clone(),
        desktop: row.desktop.folded(),
        status: row.status,
        code: None,
        reason: None,
    }
}

/// A class of errors, most often one that is temporary.
fn refusal(dice: &mut Dice) -> ErrorClass {
    match dice.throw(8) {
        0 => ErrorClass::Throttled,
        1 => ErrorClass::Authentication,
        2 => ErrorClass::Permission,
        3 => ErrorClass::WrongEndpoint,
        4 => ErrorClass::NotFound,
        5 => ErrorClass::Conflict,
        6 => ErrorClass::Unavailable,
        _ => ErrorClass::InvalidRequest,
    }
}
