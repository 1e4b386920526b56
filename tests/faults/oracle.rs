//! What must hold in every run, with every fault. It is read from the audit log of the API server and from the ledger
//! of the cloud, not from what the operator reports about itself; times of both are of one clock.
//!
//! | file | what |
//! | --- | --- |
//! | [`history`] | what happened in a run, for the crate `invariants`, which says what must hold |
//! | [`secrets`] | no secret in anything that the operator puts out |

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use testkit::{ApiServerProxy, ControlPlane, Operator};

use crate::fixture::says;
use crate::plans;
use crate::trial::Trial;

use desktop_deletion_operator::crd::conditions::ConditionType::{Submitted, Succeeded};

mod history;
mod secrets;

/// How long nothing may be written after the end: ten ticks of the poller, and six of what else comes back by itself.
const QUIET: Duration = Duration::from_secs(3);

/// One request, from its beginning to its end.
pub(crate) struct Run {
    pub(crate) trial: Trial,
    /// Those that have worked on it, the last one still running.
    pub(crate) operators: Arc<Vec<Operator>>,
    /// What they reach the API server through.
    pub(crate) proxy: Arc<ApiServerProxy>,
    /// Its last status, or why there is none.
    pub(crate) ended: Result<Value, String>,
}

impl Run {
    /// A trial that has run, and how it ended.
    pub(crate) fn new(
        trial: Trial,
        operators: Arc<Vec<Operator>>,
        proxy: Arc<ApiServerProxy>,
        ended: Result<Value, String>,
    ) -> Self {
        Self {
            trial,
            operators,
            proxy,
            ended,
        }
    }

    /// Waits until the request has ended.
    pub(crate) async fn to_its_end(
        trial: Trial,
        operators: Arc<Vec<Operator>>,
        proxy: Arc<ApiServerProxy>,
    ) -> Self {
        let ended = trial.ended().await;
        Self::new(trial, operators, proxy, ended)
    }

    /// It never reached the point.
    pub(crate) fn stuck(trial: Trial, operators: Vec<Operator>, proxy: ApiServerProxy, why: String) -> Self {
        Self::new(trial, Arc::new(operators), Arc::new(proxy), Err(why))
    }

    /// What is wrong if it has not this end.
    pub(crate) fn expect_end(&self, end: &End) -> Option<String> {
        let status = self.ended.as_ref().ok()?;
        let own = End::of(status);
        (own != *end).then(|| format!("{}: the end is {own:?}, not {end:?}: {status:#}", self.trial.name))
    }

    /// What is wrong if `Submitted` has not this reason in the end.
    pub(crate) fn expect_submitted(&self, reason: &str) -> Option<String> {
        let status = self.ended.as_ref().ok()?;
        let (_, own) = says(status, Submitted);
        (own != reason).then(|| {
            format!(
                "{}: the reason of Submitted is {own}, not {reason}: {status:#}",
                self.trial.name
            )
        })
    }
}

/// How a request ends: what two runs must have in common to have had the same end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// Status and reason of `Succeeded`.
    verdict: (String, String),
    /// Id and state of each desktop.
    desktops: Vec<(String, String)>,
}

impl End {
    /// The end of [`crate::trial::one_of_two_fails`].
    pub(crate) fn one_of_two_failed() -> Self {
        Self::with(
            "False",
            "PartiallyFailed",
            [("pc-1", "Deleted"), ("pc-2", "Failed")],
        )
    }

    /// This final result, and these states of the desktops.
    pub(crate) fn with<'a>(
        truth: &str,
        verdict: &str,
        desktops: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let owned = |(id, state): (&str, &str)| (id.to_owned(), state.to_owned());
        Self {
            verdict: (truth.to_owned(), verdict.to_owned()),
            desktops: desktops.into_iter().map(owned).collect(),
        }
    }

    fn of(status: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let desktops = status["desktops"].as_array().into_iter().flatten();
        Self {
            verdict: says(status, Succeeded),
            desktops: desktops.map(|d| (text(&d["id"]), text(&d["state"]))).collect(),
        }
    }
}

/// Judges all runs; returns a sentence for each violation.
pub(crate) async fn judge(runs: &[Run]) -> Vec<String> {
    judge_on(ControlPlane::shared().await, runs).await
}

/// The same of runs on a control plane of their own.
pub(crate) async fn judge_on(control_plane: &ControlPlane, runs: &[Run]) -> Vec<String> {
    let at_the_end = history::audit_so_far(control_plane).await.len();
    // An observation needs a time: what is to be seen is that nothing comes.
    tokio::time::sleep(QUIET).await;
    let events = history::audit_so_far(control_plane).await;
    let mut broken = Vec::new();
    for run in runs {
        let found = invariants::judge(&history::of(run, &events, at_the_end));
        broken.extend(found.iter().map(|what| format!("{}: {what}", run.trial.name)));
    }
    broken.extend(secrets::search(runs, &events).await);
    broken
}

/// The lines of the last operator's log about a request.
fn log_of(run: &Run) -> String {
    let log = run.operators.last().map(Operator::log).unwrap_or_default();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains(&run.trial.name))
        .collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Fails if anything is broken, and says all of it.
pub(crate) fn report(cases: usize, broken: &[String]) {
    println!("{cases} cases");
    let mut text = String::new();
    for sentence in broken {
        let _ = writeln!(text, "- {sentence}");
    }
    assert!(
        broken.is_empty(),
        "{} violations in {cases} cases:\n{text}{}",
        broken.len(),
        plans::legend(&text)
    );
}
