//! Follows the open jobs of each project: one task per project, one sub-job list (WAITING and RUNNING) per tick for all
//! of its jobs, and one read by ID of each job that is no longer in that list. Requeues only the requests whose jobs
//! changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::deletion::queue::WorkQueue;
use crate::cloud::batching::paging::{self, Extent, MAX_PAGES};
use crate::cloud::rate_limiter::Priority;
use crate::cloud::session::{CloudSession, CredentialsKey};
use crate::config::Timing;
use crate::crd::DesktopDeletion;
use crate::ids::{DesktopID, JobID};
use crate::plan::views::{JobView, SubJobResult};
use crate::runtime::health::Heartbeat;
use crate::workspace::api::{SubJob, SubJobQuery, SubJobStatus, Workspace};
use crate::workspace::error::Error;

/// How long a poller may take for one list or the read of one job, or wait past its next tick, before it counts as stalled:
/// longer than a list of all pages whose every response comes just before its timeout.
const STALL_TIMEOUT: Duration = Duration::from_secs(3600);

/// Maximum time between two heartbeats of the pollers together, which are sent while none has stalled.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(600);

/// What is known of a job that is followed.
#[derive(Debug, Clone)]
pub enum JobPollState {
    /// It was not polled yet.
    NotPolled,
    /// This is known.
    Known(JobView),
    /// The last read failed.
    ReadFailure(Error),
}

/// The pollers of all projects.
pub struct Pollers {
    shared: Arc<Shared>,
}

struct Shared {
    timing: Timing,
    queue: WorkQueue,
    heartbeat: Heartbeat,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    projects: HashMap<CredentialsKey, Project>,
    /// The jobs of each object, by uid.
    jobs_of: HashMap<String, BTreeSet<JobID>>,
}

/// A job to follow.
#[derive(Debug, Clone)]
pub struct JobToFollow {
    /// Which job.
    pub job: JobID,
    /// The desktops that it was to delete, folded.
    pub desktops: Vec<DesktopID>,
    /// How long ago it was submitted.
    pub age: Duration,
    /// For whom.
    pub object: ObjectRef<DesktopDeletion>,
}

struct Project {
    cloud: Arc<dyn Workspace>,
    jobs: BTreeMap<JobID, Followed>,
    read_failure: Option<Error>,
    /// When its loop last began to read, or polls next.
    active: Instant,
}

struct Followed {
    object: ObjectRef<DesktopDeletion>,
    due: Instant,
    polled: bool,
    last: JobPoll,
}

impl Followed {
    fn is_done(&self) -> bool {
        self.last.view.has_ended(&self.last.desktops)
    }

    /// The state to report; `read_failure` is the failure of the last poll of the whole project. A finished job is not
    /// polled again, so a failure would remain its last state.
    fn poll_state(&self, read_failure: Option<&Error>) -> JobPollState {
        match read_failure
            .or(self.last.read_failure.as_ref())
            .filter(|_| !self.is_done())
        {
            Some(error) => JobPollState::ReadFailure(error.clone()),
            None if self.polled => JobPollState::Known(self.last.view.clone()),
            None => JobPollState::NotPolled,
        }
    }
}

impl Pollers {
    /// Pollers that poll at the interval of `timing` and put requests whose jobs changed into `queue`.
    pub fn new(timing: Timing, queue: WorkQueue, heartbeat: Heartbeat) -> Self {
        Self {
            shared: Arc::new(Shared {
                timing,
                queue,
                heartbeat,
                state: Mutex::default(),
            }),
        }
    }

