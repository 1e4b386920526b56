//! What operators have read of desktops and of the project, as far as the intents that they store rest on it.

use invariants::history::{Facts, IntentBasis};
use invariants::reading::{items, texts};
use serde_json::Value;

use super::World;
use super::network::{Answer, ApiReply, CallPayload};
use crate::calls::Call;

/// Reads that are older, in milliseconds, are no ground for an intent: it follows the signature at once, and nothing that is
/// older than a minute is signed upon.
const OLD: u64 = 75_000;

/// All that was read, oldest first.
#[derive(Default)]
pub(super) struct ObservedReads {
    desktops: Vec<ObservedRead<(String, Facts)>>,
    projects: Vec<ObservedRead<Guardrails>>,
}

/// What an operator was answered, and when.
struct ObservedRead<T> {
    who: usize,
    at: u64,
    shows: T,
}

/// What the project says of approvals and of the limit of a day.
struct Guardrails {
    required: bool,
    above: u64,
    daily_limit: Option<u32>,
}

impl World {
    /// Notes what a response shows that arrives at an operator.
    pub(super) fn note_read(&mut self, who: usize, call: Call, answer: &Answer) {
        if self.scenario.guard.is_none() {
            return;
        }
        let at = self.time.elapsed();
        match (call, answer) {
            (Call::ListDesktops | Call::ShowDesktop, Answer::Cloud(reply)) if !reply.cut => {
                let shown = desktops(&read(&reply.response.body));
                let reads = shown.into_iter().map(|shows| ObservedRead { who, at, shows });
                self.observed_reads.desktops.extend(reads);
            }
            (Call::GetProject | Call::WriteProjectStatus, Answer::Api(ApiReply::Whole(200, body))) => {
                let shows = Guardrails::of(&read(body)["spec"]["guardrails"]);
                self.observed_reads.projects.push(ObservedRead { who, at, shows });
            }
            _ => {}
        }
    }

    /// Notes what an intent rests on that leaves an operator.
    pub(super) fn note_intent(&mut self, who: usize, call: Call, payload: &CallPayload) {
        let (Call::WriteStatus, CallPayload::Api(request), Some(_)) = (call, payload, &self.scenario.guard)
        else {
            return;
        };
        let object = read(&request.body);
        let Some(attempt) = items(&object["status"], "attempts").last() else {
            return;
        };
        if attempt["outcome"] != "Pending" {
            return;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let named = items(&object["status"], "desktops").len() as u64;
        let grounds = self.grounds(who, named, &texts(attempt, "desktopIDs"));
        let known = self.facts.grounds.entry(text(&object["metadata"]["uid"]));
        let known = known.or_default().entry(text(&attempt["id"]));
        // Its first write is the intent; later ones say more of it.
        known.or_insert(grounds);
    }

    fn grounds(&self, who: usize, named: u64, ids: &[String]) -> IntentBasis {
        let since = self.time.elapsed().saturating_sub(OLD);
        let projects = || {
            let reads = self.observed_reads.projects.iter();
            reads.filter(move |read| read.who == who && read.at >= since)
        };
        let shown = ids.iter().filter_map(|id| {
            let reads = self.observed_reads.desktops.iter();
            let own = reads.filter(|read| read.who == who && read.at >= since && read.shows.0 == *id);
            let facts: Vec<_> = own.map(|read| read.shows.1.clone()).collect();
            (!facts.is_empty()).then(|| (id.clone(), facts))
        });
        let limits = projects().map(|read| read.shows.daily_limit);
        IntentBasis {
            approval_required: projects().count() > 0
                && projects().all(|read| read.shows.required && named > read.shows.above),
            daily_limit: limits.reduce(|a, b| Some(a?.max(b?))).flatten(),
            shown: shown.collect(),
        }
    }
}

impl Guardrails {
    fn of(guardrails: &Value) -> Self {
        let limit = guardrails["maxDesktopsPerDay"].as_u64();
        Self {
            required: guardrails["approval"] == "Required",
            above: guardrails["approvalAbove"].as_u64().unwrap_or_default(),
            daily_limit: limit.and_then(|limit| u32::try_from(limit).ok()),
        }
    }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The desktops in a response: a list of them, or one, perhaps as a list.
fn desktops(answer: &Value) -> Vec<(String, Facts)> {
    let one = Some(&answer["desktop"]).filter(|desktop| desktop.is_object());
    let lists = [items(answer, "desktops"), items(answer, "desktop")];
    let rows = lists.into_iter().flatten().chain(one);
    rows.map(|row| {
        let text = |field: &str| row[field].as_str().unwrap_or_default();
        let facts = Facts {
            name: Some(text("computer_name").to_owned()),
            users: Some(text("user_name").to_owned()),
            created: Some(created(text("created"))),
        };
        (text("desktop_id").to_owned(), facts)
    })
    .collect()
}

/// A time as the API server shows it; of the cloud's two forms one has a blank, the other parts of a second.
fn created(told: &str) -> String {
    let second: String = told.chars().take(19).collect();
    format!("{}Z", second.replace(' ', "T"))
}
