//! One request with its own cloud, credentials, Secret and project, all of them with the request's name. Therefore many
//! of them can run in one namespace, and what went wrong in one cloud belongs to one request.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use desktop_deletion_operator::crd::RESOLVE_ANNOTATION;
use invariants::history::{Facts, IntentBasis};
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use testkit::{Cloud, Namespace, Operator, OperatorOptions, eventually, manifests};
use workspace_simulator::cloud::{LedgerEntry, Operation};

/// Long enough for any machine: a wait ends as soon as its condition holds.
pub(crate) const BOUND: Duration = Duration::from_secs(600);

/// Short delays and lives, so that a request with unknown outcome is settled within a quarter of a minute.
pub(crate) const FLAGS: &[&str] = &[
    "run",
    "--allowed-endpoints=127.0.0.1=127.0.0.0/8",
    "--listen=127.0.0.1:0",
    "--poll-interval=300ms",
    "--initial-poll-delay=200ms",
    "--signature-window=6s",
    "--max-signature-age=4s",
    "--submission-timeout=10s",
    "--clock-skew=3s",
    "--job-visibility-timeout=1s",
    "--token-life=8s",
    "--recovery-timeout=2s",
    "--secret-refresh=500ms",
    "--retry-min=300ms",
    "--retry-max=2s",
    "--requests-per-minute=1000000",
    "--concurrency=256",
    "--log-level=info,desktop_deletion_operator=debug",
];

/// A token of the user [`CONSOLE`], of whom the operator knows nothing.
const CONSOLE_TOKEN: &str = "test-console-token";

/// The user of the operator's own tokens.
const USER: &str = "operator";

/// Another client that deletes desktops.
pub(crate) const CONSOLE: &str = "console";

/// One request and its cloud.
pub(crate) struct Trial {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    pub(crate) cloud: Cloud,
    desktops: Vec<String>,
    /// What the intents of the request are based on, and since when; nothing if there are no approvals.
    bases: Mutex<Vec<(Timestamp, IntentBasis)>>,
}

impl Trial {
    /// A cloud with these desktops, and the project that points to it; its request comes with [`Trial::begin`].
    /// `number` differs between the trials of one namespace.
    pub(crate) async fn set(namespace: &Namespace, name: &str, number: usize, desktops: &[Value]) -> Self {
        let mut world = Cloud::world();
        // Jobs of different clouds have different ids.
        world["seed"] = json!(number);
        // A desktop that is in flight is reserved by its project's id alone, regardless of the endpoint.
        world["projects"] = json!([{"id": format!("{number:032x}")}]);
        // If another client deletes a desktop as well, that is another job.
        world["switches"] = json!({"repeatedDesktop": "accept"});
        let [id, secret, token, ready] = login(name);
        let key = json!({"id": id, "secret": secret, "securityToken": token});
        world["accounts"][0]["accessKeys"] = json!([key]);
        world["accounts"][0]["tokens"] =
            json!([{"token": ready, "user": USER}, {"token": CONSOLE_TOKEN, "user": CONSOLE}]);
        let cloud = Cloud::start(&world).await.unwrap();
        for desktop in desktops {
            cloud.add_desktop(desktop).unwrap();
        }
        let trial = Self {
            name: name.to_owned(),
            namespace: namespace.clone(),
            cloud,
            desktops: desktops
                .iter()
                .map(|d| d["id"].as_str().unwrap().to_owned())
                .collect(),
            bases: Mutex::default(),
        };
        trial.put_project_into(namespace).await;
        trial
    }

    /// Applies the project and its Secret, to the trial's namespace or to another one.
    pub(crate) async fn put_project_into(&self, namespace: &Namespace) {
        let name = &self.name;
        let [id, secret, token, _] = login(name);
        let values = [
            ("accessKey", &*id),
            ("secretKey", &secret),
            ("securityToken", &token),
        ];
        namespace.apply(&manifests::secret(name, &values)).await.unwrap();
        namespace.apply(&self.cloud.project(name, name)).await.unwrap();
    }

