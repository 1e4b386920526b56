//! What the world is like after something happened. The operators behave as the shipped shell does around the shipped
//! decision: which step forgets what, what a conflict or a lost answer leads to, what the submitting task does.

use desktop_deletion_operator::crd::deletion::{DesktopDeletionStatus, Outcome};
use desktop_deletion_operator::plan::observed::Request;

use crate::action::{Action, Fate, Luck};
use crate::config::{Config, Mutant};
use crate::decide::{Act, Decisions, Times};
use crate::judge::Invariant;
use crate::names::{self, ATTEMPTS, CONSOLE, Set};
use crate::requests::{Edit, RequestId, Requests};
use crate::world::{
    Answer, Batch, CAP, Cloud, Draft, GUARD, Held, Job, Letter, Look, Memory, OVERDUE, Object, Operator,
    Pass, Post, Row, SETTLE, Sighted, Stray, Sweep, World, WriteKind,
};

/// The model: its size, and what was met in the search so far.
pub struct Protocol {
    /// Size of the world.
    pub config: Config,
    /// Objects.
    pub requests: Requests,
    /// Decisions.
    pub decisions: Decisions,
    new_object: RequestId,
}

impl Protocol {
    /// A world of that size.
    pub fn new(config: Config) -> Self {
        let requests = Requests::default();
        let new_object = requests.number(Request {
            project: "project".to_owned(),
            desktop_ids: names::desktops(names::set(0..config.desktops)),
            suspend: false,
            resolve: None,
            generation: 1,
            deleting: false,
            finalizer: false,
            status: DesktopDeletionStatus {
                observed_generation: Some(-1),
                ..DesktopDeletionStatus::default()
            },
        });
        Self {
            config,
            decisions: Decisions::new(config.auth),
            requests,
            new_object,
        }
    }

    /// The world in the beginning: somebody has just created the object.
    pub fn beginning(&self) -> World {
        World {
            object: Some(Object {
                uid: 1,
                request: self.new_object,
            }),
            made: 1,
            late: false,
            stray: None,
            letters: [None; ATTEMPTS],
            cloud: Cloud::default(),
            operators: [Operator::default(); 2],
            faults: self.config.faults,
            meddling: self.config.meddling,
            wrong: None,
        }
    }

    /// The world after something happened.
    pub fn after(&self, before: &World, action: Action) -> World {
        let mut world = *before;
        match action {
            Action::Begin(operator) => self.load(&mut world, operator),
            Action::Step(operator, luck) => {
                world.faults -= u8::from(luck != Luck::Well);
                self.step(&mut world, operator, luck);
            }
            Action::GiveUp(operator) => {
                world.faults -= 1;
                world.give_up(operator, self.doubt());
            }
            Action::Crash(operator) => {
                world.faults -= 1;
                world.operators[operator] = Operator::default();
            }
            Action::Stop(operator) => {
                world.meddling -= 1;
                world.operators[operator].stopping = true;
            }
            Action::Restart(operator) => world.operators[operator] = Operator::default(),
            Action::Arrive(attempt, fate) => self.arrive(&mut world, attempt, fate),
            Action::Show(job) => world.change_job(job, |job| {
                job.visible = true;
                job.lag = 0;
            }),
            Action::End {
                job,
                desktop,
                deleted,
            } => world.end(job, desktop, deleted),
            Action::Tick => {
                world.faults -= u8::from(world.is_slow());
                world.tick(self.lag());
                if self.config.lacks(Mutant::SignedWhenSent) {
                    world.refresh_drafts();
                }
            }
            Action::Land => self.land(&mut world),
            _ => {
                world.meddling -= 1;
                self.meddle(&mut world, action);
            }
        }
        for operator in 0..self.config.operators {
            if let Some(pass) = &mut world.operators[operator].pass {
                pass.age_reads();
            }
            self.run_on(&mut world, operator);
        }
        self.tidy(&mut world);
        world
    }

