//! The invariants, judged by what was stored and what arrived, not by what the operator says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::api_server::resource::Resource;
use crate::facts::{Author, Post};
use crate::run::Covered;
use crate::world::World;

/// Outcomes of attempts that have had no effect.
const WITHOUT_EFFECT: [&str; 3] = ["Rejected", "NotSent", "NoEffect"];

/// Everything that is wrong, each in a sentence.
pub fn judge(world: &World) -> Vec<String> {
    let requests = requests(world);
    let mut wrong = Vec::new();
    for request in &requests {
        for check in [
            only_what_was_admitted,
            at_most_once,
            terminal_is_final,
            intents_for_the_live_object,
            attempts_stay,
            true_verdict,
        ] {
            let name = &request.name;
            wrong.extend(
                check(request, world)
                    .into_iter()
                    .map(|what| format!("{name}: {what}")),
            );
        }
    }
    wrong.extend(intent_first(&requests, world));
    wrong.extend(no_job_is_lost(&requests, world));
    wrong.extend(one_request_per_desktop(&requests, world));
    wrong.extend(world.facts.idle_writes.iter().map(|what| format!("I11: {what}")));
    if !world.has_settled() {
        wrong.extend(unsettled(&requests));
    }
    wrong
}

/// What the run covered.
pub fn covered(world: &World) -> Covered {
    let requests = requests(world);
    let last = |request: &Request| request.versions.last().map(|v| v.object.clone());
    let finals: Vec<_> = requests.iter().filter_map(last).collect();
    let with = |outcome: &str| {
        let attempts = finals.iter().flat_map(|o| items(&o["status"], "attempts"));
        attempts.filter(|a| a["outcome"] == outcome).count() as u64
    };
    let posts = &world.facts.posts;
    Covered {
        posts: posts.len() as u64,
        jobs: posts.iter().filter(|post| post.job.is_some()).count() as u64,
        adopted: with("Adopted"),
        without_effect: with("NoEffect"),
        ended: finals
            .iter()
            .filter(|o| !o["status"]["completionTime"].is_null())
            .count() as u64,
        operators: world.operators.len() as u64,
        seconds: world.era.elapsed() / 1000,
    }
}

/// One object, from its creation to its end.
struct Request {
    name: String,
    uid: String,
    desktops: BTreeSet<String>,
    versions: Vec<Version>,
    /// The resource version by which it was gone.
    gone: Option<u64>,
}

struct Version {
    revision: u64,
    author: Option<Author>,
    object: Value,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.revision;
        match self.author {
            Some(Author::Operator(who)) => write!(f, "version {revision}, by operator-{who},"),
            Some(Author::Person) | None => write!(f, "version {revision}, by a person,"),
        }
    }
}

fn requests(world: &World) -> Vec<Request> {
    let mut found: BTreeMap<String, Request> = BTreeMap::new();
    for change in world.api.store.history() {
        if change.key.resource != Resource::Deletions {
            continue;
        }
        let uid = |object: &Value| text(&object["metadata"]["uid"]).to_owned();
        match (&change.before, &change.after) {
            (_, Some(after)) => {
                let request = found.entry(uid(after)).or_insert_with(|| Request {
                    name: change.key.name.clone(),
                    uid: uid(after),
                    desktops: items(&after["spec"], "desktopIDs")
                        .iter()
                        .map(|id| text(id).to_owned())
                        .collect(),
                    versions: Vec::new(),
                    gone: None,
                });
                request.versions.push(Version {
                    revision: change.revision,
                    author: world.facts.authors.get(&change.revision).copied(),
                    object: Value::clone(after),
                });
            }
            (Some(before), None) => {
                if let Some(request) = found.get_mut(&uid(before)) {
                    request.gone = Some(change.revision);
                }
            }
            (None, None) => {}
        }
    }
    found.into_values().collect()
}

