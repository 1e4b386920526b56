//! Many scenes at the same time, in one namespace and under one operator.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;
use testkit::{ApiServerProxy, ControlPlane, Namespace, Operator, SERVICE_ACCOUNT};

use crate::oracle::Run;
use crate::scene::{self, Scene};

/// A namespace and what plays in it.
pub(crate) struct Troupe {
    pub(crate) namespace: Namespace,
    /// What the operator goes through.
    pub(crate) proxy: Arc<ApiServerProxy>,
    scenes: Vec<Scene>,
}

impl Troupe {
    /// An empty namespace with the operator's account.
    pub(crate) async fn gather(name: &str) -> Self {
        Self::gather_on(ControlPlane::shared().await, name).await
    }

    /// The same on a control plane of its own.
    pub(crate) async fn gather_on(control_plane: &ControlPlane, name: &str) -> Self {
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
            scenes: Vec::new(),
        }
    }

    /// Another scene with these desktops.
    pub(crate) async fn add(&mut self, name: &str, desktops: &[Value]) -> &mut Scene {
        let scene = Scene::set(&self.namespace, name, self.scenes.len(), desktops).await;
        self.scenes.push(scene);
        self.scenes.last_mut().unwrap()
    }

    /// Its scenes.
    pub(crate) fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// Applies all requests.
    pub(crate) async fn begin(&self) {
        join_all(self.scenes.iter().map(Scene::begin)).await;
    }

    /// Its proxy and its scenes.
    pub(crate) fn disband(self) -> (Arc<ApiServerProxy>, Vec<Scene>) {
        (self.proxy, self.scenes)
    }

    /// Plays all scenes to their ends, and does something to each one of them meanwhile.
    pub(crate) async fn play_with(self, meanwhile: impl AsyncFn(&Scene, usize)) -> Vec<Run> {
        let plot = async |scene: &Scene, number| {
            meanwhile(scene, number).await;
            scene.ended().await
        };
        self.play_through(plot).await
    }

    /// Plays all scenes; the plot of each is told by its number, and gives how it ended.
    pub(crate) async fn play_through(
        self,
        plot: impl AsyncFn(&Scene, usize) -> Result<Value, String>,
    ) -> Vec<Run> {
        let operator = scene::operator(self.proxy.kubeconfig(), self.namespace.name());
        self.begin().await;
        self.play_under(vec![operator], plot).await
    }

    /// The same under operators that were started, of requests that have begun.
    pub(crate) async fn play_under(
        self,
        operators: Vec<Operator>,
        plot: impl AsyncFn(&Scene, usize) -> Result<Value, String>,
    ) -> Vec<Run> {
        let operators = Arc::new(operators);
        let play = async |(number, scene): (usize, Scene)| {
            let ended = plot(&scene, number).await;
            Run::new(scene, operators.clone(), self.proxy.clone(), ended)
        };
        join_all(self.scenes.into_iter().enumerate().map(play)).await
    }
}
