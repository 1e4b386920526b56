//! Searches a world of configurable size, and prints what was found.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use desktop_deletion_operator::crd::deletion::AuthMethod;
use protocol_model::config::{Config, Mutant, People, Replacing};
use protocol_model::search;

/// Checks the operator's decisions against every order of events in a small world.
#[derive(Parser)]
struct Arguments {
    /// Desktops in the request (1 or 2).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    desktops: u8,
    /// Operators that believe they lead (1 or 2).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    operators: u8,
    /// Faults on one path.
    #[arg(long, default_value_t = 2)]
    faults: u8,
    /// Clock faults on one path.
    #[arg(long, default_value_t = 0)]
    clock_faults: u8,
    /// Ticks by which two clocks may differ (0 or 1).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    clock_skew: u8,
    /// What users do.
    #[arg(long, default_value = "everything")]
    people: People,
    /// Clients that take the finalizer off by replacing the object.
    #[arg(long, default_value = "never")]
    replacing: Replacing,
    /// Actions of users on one path.
    #[arg(long, default_value_t = 2)]
    user_actions: u8,
    /// Attempts on one path (1 to 4).
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=4))]
    attempts: u8,
    /// Authenticate with a token whose expiry is unknown, instead of with a signature.
    #[arg(long)]
    token: bool,
    /// For one state in so many it is checked that a run without faults settles.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    settle_every: u64,
    /// Remove this safety mechanism.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Stop after so many minutes, and print how far the search got.
    #[arg(long)]
    minutes: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[allow(clippy::print_stdout)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config {
        desktops: usize::from(arguments.desktops),
        operators: usize::from(arguments.operators),
        auth: if arguments.token {
            AuthMethod::Token
        } else {
            AuthMethod::Signature
        },
        faults: arguments.faults,
        clock_faults: arguments.clock_faults,
        clock_skew: arguments.clock_skew,
        people: arguments.people,
        replacing: arguments.replacing,
        user_actions: arguments.user_actions,
        attempts: usize::from(arguments.attempts),
        settle_every: arguments.settle_every,
        mutant: arguments.mutant,
    };
    let limit = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let report = search::run(config, arguments.threads, limit);
    println!("{report}");
    if report.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
