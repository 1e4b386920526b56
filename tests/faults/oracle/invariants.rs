//! The sentences that must hold. Each function gives what is wrong about its sentence, and nothing if it holds.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::record::{Change, Post, Record, Version};

type Invariant = fn(&Record) -> Vec<String>;

/// All of them.
pub(super) const ALL: &[Invariant] = &[
    only_what_was_admitted_is_posted,
    no_desktop_is_posted_with_effect_twice,
    an_intent_with_the_digest_is_stored_before_the_post,
    no_effect_comes_after_the_verdict_that_there_is_none,
    no_effect_is_said_only_after_the_expiry,
    no_attempt_is_posted_twice,
    an_attempt_begins_only_when_all_others_had_no_effect,
    every_accepted_job_is_stored_or_said_to_be_unknown,
    no_intent_is_stored_for_what_was_called_off,
    nothing_takes_effect_for_an_object_that_is_gone,
    what_is_final_stays,
    nothing_is_written_after_the_end,
    an_attempt_that_may_have_reached_the_cloud_stays,
    a_write_changes_something,
    a_write_of_the_status_is_bound_to_a_version,
];

/// Outcomes of attempts that have had no effect.
const WITHOUT_EFFECT: [&str; 3] = ["Rejected", "NotSent", "NoEffect"];

/// I1: the ids of every POST are admitted ones.
fn only_what_was_admitted_is_posted(record: &Record) -> Vec<String> {
    let foreign = |post: &&Post| {
        post.desktops.is_empty()
            || post
                .desktops
                .iter()
                .any(|id| !record.admitted.iter().any(|a| id == a))
    };
    let wrong = record.posts.iter().filter(foreign);
    wrong
        .map(|post| format!("posted, and not admitted: {post:?}"))
        .collect()
}

/// The main promise: at most one effective POST per desktop and object.
fn no_desktop_is_posted_with_effect_twice(record: &Record) -> Vec<String> {
    let effective: Vec<_> = record.posts.iter().filter(|post| post.job.is_some()).collect();
    let times = |id: &String| {
        effective
            .iter()
            .filter(|post| post.desktops.iter().any(|d| d == id))
            .count()
    };
    let twice = record.admitted.iter().filter(|id| times(id) > 1);
    twice
        .map(|id| format!("desktop {id} was deleted {} times: {effective:?}", times(id)))
        .collect()
}

/// I1, I7: no POST without an earlier stored intent for the same desktops, with the same digest.
fn an_intent_with_the_digest_is_stored_before_the_post(record: &Record) -> Vec<String> {
    let meant = |post: &&Post| {
        let mut stored = stored_before(record, post).flat_map(|version| attempts(&version.status));
        stored.any(|attempt| attempt["outcome"] == "Pending" && is_of(attempt, post))
    };
    let without = record.posts.iter().filter(|post| !meant(post));
    without
        .map(|post| format!("no intent was stored before {post:?}"))
        .collect()
}

/// Nothing takes effect for an attempt that was settled as one without effect.
fn no_effect_comes_after_the_verdict_that_there_is_none(record: &Record) -> Vec<String> {
    let open = |post: &&Post| {
        let last = stored_before(record, post).last();
        last.is_some_and(|version| {
            let own = attempts(&version.status)
                .iter()
                .filter(|attempt| is_of(attempt, post));
            own.into_iter()
                .any(|attempt| !WITHOUT_EFFECT.iter().any(|word| attempt["outcome"] == *word))
        })
    };
    let late = record
        .posts
        .iter()
        .filter(|post| post.job.is_some() && !open(post));
    late.map(|post| format!("it took effect when its attempt was settled: {post:?}"))
        .collect()
}

/// I5 of a lost answer: that a signed request had no effect is said only once it is expired.
fn no_effect_is_said_only_after_the_expiry(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for version in &record.versions {
        for attempt in attempts(&version.status)
            .iter()
            .filter(|a| a["outcome"] == "NoEffect")
        {
            let end: Option<Timestamp> = attempt["notAfter"].as_str().and_then(|text| text.parse().ok());
            if end.is_some_and(|end| version.stored <= end) {
                wrong.push(format!("settled at {} already: {attempt}", version.stored));
            }
        }
    }
    wrong
}