impl Request {
    /// The last version that was stored when the newest resource version was this.
    fn at(&self, revision: u64) -> Option<&Version> {
        self.versions.iter().rev().find(|v| v.revision <= revision)
    }

    /// The attempts ever stored, each as it was last seen.
    fn attempts(&self) -> BTreeMap<&str, &Value> {
        let all = self
            .versions
            .iter()
            .flat_map(|v| items(&v.object["status"], "attempts"));
        all.map(|attempt| (text(&attempt["id"]), attempt)).collect()
    }

    /// The submissions of its attempts.
    fn posts<'a>(&'a self, world: &'a World) -> impl Iterator<Item = (&'a Post, &'a Value)> {
        let attempts = self.attempts();
        world.facts.posts.iter().filter_map(move |post| {
            let own = attempts.values().find(|attempt| is_of(attempt, post));
            own.map(|attempt| (post, *attempt))
        })
    }

    /// Pairs of versions, one after the other.
    fn moves(&self) -> impl Iterator<Item = (&Version, &Version)> {
        self.versions.windows(2).map(|pair| (&pair[0], &pair[1]))
    }
}

/// Whether a submission is that of an attempt.
fn is_of(attempt: &Value, post: &Post) -> bool {
    let signed = text(&attempt["signedAt"]).replace(['-', ':'], "");
    text(&attempt["bodyDigest"]) == post.digest
        && signed == post.signed_at
        && text(&attempt["writer"]) == format!("operator-{}", post.who)
}

/// I1: the ids of every POST are a subset of the admitted ids, digest equal to the intent's.
fn only_what_was_admitted(request: &Request, world: &World) -> Vec<String> {
    let foreign = |(post, attempt): &(&Post, &Value)| {
        let named: Vec<_> = items(attempt, "desktopIDs").iter().map(text).collect();
        named != post.desktops || !post.desktops.iter().all(|id| request.desktops.contains(id))
    };
    let wrong = request.posts(world).filter(foreign);
    wrong
        .map(|(post, _)| format!("I1: posted what was not admitted: {post:?}"))
        .collect()
}

/// I2: per attempt at most one POST; a further attempt only if every earlier one is `Rejected`, `NotSent` or
/// `NoEffect`. And what that is for: no desktop of a request is submitted twice with effect.
fn at_most_once(request: &Request, world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut posted = BTreeSet::new();
    let mut effective = BTreeMap::new();
    for (post, attempt) in request.posts(world) {
        let id = text(&attempt["id"]);
        if !posted.insert(id) {
            wrong.push(format!("I2: attempt {id} was sent twice"));
        }
        for desktop in post.desktops.iter().filter(|_| post.job.is_some()) {
            if let Some(before) = effective.insert(desktop.clone(), id) {
                wrong.push(format!(
                    "I2: desktop {desktop} was submitted with effect by attempt {before} and by attempt {id}"
                ));
            }
        }
    }
    for (before, after) in request.moves() {
        let known: Vec<_> = items(&before.object["status"], "attempts")
            .iter()
            .map(|a| text(&a["id"]))
            .collect();
        let all = items(&after.object["status"], "attempts");
        let Some(new) = all.iter().find(|a| !known.contains(&text(&a["id"]))) else {
            continue;
        };
        let open = |a: &&Value| a["id"] != new["id"] && !WITHOUT_EFFECT.contains(&text(&a["outcome"]));
        if let Some(open) = all.iter().find(open) {
            wrong.push(format!(
                "I2: attempt {} was begun although attempt {} may have had an effect",
                text(&new["id"]),
                text(&open["id"])
            ));
        }
    }
    wrong
}

