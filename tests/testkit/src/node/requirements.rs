//! What a machine needs to run nodes.

use std::sync::OnceLock;

use super::{cgroups, commands, debian};

/// Programs of the system that make the namespaces and the image of the operator, and that tests call.
const PROGRAMS: [&str; 10] = [
    "unshare", "nsenter", "mount", "ip", "readelf", "strip", "bash", "hostname", "kill", "timeout",
];

/// Makes all that a test makes, in namespaces that end at once.
const PROBE: &str = "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && ip link add br0 type bridge \
    && ip link add veth0 type veth peer name veth1";

/// Why no node can run here, in one sentence, or `None` if one can.
pub(super) fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(find).as_deref()
}

fn find() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("it needs Linux".to_owned());
    }
    if !is_root() {
        return Some("it needs root, for namespaces, mounts and cgroups".to_owned());
    }
    if let Some(program) = PROGRAMS.iter().find(|program| commands::find(program).is_none()) {
        return Some(format!("it needs the program {program}"));
    }
    if commands::find("runc").is_none() && !debian::available() {
        return Some("it needs runc, installed or as a package of Debian".to_owned());
    }
    let probe = [
        "--mount",
        "--net",
        "--pid",
        "--cgroup",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child",
    ];
    if let Err(error) = commands::run("unshare", probe.into_iter().chain(["sh", "-c", PROBE])) {
        return Some(format!("it needs namespaces with networks of their own: {error}"));
    }
    cgroups::missing()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // `Uid:` real, effective, saved, of the file system.
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|uid| uid.split_whitespace().nth(1)) == Some("0")
}
