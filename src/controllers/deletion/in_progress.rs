//! Which submissions are in progress, so that no second reconciliation of their objects begins, and that the process does not
//! exit before they are recorded.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

/// The submissions that are under way; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Submissions {
    tasks: TaskTracker,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Submissions {
    /// A task of this process is sending or recording for the object.
    pub fn is_in_progress(&self, uid: &str) -> bool {
        self.uids.lock().contains(uid)
    }

    /// Waits until the last submission is recorded.
    pub async fn wait_until_recorded(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Marks an object until the guard is dropped.
    pub(super) fn begin(&self, uid: String) -> InProgressGuard {
        self.uids.lock().insert(uid.clone());
        InProgressGuard {
            uid,
            uids: self.uids.clone(),
        }
    }

    /// Runs a submission in a task that nothing cancels.
    pub(super) fn spawn(&self, submission: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(submission);
    }
}

/// Marks a submission until it is dropped, also by a panic.
pub(super) struct InProgressGuard {
    uid: String,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Drop for InProgressGuard {
    fn drop(&mut self) {
        self.uids.lock().remove(&self.uid);
    }
}
