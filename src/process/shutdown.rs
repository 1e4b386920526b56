//! Shutdown: the first SIGTERM or SIGINT stops the operator gracefully, the second one immediately.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: 128 + SIGINT, as a shell would report it.
const SECOND_SIGNAL_EXIT_CODE: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels. Its holders start no new work, finish what must
/// not be interrupted (the record of a submission), and return. A second signal ends the process at once.
///
/// # Errors
/// The handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let name = next(&mut signals).await;
        tracing::info!("received {name}; shutting down after recording the submissions in progress");
        token.cancel();
        let name = next(&mut signals).await;
        tracing::warn!(
            "received a second signal ({name}); exiting immediately. A submission without a record will be recovered \
             at the next start"
        );
        process::exit(SECOND_SIGNAL_EXIT_CODE);
    });
    Ok(stop)
}

async fn next((terminate, interrupt): &mut (Signal, Signal)) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
