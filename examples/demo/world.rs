//! The simulated cloud of the demo: one account, a key that may do everything and one that may not delete.

use desktop_deletion_operator::crd::deletion::DesktopState;
use serde_json::{Value, json};

use crate::cast::{self, Project, ROLES};
use crate::samples::{Samples, name};

/// The third project, whose key lacks the right to delete.
pub(crate) const READ_ONLY_PROJECT_ID: &str = "fedcba9876543210fedcba9876543210";
/// That key.
pub(crate) const READ_ONLY_KEY: (&str, &str) =
    ("DEMOREADONLYKEY00001", "demo-read-only-secret-key-00000000000001");

/// How long the gateway honours a signature, here and in the operator's flags. Fifteen minutes in the real cloud;
/// recovery waits for its end.
pub(crate) const SIGNATURE_WINDOW: &str = "8s";

/// The world: the desktops of the cast and of the samples.
pub(crate) fn world(samples: &Samples) -> Value {
    let cast = ROLES.iter().flat_map(|role| cast_desktops(samples, role));
    let extras = samples
        .requests
        .iter()
        .flat_map(|request| sample_desktops(samples, request));
    let login = &samples.secret["stringData"];
    json!({
        "regions": [samples.region()],
        "accounts": [{
            "name": "demo",
            "accessKeys": [
                {"id": login["accessKey"], "secret": login["secretKey"]},
                {
                    "id": READ_ONLY_KEY.0,
                    "secret": READ_ONLY_KEY.1,
                    "user": "auditor",
                    "permissions": ["workspace:desktops:list*", "workspace:desktops:get", "workspace:jobs:*"],
                },
            ],
        }],
        "projects": [
            {"id": samples.open["spec"]["projectID"]},
            {"id": samples.guarded["spec"]["projectID"], "name": "guarded"},
            {"id": READ_ONLY_PROJECT_ID, "name": "read-only"},
        ],
        "desktops": cast.chain(extras).collect::<Vec<_>>(),
        "timings": {"waiting": "1s", "running": "4s", "signatureWindow": SIGNATURE_WINDOW},
    })
}

/// The desktops of one role as the world file has them.
fn cast_desktops(samples: &Samples, role: &cast::Role) -> Vec<Value> {
    let desktop = |desktop: &cast::Desktop| {
        let mut value = json!({"id": desktop.id, "name": desktop.name, "user": desktop.user()});
        value["project"] = match role.project {
            Project::Open => samples.open["spec"]["projectID"].clone(),
            Project::Guarded => samples.guarded["spec"]["projectID"].clone(),
            Project::ReadOnly => json!(READ_ONLY_PROJECT_ID),
        };
        if desktop.ends == DesktopState::Failed {
            let (code, reason) = cast::FAILURE;
            value["outcome"] = json!({"result": "failed", "errorCode": code, "failReason": reason});
        }
        value
    };
    let existing = role
        .desktops
        .iter()
        .filter(|desktop| desktop.ends != DesktopState::Absent);
    existing.map(desktop).collect()
}

/// The desktops of a sample request, each as the request expects it.
fn sample_desktops(samples: &Samples, request: &Value) -> Vec<Value> {
    let spec = &request["spec"];
    let mut projects = [&samples.open, &samples.guarded].into_iter();
    let project = projects.find(|project| spec["projectRef"]["name"] == name(project));
    let items = |field: &str| spec[field].as_array().into_iter().flatten();
    let desktop = |id: &Value| {
        let mut value = json!({"id": id});
        if let Some(project) = project {
            value["project"] = project["spec"]["projectID"].clone();
        }
        for expected in items("expected").filter(|expected| expected["id"] == *id) {
            for (field, of_world) in [("computerName", "name"), ("userName", "user")] {
                if let Some(text) = expected[field].as_str() {
                    value[of_world] = json!(text);
                }
            }
        }
        value
    };
    items("desktopIDs").map(desktop).collect()
}
