//! What people and machines do meanwhile, and when.

use std::fmt;

use crate::calls::Call;
use crate::dice::Dice;

/// An action of a user or a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// The operator crashes, and is started again so many milliseconds later.
    Crash(u64),
    /// The operator shuts down, and another one starts at once.
    HandOver,
    /// Another operator starts, which believes that it leads too.
    SecondLeader,
    /// A person suspends this request.
    Suspend(usize),
    /// A person resumes it.
    Resume(usize),
    /// A person deletes it.
    Delete(usize),
    /// A person deletes it, and creates the same again as soon as it is gone.
    Recreate(usize),
    /// A user abandons its open attempt.
    Abandon(usize),
    /// A person suspends the project.
    SuspendProject,
    /// A person resumes the project.
    ResumeProject,
    /// A person puts a wrong key into the Secret.
    BreakSecret,
    /// A person puts the right key into it.
    MendSecret,
    /// A person deletes a desktop in the console.
    Console(usize),
    /// Every watch breaks.
    CutWatches,
    /// Every watch falls silent for so many milliseconds, and shows late what happened.
    FreezeWatches(u64),
    /// Every watch breaks, and the API server has forgotten what it would have to show.
    Compact,
    /// The clock of the operators' machine is set, so many seconds ahead of the true time.
    SetClock(i64),
    /// A client replaces this request by one without finalizers.
    Replace(usize),
    /// A person approves the plan of this request that is on show.
    Approve(usize),
    /// A person approves it by a plan that was on show once, of whichever request.
    ApproveFormer(usize),
    /// A user approves it by a plan that was never shown.
    ApproveUnseen(usize),
    /// A person takes the approval back.
    Withdraw(usize),
    /// A person deletes this request, and applies the manifest that it had, its approval included, once it is gone.
    Reapply(usize),
    /// The same, and a person puts the plan and the approval into its status too, as from a backup.
    Restore(usize),
    /// A person sets the approval in this request that was given to the object before it, or to the one that it is a copy of.
    CarryOver(usize),
    /// A desktop is assigned to another user, or back.
    Reassign(usize),
    /// A desktop gets a protected computer name, or its own one back.
    Rename(usize),
    /// The user of a desktop connects, or disconnects.
    Connect(usize),
    /// A desktop does not exist for so many milliseconds.
    Vanish(usize, u64),
    /// The owner of the project changes its guardrails.
    Guard(Change),
}

/// How guardrails are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Each request needs an approval.
    RequireApprovals,
    /// None does.
    WaiveApprovals,
    /// No more desktops than these may be submitted within a day.
    LimitDay(u32),
    /// As many as people like.
    LiftLimit,
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// So many milliseconds after the begin.
    At(u64),
    /// Before the call of this kind and number is carried out.
    Before(Call, u32),
    /// After it was carried out, before it is answered.
    After(Call, u32),
    /// After it was answered.
    Answered(Call, u32),
}

/// A deed and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub when: Trigger,
    /// What.
    pub action: Disturbance,
}

/// Within this time everything begins that is to go wrong.
pub const TROUBLED: u64 = 15 * 60_000;

impl Act {
    /// One that a seed gives, in a world with so many requests and desktops.
    pub fn draw(requests: usize, desktops: usize, dice: &mut Dice) -> Self {
        let mut one = |of: usize| usize::try_from(dice.within(0..of.max(1) as u64)).unwrap_or_default();
        let (request, desktop) = (one(requests), one(desktops));
        let action = match dice.within(0..24) {
            0..6 => Disturbance::Crash(*dice.one_of(&[500, 5_000, 60_000, 600_000, 1_500_000])),
            6 => Disturbance::HandOver,
            7 => Disturbance::SecondLeader,
            8 => Disturbance::Suspend(request),
            9 => Disturbance::Resume(request),
            10 | 11 => Disturbance::Delete(request),
            12..15 => Disturbance::Recreate(request),
            15 => Disturbance::Abandon(request),
            16 => Disturbance::SuspendProject,
            17 => Disturbance::BreakSecret,
            18 => Disturbance::Console(desktop),
            19 => Disturbance::CutWatches,
            20 | 21 => Disturbance::FreezeWatches(*dice.one_of(&[3_000, 60_000, 500_000])),
            22 => Disturbance::Compact,
            _ => Disturbance::MendSecret,
        };
        Self {
            when: Trigger::draw(dice),
            action,
        }
    }
}

impl Act {
    /// One of a clock that is set, or of a client that replaces objects.
    pub fn draw_untrue(requests: usize, dice: &mut Dice) -> Self {
        let request = usize::try_from(dice.within(0..requests.max(1) as u64)).unwrap_or_default();
        let action = if dice.once_in(2) {
            Disturbance::SetClock(*dice.one_of(&[0, 200, -200, 900, -900, 86_400, -86_400]))
        } else {
            Disturbance::Replace(request)
        };
        Self {
            when: Trigger::draw(dice),
            action,
        }
    }
}

impl Act {
    /// One of approvers, of the owner of the project, or of what approvals are about.
    pub fn draw_guarded(requests: usize, desktops: usize, dice: &mut Dice) -> Self {
        let mut one = |of: usize| usize::try_from(dice.within(0..of.max(1) as u64)).unwrap_or_default();
        let (request, desktop) = (one(requests), one(desktops));
        let action = match dice.within(0..16) {
            0..3 => Disturbance::Approve(request),
            3 => Disturbance::ApproveFormer(request),
            4 => Disturbance::ApproveUnseen(request),
            5 | 6 => Disturbance::Withdraw(request),
            7..10 => Disturbance::Reassign(desktop),
            10 => Disturbance::Rename(desktop),
            11 => Disturbance::Connect(desktop),
            12 | 13 => Disturbance::Vanish(desktop, *dice.one_of(&[200, 20_000, 300_000])),
            _ => Disturbance::Guard(Change::draw(dice)),
        };
        let when = match dice.within(0..4) {
            0 => Trigger::draw(dice),
            1 => Trigger::around(Call::WriteProjectStatus, dice.within(1..6), dice),
            _ => Trigger::around(Call::WriteStatus, dice.within(1..9), dice),
        };
        Self { when, action }
    }
}

