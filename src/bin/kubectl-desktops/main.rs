//! `kubectl desktops`: show what a deletion request will do, approve exactly that, and follow it. It is a kubectl
//! plugin: it has the permissions of its user, reads and writes `DesktopDeletion` objects only, and never calls the
//! cloud.
//!
//! | file | what |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`complete`] | completions for the shell, as kubectl asks its plugins for them |
//! | [`connection`] | the API server and the namespace, as the kubeconfig says |
//! | [`error`] | errors, worded like those of kubectl |
//! | [`output`] | tables, JSON and YAML in which no text can control the terminal |
//! | [`request`] | what the commands read of a request |
//! | [`plan`], [`approve`], [`diff`], [`wait`], [`resolve`] | a command each |
//! | [`manifests`] | `retry` and `split`, which write manifests |

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use connection::Cluster;
use error::Error;

mod approve;
mod args;
mod complete;
mod connection;
mod diff;
mod error;
mod manifests;
mod output;
mod plan;
mod request;
mod resolve;
mod wait;

/// The exit status of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitStatus {
    /// 0: the answer is yes, or the action was done.
    Yes,
    /// 1: the answer is no, or the action was not done.
    No,
    /// 3: it is not decided.
    Undecided,
}

/// Exit code of an error, as for a wrong argument.
const ERROR: u8 = 2;

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Yes => Self::SUCCESS,
            ExitStatus::No => Self::from(1),
            ExitStatus::Undecided => Self::from(3),
        }
    }
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::other(format!("failed to start: {error}"))),
    };
    if let Some(words) = complete::completion_words() {
        runtime.block_on(complete::run(&words));
        return ExitCode::SUCCESS;
    }
    match runtime.block_on(run(Args::parse())) {
        Ok(status) => status.into(),
        Err(error) => fail(&error),
    }
}

async fn run(args: Args) -> Result<ExitStatus, Error> {
    let output = args.output;
    // The one command that needs no cluster.
    if let Command::Split(split) = &args.command {
        return manifests::split(split, output);
    }
    let cluster = Cluster::connect(&args.connection).await?;
    match args.command {
        Command::Plan(plan) => plan::run(&cluster, &plan, output).await,
        Command::Approve(approve) => approve::run(&cluster, &approve, output).await,
        Command::Diff(diff) => diff::run(&cluster, &diff, output).await,
        Command::Wait(wait) => wait::run(&cluster, &wait, output).await,
        Command::Retry(retry) => manifests::retry(&cluster, &retry, output).await,
        Command::Resolve(resolve) => resolve::run(&cluster, &resolve, output).await,
        Command::Split(split) => manifests::split(&split, output),
    }
}

fn fail(error: &Error) -> ExitCode {
    // If standard error is closed, the error cannot be reported.
    writeln!(std::io::stderr(), "{}", output::escaped(&error.to_string())).ok();
    ExitCode::from(ERROR)
}
