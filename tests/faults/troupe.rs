//! Many scenes at the same time, in one namespace and under one operator.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;
use testkit::{ApiServerProxy, ControlPlane, Namespace, SERVICE_ACCOUNT};

use crate::oracle::Run;
use crate::scene::{self, Scene};

/// A namespace and what plays in it.
pub(crate) struct Troupe {
    pub(crate) namespace: Namespace,
    /// What the operator goes through.
    pub(crate) proxy: ApiServerProxy,
    scenes: Vec<Scene>,
}

impl Troupe {
    /// An empty namespace with the operator's account.
    pub(crate) async fn gather(name: &str) -> Self {
        let control_plane = ControlPlane::shared().await;
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
            proxy,
            scenes: Vec::new(),
        }
    }

    /// Another scene with these desktops.
    pub(crate) async fn add(&mut self, name: &str, desktops: &[Value]) -> &mut Scene {
        let scene = Scene::set(&self.namespace, name, self.scenes.len(), desktops).await;
        self.scenes.push(scene);
        self.scenes.last_mut().unwrap()
    }

    /// Plays all scenes to their ends.
    pub(crate) async fn play(self) -> Vec<Run> {
        self.play_with(async |_, _| ()).await
    }

    /// Plays all scenes to their ends, and does something to each one of them meanwhile.
    pub(crate) async fn play_with(self, meanwhile: impl AsyncFn(&Scene, usize)) -> Vec<Run> {
        let operator = scene::operator(self.proxy.kubeconfig(), self.namespace.name());
        let (operators, proxy) = (Arc::new(vec![operator]), Arc::new(self.proxy));
        join_all(self.scenes.iter().map(Scene::begin)).await;
        let play = async |(number, scene): (usize, Scene)| {
            meanwhile(&scene, number).await;
            Run::to_its_end(scene, operators.clone(), proxy.clone()).await
        };
        join_all(self.scenes.into_iter().enumerate().map(play)).await
    }
}
