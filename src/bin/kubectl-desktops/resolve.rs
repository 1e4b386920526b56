//! `kubectl desktops resolve`: the annotation by which a person settles an attempt (docs/conditions.md).

use std::fmt::Write;

use desktop_deletion_operator::crd::conditions::ConditionType;
use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::crd::{DesktopDeletion, RESOLVE_ANNOTATION};
use desktop_deletion_operator::plan::resolve::Resolve as Annotation;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::ExitStatus;
use crate::approve::{MAX_TRIES, confirmed};
use crate::args::{Resolution, Resolve};
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped};
use crate::request::RequestExt;

const CHANGED: &str = "the request has changed since it was shown: the annotation was not set; try again";

const NOT_FORGOTTEN: &str = "the operator has handled this value already; the annotation was removed, and status.lastHandledResolve still \
     shows the value: the annotation was not set; try again later";

pub(crate) async fn run(cluster: &Cluster, args: &Resolve, format: Format) -> Result<ExitStatus, Error> {
    let name = &args.request.name;
    let request = cluster.request(name).await?;
    if request.is_finished() {
        return Err(Error::other(
            "the request is finished: there is nothing to resolve",
        ));
    }
    let attempt = attempt(&request, args.attempt.as_deref())?;
    let value = format!("{}={}", attempt.id, args.resolution.text());
    Annotation::parse(&value).map_err(|form| Error::other(format!("invalid value {value}: {form}")))?;
    if format == Format::Text {
        output::print(&description(&request, attempt));
    }
    let question = format!(
        "Annotate {name} with {RESOLVE_ANNOTATION}={value}? {}",
        args.resolution.effect()
    );
    let resolved = args.yes || confirmed(&escaped(&question));
    if resolved {
        annotate(cluster, &request, attempt, &value).await?;
    } else {
        output::print_to_stderr("not annotated");
    }
    match format {
        Format::Json => {
            output::print_json(&json!({"name": name, "annotation": value, "annotated": resolved}))?;
        }
        Format::Text if resolved => output::print(&format!(
            "\ndesktopdeletion.cloud-desktops.dev/{name} annotated; status.lastHandledResolve shows this value once the operator has handled it, and a refused value causes an Event ResolveRefused\n"
        )),
        Format::Text => {}
    }
    Ok(if resolved { ExitStatus::Yes } else { ExitStatus::No })
}

/// Sets the annotation, on condition that neither it nor what was shown has changed since.
async fn annotate(
    cluster: &Cluster,
    shown: &DesktopDeletion,
    attempt: &Attempt,
    value: &str,
) -> Result<(), Error> {
    if !is_handled(shown, value) {
        return set_with_retries(cluster, shown, attempt, Some(value)).await;
    }
    // The value has no effect before the operator has observed that the annotation was removed.
    set_with_retries(cluster, shown, attempt, None).await?;
    let forgotten = |now: &DesktopDeletion| {
        if is_unfinished_with(now, shown, attempt) && annotation(now).is_none() {
            Ok(!is_handled(now, value))
        } else {
            Err(Error::other(CHANGED))
        }
    };
    let (name, _) = shown.name_and_uid()?;
    let now = cluster.until_observed(name, forgotten).await?;
    let now = now.ok_or_else(|| Error::other(NOT_FORGOTTEN))?;
    set_with_retries(cluster, &now, attempt, Some(value)).await
}

/// Writes or removes the annotation. If only something that was not shown has changed in the meantime, this is tried
/// again.
async fn set_with_retries(
    cluster: &Cluster,
    shown: &DesktopDeletion,
    attempt: &Attempt,
    value: Option<&str>,
) -> Result<(), Error> {
    let (name, _) = shown.name_and_uid()?;
    let mut latest = shown.clone();
    for _ in 0..MAX_TRIES {
        match set(cluster, &latest, value).await {
            Err(error) if error.is_conflict() => {}
            result => return result,
        }
        latest = cluster.request(name).await?;
        let is_set = annotation(&latest) == value && annotation(shown) != value;
        // The client repeats a write whose response was lost.
        if is_set && is_unfinished_with(&latest, shown, attempt) {
            return Ok(());
        }
        let is_unchanged = is_unfinished_with(&latest, shown, attempt)
            && annotation(&latest) == annotation(shown)
            && submitted(&latest) == submitted(shown)
            && !value.is_some_and(|value| is_handled(&latest, value));
        if !is_unchanged {
            return Err(Error::other(CHANGED));
        }
    }
    Err(Error::other(
        "too many conflicting updates: the annotation was not set; try again",
    ))
}

