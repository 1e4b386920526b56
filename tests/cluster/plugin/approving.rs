//! `plan`, `approve` and `diff`.

use kube::api::DeleteParams;
use testkit::eventually;

use super::*;

#[tokio::test]
async fn a_plan_is_shown_and_the_exit_code_says_whether_it_is_ready() {
    let desk = PluginUser::new("plugin-plan").await;
    desk.request("ready", &planned()).await;
    let ran = desk.run(&["plan", "ddel/ready"], "").await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for line in [
        "Project:       prod\n",
        &format!("Plan:          {HASH}"),
        "DESKTOP   NAME",
        "d1        VDI-\\u{1b}[2J01   anna     Pending",
        "1 to delete, 1 absent, 0 blocked",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    let ran = desk.run(&["plan", "ready", "--output=json"], "").await;
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["plan"]["hash"], HASH);
    assert_eq!(shown["desktops"][0]["name"], "VDI-\u{1b}[2J01");

    let mut blocked = planned();
    blocked["conditions"][3] = condition("Planned", "False", "DesktopBlocked");
    blocked["plan"]["blocked"] = json!(1);
    blocked["desktops"][0]["state"] = json!("Blocked");
    desk.request("blocked", &blocked).await;
    let ran = desk.run(&["plan", "blocked"], "").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains("False (DesktopBlocked): DesktopBlocked it is"),
        "{ran:?}"
    );

    desk.namespace
        .apply(&manifests::desktop_deletion("unseen", "prod", ["d1"]))
        .await
        .unwrap();
    let ran = desk.run(&["plan", "unseen"], "").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("There is no plan."), "{ran:?}");

    let ran = desk.run(&["plan", "missing"], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(
        ran.err,
        "Error from server (NotFound): desktopdeletions.cloud-desktops.dev \"missing\" not found\n"
    );
}

#[tokio::test]
async fn the_displayed_plan_is_approved_only_after_confirmation() {
    let desk = PluginUser::new("plugin-approve").await;
    desk.request("leavers", &planned()).await;
    for no in ["n\n", "\n", "", "yesterday\n"] {
        let ran = desk.run(&["approve", "leavers"], no).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.out.contains("anna") && ran.err.contains("Approve this plan? [y/N]"),
            "{ran:?}"
        );
        assert_eq!(desk.spec("leavers").await["approvedPlan"], Value::Null, "{no:?}");
    }
    let ran = desk.run(&["approve", "leavers"], "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let done = "\ndesktopdeletion.cloud-desktops.dev/leavers approved\n";
    assert!(ran.out.ends_with(done), "{ran:?}");
    assert_eq!(desk.spec("leavers").await["approvedPlan"], HASH);

    let ran = desk.run(&["approve", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.ends_with("leavers already approved\n"), "{ran:?}");

    desk.request("other", &planned()).await;
    let ran = desk
        .run(&["approve", "other", "--yes", "--output=json"], "")
        .await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&result["approved"], &result["plan"]["hash"]),
        (&json!(true), &json!(HASH))
    );
    assert_eq!(desk.spec("other").await["approvedPlan"], HASH);
}

#[tokio::test]
async fn a_plan_that_changes_before_the_confirmation_is_not_approved() {
    let desk = PluginUser::new("plugin-newer").await;
    let mut newer = planned();
    newer["plan"]["hash"] = json!(NEWER);
    let mut blocked = planned();
    blocked["desktops"][0]["state"] = json!("Blocked");
    blocked["plan"]["blocked"] = json!(1);
    for (name, status) in [("newer", newer), ("blocked", blocked)] {
        desk.request(name, &planned()).await;
        let mut child = desk.start(&["approve", name]);
        printed(&mut child, "1 to delete, 1 absent, 0 blocked").await;
        desk.write(name, &status).await;
        let ran = ended(child, "y\n").await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.err
                .contains("the plan has changed since it was shown: nothing was approved"),
            "{ran:?}"
        );
        assert_eq!(desk.spec(name).await["approvedPlan"], Value::Null);
    }

    // An object that was created again, with the same name and the same plan.
    desk.request("again", &planned()).await;
    let mut child = desk.start(&["approve", "again"]);
    printed(&mut child, "1 to delete, 1 absent, 0 blocked").await;
    let api = desk.namespace.deletions();
    api.delete("again", &DeleteParams::default()).await.unwrap();
    desk.request("again", &planned()).await;
    let ran = ended(child, "y\n").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(desk.spec("again").await["approvedPlan"], Value::Null);
}

