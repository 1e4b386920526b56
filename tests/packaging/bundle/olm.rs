//! The operator with the rights and the variables that OLM gives it, in each install mode. OLM itself does not run here: what it
//! does is taken from its source (`RBACForClusterServiceVersion`, which makes the roles, and `ensureTenantRBAC`, which copies them).

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, Operator, OperatorOptions, eventually, manifests};

use super::{CSV, bundle, files, object};

const BOUND: Duration = Duration::from_secs(300);
const ACCOUNT: &str = "desktop-deletion-operator";
const PROJECT: &str = "prod";
const SECRET: &str = "prod-login";

/// A bundle that is installed in a namespace, for an operator group with these targets.
struct Installed<'a> {
    cluster: &'a ControlPlane,
    csv: Value,
    namespace: &'a Namespace,
    targets: Vec<&'a str>,
}

impl<'a> Installed<'a> {
    async fn new(cluster: &'a ControlPlane, namespace: &'a Namespace, targets: Vec<&'a str>) -> Self {
        cluster.install_crds().await.unwrap();
        let installed = Self {
            cluster,
            csv: object(&files(bundle(cluster).await), CSV),
            namespace,
            targets,
        };
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
        installed.apply(namespace.name(), account).await;
        let mut served = installed.targets.clone();
        served.push(namespace.name());
        for name in served {
            installed.grant(name).await;
        }
        installed
    }

    async fn apply(&self, namespace: &str, object: Value) {
        let apply = ["apply", "--namespace", namespace, "--filename=-"];
        let applied = self.cluster.kubectl_with_input(apply, &object.to_string()).await;
        applied.unwrap().stdout().unwrap();
    }

    /// Gives the rights of the bundle in a namespace.
    async fn grant(&self, namespace: &str) {
        let permissions = &self.csv["spec"]["install"]["spec"]["permissions"];
        for permission in permissions.as_array().unwrap() {
            assert_eq!(permission["serviceAccountName"], ACCOUNT);
            let version = "rbac.authorization.k8s.io/v1";
            let metadata = json!({"name": "olm"});
            let account =
                json!({"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace.name()});
            self.apply(
                namespace,
                json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": permission["rules"]}),
            )
            .await;
            self.apply(
                namespace,
                json!({
                    "apiVersion": version,
                    "kind": "RoleBinding",
                    "metadata": metadata,
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "olm"},
                    "subjects": [account],
                }),
            )
            .await;
        }
    }

    fn container(&self) -> &Value {
        let pod = "/spec/install/spec/deployments/0/spec/template/spec";
        self.csv.pointer(&format!("{pod}/containers/0")).unwrap()
    }

    /// A variable of the container, as the kubelet sets it.
    fn variable(&self, variable: &Value) -> (String, String) {
        let value = match variable
            .pointer("/valueFrom/fieldRef/fieldPath")
            .and_then(Value::as_str)
        {
            None => variable["value"].as_str().unwrap().to_owned(),
            Some("metadata.name") => "operator-1".to_owned(),
            Some("metadata.namespace") => self.namespace.name().to_owned(),
            // OLM writes it to the template of the pods.
            Some("metadata.annotations['olm.targetNamespaces']") => self.targets.join(","),
            Some(other) => panic!("{other}"),
        };
        (variable["name"].as_str().unwrap().to_owned(), value)
    }

    async fn start(&self) -> Operator {
        let account = self
            .cluster
            .service_account_kubeconfig(self.namespace.name(), ACCOUNT)
            .await;
        let variables = self.container()["env"].as_array().unwrap();
        let variables: Vec<_> = variables.iter().map(|variable| self.variable(variable)).collect();
        let environment: Vec<_> = variables
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let arguments = self.container()["args"].as_array().unwrap();
        let mut arguments: Vec<_> = arguments
            .iter()
            .map(|argument| argument.as_str().unwrap())
            .collect();
        arguments.push("--listen=127.0.0.1:0");
        Operator::start(OperatorOptions {
            binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
            kubeconfig: Some(&account.unwrap()),
            arguments: &arguments,
            environment: &environment,
        })
        .unwrap()
    }

    /// Makes a project whose Secret does not exist.
    async fn project(&self, namespace: &str) {
        let id = "0123456789abcdef0123456789abcdef";
        let project = manifests::workspace_project(PROJECT, "ap-southeast-1", id, SECRET);
        self.apply(namespace, project).await;
    }

    /// The message of the project's condition `Ready`, or nothing.
    async fn message(&self, namespace: &str) -> String {
        let field = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
        let get = [
            "get",
            "--namespace",
            namespace,
            "workspaceproject",
            PROJECT,
            field,
        ];
        self.cluster.kubectl(get).await.unwrap().stdout().unwrap()
    }

    /// Waits until the operator has asked for the Secret of the project, and has written its status.
    async fn served(&self, operator: &Operator, namespace: &str) {
        // It says something else if it may not read the Secret.
        let expected = format!("Secret {SECRET} does not exist in namespace {namespace}; create it");
        let served = async || match self.message(namespace).await {
            message if message == expected => Ok(()),
            message => Err(format!("{message:?}: {}", operator.log_tail())),
        };
        let served = eventually("the project is served", BOUND, served).await;
        served.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test]
async fn the_operator_serves_its_own_namespace() {
    let cluster = ControlPlane::shared().await;
    let own = cluster.namespace("olm-own").await.unwrap();
    let installed = Installed::new(cluster, &own, vec![own.name()]).await;
    installed.project(own.name()).await;
    let operator = installed.start().await;
    installed.served(&operator, own.name()).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn the_operator_serves_another_namespace_and_not_its_own() {
    let cluster = ControlPlane::shared().await;
    let own = cluster.namespace("olm-single").await.unwrap();
    let team = cluster.namespace("olm-team").await.unwrap();
    let installed = Installed::new(cluster, &own, vec![team.name()]).await;
    installed.project(own.name()).await;
    installed.project(team.name()).await;
    let operator = installed.start().await;
    installed.served(&operator, team.name()).await;
    assert_eq!(installed.message(own.name()).await, "");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn the_operator_serves_several_namespaces() {
    let cluster = ControlPlane::shared().await;
    let own = cluster.namespace("olm-multi").await.unwrap();
    let one = cluster.namespace("olm-one").await.unwrap();
    let two = cluster.namespace("olm-two").await.unwrap();
    let installed = Installed::new(cluster, &own, vec![one.name(), two.name()]).await;
    installed.project(one.name()).await;
    installed.project(two.name()).await;
    let operator = installed.start().await;
    installed.served(&operator, one.name()).await;
    installed.served(&operator, two.name()).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn the_operator_and_the_bundle_do_not_support_all_namespaces() {
    let cluster = ControlPlane::shared().await;
    let own = cluster.namespace("olm-all").await.unwrap();
    let installed = Installed::new(cluster, &own, Vec::new()).await;
    let modes = installed.csv["spec"]["installModes"].as_array().unwrap();
    let unsupported: Vec<_> = modes
        .iter()
        .filter(|mode| mode["supported"] == false)
        .map(|mode| &mode["type"])
        .collect();
    assert_eq!(unsupported, ["AllNamespaces"]);
    let operator = installed.start().await;
    assert_ne!(operator.wait().await.unwrap(), 0, "{}", operator.log());
    assert!(operator.log().contains("--namespaces"), "{}", operator.log());
}
