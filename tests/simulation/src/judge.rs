//! What happened, as the invariants want it. It is taken from what was stored and what arrived, not from what the operator
//! says of itself; what must hold stands in the crate `invariants`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use invariants::History;
use invariants::history::{
    BaseVersion, Login, Object, Post, Request, Termination, Version, Write, WriteResult,
};
use invariants::reading::{Frozen, items, texts};
use serde_json::Value;

use crate::api_server::resource::Resource;
use crate::facts::{self, Author, IdleWrite};
use crate::run::Covered;
use crate::scenario::{self, OWN, ProjectSetup};
use crate::world::World;

/// Everything that is wrong, each in a sentence.
pub fn judge(world: &World) -> Vec<String> {
    let broken = invariants::judge(&history(world));
    let broken = broken.iter().map(ToString::to_string);
    let facts = [&world.facts.blank, &world.facts.unnamed];
    let endless = world
        .is_endless()
        .then(|| "an operator starts over again and again, and the run does not come to its end".to_owned());
    let facts = facts.into_iter().flatten().cloned();
    broken.chain(facts).chain(endless).collect()
}

/// What the run covered.
pub fn covered(world: &World) -> Covered {
    let finals: Vec<_> = objects(world).into_values().map(|life| life.last).collect();
    let with = |outcome: &str| {
        let attempts = finals.iter().flat_map(|o| items(&o["status"], "attempts"));
        attempts.filter(|a| a["outcome"] == outcome).count() as u64
    };
    let attempts = finals.iter().flat_map(|o| items(&o["status"], "attempts"));
    let is_approved = |a: &&Value| !a["planHash"].is_null() && !items(a, "jobIDs").is_empty();
    let waited = |reason: &str| {
        let stored = world.api.store.history().iter().filter_map(|c| c.after.as_ref());
        let says = |object: &&Arc<Value>| {
            let mut conditions = items(&object["status"], "conditions").iter();
            conditions.any(|c| c["type"] == "Submitted" && c["reason"] == reason)
        };
        let uids: BTreeSet<_> = stored.filter(says).map(|object| uid(object)).collect();
        uids.len() as u64
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
        approved: attempts.filter(is_approved).count() as u64,
        changed: waited("PlanChanged"),
        carried: world.facts.carried,
        limited: waited("DailyLimitReached"),
        operators: world.operators.len() as u64,
        replaced: world.facts.replaced,
        seconds: world.time.elapsed() / 1000,
    }
}

/// One object, from its creation to its end.
struct Life<'a> {
    request: Request,
    last: &'a Value,
}

fn history(world: &World) -> History {
    let requests: Vec<_> = objects(world).into_values().map(|life| life.request).collect();
    History {
        posts: world.facts.posts.iter().map(post).collect(),
        declared: declared(world, &requests),
        unseen: unseen(world),
        foreign: world.facts.foreign_jobs.clone(),
        // What is said of a desktop that was away is true of the time when it was.
        there: Some(&world.desktops_there() - &world.facts.away),
        two_leaders: world.facts.two_leaders,
        calls: world.facts.signed_calls.clone(),
        logins: logins(world),
        requests,
    }
}

/// What each access key is for.
fn logins(world: &World) -> Vec<Login> {
    let login = |credential: &str, home: &ProjectSetup| Login {
        credential: credential.to_owned(),
        endpoint: home.endpoint(),
        project: home.id.to_owned(),
    };
    let homes = world.scenario.homes.iter();
    let own = homes.map(|home| login(home.access_key, home));
    // Where IAM gives temporary access keys there is one project.
    let given = world
        .facts
        .signed_calls
        .iter()
        .filter_map(|call| call.credential.as_deref());
    let given = given.filter(|_| world.scenario.login == scenario::Login::Password);
    own.chain(given.map(|credential| login(credential, &OWN)))
        .collect()
}

/// Every object, by its uid.
fn objects(world: &World) -> BTreeMap<&str, Life<'_>> {
    let mut found: BTreeMap<_, Life<'_>> = BTreeMap::new();
    for change in world.api.store.history() {
        if change.key.resource != Resource::Deletions {
            continue;
        }
        let author = world.facts.authors.get(&change.revision).copied();
        match (&change.before, &change.after) {
            (_, Some(after)) => {
                let life = found.entry(uid(after)).or_insert_with(|| Life {
                    request: created(&change.key.name, after),
                    last: after,
                });
                life.last = after;
                store(&mut life.request, change.revision, author, after);
            }
            (Some(before), None) => {
                if let Some(life) = found.get_mut(uid(before)) {
                    let gone = version(change.revision, before);
                    life.request.versions.push(Version { gone: true, ..gone });
                }
            }
            (None, None) => {}
        }
    }
    for life in found.values_mut() {
        life.request.termination = termination(life);
        let grounds = world.facts.grounds.get(uid(life.last)).cloned();
        life.request.bases = grounds.unwrap_or_default();
        let given = world.facts.approvals.iter();
        let own = given.filter(|approval| approval.uid == uid(life.last));
        let plans = own.map(|approval| approval.plan.clone()).collect();
        life.request.approvals = world.scenario.guard.as_ref().map(|_| plans);
        let idle = world.facts.idle_writes.iter();
        let own = idle.filter(|write| uid(life.last) == write.uid);
        life.request.writes.extend(own.map(idle_write));
    }
    found
}