    /// Whether a write of the operator would be carried out: nothing was written since it read the object.
    pub fn would_write(&self, world: &World, operator: usize) -> bool {
        let Some((pass, object)) = world.operators[operator].pass.zip(world.object) else {
            return false;
        };
        pass.current && pass.uid == object.uid
    }

    /// The next step of an operator, if it is for the operator to take one.
    pub fn next_act(&self, world: &World, operator: usize) -> Option<Act> {
        let pass = world.operators[operator].pass?;
        if pass.reload.is_some() || matches!(pass.held, Held::Waiting(_)) {
            return None;
        }
        let act = self
            .decisions
            .next(&self.requests, &pass, self.times(world, operator, &pass));
        if let (Act::Write(WriteKind::Intent(attempt), _), true) =
            (act, self.config.lacks(Mutant::SentWithoutIntent))
        {
            return Some(Act::Post(attempt));
        }
        Some(act)
    }

    fn times(&self, world: &World, operator: usize, pass: &Pass) -> Times {
        let known = self.requests.get(pass.request);
        let age = |attempt: usize| world.letters[attempt].map_or(CAP, |letter| letter.age);
        let doubtful = known.doubtful();
        let effective = known
            .request
            .status
            .attempts
            .iter()
            .rev()
            .find(|a| a.took_effect())
            .and_then(|a| names::attempt_number(&a.id))
            .map(age);
        Times {
            stopping: world.operators[operator].stopping,
            deadline_passed: world.late,
            retry_due: !known.last_failed || known.last.is_none_or(|last| age(last) >= 1),
            settled: effective.is_none_or(|age| age >= GUARD * 2 + SETTLE),
            overdue: effective.is_some_and(|age| age >= OVERDUE),
            surely_dead: doubtful != 0 && doubtful & !pass.dead == 0,
            evidence_overdue: doubtful != 0
                && names::members(doubtful).all(|attempt| age(attempt) >= self.dead_at() + 2),
        }
    }

    /// Age at which a request is surely dead and its effect visible.
    fn dead_at(&self) -> u8 {
        if self.config.lacks(Mutant::NoWaitForExpiry) {
            0
        } else if self.config.lacks(Mutant::NoSettleTime) {
            self.config.window()
        } else {
            self.config.window() + SETTLE
        }
    }

    /// Ticks for which an accepted request may stay invisible.
    fn lag(&self) -> u8 {
        if self.config.lacks(Mutant::ShownTooLate) {
            CAP
        } else {
            SETTLE
        }
    }

    fn settle(&self) -> u8 {
        if self.config.lacks(Mutant::NoSettleTime) {
            0
        } else {
            SETTLE
        }
    }

    /// What an answer that says nothing is taken for.
    fn doubt(&self) -> Answer {
        if self.config.lacks(Mutant::DoubtTakenAsRefusal) {
            Answer::Throttled
        } else {
            Answer::Doubt
        }
    }

    fn load(&self, world: &mut World, operator: usize) {
        let dead =
            names::set((0..ATTEMPTS).filter(|attempt| {
                world.letters[*attempt].is_some_and(|letter| letter.age >= self.dead_at())
            }));
        let it = &mut world.operators[operator];
        let Some(object) = world.object else {
            it.memory = Memory::default();
            return;
        };
        if it.memory.uid != object.uid {
            it.memory = Memory {
                uid: object.uid,
                ..Memory::default()
            };
        }
        let earlier = it.memory.look.filter(|(.., since)| *since >= self.settle());
        let mut pass = Pass::new(object);
        pass.earlier = earlier.map(|(attempt, found, _)| (attempt, found));
        pass.dead = dead;
        it.pass = Some(pass);
    }

