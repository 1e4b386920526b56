//! The simulated cloud of the demo: one account, a key that may do everything and one that may not delete.

use desktop_deletion_operator::crd::deletion::DesktopState;
use serde_json::{Value, json};

use crate::cast::{self, Login, ROLES};
use crate::samples::Samples;

/// The second project, whose key lacks the right to delete.
pub(crate) const READ_ONLY_PROJECT_ID: &str = "fedcba9876543210fedcba9876543210";
/// That key.
pub(crate) const READ_ONLY_KEY: (&str, &str) =
    ("DEMOREADONLYKEY00001", "demo-read-only-secret-key-00000000000001");

/// How long the gateway honours a signature, here and in the operator's flags. Fifteen minutes in the real cloud;
/// recovery waits for its end.
pub(crate) const SIGNATURE_WINDOW: &str = "8s";

/// The world: the desktops of the cast and of the samples.
pub(crate) fn world(samples: &Samples) -> Value {
    let desktops: Vec<_> = ROLES.iter().flat_map(cast_desktops).collect();
    let sample_desktops = samples.desktops.iter().map(|id| json!({"id": id}));
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
        "projects": [{"id": samples.project_id()}, {"id": READ_ONLY_PROJECT_ID, "name": "read-only"}],
        "desktops": desktops.into_iter().chain(sample_desktops).collect::<Vec<_>>(),
        "timings": {"waiting": "1s", "running": "4s", "signatureWindow": SIGNATURE_WINDOW},
    })
}

/// The desktops of one role as the world file has them.
fn cast_desktops(role: &cast::Role) -> Vec<Value> {
    let desktop = |desktop: &cast::Desktop| {
        let mut value = json!({"id": desktop.id, "name": desktop.name});
        if role.login == Login::ReadOnly {
            value["project"] = json!(READ_ONLY_PROJECT_ID);
        }
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
