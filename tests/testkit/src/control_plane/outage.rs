//! Outages: the servers are killed and started again, and the data of an earlier time come back.

use std::path::Path;

use super::ControlPlane;
use crate::error::{Context, Error};

/// What etcd held at one time.
#[derive(Debug)]
pub struct Snapshot(tempfile::TempDir);

impl ControlPlane {
    /// Ends etcd with SIGKILL.
    ///
    /// # Errors
    ///
    /// Its supervisor was ended by another caller.
    pub async fn kill_etcd(&self) -> Result<(), Error> {
        self.started.etcd.kill().await
    }

    /// Starts etcd again with the data that it had, and waits until the API server is ready.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_etcd(&self) -> Result<(), Error> {
        self.started.etcd.run()?;
        self.started.ready().await
    }

    /// Ends the API server with SIGKILL.
    ///
    /// # Errors
    ///
    /// Its supervisor was ended by another caller.
    pub async fn kill_api_server(&self) -> Result<(), Error> {
        self.started.kube_apiserver.kill().await
    }

    /// Starts the API server again at its old address, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start_api_server(&self) -> Result<(), Error> {
        self.started.kube_apiserver.run()?;
        self.started.ready().await
    }

    /// Keeps what etcd holds now; it is away for a moment.
    ///
    /// # Errors
    ///
    /// Its data cannot be copied, or it does not start again.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let folder = crate::paths::temporary_folder("snapshot")?;
        self.kill_etcd().await?;
        copy(&self.started.etcd.folder().join("data"), folder.path())?;
        self.start_etcd().await?;
        Ok(Snapshot(folder))
    }

    /// Restores what etcd held then, as after a restore from a backup: both servers start again.
    ///
    /// # Errors
    ///
    /// The data cannot be copied, or a server does not start.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.kill_api_server().await?;
        self.kill_etcd().await?;
        let data = self.started.etcd.folder().join("data");
        std::fs::remove_dir_all(&data).context(|| format!("remove {}", data.display()))?;
        copy(snapshot.0.path(), &data)?;
        self.started.etcd.run()?;
        self.start_api_server().await
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = || format!("copy {} to {}", from.display(), to.display());
    std::fs::create_dir_all(to).context(failed)?;
    for entry in std::fs::read_dir(from).context(failed)? {
        let entry = entry.context(failed)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().context(failed)?.is_dir() {
            copy(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).context(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::tests::is_reserved;

    #[tokio::test]
    async fn the_ports_of_servers_that_are_down_stay_reserved() {
        let control_plane = ControlPlane::start().await.unwrap();
        control_plane.kill_api_server().await.unwrap();
        control_plane.kill_etcd().await.unwrap();
        for server in [&control_plane.started.etcd, &control_plane.started.kube_apiserver] {
            assert!(is_reserved(server.port()));
        }
        control_plane.started.etcd.run().unwrap();
        control_plane.start_api_server().await.unwrap();
    }
}
