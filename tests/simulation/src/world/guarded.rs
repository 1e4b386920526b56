//! What approvers and the owner of the project do, and what happens to desktops meanwhile.

use http::Method;
use invariants::reading::items;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use workspace_simulator::world::Desktop;

use super::{Event, World};
use crate::acts::{Change, Disturbance};
use crate::api_server::resource::Resource;
use crate::facts::Approval;
use crate::scenario::{ELSEWHERE, PROJECT, PROJECT_ID};

/// How often a user approves the plans that are shown in the end, in milliseconds.
const APPROVING: u64 = 60_000;

/// The hash of a plan that was never shown.
const UNSEEN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What is applied again of an object that is gone, or is copied.
pub(super) struct Carried {
    /// `spec.approvedPlan`.
    pub plan: String,
    /// What is put into its status.
    pub status: Option<Value>,
}

impl World {
    pub(super) fn act_guarded(&mut self, action: Disturbance) {
        match action {
            Disturbance::Approve(request) => {
                let shown = self.shown(request);
                self.approve(request, shown);
            }
            Disturbance::ApproveFormer(request) => {
                let former = self.former(request);
                self.approve(request, former);
            }
            Disturbance::ApproveUnseen(request) => self.approve(request, Some(UNSEEN.to_owned())),
            Disturbance::Withdraw(request) => self.set_approval(request, &Value::Null),
            Disturbance::CarryOver(request) => self.carry_over(request),
            Disturbance::Reassign(desktop) => self.toggle(desktop, "user", "user", "other"),
            Disturbance::Rename(desktop) => self.toggle(desktop, "name", "PC", "KEEP"),
            Disturbance::Connect(desktop) => {
                self.change(desktop, |now| {
                    let connected = now.login_status == "CONNECTED";
                    (
                        "loginStatus",
                        json!(if connected { "REGISTERED" } else { "CONNECTED" }),
                    )
                });
            }
            Disturbance::Vanish(desktop, millis) => self.vanish(desktop, millis),
            Disturbance::Guard(change) => self.change_guardrails(&match change {
                Change::RequireApprovals => json!({"approval": "Required", "approvalAbove": null}),
                Change::WaiveApprovals => json!({"approval": "None", "approvalAbove": null}),
                Change::LimitDay(limit) => json!({"maxDesktopsPerDay": limit}),
                Change::LiftLimit => json!({"maxDesktopsPerDay": null}),
            }),
            _ => {}
        }
    }

    fn change_guardrails(&mut self, guardrails: &Value) {
        let patch = json!({"spec": {"guardrails": guardrails}});
        self.person(Method::PATCH, Resource::Projects, PROJECT, &patch);
    }

    /// The owner permits what each request needs in the end, perhaps not all of it within one day.
    pub(super) fn mend_guardrails(&mut self) {
        if let Some(guard) = &self.scenario.guard {
            self.change_guardrails(&guard.mended.clone());
        }
    }

    /// Approves every request that waits for an approval.
    pub(super) fn approve_all(&mut self) {
        for request in 0..self.scenario.requests.len() {
            let Some(object) = self.api.store.get(&self.key(request)) else {
                continue;
            };
            let mut conditions = items(&object["status"], "conditions").iter();
            let waits = conditions.any(|c| c["type"] == "Approved" && c["status"] == "False");
            let shown = object["status"]["plan"]["hash"].as_str().map(str::to_owned);
            if !waits || shown.is_none() {
                continue;
            }
            // What was approved before it was on show is taken back first, which the operator must have seen.
            if object["spec"]["approvedPlan"].as_str() == shown.as_deref() {
                self.set_approval(request, &Value::Null);
            } else if object["status"]["refusedPlan"].as_str() != shown.as_deref() {
                self.approve(request, shown);
            }
        }
        let guard = self.scenario.guard.as_ref();
        let pause = guard.and_then(|guard| guard.approving).unwrap_or(APPROVING);
        self.schedule_in(if self.healed { APPROVING } else { pause }, Event::Approves);
    }

    /// A person approves that plan of the request, seeing what it shows.
    fn approve(&mut self, request: usize, plan: Option<String>) {
        let Some(plan) = plan else {
            return;
        };
        if let Some(object) = self.api.store.get(&self.key(request))
            && object["status"]["plan"]["hash"] == plan.as_str()
        {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            self.facts.approvals.push(Approval {
                name: text("name"),
                uid: text("uid"),
                plan: plan.clone(),
            });
        }
        self.set_approval(request, &json!(plan));
    }

    /// Sets the approval in the request that was given last to an object before it, or to one that it is a copy of.
    fn carry_over(&mut self, request: usize) {
        let Some(object) = self.api.store.get(&self.key(request)) else {
            return;
        };
        let is_other = |approval: &&Approval| object["metadata"]["uid"] != approval.uid.as_str();
        let other = self.approvals_of(request).rfind(is_other);
        if let Some(plan) = other.map(|approval| approval.plan.clone()) {
            self.facts.carried += 1;
            self.set_approval(request, &json!(plan));
        }
    }

    /// The approvals that were given to the objects of that request, and of the one that it is a copy of.
    fn approvals_of(&self, request: usize) -> impl DoubleEndedIterator<Item = &Approval> {
        let requests = &self.scenario.requests;
        let own = &requests[request].name;
        let copied = requests[request].copies.map(|of| &requests[of].name);
        let all = self.facts.approvals.iter();
        all.filter(move |approval| approval.name == *own || Some(&approval.name) == copied)
    }

