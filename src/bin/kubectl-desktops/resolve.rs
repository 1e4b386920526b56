//! `kubectl desktops resolve`: the annotation by which a person settles an attempt (docs/conditions.md).

use std::fmt::Write;

use desktop_deletion_operator::crd::conditions::ConditionType;
use desktop_deletion_operator::crd::deletion::{Attempt, Outcome};
use desktop_deletion_operator::crd::{DesktopDeletion, RESOLVE_ANNOTATION};
use desktop_deletion_operator::plan::resolve::Resolve as Annotation;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::ExitStatus;
use crate::approve::confirmed;
use crate::args::{Resolution, Resolve};
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped};
use crate::request::RequestExt;

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
        // The patch is applied only if the attempt is as it was shown.
        let patch = json!({"metadata": {
            "resourceVersion": request.metadata.resource_version,
            "annotations": {RESOLVE_ANNOTATION: value},
        }});
        let parameters = PatchParams {
            field_manager: Some("kubectl-desktops".to_owned()),
            ..PatchParams::default()
        };
        let patched = cluster
            .requests
            .patch(name, &parameters, &Patch::Merge(patch))
            .await;
        match patched.map_err(Error::from) {
            Ok(_) => {}
            Err(error) if error.is_conflict() => {
                let message = "the request has changed since it was shown: nothing was written; try again";
                return Err(Error::other(message));
            }
            Err(error) => return Err(error),
        }
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
