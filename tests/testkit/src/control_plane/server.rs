//! A server of the control plane, which can be killed and started again as it was.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::port::ReservedPort;
use crate::supervised::{Options, Supervised};

/// What runs a server.
pub(super) struct Command<'a> {
    /// What it is called in messages.
    pub(super) name: &'static str,
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<String>,
    pub(super) log: PathBuf,
    /// Folder that goes with its owner.
    pub(super) folder: &'a Path,
    /// Reserved for it, also while it is down.
    pub(super) port: ReservedPort,
}

/// A server, and the runs of it that have ended.
pub(super) struct Server {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    folder: PathBuf,
    port: ReservedPort,
    /// The supervisor of each run removes the folder when it is dropped, so that all are kept.
    runs: Mutex<Vec<Arc<Supervised>>>,
}

impl Server {
    pub(super) fn start(command: Command<'_>) -> Result<Self, Error> {
        let server = Self {
            name: command.name,
            program: command.program.to_owned(),
            arguments: command.arguments,
            log: command.log,
            folder: command.folder.to_owned(),
            port: command.port,
            runs: Mutex::default(),
        };
        server.run()?;
        Ok(server)
    }

    /// Starts it, with the arguments of its first start.
    pub(super) fn run(&self) -> Result<(), Error> {
        let options = Options {
            name: self.name,
            log: self.log.clone(),
            folder: Some(&self.folder),
        };
        let run = Supervised::spawn(options, &self.program, &self.arguments, &[])?;
        self.lock().push(Arc::new(run));
        Ok(())
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub(super) async fn kill(&self) -> Result<(), Error> {
        let run = self.newest()?;
        run.signal("KILL");
        run.wait().await.map(drop)
    }

    /// Its last run.
    pub(super) fn newest(&self) -> Result<Arc<Supervised>, Error> {
        let newest = self.lock().last().cloned();
        newest.ok_or_else(|| Error::Other(format!("{} was never started", self.name)))
    }

    /// All that its runs have printed.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The folder that goes with its owner.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port that is reserved for it.
    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Supervised>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The one that runs goes first.
        while let Some(run) = self.lock().pop() {
            drop(run);
        }
    }
}
