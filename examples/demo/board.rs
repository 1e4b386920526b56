//! The live table: every request with its conditions, as the API server reports them.

use std::collections::BTreeMap;
use std::time::Duration;

use desktop_deletion_operator::crd::conditions::ConditionType::{
    self, Ready, Reconciling, Stalled, Submitted, Succeeded,
};
use desktop_deletion_operator::crd::deletion::DesktopDeletion;
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};

use crate::BoxError;
use crate::cast::{ROLES, condition};
use crate::screen::{Screen, columns};

/// Long enough for any machine; a wait ends as soon as its condition holds.
const BOUND: Duration = Duration::from_secs(150);

/// Width of a column: that of the longest status and reason, so that the columns stay where they are.
const WIDTH: usize = "Unknown AwaitingEvidence".len();

/// What is known of the requests, and where it is shown.
pub(crate) struct Board {
    screen: Screen,
    requests: BTreeMap<String, DesktopDeletion>,
    changes: BoxStream<'static, Result<DesktopDeletion, watcher::Error>>,
}

impl Board {
    /// An empty board.
    pub(crate) fn new() -> Self {
        Self {
            screen: Screen::new(),
            requests: BTreeMap::new(),
            changes: futures::stream::pending().boxed(),
        }
    }

    /// Shows these requests from now on.
    pub(crate) fn follow(&mut self, requests: Api<DesktopDeletion>) {
        let changes = watcher(requests, watcher::Config::default());
        self.changes = changes.default_backoff().applied_objects().boxed();
    }

    /// A line about what the demo does.
    pub(crate) fn say(&mut self, line: &str) {
        self.screen.say(line);
        self.redraw();
    }

    /// What a command printed.
    pub(crate) fn show(&mut self, command: &str, output: &str) {
        self.say(command);
        self.screen.print(&format!("\n{}\n", output.trim_end()));
        self.redraw();
    }

    /// A request as it was last seen.
    pub(crate) fn request(&self, name: &str) -> Option<&DesktopDeletion> {
        self.requests.get(name)
    }

    /// Shows what happens until `wanted` holds of the board.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) -> Result<(), BoxError> {
        let end = tokio::time::sleep(BOUND);
        tokio::pin!(end);
        while !wanted(self) {
            tokio::select! {
                () = &mut end => return Err(format!("not within {BOUND:?}: {what}").into()),
                Some(change) = self.changes.next() => self.take(change),
            }
        }
        Ok(())
    }

    /// Shows what happens until something else is over.
    pub(crate) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            tokio::select! {
                over = &mut other => return over,
                Some(change) = self.changes.next() => self.take(change),
            }
        }
    }

    /// Leaves the table as it is; gives the screen for what comes below.
    pub(crate) fn close(&mut self) -> &mut Screen {
        self.screen.let_stand();
        self.changes = futures::stream::pending().boxed();
        self.requests.clear();
        &mut self.screen
    }

    fn take(&mut self, change: Result<DesktopDeletion, watcher::Error>) {
        // A watch that fails is restarted; if that does not help, the wait times out.
        let Ok(request) = change else { return };
        let Some(name) = request.metadata.name.clone() else {
            return;
        };
        let news = news(self.requests.get(&name), &request);
        self.requests.insert(name.clone(), request);
        if self.screen.is_terminal() {
            self.redraw();
        } else if !news.is_empty() {
            self.screen.say(&format!("{name:<17} {}", news.join(", ")));
        }
    }

    fn redraw(&mut self) {
        if !self.screen.is_terminal() || self.requests.is_empty() {
            return;
        }
        let titles = ["REQUEST", "SUBMITTED", "SUCCEEDED", "READY", "NOW"];
        let header = titles.map(|title| format!("{title:WIDTH$}")).to_vec();
        let shown = ROLES.iter().filter_map(|role| self.requests.get(role.name));
        let rows: Vec<_> = std::iter::once(header).chain(shown.map(row)).collect();
        self.screen.draw(&columns(&rows));
    }
}

/// The row of a request. `Reconciling` and `Stalled` share a column, since only one of them can be there.
fn row(request: &DesktopDeletion) -> Vec<String> {
    let says = |kind| saying(request, kind).unwrap_or_default();
    let now = [Reconciling, Stalled].into_iter().find_map(|kind| {
        let condition = condition(request, kind)?;
        Some(format!("{kind}: {}", condition.reason))
    });
    vec![
        request.metadata.name.clone().unwrap_or_default(),
        says(Submitted),
        says(Succeeded),
        says(Ready),
        now.unwrap_or_default(),
    ]
}

/// What changed in the conditions of a request.
fn news(before: Option<&DesktopDeletion>, after: &DesktopDeletion) -> Vec<String> {
    let changed = |&kind: &ConditionType| {
        let (old, new) = (
            before.and_then(|before| saying(before, kind)),
            saying(after, kind),
        );
        (old != new).then(|| format!("{kind} {}", new.as_deref().unwrap_or("gone")))
    };
    ConditionType::ALL.iter().filter_map(changed).collect()
}

/// Status and reason of a condition.
fn saying(request: &DesktopDeletion, kind: ConditionType) -> Option<String> {
    condition(request, kind).map(|condition| format!("{} {}", condition.status, condition.reason))
}
