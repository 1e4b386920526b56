//! The policy `approve`: users without the verb cannot approve, and every user with write permission can withdraw an
//! approval.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{ControlPlane, Namespace, SERVICE_ACCOUNT, eventually};
use tokio::sync::OnceCell;

use super::{
    CREATIONS, Creation, Forgery, OTHER, PLAN, TRANSITIONS, User, WriteResult, answer, approval, bind, grant,
    known, manifest,
};
use crate::attack::finalizer::policed;
use crate::attack::forged_edits::WRITE_METHODS;
use crate::attack::victims::waiting;
use crate::fixture::BOUND;
use crate::plugin::{self, PluginUser};

/// What the rights of a user come to.
struct Person {
    user: User,
    creates: bool,
    updates: bool,
    approves: Approves,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Approves {
    Nothing,
    /// The requests that the test names in the Role of this user.
    Named,
    Everything,
}

/// A control plane with `deploy/policies`, whose policy `approve` is in effect.
async fn approving() -> &'static ControlPlane {
    static IN_EFFECT: OnceCell<()> = OnceCell::const_new();
    let cluster = policed().await;
    IN_EFFECT
        .get_or_init(async || {
            let namespace = cluster.namespace("approve-probe").await.unwrap();
            bind(&namespace, "nobody", "desktop-deletion-requester").await;
            known(cluster, &namespace).await;
            let nobody = User::new(cluster, &namespace, "nobody").await;
            let refused = async || {
                let created = nobody.creates(Creation::GenerateName, "probe", Some(PLAN), Forgery::None);
                created.await.err().ok_or("the approval went through")
            };
            eventually("the policy is in effect", BOUND, refused)
                .await
                .unwrap_or_else(|error| panic!("{error}"));
        })
        .await;
    cluster
}

/// Every mixture of rights, in a namespace and beyond.
async fn people(cluster: &ControlPlane, namespace: &Namespace, other: &Namespace) -> Vec<Person> {
    let (requester, approver) = ("desktop-deletion-requester", "desktop-deletion-approver");
    let rule = |verbs: &[&str]| json!([{"apiGroups": ["cloud-desktops.dev"], "resources": ["desktopdeletions"], "verbs": verbs}]);
    let named = |names: Vec<String>| {
        let mut rules = rule(&["approve"]);
        rules[0]["resourceNames"] = json!(names);
        rules
    };

    bind(namespace, "requester", requester).await;
    bind(namespace, "approver", approver).await;
    for role in [requester, approver] {
        bind(namespace, "both", role).await;
    }
    bind(namespace, "elsewhere", requester).await;
    bind(other, "elsewhere", approver).await;
    bind(namespace, "named", requester).await;
    grant(namespace, "named", named(names("named"))).await;
    bind(namespace, "misnamed", requester).await;
    grant(namespace, "misnamed", named(names("named"))).await;
    bind(namespace, "of-status", requester).await;
    let mut of_status = rule(&["approve"]);
    of_status[0]["resources"] = json!(["desktopdeletions/status", "workspaceprojects"]);
    grant(namespace, "of-status", of_status).await;
    grant(namespace, "verb-only", rule(&["get", "approve"])).await;
    grant(namespace, "wildcard", rule(&["*"])).await;
    bind(namespace, "cluster-admin", "cluster-admin").await;
    known(cluster, namespace).await;

    let mut people = Vec::new();
    for (name, creates, updates, approves) in [
        ("requester", true, true, Approves::Nothing),
        ("approver", false, true, Approves::Everything),
        ("both", true, true, Approves::Everything),
        ("elsewhere", true, true, Approves::Nothing),
        ("named", true, true, Approves::Named),
        ("misnamed", true, true, Approves::Nothing),
        ("of-status", true, true, Approves::Nothing),
        ("verb-only", false, false, Approves::Everything),
        // `*` means every verb, also one that Kubernetes does not know.
        ("wildcard", true, true, Approves::Everything),
        ("cluster-admin", true, true, Approves::Everything),
    ] {
        people.push(Person {
            user: User::new(cluster, namespace, name).await,
            creates,
            updates,
            approves,
        });
    }
    people
}

