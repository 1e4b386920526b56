//! The API server refuses a call that the operator needs, by RBAC, a policy or a webhook that is down: the request says so
//! in the API server's words, and goes on once it may.

use k8s_openapi::api::rbac::v1::Role;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::{SERVICE_ACCOUNT, eventually};

use desktop_deletion_operator::crd::conditions::ConditionType::{Stalled, Submitted, Succeeded};

use crate::fixture::{BOUND, Fixture, condition, desktop, message, pair, says};

const GROUP: &str = "admissionregistration.k8s.io/v1";

/// The requests that the policies here apply to: changes of requests, except of their status.
fn changes_of_requests() -> Value {
    json!({
        "apiGroups": ["cloud-desktops.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["desktopdeletions"],
    })
}

fn only(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}

/// A policy for a namespace that refuses what the expression does not hold for, and its binding.
fn policy(namespace: &str, expression: &str, words: &str) -> Vec<Value> {
    let validation = json!({"expression": expression, "message": words});
    let policy = json!({
        "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": namespace},
        "spec": {
            "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [changes_of_requests()]},
            "validations": [validation],
        },
    });
    let binding = json!({
        "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": only(namespace)},
        },
    });
    vec![policy, binding]
}

/// A webhook for a namespace that has no server.
fn webhook_that_is_down(namespace: &str) -> Vec<Value> {
    let webhook = json!({
        "name": "down.test.example", "clientConfig": {"url": "https://127.0.0.1:1/"}, "failurePolicy": "Fail",
        "rules": [changes_of_requests()], "namespaceSelector": only(namespace), "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    });
    vec![json!({
        "apiVersion": GROUP, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": namespace},
        "webhooks": [webhook],
    })]
}

async fn kubectl(fixture: &Fixture, verb: &str, objects: &[Value]) {
    for object in objects {
        let arguments = [verb, "--filename=-"];
        let manifest = object.to_string();
        let done = fixture.control_plane.kubectl_with_input(arguments, &manifest);
        done.await.unwrap().stdout().unwrap();
    }
}

/// Waits until such a change of a request is refused with these words: the API server takes a policy up when it likes.
async fn is_refused(fixture: &Fixture, name: &str, finalizers: Value, words: &str) {
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let look = async || match fixture.requests().patch(name, &dry, &patch).await {
        Err(error) if error.to_string().contains(words) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let refused = eventually("the API server refuses it", BOUND, look).await;
    refused.unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until the request is stalled by an error with these words, and returns its status.
async fn denied(fixture: &Fixture, words: &[&str]) -> Value {
    let what = format!("Stalled says AccessDenied with {words:?}");
    let denied = |status: &Value| {
        let message = message(status, Stalled);
        condition(status, Stalled)["reason"] == "AccessDenied"
            && words.iter().all(|part| message.contains(part))
    };
    fixture.until("leaver", &what, denied).await
}

/// The request goes on, and ends well after one submission.
async fn goes_on(fixture: &Fixture) {
    let status = fixture.completed("leaver").await;
    assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
    assert!(condition(&status, Stalled).is_null(), "{status:#}");
    assert_eq!(fixture.posts().len(), 1);
}

/// What keeps the operator's finalizer off a new request says so with these words.
async fn is_reported_at_the_start(fixture: &Fixture, obstacle: &[Value], words: &str) {
    kubectl(fixture, "create", obstacle).await;
    let suspended = json!({"suspend": true});
    fixture.request_with("probe", &["pc-1"], suspended).await;
    is_refused(fixture, "probe", json!(["test.example/probe"]), words).await;
    fixture.delete("probe").await;

    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = denied(fixture, &["add the finalizer", words]).await;
    let submitted = says(&status, Submitted);
    assert_eq!(submitted, pair("False", "AccessDenied"), "{status:#}");
    assert_eq!(fixture.posts(), Vec::<Value>::new());
    kubectl(fixture, "delete", obstacle).await;
    goes_on(fixture).await;
}

#[tokio::test]
async fn a_policy_that_refuses_the_finalizer_is_reported_with_its_message() {
    let fixture = Fixture::set("no-finalizers", &[desktop("pc-1")]).await;
    let (rule, words) = ("!has(object.metadata.finalizers)", "no finalizers today");
    let policy = policy(fixture.namespace.name(), rule, words);
    is_reported_at_the_start(&fixture, &policy, words).await;
}

#[tokio::test]
async fn a_webhook_that_is_down_is_reported_like_a_policy_that_refuses() {
    let fixture = Fixture::set("webhook-down", &[desktop("pc-1")]).await;
    let webhook = webhook_that_is_down(fixture.namespace.name());
    is_reported_at_the_start(&fixture, &webhook, "failed calling webhook").await;
}

#[tokio::test]
async fn a_policy_that_prevents_the_removal_of_the_finalizer_is_reported_with_its_message() {
    let fixture = Fixture::set("kept-finalizers", &["pc-1", "pc-2"].map(desktop)).await;
    // The operator may add its finalizer, and only its removal is refused.
    let rule = "has(object.metadata.finalizers) || !has(oldObject.metadata.finalizers)";
    let words = "finalizers stay today";
    let policy = policy(fixture.namespace.name(), rule, words);
    kubectl(&fixture, "create", &policy).await;
    let suspended = json!({"suspend": true});
    fixture.request_with("probe", &["pc-2"], suspended).await;
    let finalizers = Patch::Merge(json!({"metadata": {"finalizers": ["test.example/probe"]}}));
    let parameters = PatchParams::default();
    let patched = fixture.requests().patch("probe", &parameters, &finalizers).await;
    patched.unwrap();
    is_refused(&fixture, "probe", Value::Null, words).await;

    let _operator = fixture.operator(&[]);
    fixture.request("leaver", &["pc-1"]).await;
    let status = denied(&fixture, &["remove the finalizer", words]).await;
    let submitted = says(&status, Submitted);
    assert_eq!(submitted, pair("True", "JobAccepted"), "{status:#}");
    kubectl(&fixture, "delete", &policy).await;
    goes_on(&fixture).await;
}

/// Sets the verbs that the operator has on a kind, and waits until the API server acts by that.
async fn allow(fixture: &Fixture, kind: &str, verbs: &[&str], all: &[&str]) {
    let roles = fixture.namespace.api::<Role>();
    let mut role = roles.get("desktop-deletion-operator").await.unwrap();
    for rule in role.rules.iter_mut().flatten() {
        if rule.resources.iter().flatten().any(|resource| resource == kind) {
            rule.verbs = verbs.iter().map(ToString::to_string).collect();
        }
    }
    let parameters = PostParams::default();
    let replaced = roles.replace("desktop-deletion-operator", &parameters, &role);
    replaced.await.unwrap();
    let namespace = fixture.namespace.name();
    let account = format!("--as=system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}");
    for verb in all {
        let expected = verbs.contains(verb);
        let look = async || {
            let ask = [
                "auth",
                "can-i",
                "--quiet",
                &account,
                "--namespace",
                namespace,
                verb,
                kind,
            ];
            let may = fixture.control_plane.kubectl(ask).await.unwrap().status == 0;
            if may == expected { Ok(()) } else { Err(may) }
        };
        eventually("the permission is as expected", BOUND, look)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_missing_permission_is_reported_with_the_message_of_the_api_server() {
    let requests = ["get", "list", "watch", "patch"];
    let projects = ["get", "list", "watch"];
    for (number, (kind, all, missing, words)) in [
        (
            "workspaceprojects",
            &projects[..],
            &["get"][..],
            r#"cannot get resource "workspaceprojects""#,
        ),
        (
            "desktopdeletions",
            &requests[..],
            &["patch"],
            r#"cannot patch resource "desktopdeletions""#,
        ),
        // It cannot be read live before the report either.
        (
            "desktopdeletions",
            &requests[..],
            &["get", "patch"],
            r#"cannot patch resource "desktopdeletions""#,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let fixture = Fixture::set(&format!("missing-right-{number}"), &[desktop("pc-1")]).await;
        let left: Vec<_> = all
            .iter()
            .copied()
            .filter(|verb| !missing.contains(verb))
            .collect();
        allow(&fixture, kind, &left, all).await;
        let _operator = fixture.operator(&[]);
        fixture.request("leaver", &["pc-1"]).await;
        denied(&fixture, &[words]).await;
        assert_eq!(fixture.posts(), Vec::<Value>::new());
        allow(&fixture, kind, all, all).await;
        goes_on(&fixture).await;
    }
}
