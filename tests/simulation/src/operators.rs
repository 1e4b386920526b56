//! Starts an operator: the controllers as they are shipped, with the flags of production.

use std::sync::{Arc, OnceLock};

use clap::Parser;
use desktop_deletion_operator::cli::{Cli, Command};
use desktop_deletion_operator::clock::Clock;
use desktop_deletion_operator::config::Config;
use desktop_deletion_operator::controllers;
use desktop_deletion_operator::controllers::api::ApiServerClock;
use desktop_deletion_operator::controllers::context::{Context, Runtime};
use desktop_deletion_operator::runtime::health::Health;
use desktop_deletion_operator::runtime::lease::Leadership;
use desktop_deletion_operator::runtime::metrics::Metrics;
use desktop_deletion_operator::workspace::connector::Connector;
use desktop_deletion_operator::workspace::transport::Options;
use kube::Client;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower::util::MapResponseLayer;

use crate::clock::ProcessClock;
use crate::dice::mix;
use crate::lines::Line;
use crate::scenario::{Login, NAMESPACE, TOKEN_LIFE};
use crate::world::{Process, Shared};

/// What `run` does without flags.
fn defaults() -> Config {
    static DEFAULTS: OnceLock<Config> = OnceLock::new();
    let parsed = DEFAULTS.get_or_init(|| {
        // No flag is given that could be wrong.
        #[allow(clippy::expect_used)]
        let cli = Cli::try_parse_from(["desktop-deletion-operator", "run", "--identity=operator"])
            .expect("the flags have defaults");
        match cli.command {
            #[allow(clippy::expect_used)]
            Command::Run(arguments) => arguments.config().expect("the defaults fit together"),
            Command::Crds(_) => unreachable!("`run` is the subcommand"),
        }
    });
    parsed.clone()
}

/// Starts one more operator in this world, on this runtime.
pub fn start(world: &Shared) {
    let (who, era, scenario) = {
        let world = world.lock();
        (
            world.operators.len(),
            world.time,
            (world.scenario.seed, world.scenario.login, world.ahead.clone()),
        )
    };
    let (seed, login, ahead) = scenario;
    let mut config = Config {
        identity: format!("operator-{who}"),
        ..defaults()
    };
    if login == Login::Token {
        config.timing.token_life = TOKEN_LIFE;
    }
    let clock: Clock = Arc::new(ProcessClock {
        time: era,
        ahead,
        seed: mix(seed ^ mix(who as u64 + 1)),
    });
    let line = Line {
        world: world.clone(),
        who,
    };
    let api_server_clock = ApiServerClock::start();
    let noting = api_server_clock.clone();
    let noting = MapResponseLayer::new(move |answer: http::Response<_>| {
        noting.observe_date(answer.headers());
        answer
    });
    let client = Client::new(noting.layer(line.clone()), NAMESPACE);
    let connector = Connector::new(
        Options {
            submission_timeout: config.timing.submission_timeout,
            ..Options::default()
        },
        config.allowed_endpoints.clone(),
        clock.clone(),
    )
    .with_transport(Arc::new(line));
    let stopping = CancellationToken::new();
    let surroundings = Runtime {
        health: Health::default(),
        metrics: Metrics::new(),
        stopping: stopping.clone(),
        api_server_clock,
    };
    let context = Context::new(
        client,
        config,
        clock,
        connector,
        Leadership::always(),
        surroundings,
    );
    let work = controllers::run(context, Some(vec![NAMESPACE.to_owned()]));
    let task = tokio::spawn(work);
    let mut world = world.lock();
    world.operators.push(Process {
        alive: true,
        since: era.elapsed(),
        task: Some(task.abort_handle()),
        stopping,
    });
    world.tell("world", || format!("operator-{who} starts"));
}
