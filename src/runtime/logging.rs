//! Log lines, as text for people or JSON for collectors, to standard error.

use std::any::Any;
use std::io::{self, IsTerminal};
use std::panic;

use clap::ValueEnum;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces::is_traced;

/// kube logs each 5xx response as an error; the caller logs the same with its meaning. kube also opens a span for each
/// reconcile; our lines name their object themselves. A user's directive for the same module overrides these.
const DEFAULT_DIRECTIVES: &str = "kube_client::client::builder=off,kube_runtime::controller=warn";

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line per message, for people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is invalid.
    #[error("the log filter {0:?} cannot be read: {1}")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// A log was set up before.
    #[error("failed to set up the log: {0}")]
    Taken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets the log of the process up, and beside it the layer of traces, if there is one. Panics are logged too, so that a
/// JSON log stays JSON.
///
/// # Errors
/// The filter cannot be read, or the process has a log already.
pub fn init<T>(format: LogFormat, filter: &str, traces: Option<T>) -> Result<(), LoggingError>
where
    T: Layer<Registry> + Send + Sync,
{
    let filter = self::filter(filter).map_err(|error| LoggingError::Filter(filter.to_owned(), error))?;
    tracing_subscriber::registry()
        .with(traces)
        .with(layer(format, filter, io::stderr().is_terminal(), io::stderr))
        .try_init()
        .map_err(|error| LoggingError::Taken(error.into()))?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", text_of(panic.payload()));
    }));
    Ok(())
}

/// Writes log lines. The spans of this crate are for traces and show in no line.
fn layer<S, W>(format: LogFormat, filter: EnvFilter, ansi: bool, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => log.with_ansi(ansi).boxed(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    let untraced = filter_fn(|metadata| !is_traced(metadata)).with_max_level_hint(LevelFilter::TRACE);
    lines.with_filter(filter.and(untraced))
}

/// The message of a panic: `panic!` provides one of two string types.
fn text_of(payload: &dyn Any) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(owned)
        .unwrap_or("no message")
}

/// Validates a filter, for `--log-level`.
///
/// # Errors
/// What cannot be read.
pub fn filter_text(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    filter(text).map(|_| text.to_owned())
}

fn filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(format!("{DEFAULT_DIRECTIVES},{text}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, LazyLock};

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use tracing::subscriber::{DefaultGuard, set_default};
    use tracing::{Dispatch, Subscriber};

    use super::*;

    /// Has this thread use a subscriber until the guard is dropped.
    ///
    /// While the process has one subscriber, `tracing` asks the thread that first comes by a span whether it is wanted, and
    /// keeps the answer for all threads: that of a test without a subscriber would be no. So there is always another one.
    pub(crate) fn subscribe(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&OTHER);
        set_default(subscriber)
    }

    /// The log lines of this thread, as JSON.
    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// Writes them from now on, until the guard is dropped.
        pub(crate) fn start() -> (Self, DefaultGuard) {
            let lines = Self::default();
            let writer = lines.clone();
            let log = layer(LogFormat::Json, filter("info").unwrap(), false, move || {
                writer.clone()
            });
            let guard = subscribe(tracing_subscriber::registry().with(log));
            (lines, guard)
        }

        /// All of them so far.
        pub(crate) fn read(&self) -> Vec<Value> {
            let written = self.0.lock();
            let lines = written
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty());
            lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_the_same_within_a_span_of_a_trace_and_without() {
        let (lines, _guard) = Lines::start();
        let line = || tracing::info!(name = "leaver", "done");
        line();
        tracing::info_span!("reconcile", name = "other").in_scope(line);
        let mut read = lines.read();
        for line in &mut read {
            line.as_object_mut().unwrap().remove("timestamp").unwrap();
        }
        let expected =
            json!({"level": "INFO", "message": "done", "name": "leaver", "target": module_path!()});
        assert_eq!(read, [expected.clone(), expected]);
    }

    #[test]
    fn a_filter_is_a_level_or_directives() {
        for good in [
            "info",
            "warn",
            "info,kube=debug",
            "off",
            "desktop_deletion_operator=trace",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        assert!(filter("info,kube=loud").is_err());
    }

    #[test]
    fn an_explicit_filter_overrides_the_default_for_a_noisy_module() {
        for (quiet, said) in [
            (
                "kube_client::client::builder=off",
                "kube_client::client::builder=error",
            ),
            ("kube_runtime::controller=warn", "kube_runtime::controller=info"),
        ] {
            let shown = filter(&format!("info,{said}")).unwrap().to_string();
            assert!(shown.contains(said) && !shown.contains(quiet), "{shown}");
        }
    }
}
