//! Where each event of the model is handed to the invariants that it could break. What they say stands in the crate
//! `invariants`; here is only who asks, and what the model knows.

use invariants::final_state_is_correct::{self, ActualState};
use invariants::history::{Approved, Attempt, Effect, Facts, IntentBasis, Object, Post as Sent, Status};
use invariants::{
    Invariant, Violation, at_most_once, attempts_stay, intent_first, intent_for_the_live_object,
    no_job_is_lost, one_request_per_desktop, only_what_was_admitted, only_what_was_approved,
    terminal_is_final,
};

use crate::decide::epoch;
use crate::moves::Protocol;
use crate::names::{self, ATTEMPTS, CONSOLE, Set, USERS};
use crate::requests::Known;
use crate::world::{CallState, Job, Noted, SignedCall, World};

/// An invariant that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wrong {
    /// Which.
    pub invariant: Invariant,
    /// By what.
    pub how: &'static str,
}

impl World {
    /// Notes what was broken, unless something was before.
    pub fn note(&mut self, broken: impl IntoIterator<Item = Violation>) {
        if let (None, Some(first)) = (self.wrong, broken.into_iter().next()) {
            let Violation { invariant, how, .. } = first;
            self.wrong = Some(Wrong { invariant, how });
        }
    }

    /// Judges a write that the API server carries out.
    pub fn judge_write(&mut self, old: &Known, new: &Known, window: i8) {
        let (before, after) = (&old.object, &new.object);
        let attempts = (&before.status.attempts, &after.status.attempts);
        self.note(intent_for_the_live_object::change(before, after));
        self.note(at_most_once::change(attempts.0, attempts.1));
        self.note(attempts_stay::change(attempts.0, attempts.1));
        self.note(terminal_is_final::change(&before.status, &after.status));
        let accepted = self.cloud.jobs;
        for attempt in (0..ATTEMPTS).filter(|attempt| accepted[*attempt].is_some()) {
            self.note(record(new, attempt).and_then(no_job_is_lost::accepted));
        }
        if new.finished && !old.finished {
            self.judge_verdict(new);
            let lands = self.something_can_land(window);
            self.note(one_request_per_desktop::finished(lands, ""));
        }
    }

    fn judge_verdict(&mut self, new: &Known) {
        let ours = self.object.map(|object| object.uid);
        let working = (0..ATTEMPTS)
            .filter(|a| self.calls[*a].is_some_and(|call| Some(call.uid) == ours))
            .fold(0, |set, a| set | self.cloud.jobs[a].map_or(0, Job::open));
        for said in &new.object.status.desktops {
            let its = names::set((0..names::DESKTOPS).filter(|n| names::desktop(*n).as_str() == said.id));
            let truth = ActualState {
                there: its & !self.cloud.gone != 0,
                ours: its & working != 0,
                ..ActualState::default()
            };
            self.note(final_state_is_correct::desktop(&said.id, said.state, truth));
        }
    }

    /// Something of this object may still land, besides what a person gave up.
    pub fn something_can_land(&self, window: i8) -> bool {
        let ours = self.object.map(|object| object.uid);
        self.calls.iter().flatten().any(|call| {
            let flying = call.state == CallState::InFlight && call.gateway_age < window;
            Some(call.uid) == ours && flying && !call.given_up
        })
    }

    /// Judges a POST that leaves the operator.
    pub fn judge_post(&mut self, attempt: usize, stored: Option<&Known>) {
        let Some(call) = self.calls[attempt] else {
            return;
        };
        let id = names::attempt(attempt).as_str();
        let before = usize::from(call.state != CallState::Unsent);
        self.note(at_most_once::sent(before, id));
        self.note(intent_first::sent(call.stored, || id.to_owned()));
        let Some(known) = stored else { return };
        let sent = Sent {
            at: 0,
            digest: format!("sha256:{:064x}", call.body),
            desktops: names::texts(call.body).to_vec(),
            signature: None,
            left: None,
            job: None,
        };
        self.note(record(known, attempt).and_then(|record| only_what_was_admitted::post(&sent, record)));
        let named = known.object.approved_plan.as_ref();
        self.note(record(known, attempt).and_then(|record| only_what_was_approved::sent(record, named)));
        let admitted = names::texts(names::desktop_set(&known.request.desktop_ids));
        self.note(only_what_was_admitted::body(&sent.desktops, admitted));
    }

    /// Judges a POST that the cloud accepts.
    pub fn judge_effect(&mut self, attempt: usize) {
        let Some(call) = self.calls[attempt] else {
            return;
        };
        let ours = effect(attempt, call, call.body);
        let took = (0..CONSOLE).filter_map(|other| {
            let (job, theirs) = (self.cloud.jobs[other]?, self.calls[other]?);
            Some((other, job, theirs))
        });
        let whole = |other, job: Job| if other == attempt { call.body } else { job.body };
        let earlier = took
            .clone()
            .map(|(other, job, theirs)| effect(other, theirs, whole(other, job)));
        let twice = at_most_once::effect(&ours, earlier);
        let in_flight = took.map(|(other, job, theirs)| effect(other, theirs, job.open()));
        let taken = one_request_per_desktop::effect(&ours, in_flight);
        self.note(twice.into_iter().chain(taken));
    }
}

impl Protocol {
    /// Judges an intent of a project that requires an approval: by what is on record in the object over which it is stored,
    /// and by what was shown to the person who gave it.
    pub(crate) fn judge_intent(&self, world: &mut World, attempt: usize, over: &Known, new: &Known) {
        let (Some(call), Some(intent)) = (world.calls[attempt], record(new, attempt)) else {
            return;
        };
        let shown = facts(call.body, call.reassigned);
        let basis = IntentBasis {
            approval_required: true,
            daily_limit: None,
            shown: shown.map(|(id, facts)| (id, vec![facts])).collect(),
        };
        let uid = world.object.map(|object| object.uid);
        let noted = world.noted.filter(|noted| Some(noted.uid) == uid);
        let by_person = Object {
            approved_plan: over.object.approved_plan.clone(),
            status: Status {
                approved: noted.map(|noted| self.approved(noted)),
                ..Status::default()
            },
            ..Object::default()
        };
        world.note(only_what_was_approved::intent(&over.object, intent, &basis));
        world.note(only_what_was_approved::intent(&by_person, intent, &basis));
    }

    fn approved(&self, noted: Noted) -> Approved {
        Approved {
            hash: self.requests.plan_hash(noted.plan),
            desktops: facts(noted.desktops, noted.reassigned).collect(),
        }
    }
}

/// What a plan says of these desktops.
fn facts(desktops: Set, reassigned: Set) -> impl Iterator<Item = (String, Facts)> {
    names::members(desktops).map(move |desktop| {
        let name = names::desktop(desktop).to_string();
        let facts = Facts {
            name: Some(name.clone()),
            users: Some(USERS[usize::from(names::has(reassigned, desktop))].to_owned()),
            created: Some(epoch().0.to_string()),
        };
        (name, facts)
    })
}

/// The record of an attempt.
fn record(known: &Known, attempt: usize) -> Option<&Attempt> {
    known.object.status.attempt(names::attempt(attempt).as_str())
}

fn effect(attempt: usize, call: SignedCall, desktops: Set) -> Effect<'static> {
    Effect {
        request: names::object(call.uid),
        attempt: names::attempt(attempt).as_str(),
        desktops: names::texts(desktops),
        given_up: call.given_up,
    }
}
