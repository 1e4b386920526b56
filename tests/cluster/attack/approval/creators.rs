//! The policies of `deploy/self-approval`: the creator of a request cannot approve it, and the creator cannot be
//! forged.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, SERVICE_ACCOUNT, eventually};
use tokio::sync::OnceCell;

use super::approvers::operator_writes;
use super::{
    CREATIONS, CREATOR, Creation, Forgery, OTHER, PLAN, TRANSITIONS, User, WriteResult, answer, approval,
    bind, creator, known, kubectl, manifest,
};
use crate::attack::finalizer::path;
use crate::attack::forged_edits::{WRITE_METHODS, WriteMethod};
use crate::fixture::BOUND;

/// The accounts that are exempted, as a GitOps tool has one; the second one lacks the verb `approve`.
const GITOPS: &str = "system:serviceaccount:argocd:argocd-application-controller";
const UNABLE: &str = "system:serviceaccount:argocd:other";

const FORGERIES: [Forgery; 3] = [Forgery::None, Forgery::Name("zoe"), Forgery::Removal];

/// A control plane with all policies.
struct Policed {
    cluster: ControlPlane,
    namespace: Namespace,
    /// The errors for the creation of a request, and for a change of the annotation, while only the second of the two
    /// policies was installed.
    without_the_first: [String; 2],
}

impl Policed {
    async fn user(&self, name: &str) -> User {
        User::new(&self.cluster, &self.namespace, name).await
    }
}

/// Installs the policies as `deploy/README.md` says. Requests `older-*` are older than they.
async fn policed() -> &'static Policed {
    static POLICED: OnceCell<Policed> = OnceCell::const_new();
    POLICED.get_or_init(install).await
}

async fn install() -> Policed {
    let cluster = ControlPlane::start().await.unwrap();
    let apply = async |folder: &str| {
        kubectl(&cluster, &["apply", "--kustomize", &path(folder)]).await;
    };
    apply("deploy").await;
    cluster.crds_established().await.unwrap();
    let namespace = cluster.namespace("self-approval").await.unwrap();
    for user in ["alice", "bob", GITOPS] {
        bind(&namespace, user, "desktop-deletion-requester").await;
        bind(&namespace, user, "desktop-deletion-approver").await;
    }
    bind(&namespace, UNABLE, "desktop-deletion-requester").await;
    bind(&namespace, "cluster-admin", "cluster-admin").await;
    known(&cluster, &namespace).await;
    let alice = User::new(&cluster, &namespace, "alice").await;
    for (name, forgery) in [
        ("older-plain", Forgery::None),
        ("older-forged", Forgery::Name("zoe")),
    ] {
        alice.creates(Creation::Apply, name, None, forgery).await.unwrap();
    }

    apply("deploy/policies").await;
    let folder = path("deploy/self-approval");
    let rendered = kubectl(&cluster, &["kustomize", &folder]).await;
    let exempt = format!("expression: '{}'", json!([GITOPS, UNABLE]));
    assert_eq!(rendered.matches("expression: '[]'").count(), 1);
    let rendered = rendered.replace("expression: '[]'", &exempt);
    let documents = |kind: &str| {
        let documents = rendered.split("\n---\n");
        let documents = documents.filter(|document| document.contains(&format!("\nkind: {kind}")));
        documents.collect::<Vec<_>>().join("\n---\n")
    };
    let install = async |kind: &str| {
        let manifests = documents(kind);
        let applied = cluster
            .kubectl_with_input(["apply", "--filename=-"], &manifests)
            .await;
        applied.unwrap().stdout().unwrap();
    };
    install("Validating").await;
    let refused = async || {
        let created = alice.creates(Creation::GenerateName, "probe", None, Forgery::None);
        created.await.err().ok_or("it was created")
    };
    let created = until("the validating policy is in effect", refused).await;
    let forged = Patch::Merge(json!({"metadata": {"annotations": {CREATOR: "bob"}}}));
    let changed = alice
        .requests()
        .patch("older-forged", &PatchParams::default(), &forged)
        .await;
    let changed = changed.map_or_else(|error| error.to_string(), |_| "it was changed".to_owned());
    install("Mutating").await;
    let stamped = async || {
        let created = alice.creates(Creation::GenerateName, "probe", None, Forgery::None);
        created.await.map(drop)
    };
    until("the mutating policy is in effect", stamped).await;
    let nobody_approves = async || {
        let created = alice.creates(Creation::GenerateName, "probe", Some(PLAN), Forgery::None);
        created.await.err().ok_or("the approval went through")
    };
    until("the other policies are in effect", nobody_approves).await;
    Policed {
        cluster,
        namespace,
        without_the_first: [created, changed],
    }
}

