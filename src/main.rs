//! The program: parse, set the log up, run.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use desktop_deletion_operator::cli::{Cli, Command, RunArgs};
use desktop_deletion_operator::operator::{process, telemetry};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Crds(args) => args.deliver(&mut io::stdout()).map_err(Into::into),
        Command::Run(args) => run(*args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: RunArgs) -> Result<(), Box<dyn std::error::Error>> {
    let (format, filter) = args.log();
    telemetry::init(format, filter)?;
    let config = args.config()?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(process::run(config))?;
    Ok(())
}
