//! The operator is killed, or loses its lead, between the reservation of desktops and the intent. Two requests want more
//! than the project takes within a day, and never get it; what was reserved for nothing is given back.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{Caught, Moment, Namespace, Operator, eventually, manifests};

use desktop_deletion_operator::crd::conditions::ConditionType::Submitted;
use desktop_deletion_operator::runtime::lease;

use crate::effects::Effect;
use crate::fixture::{pair, says};
use crate::trial::{self, BOUND, desktop};
use crate::trial_group::TrialGroup;

/// Two requests for two desktops each, of a project that takes three a day.
struct Day {
    namespace: Namespace,
    group: TrialGroup,
}

const REQUESTS: [(&str, [&str; 2]); 2] = [("first", ["pc-1", "pc-2"]), ("second", ["pc-3", "pc-4"])];

impl Day {
    async fn begin(name: &str) -> Self {
        let mut group = TrialGroup::new(name).await;
        let desktops = ["pc-1", "pc-2", "pc-3", "pc-4"].map(|id| desktop(id, "100ms"));
        group.add("prod", &desktops).await;
        let day = Self {
            namespace: group.namespace.clone(),
            group,
        };
        day.limit(3).await;
        day
    }

    async fn limit(&self, most: u32) {
        let patch = Patch::Merge(json!({"spec": {"guardrails": {"maxDesktopsPerDay": most}}}));
        let projects = self.namespace.projects();
        projects
            .patch("prod", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    async fn request(&self, number: usize) {
        let (name, desktops) = REQUESTS[number];
        let manifest = manifests::desktop_deletion(name, "prod", desktops);
        self.namespace.apply(&manifest).await.unwrap();
    }

    fn operator(&self, flags: &[&str]) -> Operator {
        trial::operator_with(self.group.proxy.kubeconfig(), self.namespace.name(), flags)
    }

    /// The first request, whose desktops are reserved and whose intent is in flight.
    async fn reserved(&self, flags: &[&str]) -> (Operator, Caught) {
        let trap = Effect::RecordIntent.trap(&self.group.proxy, Moment::Before, "first");
        let operator = self.operator(flags);
        self.request(0).await;
        let caught = trap.sprung().await.unwrap();
        let project = self.namespace.projects().get("prod").await.unwrap();
        let reservations = &project.data["status"]["dailyUsage"]["reservations"];
        assert_eq!(reservations[0]["desktops"], 2, "{reservations:#}");
        (operator, caught)
    }

    async fn statuses(&self) -> [Value; 2] {
        let requests = self.namespace.deletions();
        let first = requests.get("first").await.unwrap();
        let second = requests.get("second").await.unwrap();
        [first, second].map(|request| request.data["status"].clone())
    }

    /// One of them ends, and the other one waits for room.
    async fn one_waits(&self) {
        let look = async || {
            let statuses = self.statuses().await;
            let ended = statuses
                .iter()
                .filter(|status| status["completionTime"].is_string());
            let waits = |status: &&Value| says(status, Submitted) == pair("False", "DailyLimitReached");
            let project = self.namespace.projects().get("prod").await.unwrap();
            let settled = project.data["status"]["dailyUsage"]["reservations"].is_null();
            if ended.count() == 1 && statuses.iter().filter(waits).count() == 1 && settled {
                Ok(())
            } else {
                Err(format!("{statuses:#?}, {:#}", project.data["status"]))
            }
        };
        eventually("one ends and one waits", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(self.group.trials()[0].own_posts().len(), 1);
    }

    /// With room for all, each desktop is submitted once.
    async fn all_end(&self) {
        self.limit(4).await;
        let look = async || {
            let statuses = self.statuses().await;
            if statuses.iter().all(|status| status["completionTime"].is_string()) {
                Ok(())
            } else {
                Err(format!("{statuses:#?}"))
            }
        };
        eventually("both end", BOUND, look)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let posts = self.group.trials()[0].own_posts();
        assert_eq!(posts.len(), 2, "{posts:#?}");
    }

    async fn leads(&self, identity: &str) {
        let leases = self.namespace.api::<Lease>();
        let look = async || {
            let lease = leases.get_opt(lease::NAME).await.unwrap();
            let holder = lease.and_then(|lease| lease.spec?.holder_identity);
            let holder = holder.unwrap_or_default();
            if holder.starts_with(&format!("{identity}_")) {
                Ok(())
            } else {
                Err(holder)
            }
        };
        eventually(&format!("{identity} leads"), BOUND, look)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_after_the_reservation_neither_leaks_it_nor_exceeds_the_limit() {
    let day = Day::begin("day-kill").await;
    let (operator, caught) = day.reserved(&[]).await;
    operator.kill().await.unwrap();
    // No operator is left to receive the effect.
    drop(caught);
    let _operator = day.operator(&[]);
    day.request(1).await;
    day.one_waits().await;
    day.all_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_freezes_after_the_reservation_does_not_exceed_the_limit_when_it_resumes() {
    let day = Day::begin("day-freeze").await;
    let elected = |identity| {
        [
            identity,
            "--leader-elect",
            "--lease-duration=1h",
            "--renew-deadline=30m",
            "--lease-retry=250ms",
        ]
    };
    let (frozen, caught) = day.reserved(&elected("--identity=frozen")).await;
    frozen.freeze();
    let _next = day.operator(&elected("--identity=next"));
    let free = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
    let leases = day.namespace.api::<Lease>();
    leases
        .patch(lease::NAME, &PatchParams::default(), &free)
        .await
        .unwrap();
    day.leads("next").await;
    day.request(1).await;
    day.one_waits().await;
    // The intent arrives now: it is refused, and its sender learns that it leads no longer.
    caught.go_on();
    frozen.thaw();
    let exit = tokio::time::timeout(BOUND, frozen.wait()).await;
    assert_eq!(exit.expect("it ends").unwrap(), 1);
    day.one_waits().await;
    day.all_end().await;
}
