//! Worlds and desktops.

use serde_json::{Value, json};
use testkit::Cloud;

/// A token of the user `console`, of whom the operator knows nothing; for [`console_world`].
pub(crate) const CONSOLE: &str = "test-console-token";

/// A world in which somebody else may delete desktops too.
pub(crate) fn console_world() -> Value {
    let mut world = Cloud::world();
    world["accounts"][0]["tokens"] = json!([{"token": CONSOLE, "user": "console"}]);
    world
}

/// A desktop of that id whose deletion succeeds.
pub(crate) fn desktop(id: &str) -> Value {
    json!({"id": id})
}

/// A desktop of that id whose deletion runs longer than any test.
pub(crate) fn endless(id: &str) -> Value {
    json!({"id": id, "outcome": {"result": "success", "running": "1h"}})
}
