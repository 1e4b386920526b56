//! A server that all tests share, on reserved ports of the loopback address.

use std::net::TcpStream;
use std::path::PathBuf;

use testkit::{Error, Process, ReservedPort, eventually};
use tokio::sync::Mutex;

use crate::fixture::BOUND;

/// How a server is started.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// A running server.
pub(crate) struct Service {
    command: Command,
    ports: Vec<ReservedPort>,
    process: Mutex<Process>,
}

impl Service {
    /// Starts a server that listens on `N` ports, and waits until it does.
    pub(crate) async fn start<const N: usize>(command: impl FnOnce([u16; N]) -> Command) -> Self {
        let ports = [(); N].map(|()| ReservedPort::reserve().unwrap());
        let command = command(ports.each_ref().map(ReservedPort::number));
        let service = Self {
            process: Mutex::new(spawn(&command).unwrap()),
            command,
            ports: ports.into(),
        };
        service.listens(&*service.process.lock().await).await;
        service
    }

    /// The port of that number, in the order of the start.
    pub(crate) fn port(&self, number: usize) -> u16 {
        self.ports[number].number()
    }

    /// Kills it and starts it again as it was.
    pub(crate) async fn restart(&self) {
        let mut process = self.process.lock().await;
        process.kill().await.unwrap();
        *process = spawn(&self.command).unwrap();
        self.listens(&process).await;
    }

    /// Waits until it listens on all its ports.
    async fn listens(&self, process: &Process) {
        let closed = |port: &&ReservedPort| TcpStream::connect(("127.0.0.1", port.number())).is_err();
        let look = async || {
            if process.exit_status().is_some() {
                return Ok(Err("it ended".to_owned()));
            }
            match self.ports.iter().find(closed) {
                None => Ok(Ok(())),
                Some(port) => Err(format!("port {} is closed", port.number())),
            }
        };
        let what = format!("{} listens", self.command.name);
        let listens = eventually(&what, BOUND, look).await;
        listens
            .unwrap_or_else(|error| Err(error.to_string()))
            .unwrap_or_else(|why| {
                panic!(
                    "{} did not start: {why}\n{}",
                    self.command.name,
                    process.log_tail()
                )
            });
    }

    /// The end of its log, for the message of a test that failed.
    pub(crate) fn log_tail(&self) -> String {
        let process = self.process.try_lock();
        process.map_or_else(
            |_| "it is being restarted".to_owned(),
            |process| process.log_tail(),
        )
    }
}

fn spawn(command: &Command) -> Result<Process, Error> {
    let environment: Vec<_> = command
        .environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Process::start(command.name, &command.program, &command.arguments, &environment)
}
