//! A real forward proxy (goproxy, `tests/proxy`) as a process, for what reaches the cloud by HTTP CONNECT.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::binaries::lock;
use crate::error::{Context, Error};
use crate::supervised::{Options, Supervised};
use crate::{eventually, paths};

/// Longest time from the start of the process to its port.
const START: Duration = Duration::from_secs(60);

/// A running proxy on a loopback port; killed when the value is dropped.
pub struct ConnectProxy {
    process: Supervised,
    address: String,
}

impl ConnectProxy {
    /// Builds it if necessary, starts it, and waits until it listens. It opens tunnels for clients with `credentials`
    /// (`USER:PASSWORD`), and for every client if there are none.
    ///
    /// # Errors
    ///
    /// It cannot be built or started.
    pub async fn start(credentials: Option<&str>) -> Result<Self, Error> {
        let binary = provide()?;
        // Its supervisor removes the folder.
        let folder = paths::temporary_folder("proxy")?.keep();
        let options = Options {
            name: "the proxy",
            log: folder.join("log"),
            folder: Some(&folder),
        };
        let environment: Vec<_> = credentials
            .map(|shown| ("PROXY_CREDENTIALS".to_owned(), shown.to_owned()))
            .into_iter()
            .collect();
        let process = Supervised::spawn(options, &binary, [""; 0], &environment)?;
        let listening = async || {
            let log = process.log();
            let line = log.lines().find_map(|line| line.strip_prefix("listening on "));
            line.map(str::to_owned).ok_or(log)
        };
        let address = eventually("the proxy listens", START, listening)
            .await
            .map_err(|error| Error::Other(error.to_string()))?;
        Ok(Self { process, address })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `HOST:PORT` of every tunnel so far.
    pub fn tunnels(&self) -> Vec<String> {
        self.entries("tunnel to ")
    }

    /// The `HOST:PORT` of every tunnel that was refused for its credentials.
    pub fn refusals(&self) -> Vec<String> {
        self.entries("refused ")
    }

    fn entries(&self, word: &str) -> Vec<String> {
        let log = self.process.log();
        let entries = log.lines().filter_map(|line| line.split_once(word));
        entries.map(|(_, host)| host.to_owned()).collect()
    }
}

/// Builds the module `tests/proxy`, which takes no time if nothing changed, by one process at a time.
pub(crate) fn provide() -> Result<PathBuf, Error> {
    let store = paths::target().join("proxy");
    std::fs::create_dir_all(&store).context(|| format!("create {}", store.display()))?;
    let _alone = lock(&store)?;
    let binary = store.join("proxy");
    let module = paths::workspace().join("tests/proxy");
    let built = build(&module, &binary).context(|| "start go".to_owned())?;
    if built.status.success() {
        return Ok(binary);
    }
    Err(Error::Build {
        module,
        output: String::from_utf8_lossy(&built.stderr).into_owned(),
    })
}

fn build(module: &Path, binary: &Path) -> std::io::Result<std::process::Output> {
    Command::new("go")
        .args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-o"])
        .arg(binary)
        .arg(".")
        .env("CGO_ENABLED", "0")
        .env_remove("GOFLAGS")
        .current_dir(module)
        .stdin(Stdio::null())
        .output()
}