/// Whether this is still the same request, unfinished, and with the same attempt.
fn is_unfinished_with(now: &DesktopDeletion, shown: &DesktopDeletion, attempt: &Attempt) -> bool {
    now.metadata.uid == shown.metadata.uid && !now.is_finished() && now.attempts().contains(attempt)
}

/// What the condition that is shown says: new evidence may change only its message.
fn submitted(request: &DesktopDeletion) -> Option<(&str, &str)> {
    let condition = request.condition(ConditionType::Submitted)?;
    Some((&condition.reason, &condition.message))
}

fn annotation(request: &DesktopDeletion) -> Option<&str> {
    request.annotations().get(RESOLVE_ANNOTATION).map(String::as_str)
}

/// Whether the operator has handled that value already, and ignores it from now on.
fn is_handled(request: &DesktopDeletion, value: &str) -> bool {
    let status = request.status.as_ref();
    status.and_then(|status| status.last_handled_resolve.as_deref()) == Some(value)
}

/// Writes or removes the annotation, unless the object has changed since it was read.
async fn set(cluster: &Cluster, read: &DesktopDeletion, value: Option<&str>) -> Result<(), Error> {
    let (name, _) = read.name_and_uid()?;
    let patch = Patch::Merge(json!({"metadata": {
        "resourceVersion": read.metadata.resource_version,
        "annotations": {RESOLVE_ANNOTATION: value},
    }}));
    let parameters = PatchParams {
        field_manager: Some("kubectl-desktops".to_owned()),
        ..PatchParams::default()
    };
    cluster.requests.patch(name, &parameters, &patch).await?;
    Ok(())
}

impl Resolution {
    fn text(&self) -> String {
        match &self.adopt {
            Some(job) => format!("adopt:{job}"),
            None if self.retry => "retry".to_owned(),
            None => "abandon".to_owned(),
        }
    }

    /// What the operator does about it.
    fn effect(&self) -> &'static str {
        if self.adopt.is_some() {
            "The operator will follow that job."
        } else if self.retry {
            "If the delete request can no longer take effect, the operator will submit the desktops again; otherwise \
             it refuses. Confirm only if you are sure that the delete request had no effect."
        } else {
            "The operator will abandon the request; its desktops may still be deleted."
        }
    }
}

/// The attempt of that ID; by default the last one, which is the only one that can be open.
fn attempt<'a>(request: &'a DesktopDeletion, id: Option<&str>) -> Result<&'a Attempt, Error> {
    let attempts = request.attempts();
    let found = match id {
        None => attempts.last(),
        Some(id) => attempts.iter().find(|attempt| attempt.id.as_str() == id),
    };
    found.ok_or_else(|| match id {
        None => Error::other("the request has no attempt: there is nothing to resolve"),
        Some(id) => Error::other(format!("the request has no attempt {id}")),
    })
}

fn description(request: &DesktopDeletion, attempt: &Attempt) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{:15}{}", format!("{name}:"), escaped(value));
    };
    line("Attempt", attempt.id.as_str());
    let outcome = match attempt.outcome {
        Outcome::Pending => "Pending (unknown)".to_owned(),
        outcome => format!("{outcome:?}"),
    };
    line("Outcome", &outcome);
    line("Signed at", &attempt.signed_at.0.to_string());
    if let Some(until) = &attempt.not_after {
        line("Valid until", &until.0.to_string());
    }
    let list = |ids: Vec<String>| ids.join(", ");
    line(
        "Desktops",
        &list(attempt.desktop_ids.iter().map(ToString::to_string).collect()),
    );
    if !attempt.job_ids.is_empty() {
        line(
            "Jobs",
            &list(attempt.job_ids.iter().map(ToString::to_string).collect()),
        );
    }
    if let Some(submitted) = request.condition(ConditionType::Submitted) {
        line(
            "Submitted",
            &format!(
                "{} ({}): {}",
                submitted.status, submitted.reason, submitted.message
            ),
        );
    }
    text
}
