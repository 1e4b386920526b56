//! The whole way: the operator shows a plan, the plugin approves it, and the operator deletes exactly that.

use super::*;
use crate::stage::{Stage, desktop};

#[tokio::test]
async fn a_plan_of_the_operator_is_approved_and_carried_out() {
    let stage = Stage::set("plugin-whole", &[desktop("pc-1"), desktop("pc-2")]).await;
    let kubeconfig = stage.control_plane.kubeconfig_path().to_owned();
    let desk = Desk::with(stage.namespace.clone(), kubeconfig);
    let guardrails = json!({"guardrails": {"approval": "Required"}});
    stage.change_project("prod", guardrails).await;
    let _operator = stage.operator(&[]);
    stage.request("leavers", &["pc-1", "pc-2", "gone"]).await;
    let on_show = |status: &Value| status["plan"]["hash"].is_string();
    stage.until("leavers", "the plan is on show", on_show).await;

    let ran = desk.run(&["plan", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("2 to delete, 1 absent, 0 blocked"), "{ran:?}");
    assert_eq!(stage.posts().len(), 0);
    let ran = desk.run(&["approve", "leavers"], "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = desk.run(&["wait", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = desk.run(&["diff", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");

    let status = stage.status("leavers").await;
    assert_eq!(status["attempts"][0]["planHash"], status["approved"]["hash"]);
    assert_eq!(stage.posts().len(), 1);
    assert_eq!(status["summary"]["deleted"], 2);
}
