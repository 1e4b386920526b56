//! `kubectl desktops wait`: the progress of a request until its end.

use std::collections::BTreeMap;
use std::time::Duration;

use desktop_deletion_operator::crd::DesktopDeletion;
use desktop_deletion_operator::crd::conditions::ConditionType;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use tokio::time::Instant;

use crate::ExitStatus;
use crate::args::Wait;
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped};
use crate::request::{Desktop, RequestExt};

/// Pause between two reads. A watch would need another permission, and the operator reads the cloud less often.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The result, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    name: String,
    finished: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    succeeded: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    desktops: Vec<Desktop>,
}

pub(crate) async fn run(cluster: &Cluster, args: &Wait, format: Format) -> Result<ExitStatus, Error> {
    let name = &args.request.name;
    let end = args
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let mut request = cluster.request(name).await?;
    let uid = request.metadata.uid.clone();
    let mut progress = Progress::default();
    loop {
        if format == Format::Text {
            for line in progress.lines(&request) {
                output::print(&format!("{}\n", escaped(&line)));
            }
        }
        if request.is_finished() {
            break;
        }
        let next = Instant::now() + POLL_INTERVAL;
        if end.is_some_and(|end| end < next) {
            output::print_to_stderr(&format!("error: timed out waiting for {name}"));
            break;
        }
        tokio::time::sleep_until(next).await;
        match cluster.request(name).await {
            Ok(now) if now.metadata.uid == uid => request = now,
            Ok(_) => {
                return Err(Error::other(format!(
                    "{name} was deleted and created again in the meantime"
                )));
            }
            Err(error) if error.is_not_found() => {
                return Err(Error::other(format!("{name} was deleted before it was finished")));
            }
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => output::print_to_stderr(&format!("warning: {error}; retrying")),
        }
    }
    let succeeded = request.condition(ConditionType::Succeeded);
    let status = exit_status(&request, succeeded);
    if format == Format::Json {
        output::print_json(&Outcome {
            name: name.clone(),
            finished: request.is_finished(),
            succeeded: succeeded.map(|condition| condition.status.clone()),
            reason: succeeded.map(|condition| condition.reason.clone()),
            message: succeeded.map(|condition| condition.message.clone()),
            desktops: request.desktops(),
        })?;
    }
    Ok(status)
}

fn exit_status(request: &DesktopDeletion, succeeded: Option<&Condition>) -> ExitStatus {
    match succeeded.map(|condition| condition.status.as_str()) {
        _ if !request.is_finished() => ExitStatus::Undecided,
        Some("True") => ExitStatus::Yes,
        _ => ExitStatus::No,
    }
}

/// What was printed last, so that only what is new is printed.
#[derive(Default)]
struct Progress {
    reason: Option<String>,
    states: BTreeMap<String, String>,
}

impl Progress {
    /// A line for each desktop whose state has changed, and one if the request is in another state.
    fn lines(&mut self, request: &DesktopDeletion) -> Vec<String> {
        let mut lines = Vec::new();
        for desktop in request.desktops() {
            let before = self.states.insert(desktop.id.clone(), desktop.state.clone());
            if before.as_ref() != Some(&desktop.state) {
                lines.push(match desktop.problem() {
                    problem if problem.is_empty() => format!("{}: {}", desktop.title(), desktop.state),
                    problem => format!("{}: {}, {problem}", desktop.title(), desktop.state),
                });
            }
        }
        let Some(ready) = request.condition(ConditionType::Ready) else {
            return lines;
        };
        if self.reason.as_ref() != Some(&ready.reason) {
            self.reason = Some(ready.reason.clone());
            let name = request.metadata.name.as_deref().unwrap_or_default();
            lines.push(format!("{name}: {}: {}", ready.reason, ready.message));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::tests::{condition, request};

    #[test]
    fn each_change_is_printed_once() {
        let mut progress = Progress::default();
        let ready = |reason| json!([condition(ConditionType::Ready, "Unknown", reason, "as it is")]);
        let mut status = json!({
            "conditions": ready("JobRunning"),
            "desktops": [{"id": "pc-1", "state": "Deleting", "name": "VDI-01"}, {"id": "pc-2", "state": "Deleting"}],
        });
        assert_eq!(
            progress.lines(&request(&status)),
            [
                "pc-1 (VDI-01): Deleting",
                "pc-2: Deleting",
                "leavers: JobRunning: as it is"
            ]
        );
        assert_eq!(progress.lines(&request(&status)), Vec::<String>::new());
        status["desktops"][1] = json!({"id": "pc-2", "state": "Failed", "code": "WKS.1", "message": "quota"});
        assert_eq!(progress.lines(&request(&status)), ["pc-2: Failed, WKS.1: quota"]);
        status["conditions"] = ready("Verifying");
        assert_eq!(
            progress.lines(&request(&status)),
            ["leavers: Verifying: as it is"]
        );
    }

    #[test]
    fn the_result_is_that_of_a_finished_request() {
        for (succeeded, finished, expected) in [
            ("True", true, ExitStatus::Yes),
            ("False", true, ExitStatus::No),
            ("Unknown", false, ExitStatus::Undecided),
            // Decided, and not stored as finished yet.
            ("True", false, ExitStatus::Undecided),
        ] {
            let mut status =
                json!({"conditions": [condition(ConditionType::Succeeded, succeeded, "Any", "")]});
            if finished {
                status["completionTime"] = json!("2026-12-01T08:00:00Z");
            }
            let request = request(&status);
            let condition = request.condition(ConditionType::Succeeded);
            assert_eq!(
                exit_status(&request, condition),
                expected,
                "{succeeded}, {finished}"
            );
        }
    }
}
