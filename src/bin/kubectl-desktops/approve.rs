//! `kubectl desktops approve`: approve the plan that was shown, and nothing newer.

use std::io::{self, BufRead, Write};

use desktop_deletion_operator::crd::DesktopDeletion;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use crate::ExitStatus;
use crate::args::Approve;
use crate::connection::Cluster;
use crate::error::Error;
use crate::output::{self, Format, escaped};
use crate::plan::PlanView;
use crate::request::RequestExt;

/// Maximum number of tries if the object, but not its plan, was changed in the meantime.
pub(crate) const MAX_TRIES: u32 = 10;

/// The hash of no plan.
const NO_PLAN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

const CHANGED: &str = "the request or the plan has changed since it was shown: nothing was approved; show it again with `kubectl \
     desktops plan`";

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    approved: bool,
    #[serde(flatten)]
    shown: &'a PlanView,
}

pub(crate) async fn run(cluster: &Cluster, args: &Approve, format: Format) -> Result<ExitStatus, Error> {
    let name = &args.request.name;
    let request = cluster.request(name).await?;
    let shown = PlanView::of(&request, &cluster.namespace)?;
    if format == Format::Text {
        output::print(&shown.text());
    }
    let hash = approvable_hash(&request, &shown)?;
    let named = request.spec.approved_plan.as_deref() == Some(hash);
    let approved = if named && !is_refused(&request) {
        print_result(
            format,
            &format!("desktopdeletion.cloud-desktops.dev/{name} already approved"),
        );
        true
    } else if args.yes || confirmed("Approve this plan?") {
        approve(cluster, request.clone(), &shown, hash).await?;
        print_result(
            format,
            &format!("desktopdeletion.cloud-desktops.dev/{name} approved"),
        );
        true
    } else {
        output::print_to_stderr("not approved");
        false
    };
    if format == Format::Json {
        let shown = &shown;
        output::print_json(&Outcome { approved, shown })?;
    }
    Ok(if approved { ExitStatus::Yes } else { ExitStatus::No })
}

fn print_result(format: Format, line: &str) {
    if format == Format::Text {
        output::print(&format!("\n{}\n", escaped(line)));
    }
}

/// The hash of the plan, if an approval has any effect.
fn approvable_hash<'a>(request: &DesktopDeletion, shown: &'a PlanView) -> Result<&'a str, Error> {
    if request.is_finished() {
        return Err(Error::other(
            "the request is finished: there is nothing to approve",
        ));
    }
    if request.is_submitted() {
        let message = "the request has been submitted: an approval no longer has any effect";
        return Err(Error::other(message));
    }
    let plan = shown.plan.as_ref();
    let plan = plan.ok_or_else(|| Error::other("the request has no plan to approve; see the condition Planned, or set spec.suspend to true to have the plan shown"))?;
    if plan.blocked > 0 {
        output::print_to_stderr(&format!(
            "warning: blocked desktops: {}; the whole request waits until no desktop is blocked",
            plan.blocked
        ));
    }
    Ok(&plan.hash)
}

/// Whether the operator does not accept the value of `spec.approvedPlan`, since it was set before its plan was shown.
fn is_refused(request: &DesktopDeletion) -> bool {
    let status = request.status.as_ref();
    let refused = status.and_then(|status| status.refused_plan.as_ref());
    refused.is_some() && refused == request.spec.approved_plan.as_ref()
}

/// Writes the hash that was shown, on condition that the object is still the one that was shown.
async fn approve(
    cluster: &Cluster,
    mut request: DesktopDeletion,
    shown: &PlanView,
    hash: &str,
) -> Result<(), Error> {
    for _ in 0..MAX_TRIES {
        match write(cluster, &request, shown, hash).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        // The object was changed. The plan may still be approved if it is unchanged.
        request = cluster.request(&shown.name).await?;
        let now = PlanView::of(&request, &cluster.namespace)?;
        if !now.shows_same_plan(shown) || request.is_finished() || request.is_submitted() {
            return Err(Error::other(CHANGED));
        }
    }
    Err(Error::other(
        "too many conflicting updates: nothing was approved; try again",
    ))
}

async fn write(
    cluster: &Cluster,
    request: &DesktopDeletion,
    shown: &PlanView,
    hash: &str,
) -> Result<(), Error> {
    let mut version = request.metadata.resource_version.clone();
    if is_refused(request) {
        set(cluster, shown, version, NO_PLAN).await?;
        version = wait_until_reset(cluster, shown).await?.metadata.resource_version;
    }
    set(cluster, shown, version, hash).await
}

/// Writes `spec.approvedPlan`. The resource version is the condition: the API server refuses the patch if the object has
/// changed.
async fn set(cluster: &Cluster, shown: &PlanView, version: Option<String>, value: &str) -> Result<(), Error> {
    let patch = json!({
        "metadata": {"resourceVersion": version},
        "spec": {"approvedPlan": value},
    });
    let parameters = PatchParams {
        field_manager: Some("kubectl-desktops".to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(patch);
    cluster.requests.patch(&shown.name, &parameters, &patch).await?;
    Ok(())
}

/// Waits until the operator has observed that the value that it did not accept is gone; otherwise the same value would
/// not be a new approval. In the meantime the field has another value: if it were empty, a request whose project
/// requires no approval would be submitted.
async fn wait_until_reset(cluster: &Cluster, shown: &PlanView) -> Result<DesktopDeletion, Error> {
    let reset = |request: &DesktopDeletion| {
        if !PlanView::of(request, &cluster.namespace)?.shows_same_plan(shown) {
            return Err(Error::other(CHANGED));
        }
        let status = request.status.as_ref();
        Ok(status.is_none_or(|status| status.refused_plan.as_deref() == Some(NO_PLAN)))
    };
    let request = cluster.until_observed(&shown.name, reset).await?;
    request.ok_or_else(|| {
        Error::other(
            "spec.approvedPlan was reset, and the operator has not observed it yet: nothing was approved; try again later",
        )
    })
}

impl PlanView {
    /// Whether both show the same plan of the same object.
    fn shows_same_plan(&self, other: &Self) -> bool {
        let hash = |shown: &Self| shown.plan.as_ref().map(|plan| plan.hash.clone());
        self.uid == other.uid && hash(self) == hash(other) && self.desktops == other.desktops
    }
}

/// Asks on standard error, so that standard output contains only the result. Anything but yes means no.
pub(crate) fn confirmed(question: &str) -> bool {
    let mut err = io::stderr();
    if write!(err, "\n{question} [y/N] ")
        .and_then(|()| err.flush())
        .is_err()
    {
        return false;
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
