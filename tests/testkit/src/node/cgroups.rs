//! The cgroups of one test: one below the own cgroup in each hierarchy of cgroup version 1. Nothing else of the machine's
//! cgroups is touched.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Context, Error};

/// Removes what a test has left, once all its processes have ended: `$1` is its folder, the rest are its cgroups. It
/// begins when its input ends, that is, when its owner releases it or is gone. A cgroup can be removed only when it is
/// empty, so its removal also shows that no process is left that could write to the folder.
const CLEANUP_SCRIPT: &str = r#"
folder=$1; shift
cat >/dev/null
for _ in $(seq 600); do
  left=
  for cgroup; do
    find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ ! -d "$cgroup" ] || left=yes
  done
  [ -n "$left" ] || break
  sleep 0.1
done
rm -rf -- "$folder"
[ -z "$left" ]
"#;

/// The controllers that containers are limited by.
const NEEDED: [&str; 5] = ["cpu", "memory", "pids", "devices", "freezer"];

/// Cgroups that go when the value is dropped, and when this process ends in any way.
pub(super) struct Cgroups {
    folders: Vec<PathBuf>,
    janitor: Child,
}

impl Cgroups {
    /// Makes a cgroup with this name in every hierarchy; with them goes the folder.
    pub(super) fn make(name: &str, folder: &Path) -> Result<Self, Error> {
        let folders: Vec<_> = own()?.into_iter().map(|own| own.join(name)).collect();
        let janitor = Command::new("sh")
            .args(["-c", CLEANUP_SCRIPT, "sh"])
            .arg(folder)
            .args(&folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt of the tests in the foreground does not reach it.
            .process_group(0)
            .spawn()
            .context(|| "start sh".to_owned())?;
        let cgroups = Self { folders, janitor };
        for folder in &cgroups.folders {
            make(folder)?;
        }
        Ok(cgroups)
    }

    /// The files that a process moves itself by: it writes its process id to each.
    pub(super) fn procs_files(&self) -> impl Iterator<Item = PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs"))
    }

    /// Removes them once their processes have ended, and fails if some have not.
    pub(super) fn remove(mut self) -> Result<(), Error> {
        if self.wait() {
            Ok(())
        } else {
            Err(Error::Other(format!("processes are left in {:?}", self.folders)))
        }
    }

    fn wait(&mut self) -> bool {
        drop(self.janitor.stdin.take());
        self.janitor.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Makes one cgroup. One for CPUs accepts no process until its CPUs are set.
pub(super) fn make(folder: &Path) -> Result<(), Error> {
    let failed = || format!("make the cgroup {}", folder.display());
    std::fs::create_dir(folder).context(failed)?;
    let parent = folder.parent().unwrap_or(folder);
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if folder.join(file).exists() {
            let inherited = std::fs::read(parent.join(file)).context(failed)?;
            std::fs::write(folder.join(file), inherited).context(failed)?;
        }
    }
    Ok(())
}

/// Why there are no cgroups for nodes, if so.
pub(super) fn missing() -> Option<String> {
    let files = read().and_then(|(mounts, own)| {
        let hierarchies = hierarchies(&own);
        let has = |&&needed: &&&str| {
            !hierarchies
                .iter()
                .any(|h| h.0.split(',').any(|name| name == needed))
        };
        let absent: Vec<_> = NEEDED.iter().filter(has).copied().collect();
        if !absent.is_empty() {
            let absent = absent.join(", ");
            return Ok(Some(format!(
                "it needs the controllers {absent} of cgroup version 1, which this machine does not have"
            )));
        }
        let name = format!("testkit-probe-{}", std::process::id());
        for folder in folders(&mounts, &hierarchies)? {
            let probe = folder.join(&name);
            make(&probe)?;
            std::fs::remove_dir(&probe).context(|| format!("remove {}", probe.display()))?;
        }
        Ok(None)
    });
    match files {
        Ok(missing) => missing,
        Err(error) => Some(format!("it cannot make cgroups: {error}")),
    }
}

/// Folders of the own cgroup.
fn own() -> Result<Vec<PathBuf>, Error> {
    let (mounts, own) = read()?;
    folders(&mounts, &hierarchies(&own))
}

/// What the kernel says of the mounts and of the own cgroups.
fn read() -> Result<(String, String), Error> {
    let read = |path: &str| std::fs::read_to_string(path).context(|| format!("read {path}"));
    Ok((read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?))
}

/// Controllers (or a name) and own path of each hierarchy of version 1.
fn hierarchies(own: &str) -> Vec<(&str, &str)> {
    let lines = own.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    lines.filter(|(controllers, _)| !controllers.is_empty()).collect()
}

/// Where the own cgroup of each hierarchy lies.
fn folders(mounts: &str, hierarchies: &[(&str, &str)]) -> Result<Vec<PathBuf>, Error> {
    hierarchies
        .iter()
        .map(|(controllers, path)| {
            folder(mounts, controllers, path)
                .ok_or_else(|| Error::Other(format!("the cgroups of {controllers} are not mounted")))
        })
        .collect()
}

fn folder(mounts: &str, controllers: &str, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        // `36 35 0:30 ROOT MOUNT_POINT OPTIONS ... - cgroup SOURCE SUPER_OPTIONS`
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let (kind, options) = (filesystem.next()?, filesystem.nth(1)?);
        let mounted = |name| options.split(',').any(|option| option == name);
        if kind != "cgroup" || !controllers.split(',').all(mounted) {
            return None;
        }
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_in_each_hierarchy() {
        let mounts = "\
30 25 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 /docker/7 /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
";
        let own = "4:memory:/docker/7/tests\n3:cpu,cpuacct:/\n1:name=systemd:/a/b\n0::/\n";
        let found = folders(mounts, &hierarchies(own)).unwrap();
        let expected = [
            "/sys/fs/cgroup/memory/tests",
            "/sys/fs/cgroup/cpu,cpuacct",
            "/sys/fs/cgroup/systemd/a/b",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        let error = folders(mounts, &[("pids", "/")]).unwrap_err().to_string();
        assert_eq!(error, "the cgroups of pids are not mounted");
    }
}
