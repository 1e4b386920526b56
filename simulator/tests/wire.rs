//! The simulator as its own process, over real sockets: TLS, broken connections, the admin API, its end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, like the tests"
)]

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Certificate, Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use workspace_simulator::world::World;
use workspace_simulator::{Options, serve};

const PROJECT: &str = "00000000000000000000000example01";
const ANNA: &str = "1d81c1dc-312b-4621-b778-bac3a1336442";

/// Long enough for any machine that still works.
const GENEROUS: Duration = Duration::from_secs(60);

/// A running `workspace-simulator` with the example world.
struct Process {
    child: Child,
    ready: Value,
    folder: TempDir,
    client: Client,
}

impl Process {
    fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = tempfile::tempdir().unwrap();
        let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("example-world.yaml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_workspace-simulator"))
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--world"])
            .arg(world)
            .arg("--ledger")
            .arg(folder.path().join("ledger.jsonl"))
            .arg("--ca-out")
            .arg(folder.path().join("ca.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let ca = std::fs::read(ready["ca"].as_str().unwrap()).unwrap();
        let client = trusting(&ca);
        Self {
            child,
            ready,
            folder,
            client,
        }
    }

    fn address(&self, of: &str, rest: &str) -> String {
        format!("{}{rest}", self.ready[of].as_str().unwrap())
    }

    fn ledger_file(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    async fn fault(&self, fault: Value) {
        let response = self
            .client
            .post(self.address("admin", "/faults"))
            .json(&fault)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 201);
    }

    /// Waits until every fault was applied.
    async fn struck(&self) {
        let struck = async {
            loop {
                let faults = self.client.get(self.address("admin", "/faults")).send();
                let faults: Vec<Value> = faults.await.unwrap().json().await.unwrap();
                if faults.iter().all(|fault| fault["struck"] != 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(GENEROUS, struck).await.unwrap();
    }

    async fn list(&self) -> reqwest::Result<Response> {
        self.call(&format!("/v2/{PROJECT}/desktops")).await
    }

    async fn call(&self, rest: &str) -> reqwest::Result<Response> {
        let request = self.client.get(self.address("workspace", rest));
        request
            .header("X-Auth-Token", "example-token")
            .header("Content-Type", "application/json")
            .timeout(GENEROUS)
            .send()
            .await
    }

    async fn delete(&self, id: &str) -> reqwest::Result<Response> {
        batch_delete(&self.client, self.ready["workspace"].as_str().unwrap(), id).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trusting(ca: &[u8]) -> Client {
    let ca = Certificate::from_pem(ca).unwrap();
    Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

async fn batch_delete(client: &Client, workspace: &str, id: &str) -> reqwest::Result<Response> {
    let request = client.post(format!("{workspace}/v2/{PROJECT}/desktops/batch-delete"));
    request
        .header("X-Auth-Token", "example-token")
        .json(&json!({"desktop_ids": [id]}))
        .timeout(GENEROUS)
        .send()
        .await
}

/// Whether the failure was brought about by an input or output error of this kind.
fn caused_by(error: &reqwest::Error, kind: ErrorKind) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(present) = cause {
        if present
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == kind)
        {
            return true;
        }
        cause = present.source();
    }
    false
}

#[tokio::test]
async fn the_ready_line_names_the_addresses_and_a_certificate_that_is_trusted() {
    let process = Process::start();
    let ready = process.ready.as_object().unwrap();
    assert_eq!(ready.len(), 4, "{ready:?}");
    assert!(
        ready["workspace"]
            .as_str()
            .unwrap()
            .starts_with("https://127.0.0.1:"),
        "{ready:?}"
    );
    assert!(
        ready["iam"].as_str().unwrap().starts_with("https://127.0.0.1:"),
        "{ready:?}"
    );
    assert!(
        ready["admin"].as_str().unwrap().starts_with("http://127.0.0.1:"),
        "{ready:?}"
    );
    let response = process.list().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("date"));
    assert!(response.headers().contains_key("x-request-id"));
    let port = process.ready["workspace"]
        .as_str()
        .unwrap()
        .rsplit_once(':')
        .unwrap()
        .1;
    let by_name = process
        .client
        .get(format!("https://localhost:{port}/"))
        .send()
        .await
        .unwrap();
    assert_eq!(by_name.status(), 404);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_gets_nowhere() {
    let process = Process::start();
    let stranger = Client::builder().no_proxy().build().unwrap();
    stranger
        .get(process.address("workspace", "/"))
        .send()
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset_with_or_without_the_effect() {
    let process = Process::start();
    let endless = process
        .client
        .patch(process.address("admin", "/timings"))
        .json(&json!({"running": "1h"}));
    assert_eq!(endless.send().await.unwrap().status(), 200);
    for effect_first in [false, true] {
        let fault =
            json!({"operation": "batchDelete", "nth": 1, "effectFirst": effect_first, "answer": "reset"});
        process.fault(fault).await;
        let error = process.delete(ANNA).await.unwrap_err();
        assert!(caused_by(&error, ErrorKind::ConnectionReset), "{error:?}");
        let desktop: Value = process
            .call(&format!("/v2/{PROJECT}/desktops/{ANNA}"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let task = if effect_first { "deleting" } else { "" };
        assert_eq!(desktop["desktop"]["task_status"], task);
    }
}

#[tokio::test]
async fn a_cut_answer_announces_more_than_it_brings() {
    let process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "nth": 1, "answer": {"cutAfter": 12}}))
        .await;
    let mut response = process.list().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.content_length().unwrap() > 12);
    let mut got = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            Ok(None) => panic!("the answer was whole"),
            Err(_) => break,
        }
    }
    assert_eq!(got, br#"{"desktops":"#);
}

#[tokio::test]
async fn a_dripping_answer_comes_byte_by_byte_and_whole() {
    let process = Process::start();
    process
        .fault(json!({"operation": "showJob", "nth": 1, "answer": {"drip": "1ms"}}))
        .await;
    // A short response: each byte takes as long as a loaded machine wants.
    let job = format!("/v2/{PROJECT}/workspace-jobs/no-such-job");
    let slow = process.call(&job).await.unwrap();
    let usual = process.call(&job).await.unwrap();
    assert_eq!(slow.status(), usual.status());
    assert_eq!(slow.text().await.unwrap(), usual.text().await.unwrap());
}

#[tokio::test]
async fn an_endless_answer_begins_well_and_never_ends() {
    let process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "nth": 1, "answer": "endless"}))
        .await;
    let mut endless = process.list().await.unwrap();
    assert_eq!((endless.status().as_u16(), endless.content_length()), (200, None));
    let mut got = Vec::new();
    while got.len() < 1 << 20 {
        got.extend_from_slice(&endless.chunk().await.unwrap().expect("it goes on"));
    }
    let text = String::from_utf8(got).unwrap();
    assert_eq!(
        text.trim_end(),
        process.list().await.unwrap().text().await.unwrap()
    );
}

