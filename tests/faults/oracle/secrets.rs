//! No secret in anything that the operator puts out: logs, metrics, Events, and the objects that it writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use testkit::{AuditEvent, Operator, eventually};

use super::Run;
use crate::trial::{self, BOUND};

/// Says which secret stands where.
pub(super) async fn search(runs: &[Run], events: &[Arc<AuditEvent>]) -> Vec<String> {
    let places = places(runs, events).await;
    let mut secrets: Vec<String> = runs.iter().flat_map(|run| run.trial.canaries()).collect();
    secrets.extend(runs.iter().map(|run| run.proxy.token().to_owned()));
    secrets.sort();
    secrets.dedup();
    let mut found = Vec::new();
    for (place, text) in &places {
        // Every secret of a trial begins with this word; only a text that contains it needs a closer check.
        let candidates = secrets
            .iter()
            .filter(|secret| !secret.starts_with("canary-") || text.contains("canary-"));
        found.extend(
            candidates
                .filter(|secret| text.contains(*secret))
                .map(|secret| format!("{secret} stands in {place}")),
        );
    }
    found
}

async fn places(runs: &[Run], events: &[Arc<AuditEvent>]) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    for run in runs {
        let namespace = run.trial.namespace.name().to_owned();
        for operator in run.operators.iter() {
            places
                .entry(format!("the log of operator {}", operator.pid()))
                .or_insert_with(|| operator.log());
        }
        if let std::collections::btree_map::Entry::Vacant(place) =
            places.entry(format!("the Events of {namespace}"))
        {
            let api: Api<Event> = run.trial.namespace.api();
            let listed = api.list(&ListParams::default()).await.unwrap();
            place.insert(serde_json::to_string(&listed.items).unwrap());
        }
        if let std::collections::btree_map::Entry::Vacant(place) =
            places.entry(format!("the metrics of {namespace}"))
        {
            place.insert(metrics(run.operators.last().unwrap()).await);
        }
    }
    let namespaces: Vec<_> = runs.iter().map(|run| run.trial.namespace.name()).collect();
    let account = |e: &AuditEvent| e.by_service_account(testkit::SERVICE_ACCOUNT);
    let ours = |e: &AuditEvent| {
        e.object_ref
            .as_ref()
            .is_some_and(|o| namespaces.contains(&&*o.namespace))
    };
    let mut written = String::new();
    for event in events.iter().filter(|e| e.is_write() && account(e) && ours(e)) {
        for object in event.request_object.iter().chain(&event.response_object) {
            written.push_str(&object.to_string());
        }
    }
    places.insert("an object that the operator wrote".to_owned(), written);
    places
}

/// What `/metrics` shows.
async fn metrics(operator: &Operator) -> String {
    let answered = async || trial::ask(operator, "/metrics").await;
    let answered = eventually("it serves its metrics", BOUND, answered).await;
    answered.unwrap_or_else(|error| panic!("{error}")).1
}
