//! Many trials at the same time, in one namespace and under one operator.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;
use testkit::{ApiServerProxy, ControlPlane, Namespace, Operator, SERVICE_ACCOUNT};

use crate::oracle::Run;
use crate::trial::{self, Trial};

/// A namespace and its trials.
pub(crate) struct TrialGroup {
    pub(crate) namespace: Namespace,
    /// What the operator goes through.
    pub(crate) proxy: Arc<ApiServerProxy>,
    /// Flags of its operator that win over those of all trials.
    pub(crate) flags: &'static [&'static str],
    trials: Vec<Trial>,
}

impl TrialGroup {
    /// An empty namespace with the operator's account.
    pub(crate) async fn new(name: &str) -> Self {
        Self::new_on(ControlPlane::shared().await, name).await
    }

    /// The same on a control plane of its own.
    pub(crate) async fn new_on(control_plane: &ControlPlane, name: &str) -> Self {
        let namespace = control_plane.namespace(name).await.unwrap();
        control_plane
            .deploy("deploy/base", namespace.name())
            .await
            .unwrap();
        let proxy = ApiServerProxy::start(control_plane, namespace.name(), SERVICE_ACCOUNT)
            .await
            .unwrap();
        Self {
            namespace,
            proxy: Arc::new(proxy),
            flags: &[],
            trials: Vec::new(),
        }
    }

    /// Another trial with these desktops.
    pub(crate) async fn add(&mut self, name: &str, desktops: &[Value]) -> &mut Trial {
        let trial = Trial::set(&self.namespace, name, self.trials.len(), desktops).await;
        self.trials.push(trial);
        self.trials.last_mut().unwrap()
    }

    /// Its trials.
    pub(crate) fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Applies all requests.
    pub(crate) async fn begin(&self) {
        join_all(self.trials.iter().map(Trial::begin)).await;
    }

    /// Its proxy and its trials.
    pub(crate) fn into_parts(self) -> (Arc<ApiServerProxy>, Vec<Trial>) {
        (self.proxy, self.trials)
    }

    /// Runs all trials to their ends, and does something to each of them in the meantime.
    pub(crate) async fn run_with(self, meanwhile: impl AsyncFn(&Trial, usize)) -> Vec<Run> {
        let run_one = async |trial: &Trial, number| {
            meanwhile(trial, number).await;
            trial.ended().await
        };
        self.run_each(run_one).await
    }

    /// Runs all trials; `run_one` does so for one of them, and returns how it ended.
    pub(crate) async fn run_each(
        self,
        run_one: impl AsyncFn(&Trial, usize) -> Result<Value, String>,
    ) -> Vec<Run> {
        let operator = trial::operator_with(self.proxy.kubeconfig(), self.namespace.name(), self.flags);
        self.begin().await;
        self.run_under(vec![operator], run_one).await
    }

    /// The same under operators that were started, of requests that have begun.
    pub(crate) async fn run_under(
        self,
        operators: Vec<Operator>,
        run_one: impl AsyncFn(&Trial, usize) -> Result<Value, String>,
    ) -> Vec<Run> {
        let operators = Arc::new(operators);
        let run = async |(number, trial): (usize, Trial)| {
            let ended = run_one(&trial, number).await;
            Run::new(trial, operators.clone(), self.proxy.clone(), ended)
        };
        join_all(self.trials.into_iter().enumerate().map(run)).await
    }
}