    /// Takes the steps in which nothing outside the operator has a part: nothing else can tell when they happened.
    fn run_on(&self, world: &mut World, operator: usize) {
        while let Some(act) = self.next_act(world, operator) {
            let it = &mut world.operators[operator];
            let Some(pass) = &mut it.pass else { return };
            match act {
                Act::ReadProject => {
                    pass.project = true;
                    pass.last_look = true;
                }
                Act::Claim => pass.claim = true,
                Act::ReadOwner(job) => pass.asked |= names::only(job),
                Act::Sign(batch) => self.sign(world, operator, batch),
                Act::Wait(found) => {
                    if let Some((attempt, found)) = found {
                        it.memory.note(attempt, found);
                    }
                    it.pass = None;
                }
                Act::StartOver | Act::Rest | Act::Illegal => it.pass = None,
                _ => return,
            }
        }
    }

    fn sign(&self, world: &mut World, operator: usize, batch: Batch) {
        // Without a fault left, a further attempt is the last one.
        let limit = if world.faults == 0 {
            ATTEMPTS
        } else {
            self.config.attempts
        };
        let free = (0..limit).find(|attempt| world.letters[*attempt].is_none());
        let it = &mut world.operators[operator];
        let (Some(attempt), Some(pass)) = (free, &mut it.pass) else {
            it.pass = None;
            return;
        };
        it.memory.idle = Default::default();
        pass.task = true;
        pass.held = Held::Armed(Draft {
            attempt: small(attempt),
            fresh: true,
            batch,
        });
        let uid = pass.uid;
        world.forget_namesakes(attempt);
        world.letters[attempt] = Some(Letter {
            uid,
            body: batch.body,
            age: 0,
            gateway_age: 0,
            stored: false,
            given_up: false,
            post: Post::Unsent,
        });
    }

    fn step(&self, world: &mut World, operator: usize, luck: Luck) {
        if let Some(kind) = world.operators[operator].pass.and_then(|pass| pass.reload) {
            self.reload(world, operator, kind);
            return;
        }
        let Some(act) = self.next_act(world, operator) else {
            return;
        };
        let cloud = world.cloud;
        let blind = self.config.lacks(Mutant::EvidenceIgnored) && self.in_doubt(world, operator);
        let it = &mut world.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        pass.task &= matches!(
            act,
            Act::Post(_) | Act::Write(WriteKind::Intent(_) | WriteKind::Outcome, _)
        );
        match act {
            Act::ReadDesktops(_) | Act::ReadDesktop(_) | Act::ReadSubJobs => pass.last_look = false,
            _ => {}
        }
        pass.trouble |= luck == Luck::Trouble;
        match act {
            _ if luck == Luck::Trouble => {}
            Act::ReadDesktops(set) => {
                for desktop in names::members(set) {
                    let look = if blind { Look::Idle } else { cloud.listed(desktop) };
                    pass.desktops[desktop] = Some(it.memory.saw(desktop, look));
                }
            }
            Act::ReadDesktop(desktop) => {
                pass.desktops[desktop] = Some(it.memory.saw(desktop, cloud.shown(desktop)));
            }
            Act::ReadSubJobs => {
                let mut sweep = cloud.sweep();
                if blind {
                    sweep.rows = Default::default();
                }
                sweep.complete = luck != Luck::Incomplete;
                pass.sweep = Some(sweep);
            }
            Act::ReadJob(job) => pass.jobs[job] = Some(cloud.row(job)),
            Act::Write(kind, to) => self.write(world, operator, (kind, to), luck),
            Act::Post(attempt) => self.post(world, operator, usize::from(attempt)),
            _ => {}
        }
    }

    fn in_doubt(&self, world: &World, operator: usize) -> bool {
        let pass = world.operators[operator].pass;
        pass.is_some_and(|pass| self.requests.get(pass.request).doubtful() != 0)
    }

