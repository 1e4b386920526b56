//! A namespace that the operator serves and lacks a right to read holds others up no longer than an earlier call from there
//! could take effect, and they say so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testkit::{Cloud, Namespace, SERVICE_ACCOUNT, eventually, manifests};
use tokio::time::Instant;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::doubt;
use crate::shutdown::answers;
use crate::stage::{BOUND, Running, Stage, condition, desktop, endless, message, pair, says};

const ROLE: &str = "desktop-deletion-operator";
const SECRETS_ROLE: &str = "desktop-deletion-operator-secrets";

/// A namespace with the roles of the operator, which nobody binds to the operator of the stage yet, and with a project.
async fn another_namespace(stage: &Stage, name: &str) -> Namespace {
    let other = stage.control_plane.namespace(name).await.unwrap();
    stage
        .control_plane
        .deploy("deploy/base", other.name())
        .await
        .unwrap();
    other.apply(&stage.cloud.secret("login")).await.unwrap();
    let project = stage.cloud.project("prod", "login");
    other.apply(&project).await.unwrap();
    other
}

/// Gives the operator of the stage a role in another namespace.
async fn bind(stage: &Stage, other: &Namespace, role: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": format!("other-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": stage.namespace.name()}],
    });
    other.apply(&binding).await.unwrap();
}

