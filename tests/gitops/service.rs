//! A server that all tests share, on free ports of the loopback address.

use std::net::TcpStream;
use std::path::PathBuf;

use testkit::{Error, Process, eventually, free_port};
use tokio::sync::Mutex;

use crate::fixture::BOUND;

/// A port that was free may be taken a moment later; so many times others are tried.
const ATTEMPTS: usize = 5;

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
    ports: Vec<u16>,
    process: Mutex<Process>,
}

impl Service {
    /// Starts a server that listens on `N` ports, and waits until it does.
    pub(crate) async fn start<const N: usize>(command: impl Fn([u16; N]) -> Command) -> Self {
        let mut attempt = 1;
        loop {
            let ports = [(); N].map(|()| free_port().unwrap());
            let command = command(ports);
            let process = spawn(&command).unwrap();
            match listening(&command, &ports, &process).await {
                Ok(()) => {
                    return Self {
                        command,
                        ports: ports.to_vec(),
                        process: Mutex::new(process),
                    };
                }
                Err(log) if attempt < ATTEMPTS && log.contains("address already in use") => attempt += 1,
                Err(log) => panic!("{} did not start:\n{log}", command.name),
            }
        }
    }

    /// The port of that number, in the order of the start.
    pub(crate) fn port(&self, number: usize) -> u16 {
        self.ports[number]
    }

    /// Kills it and starts it again as it was.
    pub(crate) async fn restart(&self) {
        let mut process = self.process.lock().await;
        process.kill().await.unwrap();
        *process = spawn(&self.command).unwrap();
        let listening = listening(&self.command, &self.ports, &process).await;
        listening.unwrap_or_else(|log| panic!("{} did not start again:\n{log}", self.command.name));
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

/// Waits until all ports answer; gives the end of the log if the process ends before.
async fn listening(command: &Command, ports: &[u16], process: &Process) -> Result<(), String> {
    let look = async || {
        if process.exit_status().is_some() {
            return Ok(Err(process.log_tail()));
        }
        match ports
            .iter()
            .find(|port| TcpStream::connect(("127.0.0.1", **port)).is_err())
        {
            None => Ok(Ok(())),
            Some(port) => Err(format!("port {port} is closed:\n{}", process.log_tail())),
        }
    };
    eventually(&format!("{} listens", command.name), BOUND, look)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}
