//! What requests cost: a burst of `DesktopDeletion` objects of one desktop each, on a real control plane and a simulated
//! cloud over TLS, the operator as its own process with its ordinary pauses. Prints cloud calls, writes and time per
//! object, and the CPU time and the peak memory of the operator. With `--rate` the objects come one after the other, and it
//! prints the time from creation to submission as well. With `--suspended` it prints the memory that requests hold which
//! wait, instead.
//!
//! `cargo run --release --example load -- --objects 1000`
//! `cargo run --release --example load -- --objects 1000 --rate 20`
//! `cargo run --release --example load -- --objects 1000 --suspended --desktops 100`

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use desktop_deletion_operator::crd::DesktopDeletion;
use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use testkit::{Cloud, ControlPlane, Namespace, Operator, OperatorOptions, eventually, manifests};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[path = "../demo/binary.rs"]
mod binary;
mod cost;
mod held;
mod latency;

use cost::Cost;
use latency::Sent;

/// Whatever stops the measurement, as a sentence.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Objects that are created at one time.
const CREATORS: usize = 8;

/// Longest time for one object, all others included: long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two lists of what is not finished. Each list costs the API server a look at every object.
const PAUSE: Duration = Duration::from_secs(1);

/// Ordinary pauses, but no limit of the vendor: how fast the operator is, and not how slow it has to be.
const FLAGS: [&str; 4] = [
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--requests-per-minute=10000000",
];

/// Count what a burst of requests costs: cloud calls, writes, time, CPU and memory.
#[derive(Parser)]
#[command(bin_name = "cargo run --release --example load --")]
struct Arguments {
    /// Number of objects, with one desktop each
    #[arg(long, default_value = "200")]
    objects: NonZeroUsize,

    /// Maximum number of concurrent reconciliations
    #[arg(long, default_value = "16")]
    concurrency: u16,

    /// Number of objects to create per second, instead of all at once
    #[arg(long, conflicts_with = "suspended")]
    rate: Option<NonZeroU32>,

    /// Suspend the objects, and print the memory of the operator for each of them
    #[arg(long)]
    suspended: bool,