/// I2: per attempt at most one POST.
fn no_attempt_is_posted_twice(record: &Record) -> Vec<String> {
    let intents_before = |post: &Post| {
        let stored = stored_before(record, post);
        let mut ids: Vec<_> = stored
            .flat_map(|v| attempts(&v.status))
            .map(|a| a["id"].to_string())
            .collect();
        ids.sort();
        ids.dedup();
        ids.len()
    };
    let repeated = record
        .posts
        .iter()
        .enumerate()
        .filter(|(before, post)| before + 1 > intents_before(post));
    repeated
        .map(|(_, post)| format!("more POSTs than attempts: {post:?}"))
        .collect()
}

/// I2: attempt n+1 exists only if every earlier one is `Rejected`, `NotSent` or `NoEffect`.
fn an_attempt_begins_only_when_all_others_had_no_effect(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for version in &record.versions {
        let all = attempts(&version.status);
        let others = all.split_last().map_or(&[][..], |(_, others)| others);
        let open = |a: &&Value| {
            let settled = WITHOUT_EFFECT.iter().any(|word| a["outcome"] == *word);
            !settled || a["jobIDs"].as_array().is_some_and(|jobs| !jobs.is_empty())
        };
        wrong.extend(
            others
                .iter()
                .filter(open)
                .map(|a| format!("another attempt began after {a}")),
        );
    }
    wrong
}

/// I3: every accepted job id is stored, adopted, or declared unknown by name.
fn every_accepted_job_is_stored_or_said_to_be_unknown(record: &Record) -> Vec<String> {
    let named = |post: &&Post| {
        let job = post.job.as_deref().unwrap_or_default();
        // What was stored once stays stored, for as long as the object lives: see below.
        let mut all = record
            .versions
            .iter()
            .flat_map(|version| attempts(&version.status));
        let stored = all.any(|attempt| items(attempt, "jobIDs").iter().any(|known| known == job));
        let newest = record
            .versions
            .iter()
            .rfind(|version| !attempts(&version.status).is_empty());
        let given_up = newest.is_some_and(|version| {
            let open = |a: &&Value| a["outcome"] == "Abandoned" || a["outcome"] == "Pending";
            let own = attempts(&version.status).iter().filter(open);
            own.into_iter()
                .any(|attempt| attempt["bodyDigest"] == post.digest.as_str())
        });
        let lost = record
            .log
            .lines()
            .any(|line| line.contains(job) && line.contains("could not be stored"));
        stored || given_up || lost
    };
    let lost = record
        .posts
        .iter()
        .filter(|post| post.job.is_some())
        .filter(|post| !named(post));
    lost.map(|post| format!("the job of {post:?} is nowhere: {:?}", record.versions.last()))
        .collect()
}

/// I6: no intent for an object that at commit time is deleted or suspended.
fn no_intent_is_stored_for_what_was_called_off(record: &Record) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut wrong = Vec::new();
    for version in &record.versions {
        for attempt in attempts(&version.status) {
            if known.insert(attempt["id"].to_string()) && version.called_off {
                wrong.push(format!("an intent was stored for what was called off: {attempt}"));
            }
        }
    }
    wrong
}

/// An object goes only when nothing of it can take effect any more.
fn nothing_takes_effect_for_an_object_that_is_gone(record: &Record) -> Vec<String> {
    let gone = |post: &&Post| {
        stored_before(record, post)
            .last()
            .is_some_and(|version| version.gone)
    };
    let late = record.posts.iter().filter(|post| post.job.is_some()).filter(gone);
    late.map(|post| format!("its object was gone already: {post:?}"))
        .collect()
}

/// I4: terminal is final. What the operator tries counts, also where the API server refuses it.
fn what_is_final_stays(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for write in record.writes.iter().filter(|write| write.verb == "update") {
        let Some(before) = record.status_in(&write.from) else {
            wrong.push(format!("made from a version that nobody wrote: {write:?}"));
            continue;
        };
        if let Some(what) = unsettled(before, &write.status) {
            wrong.push(format!("{what} was final: {before:#} became {:#}", write.status));
        }
    }
    wrong
}

