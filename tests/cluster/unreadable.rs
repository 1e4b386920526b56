//! A namespace that the operator serves but lacks permission to read delays other requests no longer than an earlier
//! call from there could take effect, and they report it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testkit::{Cloud, Namespace, SERVICE_ACCOUNT, eventually, manifests};
use tokio::time::Instant;

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::doubt;
use crate::fixture::{BOUND, Fixture, Running, condition, desktop, endless, message, pair, says};
use crate::shutdown::answers;

const ROLE: &str = "desktop-deletion-operator";
const SECRETS_ROLE: &str = "desktop-deletion-operator-secrets";

/// A namespace with the roles of the operator, which are not yet bound to the operator of the fixture, and with a
/// project.
async fn another_namespace(fixture: &Fixture, name: &str) -> Namespace {
    let other = fixture.control_plane.namespace(name).await.unwrap();
    fixture
        .control_plane
        .deploy("deploy/base", other.name())
        .await
        .unwrap();
    other.apply(&fixture.cloud.secret("login")).await.unwrap();
    let project = fixture.cloud.project("prod", "login");
    other.apply(&project).await.unwrap();
    other
}

/// Gives the operator of the fixture a role in another namespace.
async fn bind(fixture: &Fixture, other: &Namespace, role: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": format!("other-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": fixture.namespace.name()}],
    });
    other.apply(&binding).await.unwrap();
}