    /// Follows a job from now on, with these credentials, and returns what is known of it.
    pub fn follow(
        &self,
        wanted: JobToFollow,
        key: &CredentialsKey,
        session: &Arc<CloudSession>,
    ) -> JobPollState {
        let mut state = self.shared.state.lock();
        let State { projects, jobs_of } = &mut *state;
        let uid = wanted.object.extra.uid.clone().unwrap_or_default();
        jobs_of.entry(uid).or_default().insert(wanted.job.clone());
        // After a change of the Secret the job moves to the new credentials, with what is known of it.
        let mut others = projects.iter_mut().filter(|(other, _)| *other != key);
        let moved = others.find_map(|(_, project)| project.jobs.remove(&wanted.job));
        let known = projects.contains_key(key);
        let entry = projects.entry(key.clone()).or_insert_with(|| Project {
            cloud: session.client(Priority::Poll),
            jobs: BTreeMap::new(),
            read_failure: None,
            active: Instant::now(),
        });
        let due = Instant::now() + self.shared.timing.initial_poll_delay.saturating_sub(wanted.age);
        let followed = entry.jobs.entry(wanted.job.clone()).or_insert_with(|| {
            moved.unwrap_or(Followed {
                object: wanted.object,
                due,
                polled: false,
                last: JobPoll {
                    id: wanted.job,
                    desktops: wanted.desktops,
                    view: JobView::default(),
                    running_when_read: None,
                    read_failure: None,
                },
            })
        });
        let poll_state = followed.poll_state(entry.read_failure.as_ref());
        if !known {
            tokio::spawn(poll(self.shared.clone(), key.clone()));
        }
        poll_state
    }

    /// Forgets the jobs of an object that has ended or is gone.
    pub fn unfollow(&self, uid: &str) {
        let mut state = self.shared.state.lock();
        for job in state.jobs_of.remove(uid).into_iter().flatten() {
            for project in state.projects.values_mut() {
                let own = project.jobs.get(&job);
                if own.is_some_and(|own| own.object.extra.uid.as_deref() == Some(uid)) {
                    project.jobs.remove(&job);
                }
            }
        }
    }

    /// Sends heartbeats as long as each project was polled in time, until the operator stops.
    pub fn run_heartbeat(&self, stopping: CancellationToken) -> impl Future<Output = ()> + use<> {
        let shared = self.shared.clone();
        async move {
            let pause = || tokio::time::sleep(HEARTBEAT_TIMEOUT / 10);
            while stopping.run_until_cancelled(pause()).await.is_some() {
                let is_polled_in_time = |project: &Project| project.active.elapsed() < STALL_TIMEOUT;
                if shared.state.lock().projects.values().all(is_polled_in_time) {
                    shared.heartbeat.beat();
                }
            }
        }
    }
}

impl Shared {
    /// When the project is polled next; `None`, and its entry is removed, once no job of it is followed.
    fn next_poll(&self, key: &CredentialsKey, last: Option<Instant>) -> Option<Instant> {
        let projects = &mut self.state.lock().projects;
        let entry = projects.get_mut(key)?;
        if entry.jobs.is_empty() {
            projects.remove(key);
            return None;
        }
        let tick = last.map(|last| last + self.timing.poll_interval);
        let due = entry
            .jobs
            .values()
            .filter(|job| !job.is_done())
            .map(|job| job.due)
            .min();
        let idle = Instant::now() + self.timing.poll_interval;
        entry.active = due.map_or(idle, |due| tick.map_or(due, |tick| tick.max(due)));
        Some(entry.active)
    }

    /// The loop of the project begins a read.
    fn mark_active(&self, key: &CredentialsKey) {
        if let Some(entry) = self.state.lock().projects.get_mut(key) {
            entry.active = Instant::now();
        }
    }

    /// The client, and the jobs that are due for a poll.
    fn due(&self, key: &CredentialsKey) -> Option<(Arc<dyn Workspace>, Vec<JobID>)> {
        let state = self.state.lock();
        let entry = state.projects.get(key)?;
        let now = Instant::now();
        let due = entry
            .jobs
            .iter()
            .filter(|(_, job)| job.due <= now && !job.is_done());
        Some((entry.cloud.clone(), due.map(|(id, _)| id.clone()).collect()))
    }

    /// Stores the results of a tick and requeues the affected requests.
    fn publish(&self, key: &CredentialsKey, found: Vec<JobPoll>, read_failure: Option<Error>) {
        let mut state = self.state.lock();
        let Some(entry) = state.projects.get_mut(key) else {
            return;
        };
        let failure_changed = entry.read_failure.is_some() != read_failure.is_some();
        entry.read_failure = read_failure;
        let wake = |followed: &Followed| self.queue.add(followed.object.clone());
        for polled_job in found {
            let Some(followed) = entry.jobs.get_mut(&polled_job.id) else {
                continue;
            };
            let changed = followed.last.view != polled_job.view
                || !followed.polled
                || followed.last.read_failure.is_some() != polled_job.read_failure.is_some();
            followed.last = polled_job;
            followed.polled = true;
            if changed && !failure_changed {
                wake(followed);
            }
        }
        if failure_changed {
            entry.jobs.values().for_each(wake);
        }
    }

