//! The simulated cloud of one test, in this process.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};
use workspace_simulator::cloud::{LedgerEntry, Operation};
use workspace_simulator::world::World;
use workspace_simulator::{Options, Running};

use crate::error::Error;
use crate::{canary, manifests};

/// Region of [`Cloud::world`].
pub const REGION: &str = "local-1";
/// Id of the only project of [`Cloud::world`], unless a test puts another one in.
pub const PROJECT_ID: &str = "0b5f3a7c9d1e4f60826b4a5c7d8e9f01";
/// Id of the only access key of [`Cloud::world`], which may do everything.
pub const ACCESS_KEY: &str = "TESTACCESSKEY0000001";
/// Secret of that access key.
pub const SECRET_KEY: &str = "canary-secret-key-0000000000000000000001";

/// The threads that serve all clouds of this process. A test has one thread for all that it does, and its cloud must
/// respond while the test reads a long log or waits for a lock.
static THREADS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let mut threads = Builder::new_multi_thread();
    threads.thread_name("clouds").enable_all().build()
});

/// A simulated Workspace with IAM, on loopback ports; stopped when the value is dropped.
///
/// It serves from threads of its own, so it can receive a request between any two statements of the test.
pub struct Cloud {
    simulator: Running,
    project_id: String,
}

impl Cloud {
    /// A world file as JSON, to be changed before the start: one account with one access key and one project, no
    /// desktops, and jobs that take half a second.
    pub fn world() -> Value {
        json!({
            "regions": [REGION],
            "accounts": [{"name": "test", "accessKeys": [{"id": ACCESS_KEY, "secret": SECRET_KEY}]}],
            "projects": [{"id": PROJECT_ID}],
            "timings": {"waiting": "200ms", "running": "300ms", "emptyStatus": "100ms"},
        })
    }

    /// Starts the cloud with a world; it answers when this returns.
    ///
    /// # Errors
    ///
    /// The world has not the form of a world file, or does not fit together.
    pub async fn start(world: &Value) -> Result<Self, Error> {
        Self::serve(Options::new(parse(world, "a world")?)).await
    }

    /// The same at this address, for clients that know it by these names of its hosts.
    pub(crate) async fn start_at(world: &Value, listen: SocketAddr, hosts: &[String]) -> Result<Self, Error> {
        let mut options = Options::new(parse(world, "a world")?);
        options.listen = listen;
        options.server_names = hosts.to_vec();
        Self::serve(options).await
    }

    async fn serve(options: Options) -> Result<Self, Error> {
        guard_secrets(&options.world);
        let first = options.world.projects.first();
        let project_id = first.map(|project| project.id.clone()).unwrap_or_default();
        let failed = |error: &dyn Display| Error::Other(format!("start the simulated cloud: {error}"));
        let threads = THREADS.as_ref().map_err(|error| failed(error))?;
        let serving = threads.spawn(workspace_simulator::serve(options));
        let simulator = serving.await.map_err(|error| failed(&error))?;
        let simulator = simulator.map_err(|error| failed(&error))?;
        Ok(Self {
            simulator,
            project_id,
        })
    }

    /// The simulator itself: its addresses, its certificate, and its faults and jobs.
    pub fn simulator(&self) -> &Running {
        &self.simulator
    }

    /// Id of the first project of its world.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// Adds a desktop, or replaces the one with its id; only `id` is required.
    ///
    /// # Errors
    ///
    /// The desktop has not the form of one in a world file, or its project does not exist.
    pub fn add_desktop(&self, desktop: &Value) -> Result<(), Error> {
        let put = self.simulator.put_desktop(parse(desktop, "a desktop")?);
        put.map_err(|error| Error::Other(error.to_string()))
    }

    /// Sets the keys of a desktop that `keys` holds, as in a world file; its deletion goes on.
    ///
    /// # Errors
    ///
    /// There is no such desktop, or `keys` has not the form of one in a world file.
    pub fn change_desktop(&self, id: &str, keys: &Value) -> Result<(), Error> {
        let keys: Map<String, Value> = parse(keys, "the changes of a desktop")?;
        let changed = self.simulator.change_desktop(id, &keys);
        changed.map_err(|error| Error::Other(error.to_string()))
    }

    /// Adds a fault, such as
    /// `{"operation": "batchDelete", "nth": 1, "effectFirst": true, "answer": {"status": 504}}`.
    ///
    /// # Errors
    ///
    /// It has not the form of a fault, or cannot be carried out.
    pub fn add_fault(&self, fault: &Value) -> Result<(), Error> {
        self.simulator
            .add_fault(parse(fault, "a fault")?)
            .map_err(Error::Other)
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.simulator.clear_faults();
    }

    /// Every request so far, oldest first.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.simulator.ledger()
    }

    /// The requests of one operation so far, oldest first.
    pub fn calls(&self, operation: Operation) -> Vec<LedgerEntry> {
        let mut entries = self.ledger();
        entries.retain(|entry| entry.operation == operation);
        entries
    }

    /// A Secret with the access key of [`Cloud::world`].
    pub fn secret(&self, name: &str) -> Value {
        manifests::secret(name, &[("accessKey", ACCESS_KEY), ("secretKey", SECRET_KEY)])
    }

    /// A `WorkspaceProject` for the first project of its world at the addresses of this cloud.
    ///
    /// The operator must be started with `--allowed-endpoints 127.0.0.1=127.0.0.0/8` to use it.
    pub fn project(&self, name: &str, secret: &str) -> Value {
        let mut manifest = manifests::workspace_project(name, REGION, self.project_id(), secret);
        manifest["spec"]["endpoint"] = json!(self.simulator.workspace);
        manifest["spec"]["iamEndpoint"] = json!(self.simulator.iam);
        manifest["spec"]["caBundle"] = json!(self.simulator.ca_pem);
        manifest
    }
}

fn guard_secrets(world: &World) {
    for account in &world.accounts {
        let keys = account.access_keys.iter();
        keys.flat_map(|key| key.security_token.iter().chain([&key.secret]))
            .chain(account.users.iter().map(|user| &user.password))
            .chain(account.tokens.iter().map(|token| &token.token))
            .for_each(|secret| canary::guard(secret));
    }
}

fn parse<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, Error> {
    T::deserialize(value)
        .map_err(|error| Error::Other(format!("not {what} for the simulated cloud: {error}")))
}
