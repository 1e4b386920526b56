//! The cloud returns invalid responses: none, another one, too much, too slowly, or a false one. No such response
//! determines the result, none causes a second effective submission of a desktop, and none delays other requests: each
//! is returned until another request, which began after it, has ended.
//!
//! | file | what |
//! | --- | --- |
//! | [`rows`] | the responses, in tables that read as documentation |

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use testkit::eventually;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use workspace_simulator::cloud::Operation;

use crate::fixture::{pair, says};
use crate::oracle::{self, End, Run};
use crate::trial::{BOUND, Trial, desktop};
use crate::trial_group::TrialGroup;

use desktop_deletion_operator::crd::conditions::ConditionType::Succeeded;
use rows::{Call, Row};

mod rows;

/// The target of redirects: it counts connections.
async fn sink() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = visits.clone();
    tokio::spawn(async move {
        loop {
            let _visitor = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (format!("https://{address}"), visits)
}

impl Row {
    /// Sets the fault, if it strikes before the submission.
    fn begin(&self, trial: &Trial) {
        if !self.call.is_late() {
            trial.cloud.add_fault(&self.fault("no-job-yet")).unwrap();
        }
    }

    /// Injects the fault; it lasts until `others` have ended.
    async fn run(&self, trial: &Trial, others: &Others) -> Result<(), String> {
        if self.call.is_late() {
            let job = submitted(trial).await;
            trial.cloud.add_fault(&self.fault(&job)).unwrap();
        }
        let struck = async || {
            let fault = &trial.cloud.simulator().faults()[0];
            if fault.struck > 0 { Ok(()) } else { Err("not yet") }
        };
        let said = if self.told.is_empty() {
            let struck = eventually("the response was returned", BOUND, struck).await;
            struck.map_err(|error| error.to_string())
        } else {
            let wanted = |status: &Value| status.to_string().contains(self.told);
            let told = trial.until(&format!("it says {:?}", self.told), wanted).await;
            told.map(|_| ())
        };
        others.bad_is_under_way();
        others.ended().await;
        trial.cloud.clear_faults();
        said
    }

    /// What is wrong about how it ended.
    fn judge(&self, run: &Run) -> Vec<String> {
        let also = (self.call == Call::AdmissionShow).then_some(("pc-gone", "Absent"));
        let end = End::with(
            "True",
            "AllDeleted",
            [("pc-1", "Deleted")].into_iter().chain(also),
        );
        let posts = run.trial.cloud.calls(Operation::BatchDelete).len();
        let count = (posts != self.posts()).then(|| format!("{}: {posts} POSTs", run.trial.name));
        let reasons = [
            run.expect_end(&end),
            run.expect_submitted(self.submitted()),
            count,
        ];
        reasons.into_iter().flatten().collect()
    }
}

/// Waits until a submission has taken effect; gives its job.
async fn submitted(trial: &Trial) -> String {
    let look = async || trial.job().ok_or("no job");
    eventually("the submission was accepted", BOUND, look)
        .await
        .unwrap()
}

/// The requests of others, among all those that are badly answered.
struct Others {
    /// How many bad responses are still to come.
    awaited: AtomicUsize,
    begin: Notify,
    ended: tokio::sync::watch::Sender<bool>,
}

impl Others {
    fn bad_is_under_way(&self) {
        if self.awaited.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.begin.notify_one();
        }
    }

    /// The request of another user, which is created when all the others receive bad responses.
    async fn run(&self, trial: &Trial) {
        self.begin.notified().await;
        let late = Trial::set(
            &trial.namespace,
            "late",
            usize::MAX >> 1,
            &[desktop("pc-1", "100ms")],
        )
        .await;
        late.begin().await;
        let status = late.ended().await.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(says(&status, Succeeded), pair("True", "AllDeleted"), "{status:#}");
        self.ended.send_replace(true);
    }

    async fn ended(&self) {
        self.ended.subscribe().wait_for(|ended| *ended).await.unwrap();
    }
}

/// Runs these rows under one operator; gives what is wrong.
async fn run(name: &str, flags: &'static [&'static str], rows: &[Row]) -> Vec<String> {
    let mut group = TrialGroup::new(name).await;
    group.flags = flags;
    group.add("others", &[desktop("pc-1", "100ms")]).await;
    for row in rows {
        let running = if row.call.is_late() { "10s" } else { "1s" };
        let trial = group.add(&row.name(), &[desktop("pc-1", running)]).await;
        if row.call == Call::AdmissionShow {
            trial.also_name("pc-gone");
        }
        row.begin(trial);
    }
    let others = Others {
        awaited: AtomicUsize::new(rows.len()),
        begin: Notify::new(),
        ended: tokio::sync::watch::Sender::new(false),
    };
    let silent = Mutex::new(Vec::new());
    let runs = group
        .run_with(async |trial, number| match number.checked_sub(1) {
            None => others.run(trial).await,
            Some(number) => {
                if let Err(why) = rows[number].run(trial, &others).await {
                    silent.lock().unwrap().push(format!("{}: {why}", trial.name));
                }
            }
        })
        .await;

    let mut broken = oracle::judge(&runs).await;
    broken.extend(silent.into_inner().unwrap());
    for (row, run) in rows.iter().zip(&runs[1..]) {
        broken.extend(row.judge(run));
    }
    broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_response_never_determines_the_result_and_does_not_delay_other_requests() {
    let (url, visits) = sink().await;
    let all = rows::all(&url);
    let total = all.len();
    // Only what must time out does, however slow the machine is.
    let (late, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Row::times_out);
    let (mut broken, more) = tokio::join!(
        run("bad-answers", &["--submission-timeout=10m"], &others),
        run("bad-answers-late", &[], &late),
    );
    broken.extend(more);
    assert_eq!(visits.load(Ordering::SeqCst), 0, "no redirect was followed");
    oracle::report(total, &broken);
}