    /// The last known state of a job.
    fn known(&self, key: &CredentialsKey, id: &JobID) -> Option<JobPoll> {
        let state = self.state.lock();
        let last = state.projects.get(key)?.jobs.get(id)?.last.clone();
        Some(JobPoll {
            read_failure: None,
            ..last
        })
    }
}

async fn poll(shared: Arc<Shared>, key: CredentialsKey) {
    let mut last = None;
    while let Some(at) = shared.next_poll(&key, last) {
        tokio::time::sleep_until(at).await;
        let Some((cloud, due)) = shared.due(&key) else {
            return;
        };
        if due.is_empty() {
            continue;
        }
        last = Some(Instant::now());
        let mut found = Vec::new();
        let span = tracing::info_span!("poll_jobs", project_id = key.project.project_id.as_str());
        let polled = tick(&shared, &key, &*cloud, due, &mut found).instrument(span);
        let read_failure = polled.await.err();
        if let Some(error) = &read_failure {
            tracing::warn!(project = %key.project.project_id, %error, "the jobs of a project could not be read");
        }
        shared.publish(&key, found, read_failure);
    }
}

/// One poll of a job: starts from the last known state, and then has the result.
#[derive(Clone)]
struct JobPoll {
    id: JobID,
    /// The desktops that it was to delete, folded.
    desktops: Vec<DesktopID>,
    view: JobView,
    /// The desktops whose deletion ran when the job itself was last read.
    running_when_read: Option<BTreeSet<DesktopID>>,
    read_failure: Option<Error>,
}

/// One poll of the open jobs of a project, as far as it comes.
async fn tick(
    shared: &Shared,
    key: &CredentialsKey,
    cloud: &dyn Workspace,
    due: Vec<JobID>,
    found: &mut Vec<JobPoll>,
) -> Result<(), Error> {
    // If a region does not support the filter, each job is read.
    let (open, filtered) = match list(cloud, &[SubJobStatus::Waiting, SubJobStatus::Running], MAX_PAGES).await
    {
        Err(error) if is_malformed(&error) => (Vec::new(), false),
        listed => (listed?, true),
    };
    let open = by_job(open);
    let mut left = Vec::new();
    for id in due {
        let Some(mut polled_job) = shared.known(key, &id) else {
            continue;
        };
        let own = open.get(&polled_job.id).map_or(&[][..], Vec::as_slice);
        let running = running(own);
        let stays = polled_job.still_runs(&running);
        polled_job.view.merge_sub_jobs(own);
        // A job that is no longer in the list, or only with a part of its desktops, is read to get its result.
        if stays {
            found.push(polled_job);
        } else {
            polled_job.running_when_read = Some(running);
            left.push(polled_job);
        }
    }
    if filtered && left.len() > 1 {
        shared.mark_active(key);
        read_ended_sub_jobs(cloud, &mut left).await?;
    }
    for mut polled_job in left {
        shared.mark_active(key);
        // One job that cannot be read must not hide the others.
        if !polled_job.view.has_ended(&polled_job.desktops)
            && let Err(error) = read_job(cloud, &polled_job.id, &mut polled_job.view).await
        {
            (polled_job.running_when_read, polled_job.read_failure) = (None, Some(error));
        }
        found.push(polled_job);
    }
    Ok(())
}

/// The desktops whose sub-job has not ended. A region may ignore the filter.
fn running(own: &[SubJob]) -> BTreeSet<DesktopID> {
    own.iter()
        .filter(|s| matches!(s.status, SubJobStatus::Waiting | SubJobStatus::Running))
        .map(|s| s.desktop.folded())
        .collect()
}

impl JobPoll {
    /// The job is running, and reading the job itself would give no further result: no desktop ended before the job was
    /// first seen, or since.
    fn still_runs(&self, running: &BTreeSet<DesktopID>) -> bool {
        let was_read_since = self.running_when_read.as_ref() == Some(running);
        let is_known = |id: &DesktopID| match self.view.results.get(id) {
            _ if running.contains(id) => true,
            Some(SubJobResult::Open) => false,
            Some(_) => true,
            None => was_read_since,
        };
        !running.is_empty() && self.desktops.iter().all(is_known)
    }
}