/// Names of all requests that the tables make for a user.
fn names(user: &str) -> Vec<String> {
    let written = TRANSITIONS
        .iter()
        .flat_map(|(what, ..)| WRITE_METHODS.map(|road| format!("{user}-{what}-{road:?}").to_lowercase()));
    let created = CREATIONS.map(|creation| format!("{user}-{creation:?}").to_lowercase());
    written.chain(created).collect()
}

#[tokio::test]
async fn only_users_with_the_verb_can_approve_and_every_user_can_withdraw_an_approval() {
    let cluster = approving().await;
    let namespace = cluster.namespace("approve").await.unwrap();
    let other = cluster.namespace("approve-other").await.unwrap();
    let admin = User::new(cluster, &namespace, "cluster-admin").await;
    let people = people(cluster, &namespace, &other).await;
    let mut wrong = Vec::new();
    let mut number = 0;
    for person in &people {
        let user = &person.user.name;
        let mut judge = |what: String,
                         name: &str,
                         expected: WriteResult,
                         plan: Option<&str>,
                         result: &Result<_, String>| {
            number += 1;
            match answer(user, name, result) {
                Ok(found) if found == expected => {
                    let kept = result.as_ref().map(approval);
                    if kept.is_ok_and(|kept| kept != plan) {
                        wrong.push(format!(
                            "{user}, {what}: left {:?}",
                            approval(result.as_ref().unwrap())
                        ));
                    }
                }
                found => wrong.push(format!("{user}, {what}: {found:?} instead of {expected:?}")),
            }
        };
        for (transition, before, after) in TRANSITIONS {
            for method in WRITE_METHODS {
                let name = format!("{user}-{transition}-{method:?}").to_lowercase();
                let before_it = admin.applies(&name, &manifest(&name, before)).await.unwrap();
                let result = person.user.writes(method, &before_it, after, Forgery::None).await;
                let result = result.map_err(|error| error.to_string());
                let approves = after.is_some() && after != before;
                let expected = match person.approves {
                    _ if !person.updates => WriteResult::NoRight,
                    Approves::Nothing if approves => WriteResult::MayNotApprove,
                    _ => WriteResult::Allowed,
                };
                judge(
                    format!("{transition}, {method:?}"),
                    &name,
                    expected,
                    after,
                    &result,
                );
                if result.is_err() {
                    let after_it = admin.requests().get(&name).await.unwrap();
                    assert_eq!(after_it.data, before_it.data, "{name}");
                }
            }
        }
        for creation in CREATIONS {
            for plan in [None, Some(PLAN)] {
                let mut name = format!("{user}-{creation:?}").to_lowercase();
                if plan.is_none() {
                    name += "-unapproved";
                }
                let result = person.user.creates(creation, &name, plan, Forgery::None).await;
                // The API server makes the name up, so it is none of those in the Role.
                let unnamed = matches!(creation, Creation::GenerateName);
                let expected = match person.approves {
                    _ if !person.creates => WriteResult::NoRight,
                    _ if plan.is_none() => WriteResult::Allowed,
                    Approves::Nothing => WriteResult::MayNotApprove,
                    Approves::Named if unnamed => WriteResult::MayNotApprove,
                    Approves::Named | Approves::Everything => WriteResult::Allowed,
                };
                judge(format!("{creation:?}, {plan:?}"), &name, expected, plan, &result);
            }
        }
    }
    assert!(wrong.is_empty(), "of {number} tries:\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn kubectl_cannot_approve_without_the_verb_and_keeps_an_approval_that_is_in_the_file() {
    let cluster = approving().await;
    let namespace = cluster.namespace("approve-kubectl").await.unwrap();
    bind(&namespace, "requester", "desktop-deletion-requester").await;
    bind(&namespace, "approver", "desktop-deletion-approver").await;
    bind(&namespace, "cluster-admin", "cluster-admin").await;
    known(cluster, &namespace).await;
    let requester = User::new(cluster, &namespace, "requester").await;
    let approver = User::new(cluster, &namespace, "approver").await;
    let admin = User::new(cluster, &namespace, "cluster-admin").await;
    for (number, command) in [
        &["apply", "--filename=-"][..],
        &["apply", "--server-side", "--force-conflicts", "--filename=-"],
        &["replace", "--filename=-"],
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("leavers-{number}");
        let create = ["create", "--filename=-", "--save-config"];
        let refused = requester
            .kubectl(cluster, &create, &manifest(&name, Some(PLAN)))
            .await;
        assert_eq!(
            answer("requester", &name, &refused),
            Ok(WriteResult::MayNotApprove)
        );
        requester
            .kubectl(cluster, &create, &manifest(&name, None))
            .await
            .unwrap();
        let refused = requester
            .kubectl(cluster, command, &manifest(&name, Some(PLAN)))
            .await;
        assert_eq!(
            answer("requester", &name, &refused),
            Ok(WriteResult::MayNotApprove),
            "{command:?}"
        );

        approver
            .kubectl(cluster, command, &manifest(&name, Some(PLAN)))
            .await
            .unwrap();
        let refused = requester
            .kubectl(cluster, command, &manifest(&name, Some(OTHER)))
            .await;
        assert_eq!(
            answer("requester", &name, &refused),
            Ok(WriteResult::MayNotApprove),
            "{command:?}"
        );
        let mut suspended = manifest(&name, Some(PLAN));
        suspended["spec"]["suspend"] = json!(true);
        requester.kubectl(cluster, command, &suspended).await.unwrap();
        let object = admin.requests().get(&name).await.unwrap();
        assert_eq!(
            (approval(&object), &object.data["spec"]["suspend"]),
            (Some(PLAN), &json!(true))
        );
    }
}

#[tokio::test]
async fn the_operator_writes_an_approved_request_without_the_verb() {
    let cluster = approving().await;
    let namespace = cluster.namespace("approve-operator").await.unwrap();
    cluster.deploy("deploy/base", namespace.name()).await.unwrap();
    bind(&namespace, "cluster-admin", "cluster-admin").await;
    known(cluster, &namespace).await;
    let admin = User::new(cluster, &namespace, "cluster-admin").await;
    admin
        .applies("leavers", &manifest("leavers", Some(PLAN)))
        .await
        .unwrap();
    let account = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", namespace.name());
    operator_writes(&User::new(cluster, &namespace, &account).await, "leavers").await;
}

#[tokio::test]
async fn the_plugin_has_the_permissions_of_its_user_and_no_others() {
    let cluster = approving().await;
    let namespace = cluster.namespace("approve-plugin").await.unwrap();
    let mut desks = Vec::new();
    for role in ["requester", "approver"] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": role}});
        namespace.apply(&account).await.unwrap();
        let user = format!("system:serviceaccount:{}:{role}", namespace.name());
        bind(&namespace, &user, &format!("desktop-deletion-{role}")).await;
        let kubeconfig = cluster.service_account_kubeconfig(namespace.name(), role).await;
        desks.push(PluginUser::with(namespace.clone(), kubeconfig.unwrap()));
    }
    known(cluster, &namespace).await;
    let [requester, approver] = desks.as_slice() else {
        unreachable!("one for each role")
    };
    requester.request("leavers", &plugin::planned()).await;

    assert_eq!(requester.run(&["plan", "leavers"], "").await.code, 0);
    let refused = requester.run(&["approve", "leavers", "--yes"], "").await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.err.starts_with("Error from server (Forbidden): "),
        "{refused:?}"
    );
    let user = format!("system:serviceaccount:{}:requester", namespace.name());
    let refused: Result<(), _> = Err(refused.err);
    assert_eq!(answer(&user, "leavers", &refused), Ok(WriteResult::MayNotApprove));

    let done = approver.run(&["approve", "leavers", "--yes"], "").await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let object = namespace.deletions().get("leavers").await.unwrap();
    assert_eq!(approval(&object), Some(plugin::HASH));
}

/// The finalizer on and off, and a status, as the operator writes them.
pub(super) async fn operator_writes(operator: &User, name: &str) {
    let api = operator.requests();
    let before = api.get(name).await.unwrap();
    for finalizers in [json!([desktop_deletion_operator::crd::FINALIZER]), json!(null)] {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        api.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
    let mut object = api.get(name).await.unwrap();
    object.data["status"] = waiting();
    api.replace_status(name, &PostParams::default(), &object)
        .await
        .unwrap();
    let after = api.get(name).await.unwrap();
    assert_eq!(after.data["spec"], before.data["spec"]);
    assert_eq!(after.metadata.annotations, before.metadata.annotations);
}
