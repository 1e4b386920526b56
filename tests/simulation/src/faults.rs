//! What goes wrong, and when: drawn from the seed before anything happens, so that it can be said in advance.

use std::fmt;

use crate::calls::Call;
use crate::dice::Dice;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    Well,
    /// No connection: certainly nothing was sent.
    Unreachable,
    /// It is lost in transit, silently.
    Lost,
    /// It is lost in transit, and the connection breaks.
    Reset,
    /// It is carried out, and the response is lost silently.
    AnswerLost,
    /// It is carried out, and the connection breaks before the response.
    AnswerReset,
    /// It is carried out, and the response breaks off.
    AnswerCut,
    /// It is answered with this status and not carried out.
    Refused(u16),
    /// It is carried out and answered with this status all the same.
    Denied(u16),
    /// It arrives so many milliseconds late.
    Late(u64),
    /// Its response arrives so many milliseconds late.
    AnswerLate(u64),
    /// It is carried out, and the `Date` of its response is so many seconds ahead.
    Dated(i64),
    /// It is not carried out: something that lies between answers with a page whose `Date` is so many seconds ahead.
    Page(i64),
    /// It is carried out, and the list that it answers with lacks rows; the count stays.
    RowsCut,
    /// It is carried out, and the count of the list that it answers with is too low.
    CountLow,
}

/// Calls that go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Calls of this kind.
    pub call: Call,
    /// From this one on, counted from 1.
    pub from: u32,
    /// So many of them.
    pub count: u32,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// Whether the `nth` call of its kind is struck.
    pub fn strikes(&self, call: Call, nth: u32) -> bool {
        call == self.call && nth >= self.from && nth - self.from < self.count
    }

    /// One that a seed gives.
    pub fn draw(dice: &mut Dice) -> Self {
        // The calls that matter most are drawn most.
        let call = match dice.within(0..12) {
            0..4 => Call::BatchDelete,
            4..7 => Call::WriteStatus,
            7 => Call::PatchRequest,
            8 | 9 => *dice.one_of(&Call::OF_API),
            _ => *dice.one_of(&Call::OF_CLOUD),
        };
        let first = if call == Call::BatchDelete { 2 } else { 8 };
        Self {
            call,
            from: 1 + u32::try_from(dice.within(0..first)).unwrap_or_default(),
            count: *dice.one_of(&[1, 1, 1, 2, 3, 8]),
            fault: Fault::draw(call, dice),
        }
    }
}

impl Rule {
    /// One about clocks and lists that are not true.
    pub fn draw_untrue(dice: &mut Dice) -> Self {
        let seconds = *dice.one_of(&[60, -60, 1_500, -1_500, 86_400, -86_400]);
        let cloud = *dice.one_of(&Call::OF_CLOUD);
        let (call, fate) = match dice.within(0..8) {
            0 | 1 => (cloud, Fault::Dated(seconds)),
            2 => (Call::ListSubJobs, Fault::Dated(seconds)),
            3 => (cloud, Fault::Page(seconds)),
            4 | 5 => (Call::ListSubJobs, Fault::RowsCut),
            6 => (Call::ListSubJobs, Fault::CountLow),
            // Long after its signature has run out.
            _ => (Call::BatchDelete, Fault::Late(2_400_000)),
        };
        Self {
            call,
            from: 1 + u32::try_from(dice.within(0..6)).unwrap_or_default(),
            count: *dice.one_of(&[1, 1, 2, 3, 40]),
            fault: fate,
        }
    }
}

impl Rule {
    /// One about what the limit of a day and approvals rest on.
    pub fn draw_guarded(dice: &mut Dice) -> Self {
        let call = *dice.one_of(&[
            Call::WriteProjectStatus,
            Call::WriteProjectStatus,
            Call::GetProject,
            Call::GetRequest,
            Call::ListDesktops,
        ]);
        Self {
            call,
            from: 1 + u32::try_from(dice.within(0..8)).unwrap_or_default(),
            count: *dice.one_of(&[1, 1, 2, 3]),
            fault: Fault::draw(call, dice),
        }
    }
}

impl Fault {
    fn draw(call: Call, dice: &mut Dice) -> Self {
        let late = *dice.one_of(&[2_000, 8_000, 40_000, 90_000, 400_000, 880_000, 1_300_000]);
        match dice.within(0..10) {
            0 => Self::Unreachable,
            1 => Self::Lost,
            2 => Self::Reset,
            3 => Self::AnswerLost,
            4 => Self::AnswerReset,
            5 => Self::AnswerCut,
            6 => Self::Late(late),
            7 => Self::AnswerLate(late),
            8 => Self::Denied(*dice.one_of(&[500, 502, 504])),
            _ if call.is_of_cloud() => {
                Self::Refused(*dice.one_of(&[302, 401, 403, 404, 409, 429, 500, 503, 504]))
            }
            _ => Self::Refused(*dice.one_of(&[409, 429, 500, 503, 504])),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |millis: &u64| millis / 1000;
        match self {
            Self::Well => write!(f, "goes through"),
            Self::Unreachable => write!(f, "no connection"),
            Self::Lost => write!(f, "lost in transit, silently"),
            Self::Reset => write!(f, "lost in transit, connection reset"),
            Self::AnswerLost => write!(f, "carried out, response lost silently"),
            Self::AnswerReset => write!(f, "carried out, connection reset before the response"),
            Self::AnswerCut => write!(f, "carried out, response truncated"),
            Self::Refused(code) => write!(f, "not carried out, answered {code}"),
            Self::Denied(code) => write!(f, "carried out, answered {code}"),
            Self::Late(late) => write!(f, "arrives {} s late", seconds(late)),
            Self::AnswerLate(late) => write!(f, "response {} s late", seconds(late)),
            Self::Dated(ahead) => write!(f, "carried out, its Date is {ahead} s ahead"),
            Self::Page(ahead) => write!(f, "not carried out, a page whose Date is {ahead} s ahead"),
            Self::RowsCut => write!(f, "carried out, the list lacks rows"),
            Self::CountLow => write!(f, "carried out, the count of the list is too low"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            from,
            count,
            fault: fate,
        } = self;
        match count {
            1 => write!(f, "{call}, number {from}: {fate}"),
            _ => write!(f, "{call}, numbers {from} to {}: {fate}", from + count - 1),
        }
    }
}
