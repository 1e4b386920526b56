use futures::FutureExt;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::json;

use super::*;
use crate::controllers::Scope;

/// A queue over a cache, of which so many of one project are reconciled at one time.
struct World {
    writer: Writer<DesktopDeletion>,
    queue: WorkQueue,
}

impl World {
    fn new(per_project: usize) -> Self {
        let cache = RequestCache::default();
        let (store, writer) = reflector::store();
        cache.watch(Scope::All, store);
        let queue = WorkQueue::new(cache, per_project);
        Self { writer, queue }
    }

    /// Makes requests, named as namespace, project and name, and adds them in that order.
    fn adds(&mut self, requests: &[(&str, &str, &str)]) {
        for (namespace, project, name) in requests {
            let object: DesktopDeletion = serde_json::from_value(json!({
                "apiVersion": "cloud-desktops.dev/v1alpha1",
                "kind": "DesktopDeletion",
                "metadata": {"name": name, "namespace": namespace, "uid": name},
                "spec": {"projectRef": {"name": project}, "desktopIDs": [name]},
            }))
            .unwrap();
            let key = Key::of(&object);
            self.writer.apply_watcher_event(&Event::Apply(object));
            self.queue.add(key);
        }
    }

    fn next(&self) -> Option<Work> {
        self.queue.next().now_or_never()
    }

    /// The names of those that may be reconciled now, which stay so.
    fn all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next().map(|work| work.key.name)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_fair_between_namespaces_and_between_their_projects() {
    let mut world = World::new(9);
    world.adds(&[("a", "p", "1"), ("a", "p", "2"), ("a", "q", "3"), ("b", "p", "4")]);
    assert_eq!(world.all(), ["1", "4", "3", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_project_at_its_concurrency_limit_is_skipped() {
    let mut world = World::new(1);
    world.adds(&[("a", "p", "1"), ("a", "p", "2"), ("a", "q", "3")]);
    let first = world.next().unwrap();
    assert_eq!(world.all(), ["3"]);
    world.queue.done(first.key, None, None);
    assert_eq!(world.all(), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_reconciled_once_at_a_time_and_again_if_it_was_added_meanwhile() {
    let mut world = World::new(9);
    world.adds(&[("a", "p", "1")]);
    world.queue.add(world.next().unwrap().key);
    assert!(world.next().is_none());
    let key = Key {
        namespace: "a".to_owned(),
        name: "1".to_owned(),
    };
    world.queue.done(key.clone(), None, None);
    assert!(world.next().is_some());
    world.queue.done(key, None, None);
    assert!(world.next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_already_reconciled_does_not_requeue_the_request() {
    let minute = Some(Duration::from_secs(60));
    for (shown, decided, again) in [(7, Some(7), false), (8, Some(7), true), (7, None, true)] {
        for while_it_runs in [true, false] {
            let mut world = World::new(9);
            world.adds(&[("a", "p", "1")]);
            let Work { key, .. } = world.next().unwrap();
            if while_it_runs {
                world.queue.add_version(key.clone(), Some(shown));
                world.queue.done(key, decided, minute);
            } else {
                world.queue.done(key.clone(), decided, minute);
                world.queue.add_version(key, Some(shown));
            }
            let next = world.next().is_some();
            assert_eq!(next, again, "{shown} {decided:?}, while it runs: {while_it_runs}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_is_reconciled_when_due_or_earlier_if_it_is_added() {
    let mut world = World::new(9);
    world.adds(&[("a", "p", "1"), ("a", "p", "2")]);
    for name in ["1", "2"] {
        let work = world.next().unwrap();
        assert_eq!(work.key.name, name);
        world.queue.done(work.key, None, Some(Duration::from_secs(10)));
    }
    assert!(world.next().is_none());
    world.adds(&[("a", "p", "2")]);
    assert_eq!(world.all(), ["2"]);
    let begun = Instant::now();
    assert_eq!(world.queue.next().await.key.name, "1");
    assert!(begun.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn requests_that_the_watch_no_longer_shows_are_dropped() {
    let mut world = World::new(9);
    world.adds(&[("a", "p", "1"), ("a", "p", "2")]);
    let gone = world.queue.cache.get("a", "1").unwrap();
    world.writer.apply_watcher_event(&Event::Delete((*gone).clone()));
    assert_eq!(world.all(), ["2"]);
    assert_eq!(world.queue.shared.state.lock().entries.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn upcoming_desktops_of_the_same_project_are_those_of_whole_requests() {
    let mut world = World::new(1);
    world.adds(&[("a", "p", "1"), ("a", "p", "2"), ("a", "p", "3"), ("a", "q", "4")]);
    let first = world.next().unwrap();
    let first = world.queue.cache.get("a", &first.key.name).unwrap();
    let named = |most| world.queue.upcoming_desktops(&first, most).len();
    assert_eq!((named(9), named(1), named(0)), (2, 1, 0));
}
