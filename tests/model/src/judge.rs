//! The invariants, in the words of the protocol, judged at every event that could break one.

use desktop_deletion_operator::crd::deletion::{DesktopState, Outcome};

use crate::names::{self, ATTEMPTS, CONSOLE};
use crate::requests::Known;
use crate::world::{Post, World, WriteKind};

/// An invariant that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wrong {
    /// Which.
    pub invariant: Invariant,
    /// By what.
    pub how: &'static str,
}

/// The invariants of the protocol that can be judged at an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// I1: the ids of every POST are a subset of the admitted ids, digest equal to the intent's.
    OnlyWhatWasAdmitted,
    /// I2: per attempt at most one POST; a further attempt only if every earlier one is `Rejected`, `NotSent` or
    /// `NoEffect`.
    AtMostOnce,
    /// I3: every accepted job id is stored, adopted, or declared unknown by name.
    NoJobIsLost,
    /// I4: terminal is final.
    TerminalIsFinal,
    /// I6: no intent for an object that at commit time is deleted, suspended or changed.
    IntentForTheLiveObject,
    /// I7: no POST without an earlier stored intent.
    IntentFirst,
    /// I8: attempts that may have reached the cloud are never removed.
    AttemptsStay,
    /// I10: two requests do not have one desktop in flight.
    OneRequestPerDesktop,
    /// I11: no write without a change.
    WritesChange,
    /// The verdict is true.
    TrueVerdict,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OnlyWhatWasAdmitted,
        Self::AtMostOnce,
        Self::NoJobIsLost,
        Self::TerminalIsFinal,
        Self::IntentForTheLiveObject,
        Self::IntentFirst,
        Self::AttemptsStay,
        Self::OneRequestPerDesktop,
        Self::WritesChange,
        Self::TrueVerdict,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OnlyWhatWasAdmitted => {
                "I1: the ids of every POST are a subset of the admitted ids, digest equal to the intent's"
            }
            Self::AtMostOnce => {
                "I2: per attempt at most one POST; a further attempt only if every earlier one is Rejected, NotSent or NoEffect"
            }
            Self::NoJobIsLost => "I3: every accepted job id is stored, adopted, or declared unknown by name",
            Self::TerminalIsFinal => "I4: terminal is final",
            Self::IntentForTheLiveObject => {
                "I6: no intent for an object that at commit time is deleted, suspended or changed"
            }
            Self::IntentFirst => "I7: no POST without an earlier stored intent",
            Self::AttemptsStay => "I8: attempts that may have reached the cloud are never removed",
            Self::OneRequestPerDesktop => "I10: two requests do not have one desktop in flight",
            Self::WritesChange => "I11: no write without a change",
            Self::TrueVerdict => "the verdict is true",
        }
    }
}

impl World {
    /// Notes that an invariant was broken, unless one was before.
    pub fn unless(&mut self, holds: bool, invariant: Invariant, how: &'static str) {
        if !holds && self.wrong.is_none() {
            self.wrong = Some(Wrong { invariant, how });
        }
    }

    /// Judges a write that the API server carries out.
    pub fn judge_write(&mut self, old: &Known, new: &Known, kind: WriteKind, window: u8) {
        use Invariant as I;
        if let WriteKind::Intent(attempt) = kind {
            self.unless(
                !new.request.deleting,
                I::IntentForTheLiveObject,
                "an intent was stored for an object that is being deleted",
            );
            self.unless(
                !new.request.suspend,
                I::IntentForTheLiveObject,
                "an intent was stored for a suspended object",
            );
            self.judge_further_attempt(old, usize::from(attempt));
        }
        self.judge_attempts(old, new);
        if old.finished {
            let kept = (&old.request.status.desktops, &old.request.status.conditions)
                == (&new.request.status.desktops, &new.request.status.conditions);
            self.unless(new.finished && kept, I::TerminalIsFinal, "a verdict was changed");
        }
        if new.finished && !old.finished {
            self.judge_verdict(new, window);
        }
    }

    fn judge_further_attempt(&mut self, old: &Known, attempt: usize) {
        use Invariant as I;
        let settled = |o| matches!(o, Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect);
        let others = old.with(|o| !settled(o)) & !names::only(attempt);
        self.unless(
            others == 0 && old.effective == 0,
            I::AtMostOnce,
            "a further attempt was stored while an earlier one may have had an effect",
        );
    }