#[tokio::test]
async fn another_change_of_the_object_does_not_prevent_an_approval() {
    let desk = PluginUser::new("plugin-busy").await;
    desk.request("leavers", &planned()).await;
    let mut child = desk.start(&["approve", "leavers"]);
    printed(&mut child, "1 to delete, 1 absent, 0 blocked").await;
    desk.annotate("leavers", "example.com/note", "seen").await;
    let ran = ended(child, "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(desk.spec("leavers").await["approvedPlan"], HASH);
}

/// The operator does not take a hash for an approval that was written before its plan was on show.
#[tokio::test]
async fn an_approval_that_was_set_before_its_plan_was_shown_is_set_again() {
    let desk = PluginUser::new("plugin-early").await;
    let mut manifest = manifests::desktop_deletion("leavers", "prod", ["d1", "d2"]);
    manifest["spec"]["approvedPlan"] = json!(HASH);
    desk.namespace.apply(&manifest).await.unwrap();
    let mut status = planned();
    desk.write("leavers", &status).await;
    let ran = desk.run(&["approve", "leavers", "--yes"], "").await;
    assert!(ran.out.ends_with("leavers already approved\n"), "{ran:?}");

    status["refusedPlan"] = json!(HASH);
    let before = desk.write("leavers", &status).await.metadata.generation.unwrap();
    let child = desk.start(&["approve", "leavers", "--yes"]);
    // The request is never without any, so that it is not submitted meanwhile where none is required.
    let replaced = async || match desk.spec("leavers").await["approvedPlan"].clone() {
        named if named == HASH => Err(named),
        other => Ok(other),
    };
    let other = eventually("the refused approval is replaced", BOUND, replaced)
        .await
        .unwrap();
    assert!(other.is_string(), "{other}");
    // As the operator does once it has observed that.
    let forget = Patch::Merge(json!({"status": {"refusedPlan": other}}));
    let requests = desk.namespace.deletions();
    let parameters = PatchParams::default();
    requests
        .patch_status("leavers", &parameters, &forget)
        .await
        .unwrap();
    let ran = ended(child, "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let after = requests.get("leavers").await.unwrap();
    assert_eq!(after.data["spec"]["approvedPlan"], HASH);
    assert_eq!(
        after.metadata.generation,
        Some(before + 2),
        "replaced, and set again"
    );
}

#[tokio::test]
async fn a_request_that_can_no_longer_be_approved_is_reported() {
    let desk = PluginUser::new("plugin-late").await;
    let mut submitted = planned();
    submitted["attempts"] = json!([crate::crd_rules::attempt(
        "a1",
        "Pending",
        json!({"desktopIDs": ["d1"]})
    )]);
    desk.request("submitted", &submitted).await;
    desk.namespace
        .apply(&manifests::desktop_deletion("unplanned", "prod", ["d1"]))
        .await
        .unwrap();
    for (name, says) in [
        (
            "submitted",
            "the request has been submitted: an approval no longer has any effect",
        ),
        (
            "unplanned",
            "the request has no plan to approve; see the condition Planned, or set spec.suspend to true to have the plan shown",
        ),
    ] {
        let ran = desk.run(&["approve", name, "--yes"], "").await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(says), "{ran:?}");
        assert_eq!(desk.spec(name).await["approvedPlan"], Value::Null);
    }
}

#[tokio::test]
async fn the_difference_from_the_approved_plan_is_shown() {
    let desk = PluginUser::new("plugin-diff").await;
    let mut status = planned();
    desk.request("leavers", &status).await;
    let ran = desk.run(&["diff", "leavers"], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("no plan of this request has been approved"),
        "{ran:?}"
    );

    let approved =
        json!({"hash": HASH, "desktops": [{"id": "d1", "name": "VDI-\u{1b}[2J01", "users": "anna"}]});
    status["approved"] = approved;
    desk.write("leavers", &status).await;
    let ran = desk.run(&["diff", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.ends_with("No differences.\n"), "{ran:?}");

    status["plan"]["hash"] = json!(NEWER);
    status["desktops"][0]["user"] = json!("zoe");
    desk.write("leavers", &status).await;
    let ran = desk.run(&["diff", "leavers"], "").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("d1        User     anna       zoe\n"), "{ran:?}");
    let ran = desk.run(&["diff", "leavers", "--output=json"], "").await;
    let difference: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        difference["changes"],
        json!([{"id": "d1", "change": "User", "approved": "anna", "current": "zoe"}])
    );
}