    /// Keeps the approval that the request has, for the object that takes its place.
    pub(super) fn keep_approval(&mut self, request: usize, with_status: bool) {
        let object = self.api.store.get(&self.key(request));
        let plan = object.and_then(|object| object["spec"]["approvedPlan"].as_str());
        let Some((object, plan)) = object.zip(plan) else {
            return;
        };
        let carried = Carried {
            plan: plan.to_owned(),
            status: with_status.then(|| {
                let status = &object["status"];
                json!({"plan": status["plan"], "approved": status["approved"], "desktops": status["desktops"]})
            }),
        };
        self.carried.insert(request, carried);
    }

    /// The approval with which the request is created: one that was kept, or that of the request of which it is a copy.
    pub(super) fn carried(&mut self, request: usize) -> Option<Carried> {
        let kept = self.carried.remove(&request);
        let copied = || {
            self.scenario.requests[request].copies?;
            let plan = self.approvals_of(request).next_back()?.plan.clone();
            Some(Carried { plan, status: None })
        };
        let carried = kept.or_else(copied)?;
        self.facts.carried += 1;
        Some(carried)
    }

    /// Puts a plan and an approval into the status of the request, before an operator has seen it.
    pub(super) fn restore_status(&mut self, request: usize, status: &Value) {
        let name = format!("{}/status", self.key(request).name);
        self.person(
            Method::PATCH,
            Resource::Deletions,
            &name,
            &json!({"status": status}),
        );
    }

    fn set_approval(&mut self, request: usize, plan: &Value) {
        let key = self.key(request);
        if self.api.store.get(&key).is_some() {
            let patch = json!({"spec": {"approvedPlan": plan}});
            self.person(Method::PATCH, Resource::Deletions, &key.name, &patch);
        }
    }

    /// The plan of that request that is on show.
    fn shown(&self, request: usize) -> Option<String> {
        let object = self.api.store.get(&self.key(request))?;
        object["status"]["plan"]["hash"].as_str().map(str::to_owned)
    }

    /// The first plan that was on show and is not that request's plan now.
    fn former(&self, request: usize) -> Option<String> {
        let shown = self.shown(request);
        let stored = self.api.store.history().iter().filter_map(|c| c.after.as_ref());
        let mut plans = stored.filter_map(|object| object["status"]["plan"]["hash"].as_str());
        plans
            .find(|plan| Some(*plan) != shown.as_deref())
            .map(str::to_owned)
    }

    fn desktop(&self, desktop: usize) -> Option<Desktop> {
        let id = &self.scenario.desktops[desktop];
        let there = self.cloud.desktops(self.time.now());
        let mut there = there.into_iter().filter(|desktop| desktop.project == PROJECT_ID);
        there.find(|desktop| desktop.id == *id)
    }

    /// Changes a key of a desktop, if it exists.
    fn change(&mut self, desktop: usize, to: impl FnOnce(&Desktop) -> (&'static str, Value)) {
        let Some(now) = self.desktop(desktop) else {
            return;
        };
        let (key, value) = to(&now);
        let keys: Map<_, _> = [(key.to_owned(), value)].into_iter().collect();
        // It may have gone a moment ago.
        let changed = self.cloud.change_desktop(self.time.now(), &now.id, &keys);
        self.tell("cloud", || match changed {
            Ok(_) => format!("desktop {}: {keys:?}", now.id),
            Err(why) => why.to_string(),
        });
    }

    /// Sets a key of a desktop to one of two words and its number.
    fn toggle(&mut self, desktop: usize, key: &'static str, one: &str, other: &str) {
        self.change(desktop, |now| {
            let is = if key == "user" { &now.user } else { &now.name };
            let word = if is.starts_with(one) { other } else { one };
            (key, json!(format!("{word}-{desktop}")))
        });
    }

    /// A desktop that is not being deleted does not exist for a while.
    fn vanish(&mut self, desktop: usize, millis: u64) {
        let Some(desktop) = self.desktop(desktop) else {
            return;
        };
        let is_idle = desktop.task_status.is_empty() && desktop.status == "ACTIVE";
        let was_sent = self
            .facts
            .posts
            .iter()
            .any(|post| post.desktops.contains(&desktop.id));
        if !is_idle || was_sent || self.is_submission_under_way() {
            return;
        }
        let away = Desktop {
            project: ELSEWHERE.to_owned(),
            ..desktop.clone()
        };
        if self.cloud.put_desktop(away).is_ok() {
            self.tell("cloud", || format!("desktop {} is gone", desktop.id));
            self.facts.away.insert(desktop.id.clone());
            self.schedule_in(millis, Event::Reappears(Box::new(desktop)));
        }
    }

    /// It exists again: the same, or one that was created meanwhile.
    pub(super) fn bring_back(&mut self, mut desktop: Desktop) {
        if self.dice.once_in(2) {
            let anew = desktop.created.checked_add(SignedDuration::from_secs(60));
            desktop.created = anew.unwrap_or(desktop.created);
        }
        let id = desktop.id.clone();
        let came = self.cloud.put_desktop(desktop);
        self.tell("cloud", || {
            format!("desktop {id} is there again: {}", came.is_ok())
        });
    }
}
