//! The cloud client against a test server that returns recorded bodies, and fails on demand.
//!
//! | module | what |
//! | --- | --- |
//! | `reads` | what is asked, and how answers are read |
//! | `submission` | the one call that must not be repeated: its bytes, its connection, its response |
//! | `failures` | sent or not sent: everything that can happen to a connection |
//! | `proxies` | the same through a proxy, and every way in which a proxy can fail |
//! | `endpoints` | malicious endpoints, none of which is connected to |
//! | `refusals` | every format of an error response |
//! | `plan_script` | what the script of docs/approval.md makes of a response |
//! | `logins` | passwords and ready tokens: from IAM to credentials that can sign |
//! | `simulated` | the same client against the simulated cloud |

use std::sync::Arc;
use std::time::Duration;

use desktop_deletion_operator::clock::TimeSource;
use desktop_deletion_operator::ids::{DesktopID, JobID, ProjectID};
use desktop_deletion_operator::workspace::api::{ApiResponse, BatchDelete, Workspace};
use desktop_deletion_operator::workspace::auth::{Credentials, SecretCredentials, SecretData};
use desktop_deletion_operator::workspace::connector::{Connector, Target};
use desktop_deletion_operator::workspace::error::{Error, Failure};
use desktop_deletion_operator::workspace::transport::Options;
use jiff::Timestamp;

use server::{Server, authority};

mod endpoints;
mod failures;
mod logins;
mod plan_script;
mod proxies;
mod reads;
mod refusals;
mod server;
mod simulated;
mod submission;

const PROJECT: &str = "00000000000000000000000example01";
const ALICE: &str = "1d81c1dc-312b-4621-b778-bac3a1336442";
const BOB: &str = "34e25501-fd50-42b5-97ca-f4c5bb7b09b0";
const JOB: &str = "6a2b0a3c-3c5f-4f0e-9a3f-6f0d3b1c2d4e";

const AK: &str = "AKEXAMPLE00000000000";
const SK: &str = "SKEXAMPLE-canary-0000000000000000000000";
const TOKEN: &str = "TOKEN-canary+/==";

/// A clock that stands at 2026-01-15T08:30:42.9Z.
#[derive(Debug)]
struct Stopped;

impl TimeSource for Stopped {
    fn now(&self) -> Timestamp {
        "2026-01-15T08:30:42.9Z".parse().unwrap()
    }

    fn random(&self) -> u64 {
        4
    }
}

fn access_key() -> Credentials {
    Credentials::access_key(&secret(&[("accessKey", AK), ("secretKey", SK)])).unwrap()
}

fn token() -> Credentials {
    Credentials::token(&secret(&[("token", TOKEN)])).unwrap()
}

fn secret(entries: &[(&str, &str)]) -> SecretData {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// Generous bounds: no test waits for one of them unless it says so.
fn patient() -> Options {
    let minute = Duration::from_secs(60);
    Options {
        connect_timeout: minute,
        timeout: minute * 2,
        submission_timeout: minute * 2,
        ..Options::default()
    }
}

fn connector(allowed: &str, options: Options) -> Connector {
    let allowed = allowed.split(';').map(|entry| entry.parse().unwrap()).collect();
    Connector::new(options, allowed, Arc::new(Stopped))
}

fn target(endpoint: &str, ca_bundle: &str) -> Target {
    Target {
        endpoint: endpoint.to_owned(),
        project_id: ProjectID::try_from(PROJECT).unwrap(),
        ca_bundle: Some(ca_bundle.to_owned()),
        iam_endpoint: None,
    }
}

/// The calls against this server, with an access key.
fn workspace(server: &Server) -> Arc<dyn Workspace> {
    workspace_with(server, access_key(), patient())
}

fn workspace_with(server: &Server, credentials: Credentials, options: Options) -> Arc<dyn Workspace> {
    connector("127.0.0.1=127.0.0.0/8", options)
        .connect(
            &target(&server.endpoint(), &authority()),
            SecretCredentials::Static(credentials),
        )
        .unwrap()
}

fn desktop(id: &str) -> DesktopID {
    DesktopID::try_from(id).unwrap()
}

fn job(id: &str) -> JobID {
    JobID::try_from(id).unwrap()
}

fn batch() -> BatchDelete {
    BatchDelete {
        desktop_ids: vec![desktop(ALICE), desktop(BOB)],
        delete_users: false,
        email_notification: true,
        force: false,
    }
}

/// Signs and sends the batch.
async fn submit(workspace: &dyn Workspace) -> Result<ApiResponse<JobID>, Error> {
    workspace
        .send(workspace.sign_batch_delete(&batch(), Stopped.now()).unwrap())
        .await
}

fn not_sent(error: &Error) -> &str {
    match &error.failure {
        Failure::NotSent { reason } => reason,
        other => panic!("expected NotSent, got {other:?}"),
    }
}

fn no_answer(error: &Error) -> &str {
    match &error.failure {
        Failure::NoResponse { reason } => reason,
        other => panic!("expected NoResponse, got {other:?}"),
    }
}

fn unreadable(error: &Error) -> (u16, &str) {
    match &error.failure {
        Failure::Unreadable { status, reason, .. } => (*status, reason),
        other => panic!("expected Unreadable, got {other:?}"),
    }
}
