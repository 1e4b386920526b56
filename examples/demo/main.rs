//! The two-minute tour: a real control plane, a simulated cloud and the operator as its own process, with the rights
//! that `deploy/` ships. Seven requests are applied; their conditions are shown as they move, a crash of the operator
//! and an approval included; the end is held against what had to come.
//!
//! `cargo demo` ends by itself. `cargo demo -- --keep` leaves all of it running for kubectl.

use std::process::ExitCode;

use clap::Parser;

mod act;
mod approve;
mod binary;
mod board;
mod cast;
mod fixture;
mod keep;
mod samples;
mod screen;
mod verdict;
mod world;

use board::Board;
use fixture::Fixture;

/// Whatever stops the demo, as a sentence.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Watch seven requests for the deletion of cloud desktops on a real Kubernetes API server and a simulated cloud.
///
/// Exit code 0 means that each of them ended as expected.
#[derive(Parser)]
#[command(bin_name = "cargo demo --")]
struct Arguments {
    /// Leave everything running until Ctrl-C, and print how to connect
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match demo(arguments.keep).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(keep: bool) -> Result<(), BoxError> {
    let mut board = Board::new();
    let mut fixture = Fixture::set(&mut board).await?;
    let played = act::play(&mut fixture, &mut board).await;
    let verdict = played.map_err(|error| fixture.with_log(&error))?;
    if keep {
        if let Err(faults) = &verdict {
            board.say(faults);
        }
        keep::until_interrupted(&fixture, &mut board).await?;
    }
    fixture.strike(&mut board).await?;
    verdict.map_err(Into::into)
}
