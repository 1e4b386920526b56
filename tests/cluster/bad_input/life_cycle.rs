//! Edits by users, tools and other controllers during the life of an object. All of them are made at the same time, in
//! one namespace, under one operator and to one cloud; each scene has a request and a desktop with its own name. In
//! every case, each desktop is submitted with effect at most once.
//!
//! | file | what |
//! | --- | --- |
//! | [`again`] | applied, deleted, restored and edited, over and over |
//! | [`forged`] | a status that another client wrote |
//!
//! The deletion of a namespace is in `tests/faults/leaving.rs`, and so is a request that is recreated while a
//! submission is in flight.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;

use crate::doubt::lost;
use crate::fixture::{Fixture, body, desktop, endless, pair, says};

mod again;
mod forged;

/// What is done, the result, and the function that plays it.
type Scene<'a> = (&'static str, &'static str, LocalBoxFuture<'a, ()>);

fn scenes(fixture: &Fixture) -> Vec<Scene<'_>> {
    let mut scenes = again::scenes(fixture);
    scenes.extend(forged::scenes(fixture));
    scenes
}

/// A desktop that is there for a while after its submission.
fn slow(id: &str) -> Value {
    json!({"id": id, "outcome": {"result": "success", "running": "3s"}})
}

/// Puts a desktop into the cloud and applies a request for it, both of one name.
async fn apply(fixture: &Fixture, desktop: Value) {
    let id = desktop["id"].as_str().unwrap().to_owned();
    fixture.cloud.add_desktop(&desktop).unwrap();
    fixture.request(&id, &[&id]).await;
}

/// Waits for an end, which must be this one.
async fn ends(fixture: &Fixture, name: &str, verdict: &str) -> Value {
    let status = fixture.completed(name).await;
    let (truth, _) = says(&status, Succeeded);
    assert_eq!(says(&status, Succeeded), pair(&truth, verdict), "{status:#}");
    status
}

/// Changes anything of a request, as a JSON merge patch.
async fn patch(fixture: &Fixture, name: &str, change: Value) -> kube::Result<()> {
    let (requests, parameters) = (fixture.requests(), PatchParams::default());
    let patched = requests.patch(name, &parameters, &Patch::Merge(change)).await;
    patched.map(|_| ())
}

/// Writes a part of the status, as `kubectl patch --subresource=status` does.
async fn forge(fixture: &Fixture, name: &str, status: Value) {
    let (requests, parameters) = (fixture.requests(), PatchParams::default());
    let forged = Patch::Merge(json!({"status": status}));
    requests
        .patch_status(name, &parameters, &forged)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// How many submissions took effect for each desktop.
fn effects(fixture: &Fixture) -> HashMap<String, usize> {
    let mut effects = HashMap::new();
    for post in fixture.posts().iter().filter(|post| post["tookEffect"] == true) {
        for id in body(post)["desktop_ids"].as_array().unwrap() {
            *effects.entry(id.as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    effects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn desktops_are_submitted_at_most_once_regardless_of_edits_of_the_object() {
    let fixture = Fixture::set("life-cycle", &[]).await;
    // A signature lives for a quarter of an hour, so that the outcome stays unknown while something is done to it. Its
    // maximum age is short, since an object that is deleted in flight is kept for that and for the submission timeout.
    let flags = [
        "--job-overdue=12s",
        "--concurrency=256",
        "--max-signature-age=10s",
    ];
    let _operator = fixture.operator(&flags);
    let scenes = scenes(&fixture);
    let count = scenes.len();
    let play = async |(what, then, play): Scene<'_>| {
        let played = AssertUnwindSafe(play).catch_unwind().await;
        println!("{what}: {then}");
        played.err().map(|why| {
            let text = why.downcast_ref::<String>().cloned();
            format!("{what}: not {then}: {}", text.unwrap_or_default())
        })
    };
    let broken: Vec<_> = join_all(scenes.into_iter().map(play))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert!(
        broken.is_empty(),
        "{} of {count} scenes:\n{}",
        broken.len(),
        broken.join("\n")
    );
    let twice: Vec<_> = effects(&fixture)
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .collect();
    assert_eq!(
        twice,
        [],
        "desktops that were submitted with effect more than once"
    );
}
