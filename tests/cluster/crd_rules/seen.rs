//! What people see of the two kinds: defaults, columns, explanations, selectors.

use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, Output, manifests};

use super::deletion_status::{finished, succeeded};

async fn fixture(name: &str) -> (&'static ControlPlane, Namespace) {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    (control_plane, control_plane.namespace(name).await.unwrap())
}

#[tokio::test]
async fn a_new_object_shows_its_defaults_and_no_observed_generation() {
    let (_, namespace) = fixture("defaults").await;
    let deletion = namespace
        .apply(&manifests::desktop_deletion("a", "prod", ["d1"]))
        .await
        .unwrap();
    let spec = json!({
        "projectRef": {"name": "prod"},
        "desktopIDs": ["d1"],
        "deleteUsers": false,
        "emailNotification": true,
        "force": false,
        "suspend": false,
    });
    assert_eq!(deletion.data["spec"], spec);
    assert_eq!(deletion.data["status"], json!({"observedGeneration": -1}));

    let project = manifests::workspace_project("prod", "ap-southeast-1", "0123456789abcdef", "login");
    let project = namespace.apply(&project).await.unwrap();
    assert_eq!(project.data["spec"]["suspend"], json!(false));
    assert_eq!(project.data["status"], json!({"observedGeneration": -1}));
}