async fn unbind(other: &Namespace, role: &str) {
    let bindings = other.api::<RoleBinding>();
    let name = format!("other-{role}");
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// Waits until the API server acts by that.
async fn may_list(fixture: &Fixture, other: &Namespace, expected: bool) {
    let operator = format!(
        "--as=system:serviceaccount:{}:{SERVICE_ACCOUNT}",
        fixture.namespace.name()
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
        let may = fixture.control_plane.kubectl(arguments).await.unwrap().status == 0;
        if may == expected { Ok(()) } else { Err(may) }
    };
    eventually("the permission is as expected", BOUND, look)
        .await
        .unwrap();
}

fn operator(fixture: &Fixture, other: &Namespace, flags: &[&str]) -> Running {
    let watched = format!("--namespaces={},{}", fixture.namespace.name(), other.name());
    fixture.operator(&[&[watched.as_str()], flags].concat())
}

/// Waits until a request says that the namespace cannot be read, and gives its message.
async fn reported(fixture: &Fixture, name: &str, other: &Namespace) -> String {
    let unreadable = |status: &Value, kind| condition(status, kind)["reason"] == "NamespaceUnreadable";
    let decided = |status: &Value| unreadable(status, Stalled) || status["completionTime"].is_string();
    let status = fixture.until(name, "it says so, or has ended", decided).await;
    for kind in [Submitted, Stalled] {
        assert!(unreadable(&status, kind), "{status:#}");
        let message = message(&status, kind);
        for part in [other.name(), "list desktopdeletions", "deploy/README.md"] {
            assert!(message.contains(part), "{message}");
        }
    }
    message(&status, Stalled)
}

async fn shows(fixture: &Fixture, operator: &Running, unreadable: usize) {
    let line = format!("desktop_deletion_unreadable_namespaces {unreadable}");
    let look = async || {
        let metrics = answers(fixture, operator, "/metrics", 200).await;
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
    let fixture = Fixture::set("readable", &[desktop("pc-1")]).await;
    let other = another_namespace(&fixture, "unreadable").await;
    let first = operator(&fixture, &other, &[]);
    let leaver = fixture.request("leaver", &["pc-1"]).await;
    let created = leaver.metadata.creation_timestamp.unwrap().0;
    let message = reported(&fixture, "leaver", &other).await;
    let (_, until) = message.split_once("until about ").unwrap();
    let until: Timestamp = until.split_once(',').unwrap().0.parse().unwrap();
    let left = until.duration_since(created);
    assert!(
        left > SignedDuration::from_hours(23),
        "the life of a token: {left}"
    );
    shows(&fixture, &first, 1).await;
    let lacks = |kind: &str| format!("{kind} failed: the operator lacks permission to list {kind}");
    let refused = ["desktopdeletions", "workspaceprojects"].map(lacks);
    let look = async || {
        let ready = answers(&fixture, &first, "/readyz", 500).await;
        if refused.iter().all(|why| ready.contains(why)) {
            Ok(())
        } else {
            Err(ready)
        }
    };
    let named = eventually("both lists are refused", BOUND, look).await;
    named.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    assert_eq!(first.stopped().await, 0);

    // The longer of both lives, the job visibility timeout of a second, and three times the allowance of three.
    let life = Duration::from_secs(8 + 1 + 9);
    let flags = [
        "--token-life=5s",
        "--signature-window=8s",
        "--max-signature-age=3s",
        "--clock-skew=3s",
    ];
    let began = Instant::now();
    let _second = operator(&fixture, &other, &flags);
    let status = fixture.completed("leaver").await;
    assert!(began.elapsed() >= life, "{:?}", began.elapsed());
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
}

#[tokio::test]
async fn a_lost_response_is_resolved_although_a_namespace_cannot_be_read() {
    let fixture = Fixture::set("lost-reader", &[desktop("pc-1")]).await;
    let other = another_namespace(&fixture, "unreadable-too").await;
    let fault = doubt::lost("pc-1", true, &json!("reset"));
    fixture.cloud.add_fault(&fault).unwrap();
    let flags = [doubt::FLAGS, &["--token-life=5s"]].concat();
    let _operator = operator(&fixture, &other, &flags);
    fixture.request("leaver", &["pc-1"]).await;
    // Whether a request there has the job cannot be asked.
    let status = fixture.completed("leaver").await;
    assert_eq!(
        says(&status, Submitted),
        pair("True", "JobRecovered"),
        "{status:#}"
    );
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn a_request_in_flight_keeps_its_desktop_when_its_namespace_can_be_read_again() {
    let mut world = Cloud::world();
    world["switches"] = json!({"repeatedDesktop": "accept"});
    let fixture = Fixture::set_with("reader", world, &[endless("pc-1"), desktop("pc-2")]).await;
    let other = another_namespace(&fixture, "lost-right").await;
    for role in [ROLE, SECRETS_ROLE] {
        bind(&fixture, &other, role).await;
    }
    let first = operator(&fixture, &other, &[]);
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
    may_list(&fixture, &other, false).await;

    let second = operator(&fixture, &other, &[]);
    fixture.request("leaver", &["pc-1"]).await;
    fixture.request("unconcerned", &["pc-2"]).await;
    reported(&fixture, "leaver", &other).await;
    reported(&fixture, "unconcerned", &other).await;
    bind(&fixture, &other, ROLE).await;
    let status = fixture.completed("unconcerned").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    let status = fixture.reason("leaver", Submitted, "Overlap").await;
    assert!(
        message(&status, Submitted).contains("reserved by a DesktopDeletion in another namespace"),
        "{status:#}"
    );
    assert_eq!(says(&status, Stalled), pair("absent", "absent"), "{status:#}");
    shows(&fixture, &second, 0).await;
    assert_eq!(fixture.posts().len(), 2);
}

#[tokio::test]
async fn projects_that_cannot_be_listed_are_reported_and_do_not_delay_other_namespaces() {
    let fixture = Fixture::set("lister", &[desktop("pc-1"), desktop("pc-2")]).await;
    let other = another_namespace(&fixture, "no-projects").await;
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
        bind(&fixture, &other, role).await;
    }
    let operator = operator(&fixture, &other, &[]);
    let there = manifests::desktop_deletion("leaver", "prod", ["pc-2"]);
    other.apply(&there).await.unwrap();
    fixture.request("leaver", &["pc-1"]).await;
    let status = fixture.completed("leaver").await;
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
    let said = eventually("the missing permission is named", BOUND, look).await;
    said.unwrap_or_else(|error| panic!("{error}"));
    shows(&fixture, &operator, 1).await;
}
