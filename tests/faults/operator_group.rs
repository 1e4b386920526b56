//! What happens to the process: operators of which one follows the other, while the requests of several trials are
//! each at their point.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{ApiRequest, ApiServerProxy, Namespace, Operator, eventually};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use desktop_deletion_operator::runtime::lease;

use crate::oracle::Run;
use crate::points::{self, EXPIRY, Held, IN_FLIGHT, Laid, Point};
use crate::trial::{self, BOUND, Trial};
use crate::trial_group::TrialGroup;

/// The fault that hits the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessFault {
    /// SIGKILL; the next one sees things as they are.
    Kill,
    /// SIGKILL; the next one first sees a list of the time before anything was done, and a silent watch.
    KillStale,
    /// SIGSTOP, until another one leads and has reconciled; then it resumes.
    FreezeLed,
    /// SIGSTOP, until every signed call has expired and the other one has settled it; then it resumes.
    FreezeExpired,
}

/// How long a point that was reached waits for the others. Later ones are handled in a separate round.
const RENDEZVOUS_TIMEOUT: Duration = Duration::from_millis(1500);

/// A submission that arrives when its signature has run out.
const TOO_LATE: &str = "9s";

/// A lease that does not run out by itself: the test takes it away.
const ELECTED: &[&str] = &[
    "--leader-elect",
    "--lease-duration=1h",
    "--renew-deadline=30m",
    "--lease-retry=250ms",
];

/// The name of a plan.
pub(crate) fn plan(point: &Point, fault: ProcessFault) -> String {
    format!("{}-{fault:?}", point.id).to_lowercase()
}

/// Runs one trial for each point, and strikes the process when they are there.
pub(crate) async fn run(points: &[&Point], fault: ProcessFault) -> Vec<Run> {
    let Some(first) = points.first() else {
        return Vec::new();
    };
    let mut group = TrialGroup::new(&format!("{}-on", plan(first, fault))).await;
    for point in points {
        group.add(&plan(point, fault), &points::desktops()).await;
    }
    let mut laid = Vec::new();
    for (trial, point) in group.trials().iter().zip(points) {
        let too_late = fault == ProcessFault::FreezeExpired && point.is_submission();
        if too_late {
            trial.change_timings(&json!({"signatureWindow": "6s"})).await;
        }
        laid.push(point.lay_for(&group.proxy, trial, if too_late { TOO_LATE } else { IN_FLIGHT }));
    }
    group.begin().await;
    let mut replicas = OperatorGroup::begin(&group, fault).await;
    let (proxy, trials) = group.into_parts();
    let (sender, mut arriving) = mpsc::unbounded_channel();
    let arrivals = arrivals(&trials, laid, sender);
    let strikes = async {
        let mut stuck = vec![None; trials.len()];
        while let Some(party) = arrived_together(&mut arriving).await {
            let mut there = Vec::new();
            for (number, held) in party {
                match held {
                    Ok(held) => there.push((&trials[number], held)),
                    Err(why) => stuck[number] = Some(why),
                }
            }
            if let Err(why) = replicas.strike(there).await {
                stuck.fill(Some(why));
            }
        }
        stuck
    };
    let ((), stuck) = tokio::join!(arrivals, strikes);
    let operators = Arc::new(replicas.operators);
    let end = async |(trial, stuck): (Trial, Option<String>)| {
        let ended = match stuck {
            Some(why) => Err(why),
            None => trial.ended().await,
        };
        Run::new(trial, operators.clone(), proxy.clone(), ended)
    };
    join_all(trials.into_iter().zip(stuck).map(end)).await
}

/// The number of a trial, once it is at its point.
type Arrival = (usize, Result<Held, String>);

async fn arrivals(trials: &[Trial], laid: Vec<Laid>, sender: mpsc::UnboundedSender<Arrival>) {
    let sender = &sender;
    let arrive = async |(number, (trial, laid)): (usize, (&Trial, Laid))| {
        // The receiver stays open until all have arrived.
        sender.send((number, laid.held(trial).await)).ok();
    };
    join_all(trials.iter().zip(laid).enumerate().map(arrive)).await;
}

/// Those that are at their points at about the same time; `None` once there are no more.
async fn arrived_together(arriving: &mut mpsc::UnboundedReceiver<Arrival>) -> Option<Vec<Arrival>> {
    let mut party = vec![arriving.recv().await?];
    let departure = Instant::now() + RENDEZVOUS_TIMEOUT;
    while let Ok(Some(next)) = timeout_at(departure, arriving.recv()).await {
        party.push(next);
    }
    Some(party)
}

/// The operators of a namespace, of which one works.
struct OperatorGroup {
    namespace: Namespace,
    proxy: Arc<ApiServerProxy>,
    fault: ProcessFault,
    /// Those that have worked, the one that works, and with an election one more that stands by.
    operators: Vec<Operator>,
    /// The time before anything was done.
    past: String,
}

