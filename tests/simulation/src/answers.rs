//! A grammar of undocumented responses: from the correct response of the cloud, a seed derives another one, which the
//! operator receives as status, headers and bytes. The decoding is the operator's own.
//!
//! | file | what |
//! | --- | --- |
//! | this | which calls get such a response, and the productions of the grammar |
//! | `words` | statuses, error codes and words, most of them from reports |
//! | `tree` | JSON that may hold one key twice |
//! | `shapes` | changes of such a tree |
//! | `bodies` | bodies that are no JSON, or too much of it |
//! | `headers` | changes of the headers |
//! | [`lies`] | answers that are left out, since the operator has to believe them |
//! | [`verdict`] | whether a request that has not ended reports the reason |

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use workspace_simulator::cloud::Response;

use crate::calls::Call;
use crate::dice::{Dice, mix};

mod bodies;
mod headers;
pub mod lies;
mod shapes;
mod tree;
pub mod verdict;
mod words;

use tree::Tree;

/// How often a derived response that turns out to be a lie is derived again.
const TRIES: u64 = 24;

/// Calls whose responses are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Calls of this kind.
    pub call: Call,
    /// From this one on, counted from 1.
    pub from: u32,
    /// So many of them; `None`: until everything is repaired.
    pub count: Option<u32>,
    /// Every response is derived in the same way.
    pub steady: bool,
    /// Makes the responses of this rule its own.
    pub salt: u64,
}

impl Rule {
    /// One that a seed gives. `endless`: it may last until everything is repaired.
    pub fn draw(calls: &[Call], endless: bool, dice: &mut Dice) -> Self {
        let call = *dice.one_of(calls);
        let first = match call {
            Call::ListDesktops | Call::ListSubJobs => 5,
            _ => 2,
        };
        let count = match dice.within(0..8) {
            0..3 if endless => None,
            0..4 => Some(1),
            4 => Some(2),
            5 => Some(3),
            6 => Some(8),
            _ => Some(40),
        };
        Self {
            call,
            from: 1 + u32::try_from(dice.within(0..first)).unwrap_or_default(),
            count,
            steady: dice.once_in(2),
            salt: dice.number(),
        }
    }

    /// Whether the `nth` call of its kind is struck.
    pub fn strikes(&self, call: Call, nth: u32) -> bool {
        call == self.call && nth >= self.from && self.count.is_none_or(|count| nth - self.from < count)
    }

    /// What decides about the `nth` answer.
    pub fn dice(&self, nth: u32) -> Dice {
        let number = if self.steady { 0 } else { u64::from(nth) };
        Dice::new(self.salt ^ mix(number))
    }

    /// Whether the call that gets the response is carried out: of a read it makes no difference.
    pub fn is_carried_out(&self, nth: u32) -> bool {
        self.call != Call::BatchDelete || !Dice::new(self.salt ^ mix(u64::from(nth) + 1)).once_in(2)
    }
}

/// What the cloud made of a call.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// Which call.
    pub call: Call,
    /// The true response; of a call that was not carried out, one without content.
    pub answer: &'a Response,
    /// It was carried out.
    pub carried_out: bool,
    /// It is long past the first of these responses, so that none may be expensive.
    pub cheap: bool,
}

/// A response in place of the true one.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// What the operator gets.
    pub response: Response,
    /// The body breaks off.
    pub cut: bool,
    /// How it was derived.
    pub how: String,
}

/// The body of a response.
enum Body {
    /// JSON, also with keys that come twice.
    Json(Tree),
    /// Anything else.
    Bytes(Bytes),
}

/// A response in the making.
struct Draft {
    status: u16,
    body: Body,
    headers: http::HeaderMap,
    cut: bool,
    how: Vec<String>,
}

