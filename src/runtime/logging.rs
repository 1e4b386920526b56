//! Log lines, as text for people or JSON for collectors, to standard error.

use std::any::Any;
use std::io::{self, IsTerminal};
use std::panic;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// kube logs each answer with a 5xx as an error of its own; the caller logs the same with what it means. It also opens a
/// span for each reconcile, entered whenever any of them goes on; our lines name their object where it matters.
/// A filter that names the module again wins.
const QUIET: &str = "kube_client::client::builder=off,kube_runtime::controller=warn";

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line a message, for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error("the log filter {0:?} cannot be read: {1}")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// A log was set up before.
    #[error("failed to set the log up: {0}")]
    Taken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets the log of the process up. Panics are logged too, so that a JSON log stays JSON.
///
/// # Errors
/// The filter cannot be read, or the process has a log already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = self::filter(filter).map_err(|error| TelemetryError::Filter(filter.to_owned(), error))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    }
    .map_err(TelemetryError::Taken)?;
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {}", text_of(panic.payload()));
    }));
    Ok(())
}

/// What a panic says: `panic!` leaves one of the two kinds of string.
fn text_of(payload: &dyn Any) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(owned)
        .unwrap_or("without a text")
}

/// The filter as text, if it is one: the check of `--log-level`.
///
/// # Errors
/// What cannot be read.
pub fn filter_text(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    filter(text).map(|_| text.to_owned())
}

fn filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(format!("{QUIET},{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_the_user_says_about_a_quiet_module_wins() {
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