#[tokio::test]
async fn a_timeout_leaves_the_connection_open_and_silent() {
    let process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "nth": 1, "answer": "timeout"}))
        .await;
    let mut waiting = std::pin::pin!(process.list());
    tokio::select! {
        ended = &mut waiting => panic!("an answer or an end came: {ended:?}"),
        () = process.struck() => {}
    }
    // From the moment when the request was received: the handshake before it may take long.
    let waiting = tokio::time::timeout(Duration::from_millis(500), waiting).await;
    assert!(waiting.is_err(), "an answer or an end came: {waiting:?}");
    assert_eq!(process.list().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_delayed_answer_comes() {
    let process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "answer": {"delay": "50ms"}}))
        .await;
    process
        .fault(json!({"operation": "showJob", "effectFirst": true, "answer": {"delay": "50ms"}}))
        .await;
    assert_eq!(process.list().await.unwrap().status(), 200);
    assert_eq!(
        process
            .call(&format!("/v2/{PROJECT}/workspace-jobs/x"))
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn a_delay_ends_early_when_the_admin_api_is_asked_to_end_it() {
    let process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "answer": {"delay": "1h"}}))
        .await;
    process
        .fault(json!({"operation": "showJob", "effectFirst": true, "answer": {"delay": "1h"}}))
        .await;
    let job = format!("/v2/{PROJECT}/workspace-jobs/x");
    let end = async {
        process.struck().await;
        let end = process.client.post(process.address("admin", "/delays/end"));
        end.send().await.unwrap().status()
    };
    let (listed, shown, ended) = tokio::join!(process.list(), process.call(&job), end);
    assert_eq!(ended, 204);
    assert_eq!(listed.unwrap().status(), 200);
    assert_eq!(shown.unwrap().status(), 404);
}

#[tokio::test]
async fn the_ledger_is_on_file_before_the_answer_leaves_and_the_admin_api_shows_the_same() {
    let process = Process::start();
    process.list().await.unwrap();
    process.call("/nowhere").await.unwrap();
    let file = std::fs::read_to_string(process.ledger_file()).unwrap();
    let lines: Vec<Value> = file
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown = process
        .client
        .get(process.address("admin", "/ledger"))
        .send()
        .await
        .unwrap();
    assert_eq!(shown.json::<Vec<Value>>().await.unwrap(), lines);
    let operations: Vec<&Value> = lines.iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(operations, ["listDesktops", "unknown"]);
}