/// I4: terminal is final.
fn terminal_is_final(request: &Request, _: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (before, after) in request.moves() {
        let (old, new) = (&before.object["status"], &after.object["status"]);
        if !old["completionTime"].is_null() && old != new {
            wrong.push(format!("I4: {after} changes a verdict"));
        }
        let moved = |field: &str| !old[field].is_null() && old[field] != new[field];
        if moved("project") || moved("jobID") {
            wrong.push(format!("I4: {after} changes the project or the job"));
        }
        for attempt in items(old, "attempts") {
            let now = items(new, "attempts").iter().find(|a| a["id"] == attempt["id"]);
            let Some(now) = now else { continue };
            let settled = attempt["outcome"] != "Pending" && attempt["outcome"] != now["outcome"];
            let jobs = items(now, "jobIDs");
            if settled || items(attempt, "jobIDs").iter().any(|job| !jobs.contains(job)) {
                wrong.push(format!(
                    "I4: {after} changes what was settled of attempt {}",
                    text(&attempt["id"])
                ));
            }
        }
        let deleted = |d: &&Value| d["state"] == "Deleted";
        for desktop in items(old, "desktops").iter().filter(deleted) {
            let now = items(new, "desktops").iter().find(|d| d["id"] == desktop["id"]);
            if now.is_none_or(|now| now["state"] != "Deleted") {
                wrong.push(format!(
                    "I4: {after} takes back that {} is deleted",
                    desktop["id"]
                ));
            }
        }
    }
    wrong
}

/// I6: no intent for an object that at commit time is deleted, suspended or changed.
fn intents_for_the_live_object(request: &Request, _: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (before, after) in request.moves() {
        let count = |v: &Version| {
            let attempts = items(&v.object["status"], "attempts");
            attempts.iter().filter(|a| a["outcome"] == "Pending").count()
        };
        if count(after) <= count(before) {
            continue;
        }
        let object = &before.object;
        let dead = !object["metadata"]["deletionTimestamp"].is_null();
        if dead || object["spec"]["suspend"] == true || !object["status"]["completionTime"].is_null() {
            wrong.push(format!(
                "I6: {after} stores an intent for an object that is deleted, suspended or finished"
            ));
        }
        if after.object["spec"] != object["spec"] {
            wrong.push(format!("I6: {after} changes the spec"));
        }
    }
    wrong
}

/// I8: attempts that may have reached the cloud are never removed.
fn attempts_stay(request: &Request, _: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (before, after) in request.moves() {
        let now = items(&after.object["status"], "attempts");
        for attempt in items(&before.object["status"], "attempts") {
            let removable = attempt["outcome"] == "Rejected" || attempt["outcome"] == "NotSent";
            if !removable && !now.iter().any(|a| a["id"] == attempt["id"]) {
                wrong.push(format!("I8: {after} removes attempt {}", text(&attempt["id"])));
            }
        }
    }
    wrong
}

/// The verdict is true: what is said to be deleted is gone, and what is said to have failed is there.
fn true_verdict(request: &Request, world: &World) -> Vec<String> {
    let Some(last) = request.versions.last() else {
        return vec![];
    };
    let there: BTreeSet<_> = world.desktops_there();
    let mut wrong = Vec::new();
    for desktop in items(&last.object["status"], "desktops") {
        let (id, state) = (text(&desktop["id"]), text(&desktop["state"]));
        if matches!(state, "Deleted" | "Absent") && there.contains(id) {
            wrong.push(format!("desktop {id} is said to be {state}, and is there"));
        }
    }
    wrong
}

/// I7: no POST without an earlier stored intent.
fn intent_first(requests: &[Request], world: &World) -> Vec<String> {
    let meant = |post: &&Post| {
        requests.iter().any(|request| {
            let stored = request.versions.iter().filter(|v| v.revision <= post.revision);
            stored
                .flat_map(|v| items(&v.object["status"], "attempts"))
                .any(|a| a["outcome"] == "Pending" && is_of(a, post))
        })
    };
    let without = world.facts.posts.iter().filter(|post| !meant(post));
    without
        .map(|post| format!("I7: no intent was stored before {post:?}"))
        .collect()
}