/// Derives a response that is not a lie.
pub fn replace(truth: &Original<'_>, dice: &mut Dice) -> Replaced {
    let body = Tree::parse(&truth.answer.body);
    for _ in 0..TRIES {
        let draft = Draft::draw(truth, body.clone(), &mut dice.fork());
        if lies::told(truth, &draft).is_none() {
            return draft.finish();
        }
    }
    // It contains no information.
    Draft {
        status: 502,
        body: Body::Bytes(Bytes::new()),
        headers: truth.answer.headers.clone(),
        cut: false,
        how: vec!["status 502, no body".to_owned()],
    }
    .finish()
}

impl Draft {
    fn draw(truth: &Original<'_>, body: Option<Tree>, dice: &mut Dice) -> Self {
        let mut draft = Self {
            status: truth.answer.status.as_u16(),
            body: body.map_or_else(|| Body::Bytes(truth.answer.body.clone()), Body::Json),
            headers: truth.answer.headers.clone(),
            cut: false,
            how: Vec::new(),
        };
        match dice.within(0..16) {
            0..7 => draft.reshape(dice),
            7 => draft.restatus(dice),
            8..11 => draft.refuse(dice),
            11..13 => draft.rebody(truth, dice),
            13 => draft.enlarge(truth, dice),
            14 => {
                draft.reshape(dice);
                draft.restatus(dice);
            }
            _ => {
                draft.cut = true;
                draft.how.push("the body breaks off".to_owned());
            }
        }
        if dice.once_in(3) || draft.how.is_empty() {
            let how = headers::change(&mut draft.headers, truth.call, dice);
            draft.how.push(how);
        }
        draft
    }

    /// Changes the JSON here and there.
    fn reshape(&mut self, dice: &mut Dice) {
        if let Body::Json(tree) = &mut self.body {
            for _ in 0..*dice.one_of(&[1, 1, 1, 1, 2, 2, 3, 5]) {
                self.how.push(shapes::change(tree, dice));
            }
        } else {
            self.refuse(dice);
        }
    }

    /// Gives another status.
    fn restatus(&mut self, dice: &mut Dice) {
        self.status = words::status(dice);
        self.how.push(format!("status {}", self.status));
    }

    /// An error response in one of the known formats, with a status that fits or not.
    fn refuse(&mut self, dice: &mut Dice) {
        let (status, tree, code) = words::refusal(dice);
        self.body = Body::Json(tree);
        self.status = match dice.within(0..4) {
            0 => words::status(dice),
            1 => self.status,
            _ => status,
        };
        self.how.push(format!("status {}, code {code}", self.status));
        if dice.once_in(3) {
            self.reshape(dice);
        }
    }

    /// Another body altogether.
    fn rebody(&mut self, truth: &Original<'_>, dice: &mut Dice) {
        let (body, how) = bodies::other(truth, dice);
        self.body = body;
        self.how.push(how);
        if dice.once_in(2) {
            self.restatus(dice);
        }
    }

    /// The same, and more than anybody wants to have.
    fn enlarge(&mut self, truth: &Original<'_>, dice: &mut Dice) {
        let (body, how) = match &self.body {
            Body::Json(tree) => bodies::large(tree, truth.cheap, dice),
            Body::Bytes(bytes) => (bytes.clone(), "the body stays as it is".to_owned()),
        };
        self.body = Body::Bytes(body);
        self.how.push(how);
    }

    fn finish(self) -> Replaced {
        let body = match self.body {
            Body::Json(tree) => Bytes::from(tree.to_string()),
            Body::Bytes(bytes) => bytes,
        };
        Replaced {
            response: Response {
                status: StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY),
                headers: self.headers,
                body,
            },
            cut: self.cut,
            how: self.how.join("; "),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, from, .. } = self;
        match self.count {
            None => write!(f, "{call}, from number {from} on")?,
            Some(1) => write!(f, "{call}, number {from}")?,
            Some(count) => write!(f, "{call}, numbers {from} to {}", from + count - 1)?,
        }
        let way = if self.steady { "one way" } else { "many ways" };
        write!(f, ": answered in {way} that is not documented")
    }
}
