//! A program of others as a process, such as a GitOps tool.

use std::ffi::OsStr;
use std::path::Path;

use crate::error::Error;
use crate::paths;
use crate::supervised::{Options, Supervised, tail};

/// A running program; killed when the value is dropped, and when this process ends in any way.
pub struct Process {
    process: Supervised,
}

impl Process {
    /// Starts the program, and does not wait for anything. It has an empty folder of its own as `HOME` and `TMPDIR`, which
    /// goes with it, these variables, and of this process it inherits `PATH` only.
    ///
    /// # Errors
    ///
    /// No temporary folder, or no shell to start it.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        // Its supervisor removes the folder.
        let folder = paths::temporary_folder(name)?.keep();
        let own = folder.display().to_string();
        let environment: Vec<_> = [("HOME", own.as_str()), ("TMPDIR", own.as_str())]
            .iter()
            .chain(environment)
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let options = Options {
            name,
            log: folder.join("log"),
            folder: Some(&folder),
        };
        let process = Supervised::spawn(options, program, arguments, &environment)?;
        Ok(Self { process })
    }

    /// The last lines that it has printed.
    pub fn log_tail(&self) -> String {
        tail(&self.process.log(), 40)
    }

    /// Exit status, 128 + signal if a signal ended it; `None` while it runs.
    pub fn exit_status(&self) -> Option<i32> {
        self.process.exit_status()
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// Its supervisor was ended by another caller.
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.signal("KILL");
        self.process.wait().await.map(drop)
    }
}
