//! The operator as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;
use crate::eventually::GENEROUS;
use crate::supervised::{Options, Supervised, tail};
use crate::{canary, paths};

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
///
/// When the value is dropped, its whole log, its metrics and what was written to the API server are searched for
/// secrets ([`canary`]); the test fails if there is one.
pub struct Operator {
    process: Supervised,
    kubeconfig: Option<PathBuf>,
    frozen: AtomicBool,
}

impl Operator {
    /// Starts the process, and does not wait for anything.
    ///
    /// # Errors
    ///
    /// No temporary folder for its log, or no shell to start it.
    pub fn start(options: OperatorOptions<'_>) -> Result<Self, Error> {
        // Its supervisor removes the folder.
        let folder = paths::temporary_folder("operator")?.keep();
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
        Ok(Self {
            process,
            kubeconfig: options.kubeconfig.map(Path::to_path_buf),
            frozen: AtomicBool::new(false),
        })
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

    /// Where it serves its probes and metrics, as it says in its log.
    pub fn address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("serving /livez"))?;
        // As text or as JSON.
        let (_, rest) = line.split_once("address")?;
        let rest = rest.trim_start_matches(['=', '"', ':']);
        rest.split([' ', '"']).next()?.parse().ok()
    }

    /// Exit status, 128 + signal if a signal ended it; `None` while it runs.
    pub fn exit_status(&self) -> Option<i32> {
        self.process.exit_status()
    }

    /// Waits for its end; gives its exit status, 128 + signal if a signal ended it.
    ///
    /// # Errors
    ///
    /// Its supervisor was ended by another caller.
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

    /// Freezes it with SIGSTOP, as an overloaded node would, and returns when it has stopped.
    ///
    /// # Panics
    ///
    /// It does not stop for a long time.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
        self.process.signal("STOP");
        let begin = Instant::now();
        while self.exit_status().is_none() && !self.has_stopped() {
            assert!(begin.elapsed() < GENEROUS, "the operator does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all of its threads are stopped by a signal. Without `/proc` that is not known.
    fn has_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid())) else {
            return !Path::new("/proc/self").exists();
        };
        threads.flatten().all(|thread| {
            // The state follows the name, which is in parentheses. A thread that ends meanwhile has no file.
            let stat = std::fs::read_to_string(thread.path().join("stat"));
            stat.map_or(true, |stat| {
                stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
            })
        })
    }

    /// Lets it run on after [`Operator::freeze`].
    pub fn thaw(&self) {
        self.process.signal("CONT");
        self.frozen.store(false, Ordering::Relaxed);
    }

    /// Every place where a secret stands.
    fn leaks(&mut self) -> Vec<String> {
        let answers = self.exit_status().is_none() && !self.frozen.load(Ordering::Relaxed);
        let metrics = self.address().filter(|_| answers).and_then(canary::metrics);
        let log = match self.process.stop() {
            Ok(log) => canary::search(&format!("the log of operator {}", self.pid()), &log),
            Err(error) => Some(error.to_string()),
        };
        let metrics = metrics.and_then(|text| canary::search("the metrics", &text));
        let audit = self.kubeconfig.as_deref().and_then(canary::search_audit);
        [log, metrics, audit].into_iter().flatten().collect()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        canary::report(&self.leaks());
    }
}