impl OperatorGroup {
    async fn begin(group: &TrialGroup, fault: ProcessFault) -> Self {
        let now = group.namespace.deletions().list(&ListParams::default()).await;
        let mut replicas = Self {
            namespace: group.namespace.clone(),
            proxy: group.proxy.clone(),
            fault,
            operators: Vec::new(),
            past: now.unwrap().metadata.resource_version.unwrap(),
        };
        replicas.start();
        if replicas.is_elected() {
            replicas.leads(0).await.unwrap();
            replicas.start();
        }
        replicas
    }

    fn is_elected(&self) -> bool {
        matches!(self.fault, ProcessFault::FreezeLed | ProcessFault::FreezeExpired)
    }

    fn start(&mut self) {
        let identity = format!("--identity=replica-{}", self.operators.len());
        let mut flags = vec![&*identity];
        if self.is_elected() {
            flags.extend(ELECTED);
        }
        let operator = trial::operator_with(self.proxy.kubeconfig(), self.namespace.name(), &flags);
        self.operators.push(operator);
    }

    /// Waits until the operator of that number leads.
    async fn leads(&self, number: usize) -> Result<(), String> {
        let leases = self.namespace.api::<Lease>();
        let name = format!("replica-{number}_");
        let look = async || {
            let lease = leases.get_opt(lease::NAME).await.unwrap();
            let holder = lease
                .and_then(|lease| lease.spec?.holder_identity)
                .unwrap_or_default();
            if holder.starts_with(&name) {
                Ok(())
            } else {
                Err(holder)
            }
        };
        let led = eventually(&format!("{name} leads"), BOUND, look).await;
        led.map_err(|error| error.to_string())
    }

    /// Strikes once, while the requests of these trials are at their points.
    async fn strike(&mut self, there: Vec<(&Trial, Held)>) -> Result<(), String> {
        if self.is_elected() {
            self.freeze(there).await
        } else {
            self.kill(there).await
        }
    }

    async fn kill(&mut self, there: Vec<(&Trial, Held)>) -> Result<(), String> {
        let working = self.operators.last().expect("one works");
        working.kill().await.map_err(|error| error.to_string())?;
        let mut reads = Vec::new();
        for (trial, held) in there {
            // No operator is left to receive the effect or the response.
            held.lose();
            reads.push((trial, points::reads(trial, &self.proxy)));
        }
        let stale = self.fault == ProcessFault::KillStale;
        if stale {
            self.proxy.freeze_watches();
            self.proxy.show_lists_as_of(&self.past, begins_a_watch);
        }
        self.start();
        if stale {
            self.all_looked_at(&reads).await?;
            self.proxy.show_current_lists();
            self.proxy.thaw_watches();
        }
        Ok(())
    }

    async fn freeze(&mut self, there: Vec<(&Trial, Held)>) -> Result<(), String> {
        let next = self.operators.len() - 1;
        self.operators[next - 1].freeze();
        let reads: Vec<_> = there
            .iter()
            .map(|(trial, _)| (*trial, points::reads(trial, &self.proxy)))
            .collect();
        let free = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
        let leases = self.namespace.api::<Lease>();
        let freed = leases.patch(lease::NAME, &PatchParams::default(), &free).await;
        freed.map_err(|error| error.to_string())?;
        self.leads(next).await?;
        if self.fault == ProcessFault::FreezeExpired {
            tokio::time::sleep(EXPIRY).await;
            join_all(reads.iter().map(|(trial, _)| settled(trial))).await;
        }
        self.all_looked_at(&reads).await?;
        // What the frozen one had sent arrives now, and its response is the first thing that it sees.
        for (_, held) in there {
            held.release();
        }
        let frozen = &self.operators[next - 1];
        frozen.thaw();
        let ended = tokio::time::timeout(BOUND, frozen.wait()).await;
        let exit = ended.map_err(|_| "it never notices that it lost leadership".to_owned())?;
        let exit = exit.map_err(|error| error.to_string())?;
        if exit != 1 {
            return Err(format!("it ends with status {exit}: {}", frozen.log_tail()));
        }
        self.start();
        Ok(())
    }

    async fn all_looked_at(&self, reads: &[(&Trial, usize)]) -> Result<(), String> {
        let looks = reads
            .iter()
            .map(|(trial, before)| points::looked_at(trial, &self.proxy, *before));
        join_all(looks).await.into_iter().collect()
    }
}

/// Waits until no attempt of the request is open.
async fn settled(trial: &Trial) -> Result<(), String> {
    let open = |attempt: &Value| attempt["outcome"] == "Pending";
    let settled = |status: &Value| {
        !status["attempts"]
            .as_array()
            .is_some_and(|all| all.iter().any(open))
    };
    trial.until("it is settled", settled).await.map(drop)
}

/// The list that a watch of the requests begins with; what is asked of the present stays there.
fn begins_a_watch(asked: &ApiRequest) -> bool {
    asked.resource == "desktopdeletions" && asked.query.contains("limit=500")
}
