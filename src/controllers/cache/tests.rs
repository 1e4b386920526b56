use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::json;

use super::*;

fn object(version: u64) -> DesktopDeletion {
    serde_json::from_value(json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": {"name": "leaver", "namespace": "vdi", "uid": "u1", "resourceVersion": version.to_string()},
        "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
    }))
    .unwrap()
}

/// A cache whose watch has shown the object in a version.
fn showing(version: u64) -> (RequestCache, Writer<DesktopDeletion>) {
    let cache = RequestCache::default();
    let (store, mut writer) = reflector::store();
    cache.watch(Scope::Namespace("vdi".to_owned()), store);
    writer.apply_watcher_event(&Event::Apply(object(version)));
    cache.record_shown("u1", Some(version), false);
    (cache, writer)
}

fn source(cache: &RequestCache) -> Source {
    cache.source("vdi", "leaver").unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_older_than_our_own_write_waits_for_the_watch() {
    let (cache, mut writer) = showing(7);
    assert_eq!(source(&cache), Source::Cache);
    cache.record_version(&object(9));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
    for (version, awaited, then) in [(8, false, Source::Wait(WATCH_LAG)), (9, true, Source::Cache)] {
        writer.apply_watcher_event(&Event::Apply(object(version)));
        assert_eq!(
            cache.record_shown("u1", Some(version), false),
            awaited,
            "{version}"
        );
        assert_eq!(source(&cache), then, "{version}");
    }
    assert!(cache.0.lags.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_event_arrived_before_its_response_is_not_waited_for() {
    let (cache, _writer) = showing(9);
    cache.record_version(&object(9));
    assert_eq!(source(&cache), Source::Cache);
    assert!(cache.0.lags.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_a_write_without_a_response_the_object_is_read_live() {
    let (cache, mut writer) = showing(7);
    cache.mark_uncertain(&object(7));
    writer.apply_watcher_event(&Event::Apply(object(8)));
    cache.record_shown("u1", Some(8), false);
    assert_eq!(source(&cache), Source::Live);
    cache.record_version(&object(8));
    assert_eq!(source(&cache), Source::Cache);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_a_newer_version_of_the_operator_is_read_live() {
    let (cache, mut writer) = showing(7);
    // Before the store has it, so that no reconciliation begins from a copy that lacks something.
    cache.mark_partial("u1");
    writer.apply_watcher_event(&Event::Apply(object(8)));
    assert_eq!(source(&cache), Source::Live);
    for (partial, expected) in [(true, Source::Live), (false, Source::Cache)] {
        cache.record_shown("u1", Some(8), partial);
        assert_eq!(source(&cache), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_this_process_released_is_not_reconciled_from_an_outdated_watch() {
    let released = |version| {
        let mut object = object(version);
        object.metadata.deletion_timestamp = serde_json::from_value(json!("2026-12-01T00:00:00Z")).unwrap();
        object
    };
    let (cache, mut writer) = showing(7);
    // The response to the write that removes the last finalizer names the version before it.
    cache.record_version(&released(7));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
    writer.apply_watcher_event(&Event::Apply(released(8)));
    assert!(!cache.record_shown("u1", Some(8), false));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
    tokio::time::advance(WATCH_LAG).await;
    assert_eq!(source(&cache), Source::Live);
    cache.forget("u1");
    assert!(cache.0.lags.lock().is_empty());

    let (cache, _writer) = showing(7);
    cache.mark_not_found(&object(7));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
    let held = DesktopDeletion {
        metadata: ObjectMeta {
            finalizers: Some(vec!["example.com/another".to_owned()]),
            ..released(7).metadata
        },
        ..released(7)
    };
    let (cache, _writer) = showing(7);
    cache.record_version(&held);
    assert_eq!(source(&cache), Source::Cache, "another controller holds it");
}

#[tokio::test(start_paused = true)]
async fn a_late_response_does_not_lower_the_known_version() {
    let (cache, _writer) = showing(7);
    cache.record_version(&object(9));
    cache.record_version(&object(7));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
    cache.mark_not_found(&object(7));
    cache.record_version(&object(7));
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG));
}

#[tokio::test(start_paused = true)]
async fn requests_that_the_watch_no_longer_shows_are_forgotten() {
    let (cache, mut writer) = showing(7);
    cache.record_version(&object(9));
    writer.apply_watcher_event(&Event::Delete(object(10)));
    cache.forget("u1");
    cache.record_version(&object(10));
    assert!(cache.0.lags.lock().is_empty());

    let (cache, _writer) = showing(7);
    cache.record_version(&object(9));
    cache.retain_listed(&Scope::Namespace("other".to_owned()), &HashSet::new());
    assert_eq!(cache.0.lags.lock().len(), 1);
    cache.retain_listed(&Scope::All, &HashSet::new());
    assert!(cache.0.lags.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stays_behind_is_not_waited_for_again_and_again() {
    let (cache, mut writer) = showing(7);
    cache.record_version(&object(9));
    tokio::time::advance(WATCH_LAG / 2).await;
    assert_eq!(source(&cache), Source::Wait(WATCH_LAG / 2));
    tokio::time::advance(WATCH_LAG / 2).await;
    assert_eq!(source(&cache), Source::Live);
    cache.record_version(&object(11));
    assert_eq!(source(&cache), Source::Live);
    writer.apply_watcher_event(&Event::Apply(object(11)));
    cache.record_shown("u1", Some(11), false);
    assert_eq!(source(&cache), Source::Cache);
}