    /// The operator logs in with a ready token instead of the access key.
    pub(crate) async fn log_in_by_token(&self) {
        let [.., ready] = login(&self.name);
        let secret = manifests::secret(&self.name, &[("token", &ready)]);
        self.namespace.apply(&secret).await.unwrap();
        let mut project = self.cloud.project(&self.name, &self.name);
        project["spec"]["credentials"] = json!({"token": {"secretRef": {"name": self.name}}});
        self.namespace.apply(&project).await.unwrap();
    }

    /// The project requires an approval of each request.
    pub(crate) async fn require_approvals(&self) {
        let patch = Patch::Merge(json!({"spec": {"guardrails": {"approval": "Required"}}}));
        let projects = self.namespace.projects();
        projects
            .patch(&self.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
        self.note_grounds();
    }

    /// A desktop is assigned to another user, while no operator works: what any of them has read is read again.
    pub(crate) fn assign(&self, id: &str, user: &str) {
        self.cloud.change_desktop(id, &json!({"user": user})).unwrap();
        self.note_grounds();
    }

    #[expect(clippy::disallowed_methods, reason = "the time that the audit log has")]
    fn note_grounds(&self) {
        let desktops = self.cloud.simulator().desktops().into_iter();
        let facts = desktops.map(|desktop| {
            let facts = Facts {
                name: Some(desktop.name),
                users: Some(desktop.user).filter(|user| !user.is_empty()),
                created: Some(desktop.created.to_string()),
            };
            (desktop.id, vec![facts])
        });
        let basis = IntentBasis {
            approval_required: true,
            daily_limit: None,
            shown: facts.collect(),
        };
        self.bases.lock().unwrap().push((Timestamp::now(), basis));
    }

    /// What an intent rests on that was stored at that time, in microseconds.
    pub(crate) fn bases(&self, at: i64) -> Option<IntentBasis> {
        let bases = self.bases.lock().unwrap();
        let last = bases.iter().rfind(|(since, _)| since.as_microsecond() <= at);
        last.map(|(_, bases)| bases.clone())
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
        self.begin_approved(&Value::Null).await;
    }

    /// The same with the hash of an approved plan, or null.
    pub(crate) async fn begin_approved(&self, plan: &Value) {
        let mut manifest = manifests::desktop_deletion(&self.name, &self.name, &self.desktops);
        if !plan.is_null() {
            manifest["spec"]["approvedPlan"] = plan.clone();
        }
        self.namespace.apply(&manifest).await.unwrap();
    }

    /// The same with an annotation that settles an attempt.
    pub(crate) async fn begin_annotated(&self, value: &str) {
        let mut manifest = manifests::desktop_deletion(&self.name, &self.name, &self.desktops);
        manifest["metadata"]["annotations"] = json!({RESOLVE_ANNOTATION: value});
        self.namespace.apply(&manifest).await.unwrap();
    }

    /// Asks for the deletion of the request.
    pub(crate) async fn delete(&self) {
        let requests = self.namespace.deletions();
        let deleted = requests.delete(&self.name, &DeleteParams::default()).await;
        deleted.unwrap();
    }

    /// Replaces the request by a manifest from a file, which removes the operator's finalizer.
    pub(crate) async fn replace(&self) {
        let requests = self.namespace.deletions();
        // The operator may write meanwhile; kubectl tries again too.
        loop {
            let mut object = requests.get(&self.name).await.unwrap();
            object.metadata.finalizers = None;
            object.metadata.managed_fields = None;
            let replaced = requests
                .replace(&self.name, &PostParams::default(), &object)
                .await;
            match replaced {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The request as it stands, unless it is gone.
    pub(crate) async fn object(&self) -> Option<DynamicObject> {
        self.namespace.deletions().get_opt(&self.name).await.unwrap()
    }

    /// Its status as it stands; null if it is gone.
    pub(crate) async fn status(&self) -> Value {
        let object = self.object().await;
        object
            .map(|object| object.data["status"].clone())
            .unwrap_or_default()
    }

    /// Waits until the request has ended, and gives its status.
    ///
    /// # Errors
    /// It does not end; the text shows its status.
    pub(crate) async fn ended(&self) -> Result<Value, String> {
        self.until("it has ended", |status| status["completionTime"].is_string())
            .await
    }

    /// Waits until the request has ended and its last edit was noticed, and gives its status.
    ///
    /// # Errors
    /// That does not come about; the text shows its status.
    pub(crate) async fn settled(&self) -> Result<Value, String> {
        let noticed = |object: &DynamicObject| {
            let status = &object.data["status"];
            status["completionTime"].is_string()
                && status["observedGeneration"].as_i64() == object.metadata.generation
        };
        self.until_object("it has ended, and its last edit was observed", noticed)
            .await
    }

    /// Waits until the status is as wanted, and gives it.
    ///
    /// # Errors
    /// It never is; the text shows the status.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        self.until_object(what, |object| wanted(&object.data["status"]))
            .await
    }

    async fn until_object(
        &self,
        what: &str,
        wanted: impl Fn(&DynamicObject) -> bool,
    ) -> Result<Value, String> {
        let requests = self.namespace.deletions();
        let wanted = |object: Option<&DynamicObject>| object.is_some_and(&wanted);
        // A watch fails with its connection, and while the API server starts; then there is another one.
        let watch = async || await_condition(requests.clone(), &self.name, wanted).await;
        match eventually(what, BOUND, watch).await {
            Ok(Some(object)) => Ok(object.data["status"].clone()),
            other => Err(format!("{other:?}: {:#}", self.status().await)),
        }
    }

    /// Waits until every fault of the cloud has struck.
    ///
    /// # Errors
    /// One never does.
    pub(crate) async fn struck(&self) -> Result<(), String> {
        let look = async || {
            let faults = self.cloud.simulator().faults();
            if faults.iter().all(|fault| fault.struck > 0) {
                Ok(())
            } else {
                Err(format!("{faults:?}"))
            }
        };
        let struck = eventually("every fault was applied", BOUND, look).await;
        struck.map_err(|error| error.to_string())
    }

    /// Waits until every fault of the cloud that is for a first call has struck.
    ///
    /// # Errors
    /// One never does.
    pub(crate) async fn struck_first(&self) -> Result<(), String> {
        let look = async || {
            let mut faults = self.cloud.simulator().faults();
            faults.retain(|fault| fault.struck == 0 && fault.fault.nth == Some(1));
            if faults.is_empty() {
                Ok(())
            } else {
                Err(format!("{faults:?}"))
            }
        };
        let struck = eventually("the faults of the first calls were applied", BOUND, look).await;
        struck.map_err(|error| error.to_string())
    }

    /// A person settles an attempt.
    pub(crate) async fn resolve(&self, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: value}}}));
        let patched = self
            .namespace
            .deletions()
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        patched.unwrap();
    }

    /// Changes fields of the request's spec.
    ///
    /// # Errors
    /// The API server refuses it.
    pub(crate) async fn change(&self, spec: Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"spec": spec}));
        let requests = self.namespace.deletions();
        let changed = requests.patch(&self.name, &PatchParams::default(), &patch).await;
        changed.map(drop).map_err(|error| error.to_string())
    }

    /// Changes `timings` of the cloud.
    pub(crate) async fn change_timings(&self, timings: &Value) {
        let url = format!("{}/timings", self.cloud.simulator().admin);
        let answer = self.http().patch(url).json(timings).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// A client that trusts the cloud.
    fn http(&self) -> reqwest::Client {
        rustls::crypto::ring::default_provider().install_default().ok();
        let authority = reqwest::Certificate::from_pem(self.cloud.simulator().ca_pem.as_bytes());
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority.unwrap()]);
        client.build().unwrap()
    }

    /// Another client deletes desktops; returns the job.
    pub(crate) async fn console_deletes(&self, ids: &[&str]) -> String {
        let workspace = &self.cloud.simulator().workspace;
        let url = format!("{workspace}/v2/{}/desktops/batch-delete", self.cloud.project_id());
        let call = self.http().post(url).header("X-Auth-Token", CONSOLE_TOKEN);
        let answer = call.json(&json!({"desktop_ids": ids})).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["job_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    }

    /// The operator's submissions that have arrived, oldest first.
    pub(crate) fn own_posts(&self) -> Vec<LedgerEntry> {
        let mut posts = self.cloud.calls(Operation::BatchDelete);
        posts.retain(|post| post.caller.as_deref() != Some(CONSOLE));
        posts
    }

    /// Waits until a submission has taken effect; gives its job.
    ///
    /// # Errors
    /// None ever does.
    pub(crate) async fn effective_job(&self) -> Result<String, String> {
        let look = async || self.job().ok_or_else(|| format!("{:?}", self.own_posts()));
        let job = eventually("a submission has taken effect", BOUND, look).await;
        job.map_err(|error| error.to_string())
    }

    /// The job of the operator's last submission that took effect.
    pub(crate) fn job(&self) -> Option<String> {
        let last = self.own_posts().into_iter().rfind(|post| post.took_effect);
        last.and_then(|post| post.job_id)
    }

    /// What the cloud calls the operator, by its access key and by its ready token.
    pub(crate) fn callers(&self) -> [String; 2] {
        let [key, ..] = login(&self.name);
        [key, USER.to_owned()]
    }

    /// Secrets that must not be printed.
    pub(crate) fn canaries(&self) -> Vec<String> {
        login(&self.name)[1..].to_vec()
    }
}

/// Id, secret and security token of a trial's access key, and its ready token.
fn login(name: &str) -> [String; 4] {
    [
        format!("KEY-{name}"),
        format!("canary-secret-{name}-8d5c0f"),
        format!("canary-token-{name}-41b7a2"),
        format!("canary-ready-{name}-f3906e"),
    ]
}

/// Starts an operator for a namespace.
pub(crate) fn operator(kubeconfig: &Path, namespace: &str) -> Operator {
    operator_with(kubeconfig, namespace, &[])
}

/// The same; flags given here win over those of all trials.
pub(crate) fn operator_with(kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Operator {
    operator_in(kubeconfig, namespace, flags, &[])
}

/// The same in an environment.
pub(crate) fn operator_in(
    kubeconfig: &Path,
    namespace: &str,
    flags: &[&str],
    environment: &[(&str, &str)],
) -> Operator {
    let own = format!("--namespaces={namespace}");
    let name = |flag: &str| flag.split('=').next().unwrap_or_default().to_owned();
    let given = |flag: &&&str| flags.iter().any(|given| name(given) == name(flag));
    let mut arguments: Vec<_> = FLAGS.iter().filter(|flag| !given(flag)).copied().collect();
    arguments.extend(flags);
    arguments.push(&own);
    let started = Operator::start(OperatorOptions {
        binary: env!("CARGO_BIN_EXE_desktop-deletion-operator"),
        kubeconfig: Some(kubeconfig),
        arguments: &arguments,
        environment,
    });
    started.unwrap()
}

/// The response of a path of the operator's own server: status and text.
///
/// # Errors
/// It does not answer (yet).
pub(crate) async fn ask(operator: &Operator, path: &str) -> Result<(u16, String), String> {
    let log = operator.log();
    let line = log.lines().find(|line| line.contains("serving /livez"));
    let address = line.and_then(|line| line.split_once("address="));
    let (_, address) = address.ok_or_else(|| format!("the log names no address: {log}"))?;
    let address = address.split_whitespace().next().unwrap_or_default();
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build();
    let call = client
        .map_err(|error| error.to_string())?
        .get(format!("http://{address}{path}"));
    let answer = call.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(|error| error.to_string())?))
}

/// A fault of the first submission: it takes effect or not, and is then answered so.
pub(crate) fn lost(effect_first: bool, answer: &Value) -> Value {
    json!({"operation": "batchDelete", "nth": 1, "effectFirst": effect_first, "answer": answer})
}

/// A desktop whose deletion takes so long.
pub(crate) fn desktop(id: &str, running: &str) -> Value {
    json!({"id": id, "outcome": {"result": "success", "running": running}})
}

/// Two desktops, of which the cloud fails to delete the second: that is determined in two reads some time apart, so
/// that there is something to report meanwhile, however slow the machine is.
pub(crate) fn one_of_two_fails() -> [Value; 2] {
    let failed = json!({"result": "failed", "errorCode": "TEST.0002", "failReason": "made up by a test"});
    [json!({"id": "pc-1"}), json!({"id": "pc-2", "outcome": failed})]
}