impl Act {
    /// An action that applies this request, or approves it, with the approval of another object.
    pub fn draw_carried(request: usize, dice: &mut Dice) -> Self {
        let action = match dice.within(0..4) {
            0 => Disturbance::Reapply(request),
            1 => Disturbance::Restore(request),
            _ => Disturbance::CarryOver(request),
        };
        let when = if dice.once_in(2) {
            Trigger::At(dice.within(5_000..TROUBLED))
        } else {
            Trigger::around(Call::WriteStatus, dice.within(2..12), dice)
        };
        Self { when, action }
    }
}

impl Change {
    fn draw(dice: &mut Dice) -> Self {
        match dice.within(0..5) {
            0 => Self::RequireApprovals,
            1 => Self::WaiveApprovals,
            2 => Self::LiftLimit,
            _ => Self::LimitDay(u32::try_from(dice.within(1..5)).unwrap_or_default()),
        }
    }
}

impl Trigger {
    fn around(call: Call, nth: u64, dice: &mut Dice) -> Self {
        let nth = u32::try_from(nth).unwrap_or_default();
        match dice.within(0..3) {
            0 => Self::Before(call, nth),
            1 => Self::After(call, nth),
            _ => Self::Answered(call, nth),
        }
    }

    fn draw(dice: &mut Dice) -> Self {
        let early = dice.within(0..60_000);
        let call = match dice.within(0..8) {
            0 => return Self::At(early),
            1 => return Self::At(dice.within(0..TROUBLED)),
            2..5 => Call::BatchDelete,
            5 | 6 => Call::WriteStatus,
            _ => *dice.one_of(&[
                Call::GetRequest,
                Call::PatchRequest,
                Call::GetProject,
                Call::ListDesktops,
                Call::ListSubJobs,
            ]),
        };
        let nth = 1 + dice.within(0..if call == Call::BatchDelete { 2 } else { 8 });
        Self::around(call, nth, dice)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            Trigger::At(millis) => write!(f, "after {} s", millis / 1000)?,
            Trigger::Before(call, nth) => write!(f, "before {call}, number {nth}, is carried out")?,
            Trigger::After(call, nth) => write!(f, "after {call}, number {nth}, before its answer")?,
            Trigger::Answered(call, nth) => write!(f, "after the answer to {call}, number {nth}")?,
        }
        write!(f, ": {}", self.action)
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(again) => write!(
                f,
                "the operator crashes, and starts again {} s later",
                again / 1000
            ),
            Self::HandOver => write!(f, "the operator is shutting down, and another one starts"),
            Self::SecondLeader => write!(f, "another operator starts and believes that it leads"),
            Self::Suspend(request) => write!(f, "request {request} is suspended"),
            Self::Resume(request) => write!(f, "request {request} is resumed"),
            Self::Delete(request) => write!(f, "request {request} is deleted"),
            Self::Recreate(request) => write!(
                f,
                "request {request} is deleted, and created again once it is gone"
            ),
            Self::Abandon(request) => write!(f, "the open attempt of request {request} is abandoned"),
            Self::SuspendProject => write!(f, "the project is suspended"),
            Self::ResumeProject => write!(f, "the project is resumed"),
            Self::BreakSecret => write!(f, "the Secret gets a wrong key"),
            Self::MendSecret => write!(f, "the Secret gets the right key"),
            Self::Console(desktop) => write!(f, "a user deletes desktop {desktop} in the console"),
            Self::CutWatches => write!(f, "all watches break"),
            Self::FreezeWatches(millis) => write!(f, "all watches are silent for {} s", millis / 1000),
            Self::Compact => write!(f, "all watches break, and what they would show is forgotten"),
            Self::SetClock(ahead) => write!(f, "the operators' clock is set {ahead} s ahead"),
            Self::Replace(request) => write!(f, "request {request} is replaced by one without finalizers"),
            Self::Approve(request) => write!(f, "the plan of request {request} is approved"),
            Self::ApproveFormer(request) => write!(f, "request {request} is approved by a former plan"),
            Self::ApproveUnseen(request) => {
                write!(f, "request {request} is approved by a plan that was never shown")
            }
            Self::Reapply(request) => {
                write!(
                    f,
                    "request {request} is deleted, and applied again with its approval once it is gone"
                )
            }
            Self::Restore(request) => write!(
                f,
                "request {request} is deleted, and restored with its approval and its status once it is gone"
            ),
            Self::CarryOver(request) => {
                write!(
                    f,
                    "request {request} gets the approval of the object before it, or that it is a copy of"
                )
            }
            Self::Withdraw(request) => write!(f, "the approval of request {request} is withdrawn"),
            Self::Reassign(desktop) => write!(f, "desktop {desktop} is assigned to another user, or back"),
            Self::Rename(desktop) => write!(f, "desktop {desktop} gets a protected name, or its own one"),
            Self::Connect(desktop) => write!(f, "the user of desktop {desktop} connects or disconnects"),
            Self::Vanish(desktop, millis) => write!(f, "desktop {desktop} does not exist for {millis} ms"),
            Self::Guard(change) => write!(f, "the guardrails are changed: {change:?}"),
        }
    }
}