    fn write(&self, world: &mut World, operator: usize, write: (WriteKind, RequestId), luck: Luck) {
        let (kind, to) = write;
        let carried_out = self.would_write(world, operator);
        match luck {
            Luck::Late => {
                world.stray = Some(Stray { request: to, kind });
                world.failed(operator, kind);
            }
            Luck::AnswerLost => {
                self.store(world, None, kind, to);
                world.failed(operator, kind);
            }
            Luck::Well if carried_out => self.written(world, operator, kind, to),
            Luck::Well if self.goes_over(world, operator, kind) => {
                let Some(object) = world.object else { return };
                let over = self.requests.edit(object.request, Edit::StatusOf(to));
                self.written(world, operator, kind, over);
            }
            _ => world.failed(operator, kind),
        }
    }

    /// A mutant writes over a newer object.
    fn goes_over(&self, world: &World, operator: usize, kind: WriteKind) -> bool {
        let same = world.operators[operator].pass.map(|p| p.uid) == world.object.map(|o| o.uid);
        let mutant = match kind {
            WriteKind::Intent(_) => Mutant::IntentWithoutResourceVersion,
            WriteKind::AddFinalizer | WriteKind::DropFinalizer => return false,
            _ => Mutant::StatusWithoutResourceVersion,
        };
        same && self.config.lacks(mutant)
    }

    /// The operator has the answer of its write.
    fn written(&self, world: &mut World, operator: usize, kind: WriteKind, to: RequestId) {
        self.store(world, Some(operator), kind, to);
        let gone = world.object.is_none();
        let it = &mut world.operators[operator];
        match kind {
            WriteKind::AddFinalizer | WriteKind::DropFinalizer if gone => *it = it.forgetting(),
            WriteKind::AddFinalizer | WriteKind::DropFinalizer => {
                if let Some(pass) = &mut it.pass {
                    pass.last_look = false;
                }
            }
            WriteKind::Outcome => {
                if let Some(pass) = &mut it.pass {
                    pass.held = Held::Nothing;
                }
            }
            WriteKind::Finish => it.memory = Memory::default(),
            WriteKind::Intent(_) | WriteKind::Progress | WriteKind::Refusal => {}
        }
    }

    /// The API server carries out a write.
    fn store(&self, world: &mut World, writer: Option<usize>, kind: WriteKind, to: RequestId) {
        let Some(object) = world.object else { return };
        let (old, new) = (self.requests.get(object.request), self.requests.get(to));
        if let WriteKind::Intent(attempt) = kind
            && let Some(letter) = &mut world.letters[usize::from(attempt)]
        {
            letter.stored = true;
        }
        for attempt in names::members(new.with(|o| o == Outcome::Abandoned)) {
            if let Some(letter) = &mut world.letters[attempt] {
                letter.given_up = true;
            }
        }
        world.judge_write(old, new, kind, self.config.window());
        // The record of an outcome whose answer was lost is stored once more: the API server takes it for no change.
        world.unless(
            object.request != to || kind == WriteKind::Outcome,
            Invariant::WritesChange,
            "a write changed nothing",
        );
        if object.request == to {
            return;
        }
        world.touch(to);
        if let Some(pass) = writer.and_then(|writer| world.operators[writer].pass.as_mut()) {
            pass.request = to;
            pass.current = true;
        }
        if kind == WriteKind::DropFinalizer && new.request.deleting {
            world.judge_nothing_lands(
                self.config.window(),
                "the object was let go while a POST of it can still land",
            );
            world.object = None;
        }
    }

    fn land(&self, world: &mut World) {
        if let Some(stray) = world.stray.take() {
            self.store(world, None, stray.kind, stray.request);
        }
    }

    /// After a write failed in the submitting task: the object says how it stands.
    fn reload(&self, world: &mut World, operator: usize, kind: WriteKind) {
        let object = world.object;
        let it = &mut world.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        let Some(object) = object.filter(|object| object.uid == pass.uid) else {
            it.pass = None;
            return;
        };
        pass.request = object.request;
        pass.current = true;
        pass.reload = None;
        let known = self.requests.get(object.request);
        let goes_on = match (kind, pass.held) {
            (WriteKind::Intent(attempt), _) => known.outcomes[usize::from(attempt)].is_some(),
            // Where the record is not asked for any more, storing it again would change nothing.
            _ => matches!(
                self.next_act(world, operator),
                Some(Act::Write(WriteKind::Outcome, _))
            ),
        };
        if !goes_on {
            world.operators[operator].pass = None;
        }
    }

