//! What the table of claims knows of an unfinished request.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::controllers::Scope;
use crate::crd::DesktopDeletion;
use crate::crd::deletion::{Attempt, DesktopDeletionStatus, Outcome, ProjectCoordinates};
use crate::ids::{AttemptID, DesktopID, ProjectKey};
use crate::plan::classify::Class;
use crate::plan::in_flight::InFlight;

/// An unfinished request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: Scope,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The name of its `WorkspaceProject`.
    pub(super) project: String,
    /// Where it lives, once it was admitted.
    pub(super) home: Option<ProjectKey>,
    /// Its desktops, folded.
    pub(super) desktops: Vec<DesktopID>,
    pub(super) created: Timestamp,
    /// Suspended, being deleted, or without the right: it submits nothing.
    pub(super) idle: bool,
    /// Attempts that may have reached the cloud.
    pub(super) attempts: Vec<InFlight>,
    /// The resourceVersion of the copy that this was taken from.
    version: Option<u64>,
}

impl Entry {
    /// What a copy of the object says. `first_seen` says of an attempt since when this process has known it.
    pub(super) fn of(
        object: &DesktopDeletion,
        scope: Scope,
        first_seen: impl Fn(&AttemptID) -> Duration,
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
            home: status
                .and_then(|s| s.project.as_ref())
                .map(ProjectCoordinates::key),
            desktops: object.spec.desktop_ids.iter().map(DesktopID::folded).collect(),
            created: created(object),
            idle: object.spec.suspend
                || object.metadata.deletion_timestamp.is_some()
                || status.is_some_and(may_not),
            attempts: attempts
                .filter_map(|attempt| InFlight::of(attempt, first_seen(&attempt.id)))
                .collect(),
            version: version(object),
        }
    }

    /// This copy of the object is older than the one that is known. (The API server promises that later versions are
    /// larger numbers.)
    pub(super) fn is_newer_than(&self, object: &DesktopDeletion) -> bool {
        let pair = self.version.zip(version(object));
        pair.is_some_and(|(known, shown)| known > shown)
    }

    /// When this process first saw an attempt.
    pub(super) fn first_saw(&self, attempt: &AttemptID) -> Option<Duration> {
        first_saw(&self.attempts, attempt)
    }

    /// Where it lives, if some attempt may have reached the cloud.
    pub(super) fn in_flight(&self) -> Option<&ProjectKey> {
        self.home.as_ref().filter(|_| !self.attempts.is_empty())
    }

    /// Desktops of `self` that were in flight and are not any more.
    pub(super) fn landed<'a>(&'a self, now: Option<&'a Self>) -> impl Iterator<Item = &'a DesktopID> {
        let still = move |id: &AttemptID| now.is_some_and(|now| now.first_saw(id).is_some());
        let landed = self.attempts.iter().filter(move |a| !still(&a.id));
        landed.flat_map(|attempt| &attempt.desktops)
    }
}

/// When this process first saw an attempt that is among these.
pub(super) fn first_saw(attempts: &[InFlight], attempt: &AttemptID) -> Option<Duration> {
    let known = attempts.iter().find(|a| a.id == *attempt);
    known.map(|attempt| attempt.first_seen)
}

/// When the object was made; an object of which that is not known is the youngest.
pub(super) fn created(object: &DesktopDeletion) -> Timestamp {
    object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::MAX, |time| time.0)
}

/// Some attempt of an unfinished request may have reached the cloud.
pub(super) fn is_in_flight(status: &DesktopDeletionStatus) -> bool {
    let in_flight = |a: &Attempt| InFlight::of(a, Duration::ZERO).is_some();
    status.completion_time.is_none() && status.attempts.iter().any(in_flight)
}

fn version(object: &DesktopDeletion) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// Its login was refused: it must not reserve what it may not delete.
fn may_not(status: &DesktopDeletionStatus) -> bool {
    let last = status.attempts.last().filter(|a| a.outcome == Outcome::Rejected);
    let class = last
        .and_then(|a| a.error.as_ref())
        .and_then(|error| Class::named(&error.class));
    matches!(class, Some(Class::Permission | Class::Authentication))
}