/// I3: every accepted job id is stored, adopted, or declared unknown by name.
fn no_job_is_lost(requests: &[Request], world: &World) -> Vec<String> {
    let named = |post: &Post, job: &str| {
        let stored = requests.iter().any(|request| {
            request
                .attempts()
                .values()
                .any(|attempt| items(attempt, "jobIDs").iter().any(|own| own == job))
        });
        // A person gave it up, or it is known to have had an effect though its job was not found.
        let declared = requests.iter().flat_map(|request| {
            let attempts = request.attempts();
            attempts
                .into_values()
                .filter(|a| is_of(a, post))
                .collect::<Vec<_>>()
        });
        let mut declared = declared.map(|attempt| {
            let outcome = text(&attempt["outcome"]);
            let said = world
                .facts
                .log
                .lines()
                .any(|line| line.contains(text(&attempt["id"])) && line.contains("whether attempt"));
            matches!(outcome, "Adopted" | "Abandoned") || said
        });
        let told = world.facts.log.lines().any(|line| line.contains(job));
        stored || told || declared.any(|declared| declared)
    };
    let jobs = world
        .facts
        .posts
        .iter()
        .filter_map(|post| Some((post, post.job.as_deref()?)));
    let lost = jobs.filter(|(post, job)| !named(post, job));
    lost.map(|(post, job)| format!("I3: job {job} of {post:?} is nowhere to be found"))
        .collect()
}

/// I10: under one leader, two requests do not have one desktop in flight.
fn one_request_per_desktop(requests: &[Request], world: &World) -> Vec<String> {
    if world.facts.two_leaders {
        return vec![];
    }
    let mut wrong = Vec::new();
    for request in requests {
        for (post, attempt) in request.posts(world).filter(|(post, _)| post.job.is_some()) {
            for other in requests.iter().filter(|other| other.uid != request.uid) {
                let earlier = other
                    .posts(world)
                    .filter(|(earlier, _)| earlier.job.is_some() && earlier.revision < post.revision);
                for (earlier, theirs) in earlier {
                    let shared = earlier.desktops.iter().find(|id| post.desktops.contains(id));
                    let open = |id: &String| is_in_flight(other, id, theirs, post.revision);
                    if let Some(desktop) = shared.filter(|id| open(id)) {
                        wrong.push(format!(
                            "I10: attempt {} submits desktop {desktop}, which {} has in flight",
                            text(&attempt["id"]),
                            other.name
                        ));
                    }
                }
            }
        }
    }
    wrong
}

/// Whether a desktop was in flight for a request at that time.
fn is_in_flight(request: &Request, desktop: &str, attempt: &Value, revision: u64) -> bool {
    if request.gone.is_some_and(|gone| gone <= revision) {
        return false;
    }
    let Some(version) = request.at(revision) else {
        return false;
    };
    let status = &version.object["status"];
    let ended = items(status, "desktops")
        .iter()
        .any(|d| d["id"] == desktop && matches!(text(&d["state"]), "Deleted" | "Failed" | "Absent"));
    let own = items(status, "attempts")
        .iter()
        .find(|a| a["id"] == attempt["id"]);
    let settled = own.is_some_and(|a| WITHOUT_EFFECT.contains(&text(&a["outcome"])));
    status["completionTime"].is_null() && !ended && !settled
}

/// I5: once faults stop, a request ends, or waits for a person, in bounded time.
fn unsettled(requests: &[Request]) -> Vec<String> {
    let alive = requests.iter().filter(|request| request.gone.is_none());
    let open = alive.filter_map(|request| {
        let last = &request.versions.last()?.object;
        let ended = !last["status"]["completionTime"].is_null();
        let deleting = !last["metadata"]["deletionTimestamp"].is_null();
        (!ended || deleting).then(|| {
            format!(
                "I5: {} has not ended: {}",
                request.name,
                crate::brief::status(&last["status"])
            )
        })
    });
    open.collect()
}

fn items<'a>(of: &'a Value, list: &str) -> &'a [Value] {
    of[list].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
