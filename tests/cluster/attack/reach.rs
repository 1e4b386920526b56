//! What the rights do not reach: through `/status` nothing but the status, and through the roles for people no status.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{ControlPlane, eventually, manifests};

use super::forged_edits::{OWNER, victim};
use super::victims::followed;
use crate::fixture::BOUND;

#[tokio::test]
async fn permission_to_write_the_status_does_not_allow_changes_to_the_rest_of_the_object() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("attack-rest").await.unwrap();
    let api = namespace.deletions();
    let before = victim(&namespace, "victim", &followed()).await.unwrap();
    let rest = json!({
        "metadata": {
            "name": "victim",
            "finalizers": ["example.com/for-ever"],
            "labels": {"team": "other"},
            "annotations": {"cloud-desktops.dev/resolve": "done=abandon"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}],
        },
        "spec": {"desktopIDs": ["d3"], "suspend": true},
    });
    let mut whole = before.clone();
    whole.metadata.finalizers = Some(vec!["example.com/for-ever".to_owned()]);
    whole.data["spec"]["desktopIDs"] = json!(["d3"]);
    let mut applied = rest.clone();
    applied["apiVersion"] = json!("cloud-desktops.dev/v1alpha1");
    applied["kind"] = json!("DesktopDeletion");

    api.replace_status("victim", &PostParams::default(), &whole)
        .await
        .unwrap();
    let merge = Patch::Merge(&rest);
    api.patch_status("victim", &PatchParams::default(), &merge)
        .await
        .unwrap();
    let owner = PatchParams::apply(&format!("{OWNER}-of-the-rest")).force();
    api.patch_status("victim", &owner, &Patch::Apply(&applied))
        .await
        .unwrap();

    let mut after = api.get("victim").await.unwrap();
    assert_eq!(after.data, before.data);
    after
        .metadata
        .managed_fields
        .clone_from(&before.metadata.managed_fields);
    after
        .metadata
        .resource_version
        .clone_from(&before.metadata.resource_version);
    assert_eq!(after.metadata, before.metadata);
}

#[tokio::test]
async fn a_new_request_has_no_status() {
    let control_plane = ControlPlane::shared().await;
    control_plane.install_crds().await.unwrap();
    let namespace = control_plane.namespace("attack-birth").await.unwrap();
    let mut manifest = manifests::desktop_deletion("victim", "prod", ["d1", "d2"]);
    manifest["status"] = followed();
    let object = serde_json::from_value(manifest).unwrap();
    let created = namespace
        .deletions()
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    assert_eq!(created.data["status"], json!({"observedGeneration": -1}));
}

/// Every permission that a role for users must not grant, and one that it must, to check that the question is asked
/// correctly.
const ROLES: [(&str, &str, &[&str]); 4] = [
    (
        "desktop-deletion-viewer",
        "list desktopdeletions",
        &[
            "approve desktopdeletions",
            "create desktopdeletions",
            "patch desktopdeletions",
            "delete desktopdeletions",
            "patch workspaceprojects",
        ],
    ),
    (
        "desktop-deletion-requester",
        "create desktopdeletions",
        &[
            "approve desktopdeletions",
            "deletecollection desktopdeletions",
            "create workspaceprojects",
            "patch workspaceprojects",
        ],
    ),
    (
        "desktop-deletion-approver",
        "approve desktopdeletions",
        &[
            "create desktopdeletions",
            "delete desktopdeletions",
            "create workspaceprojects",
            "patch workspaceprojects",
        ],
    ),
    (
        "desktop-deletion-project-admin",
        "create workspaceprojects",
        &[
            "approve desktopdeletions",
            "create desktopdeletions",
            "patch desktopdeletions",
            "delete desktopdeletions",
        ],
    ),
];

/// Permissions that none of the roles grants.
const GRANTED_TO_NO_ROLE: [&str; 9] = [
    "update desktopdeletions --subresource=status",
    "patch desktopdeletions --subresource=status",
    "update workspaceprojects --subresource=status",
    "patch workspaceprojects --subresource=status",
    "get secrets",
    "list secrets",
    "create secrets",
    "update leases",
    "create events.events.k8s.io",
];

#[tokio::test]
async fn no_role_for_users_gives_access_to_a_status_or_a_secret() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace("roles").await.unwrap();
    let other = control_plane.namespace("roles-other").await.unwrap();
    control_plane
        .deploy("deploy/base", namespace.name())
        .await
        .unwrap();
    for (role, given, denied) in ROLES {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        });
        namespace.apply(&binding).await.unwrap();
        // The API server learns of the binding by a watch.
        let bound = async || match can(control_plane, role, namespace.name(), given).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("it may not".to_owned()),
            Err(errors) => Err(errors),
        };
        eventually(&format!("{role} may {given}"), BOUND, bound)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        for right in denied.iter().chain(&GRANTED_TO_NO_ROLE) {
            assert_eq!(
                can(control_plane, role, namespace.name(), right).await,
                Ok(false),
                "{role} may not {right}"
            );
        }
        assert_eq!(
            can(control_plane, role, other.name(), given).await,
            Ok(false),
            "{role} ends with its namespace"
        );
    }
}

/// Whether a user may do `VERB RESOURCE [--subresource=NAME]` in a namespace, or what kubectl printed to standard error:
/// it may not know the resource yet.
async fn can(control_plane: &ControlPlane, user: &str, namespace: &str, right: &str) -> Result<bool, String> {
    let user = format!("--as={user}");
    let question = ["auth", "can-i", "--quiet", &user, "--namespace", namespace];
    let output = control_plane
        .kubectl(question.into_iter().chain(right.split(' ')))
        .await
        .unwrap();
    match super::errors(&output) {
        none if none.is_empty() => Ok(output.status == 0),
        some => Err(some),
    }
}
