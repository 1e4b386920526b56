//! `go build` of what tests need, with a sign of life while it runs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::time::Instant;

use super::source::Source;
use crate::error::{Context, Error};

/// How often the build says that it goes on.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Writes a line where a person sees it: libtest captures what the `print` macros write, and only that.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "testkit: {line}").ok();
}

/// Builds the binaries and moves them to `folder`, which appears with all of them or not at all.
pub(super) fn into(source: &Source, folder: &Path) -> Result<(), Error> {
    let unfinished = folder.with_file_name("unfinished");
    // What an interrupted build has left; the Go build cache keeps the work.
    std::fs::remove_dir_all(&unfinished).ok();
    std::fs::create_dir_all(&unfinished).context(|| format!("create {}", unfinished.display()))?;
    let what = format!(
        "etcd {}, kube-apiserver and kubectl {}",
        source.etcd, source.kubernetes
    );
    run_go(&source.module, &source.arguments, &["tool"], &unfinished, &what)?;
    // Go names a binary after the last part of its package that is no version: go.etcd.io/etcd/server/v3.
    rename(&unfinished.join("server"), &unfinished.join("etcd"))?;
    rename(&unfinished, folder)
}

/// Moves what was built to its place.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).context(|| format!("rename {} to {}", from.display(), to.display()))
}

/// `go` with these arguments in the folder of a module.
pub(crate) fn go<A: AsRef<OsStr>>(module: &Path, arguments: &[A]) -> Command {
    let mut go = Command::new("go");
    // Without C, since the binaries need none of it and a machine may lack a compiler for it. A module may need a newer Go
    // than the one that is installed.
    go.args(arguments)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "auto")
        .env_remove("GOFLAGS")
        .current_dir(module)
        .stdin(Stdio::null());
    go
}

/// Runs `go` in the folder `module`, so that it writes `packages` to `folder`.
pub(crate) fn run_go<P: AsRef<OsStr>>(
    module: &Path,
    arguments: &[String],
    packages: &[P],
    folder: &Path,
    what: &str,
) -> Result<(), Error> {
    say(&format!(
        "building {what} from source; first time only, takes some minutes"
    ));
    let go = go(module, arguments)
        .arg("-o")
        .arg(folder)
        .args(packages)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut go = match go {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoGo),
        other => other.context(|| "start go".to_owned())?,
    };
    let begun = Instant::now();
    let lines = follow(&lines_of(&mut go), begun, what);
    if go.wait().context(|| "wait for go".to_owned())?.success() {
        say(&format!("built {what} in {}", minutes(begun.elapsed())));
        return Ok(());
    }
    let last = lines.len().saturating_sub(30);
    Err(Error::Build {
        module: module.to_path_buf(),
        output: lines[last..].join("\n"),
    })
}

/// Reads what go prints in a thread, so that the reader can wait for a bounded time.
fn lines_of(go: &mut Child) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    if let Some(stderr) = go.stderr.take() {
        std::thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
    }
    lines
}

/// Collects the lines until go closes its output; says from time to time how far it has come.
fn follow(lines: &Receiver<String>, begun: Instant, what: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = begun + REPORT_INTERVAL;
    loop {
        match lines.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(line) => seen.push(line),
            Err(RecvTimeoutError::Disconnected) => return seen,
            Err(RecvTimeoutError::Timeout) => {
                let elapsed = minutes(begun.elapsed());
                say(&format!("still building {what}: {elapsed}, {}", progress(&seen)));
                next += REPORT_INTERVAL;
            }
        }
    }
}

/// go prints one line for each module that it downloads and for each package that it compiles.
fn progress(lines: &[String]) -> String {
    let downloads = lines
        .iter()
        .filter(|line| line.starts_with("go: downloading "))
        .count();
    format!(
        "{downloads} modules downloaded, {} packages compiled",
        lines.len() - downloads
    )
}

fn minutes(elapsed: Duration) -> String {
    format!("{} min {:02} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_downloads_and_packages() {
        let lines = [
            "go: downloading k8s.io/api v0.37.2",
            "k8s.io/api/core/v1",
            "k8s.io/client-go/rest",
        ];
        assert_eq!(
            progress(&lines.map(str::to_owned)),
            "1 modules downloaded, 2 packages compiled"
        );
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }
}
