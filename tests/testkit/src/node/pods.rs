//! What runs in pods, seen from this process, whose namespaces hold those of all nodes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use super::commands;
use crate::error::{Context, Error};
use crate::process::Process;

/// The operator in its image.
const OPERATOR: &str = "/desktop-deletion-operator";

/// Connects to `$1` at port `$2`, and does no more.
const CONNECT: &str = r#"exec 3<>"/dev/tcp/$1/$2""#;

impl Cluster {
    /// Sends a signal, named without `SIG`, to the operator in the pod with this uid, wherever the pod runs.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal(&self, pod: &str, signal: &str) -> Result<(), Error> {
        let id = process(pod, |program| program == Path::new(OPERATOR))?;
        commands::run("kill", ["-s", signal, &id]).map(drop)
    }

    /// Whether the pod with this uid can open a connection.
    ///
    /// # Errors
    ///
    /// The pod does not run.
    pub fn connects(&self, pod: &str, to: SocketAddr) -> Result<bool, Error> {
        let id = process(pod, |_| true)?;
        let (host, port) = (to.ip().to_string(), to.port().to_string());
        // A packet that is dropped gets no response.
        let connect = ["timeout", "3", "bash", "-c", CONNECT, "bash", &host, &port];
        Ok(commands::run("nsenter", ["--target", &id, "--net"].iter().chain(&connect)).is_ok())
    }

    /// What the kernel says of the memory of the operator in the pod with this uid: the file is without its `memory.`.
    ///
    /// # Errors
    ///
    /// The pod does not run, or there is no such file.
    pub fn memory(&self, pod: &str, file: &str) -> Result<u64, Error> {
        let id = process(pod, |program| program == Path::new(OPERATOR))?;
        let read =
            |path: PathBuf| std::fs::read_to_string(&path).context(|| format!("read {}", path.display()));
        let own = read(Path::new("/proc").join(id).join("cgroup"))?;
        let own = own.lines().find_map(|line| line.split_once(":memory:/"));
        let (_, own) = own.ok_or_else(|| Error::Other("it has no cgroup for memory".to_owned()))?;
        let file = Path::new("/sys/fs/cgroup/memory")
            .join(own)
            .join(format!("memory.{file}"));
        let text = read(file)?;
        text.trim()
            .parse()
            .map_err(|_| Error::Other(format!("{text} is no number")))
    }

    /// Starts a server on a port of the pod with this uid, for as long as the value lives.
    ///
    /// # Errors
    ///
    /// The pod does not run.
    pub fn listen_in(&self, pod: &str, port: u16) -> Result<Process, Error> {
        let id = process(pod, |_| true)?;
        let nsenter =
            commands::find("nsenter").ok_or_else(|| Error::Other("nsenter is missing".to_owned()))?;
        // A server that is there anyway.
        let etcd = self.control_plane().binaries.etcd.display().to_string();
        let (url, data) = (
            format!("http://[::]:{port}"),
            self.control_plane().folder().join(format!("listener-{port}")),
        );
        let arguments = [
            "--target".to_owned(),
            id,
            "--net".to_owned(),
            etcd,
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            format!("--data-dir={}", data.display()),
        ];
        Process::start("listener", &nsenter, &arguments, &[])
    }
}

/// The id of a process in the pod with this uid whose program is as wanted.
fn process(pod: &str, wanted: impl Fn(&Path) -> bool) -> Result<String, Error> {
    let processes = Path::new("/proc");
    let entries = processes.read_dir().context(|| "list /proc".to_owned())?;
    let found = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|process| {
            let cgroups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
            let program = process.join("exe").read_link().unwrap_or_default();
            cgroups.contains(&format!("/pod{pod}/")) && wanted(&program)
        });
    let id = found.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    id.ok_or_else(|| Error::Other(format!("no such process runs in the pod {pod}")))
}
