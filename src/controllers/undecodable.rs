//! Objects that cannot be decoded. They are skipped everywhere else, and reported in the log and in a metric; a
//! `DesktopDeletion` also in its own conditions, if the API server accepts that. One that is being deleted is released
//! once no call of it can take effect any more.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::events::{EventType, NewEvent};
use super::raw::Raw;
use super::{Context, api, finished};
use crate::crd::conditions::{ConditionStatus, ConditionType, Reason};
use crate::crd::{DesktopDeletion, FINALIZER};
use crate::plan::deadlines;
use crate::runtime::metrics::Incident;

pub mod table;

use table::Entry;

/// Reports requests that cannot be decoded, and releases those that are being deleted, until the operator stops.
pub async fn run(context: Arc<Context>) {
    while !context.process.stopping.is_cancelled() {
        for (uid, entry) in context.requests.undecodable.requests() {
            if let Err(error) = report_or_release(&uid, &entry, &context).await {
                let (namespace, name) = (&entry.namespace, &entry.name);
                tracing::debug!(namespace, name, %error, "an object that cannot be decoded could not be reported or released");
            }
        }
        tokio::select! {
            () = context.process.stopping.cancelled() => return,
            () = tokio::time::sleep(context.process.config.timing.secret_refresh) => {}
        }
    }
}

async fn report_or_release(uid: &str, entry: &Entry, context: &Context) -> Result<(), api::Error> {
    let requests: Api<Raw<DesktopDeletion>> = Api::namespaced(context.kube.client.clone(), &entry.namespace);
    let live = api::call("read an undecodable object", requests.get_opt(&entry.name)).await?;
    let Some(mut live) = live.filter(|live| live.uid().as_deref() == Some(uid)) else {
        return Ok(());
    };
    let Err(InvalidObject { error, metadata }) = live.object.0.clone() else {
        return Ok(());
    };
    let ours = live.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if metadata.deletion_timestamp.is_some() && ours {
        let (now, timing) = (context.process.uptime.now(), &context.process.config.timing);
        if deadlines::until_unreadable_call_ends(entry.first_seen, now, timing).is_zero() {
            return release(&live, context).await;
        }
    }
    let Some(conditions) = error_conditions(&live.json, &error, context) else {
        return Ok(());
    };
    live.json["status"]["conditions"] = conditions;
    let parameters = PostParams::default();
    let write = requests.replace_status(&entry.name, &parameters, &live);
    api::call("report an undecodable object", write).await?;
    context
        .process
        .metrics
        .api_write("DesktopDeletion", "RecordUndecodable");
    Ok(())
}

/// Removes our finalizer, and reports that.
async fn release(object: &Raw<DesktopDeletion>, context: &Context) -> Result<(), api::Error> {
    if !finished::remove_finalizer(&context.kube.client, object).await? {
        return Ok(());
    }
    let (namespace, name) = (object.namespace(), object.name_any());
    let note = "the operator removed its finalizer from an object that it cannot decode. The delete requests of the object can no longer take effect, and their outcome is unknown; check the desktops of the object in the console";
    tracing::warn!(namespace, name, "{note}");
    context.process.metrics.incident(Incident::ReleasedUnresolved);
    let event = NewEvent {
        kind: EventType::Warning,
        reason: Incident::ReleasedUnresolved.as_str(),
        note,
        related: None,
    };
    context.kube.events.publish(&object.object_ref(&()), event).await;
    Ok(())
}

/// The conditions that report the object; `None` if they do already. Those that this version does not write are kept.
fn error_conditions(object: &Value, error: &str, context: &Context) -> Option<Value> {
    let message = format!(
        "this version of the operator cannot decode the object ({error}). It is skipped, and its desktops stay reserved. Correct the field that the error names, or run the version of the operator that wrote it"
    );
    let none = Vec::new();
    let before = object["status"]["conditions"].as_array().unwrap_or(&none);
    let has_condition = |kind: ConditionType, status: ConditionStatus| {
        let same = before.iter().find(|c| c["type"] == kind.as_str());
        same.is_some_and(|c| {
            c["status"] == status.as_str()
                && c["reason"] == Reason::Undecodable.as_str()
                && c["message"] == message
        })
    };
    if has_condition(ConditionType::Stalled, ConditionStatus::True)
        && has_condition(ConditionType::Ready, ConditionStatus::False)
    {
        return None;
    }
    let condition = |kind: ConditionType, status: ConditionStatus| {
        json!({
            "type": kind.as_str(),
            "status": status.as_str(),
            "reason": Reason::Undecodable.as_str(),
            "message": message,
            "observedGeneration": object["metadata"]["generation"],
            "lastTransitionTime": Time(context.process.clock.now()),
        })
    };
    let ours = [
        ConditionType::Stalled,
        ConditionType::Ready,
        ConditionType::Reconciling,
    ];
    let mut conditions: Vec<_> = before
        .iter()
        .filter(|c| ours.iter().all(|kind| c["type"] != kind.as_str()))
        .cloned()
        .collect();
    conditions.push(condition(ConditionType::Ready, ConditionStatus::False));
    conditions.push(condition(ConditionType::Stalled, ConditionStatus::True));
    Some(conditions.into())
}
