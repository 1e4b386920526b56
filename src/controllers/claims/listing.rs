//! Whether the objects of a watch are known, or the API server refuses to list them.

use std::time::Duration;

use kube::Resource;
use kube::runtime::watcher;

use crate::plan::deadlines::is_still_refused;

/// The HTTP status of a missing permission. (The reason that comes with it may be missing, as from a proxy.)
const FORBIDDEN: u16 = 403;

/// The list of one kind, as one watch has it.
#[derive(Debug, Default)]
pub(super) struct ListState {
    /// It was read completely once.
    pub(super) synced: bool,
    refused: Option<MissingPermission>,
}

/// The last time that a list or watch was forbidden.
#[derive(Debug)]
struct MissingPermission {
    /// The missing permission.
    permission: String,
    /// In time since the start of the process.
    at: Duration,
}

impl ListState {
    /// The list was read completely.
    pub(super) fn mark_synced(&mut self) {
        self.synced = true;
        self.refused = None;
    }

    /// The API server forbids the list; returns whether that was not known before.
    pub(super) fn record_forbidden(&mut self, permission: String, now: Duration) -> bool {
        let is_new = self.missing_permission(now) != Some(&permission);
        self.refused = Some(MissingPermission { permission, at: now });
        is_new
    }

    /// The permission without which it cannot be read now, if it is missing.
    pub(super) fn missing_permission(&self, now: Duration) -> Option<&str> {
        let refused = self.refused.as_ref()?;
        is_still_refused(refused.at, now).then_some(&*refused.permission)
    }
}

/// The missing permission because of which a watch fails, such as `list desktopdeletions`. Only a 403 of the API server
/// shows that; if it is down or cannot respond, nothing is known about permissions.
pub fn missing_permission<K: Resource<DynamicType = ()>>(error: &watcher::Error) -> Option<String> {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let (verb, status) = match error {
        InitialListFailed(kube::Error::Api(status)) => ("list", status),
        WatchStartFailed(kube::Error::Api(status)) | WatchFailed(kube::Error::Api(status)) => {
            ("watch", status)
        }
        WatchError(status) => ("watch", status),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => return None,
    };
    (status.code == FORBIDDEN).then(|| format!("{verb} {}", K::plural(&())))
}