    /// Number of desktops of each suspended object
    #[arg(long, default_value = "1", requires = "suspended", value_parser = clap::value_parser!(u8).range(1..=100))]
    desktops: u8,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let objects = arguments.objects.get();
    let measured = if arguments.suspended {
        held::measure(objects, usize::from(arguments.desktops))
            .await
            .map(|held| held.to_string())
    } else {
        measure(objects, arguments.concurrency, arguments.rate)
            .await
            .map(|cost| cost.to_string())
    };
    match measured {
        Ok(measured) => {
            println!("{measured}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A control plane, a cloud and an operator whose project is ready.
struct World {
    control_plane: ControlPlane,
    namespace: Namespace,
    cloud: Cloud,
    operator: Operator,
}

impl World {
    async fn start(flags: &[&str], desktops: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        eprintln!("building the operator");
        let [binary] = binary::build("load", [binary::OPERATOR]).await?;
        eprintln!("starting etcd and kube-apiserver (built from source the first time, which takes minutes)");
        let control_plane = ControlPlane::start().await?;
        let namespace = control_plane.namespace("load").await?;
        let kubeconfig = control_plane.deploy("deploy/base", namespace.name()).await?;
        let cloud = Cloud::start(&Cloud::world()).await?;
        for id in desktops {
            cloud.add_desktop(&json!({"id": id}))?;
        }
        namespace.apply(&cloud.secret("login")).await?;
        namespace.apply(&cloud.project("prod", "login")).await?;
        served(&namespace).await?;
        let operator = start(&binary, &kubeconfig, &namespace, flags)?;
        ready(&namespace).await?;
        Ok(Self {
            control_plane,
            namespace,
            cloud,
            operator,
        })
    }
}

async fn measure(objects: usize, concurrency: u16, rate: Option<NonZeroU32>) -> Result<Cost, BoxError> {
    let concurrency = format!("--concurrency={concurrency}");
    let World {
        control_plane,
        namespace,
        cloud,
        operator,
    } = World::start(&[&concurrency], (0..objects).map(desktop)).await?;
    eprintln!("creating {objects} objects");
    let began = Instant::now();
    let manifest = |n: usize| manifests::desktop_deletion(&desktop(n), "prod", [desktop(n)]);
    let sent = if let Some(rate) = rate {
        Some(create_slowly(&namespace, objects, rate, manifest).await?)
    } else {
        create(&namespace, objects, manifest).await?;
        None
    };
    eprintln!("waiting until all desktops are deleted");
    if let Err(error) = all_deleted(&namespace, objects).await {
        return Err(format!("{error}\n{}", operator.log_tail()).into());
    }
    let took = began.elapsed();
    Ok(Cost {
        objects,
        took,
        process: cost::process(operator.pid())?,
        calls: cost::calls(&cloud),
        writes: cost::writes(&control_plane, &namespace, objects).await?,
        requests: cost::requests(&control_plane)?,
        latency: sent.map(|sent| latency::measure(&sent, &cloud)).transpose()?,
    })
}

fn desktop(n: usize) -> String {
    format!("pc-{n}")
}

fn start(
    binary: &Path,
    kubeconfig: &Path,
    namespace: &Namespace,
    flags: &[&str],
) -> Result<Operator, BoxError> {
    let namespaces = format!("--namespaces={}", namespace.name());
    let arguments = [&FLAGS[..], flags, &[&namespaces]].concat();
    let options = OperatorOptions {
        binary: binary.to_str().ok_or("the path of the operator is no text")?,
        kubeconfig: Some(kubeconfig),
        arguments: &arguments,
        environment: &[],
    };
    Ok(Operator::start(options)?)
}

/// Waits until the API server lists requests. It refuses that while the storage of a new kind initializes, and an operator
/// that starts then would begin with the backoff of its watch.
async fn served(namespace: &Namespace) -> Result<(), BoxError> {
    let (requests, all) = (namespace.api::<DesktopDeletion>(), ListParams::default());
    let listed = async || requests.list(&all).await.map_err(|error| error.to_string());
    eventually("requests are served", Duration::from_secs(60), listed).await?;
    Ok(())
}

/// Waits until the project is ready.
async fn ready(namespace: &Namespace) -> Result<(), BoxError> {
    let look = async || {
        let project = namespace
            .projects()
            .get("prod")
            .await
            .map_err(|error| error.to_string())?;
        match project.data["status"]["conditions"][0]["status"].as_str() {
            Some("True") => Ok(()),
            _ => Err(format!("{:#}", project.data["status"])),
        }
    };
    Ok(eventually("the project is ready", Duration::from_secs(60), look).await?)
}

async fn create(
    namespace: &Namespace,
    objects: usize,
    manifest: impl Fn(usize) -> Value,
) -> Result<(), BoxError> {
    let requests = namespace.api::<DesktopDeletion>();
    stream::iter((0..objects).map(Ok::<_, BoxError>))
        .try_for_each_concurrent(CREATORS, |n| {
            let (requests, object) = (requests.clone(), serde_json::from_value(manifest(n)));
            async move {
                requests.create(&PostParams::default(), &object?).await?;
                Ok(())
            }
        })
        .await
}

/// Creates `rate` objects a second, and says when each was sent.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulated cloud has the clock of this machine too"
)]
async fn create_slowly(
    namespace: &Namespace,
    objects: usize,
    rate: NonZeroU32,
    manifest: impl Fn(usize) -> Value,
) -> Result<Sent, BoxError> {
    let requests = namespace.api::<DesktopDeletion>();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.get());
    let (mut creations, mut sent) = (JoinSet::new(), Sent::new());
    for n in 0..objects {
        ticks.tick().await;
        let (requests, object) = (requests.clone(), serde_json::from_value(manifest(n))?);
        sent.insert(desktop(n), Timestamp::now());
        creations.spawn(async move { requests.create(&PostParams::default(), &object).await });
    }
    while let Some(created) = creations.join_next().await {
        created??;
    }
    Ok(sent)
}

/// Waits until each request has ended well.
async fn all_deleted(namespace: &Namespace, objects: usize) -> Result<(), BoxError> {
    let requests = namespace.deletions();
    let unfinished = ListParams::default().fields("status.completionTime=").limit(1);
    let mut pause = tokio::time::interval(PAUSE);
    let look = async || {
        pause.tick().await;
        let left = requests
            .list(&unfinished)
            .await
            .map_err(|error| error.to_string())?;
        match left.items.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{} are not finished, one of them: {:#}",
                1 + left.metadata.remaining_item_count.unwrap_or_default(),
                first.data
            )),
        }
    };
    let patience = Duration::from_secs(120) + PATIENCE * u32::try_from(objects)?;
    eventually("all requests have ended", patience, look).await?;
    let ended = requests.list(&ListParams::default()).await?;
    let bad: Vec<_> = ended
        .items
        .iter()
        .filter(|object| !is_deleted(&object.data))
        .collect();
    match bad.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} did not succeed, one of them: {:#}", bad.len(), first.data).into()),
    }
}

fn is_deleted(data: &Value) -> bool {
    let conditions = data["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Succeeded" && condition["reason"] == "AllDeleted")
}