    fn post(&self, world: &mut World, operator: usize, attempt: usize) {
        let stored = world.operators[operator]
            .pass
            .map(|pass| self.requests.get(pass.request));
        world.judge_post(attempt, stored);
        if let Some(letter) = &mut world.letters[attempt] {
            letter.post = Post::Flying;
            if self.config.lacks(Mutant::SignedWhenSent) {
                letter.gateway_age = 0;
            }
        }
        if let Some(pass) = &mut world.operators[operator].pass {
            pass.held = Held::Waiting(small(attempt));
        }
    }

    fn arrive(&self, world: &mut World, attempt: usize, fate: Fate) {
        let harmless = matches!(fate, Fate::Accepted | Fate::Expired);
        world.faults = world.faults.saturating_sub(u8::from(!harmless));
        if fate.takes_effect() {
            world.judge_effect(attempt);
            world.accept(attempt);
        }
        let listener = world.listener(attempt);
        let answer = match fate {
            Fate::Accepted => Answer::Accepted,
            Fate::NotSent => Answer::NotSent,
            Fate::Throttled => Answer::Throttled,
            Fate::Invalid => Answer::Invalid,
            Fate::Expired => Answer::Expired,
            _ => self.doubt(),
        };
        let again = answer == Answer::Doubt && self.config.lacks(Mutant::ClientRetries);
        if let Some(letter) = &mut world.letters[attempt]
            && !(again && listener.is_some())
        {
            letter.post = Post::Over;
        }
        if let (Some(operator), false) = (listener, again) {
            world.give_up(operator, answer);
        }
    }

    fn meddle(&self, world: &mut World, action: Action) {
        let edit = match action {
            Action::Delete => Edit::Delete,
            Action::Suspend => Edit::Suspend(true),
            Action::Resume => Edit::Suspend(false),
            Action::Abandon(attempt) => Edit::Abandon(attempt),
            Action::Recreate => {
                world.made += 1;
                world.late = false;
                world.object = Some(Object {
                    uid: world.made,
                    request: self.new_object,
                });
                return;
            }
            Action::Console(desktop) => {
                world.cloud.jobs[CONSOLE] = Some(Job {
                    visible: true,
                    ..Job::new(names::only(desktop))
                });
                return;
            }
            Action::Deadline => {
                world.late = true;
                return;
            }
            _ => return,
        };
        let Some(object) = world.object else { return };
        let held = self.requests.get(object.request).request.finalizer
            && !self.config.lacks(Mutant::FinalizerDropped);
        world.touch(self.requests.edit(object.request, edit));
        if edit == Edit::Delete && !held {
            world.object = None;
        }
    }

    /// Forgets what nothing depends on any more.
    fn tidy(&self, world: &mut World) {
        let pending = world.object.map_or(0, |object| {
            self.requests.get(object.request).with(|o| o == Outcome::Pending)
        });
        let held = |world: &World, attempt: usize| {
            let of = |held: Held| match held {
                Held::Nothing => None,
                Held::Armed(draft) => Some(draft.attempt),
                Held::Waiting(attempt) | Held::Answered(attempt, _) => Some(attempt),
            };
            let mut passes = world.operators.iter().filter_map(|it| it.pass);
            passes.any(|pass| of(pass.held) == Some(small(attempt)))
        };
        for attempt in 0..ATTEMPTS {
            let on_its_way = world
                .stray
                .is_some_and(|stray| stray.kind == WriteKind::Intent(small(attempt)));
            let recorded = world
                .object
                .is_some_and(|object| self.requests.get(object.request).outcomes[attempt].is_some());
            let flying = world.letters[attempt].is_some_and(|letter| letter.post == Post::Flying);
            let effect = world.cloud.jobs[attempt].is_some();
            if !recorded && !flying && !effect && !on_its_way && !held(world, attempt) {
                world.letters[attempt] = None;
            }
        }
        for it in &mut world.operators {
            it.memory.look = it
                .memory
                .look
                .filter(|(attempt, ..)| names::has(pending, usize::from(*attempt)));
        }
    }
}

