//! The program: parse, set log and traces up, run.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use desktop_deletion_operator::cli::{Cli, Command, RunArgs};
use desktop_deletion_operator::config::Config;
use desktop_deletion_operator::process;
use desktop_deletion_operator::runtime::logging;
use desktop_deletion_operator::runtime::traces::Traces;

/// Objects and responses consist of many small strings: with the allocator of glibc, a burst takes a fifth more CPU
/// (`examples/load`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crds(args) => exit(args.run(&mut io::stdout()), |error| {
            eprintln!("error: {error}");
        }),
        Command::Run(args) => run(*args),
    }
}

fn run(args: RunArgs) -> ExitCode {
    let (format, filter) = args.log();
    let filter = filter.to_owned();
    let config = args.config();
    let traces = config.as_ref().map_or(Ok(None), Traces::start);
    let sent = traces.as_ref().ok().and_then(Option::as_ref);
    if let Err(error) = logging::init(format, &filter, sent.map(Traces::layer)) {
        return exit(Err(error), |error| eprintln!("error: {error}"));
    }
    // From here on, every line has the format of the log, including the last one.
    if let Err(error) = &traces {
        tracing::warn!("tracing is disabled: {error}");
    }
    let ended = config.map_err(Into::into).and_then(serve);
    let code = exit(ended, |error| tracing::error!("{error}"));
    if let Some(traces) = sent {
        traces.stop();
    }
    code
}

fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    // One thread: the work is waiting, and handing it over between threads costs more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(process::run(config))?;
    Ok(())
}

fn exit<E>(result: Result<(), E>, report: impl FnOnce(&E)) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}
