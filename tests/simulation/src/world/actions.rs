//! What users and machines do, and how everything is repaired in the end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use desktop_deletion_operator::crd::{FINALIZER, RESOLVE_ANNOTATION};
use http::{HeaderMap, HeaderValue, Method};
use invariants::reading::items;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use workspace_simulator::cloud;

use super::{Event, World};
use crate::acts::{Act, Disturbance, Trigger};
use crate::answers::verdict;
use crate::api_server::resource::Resource;
use crate::api_server::store::Key;
use crate::api_server::{Answer, Request};
use crate::facts::Author;
use crate::scenario::{CONSOLE, NAMESPACE, OWN, PROJECT, PROJECT_ID, SECRET};

/// After so many milliseconds an object must have conditions.
const BLANK: u64 = 10_000;

impl World {
    /// Does what waits for this.
    pub(super) fn trigger(&mut self, happened: Trigger) {
        if self.healed {
            return;
        }
        let (due, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|act: &Act| act.when == happened);
        self.waiting = waiting;
        let due: Vec<Act> = due;
        for act in due {
            if matches!(happened, Trigger::Answered(..)) {
                // The response is taken in first.
                self.schedule_in(1, Event::Does(act));
            } else {
                self.act(act);
            }
        }
    }

    pub(super) fn act(&mut self, act: Act) {
        if self.healed {
            return;
        }
        let action = act.action;
        self.tell("act", || action.to_string());
        match action {
            Disturbance::Crash(again) => {
                self.crash();
                self.schedule_in(again, Event::Starts);
            }
            Disturbance::HandOver => {
                for process in self.operators.iter().filter(|process| process.alive) {
                    process.stopping.cancel();
                }
                self.schedule_in(50, Event::Starts);
            }
            Disturbance::SecondLeader => {
                self.facts.two_leaders = true;
                self.schedule_in(5, Event::Starts);
            }
            Disturbance::Suspend(request) => self.suspend(request, true),
            Disturbance::Resume(request) => self.suspend(request, false),
            // Without the finalizer it would be removed at once, even with calls in flight: only the policy prevents
            // clients from that.
            Disturbance::Delete(request)
            | Disturbance::Recreate(request)
            | Disturbance::Reapply(request)
            | Disturbance::Restore(request)
                if self.lacks_finalizer_in_flight(request) =>
            {
                self.schedule_in(5_000, Event::Does(act));
            }
            Disturbance::Delete(request) => self.delete_request(request),
            Disturbance::Recreate(request) => self.recreate(request),
            Disturbance::Reapply(request) | Disturbance::Restore(request) => {
                self.keep_approval(request, matches!(action, Disturbance::Restore(_)));
                self.recreate(request);
            }
            Disturbance::Abandon(request) => self.abandon(request),
            Disturbance::SuspendProject => self.suspend_project(true),
            Disturbance::ResumeProject => self.suspend_project(false),
            Disturbance::BreakSecret => self.put_secret(false),
            Disturbance::MendSecret => self.put_secret(true),
            Disturbance::Console(desktop) => self.delete_in_console(desktop),
            Disturbance::CutWatches => self.cut_watches(),
            Disturbance::FreezeWatches(millis) => self.freeze_watches(millis),
            Disturbance::SetClock(ahead) => self.ahead.store(ahead, Ordering::Relaxed),
            Disturbance::Replace(request) => self.replace_request(request),
            deed @ (Disturbance::Approve(_)
            | Disturbance::ApproveFormer(_)
            | Disturbance::ApproveUnseen(_)
            | Disturbance::Withdraw(_)
            | Disturbance::CarryOver(_)
            | Disturbance::Reassign(_)
            | Disturbance::Rename(_)
            | Disturbance::Connect(_)
            | Disturbance::Vanish(..)
            | Disturbance::Guard(_)) => self.act_guarded(deed),
            Disturbance::Compact => {
                self.api.store.compact();
                self.cut_watches();
            }
        }
    }

    /// Every operator crashes, as by SIGKILL. A task of it that still runs ends with its next call: the world accepts
    /// nothing from it and sends nothing to it.
    fn crash(&mut self) {
        for who in 0..self.operators.len() {
            let process = &mut self.operators[who];
            process.alive = false;
            if let Some(task) = process.task.take() {
                task.abort();
            }
            self.forget_watches_of(who);
        }
        self.limbo.clear();
    }

