//! What all pods of a node have printed, also those that are gone. Kubelet removes the files of a log with their pod, but not
//! other links to them.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Context, Error};

/// How often new files are searched for: no pod of the tests has a shorter life.
const INTERVAL: Duration = Duration::from_millis(200);

/// The logs of a node. Files are linked until the value is dropped.
pub(super) struct PodLogs {
    pods: PathBuf,
    kept: PathBuf,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl PodLogs {
    /// Begins to link what appears below `pods` into the new folder `kept` of the same file system.
    pub(super) fn follow(pods: PathBuf, kept: PathBuf) -> Result<Self, Error> {
        std::fs::create_dir(&kept).context(|| format!("create {}", kept.display()))?;
        let (stop, stopped) = mpsc::channel();
        let (from, to) = (pods.clone(), kept.clone());
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A reader of the logs links once more, and gets the error if that fails.
                link_all(&from, &to).ok();
            }
        });
        Ok(Self {
            pods,
            kept,
            thread: Some((stop, thread)),
        })
    }

    /// All that was printed so far.
    pub(super) fn text(&self) -> Result<String, Error> {
        let text = self.read();
        text.context(|| format!("read the logs below {}", self.pods.display()))
    }

    fn read(&self) -> io::Result<String> {
        link_all(&self.pods, &self.kept)?;
        let mut text = Vec::new();
        for file in entries(&self.kept)? {
            text.extend(std::fs::read(file)?);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for PodLogs {
    fn drop(&mut self) {
        // It must have ended when the folder is removed.
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            thread.join().ok();
        }
    }
}

/// Links each file of `from/POD/CONTAINER/` that has no link in `to` yet.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    for pod in entries(from)? {
        for container in entries(&pod)? {
            for file in entries(&container)? {
                link(&file, to)?;
            }
        }
    }
    Ok(())
}

/// Links a file under a name that it keeps when kubelet rotates it.
fn link(file: &Path, to: &Path) -> io::Result<()> {
    let linked = file
        .metadata()
        .and_then(|found| std::fs::hard_link(file, to.join(found.ino().to_string())));
    match linked {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => Err(error),
        _ => Ok(()),
    }
}

/// What is in a folder; nothing if it is not there, or no longer.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match folder.read_dir() {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary;
    use crate::eventually::{GENEROUS, eventually};

    #[tokio::test]
    async fn the_output_of_a_pod_is_kept_after_its_deletion() {
        let folder = tempfile::tempdir().unwrap();
        let [pods, kept] = ["pods", "kept"].map(|name| folder.path().join(name));
        let logs = PodLogs::follow(pods.clone(), kept.clone()).unwrap();
        assert_eq!(logs.text().unwrap(), "");
        let container = pods.join("default_first_1/operator");
        std::fs::create_dir_all(&container).unwrap();
        let log = container.join("0.log");
        std::fs::write(&log, "first\n").unwrap();
        let linked = async || match entries(&kept) {
            Ok(entries) if entries.len() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        };
        eventually("the log has another link", GENEROUS, linked)
            .await
            .unwrap();
        // What is added later is seen, too.
        std::fs::write(&log, "first\nkey=canary-key-1\n").unwrap();
        std::fs::rename(&log, container.join("0.log.rotated")).unwrap();
        std::fs::remove_dir_all(&pods).unwrap();
        let text = logs.text().unwrap();
        assert_eq!(text, "first\nkey=canary-key-1\n");
        assert!(canary::find(&text).is_some());
    }
}
