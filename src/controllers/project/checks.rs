//! Verifies credentials, each in a separate task: one that waits for its rate limit, or for an endpoint that does not
//! respond, delays no other project. There is at most one task for each project, and none for a project that is gone or
//! for credentials that it no longer has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::CredentialCheck;
use crate::controllers::api;
use crate::crd::WorkspaceProject;

/// The checks of all projects of a watch; clones share them.
#[derive(Clone)]
pub(super) struct Checks {
    /// By the uid of the project.
    known: Arc<Mutex<HashMap<String, CheckEntry>>>,
    /// What the watch shows. It shows less before [`Checks::forget`] or [`Checks::keep`] is called.
    projects: Store<WorkspaceProject>,
    /// Takes the projects whose check has ended.
    ended: UnboundedSender<ObjectRef<WorkspaceProject>>,
    stopping: CancellationToken,
}

/// State of the check for one version of a project's credentials.
struct CheckEntry {
    /// Generation and fingerprint of the credentials.
    version: String,
    last: Option<CredentialCheck>,
    /// The check in progress. It removes itself when it ends.
    task: Option<AbortOnDropHandle<()>>,
}

impl Checks {
    /// No check yet. A project is sent to `ended` when its check has ended.
    pub(super) fn new(
        projects: Store<WorkspaceProject>,
        ended: UnboundedSender<ObjectRef<WorkspaceProject>>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            known: Arc::default(),
            projects,
            ended,
            stopping,
        }
    }

    /// The result of the last check of these credentials. If a check is `due` again, or there was none, a check is
    /// started; `None` while one is in progress. A check of other credentials of the project is cancelled.
    ///
    /// # Errors
    /// The check has panicked; the next call begins another one.
    pub(super) fn get_or_start<F>(
        &self,
        project: &WorkspaceProject,
        version: &str,
        due: impl Fn(&CredentialCheck) -> bool,
        check: impl FnOnce(Option<CredentialCheck>) -> F,
    ) -> Result<Option<CredentialCheck>, api::Error>
    where
        F: Future<Output = CredentialCheck> + Send + 'static,
    {
        let object = ObjectRef::from_obj(project);
        let uid = project.uid().unwrap_or_default();
        let mut all = self.known.lock();
        let exists = |known: &Arc<WorkspaceProject>| known.uid() == project.uid();
        if self.stopping.is_cancelled() || !self.projects.get(&object).as_ref().is_some_and(exists) {
            return Ok(None);
        }
        let new = || CheckEntry {
            version: version.to_owned(),
            last: None,
            task: None,
        };
        let known = all.entry(uid).or_insert_with(new);
        if known.version != version {
            *known = new();
        }
        if let Some(task) = &known.task {
            if !task.is_finished() {
                return Ok(None);
            }
            known.task = None;
            return Err(api::Error::NoResponse {
                action: "verify the credentials",
                reason: "panic; see the log".to_owned(),
            });
        }
        if let Some(last) = known.last.as_ref().filter(|last| !due(last)) {
            return Ok(Some(last.clone()));
        }
        let check = check(known.last.clone());
        let task = tokio::spawn(
            self.clone()
                .run(object, version.to_owned(), check)
                .in_current_span(),
        );
        known.task = Some(AbortOnDropHandle::new(task));
        Ok(None)
    }

    async fn run(
        self,
        object: ObjectRef<WorkspaceProject>,
        version: String,
        check: impl Future<Output = CredentialCheck>,
    ) {
        let Some(check_result) = self.stopping.run_until_cancelled(check).await else {
            return;
        };
        let uid = object.extra.uid.as_deref().unwrap_or_default();
        if let Some(known) = self
            .known
            .lock()
            .get_mut(uid)
            .filter(|known| known.version == version)
        {
            known.last = Some(check_result);
            known.task = None;
        }
        // The controller is gone only when the operator stops.
        self.ended.send(object).ok();
    }

    /// The project is gone, or has no usable credentials: its check is cancelled.
    pub(super) fn forget(&self, uid: &str) {
        self.known.lock().remove(uid);
    }

    /// Projects were listed: what is not among them is gone.
    pub(super) fn keep(&self, listed: &HashSet<String>) {
        self.known.lock().retain(|uid, _| listed.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use kube::runtime::reflector::{self, store::Writer};
    use kube::runtime::watcher::Event;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::super::ReadyCondition;
    use super::*;
    use crate::crd::conditions::Reason;
    use crate::plan::error_policy::RetryPolicy;

    struct World {
        checks: Checks,
        ended: UnboundedReceiver<ObjectRef<WorkspaceProject>>,
        watch: Writer<WorkspaceProject>,
        stopping: CancellationToken,
    }

    impl World {
        fn new(projects: &[&str]) -> Self {
            let (store, mut watch) = reflector::store();
            for name in projects {
                watch.apply_watcher_event(&Event::Apply(project(name)));
            }
            let (sender, ended) = unbounded_channel();
            let stopping = CancellationToken::new();
            Self {
                checks: Checks::new(store, sender, stopping.clone()),
                ended,
                watch,
                stopping,
            }
        }

        /// What the checks return for these credentials; a check that is started is this one.
        fn ask(
            &self,
            name: &str,
            version: &str,
            check: impl Future<Output = CredentialCheck> + Send + 'static,
        ) -> Result<Option<Reason>, api::Error> {
            let found = self
                .checks
                .get_or_start(&project(name), version, |_| false, |_| check)?;
            Ok(found.map(|check| check.ready.reason))
        }

        async fn ended(&mut self) -> String {
            self.ended.recv().await.unwrap().name
        }
    }

    fn project(name: &str) -> WorkspaceProject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "WorkspaceProject",
            "metadata": {"name": name, "namespace": "vdi", "uid": name},
            "spec": {"region": "r", "projectID": "p", "credentials": {}},
        }))
        .unwrap()
    }

    fn found(reason: Reason) -> CredentialCheck {
        CredentialCheck {
            at: Instant::now(),
            ready: ReadyCondition::failed(reason, String::new(), RetryPolicy::Soon),
            failures: 0,
        }
    }

    /// A check that never ends, and a receiver that is closed when the check is cancelled.
    fn held() -> (
        impl Future<Output = CredentialCheck> + Send + 'static,
        oneshot::Receiver<()>,
    ) {
        let (alive, cancelled) = oneshot::channel::<()>();
        let check = async move {
            let _alive = alive;
            pending().await
        };
        (check, cancelled)
    }

    #[tokio::test]
    async fn a_check_that_is_blocked_does_not_delay_other_projects() {
        let mut world = World::new(&["held", "well"]);
        assert_eq!(world.ask("held", "1", held().0).unwrap(), None);
        let valid = || ready(found(Reason::CredentialsValid));
        assert_eq!(world.ask("well", "1", valid()).unwrap(), None);
        assert_eq!(world.ended().await, "well");
        assert_eq!(
            world.ask("well", "1", held().0).unwrap(),
            Some(Reason::CredentialsValid)
        );
        assert_eq!(
            world.ask("held", "1", valid()).unwrap(),
            None,
            "no second check of the same credentials is started"
        );
        tokio::task::yield_now().await;
        assert!(world.ended.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_check_of_credentials_that_were_replaced_is_cancelled() {
        let mut world = World::new(&["prod"]);
        let (old, cancelled) = held();
        assert_eq!(world.ask("prod", "1", old).unwrap(), None);
        let new = ready(found(Reason::CredentialsValid));
        assert_eq!(world.ask("prod", "2", new).unwrap(), None);
        assert!(cancelled.await.is_err());
        assert_eq!(world.ended().await, "prod");
        assert_eq!(
            world.ask("prod", "2", held().0).unwrap(),
            Some(Reason::CredentialsValid)
        );
    }

    #[tokio::test]
    async fn a_project_that_is_gone_has_no_check() {
        let mut world = World::new(&["deleted", "unlisted"]);
        let (deleted, cancelled_by_event) = held();
        let (unlisted, cancelled_by_list) = held();
        assert_eq!(world.ask("deleted", "1", deleted).unwrap(), None);
        assert_eq!(world.ask("unlisted", "1", unlisted).unwrap(), None);
        world
            .watch
            .apply_watcher_event(&Event::Delete(project("deleted")));
        world.checks.forget("deleted");
        assert!(cancelled_by_event.await.is_err());
        world.watch.apply_watcher_event(&Event::Init);
        world.watch.apply_watcher_event(&Event::InitDone);
        world.checks.keep(&HashSet::new());
        assert!(cancelled_by_list.await.is_err());
        let (late, cancelled) = held();
        assert_eq!(world.ask("deleted", "1", late).unwrap(), None);
        assert!(cancelled.await.is_err(), "a late reconcile begins none");
        assert!(world.checks.known.lock().is_empty());
    }

    #[tokio::test]
    async fn a_check_that_panics_is_reported_once_and_restarted() {
        let mut world = World::new(&["prod"]);
        let poisoned = async { panic!("a bug") };
        assert_eq!(world.ask("prod", "1", poisoned).unwrap(), None);
        while world.ask("prod", "1", held().0).is_ok() {
            tokio::task::yield_now().await;
        }
        let valid = ready(found(Reason::CredentialsValid));
        assert_eq!(world.ask("prod", "1", valid).unwrap(), None);
        assert_eq!(world.ended().await, "prod");
    }

    #[tokio::test]
    async fn checks_end_with_the_operator() {
        let world = World::new(&["prod"]);
        let (check, cancelled) = held();
        assert_eq!(world.ask("prod", "1", check).unwrap(), None);
        world.stopping.cancel();
        assert!(cancelled.await.is_err());
        assert_eq!(world.ask("prod", "1", held().0).unwrap(), None);
    }
}