#[tokio::test]
async fn the_admin_api_reads_and_changes_the_world() {
    let process = Process::start();
    let ask = async |method: &str, path: &str, body: Value| {
        let request = process
            .client
            .request(method.parse().unwrap(), process.address("admin", path));
        let response = request.json(&body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    let (status, desktops) = ask("GET", "/desktops", json!(null)).await;
    assert_eq!((status, desktops.as_array().unwrap().len()), (200, 7));

    let (status, desktop) = ask("POST", "/desktops", json!({"id": "new"})).await;
    assert_eq!(
        (status, &desktop["project"], &desktop["status"]),
        (201, &json!(PROJECT), &json!("ACTIVE"))
    );
    assert_eq!(
        ask("POST", "/desktops", json!({"id": "new", "outcome": "failed"}))
            .await
            .0,
        200
    );
    let (status, changed) = ask("PATCH", "/desktops/ne%77", json!({"user": "eve"})).await;
    assert_eq!(
        (status, &changed["user"], &changed["outcome"]),
        (200, &json!("eve"), &json!("failed"))
    );
    for (path, changes, why) in [
        ("/desktops/nobody", json!({"user": "eve"}), "nobody"),
        ("/desktops/new", json!({"usr": "eve"}), "usr"),
        ("/desktops/new", json!("eve"), "an object"),
    ] {
        let (status, problem) = ask("PATCH", path, changes).await;
        assert_eq!(status, 400);
        assert!(problem["error"].as_str().unwrap().contains(why), "{problem}");
    }
    let (status, problem) = ask("POST", "/desktops", json!({"id": "new", "project": "nowhere"})).await;
    assert_eq!(status, 400);
    assert!(
        problem["error"].as_str().unwrap().contains("nowhere"),
        "{problem}"
    );

    let fault = json!({"operation": "batchDelete", "nth": 1, "desktop": null, "effectFirst": true,
                       "answer": {"status": 504}});
    assert_eq!(ask("POST", "/faults", fault.clone()).await, (201, fault));
    assert_eq!(ask("POST", "/faults", json!({"answer": "explode"})).await.0, 400);
    let (_, faults) = ask("GET", "/faults", json!(null)).await;
    assert_eq!(
        (&faults[0]["matched"], &faults[0]["struck"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(ask("DELETE", "/faults", json!(null)).await.0, 204);
    assert_eq!(ask("GET", "/faults", json!(null)).await.1, json!([]));

    let (status, timings) = ask("PATCH", "/timings", json!({"waiting": "0s", "running": "0s"})).await;
    assert_eq!(
        (status, &timings["running"], &timings["signatureWindow"]),
        (200, &json!("0s"), &json!("15m"))
    );
    assert_eq!(ask("PATCH", "/timings", json!({"runing": "0s"})).await.0, 400);
    let fields = json!([{"field": "tags", "value": null}]);
    let (status, switches) = ask(
        "PATCH",
        "/switches",
        json!({"unknownDesktop": "skip", "fields": fields}),
    )
    .await;
    assert_eq!(
        (status, &switches["unknownDesktop"], &switches["fields"]),
        (200, &json!("skip"), &fields)
    );
    assert_eq!(ask("GET", "/switches", json!(null)).await.1, switches);

    assert_eq!(ask("POST", "/accounts", json!({"name": "second"})).await.0, 201);
    assert_eq!(ask("DELETE", "/jobs", json!(null)).await.0, 204);
    let (status, problem) = ask("GET", "/nowhere", json!(null)).await;
    assert_eq!(status, 404);
    assert!(
        problem["error"].as_str().unwrap().contains("GET /ledger"),
        "{problem}"
    );
}

#[tokio::test]
async fn sigterm_ends_it_well_even_while_a_client_waits() {
    let mut process = Process::start();
    process
        .fault(json!({"operation": "listDesktops", "answer": "timeout"}))
        .await;
    let request = process
        .client
        .get(process.address("workspace", &format!("/v2/{PROJECT}/desktops")));
    let waiting = tokio::spawn(request.header("X-Auth-Token", "example-token").send());
    while std::fs::read_to_string(process.ledger_file()).unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", process.child.id())])
        .status()
        .unwrap();
    assert!(kill.success());
    assert!(process.child.wait().unwrap().success());
    waiting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_mistake_in_the_world_is_said_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world.yaml");
    std::fs::write(&world, "desktop: []\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_workspace-simulator"))
        .arg("--world")
        .arg(&world)
        .arg("--ca-out")
        .arg(folder.path().join("ca.pem"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the world file does not have the documented form"),
        "{said}"
    );
    assert!(said.contains("unknown field `desktop`"), "{said}");
}

#[tokio::test]
async fn it_serves_within_a_process_too_and_a_held_request_arrives_after_its_client_gave_up() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut world = World::parse(include_str!("../example-world.yaml")).unwrap();
    world.timings.running = serde_json::from_value(json!("1h")).unwrap();
    let running = serve(Options::new(world)).await.unwrap();
    let held = json!({"operation": "batchDelete", "nth": 1, "answer": {"delay": "300ms"}});
    running.add_fault(serde_json::from_value(held).unwrap()).unwrap();
    let client = trusting(running.ca_pem.as_bytes());
    let impatient = batch_delete(&client, &running.workspace, ANNA);
    let gave_up = async {
        while running.faults()[0].struck == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = impatient => panic!("an answer came: {answer:?}"),
        () = gave_up => {}
    }
    let arrived = async {
        while running.ledger().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(GENEROUS, arrived).await.unwrap();
    assert!(running.ledger()[0].took_effect);
    let anna = running
        .desktops()
        .into_iter()
        .find(|desktop| desktop.id == ANNA)
        .unwrap();
    assert_eq!(anna.task_status, "deleting");
    running.stop().await;
}
