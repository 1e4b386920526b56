//! The shell around the core: TLS, connections that break on purpose, the admin API and the ledger's file.

mod admin;
mod connection;
mod shared;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cloud::{ArmedFault, Cloud, Fault, LedgerEntry};
use crate::world::{Desktop, World, WorldError};
use shared::Shared;

/// What to serve and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of Workspace and IAM (HTTPS); port 0 takes a free one.
    pub listen: SocketAddr,

    /// Address of the admin API (HTTP without authentication); port 0 selects a free port.
    pub admin: SocketAddr,

    /// The world at its start.
    pub world: World,

    /// File to which the ledger is appended, one JSON object a line.
    pub ledger: Option<PathBuf>,

    /// File to which the certificate of the authority is written, in PEM.
    pub ca_out: Option<PathBuf>,

    /// Host names that the server's certificate is for, besides `localhost`, `127.0.0.1` and `::1`.
    pub server_names: Vec<String>,
}

impl Options {
    /// Serves `world` on free ports of the loopback interface and writes no files.
    pub fn new(world: World) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: loopback,
            admin: loopback,
            world,
            ledger: None,
            ca_out: None,
            server_names: Vec::new(),
        }
    }
}

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world does not fit together.
    #[error(transparent)]
    World(#[from] WorldError),

    /// An address could not be listened on.
    #[error("failed to listen on {address}: {source}; choose another address or port 0")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },

    /// A file could not be written.
    #[error("failed to write {path}: {source}; check that its folder exists and may be written to")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// No certificate could be made.
    #[error("failed to make the certificates: {0}; check the names given by --server-name")]
    Certificate(String),
}

/// A simulator that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    /// Address of Workspace, such as `https://127.0.0.1:41234`.
    pub workspace: String,

    /// Address of IAM; the same server as Workspace.
    pub iam: String,

    /// Address of the admin API, such as `http://127.0.0.1:41235`.
    pub admin: String,

    /// The certificate of the authority that signed the server's, in PEM.
    pub ca_pem: String,

    /// The file that holds it, if one was asked for.
    pub ca_path: Option<PathBuf>,

    shared: Arc<Shared>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a simulator; it is ready when this returns.
///
/// # Errors
/// When the world does not fit together, an address is taken, or a file cannot be written.
pub async fn serve(options: Options) -> Result<Running, Error> {
    let Options {
        listen,
        admin,
        world,
        ledger,
        ca_out,
        server_names,
    } = options;
    let cloud = Cloud::new(world)?;
    let shared = Arc::new(Shared::new(cloud, ledger)?);
    let authority = tls::Authority::new()?;
    let acceptor = TlsAcceptor::from(authority.server_config(&listen, &server_names)?);
    if let Some(path) = &ca_out {
        std::fs::write(path, &authority.pem).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    let (cloud_listener, cloud_address) = bind(listen).await?;
    let (admin_listener, admin_address) = bind(admin).await?;

    let stopping = CancellationToken::new();
    let tasks = TaskTracker::new();
    let service = connection::Service {
        shared: shared.clone(),
        tasks: tasks.clone(),
        stopping: stopping.clone(),
    };
    tasks.spawn(connection::accept(cloud_listener, acceptor, service));
    tasks.spawn(admin::accept(
        admin_listener,
        shared.clone(),
        tasks.clone(),
        stopping.clone(),
    ));
    Ok(Running {
        workspace: format!("https://{cloud_address}"),
        iam: format!("https://{cloud_address}"),
        admin: format!("http://{admin_address}"),
        ca_pem: authority.pem,
        ca_path: ca_out,
        shared,
        stopping,
        tasks,
    })
}

impl Running {
    /// Every request so far, oldest first.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.shared.with(|cloud, _| cloud.ledger().to_vec())
    }

    /// The desktops in their present state, without those that no longer exist.
    pub fn desktops(&self) -> Vec<Desktop> {
        self.shared.with(|cloud, now| cloud.desktops(now))
    }

    /// Adds a desktop, or replaces the one with its id.
    ///
    /// # Errors
    /// When its id is empty or too long, or its project does not exist.
    pub fn put_desktop(&self, desktop: Desktop) -> Result<(), WorldError> {
        self.shared.with(|cloud, _| cloud.put_desktop(desktop)).map(drop)
    }

    /// Sets the keys of a desktop that `keys` holds; its deletion goes on.
    ///
    /// # Errors
    /// When there is no such desktop, `keys` has not the form of a desktop, or names another id or project.
    pub fn change_desktop(&self, id: &str, keys: &Map<String, Value>) -> Result<(), WorldError> {
        let changed = self.shared.with(|cloud, now| cloud.change_desktop(now, id, keys));
        changed.map(drop)
    }

    /// Adds a fault.
    ///
    /// # Errors
    /// When the fault counts from 0 or its response cannot be sent; the text says why.
    pub fn add_fault(&self, fault: Fault) -> Result<(), String> {
        self.shared.with(|cloud, _| cloud.add_fault(fault))
    }

    /// The faults that were added, with the count of requests that they matched.
    pub fn faults(&self) -> Vec<ArmedFault> {
        self.shared.with(|cloud, _| cloud.faults().to_vec())
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.with(|cloud, _| cloud.clear_faults());
    }

    /// Ends all delays by faults so far: delayed requests are carried out, and delayed responses are sent.
    pub fn end_delays(&self) {
        self.shared.end_delays();
    }

    /// Makes all deletions accepted so far visible immediately, regardless of their delay.
    pub fn show_jobs(&self) {
        self.shared.with(Cloud::show_jobs);
    }

    /// Ends all deletions so far, however long they were to take.
    pub fn end_jobs(&self) {
        self.shared.with(Cloud::end_jobs);
    }

    /// Removes the records of all jobs so far.
    pub fn erase_jobs(&self) {
        self.shared.with(|cloud, _| cloud.erase_jobs());
    }

    /// Closes all connections and waits until all tasks have ended.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
