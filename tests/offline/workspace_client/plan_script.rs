//! The script of docs/approval.md computes the hash of a plan from what the cloud answers, and so does the operator.

use std::fs;
use std::path::Path;
use std::process::Command;

use desktop_deletion_operator::ids::{ProjectID, ProjectKey};
use desktop_deletion_operator::plan::plan_hash::{PlannedDesktop, plan_hash};
use serde_json::{Value, json};

use super::server::{Behaviour, Server, answer as answered};
use super::{ALICE, BOB, desktop, workspace};
use crate::plan::build::untouched;

/// The only block of Python in the page.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/approval.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// What the script prints.
fn computed(request: &Value, project: &Value, answer: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let output = Command::new("python3")
        .arg(write("plan-hash.py", script()))
        .arg(write("request.json", request.to_string()))
        .arg(write("project.json", project.to_string()))
        .arg(write("desktops.json", answer.to_string()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the operator makes of the same response.
async fn planned(endpoint: &str, answer: &Value) -> String {
    let body = answer.to_string();
    let server = Server::start(Behaviour::Answer(answered(200, "", body.as_bytes()))).await;
    let ids = [desktop(BOB), desktop(ALICE)];
    let page = workspace(&server).list_desktops(&ids).await.unwrap().value;
    let desktops: Vec<_> = page
        .desktops
        .iter()
        .map(|desktop| PlannedDesktop::of(&desktop.id, &desktop.facts))
        .collect();
    assert_eq!(desktops.len(), 2);
    let project = ProjectKey::of(endpoint, &ProjectID::try_from("ABCDEF0123").unwrap());
    let mut request = untouched("a").0.request;
    request.force = true;
    plan_hash(&request, &project, &desktops)
}

#[tokio::test]
async fn the_script_of_the_page_computes_the_hash_of_the_operator() {
    let plain = json!({"computer_name": "PC-ALICE", "user_name": "alice", "created": "2022-02-23 04:02:07"});
    let group = json!([
        {"user_name": "bob"},
        {"user_name": "bob", "type": "GROUP"},
        {"user_name": "alice", "type": "USER"},
    ]);
    let request = json!({
        "metadata": {"uid": "request-1"},
        "spec": {"deleteUsers": false, "emailNotification": true, "force": true},
    });
    let here = json!({"region": "ap-southeast-1", "projectID": "ABCDEF0123"});
    let elsewhere = json!({
        "region": "other", "projectID": "ABCDEF0123", "endpoint": "https://Desktops.Example:443/",
    });
    for (what, place, facts) in [
        ("all is given", &here, plain.clone()),
        ("an endpoint of its own", &elsewhere, plain.clone()),
        (
            "users and groups",
            &here,
            json!({"computer_name": "", "user_name": "bob", "attach_user_infos": group}),
        ),
        ("nothing is given", &here, json!({})),
        (
            "null is not given",
            &here,
            json!({"computer_name": null, "user_name": null, "created": null}),
        ),
        (
            "one user of one",
            &here,
            json!({"user_name": "alice", "attach_user_infos": [{"user_name": "alice"}]}),
        ),
        ("nobody", &here, json!({"user_name": "", "attach_user_infos": []})),
        (
            "a desktop of a pool",
            &here,
            json!({"user_name": "bob", "desktop_type": "POOLED", "created": "2022-01-21T06:57:47.459Z"}),
        ),
        (
            "characters that JSON escapes, and others",
            &here,
            json!({"computer_name": "a\"b\\c/d\u{e9}\u{1f5d1}", "user_name": "张三"}),
        ),
    ] {
        let row = |id: &str, facts: &Value| {
            let mut row = facts.clone();
            row["desktop_id"] = json!(id);
            row
        };
        let answer =
            json!({"total_count": 2, "desktops": [row(BOB, &facts), row(&ALICE.to_uppercase(), &plain)]});
        let endpoint = place["endpoint"]
            .as_str()
            .unwrap_or("https://workspace.ap-southeast-1.myhuaweicloud.com");
        assert_eq!(
            computed(&request, &json!({"spec": place}), &answer),
            planned(endpoint, &answer).await,
            "{what}"
        );
    }
}