impl World {
    /// An operator is slow to send or the network to deliver: a fault, if time passes now.
    pub fn is_slow(&self) -> bool {
        let armed = |held| {
            matches!(held, Held::Armed(draft)
                if self.letters[usize::from(draft.attempt)].is_some_and(|letter| letter.age == 0))
        };
        let mut passes = self.operators.iter().filter_map(|it| it.pass);
        let flying = |(attempt, letter): (usize, &Option<Letter>)| {
            let new = letter.is_some_and(|letter| letter.post == Post::Flying && letter.gateway_age == 0);
            new && self.listener(attempt).is_some()
        };
        passes.any(|pass| armed(pass.held)) || self.letters.iter().enumerate().any(flying)
    }

    /// What is signed when it is sent is never too old to be sent.
    fn refresh_drafts(&mut self) {
        for it in &mut self.operators {
            if let Some(Held::Armed(draft)) = it.pass.as_mut().map(|pass| &mut pass.held) {
                draft.fresh = true;
            }
        }
    }

    /// A number that is given out again stands for another attempt now.
    fn forget_namesakes(&mut self, attempt: usize) {
        for it in &mut self.operators {
            if let Some(pass) = &mut it.pass {
                pass.dead &= !names::only(attempt);
                pass.earlier = pass.earlier.filter(|(of, _)| usize::from(*of) != attempt);
            }
        }
    }

    /// The object has another content: every copy of it is old now.
    fn touch(&mut self, to: RequestId) {
        if let Some(object) = &mut self.object {
            object.request = to;
        }
        self.stray = None;
        for it in &mut self.operators {
            if let Some(pass) = &mut it.pass {
                pass.current = false;
            }
        }
    }

    /// A write failed, or its answer was lost.
    fn failed(&mut self, operator: usize, kind: WriteKind) {
        let it = &mut self.operators[operator];
        let Some(pass) = &mut it.pass else { return };
        if pass.task {
            pass.reload = Some(kind);
        } else {
            it.pass = None;
        }
    }

    fn give_up(&mut self, operator: usize, answer: Answer) {
        if let Some(pass) = &mut self.operators[operator].pass
            && let Held::Waiting(attempt) = pass.held
        {
            pass.held = Held::Answered(attempt, answer);
        }
    }

    fn accept(&mut self, attempt: usize) {
        if let Some(letter) = self.letters[attempt] {
            self.cloud.jobs[attempt] = Some(Job::new(letter.body & !self.cloud.gone));
        }
    }

    fn change_job(&mut self, job: usize, change: impl FnOnce(&mut Job)) {
        if let Some(job) = &mut self.cloud.jobs[job] {
            change(job);
        }
    }

    fn end(&mut self, job: usize, desktop: usize, deleted: bool) {
        let desktop = names::only(desktop);
        if deleted {
            self.cloud.gone |= desktop;
            self.cloud.failed &= !desktop;
        } else if self.cloud.gone & desktop == 0 {
            self.cloud.failed |= desktop;
        }
        self.change_job(job, |job| {
            if deleted {
                job.deleted |= desktop;
            } else {
                job.failed |= desktop;
            }
        });
    }

