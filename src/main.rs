//! The program: parse, set the log up, run.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use desktop_deletion_operator::cli::{Cli, Command, RunArgs};
use desktop_deletion_operator::process;
use desktop_deletion_operator::runtime::logging;

/// Objects and answers are many small strings: with the allocator of glibc a burst takes a fifth more CPU (`examples/load`).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crds(args) => exit(args.deliver(&mut io::stdout()), |error| {
            eprintln!("error: {error}");
        }),
        Command::Run(args) => {
            let (format, filter) = args.log();
            if let Err(error) = logging::init(format, filter) {
                return exit(Err(error), |error| eprintln!("error: {error}"));
            }
            // From here on the log has one form, also for the last line.
            exit(run(*args), |error| tracing::error!("{error}"))
        }
    }
}

fn run(args: RunArgs) -> Result<(), Box<dyn Error>> {
    let config = args.config()?;
    // One thread: the work is waiting, and handing it over between threads costs more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(process::run(config))?;
    Ok(())
}

fn exit<E>(result: Result<(), E>, tell: impl FnOnce(&E)) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}
