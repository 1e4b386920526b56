//! The whole way: the operator shows a plan, the plugin approves it, and the operator deletes exactly that.

use super::*;
use crate::fixture::{Fixture, desktop};

#[tokio::test]
async fn a_plan_of_the_operator_is_approved_and_carried_out() {
    let fixture = Fixture::set("plugin-whole", &[desktop("pc-1"), desktop("pc-2")]).await;
    let kubeconfig = fixture.control_plane.kubeconfig_path().to_owned();
    let desk = PluginUser::with(fixture.namespace.clone(), kubeconfig);
    let guardrails = json!({"guardrails": {"approval": "Required"}});
    fixture.change_project("prod", guardrails).await;
    let _operator = fixture.operator(&[]);
    fixture.request("leavers", &["pc-1", "pc-2", "gone"]).await;
    let on_show = |status: &Value| status["plan"]["hash"].is_string();
    fixture.until("leavers", "the plan is on show", on_show).await;

    let ran = desk.run(&["plan", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("2 to delete, 1 absent, 0 blocked"), "{ran:?}");
    assert_eq!(fixture.posts().len(), 0);
    let ran = desk.run(&["approve", "leavers"], "y\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = desk.run(&["wait", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = desk.run(&["diff", "leavers"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");

    let status = fixture.status("leavers").await;
    assert_eq!(status["attempts"][0]["planHash"], status["approved"]["hash"]);
    assert_eq!(fixture.posts().len(), 1);
    assert_eq!(status["summary"]["deleted"], 2);
}