    /// From now on nothing goes wrong any more, and people have done what they were asked to do.
    pub(super) fn heal(&mut self) {
        self.look_for_reasons();
        self.tell("world", || "from here on nothing goes wrong any more".to_owned());
        self.healed = true;
        self.freeze_watches(0);
        self.put_secret(true);
        self.ahead.store(0, Ordering::Relaxed);
        self.suspend_project(false);
        self.mend_guardrails();
        for request in 0..self.scenario.requests.len() {
            self.suspend(request, false);
        }
        // Regardless of the leader before, one operator leads from now on.
        self.agenda.retain(|_, event| !matches!(event, Event::Starts));
        let working = |process: &&super::Process| process.alive && !process.stopping.is_cancelled();
        if self.operators.iter().filter(working).count() != 1 {
            self.crash();
            self.schedule_in(5, Event::Starts);
        }
    }

    pub(super) fn create_request(&mut self, request: usize) {
        let mut manifest = self.scenario.requests[request].manifest();
        if self.healed {
            // There would be no user to resume it.
            manifest["spec"]["suspend"] = json!(false);
        }
        let carried = self.carried(request);
        if let Some(carried) = &carried {
            manifest["spec"]["approvedPlan"] = json!(carried.plan);
        }
        self.person(Method::POST, Resource::Deletions, "", &manifest);
        if let Some(status) = carried.and_then(|carried| carried.status) {
            self.restore_status(request, &status);
        }
        if !self.scenario.answers.is_empty() {
            self.schedule_in(BLANK, Event::Inspects);
        }
    }

    /// No object is without conditions for long, while an operator works.
    pub(super) fn inspect(&mut self) {
        let now = self.time.elapsed();
        let works_since = self.operators.iter().rev().find(|o| o.alive).map(|o| o.since);
        if works_since.is_none_or(|since| now < since + BLANK) {
            self.schedule_in(BLANK, Event::Inspects);
            return;
        }
        let old = |object: &Value| {
            let created = object["metadata"]["creationTimestamp"].as_str();
            let created = created.and_then(|text| text.parse::<Timestamp>().ok());
            let age = created.map(|created| self.time.now().duration_since(created));
            age.is_some_and(|age| age.as_millis() >= i128::from(BLANK))
        };
        let kinds = [Resource::Deletions, Resource::Projects];
        let objects = kinds.iter().flat_map(|kind| self.api.store.list(*kind, None));
        let blank = objects.filter(|o| old(o) && items(&o["status"], "conditions").is_empty());
        let blank: Vec<_> = blank
            .map(|object| {
                format!(
                    "after {} s {} has no conditions",
                    now / 1000,
                    object["metadata"]["name"]
                )
            })
            .collect();
        self.facts.blank.extend(blank);
    }

    /// Before everything is repaired: who has not ended says why.
    fn look_for_reasons(&mut self) {
        if !self.scenario.answers.is_empty() {
            let now = self.time.now();
            let requests = self.api.store.list(Resource::Deletions, None);
            self.facts.unnamed = requests
                .filter_map(|request| verdict::unnamed(request, now))
                .collect();
        }
    }

    /// Creates again what is gone.
    pub(super) fn create_wanted(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        for request in wanted {
            if self.is_there(request) {
                self.wanted.push(request);
            } else {
                self.create_request(request);
            }
        }
    }

    pub(super) fn key(&self, request: usize) -> Key {
        Key {
            resource: Resource::Deletions,
            namespace: NAMESPACE.to_owned(),
            name: self.scenario.requests[request].name.clone(),
        }
    }

    fn is_there(&self, request: usize) -> bool {
        self.api.store.get(&self.key(request)).is_some()
    }

    fn suspend(&mut self, request: usize, suspend: bool) {
        let key = self.key(request);
        let open = self.api.store.get(&key).is_some_and(|object| {
            object["status"]["completionTime"].is_null() && object["spec"]["suspend"] != suspend
        });
        if open {
            let patch = json!({"spec": {"suspend": suspend}});
            self.person(Method::PATCH, Resource::Deletions, &key.name, &patch);
        }
    }

    fn recreate(&mut self, request: usize) {
        if self.is_there(request) && !self.wanted.contains(&request) {
            self.wanted.push(request);
        }
        self.delete_request(request);
        self.create_wanted();
    }

    fn delete_request(&mut self, request: usize) {
        let name = self.key(request).name;
        self.person(Method::DELETE, Resource::Deletions, &name, &Value::Null);
    }