#[tokio::test]
async fn kubectl_refuses_a_field_that_does_not_exist() {
    let (control_plane, namespace) = fixture("unknown").await;
    let mut manifest = manifests::desktop_deletion("a", "prod", ["d1"]);
    manifest["spec"]["email_notification"] = json!(false);
    let apply = ["apply", "--namespace", namespace.name(), "--filename=-"];
    let output = control_plane
        .kubectl_with_input(apply, &manifest.to_string())
        .await
        .unwrap();
    assert_eq!(output.status, 1, "{}", output.stdout);
    assert!(
        output
            .stderr
            .contains("unknown field \"spec.email_notification\""),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn kubectl_get_shows_the_status_of_a_request() {
    let (control_plane, namespace) = fixture("columns").await;
    namespace
        .apply(&manifests::desktop_deletion("leavers", "prod", ["d1", "d2"]))
        .await
        .unwrap();
    let mut ready = succeeded("False", "PartiallyFailed");
    ready[0]["type"] = json!("Ready");
    for (kind, status, reason) in [
        ("Planned", "True", "PlanReady"),
        ("Approved", "False", "AwaitingApproval"),
    ] {
        let mut condition = succeeded(status, reason)[0].clone();
        condition["type"] = json!(kind);
        ready.as_array_mut().unwrap().push(condition);
    }
    let status = json!({
        "jobID": "job-1",
        "summary": {
            "total": 2, "absent": 0, "deleted": 1, "deleting": 0, "failed": 1, "pending": 0, "unknown": 0,
        },
        "conditions": ready,
    });
    record(&namespace, "leavers", &status).await;

    assert_eq!(
        columns(control_plane, &namespace, &["ddel"]).await,
        [
            "NAME PROJECT TOTAL DELETED ABSENT FAILED READY REASON AGE",
            "leavers prod 2 1 0 1 False PartiallyFailed AGE",
        ]
    );
    assert_eq!(
        columns(control_plane, &namespace, &["ddel", "--output=wide"]).await,
        [
            "NAME PROJECT TOTAL DELETED ABSENT FAILED READY REASON PLANNED APPROVED JOB AGE",
            "leavers prod 2 1 0 1 False PartiallyFailed PlanReady AwaitingApproval job-1 AGE",
        ]
    );
}

#[tokio::test]
async fn kubectl_get_shows_whether_a_project_is_ready() {
    let (control_plane, namespace) = fixture("wsp-columns").await;
    let project = manifests::workspace_project("prod", "ap-southeast-1", "0123456789abcdef", "login");
    namespace.apply(&project).await.unwrap();
    assert_eq!(
        columns(control_plane, &namespace, &["wsp"]).await,
        [
            "NAME REGION PROJECT READY REASON AGE",
            "prod ap-southeast-1 0123456789abcdef AGE"
        ]
    );
    let both = columns(control_plane, &namespace, &["cloud-desktops", "--output=name"]).await;
    assert_eq!(both, ["workspaceproject.cloud-desktops.dev/prod"]);
}

#[tokio::test]
async fn kubectl_explain_describes_the_fields() {
    let (control_plane, _) = fixture("explain").await;
    for (field, sentence) in [
        ("ddel", "A batch of cloud desktops to delete."),
        (
            "ddel.spec",
            "Every field except `suspend` and `approvedPlan` is immutable: to change a request, create a new object.",
        ),
        ("ddel.spec.force", "connected users lose unsaved work"),
        (
            "ddel.spec.emailNotification",
            "Whether the cloud notifies users by email that their desktops were deleted",
        ),
        (
            "ddel.spec.notAfter",
            "Default: 7 days after the creation of the object",
        ),
        (
            "ddel.status.attempts.outcome",
            "`NotSent`: no byte of it was sent.",
        ),
        (
            "ddel.status.conditions.reason",
            "Machine-readable reason of the status, in CamelCase.",
        ),
        (
            "wsp.spec.credentials",
            "Source of the credentials: exactly one of the fields below.",
        ),
    ] {
        let explained = explain(control_plane, field).await;
        assert!(one_line(&explained).contains(sentence), "{field}: {explained}");
    }
}

/// `kubectl explain` goes by the list of kinds that kubectl has kept, which may be older than ours.
async fn explain(control_plane: &ControlPlane, field: &str) -> String {
    let explained = testkit::eventually("kubectl knows the kinds", testkit::GENEROUS, async || {
        let list = ["api-resources", "--api-group=cloud-desktops.dev"];
        control_plane.kubectl(list).await.and_then(Output::stdout)?;
        control_plane
            .kubectl(["explain", field])
            .await
            .and_then(Output::stdout)
    });
    explained.await.unwrap()
}

#[tokio::test]
async fn requests_can_be_filtered_with_field_selectors() {
    let (_, namespace) = fixture("selectors").await;
    for (name, project) in [("a", "prod"), ("b", "prod"), ("c", "test")] {
        namespace
            .apply(&manifests::desktop_deletion(name, project, ["d1"]))
            .await
            .unwrap();
    }
    record(&namespace, "a", &finished()).await;
    record(&namespace, "b", &json!({"jobID": "job-1"})).await;
    for (selector, names) in [
        ("spec.projectRef.name=prod", &["a", "b"][..]),
        ("status.jobID=job-1", &["b"]),
        ("status.completionTime=", &["b", "c"]),
        ("status.completionTime!=", &["a"]),
    ] {
        let list = namespace
            .deletions()
            .list(&ListParams::default().fields(selector))
            .await
            .unwrap();
        let found: Vec<_> = list
            .items
            .iter()
            .map(|item| item.metadata.name.as_deref().unwrap())
            .collect();
        assert_eq!(found, names, "{selector}");
    }
}

async fn record(namespace: &Namespace, name: &str, status: &Value) {
    let patch = Patch::Merge(json!({"status": status}));
    namespace
        .deletions()
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

/// The lines of `kubectl get`, with single blanks, and the age by its name.
async fn columns(control_plane: &ControlPlane, namespace: &Namespace, arguments: &[&str]) -> Vec<String> {
    let get = ["get", "--namespace", namespace.name()];
    let output = control_plane
        .kubectl(get.iter().chain(arguments))
        .await
        .unwrap()
        .stdout()
        .unwrap();
    output.lines().map(one_line).map(|line| age(&line)).collect()
}

fn age(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((rest, age)) if age.ends_with('s') || age.ends_with('m') => format!("{rest} AGE"),
        _ => line.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