/// The last write is the verdict: nothing that comes after it would wake the operator again.
fn nothing_is_written_after_the_end(record: &Record) -> Vec<String> {
    let finished = |write: &&Change| {
        let before = record.status_in(&write.from);
        before.is_some_and(|status| status["completionTime"].is_string())
    };
    let late = record.writes.iter().filter(finished);
    late.map(|write| format!("written after the verdict: {write:?}"))
        .collect()
}

/// The final thing of `before` that `after` says otherwise.
fn unsettled(before: &Value, after: &Value) -> Option<&'static str> {
    let moved = |field: &str| !before[field].is_null() && before[field] != after[field];
    if before["completionTime"].is_string() {
        return (before != after).then_some("a finished status");
    }
    if moved("project") {
        return Some("project");
    }
    if moved("jobID") {
        return Some("jobID");
    }
    let same = |list: &str, item: &Value| items(after, list).iter().find(|a| a["id"] == item["id"]).cloned();
    for desktop in items(before, "desktops")
        .iter()
        .filter(|d| d["state"] == "Deleted")
    {
        if same("desktops", desktop).is_none_or(|now| now["state"] != "Deleted") {
            return Some("a deleted desktop");
        }
    }
    for attempt in items(before, "attempts") {
        let Some(now) = same("attempts", attempt) else {
            continue;
        };
        if attempt["outcome"] != "Pending" && now["outcome"] != attempt["outcome"] {
            return Some("the outcome of an attempt");
        }
        let lost = |job: &Value| !items(&now, "jobIDs").contains(job);
        if items(attempt, "jobIDs").iter().any(lost) {
            return Some("a job of an attempt");
        }
        for fact in [
            "writer",
            "auth",
            "desktopIDs",
            "baselineJobIDs",
            "baselineFailedIDs",
            "bodyDigest",
            "signedAt",
            "notAfter",
        ] {
            if attempt[fact] != now[fact] {
                return Some("a fact of an attempt");
            }
        }
    }
    None
}

/// I8: attempts that may have reached the cloud are never removed.
fn an_attempt_that_may_have_reached_the_cloud_stays(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for write in record.writes.iter().filter(|write| write.verb == "update") {
        let before = record
            .status_in(&write.from)
            .map(|status| items(status, "attempts"))
            .unwrap_or_default();
        let removable = |a: &Value| a["outcome"] == "Rejected" || a["outcome"] == "NotSent";
        let now = items(&write.status, "attempts");
        let gone = before
            .iter()
            .filter(|a| !removable(a) && !now.iter().any(|n| n["id"] == a["id"]));
        wrong.extend(gone.map(|a| format!("attempt {a} was removed")));
    }
    wrong
}

/// I11: no write without a change.
fn a_write_changes_something(record: &Record) -> Vec<String> {
    let idle = record
        .writes
        .iter()
        // What lets the object go makes no version of it.
        .filter(|write| write.to.as_ref() == Some(&write.from) && !write.last);
    idle.map(|write| format!("a write changed nothing: {write:?}"))
        .collect()
}

/// Every write carries the version that it was decided on: the API server refuses it if that is not the last one.
fn a_write_of_the_status_is_bound_to_a_version(record: &Record) -> Vec<String> {
    let unbound = record.writes.iter().filter(|write| write.from.is_empty());
    unbound
        .map(|write| format!("a write is bound to no version: {write:?}"))
        .collect()
}

fn stored_before<'a>(record: &'a Record, post: &Post) -> impl Iterator<Item = &'a Version> {
    let arrived = post.arrived;
    record
        .versions
        .iter()
        .take_while(move |version| version.stored <= arrived)
}

/// Is the POST as the attempt says?
fn is_of(attempt: &Value, post: &Post) -> bool {
    attempt["bodyDigest"] == post.digest.as_str() && attempt["desktopIDs"].as_array() == Some(&post.desktops)
}

fn attempts(status: &Value) -> &[Value] {
    items(status, "attempts")
}

fn items<'a>(of: &'a Value, list: &str) -> &'a [Value] {
    of[list].as_array().map(Vec::as_slice).unwrap_or_default()
}