    fn replace_request(&mut self, request: usize) {
        let key = self.key(request);
        let object = self.api.store.get(&key);
        if object.is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null()) {
            let patch = json!({"metadata": {"finalizers": null}});
            self.person(Method::PATCH, Resource::Deletions, &key.name, &patch);
        }
    }

    /// A client has taken the finalizer off an object with a call that may take effect, and it is not back yet.
    fn lacks_finalizer_in_flight(&self, request: usize) -> bool {
        let Some(object) = self.api.store.get(&self.key(request)) else {
            return false;
        };
        let held = items(&object["metadata"], "finalizers")
            .iter()
            .any(|f| f == FINALIZER);
        let settled = ["Rejected", "NotSent", "NoEffect"];
        let mut attempts = items(&object["status"], "attempts").iter();
        let in_flight = attempts.any(|a| !settled.iter().any(|outcome| a["outcome"] == *outcome));
        in_flight && !held && object["status"]["completionTime"].is_null()
    }

    fn abandon(&mut self, request: usize) {
        let key = self.key(request);
        let object = self.api.store.get(&key);
        let attempts = object.and_then(|object| object["status"]["attempts"].as_array());
        let pending = attempts.into_iter().flatten().find(|a| a["outcome"] == "Pending");
        if let Some(attempt) = pending.and_then(|a| a["id"].as_str()) {
            let resolve = format!("{attempt}=abandon");
            let patch = json!({"metadata": {"annotations": {RESOLVE_ANNOTATION: resolve}}});
            self.person(Method::PATCH, Resource::Deletions, &key.name, &patch);
        }
    }

    /// Creates the projects, and the Secrets of those in which nothing goes wrong.
    pub(super) fn create_projects(&mut self) {
        for home in self.scenario.homes.clone() {
            if *home != OWN {
                let data = secret_data(&[("accessKey", home.access_key), ("secretKey", home.secret_key)]);
                let secret = json!({"metadata": {"name": home.secret}, "data": data});
                self.person(Method::POST, Resource::Secrets, "", &secret);
            }
            self.person(Method::POST, Resource::Projects, "", &self.scenario.project(home));
        }
    }

    fn suspend_project(&mut self, suspend: bool) {
        let patch = json!({"spec": {"suspend": suspend}});
        self.person(Method::PATCH, Resource::Projects, PROJECT, &patch);
    }

    /// Puts the right or a wrong key into the Secret.
    pub(super) fn put_secret(&mut self, right: bool) {
        let data = secret_data(&self.scenario.secret(right, self.healed));
        let key = Key {
            resource: Resource::Secrets,
            namespace: NAMESPACE.to_owned(),
            name: SECRET.to_owned(),
        };
        if self.api.store.get(&key).is_some() {
            self.person(Method::PATCH, Resource::Secrets, SECRET, &json!({"data": data}));
        } else {
            let secret = json!({"metadata": {"name": SECRET}, "data": data});
            self.person(Method::POST, Resource::Secrets, "", &secret);
        }
    }

    /// A call of a person, which always goes through.
    pub(super) fn person(&mut self, method: Method, resource: Resource, name: &str, body: &Value) {
        let before = self.api.store.revision();
        let prefix = if resource == Resource::Secrets {
            "api"
        } else {
            "apis"
        };
        let (version, plural) = (resource.api_version(), resource.plural());
        let request = Request {
            method,
            path: format!("/{prefix}/{version}/namespaces/{NAMESPACE}/{plural}/{name}"),
            query: vec![],
            content_type: "application/merge-patch+json".to_owned(),
            accept: "application/json".to_owned(),
            body: Bytes::from(body.to_string()),
        };
        let answer = self.api.handle(self.time.now(), &request);
        if let Answer::Whole(response) = answer {
            let code = response.code;
            self.tell("person", || {
                format!("{} {plural}/{name} {body} -> {code}", request.method)
            });
        }
        let after = self.api.store.revision();
        if after > before {
            self.facts.authors.insert(after, Author::Person);
        }
        self.pump();
    }

    fn delete_in_console(&mut self, desktop: usize) {
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-token", HeaderValue::from_static(CONSOLE));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let body = json!({"desktop_ids": [self.scenario.desktops[desktop]]});
        let request = cloud::Request {
            method: Method::POST,
            path: format!("/v2/{PROJECT_ID}/desktops/batch-delete"),
            query: String::new(),
            headers,
            body: Bytes::from(body.to_string()),
        };
        let now = self.time.now();
        if let cloud::Delivery::Complete(response) = self.cloud.handle(now, &request) {
            let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let job = answer["job_id"].as_str().map(str::to_owned);
            self.facts.foreign_jobs.extend(job);
            self.tell("console", || {
                format!("{} {}", response.status, String::from_utf8_lossy(&response.body))
            });
        }
    }
}

fn secret_data(texts: &[(&'static str, &str)]) -> BTreeMap<&'static str, ByteString> {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    texts.iter().map(|(key, text)| (*key, bytes(text))).collect()
}
