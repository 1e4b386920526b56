//! What the table of claims knows of an unfinished request.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::Value;

use crate::controllers::Scope;
use crate::controllers::cache::version;
use crate::crd::DesktopDeletion;
use crate::crd::conditions::{ConditionType, Reason, find};
use crate::crd::deletion::ErrorClass;
use crate::crd::deletion::{Attempt, DesktopDeletionStatus, Outcome, ProjectCoordinates};
use crate::ids::{AttemptID, DesktopID, ProjectKey};
use crate::plan::in_flight::InFlight;

/// An unfinished request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: Scope,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The name of its `WorkspaceProject`.
    pub(super) project: String,
    /// Its cloud project, once it was admitted.
    pub(super) project_key: Option<ProjectKey>,
    /// Its desktops, folded.
    pub(super) desktops: Vec<DesktopID>,
    pub(super) created: Timestamp,
    /// `spec.notBefore`.
    pub(super) not_before: Option<Timestamp>,
    /// It submits nothing: it is suspended, being deleted, or waits for a reason that reserves nothing.
    pub(super) inactive: bool,
    /// Attempts that may have reached the cloud.
    pub(super) attempts: Vec<InFlight>,
    /// It cannot be decoded; the fields are taken from its JSON.
    pub(super) undecodable: bool,
    /// The resourceVersion of the copy that this was taken from.
    version: Option<u64>,
}

impl Entry {
    /// The entry for a copy of the object. `first_seen` returns when this process first saw an attempt.
    pub(super) fn of(
        object: &DesktopDeletion,
        scope: Scope,
        first_seen: &dyn Fn(&AttemptID) -> Duration,
    ) -> Self {
        let status = object.status.as_ref();
        // A finished request has nothing in flight, whatever its attempts say.
        let unfinished = status.filter(|s| s.completion_time.is_none());
        let attempts = unfinished.iter().flat_map(|s| &s.attempts);
        Self {
            scope,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            project: object.spec.project_ref.name.clone(),
            project_key: status
                .and_then(|s| s.project.as_ref())
                .map(ProjectCoordinates::key),
            desktops: object.spec.desktop_ids.iter().map(DesktopID::folded).collect(),
            created: created(&object.metadata),
            not_before: object.spec.not_before.as_ref().map(|time| time.0),
            inactive: object.spec.suspend
                || object.metadata.deletion_timestamp.is_some()
                || status.is_some_and(reserves_nothing),
            attempts: attempts
                .filter_map(|attempt| InFlight::of(attempt, first_seen(&attempt.id)))
                .collect(),
            undecodable: false,
            version: version(&object.metadata),
        }
    }

    /// The entry for an object that cannot be decoded, as far as its JSON can be read.
    pub(super) fn undecodable(
        json: &Value,
        metadata: &ObjectMeta,
        scope: Scope,
        first_seen: &dyn Fn(&AttemptID) -> Duration,
    ) -> Self {
        let (spec, status) = (&json["spec"], &json["status"]);
        let desktops = folded(&spec["desktopIDs"]);
        let coordinates = ProjectCoordinates::deserialize(&status["project"]);
        Self {
            scope,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            project: spec["projectRef"]["name"].as_str().unwrap_or_default().to_owned(),
            project_key: coordinates.ok().map(|project| project.key()),
            created: created(metadata),
            not_before: Time::deserialize(&spec["notBefore"]).ok().map(|time| time.0),
            inactive: spec["suspend"] == true || metadata.deletion_timestamp.is_some(),
            attempts: attempts(status, &desktops, first_seen),
            desktops,
            undecodable: true,
            version: version(metadata),
        }
    }

    /// Whether this entry is of a later version than the copy with that metadata. (The API server promises that later
    /// versions are larger numbers.)
    pub(super) fn is_newer_than(&self, metadata: &ObjectMeta) -> bool {
        let pair = self.version.zip(version(metadata));
        pair.is_some_and(|(known, shown)| known > shown)
    }

    /// When this process first saw an attempt.
    pub(super) fn first_seen_at(&self, attempt: &AttemptID) -> Option<Duration> {
        first_seen_at(&self.attempts, attempt)
    }

