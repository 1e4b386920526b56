//! Worlds whose project has guardrails: people approve plans, desktops change hands, and there is a limit of a day.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{PROJECT_ID, RequestPlan, Scenario};
use crate::acts::Act;
use crate::dice::Dice;
use crate::faults::Rule;

/// A project of the cloud that the operator has nothing to do with.
pub const ELSEWHERE: &str = "5c7d8e9f010b5f3a7c9d1e4f60826b4a";

/// The seeds of these worlds, of so many.
const EVERY: u64 = 4;
const WHICH: u64 = 2;

/// Makes the numbers by which these worlds are drawn their own.
const GUARDRAILS: u64 = 0x6775_6172_6473;

/// Makes the numbers by which approvals are carried over their own.
const CARRIED: u64 = 0x6361_7272_6965;

const HOUR: u64 = 3_600_000;

/// What the owner of the project permits, and who approves.
#[derive(Debug, Clone)]
pub struct Guard {
    /// `spec.guardrails` of the project in the beginning.
    pub guardrails: Value,
    /// How they are changed in the end, so that each request can end.
    pub mended: Value,
    /// Every so many milliseconds a user approves the plans that are shown; before everything is repaired perhaps no
    /// user does.
    pub approving: Option<u64>,
}

impl Guard {
    fn draw(requests: &[RequestPlan], dice: &mut Dice) -> Self {
        let mut guardrails = Map::new();
        let mut mended =
            json!({"maxDesktopsPerDay": null, "protectedNames": null, "connectedSessions": "Allow"});
        let mut set = |field: &str, value: Value| drop(guardrails.insert(field.to_owned(), value));
        if !dice.once_in(4) {
            set("approval", json!("Required"));
            if dice.once_in(4) {
                set("approvalAbove", json!(dice.within(1..3)));
            }
        }
        if dice.once_in(2) {
            let largest = requests.iter().map(|request| request.desktops.len() as u64).max();
            let largest = largest.unwrap_or_default();
            // Mostly each request has room, but not all of them.
            let limit = if dice.once_in(4) {
                dice.within(1..6)
            } else {
                largest
            };
            set("maxDesktopsPerDay", json!(limit));
            // Otherwise days must pass, of which few are played: they cost much and show little.
            if dice.once_in(10) {
                let named: u64 = requests.iter().map(|request| request.desktops.len() as u64).sum();
                mended["maxDesktopsPerDay"] = json!(limit.max(largest).max(named.div_ceil(2)));
            }
        }
        if dice.once_in(3) {
            set("protectedNames", json!(["KEEP-*"]));
        }
        if dice.once_in(3) {
            set("connectedSessions", json!("Refuse"));
        }
        Self {
            guardrails: Value::Object(guardrails),
            mended,
            approving: *dice.one_of(&[None, Some(7_000), Some(30_000), Some(120_000)]),
        }
    }

    /// Approvals are required, and nothing else keeps requests waiting for each other.
    fn is_about_approvals(&self) -> bool {
        self.guardrails["approval"] == "Required" && self.guardrails["maxDesktopsPerDay"].is_null()
    }

    /// How long everything may take to end because of the limit that there is in the end: what was submitted before, and
    /// again what each request names.
    fn patience(&self, requests: &[RequestPlan]) -> u64 {
        let Some(limit) = self.mended["maxDesktopsPerDay"].as_u64() else {
            return 0;
        };
        let named: u64 = requests.iter().map(|request| request.desktops.len() as u64).sum();
        (1 + named.div_ceil(limit)) * 25 * HOUR
    }
}

impl Scenario {
    /// In every fourth world the project has guardrails. What happens there is drawn apart, so that the rest of a world is the
    /// same without them.
    pub(super) fn with_guardrails(mut self) -> Self {
        if self.seed % EVERY != WHICH {
            return self;
        }
        let mut dice = Dice::new(self.seed ^ GUARDRAILS);
        if dice.once_in(2) {
            self.set_apart(&mut dice);
        }
        let guard = Guard::draw(&self.requests, &mut dice);
        let (rules, acts) = (dice.within(0..3), dice.within(1..7));
        self.rules
            .extend((0..rules).map(|_| Rule::draw_guarded(&mut dice)));
        let (requests, desktops) = (self.requests.len(), self.desktops.len());
        self.acts
            .extend((0..acts).map(|_| Act::draw_guarded(requests, desktops, &mut dice)));
        self.cloud["projects"] = json!([{"id": PROJECT_ID}, {"id": ELSEWHERE}]);
        let rows = self.cloud["desktops"].as_array_mut().into_iter().flatten();
        for (number, desktop) in rows.enumerate() {
            desktop["name"] = json!(format!("PC-{number}"));
            desktop["user"] = json!(format!("user-{number}"));
        }
        if guard.is_about_approvals() {
            self.carry_approvals_over();
        }
        self.patience += guard.patience(&self.requests);
        self.guard = Some(guard);
        self
    }

    /// Approvals are carried over from one object to another: a request is copied under another name, or applied again. What
    /// happens there is drawn apart as well.
    fn carry_approvals_over(&mut self) {
        let mut dice = Dice::new(self.seed ^ CARRIED);
        let original = usize::try_from(dice.within(0..self.requests.len() as u64)).unwrap_or_default();
        let mut carried = original;
        if dice.once_in(2) {
            let of = &self.requests[original];
            let copy = RequestPlan {
                name: format!("{}-copy", of.name),
                created: of.created + dice.within(1_000..60_000),
                suspended: dice.once_in(2),
                copies: Some(original),
                ..of.clone()
            };
            carried = self.requests.len();
            self.requests.push(copy);
        }
        let acts = (0..dice.within(1..4)).map(|_| Act::draw_carried(carried, &mut dice));
        self.acts.extend(acts);
    }
}

impl Scenario {
    /// Each request gets desktops of its own, and all are created at about the same time: nothing but the guardrails of the
    /// project keeps one waiting for the other.
    fn set_apart(&mut self, dice: &mut Dice) {
        let created = dice.within(0..8_000);
        // There are not fewer, since something may happen to each of them.
        let others = std::mem::take(&mut self.desktops);
        for (number, request) in self.requests.iter_mut().enumerate() {
            let own = (0..dice.within(1..4)).map(|n| format!("pc-{}-{n}", number + 1));
            request.desktops = own.collect();
            request.created = created + dice.within(0..30);
            self.desktops.extend(request.desktops.iter().cloned());
        }
        let own = self.desktops.len();
        self.desktops.extend(others.into_iter().skip(own));
        let rows = self
            .desktops
            .iter()
            .map(|id| json!({"id": id, "outcome": "success"}));
        self.cloud["desktops"] = rows.collect();
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            guardrails,
            mended,
            approving,
        } = self;
        write!(f, "{guardrails}, in the end {mended}")?;
        match approving {
            Some(millis) => write!(f, ", approved every {} s", millis / 1000),
            None => write!(f, ", approved in the end"),
        }
    }
}
