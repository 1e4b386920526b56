//! The operator as a process of its own.

use std::path::Path;

use crate::error::Error;
use crate::places;
use crate::supervised::{Options, Supervised, tail};

/// How to start an operator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatorOptions<'a> {
    /// The program; in tests of the operator's package `env!("CARGO_BIN_EXE_desktop-deletion-operator")`.
    pub binary: &'a str,
    /// Its identity on the API server: the path that [`crate::ControlPlane::deploy`] returned, as `KUBECONFIG`.
    pub kubeconfig: Option<&'a Path>,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Its environment. Of this process it inherits `PATH` only, so that no variable of a developer's shell
    /// decides a test.
    pub environment: &'a [(&'a str, &'a str)],
}

/// A running operator; killed when the value is dropped, and when this process ends in any way.
pub struct Operator {
    process: Supervised,
}

impl Operator {
    /// Starts the process, and does not wait for anything.
    ///
    /// # Errors
    ///
    /// No temporary folder for its log, or no shell to start it.
    pub fn start(options: OperatorOptions<'_>) -> Result<Self, Error> {
        // Its supervisor removes the folder.
        let folder = places::temporary_folder("operator")?.keep();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut environment: Vec<_> = options.environment.iter().copied().map(owned).collect();
        if let Some(kubeconfig) = options.kubeconfig {
            environment.push(("KUBECONFIG".to_owned(), kubeconfig.display().to_string()));
        }
        let supervision = Options {
            name: "the operator",
            log: folder.join("log"),
            folder: Some(&folder),
        };
        let process = Supervised::spawn(
            supervision,
            Path::new(options.binary),
            options.arguments,
            &environment,
        )?;
        Ok(Self { process })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All that it has printed, standard output and standard error together.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The last lines of its log, for the message of a test that failed.
    pub fn log_tail(&self) -> String {
        tail(&self.log(), 40)
    }

    /// Exit status, 128 + signal if a signal ended it; `None` while it runs.
    pub fn exit_status(&self) -> Option<i32> {
        self.process.exit_status()
    }

    /// Waits for its end; gives its exit status, 128 + signal if a signal ended it.
    ///
    /// # Errors
    ///
    /// Somebody else ended its supervisor.
    pub async fn wait(&self) -> Result<i32, Error> {
        self.process.wait().await
    }

    /// Ends it with SIGKILL, as a crash of its node would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// As [`Operator::wait`].
    pub async fn kill(&self) -> Result<(), Error> {
        self.process.signal("KILL");
        self.process.wait().await.map(|_| ())
    }

    /// Asks it with SIGTERM to shut down, as the kubelet does, and waits for its exit status.
    ///
    /// # Errors
    ///
    /// As [`Operator::wait`].
    pub async fn terminate(&self) -> Result<i32, Error> {
        self.process.signal("TERM");
        self.process.wait().await
    }

    /// Freezes it with SIGSTOP, as an overloaded node would.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// Lets it run on after [`Operator::freeze`].
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }
}
