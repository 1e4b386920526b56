//! Plays as many seeds as one likes, or one with its story.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::mutant::Mutant;
use simulation::run::{self, Covered};
use simulation::scenario::Scenario;
use simulation::story;

/// After so many seeds it is said how far it has come.
const PROGRESS: u64 = 100_000;

/// Runs the operator's controllers in worlds that chance breaks.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Play this one alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Tell what happens, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Leave out everything that goes wrong.
    #[arg(long, requires = "seed")]
    peace: bool,
    /// Nothing goes wrong but the answers of the cloud, which are derived by a grammar.
    #[arg(long, conflicts_with = "mutant")]
    answers: bool,
    /// Break this on purpose.
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
