//! What happened, line by line; recorded only if it is wanted.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// How to read a line.
pub const LEGEND: &str = "minutes:seconds, who, what; of a status [attempts | desktops | conditions]; \"at\" is a resource version";

/// The lines so far.
#[derive(Debug, Default)]
pub struct Story {
    wanted: bool,
    lines: Vec<String>,
}

impl Story {
    /// A story that is recorded only if it is `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            lines: Vec::new(),
        }
    }

    /// Tells what `who` did so many milliseconds after the begin.
    pub fn tell(&mut self, millis: u64, who: &str, what: impl FnOnce() -> String) {
        if self.wanted {
            let (minutes, seconds) = (millis / 60_000, millis % 60_000);
            let (seconds, millis) = (seconds / 1000, seconds % 1000);
            let what = what();
            self.lines
                .push(format!("{minutes:3}:{seconds:02}.{millis:03}  {who:<10} {what}"));
        }
    }

    /// Whether it is recorded at all.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// All lines.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// Of a story, what has an effect: no reads.
pub fn essence(lines: &[String]) -> impl Iterator<Item = &String> {
    let read = |line: &&String| {
        [" reading ", " listing ", " watching "]
            .iter()
            .any(|word| line.contains(word) && line.contains("operator-"))
    };
    lines
        .iter()
        .filter(move |line| !read(line) || line.contains("  fault "))
}

/// What the operators log. Where an outcome could not be stored, the log is where it is said.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes in what this thread logs, warnings and worse, until the guard is dropped.
    pub fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .without_time()
            .with_ansi(false)
            .with_target(false)
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// What was logged since the last call.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