async fn unbind(other: &Namespace, role: &str) {
    let bindings = other.api::<RoleBinding>();
    let name = format!("other-{role}");
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// Waits until the API server acts by that.
async fn may_list(stage: &Stage, other: &Namespace, expected: bool) {
    let operator = format!(
        "--as=system:serviceaccount:{}:{SERVICE_ACCOUNT}",
        stage.namespace.name()
    );
    let look = async || {
        let arguments = [
            "auth",
            "can-i",
            "--quiet",
            &operator,
            "--namespace",
            other.name(),
            "list",
            "desktopdeletions",
        ];
        let may = stage.control_plane.kubectl(arguments).await.unwrap().status == 0;
        if may == expected { Ok(()) } else { Err(may) }
    };
    eventually("the right is as wanted", BOUND, look).await.unwrap();
}

fn operator(stage: &Stage, other: &Namespace, flags: &[&str]) -> Running {
    let watched = format!("--namespaces={},{}", stage.namespace.name(), other.name());
    stage.operator(&[&[watched.as_str()], flags].concat())
}

/// Waits until a request says that the namespace cannot be read, and gives its message.
async fn told(stage: &Stage, name: &str, other: &Namespace) -> String {
    let decided =
        |status: &Value| !condition(status, Stalled).is_null() || status["completionTime"].is_string();
    let status = stage.until(name, "it is stalled, or has ended", decided).await;
    for kind in [Submitted, Stalled] {
        assert_eq!(
            condition(&status, kind)["reason"],
            "NamespaceUnreadable",
            "{status:#}"
        );
        let message = message(&status, kind);
        for part in [other.name(), "list desktopdeletions", "deploy/README.md"] {
            assert!(message.contains(part), "{message}");
        }
    }
    message(&status, Stalled)
}

async fn shows(stage: &Stage, operator: &Running, unreadable: usize) {
    let line = format!("desktop_deletion_unreadable_namespaces {unreadable}");
    let look = async || {
        let metrics = answers(stage, operator, "/metrics", 200).await;
        if metrics.lines().any(|l| l == line) {
            Ok(())
        } else {
            Err(metrics)
        }
    };
    eventually("the metric shows it", BOUND, look).await.unwrap();
}

#[tokio::test]
async fn others_wait_until_no_call_from_an_unreadable_namespace_can_take_effect() {
    let stage = Stage::set("readable", &[desktop("pc-1")]).await;
    let other = another_namespace(&stage, "unreadable").await;
    let first = operator(&stage, &other, &[]);
    let leaver = stage.request("leaver", &["pc-1"]).await;
    let created = leaver.metadata.creation_timestamp.unwrap().0;
    let message = told(&stage, "leaver", &other).await;
    let (_, until) = message.split_once("until about ").unwrap();
    let until: Timestamp = until.split_once(',').unwrap().0.parse().unwrap();
    let left = until.duration_since(created);
    assert!(
        left > SignedDuration::from_hours(23),
        "the life of a token: {left}"
    );
    shows(&stage, &first, 1).await;
    let ready = answers(&stage, &first, "/readyz", 503).await;
    for kind in ["desktopdeletions", "workspaceprojects"] {
        let why = format!("{kind} failed: the operator lacks permission to list {kind}");
        assert!(ready.contains(&why), "{ready}");
    }
    assert_eq!(stage.posts(), Vec::<Value>::new());
    assert_eq!(first.stopped().await, 0);

    // The longer of both lives, the job visibility timeout of a second, and three times the allowance of three.
    let life = Duration::from_secs(8 + 1 + 9);
    let flags = [
        "--token-life=5s",
        "--signature-window=8s",
        "--max-signature-age=3s",
    ];
    let began = Instant::now();
    let _second = operator(&stage, &other, &flags);
    let status = stage.completed("leaver").await;
    assert!(began.elapsed() >= life, "{:?}", began.elapsed());
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_lost_answer_is_resolved_although_a_namespace_cannot_be_read() {
    let stage = Stage::set_with("lost-reader", doubt::world(), &[desktop("pc-1")]).await;
    let other = another_namespace(&stage, "unreadable-too").await;
    let fault = doubt::lost("pc-1", true, &json!("reset"));
    stage.cloud.add_fault(&fault).unwrap();
    let flags = [doubt::FLAGS, &["--token-life=5s"]].concat();
    let _operator = operator(&stage, &other, &flags);
    stage.request("leaver", &["pc-1"]).await;
    // Whether a request there has the job cannot be asked.
    let status = stage.completed("leaver").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobRecovered"),
        "{status:#}"
    );
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(stage.posts().len(), 1);
}

#[tokio::test]
async fn who_is_in_flight_keeps_the_desktop_when_its_namespace_can_be_read_again() {
    let mut world = Cloud::world();
    world["switches"] = json!({"repeatedDesktop": "accept"});
    let stage = Stage::set_with("reader", world, &[endless("pc-1"), desktop("pc-2")]).await;
    let other = another_namespace(&stage, "lost-right").await;
    for role in [ROLE, SECRETS_ROLE] {
        bind(&stage, &other, role).await;
    }
    let first = operator(&stage, &other, &[]);
    let sent = manifests::desktop_deletion("sent", "prod", ["pc-1"]);
    other.apply(&sent).await.unwrap();
    let look = async || {
        let status = other.deletions().get("sent").await.unwrap().data["status"].clone();
        if status["jobID"].is_string() {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    };
    let accepted = eventually("its job is stored", BOUND, look).await;
    accepted.unwrap_or_else(|error| panic!("{error}\n{}", first.log_tail()));
    assert_eq!(first.stopped().await, 0);
    drop(first);
    unbind(&other, ROLE).await;
    may_list(&stage, &other, false).await;

    let second = operator(&stage, &other, &[]);
    stage.request("leaver", &["pc-1"]).await;
    stage.request("unconcerned", &["pc-2"]).await;
    told(&stage, "leaver", &other).await;
    told(&stage, "unconcerned", &other).await;
    bind(&stage, &other, ROLE).await;
    let status = stage.completed("unconcerned").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let status = stage.reason("leaver", Submitted, "Overlap").await;
    assert!(
        message(&status, Submitted).contains("reserved by a DesktopDeletion in another namespace"),
        "{status:#}"
    );
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");
    shows(&stage, &second, 0).await;
    assert_eq!(stage.posts().len(), 2);
}

#[tokio::test]
async fn projects_that_may_not_be_listed_are_named_and_hold_up_no_other_namespace() {
    let stage = Stage::set("lister", &[desktop("pc-1"), desktop("pc-2")]).await;
    let other = another_namespace(&stage, "no-projects").await;
    let own = ["cloud-desktops.dev"];
    let narrow = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "narrow"},
        "rules": [
            {"apiGroups": own, "resources": ["desktopdeletions"], "verbs": ["get", "list", "watch", "patch"]},
            {"apiGroups": own, "resources": ["desktopdeletions/status"], "verbs": ["update"]},
            {"apiGroups": own, "resources": ["workspaceprojects"], "verbs": ["get"]},
        ],
    });
    other.apply(&narrow).await.unwrap();
    for role in ["narrow", SECRETS_ROLE] {
        bind(&stage, &other, role).await;
    }
    let operator = operator(&stage, &other, &[]);
    let there = manifests::desktop_deletion("leaver", "prod", ["pc-2"]);
    other.apply(&there).await.unwrap();
    stage.request("leaver", &["pc-1"]).await;
    let status = stage.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let look = async || {
        let status = other.deletions().get("leaver").await.unwrap().data["status"].clone();
        if says(&status, Stalled) == pair("True", "NamespaceUnreadable")
            && message(&status, Stalled).contains("list workspaceprojects")
        {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    };
    let said = eventually("the missing right is named", BOUND, look).await;
    said.unwrap_or_else(|error| panic!("{error}"));
    shows(&stage, &operator, 1).await;
}
