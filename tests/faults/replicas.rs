//! Two replicas without an election, both at the same call at the same time, at every point. Where only one of them can
//! be there, the other one goes on with what it can do meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::{ApiServerProxy, ControlPlane, SERVICE_ACCOUNT};
use tokio::time::timeout;

use crate::oracle::{self, End};
use crate::plans;
use crate::points::{self, Held, Laid, POINTS, Point};
use crate::trial::{self, Trial};
use crate::trial_group::TrialGroup;

/// How long the first one at a point waits for the other one.
const RENDEZVOUS_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of a plan.
pub(crate) fn plan(point: &Point) -> String {
    format!("{}-replica", point.id)
}

/// Waits until either replica is at the point, and a while for the other one; then lets both go on at once.
async fn meet(trial: &Trial, [one, other]: [Laid; 2]) -> Result<(), String> {
    let (mut one, mut other) = (Box::pin(one.held(trial)), Box::pin(other.held(trial)));
    let (first, second) = tokio::select! {
        held = &mut one => (held?, timeout(RENDEZVOUS_TIMEOUT, other).await),
        held = &mut other => (held?, timeout(RENDEZVOUS_TIMEOUT, one).await),
    };
    first.release();
    if let Ok(Ok(second)) = second {
        Held::release(second);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_make_the_same_call_at_the_same_time_have_the_same_effect_as_one() {
    let points: Vec<_> = POINTS
        .iter()
        .filter(|point| plans::is_wanted(&plan(point)))
        .collect();
    let mut group = TrialGroup::new("replica").await;
    for point in &points {
        group.add(&plan(point), &points::desktops()).await;
    }
    let control_plane = ControlPlane::shared().await;
    let second = ApiServerProxy::start(control_plane, group.namespace.name(), SERVICE_ACCOUNT);
    let proxies = [group.proxy.clone(), Arc::new(second.await.unwrap())];
    let lay = |(trial, point): (&Trial, &&Point)| Mutex::new(Some(point.lay_in_both(&proxies, trial)));
    let laid: Vec<_> = group.trials().iter().zip(&points).map(lay).collect();
    group.begin().await;
    let start = |proxy: &Arc<ApiServerProxy>| trial::operator(proxy.kubeconfig(), group.namespace.name());
    let operators = proxies.iter().map(start).collect();
    let run_one = async |trial: &Trial, number: usize| {
        let laid = laid[number].lock().unwrap().take().expect("each trial runs once");
        meet(trial, laid).await?;
        trial.ended().await
    };
    let runs = group.run_under(operators, run_one).await;
    let mut broken = oracle::judge(&runs).await;
    for run in &runs {
        broken.extend(run.expect_end(&End::one_of_two_failed()));
    }
    oracle::report(runs.len(), &broken);
}
