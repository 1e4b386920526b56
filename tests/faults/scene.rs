//! One request with a cloud, a login, a Secret and a project of its own, all of them of the request's name. So many
//! of them can play in one namespace, and what went wrong in one cloud belongs to one request.

use std::path::Path;
use std::time::Duration;

use kube::api::DynamicObject;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use testkit::{Cloud, Namespace, Operator, OperatorOptions, manifests};

/// Long enough for any machine: a wait ends as soon as its condition holds.
pub(crate) const BOUND: Duration = Duration::from_secs(180);

/// Short pauses and lives, so that a request in doubt is settled within a quarter of a minute.
pub(crate) const FLAGS: &[&str] = &[
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--poll-interval=300ms",
    "--first-look=200ms",
    "--signature-window=6s",
    "--send-guard=4s",
    "--clock-skew=3s",
    "--settle=1s",
    "--token-life=8s",
    "--evidence-patience=2s",
    "--secret-refresh=500ms",
    "--retry-min=300ms",
    "--retry-max=2s",
    "--concurrency=256",
    "--log-level=info,desktop_deletion_operator=debug",
];

/// One request and its cloud.
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    pub(crate) cloud: Cloud,
    desktops: Vec<String>,
}

impl Scene {
    /// A cloud with these desktops, and the project that points to it; its request comes with [`Scene::begin`].
    /// `number` differs between the scenes of one namespace.
    pub(crate) async fn set(namespace: &Namespace, name: &str, number: usize, desktops: &[Value]) -> Self {
        let mut world = Cloud::world();
        // Jobs of different clouds have different ids.
        world["seed"] = json!(number);
        let [id, secret, token] = login(name);
        let key = json!({"id": id, "secret": secret, "securityToken": token});
        world["accounts"][0]["accessKeys"] = json!([key]);
        let cloud = Cloud::start(&world).await.unwrap();
        for desktop in desktops {
            cloud.add_desktop(desktop).unwrap();
        }
        let values = [
            ("accessKey", &*id),
            ("secretKey", &secret),
            ("securityToken", &token),
        ];
        namespace.apply(&manifests::secret(name, &values)).await.unwrap();
        namespace.apply(&cloud.project(name, name)).await.unwrap();
        let ids = desktops
            .iter()
            .map(|desktop| desktop["id"].as_str().unwrap().to_owned());
        Self {
            name: name.to_owned(),
            namespace: namespace.clone(),
            cloud,
            desktops: ids.collect(),
        }
    }

    /// The request names a desktop too that the cloud does not have.
    pub(crate) fn also_name(&mut self, id: &str) {
        self.desktops.push(id.to_owned());
    }

    /// Desktops that the request names.
    pub(crate) fn desktops(&self) -> &[String] {
        &self.desktops
    }

    /// Applies the request.
    pub(crate) async fn begin(&self) {
        let manifest = manifests::desktop_deletion(&self.name, &self.name, &self.desktops);
        self.namespace.apply(&manifest).await.unwrap();
    }

    /// Waits until the request has ended, and gives its status.
    ///
    /// # Errors
    /// It does not end; the text shows its status.
    pub(crate) async fn ended(&self) -> Result<Value, String> {
        let over = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| object.data["status"]["completionTime"].is_string())
        };
        let requests = self.namespace.deletions();
        let ended = await_condition(requests.clone(), &self.name, over);
        match tokio::time::timeout(BOUND, ended).await {
            Ok(Ok(Some(object))) => Ok(object.data["status"].clone()),
            Ok(other) => Err(format!("the watch of {} ended: {other:?}", self.name)),
            Err(_) => {
                let object = requests.get_opt(&self.name).await.unwrap();
                let status = object.map(|object| object.data["status"].clone());
                Err(format!("it has not ended: {:#}", status.unwrap_or_default()))
            }
        }
    }

    /// What nobody may print.
    pub(crate) fn canaries(&self) -> Vec<String> {
        login(&self.name)[1..].to_vec()
    }
}

/// Id, secret and security token of a scene's access key.
fn login(name: &str) -> [String; 3] {
    [
        format!("KEY-{name}"),
        format!("canary-secret-{name}-8d5c0f"),
        format!("canary-token-{name}-41b7a2"),
    ]
}

/// Starts an operator for the namespaces named.
pub(crate) fn operator(kubeconfig: &Path, namespaces: &str) -> Operator {
    let own = format!("--namespaces={namespaces}");
    let mut arguments = FLAGS.to_vec();
    arguments.push(&own);
    let started = Operator::start(OperatorOptions {
        binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
        kubeconfig: Some(kubeconfig),
        arguments: &arguments,
        environment: &[],
    });
    started.unwrap()
}

/// A desktop whose deletion takes so long.
pub(crate) fn desktop(id: &str, running: &str) -> Value {
    json!({"id": id, "outcome": {"result": "success", "running": running}})
}