    /// Its cloud project, if an attempt may have reached the cloud.
    pub(super) fn in_flight(&self) -> Option<&ProjectKey> {
        self.project_key.as_ref().filter(|_| !self.attempts.is_empty())
    }

    /// Some attempt may have reached the cloud, and where cannot be read.
    pub(super) fn has_unknown_project(&self) -> bool {
        self.undecodable && self.project_key.is_none() && !self.attempts.is_empty()
    }

    /// Desktops of `self` that were in flight and are not any more.
    pub(super) fn no_longer_in_flight<'a>(
        &'a self,
        now: Option<&'a Self>,
    ) -> impl Iterator<Item = &'a DesktopID> {
        let still = move |id: &AttemptID| now.is_some_and(|now| now.first_seen_at(id).is_some());
        let no_longer_in_flight = self.attempts.iter().filter(move |a| !still(&a.id));
        no_longer_in_flight.flat_map(|attempt| &attempt.desktops)
    }
}

/// When this process first saw an attempt that is among these.
pub(super) fn first_seen_at(attempts: &[InFlight], attempt: &AttemptID) -> Option<Duration> {
    let known = attempts.iter().find(|a| a.id == *attempt);
    known.map(|attempt| attempt.first_seen)
}

/// The attempts of an undecodable object that may have reached the cloud: each that cannot be read counts as one.
fn attempts(
    status: &Value,
    desktops: &[DesktopID],
    first_seen: &dyn Fn(&AttemptID) -> Duration,
) -> Vec<InFlight> {
    let unreadable = |attempt: &Value| {
        let id = AttemptID::deserialize(&attempt["id"]).unwrap_or_else(|_| AttemptID::unreadable());
        let named = folded(&attempt["desktopIDs"]);
        let since = first_seen(&id);
        let named = if named.is_empty() {
            desktops.to_vec()
        } else {
            named
        };
        InFlight::unreadable(id, named, since)
    };
    let read = |attempt: &Value| match Attempt::deserialize(attempt) {
        Ok(attempt) => InFlight::of(&attempt, first_seen(&attempt.id)),
        Err(_) => Some(unreadable(attempt)),
    };
    match &status["attempts"] {
        _ if !status["completionTime"].is_null() => vec![],
        Value::Null => vec![],
        Value::Array(attempts) => attempts.iter().filter_map(read).collect(),
        other => vec![unreadable(other)],
    }
}

/// The valid IDs of a list.
fn folded(list: &Value) -> Vec<DesktopID> {
    let ids = list.as_array().into_iter().flatten();
    ids.filter_map(|id| Some(DesktopID::deserialize(id).ok()?.folded()))
        .collect()
}

/// When the object was made; an object without a known creation time counts as the youngest.
pub(super) fn created(metadata: &ObjectMeta) -> Timestamp {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |time| time.0)
}

/// Some attempt of an unfinished request may have reached the cloud.
pub(super) fn is_in_flight(status: &DesktopDeletionStatus) -> bool {
    let in_flight = |a: &Attempt| InFlight::of(a, Duration::ZERO).is_some();
    status.completion_time.is_none() && status.attempts.iter().any(in_flight)
}

/// Its credentials were rejected, its desktops do not match its expectations, its project does not permit it now, or
/// its approval is missing: it must not reserve what it will not delete.
fn reserves_nothing(status: &DesktopDeletionStatus) -> bool {
    let held = [
        Reason::ExpectationFailed,
        Reason::GuardrailViolated,
        Reason::DesktopBlocked,
        Reason::OutsideWindow,
        Reason::DailyLimitReached,
        Reason::AwaitingApproval,
        Reason::PlanChanged,
    ];
    let submitted = find(&status.conditions, ConditionType::Submitted);
    if submitted.is_some_and(|c| held.iter().any(|reason| c.reason == *reason)) {
        return true;
    }
    let last = status.attempts.last().filter(|a| a.outcome == Outcome::Rejected);
    let class = last.and_then(|a| a.error.as_ref()).map(|error| error.class);
    matches!(class, Some(ErrorClass::Permission | ErrorClass::Authentication))
}