async fn until<T, E: std::fmt::Display>(what: &str, look: impl AsyncFn() -> Result<T, E>) -> T {
    eventually(what, BOUND, look)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A request that one user created and, if it has a plan, another one approved.
async fn created_by(creator: &User, approver: &User, name: &str, plan: Option<&str>) -> DynamicObject {
    let object = creator.applies(name, &manifest(name, None)).await.unwrap();
    match plan {
        None => object,
        Some(_) => approver.applies(name, &manifest(name, plan)).await.unwrap(),
    }
}

#[tokio::test]
async fn users_cannot_approve_their_own_requests_even_with_a_forged_creator() {
    let policed = policed().await;
    let (alice, bob) = (policed.user("alice").await, policed.user("bob").await);
    let (gitops, unable) = (policed.user(GITOPS).await, policed.user(UNABLE).await);
    let mut wrong = Vec::new();
    let mut number = 0;
    for (case, user, by, told) in [
        ("own", &alice, &alice, WriteResult::OwnRequest),
        ("others", &bob, &alice, WriteResult::Allowed),
        ("exempt", &gitops, &gitops, WriteResult::Allowed),
        ("unable", &unable, &unable, WriteResult::MayNotApprove),
    ] {
        for (transition, before, after) in TRANSITIONS {
            for (road, forgery) in WRITE_METHODS
                .iter()
                .flat_map(|road| FORGERIES.map(|forgery| (*road, forgery)))
            {
                number += 1;
                let name = format!("{case}-{transition}-{number}");
                let object = created_by(by, &bob, &name, before).await;
                let result = user.writes(road, &object, after, forgery).await;
                let result = result.map_err(|error| error.to_string());
                let approves = after.is_some() && after != before;
                let expected = if approves { told } else { WriteResult::Allowed };
                let found = answer(&user.name, &name, &result);
                if found != Ok(expected) {
                    wrong.push(format!("{case}, {transition}, {road:?}, {forgery:?}: {found:?}"));
                }
                let now = user.requests().get(&name).await.unwrap();
                let plan = if expected == WriteResult::Allowed {
                    after
                } else {
                    before
                };
                if (creator(&now), approval(&now)) != (Some(&*by.name), plan) {
                    let found = (creator(&now), approval(&now));
                    wrong.push(format!(
                        "{case}, {transition}, {road:?}, {forgery:?}: left {found:?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {number} tries:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_new_request_is_annotated_with_its_creator_and_has_no_approval() {
    let policed = policed().await;
    let mut wrong = Vec::new();
    for (user, told) in [
        ("alice", WriteResult::OwnRequest),
        (GITOPS, WriteResult::Allowed),
        (UNABLE, WriteResult::MayNotApprove),
    ] {
        let person = policed.user(user).await;
        for creation in CREATIONS {
            for (number, plan) in [None, Some(PLAN)].into_iter().enumerate() {
                for (other, forgery) in FORGERIES.into_iter().enumerate() {
                    let short = user.rsplit(':').next().unwrap();
                    let name = format!("{short}-{creation:?}-{number}-{other}").to_lowercase();
                    let result = person.creates(creation, &name, plan, forgery).await;
                    let expected = if plan.is_some() {
                        told
                    } else {
                        WriteResult::Allowed
                    };
                    let found = answer(user, &name, &result);
                    if found != Ok(expected) {
                        wrong.push(format!("{user}, {creation:?}, {plan:?}, {forgery:?}: {found:?}"));
                    }
                    if let Ok(object) = &result
                        && ((creator(object), approval(object)) != (Some(user), plan)
                            || object.metadata.annotations.as_ref().unwrap().len() != forgery.annotations())
                    {
                        wrong.push(format!(
                            "{user}, {creation:?}, {forgery:?}: left {:?}",
                            object.metadata.annotations
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn kubectl_replace_neither_approves_nor_removes_the_creator() {
    let policed = policed().await;
    let (alice, bob) = (policed.user("alice").await, policed.user("bob").await);
    let (cluster, name) = (&policed.cluster, "replaced");
    let replace = ["replace", "--filename=-"];
    alice
        .kubectl(cluster, &["create", "--filename=-"], &manifest(name, None))
        .await
        .unwrap();
    let refused = alice
        .kubectl(cluster, &replace, &manifest(name, Some(PLAN)))
        .await;
    assert_eq!(answer("alice", name, &refused), Ok(WriteResult::OwnRequest));
    bob.kubectl(cluster, &replace, &manifest(name, Some(OTHER)))
        .await
        .unwrap();
    let refused = alice
        .kubectl(cluster, &replace, &manifest(name, Some(PLAN)))
        .await;
    assert_eq!(answer("alice", name, &refused), Ok(WriteResult::OwnRequest));
    alice
        .kubectl(cluster, &replace, &manifest(name, None))
        .await
        .unwrap();
    let object = bob.requests().get(name).await.unwrap();
    assert_eq!((creator(&object), approval(&object)), (Some("alice"), None));
}

#[tokio::test]
async fn requests_that_are_older_than_the_policies_cannot_get_a_forged_creator() {
    let policed = policed().await;
    let (alice, bob) = (policed.user("alice").await, policed.user("bob").await);
    for (user, road) in [&alice, &bob]
        .iter()
        .flat_map(|user| WRITE_METHODS.map(|road| (*user, road)))
    {
        for forgery in [Forgery::None, Forgery::Name("zoe")] {
            let before = bob.requests().get("older-plain").await.unwrap();
            let patched = match road {
                // A JSON patch adds to a map that is there only.
                WriteMethod::JsonPatch if forgery != Forgery::None => continue,
                road => user.writes(road, &before, Some(PLAN), forgery).await,
            };
            let patched = patched.map_err(|error| error.to_string());
            let found = answer(&user.name, "older-plain", &patched);
            assert_eq!(found, Ok(WriteResult::UnknownCreator), "{road:?}, {forgery:?}");
        }
    }
    let annotations = json!({CREATOR: "zoe", "example.com/note": "a"});
    let object = merge(
        &alice,
        "older-plain",
        json!({"metadata": {"annotations": annotations}}),
    )
    .await;
    assert_eq!(creator(&object), None);
    // The exempted account needs no creator.
    let gitops = policed.user(GITOPS).await;
    let object = merge(&gitops, "older-plain", json!({"spec": {"approvedPlan": PLAN}})).await;
    assert_eq!(approval(&object), Some(PLAN));

    // What it said of itself before stays, as docs/security.md says.
    let remove = json!({"metadata": {"annotations": {CREATOR: null}}});
    let object = merge(&bob, "older-forged", remove).await;
    assert_eq!(creator(&object), Some("zoe"));
}

async fn merge(user: &User, name: &str, patch: Value) -> DynamicObject {
    let parameters = PatchParams::default();
    let patched = user
        .requests()
        .patch(name, &parameters, &Patch::Merge(patch))
        .await;
    patched.unwrap()
}

#[tokio::test]
async fn without_the_mutating_policy_no_request_is_created_and_no_creator_changed() {
    for refused in &policed().await.without_the_first {
        for text in [
            "'deny-self-approval.cloud-desktops.dev'",
            "must name the user who creates the request, and cannot be changed",
            "The policy stamp-creator.cloud-desktops.dev sets it",
            "a cluster administrator must check that it is installed",
        ] {
            assert!(refused.contains(text), "{refused}");
        }
    }
}

#[tokio::test]
async fn applying_a_request_again_with_a_gitops_tool_changes_nothing() {
    let policed = policed().await;
    let (gitops, name) = (policed.user(GITOPS).await, "again");
    let manifest = manifest(name, Some(PLAN));
    gitops.applies(name, &manifest).await.unwrap();
    let on_the_server = async || gitops.applies(name, &manifest).await.unwrap();
    let by_the_client = async || {
        let apply = ["apply", "--filename=-"];
        gitops.kubectl(&policed.cluster, &apply, &manifest).await.unwrap();
        gitops.requests().get(name).await.unwrap()
    };
    let version = |object: &DynamicObject| object.metadata.resource_version.clone();
    // When it is applied again for the first time, an annotation changes its owner or is added.
    let first = on_the_server().await;
    assert_eq!(version(&on_the_server().await), version(&first));
    let first = by_the_client().await;
    let last = by_the_client().await;
    assert_eq!(version(&last), version(&first));
    assert_eq!((creator(&last), approval(&last)), (Some(GITOPS), Some(PLAN)));
}

#[tokio::test]
async fn the_operator_writes_an_approved_request_under_all_policies() {
    let policed = policed().await;
    let namespace = policed.cluster.namespace("self-approval-operator").await.unwrap();
    policed
        .cluster
        .deploy("deploy/base", namespace.name())
        .await
        .unwrap();
    for user in ["alice", "bob"] {
        bind(&namespace, user, "desktop-deletion-requester").await;
        bind(&namespace, user, "desktop-deletion-approver").await;
    }
    known(&policed.cluster, &namespace).await;
    let alice = User::new(&policed.cluster, &namespace, "alice").await;
    let bob = User::new(&policed.cluster, &namespace, "bob").await;
    created_by(&alice, &bob, "leavers", Some(PLAN)).await;
    let account = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", namespace.name());
    operator_writes(
        &User::new(&policed.cluster, &namespace, &account).await,
        "leavers",
    )
    .await;
}