    fn judge_attempts(&mut self, old: &Known, new: &Known) {
        use Invariant as I;
        for attempt in 0..ATTEMPTS {
            let (before, after) = (old.outcomes[attempt], new.outcomes[attempt]);
            let may_go = matches!(before, None | Some(Outcome::Rejected | Outcome::NotSent));
            self.unless(
                after.is_some() || may_go,
                I::AttemptsStay,
                "an attempt that may have reached the cloud was removed from the status",
            );
            self.unless(
                after.is_none() || matches!(before, None | Some(Outcome::Pending)) || before == after,
                I::TerminalIsFinal,
                "the outcome of an attempt was changed after it was decided",
            );
            let over = matches!(
                after,
                Some(Outcome::Rejected | Outcome::NotSent | Outcome::NoEffect)
            );
            self.unless(
                !over || self.cloud.jobs[attempt].is_none() || names::has(new.effective, attempt),
                I::NoJobIsLost,
                "an attempt was said to have had no effect, but the cloud accepted it",
            );
        }
        self.unless(
            old.jobs & !new.jobs == 0,
            I::AttemptsStay,
            "a job was removed from the status",
        );
    }

    fn judge_verdict(&mut self, new: &Known, window: u8) {
        use Invariant as I;
        let deleted = new.desktops(DesktopState::Deleted) | new.desktops(DesktopState::Absent);
        self.unless(
            deleted & !self.cloud.gone == 0,
            I::TrueVerdict,
            "a desktop was said to be deleted but is there",
        );
        let failed = new.desktops(DesktopState::Failed);
        let ours = self.object.map(|object| object.uid);
        let open = |attempt: usize| self.cloud.jobs[attempt].map_or(0, crate::world::Job::open);
        let working = (0..ATTEMPTS)
            .filter(|a| self.letters[*a].is_some_and(|l| Some(l.uid) == ours))
            .fold(0, |set, a| set | open(a));
        self.unless(
            failed & working == 0,
            I::TrueVerdict,
            "a desktop was said to have failed but is being deleted by this request",
        );
        self.judge_nothing_lands(
            window,
            "the request was finished while a POST of it can still land",
        );
    }

    /// Nothing of this object may land any more, except what a person gave up.
    pub fn judge_nothing_lands(&mut self, window: u8, how: &'static str) {
        let ours = self.object.map(|object| object.uid);
        let lands = self.letters.iter().flatten().any(|letter| {
            let flying = letter.post == Post::Flying && letter.gateway_age < window;
            Some(letter.uid) == ours && flying && !letter.given_up
        });
        self.unless(!lands, Invariant::OneRequestPerDesktop, how);
    }

    /// Judges a POST that leaves the operator.
    pub fn judge_post(&mut self, attempt: usize, stored: Option<&Known>) {
        use Invariant as I;
        let Some(letter) = self.letters[attempt] else {
            return;
        };
        self.unless(
            letter.post == Post::Unsent,
            I::AtMostOnce,
            "one attempt was sent twice",
        );
        self.unless(
            letter.stored,
            I::IntentFirst,
            "a POST was sent whose intent is not stored",
        );
        if let Some(record) = stored.and_then(|known| known.attempt(attempt)) {
            let same = names::desktop_set(&record.desktop_ids) == letter.body
                && record.body_digest == format!("sha256:{:064x}", letter.body);
            self.unless(same, I::OnlyWhatWasAdmitted, "a POST differs from its intent");
        }
        if let Some(known) = stored {
            let admitted = names::desktop_set(&known.request.desktop_ids);
            self.unless(
                letter.body & !admitted == 0,
                I::OnlyWhatWasAdmitted,
                "a POST names a desktop that the request does not",
            );
        }
    }

    /// Judges a POST that the cloud accepts.
    pub fn judge_effect(&mut self, attempt: usize) {
        use Invariant as I;
        let Some(letter) = self.letters[attempt] else {
            return;
        };
        self.unless(
            self.cloud.jobs[attempt].is_none(),
            I::AtMostOnce,
            "one attempt took effect twice",
        );
        for other in (0..CONSOLE).filter(|other| *other != attempt) {
            let (Some(job), Some(theirs)) = (self.cloud.jobs[other], self.letters[other]) else {
                continue;
            };
            let shared = job.body & letter.body != 0;
            self.unless(
                !shared || theirs.uid != letter.uid,
                I::AtMostOnce,
                "two POSTs of one request took effect on one desktop",
            );
            self.unless(
                job.open() & letter.body == 0
                    || theirs.uid == letter.uid
                    || letter.given_up
                    || theirs.given_up,
                I::OneRequestPerDesktop,
                "a POST took effect on a desktop that an earlier request of that name was deleting",
            );
        }
    }
}
