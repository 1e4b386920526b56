//! A process that ends no later than this one, even if this one is killed.
//!
//! libtest never drops statics, and a test binary can be killed with SIGKILL. So each server runs under a small
//! shell that holds the reading end of a pipe: the end of input means that the owner is gone, and the shell kills
//! its child, waits for it and removes its folder. The same pipe carries the names of signals for the child, so
//! that a signal is only ever sent by the child's own parent, which knows that the process is still the same.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::error::{Context, Error};

/// `$1` is the log file, `$2` a folder to remove at the end or empty, the rest the command.
///
/// The log exists before the process id is reported, since a caller that stops the process at once reads it as well.
/// The reader of signals is a background job; `3` keeps the pipe open for it, since a shell gives background jobs
/// an empty standard input. Broken pipes are ignored, since the owner may be gone and not read what the shell
/// reports. The folder outlives a child that ended by itself: its logs are still wanted.
const SUPERVISOR: &str = r#"
log=$1; folder=$2; shift 2
exec 3<&0 </dev/null 4>>"$log"
"$@" >&4 2>&1 3<&- 4>&- &
pid=$!
trap '' PIPE
echo "$pid"
{ while read -r signal; do kill -s "$signal" "$pid"; done; kill -s KILL "$pid"; } <&3 >/dev/null 2>&1 4>&- &
reader=$!
wait "$pid"
echo "$?"
exec >/dev/null 2>&1
kill -s KILL "$reader"
cat <&3
[ -z "$folder" ] || rm -rf -- "$folder"
"#;

/// How a supervised process is started.
pub(crate) struct Options<'a> {
    /// What it is called in messages.
    pub(crate) name: &'a str,
    /// File that receives its standard output and standard error.
    pub(crate) log: PathBuf,
    /// Folder that is removed when the process was stopped because its owner is gone.
    pub(crate) folder: Option<&'a Path>,
}

/// A running process, killed when the value is dropped and when this process ends in any way.
pub(crate) struct Supervised {
    name: String,
    pid: u32,
    log: PathBuf,
    shell: Child,
    /// Signal names go in here; `None` once the owner has released it.
    signals: Mutex<Option<ChildStdin>>,
    exit: watch::Receiver<Option<i32>>,
}

impl Supervised {
    /// Starts a program with its arguments and with these variables; it inherits `PATH` and nothing else.
    pub(crate) fn spawn<A: AsRef<OsStr>>(
        options: Options<'_>,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut shell = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&options.log)
            .arg(options.folder.unwrap_or_else(|| Path::new("")))
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Out of the terminal's foreground group: an interrupt reaches the owner alone, which then stops all.
            .process_group(0)
            .spawn()
            .context(|| format!("start {} under sh", options.name))?;
        let signals = shell.stdin.take();
        let mut lines = BufReader::new(shell.stdout.take().ok_or_else(|| no_pid(options.name))?);
        let pid = read_number(&mut lines).ok_or_else(|| no_pid(options.name))?;
        let (sender, exit) = watch::channel(None);
        std::thread::spawn(move || sender.send(read_number(&mut lines)));
        Ok(Self {
            name: options.name.to_owned(),
            pid,
            log: options.log,
            shell,
            signals: Mutex::new(signals),
            exit,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// All that it has printed so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it if it still runs, and gives all that it has ever printed.
    pub(crate) fn stop(&mut self) -> Result<String, Error> {
        let context = || format!("read the log of {}", self.name);
        // Its folder goes with it; a file that is open can still be read.
        let mut log = File::open(&self.log).context(context)?;
        self.released();
        let mut bytes = Vec::new();
        let context = || format!("read the log of {}", self.name);
        log.read_to_end(&mut bytes).context(context)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The supervisor kills the process and exits.
    fn released(&mut self) {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shell.wait().ok();
    }

    /// Sends a signal, named without `SIG`; does nothing once the process has ended.
    pub(crate) fn signal(&self, name: &str) {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = signals.as_mut() {
            // Fails when the supervisor is gone, and then so is the process.
            writeln!(pipe, "{name}").and_then(|()| pipe.flush()).ok();
        }
    }

    /// Exit status as a shell gives it (128 + signal), or `None` while the process runs.
    pub(crate) fn exit_status(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Waits for the process to end; gives its exit status as a shell does (128 + signal).
    pub(crate) async fn wait(&self) -> Result<i32, Error> {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await.map(|status| *status);
        status
            .ok()
            .flatten()
            .ok_or_else(|| Error::Other(format!("the supervisor of {} ended before it", self.name)))
    }

    /// An error that says that the process ended, with the end of its log.
    pub(crate) fn not_started(&self, reason: String) -> Error {
        Error::Start {
            what: self.name.clone(),
            reason,
            log: tail(&self.log(), 30),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.released();
    }
}

/// Reads one line with a number; `None` at the end of input.
fn read_number<N: std::str::FromStr>(lines: &mut BufReader<ChildStdout>) -> Option<N> {
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    line.trim().parse().ok()
}

fn no_pid(name: &str) -> Error {
    Error::Other(format!("the supervisor of {name} did not report a process id"))
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually::{GENEROUS, eventually};

    fn shell(folder: &Path, script: &str) -> Supervised {
        let options = Options {
            name: "a script",
            log: folder.join("log"),
            folder: None,
        };
        Supervised::spawn(options, Path::new("sh"), ["-c", script], &[]).unwrap()
    }

    fn is_alive(pid: u32) -> bool {
        let question = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -s 0 {pid}"))
            .stderr(Stdio::null())
            .status();
        question.unwrap().success()
    }

    #[tokio::test]
    async fn the_end_of_the_process_and_its_output_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "echo out; echo err >&2; exit 7");
        assert_eq!(process.wait().await.unwrap(), 7);
        assert_eq!(process.exit_status(), Some(7));
        assert_eq!(process.log(), "out\nerr\n");
        let error = process.not_started("it ended".to_owned()).to_string();
        assert_eq!(error, "a script did not start: it ended\nout\nerr");
        process.signal("KILL");
    }

    #[tokio::test]
    async fn signals_reach_the_process_itself() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(
            folder.path(),
            "trap 'echo got TERM; exit 3' TERM; echo $$; while :; do sleep 0.01; done",
        );
        eventually("the trap is set", GENEROUS, async || {
            let log = process.log();
            if log == format!("{}\n", process.pid()) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await
        .unwrap();
        process.signal("STOP");
        process.signal("TERM");
        // A stopped process gets the signal only when it continues.
        process.signal("CONT");
        assert_eq!(process.wait().await.unwrap(), 3);
        assert!(process.log().ends_with("got TERM\n"));
    }

    #[tokio::test]
    async fn a_kill_is_the_status_137() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "exec sleep 600");
        process.signal("KILL");
        assert_eq!(process.wait().await.unwrap(), 137);
    }

    #[test]
    fn a_panic_of_the_owner_ends_the_process_and_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        let options = Options {
            name: "sleep",
            log: own.join("log"),
            folder: Some(&own),
        };
        let process = Supervised::spawn(options, Path::new("sleep"), ["600"], &[]).unwrap();
        let pid = process.pid();
        assert!(is_alive(pid));
        let owner = std::thread::spawn(move || {
            let _owned = process;
            panic!("a test fails here on purpose");
        });
        owner.join().unwrap_err();
        assert!(!is_alive(pid) && !own.exists());
    }
}
