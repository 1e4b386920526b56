//! The watch of unfinished requests: fills the cache and the table of claims, and has requests reconciled that changed.

use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, future};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::super::context::Requests;
use super::super::raw::Raw;
use super::super::undecodable::table::{Change, DecodedEvent};
use super::super::{Context, Scope, cache, not_listed, wait_for_sync, watchdog};
use super::queue::Key;
use crate::crd::DesktopDeletion;
use crate::runtime::health::Check;

/// Selects unfinished requests on the server: the operator receives no events of finished ones.
const UNFINISHED: &str = "status.completionTime=";

/// Watches one namespace, or all of them, until the operator stops.
pub async fn run(context: Arc<Context>, scope: Scope) {
    let (store, writer) = reflector::store();
    context.requests.cache.watch(scope.clone(), store.clone());
    let submissions = context.requests.submissions.clone();
    let is_submitting = move |uid: &str| submissions.is_in_progress(uid);
    context
        .process
        .metrics
        .watch_requests(store.clone(), is_submitting);
    let ready = context.process.health.check(scope.check_name("desktopdeletions"));
    let unsynced = wait_for_sync(store.clone(), ready.clone(), context.process.stopping.clone());
    let interval = context.process.config.timing.watch_check;
    let heartbeat = context.process.health.register_heartbeat(
        format!("watch of {}", scope.check_name("desktopdeletions")),
        interval * 3,
    );
    let watchdog = watchdog::run(
        (context.kube.client.clone(), scope.clone(), UNFINISHED),
        (store.clone(), context.requests.undecodable.clone()),
        interval,
        heartbeat,
        context.process.stopping.clone(),
    );
    let watch = Watch {
        context: &context,
        scope,
        store,
        writer,
        listed: Vec::new(),
        ready,
    };
    tokio::select! {
        _ = future::join(watch.follow(), watchdog) => {}
        () = unsynced => {}
        () = context.process.stopping.cancelled() => {}
    }
}

struct Watch<'a> {
    context: &'a Context,
    scope: Scope,
    store: Store<DesktopDeletion>,
    writer: Writer<DesktopDeletion>,
    /// The list that is being read: the store has it once it has been read to its end.
    listed: Vec<ShownObject>,
    ready: Check,
}

/// The relevant properties of an object that a watch delivers.
struct ShownObject {
    key: Key,
    uid: String,
    version: Option<u64>,
    /// The store does not have this version.
    is_new_version: bool,
    /// Its status has more than this version of the operator can decode.
    partial: bool,
}

impl Watch<'_> {
    async fn follow(mut self) {
        let requests: Api<Raw<DesktopDeletion>> = self.scope.api(&self.context.kube.client);
        let events = watcher(requests, watcher::Config::default().fields(UNFINISHED)).default_backoff();
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.handle_event(event),
                Err(error) => {
                    self.context.requests.claims.requests_failed(&self.scope, &error);
                    self.ready.explain(not_listed::<DesktopDeletion>(&error));
                    tracing::debug!(%error, "watch of desktopdeletions");
                }
            }
        }
    }

    fn handle_event(&mut self, event: Event<Raw<DesktopDeletion>>) {
        let (context, now) = (self.context, self.context.process.uptime.now());
        let (change, partial) = (Change::of(&event), is_partial(&event));
        match context
            .requests
            .undecodable
            .classify_event(&self.scope, event, &self.store, now)
        {
            DecodedEvent::Known(event, decodable_again) => {
                for gone in context.requests.claims.apply_event(&self.scope, &event) {
                    context.forget(&gone);
                }
                self.apply(event, partial);
                if let Some(object) = decodable_again {
                    // Its spec need not have changed, so nothing else would.
                    context.requests.queue.add(object);
                }
            }
            DecodedEvent::Unknown {
                json,
                metadata,
                remove,
            } => {
                if change == Change::Deleted {
                    let gone = context
                        .requests
                        .claims
                        .remove_undecodable(&self.scope, &json, &metadata);
                    context.requests.undecodable.forget(&gone);
                    context.forget(&gone);
                } else {
                    let listed = change == Change::Listed;
                    context
                        .requests
                        .claims
                        .apply_undecodable(&self.scope, &json, &metadata, listed);
                }
                if let Some(event) = remove {
                    self.apply(event, false);
                }
            }
        }
    }

    /// Updates the cache, and requeues requests that changed; the event of a write of this process changes nothing.
    fn apply(&mut self, mut event: Event<DesktopDeletion>, partial: bool) {
        let shown = match &mut event {
            Event::InitApply(object) | Event::Apply(object) => Some(self.prepare(object, partial)),
            Event::Init | Event::InitDone | Event::Delete(_) => None,
        };
        self.writer.apply_watcher_event(&event);
        match (event, shown) {
            (Event::Init, _) => self.listed = Vec::new(),
            (Event::InitApply(_), shown) => self.listed.extend(shown),
            (Event::InitDone, _) => {
                let listed = std::mem::take(&mut self.listed);
                let uids = listed.iter().map(|listed| listed.uid.as_str()).collect();
                self.context.requests.cache.retain_listed(&self.scope, &uids);
                for listed in listed {
                    self.publish(listed);
                }
            }
            (Event::Apply(_), shown) => shown.into_iter().for_each(|shown| self.publish(shown)),
            (Event::Delete(object), _) => self
                .context
                .requests
                .cache
                .forget(&object.uid().unwrap_or_default()),
        }
    }

    /// Trims an object before it is stored, and returns what is new in it.
    fn prepare(&self, object: &mut DesktopDeletion, partial: bool) -> ShownObject {
        cache::trim(object);
        let uid = object.uid().unwrap_or_default();
        if partial {
            self.context.requests.cache.mark_partial(&uid);
        }
        ShownObject {
            key: Key::of(object),
            uid,
            version: cache::version(&object.metadata),
            is_new_version: self.is_new_version(object),
            partial,
        }
    }

    /// The store shows it now.
    fn publish(&self, shown: ShownObject) {
        let Requests { cache, queue, .. } = &self.context.requests;
        if cache.record_shown(&shown.uid, shown.version, shown.partial) {
            queue.add(shown.key);
        } else if shown.is_new_version {
            queue.add_version(shown.key, shown.version);
        }
    }

    /// The store does not have this version yet.
    fn is_new_version(&self, object: &DesktopDeletion) -> bool {
        let cached = self.store.get(&ObjectRef::from_obj(object));
        cached.is_none_or(|cached| {
            (cached.uid(), cached.resource_version()) != (object.uid(), object.resource_version())
        })
    }
}

/// The status of the object has more than this version of the operator can decode.
fn is_partial(event: &Event<Raw<DesktopDeletion>>) -> bool {
    match event {
        Event::Apply(raw) | Event::InitApply(raw) => raw
            .object
            .0
            .as_ref()
            .is_ok_and(|object| !raw.holds_status(&object.status)),
        Event::Init | Event::InitDone | Event::Delete(_) => false,
    }
}
