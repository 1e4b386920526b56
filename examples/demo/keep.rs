//! `--keep`: how to reach what runs, until it is interrupted.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::BoxError;
use crate::board::Board;
use crate::fixture::Fixture;
use crate::samples;

/// Prints how to reach everything, and waits for Ctrl-C or SIGTERM.
pub(crate) async fn until_interrupted(fixture: &Fixture, board: &mut Board) -> Result<(), BoxError> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let namespace = format!("--namespace={}", fixture.namespace.name());
    let current = ["config", "set-context", "--current", &namespace];
    fixture.control_plane.kubectl(current).await?.stdout()?;

    let control_plane = &fixture.control_plane;
    let kubectl = control_plane.kubectl_path();
    let simulator = fixture.cloud.simulator();
    let screen = board.close();
    screen.print("");
    screen.print("Everything keeps running until you press Ctrl-C. In another terminal, run:");
    screen.print("");
    screen.print(&format!(
        "export KUBECONFIG={}",
        quoted(control_plane.kubeconfig_path())
    ));
    let plugin = &fixture.plugin;
    screen.print(&format!(
        "export PATH={}:{}:$PATH",
        quoted(kubectl.parent().unwrap_or(kubectl)),
        quoted(plugin.parent().unwrap_or(plugin))
    ));
    screen.print("");
    screen.print(&format!("kubectl apply -f {}", quoted(&samples::folder())));
    screen.print("kubectl wait --for=jsonpath='{.status.completionTime}' --timeout=60s ddel/leavers");
    screen.print("kubectl get ddel");
    screen.print("kubectl desktops plan needs-approval");
    screen.print("kubectl desktops approve needs-approval");
    screen.print("");
    screen.print("The simulated cloud and its admin API (GET /ledger, GET and POST /desktops, PATCH /desktops/ID, GET, POST");
    screen.print("and DELETE /faults):");
    screen.print("");
    screen.print(&format!("workspace: {}", simulator.workspace));
    screen.print(&format!("admin: {}", simulator.admin));
    screen.print("");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
