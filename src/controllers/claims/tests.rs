//! Which request reserves a desktop, as decided by the table alone: the tests write the watch stores, and time is
//! paused.

use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::cli::tests::config;
use crate::clock::TimeSource;
use crate::cloud::session::ServiceClocks;
use crate::controllers::api::ApiServerClock;
use crate::crd::deletion::Outcome;
use crate::ids::DesktopID;
use crate::plan::clocks::{after, between};
use crate::plan::observed::DeletedRequest;
use crate::plan::progress::{Progress, Requeue};

mod deleted;
mod undecodable;
mod unfinished;
mod unreadable;

const PROJECT: &str = "0b5f";
const ENDPOINT: &str = "https://workspace.example";

/// When every test begins, and every attempt is signed.
fn start() -> Timestamp {
    "2026-12-01T00:00:00Z".parse().unwrap()
}

/// A machine's clock that runs with the paused time.
#[derive(Debug)]
struct Running(Instant);

impl TimeSource for Running {
    fn now(&self) -> Timestamp {
        after(start(), self.0.elapsed())
    }

    fn random(&self) -> u64 {
        0
    }
}

/// A table with one watch that has listed its objects.
struct World {
    claims: Claims,
    services: ServiceClocks,
    clock: Arc<Running>,
    projects: Writer<WorkspaceProject>,
}

impl World {
    fn new() -> Self {
        let api_server = ApiServerClock::start();
        let services = ServiceClocks::new(api_server.uptime());
        let clock = Arc::new(Running(Instant::now()));
        let sources = ClockSources {
            uptime: api_server.uptime(),
            local: clock.clone(),
            services: services.clone(),
            api_server,
        };
        let claims = Claims::new(sources, config(&[]).timing);
        let (store, projects) = reflector::store();
        claims.register_watch(Scope::All, store);
        claims.projects_listed(&Scope::All);
        let mut world = Self {
            claims,
            services,
            clock,
            projects,
        };
        world.service_tells_its_time();
        world.relist(&[]);
        world.project("prod", ENDPOINT, &json!({"ready": "True"}));
        world
    }

    /// Two answers that agree.
    fn service_tells_its_time(&self) {
        for _ in 0..2 {
            self.services
                .observe_date(&Origin::of(ENDPOINT), self.clock.now());
        }
    }

    /// A project of `ready` and `generation`, in every namespace of these tests.
    fn project(&mut self, name: &str, endpoint: &str, state: &Value) {
        for namespace in ["here", "there"] {
            let mut project = json!({
                "apiVersion": "cloud-desktops.dev/v1alpha1",
                "kind": "WorkspaceProject",
                "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}-{name}"),
                    "generation": state["generation"].as_i64().unwrap_or(1)},
                "spec": {"region": "r", "projectID": PROJECT, "endpoint": endpoint, "credentials": {}},
            });
            if let Some(ready) = state["ready"].as_str() {
                project["status"] = json!({"conditions": [{"type": "Ready", "status": ready, "reason": "R",
                    "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-12-01T00:00:00Z"}]});
            }
            let project = serde_json::from_value(project).unwrap();
            self.projects.apply_watcher_event(&Event::Apply(project));
        }
    }

    fn note(&self, event: &Event<DesktopDeletion>) -> Vec<String> {
        self.claims.apply_event(&Scope::All, event)
    }

    fn shows(&self, object: &DesktopDeletion) {
        self.note(&Event::Apply(object.clone()));
    }

    fn shows_gone(&self, object: &DesktopDeletion) {
        let gone = self.note(&Event::Delete(object.clone()));
        assert_eq!(gone, [object.uid().unwrap()]);
    }

    fn relist(&self, objects: &[&DesktopDeletion]) -> Vec<String> {
        self.note(&Event::Init);
        for object in objects {
            self.note(&Event::InitApply((*object).clone()));
        }
        self.note(&Event::InitDone)
    }

    async fn ask(&self, object: &DesktopDeletion) -> ClaimResult {
        let home = ProjectKey::of(ENDPOINT, &PROJECT.try_into().unwrap());
        self.claims.claim(object, &home).await
    }

    /// Claims and releases again, as a reconciliation does that submits nothing.
    async fn claim(&self, object: &DesktopDeletion) -> Claim {
        let answer = self.ask(object).await;
        self.claims.release_unless_in_flight(object, ObjectSource::Live);
        answer.claim
    }

    /// The deleted request that blocks the desktops of `object`.
    async fn holder(&self, object: &DesktopDeletion) -> DeletedRequest {
        match self.claim(object).await {
            Claim::ReservedByDeleted(holder) => holder,
            claim => panic!("{claim:?}"),
        }
    }
}

/// A request in `namespace/name` that was created in that second of the test.
fn request(name: &str, created: u64, ids: &[&str]) -> DesktopDeletion {
    let (namespace, short) = name.split_once('/').unwrap();
    let created = after(start(), Duration::from_secs(created));
    serde_json::from_value(json!({
        "apiVersion": "cloud-desktops.dev/v1alpha1",
        "kind": "DesktopDeletion",
        "metadata": {"name": short, "namespace": namespace, "uid": name, "resourceVersion": "10",
            "generation": 1, "creationTimestamp": created.to_string()},
        "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ids},
    }))
    .unwrap()
}

/// The same in a later version, with an attempt for these desktops.
fn submitted(mut object: DesktopDeletion, outcome: &str, ids: &[&str]) -> DesktopDeletion {
    let jobs: &[&str] = if outcome == "Accepted" { &["job-1"] } else { &[] };
    object.metadata.resource_version = Some("20".to_owned());
    let status = json!({
        "project": {"region": "r", "projectID": PROJECT, "endpoint": ENDPOINT},
        "attempts": [{"id": "0000000000000001", "writer": "pod", "auth": "Signature", "desktopIDs": ids,
            "bodyDigest": format!("sha256:{}", "0".repeat(64)), "signedAt": start().to_string(),
            "notAfter": after(start(), Duration::from_secs(900)).to_string(),
            "outcome": outcome, "jobIDs": jobs}],
    });
    object.status = serde_json::from_value(status).unwrap();
    object
}

fn in_flight(name: &str, outcome: &str, ids: &[&str]) -> DesktopDeletion {
    submitted(request(name, 0, ids), outcome, ids)
}

fn finished(mut object: DesktopDeletion) -> DesktopDeletion {
    object.metadata.resource_version = Some("30".to_owned());
    let status = object.status.as_mut().unwrap();
    status.completion_time = Some(serde_json::from_value(json!("2026-12-01T00:01:00Z")).unwrap());
    object
}

fn id(text: &str) -> DesktopID {
    text.try_into().unwrap()
}

/// Lets that many seconds pass; the service says what time it is then.
async fn pass(world: &World, seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    world.service_tells_its_time();
}