/// The service rejects the parameters of the call.
fn is_malformed(error: &Error) -> bool {
    error
        .error_response()
        .is_some_and(|response| response.status == 400)
}

/// One list of what has ended serves many jobs, as long as it takes fewer calls than a read of each.
async fn read_ended_sub_jobs(cloud: &dyn Workspace, left: &mut [JobPoll]) -> Result<(), Error> {
    let pages = u32::try_from(left.len()).unwrap_or(u32::MAX) - 1;
    let ended = list(cloud, &[SubJobStatus::Success, SubJobStatus::Failed], pages).await?;
    let ended = by_job(ended);
    for polled_job in left {
        if let Some(own) = ended.get(&polled_job.id) {
            polled_job.view.merge_sub_jobs(own);
        }
    }
    Ok(())
}

fn by_job(sub_jobs: Vec<SubJob>) -> HashMap<JobID, Vec<SubJob>> {
    let mut by_job: HashMap<_, Vec<_>> = HashMap::new();
    for sub_job in sub_jobs {
        by_job.entry(sub_job.job.clone()).or_default().push(sub_job);
    }
    by_job
}

async fn read_job(cloud: &dyn Workspace, id: &JobID, view: &mut JobView) -> Result<(), Error> {
    match cloud.show_job(id).await {
        Ok(answer) => view.merge_job(&answer.value),
        // Right after its submission a job may not show yet; afterwards the desktops decide.
        Err(error) if error.error_response().is_some_and(|r| r.status == 404 && r.json) => return Ok(()),
        Err(error) => return Err(error),
    }
    // Desktops that a truncated response does not contain may have been submitted nevertheless.
    if view.finished && !view.complete {
        let query = SubJobQuery {
            job: Some(id.clone()),
            ..SubJobQuery::default()
        };
        let listed = paging::list(cloud, query, Extent::ToTheEnd).await?;
        // A region may ignore the filter.
        let own: Vec<SubJob> = listed.sub_jobs.into_iter().filter(|s| s.job == *id).collect();
        view.merge_sub_jobs(&own);
        view.complete = listed.complete && !own.is_empty();
    }
    Ok(())
}

/// Sub-jobs of these statuses, at most so many pages of them.
async fn list(cloud: &dyn Workspace, statuses: &[SubJobStatus], pages: u32) -> Result<Vec<SubJob>, Error> {
    let query = SubJobQuery {
        statuses: statuses.to_vec(),
        ..SubJobQuery::default()
    };
    Ok(paging::list(cloud, query, Extent::Pages(pages)).await?.sub_jobs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::error::{Failure, Operation};

    fn followed(result: SubJobResult, read_failure: Option<Error>) -> Followed {
        let desktop = DesktopID::try_from("pc-1").unwrap();
        Followed {
            object: ObjectRef::new("leavers"),
            due: Instant::now(),
            polled: true,
            last: JobPoll {
                id: JobID::try_from("job-1").unwrap(),
                desktops: vec![desktop.clone()],
                view: JobView {
                    results: [(desktop, result)].into(),
                    ..JobView::default()
                },
                running_when_read: None,
                read_failure,
            },
        }
    }

    #[test]
    fn a_job_with_a_final_result_is_known_even_if_a_later_read_failed() {
        let error = || Error {
            operation: Operation::ListSubJobs,
            failure: Failure::NoResponse {
                reason: "cut".to_owned(),
            },
            service_time: None,
        };
        for (own, of_project) in [(None, None), (Some(error()), None), (None, Some(error()))] {
            let failed = own.is_some() || of_project.is_some();
            let done = followed(SubJobResult::Success, own.clone());
            assert!(matches!(
                done.poll_state(of_project.as_ref()),
                JobPollState::Known(_)
            ));
            let open = followed(SubJobResult::Open, own);
            let known = matches!(open.poll_state(of_project.as_ref()), JobPollState::Known(_));
            assert_eq!(known, !failed);
        }
    }
}