fn created(name: &str, object: &Value) -> Request {
    Request {
        name: name.to_owned(),
        admitted: texts(&object["spec"], "desktopIDs"),
        versions: Vec::new(),
        writes: Vec::new(),
        termination: Termination::Reached,
        quiet_from: None,
        bases: BTreeMap::new(),
        approvals: None,
    }
}

/// Takes a version, and the write that made it from the one before.
fn store(request: &mut Request, revision: u64, author: Option<Author>, object: &Value) {
    let version = version(revision, object);
    let by = match author {
        Some(Author::Operator(who)) => format!("operator-{who}"),
        Some(Author::Person) | None => "a person".to_owned(),
    };
    if let Some(from) = request.versions.len().checked_sub(1) {
        request.writes.push(Write {
            name: format!("version {revision}, by {by}"),
            by_operator: matches!(author, Some(Author::Operator(_))),
            from: BaseVersion::Version(from),
            status: Some(version.object.status.clone()),
            result: WriteResult::Stored,
        });
    }
    request.versions.push(version);
}

fn version(revision: u64, object: &Value) -> Version {
    let mut read = Object::read(object, Frozen::Whole);
    for (attempt, shown) in read
        .status
        .attempts
        .iter_mut()
        .zip(items(&object["status"], "attempts"))
    {
        attempt.signature = Some(text(&shown["id"]).to_owned());
    }
    Version {
        at: moment(revision),
        uid: uid(object).to_owned(),
        object: read,
        gone: false,
    }
}

fn idle_write(write: &IdleWrite) -> Write {
    Write {
        name: write.what.clone(),
        by_operator: true,
        // It was made from the version that it left as it was.
        from: BaseVersion::Unheard,
        status: None,
        result: WriteResult::Unchanged,
    }
}

fn post(post: &facts::Post) -> Post {
    Post {
        at: moment(post.revision),
        digest: post.digest.clone(),
        desktops: post.desktops.clone(),
        // Attempts may have one signature, so that the world says whose it is.
        signature: Some(post.intent.clone().unwrap_or_default()),
        left: i64::try_from(post.left).ok(),
        job: post.job.clone(),
    }
}

/// Jobs that the log names, and attempts of which it states that their effect is unknown.
fn declared(world: &World, requests: &[Request]) -> BTreeSet<String> {
    let log = &world.facts.log;
    let jobs = world.facts.posts.iter().filter_map(|post| post.job.clone());
    let jobs = jobs.filter(|job| log.contains(job.as_str()));
    let doubts: Vec<_> = log
        .lines()
        .filter(|line| line.contains("the outcome of attempt"))
        .collect();
    let attempts = requests.iter().flat_map(|request| request.attempts().into_keys());
    let attempts = attempts.filter(|id| doubts.iter().any(|line| line.contains(id)));
    jobs.chain(attempts.map(str::to_owned)).collect()
}

/// Jobs of which no list shows anything, since the deletion of each of their desktops has no sub-job.
fn unseen(world: &World) -> BTreeSet<String> {
    let shown = |id: &String| {
        let named = |desktop: &&Value| desktop["id"] == id.as_str();
        let desktop = items(&world.scenario.cloud, "desktops").iter().find(named);
        desktop.is_none_or(|desktop| desktop["outcome"] != "noSubJob")
    };
    let posts = world
        .facts
        .posts
        .iter()
        .filter(|post| !post.desktops.iter().any(shown));
    posts.filter_map(|post| post.job.clone()).collect()
}

/// Everybody has done what there was to do: a request has ended or is gone.
fn termination(life: &Life<'_>) -> Termination {
    let object = life.last;
    let ended = !object["status"]["completionTime"].is_null();
    let deleting = !object["metadata"]["deletionTimestamp"].is_null();
    if life.request.is_gone() || (ended && !deleting) {
        Termination::Reached
    } else {
        Termination::Not(crate::brief::status(&object["status"]))
    }
}

/// The time of the judge: resource versions.
fn moment(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