    fn tick(&mut self, longest_lag: u8) {
        let older = |age: u8| (age + 1).min(CAP);
        for letter in self.letters.iter_mut().flatten() {
            letter.age = older(letter.age);
            letter.gateway_age = older(letter.gateway_age);
        }
        for job in self.cloud.jobs.iter_mut().flatten().filter(|job| !job.visible) {
            job.lag += 1;
            if job.lag > longest_lag {
                job.visible = true;
                job.lag = 0;
            }
        }
        for it in &mut self.operators {
            if let Some((.., since)) = &mut it.memory.look {
                *since = (*since + 1).min(SETTLE);
            }
            for since in it.memory.idle.iter_mut().flatten() {
                *since = (*since + 1).min(SETTLE);
            }
            if let Some(pass) = &mut it.pass {
                pass.old_reads = pass.sweep.is_some() || pass.desktops.iter().any(Option::is_some);
                if let Held::Armed(draft) = &mut pass.held {
                    draft.fresh = false;
                }
            }
        }
    }
}

impl Operator {
    /// The same without pass and memory.
    fn forgetting(self) -> Self {
        Self {
            stopping: self.stopping,
            ..Self::default()
        }
    }
}

impl Pass {
    fn new(object: Object) -> Self {
        Self {
            uid: object.uid,
            request: object.request,
            current: true,
            task: false,
            reload: None,
            project: false,
            last_look: false,
            claim: false,
            desktops: Default::default(),
            sweep: None,
            old_reads: false,
            asked: 0,
            jobs: Default::default(),
            trouble: false,
            earlier: None,
            dead: 0,
            held: Held::Nothing,
        }
    }

    /// Reads that are older than the send guard say nothing about now, except that a signed request rests on them.
    fn age_reads(&mut self) {
        if self.old_reads && !matches!(self.held, Held::Armed(_)) {
            self.old_reads = false;
            self.desktops = Default::default();
            self.sweep = None;
        }
    }
}

impl Memory {
    /// Notes a look for evidence. One that was not complete settles nothing: the next takes its place.
    fn note(&mut self, attempt: u8, found: crate::world::Evidence) {
        let kept = self
            .look
            .is_some_and(|(of, first, _)| of == attempt && first.complete);
        if !kept {
            self.look = Some((attempt, found, 0));
        }
    }

    /// Notes a read of a desktop.
    fn saw(&mut self, desktop: usize, look: Look) -> Sighted {
        let idle = matches!(look, Look::Idle | Look::DeleteFailed);
        let since = idle.then(|| self.idle[desktop].unwrap_or_default());
        self.idle[desktop] = since;
        Sighted {
            look,
            idle_twice: since.is_some_and(|since| since >= SETTLE),
        }
    }
}

impl Cloud {
    /// What a list shows of a desktop.
    fn listed(&self, desktop: usize) -> Look {
        match self.shown(desktop) {
            Look::Gone => Look::Missing,
            look => look,
        }
    }

    /// What a read of one desktop shows.
    fn shown(&self, desktop: usize) -> Look {
        let deleting = |job: &Job| job.visible && names::has(job.open(), desktop);
        if names::has(self.gone, desktop) {
            Look::Gone
        } else if self.jobs.iter().flatten().any(deleting) {
            Look::Deleting
        } else if names::has(self.failed, desktop) {
            Look::DeleteFailed
        } else {
            Look::Idle
        }
    }

    fn row(&self, job: usize) -> Row {
        let visible = self.jobs[job].filter(|job| job.visible);
        visible.map_or_else(Row::default, |job| Row {
            open: job.open(),
            deleted: job.deleted,
            failed: job.failed,
        })
    }

    fn sweep(&self) -> Sweep {
        Sweep {
            rows: std::array::from_fn(|job| self.row(job)),
            complete: true,
        }
    }
}

impl Job {
    fn new(body: Set) -> Self {
        Self {
            body,
            visible: false,
            lag: 0,
            deleted: 0,
            failed: 0,
        }
    }
}

fn small(number: usize) -> u8 {
    // There are never more than a handful of anything.
    u8::try_from(number).unwrap_or(u8::MAX)
}
