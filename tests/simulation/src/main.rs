//! Runs any number of seeds, or one of them with its trace.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::mutant::Mutant;
use simulation::run::{self, Covered};
use simulation::scenario::Scenario;
use simulation::story;

/// Progress is printed after so many seeds.
const PROGRESS: u64 = 100_000;

/// Runs the operator's controllers in simulated worlds with random faults.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print what happens, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run without faults.
    #[arg(long, requires = "seed")]
    peace: bool,
    /// Only the responses of the cloud are wrong; they are derived by a grammar.
    #[arg(long, conflicts_with = "mutant")]
    answers: bool,
    /// Run with this mutant of the world.
    #[arg(long)]
    mutant: Option<Mutant>,
}

#[allow(clippy::print_stdout, clippy::disallowed_methods)]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let draw = |seed| {
        if arguments.answers {
            Scenario::draw_answers(seed)
        } else {
            Scenario::draw(seed, arguments.mutant)
        }
    };
    if let Some(seed) = arguments.seed {
        let scenario = draw(seed);
        let scenario = if arguments.peace {
            scenario.in_peace()
        } else {
            scenario
        };
        let report = run::scenario(scenario, arguments.trace);
        println!("{}", report.scenario);
        if arguments.trace {
            println!("{}", story::LEGEND);
        }
        for line in &report.story {
            println!("{line}");
        }
        for what in &report.broken {
            println!("BROKEN  {what}");
        }
        println!("{:?}", report.covered);
        return if report.broken.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let began = Instant::now();
    let mut covered = Covered::default();
    let (mut played, mut bad) = (0, 0);
    let seeds = arguments.from..arguments.from + arguments.seeds;
    run::each(seeds, draw, |report| {
        covered = covered.and(report.covered);
        played += 1;
        if !report.broken.is_empty() {
            bad += 1;
            println!("seed {}:", report.scenario.seed);
            for what in &report.broken {
                println!("  {what}");
            }
        }
        if played % PROGRESS == 0 || played == arguments.seeds {
            println!("{played} seeds, {bad} of them broken, in {:.1?}", began.elapsed());
        }
        ControlFlow::Continue(())
    });
    println!("{covered:?}");
    if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
