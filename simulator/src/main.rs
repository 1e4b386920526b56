//! `workspace-simulator`: serves a simulated Workspace until it receives a signal.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use workspace_simulator::world::World;
use workspace_simulator::{Options, serve};

/// A simulated Huawei Cloud Workspace, with IAM and the API gateway.
///
/// When the simulator is ready, it prints one line of JSON: the addresses of Workspace, IAM and the admin API, and the
/// file with the certificate that clients must trust. To stop it, press Ctrl-C or send SIGTERM.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address of Workspace and IAM (HTTPS); port 0 selects a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Address of the admin API (HTTP without authentication: keep it on the loopback interface).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    admin: SocketAddr,

    /// The world file: accounts, projects, desktops, timings, switches.
    #[arg(long, value_name = "FILE.yaml")]
    world: PathBuf,

    /// File to which every request is appended, one JSON object per line; without it, it is kept in memory only.
    #[arg(long, value_name = "FILE.jsonl")]
    ledger: Option<PathBuf>,

    /// File for the certificate (PEM) that clients must trust; created at every start.
    #[arg(long, value_name = "FILE.pem")]
    ca_out: PathBuf,

    /// Another host name for the server's certificate, in addition to localhost; may be repeated.
    #[arg(long, value_name = "NAME")]
    server_name: Vec<String>,
}

/// The line that is printed when the simulator is ready.
#[derive(Serialize)]
struct Ready<'a> {
    workspace: &'a str,
    iam: &'a str,
    admin: &'a str,
    ca: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workspace-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let Arguments {
        listen,
        admin,
        world,
        ledger,
        ca_out,
        server_name,
    } = arguments;
    let world = World::read(&world)?;
    // Registered before the line is printed, so that a signal sent after reading it is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let options = Options {
        listen,
        admin,
        world,
        ledger,
        ca_out: Some(ca_out.clone()),
        server_names: server_name,
    };
    let running = serve(options).await?;
    let ready = Ready {
        workspace: &running.workspace,
        iam: &running.iam,
        admin: &running.admin,
        ca: ca_out.display().to_string(),
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::to_string(&ready)?)?;
    stdout.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}
