//! Follows the open jobs of each project: one task a project, one sub-job list (WAITING and RUNNING) a tick for all
//! of its jobs, and one read by its id of each job that has left that list. Wakes only the requests that something
//! changed for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Timing;
use crate::crd::DesktopDeletion;
use crate::crd::deletion::ProjectCoordinates;
use crate::ids::JobID;
use crate::operator::health::Pulse;
use crate::plan::observed::{JobView, Word};
use crate::workspace::api::{SubJob, SubJobQuery, SubJobStatus, Workspace};
use crate::workspace::error::Error;

/// How long a poller may take for one turn before it counts as dead: longer than any tick with slow answers.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(600);

/// Rows of one page of sub-jobs, the most that the API gives.
pub const PAGE: u32 = 1000;

/// Highest offset that the API definition allows.
pub const MAX_OFFSET: u32 = 10_000;

/// What is known of a job that is followed.
#[derive(Debug, Clone)]
pub enum News {
    /// It was not looked at yet.
    NotYet,
    /// This is known.
    Known(JobView),
    /// The last read failed.
    Trouble(Error),
}

/// The pollers of all projects.
pub struct Pollers {
    shared: Arc<Shared>,
}

struct Shared {
    timing: Timing,
    waker: UnboundedSender<ObjectRef<DesktopDeletion>>,
    pulse: Pulse,
    projects: Mutex<HashMap<ProjectCoordinates, Project>>,
}

struct Project {
    /// The login that was used last by any of its requests.
    cloud: Arc<dyn Workspace>,
    jobs: BTreeMap<JobID, Followed>,
    trouble: Option<Error>,
    /// When its loop turned last.
    turned: Instant,
}

struct Followed {
    object: ObjectRef<DesktopDeletion>,
    due: Instant,
    looked: bool,
    view: JobView,
}

impl Followed {
    fn is_done(&self) -> bool {
        self.view.finished && self.view.words.values().all(|word| *word != Word::Open)
    }
}

impl Pollers {
    /// Pollers that look as often as `timing` says and send what changed to `waker`.
    pub fn new(timing: Timing, waker: UnboundedSender<ObjectRef<DesktopDeletion>>, pulse: Pulse) -> Self {
        Self {
            shared: Arc::new(Shared {
                timing,
                waker,
                pulse,
                projects: Mutex::default(),
            }),
        }
    }

    /// Follows `job` for `object` from now on, `age` after its submission, and says what is known of it.
    pub fn follow(
        &self,
        project: &ProjectCoordinates,
        job: &JobID,
        object: ObjectRef<DesktopDeletion>,
        age: Duration,
        cloud: Arc<dyn Workspace>,
    ) -> News {
        let mut projects = self.shared.lock();
        let known = projects.contains_key(project);
        let entry = projects.entry(project.clone()).or_insert_with(|| Project {
            cloud: cloud.clone(),
            jobs: BTreeMap::new(),
            trouble: None,
            turned: Instant::now(),
        });
        entry.cloud = cloud;
        let due = Instant::now() + self.shared.timing.first_look.saturating_sub(age);
        let followed = entry.jobs.entry(job.clone()).or_insert_with(|| Followed {
            object,
            due,
            looked: false,
            view: JobView::default(),
        });
        let news = match (&entry.trouble, followed.looked) {
            (Some(error), _) => News::Trouble(error.clone()),
            (None, true) => News::Known(followed.view.clone()),
            (None, false) => News::NotYet,
        };
        if !known {
            tokio::spawn(poll(self.shared.clone(), project.clone()));
        }
        news
    }

    /// Has an object looked at soon.
    pub fn wake(&self, object: ObjectRef<DesktopDeletion>) {
        // The receiver is gone only when the operator stops.
        self.shared.waker.send(object).ok();
    }

    /// Forgets the jobs of an object that has ended or is gone.
    pub fn unfollow(&self, uid: &str) {
        for project in self.shared.lock().values_mut() {
            project
                .jobs
                .retain(|_, followed| followed.object.extra.uid.as_deref() != Some(uid));
        }
    }

    /// Says that the pollers are alive, as long as each project was looked at in time; until the operator stops.
    pub async fn attest(&self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(SIGN_OF_LIFE / 10) => {}
            }
            if self
                .shared
                .lock()
                .values()
                .all(|project| project.turned.elapsed() < SIGN_OF_LIFE)
            {
                self.shared.pulse.beat();
            }
        }
    }
}

impl Shared {
    /// A panic elsewhere cannot leave the map half written.
    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectCoordinates, Project>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the project is to be looked at next; `None`, and it is forgotten, once nothing is followed there.
    fn next_look(&self, project: &ProjectCoordinates, last: Option<Instant>) -> Option<Instant> {
        let mut projects = self.lock();
        let entry = projects.get_mut(project)?;
        entry.turned = Instant::now();
        if entry.jobs.is_empty() {
            projects.remove(project);
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
        Some(due.map_or(idle, |due| tick.map_or(due, |tick| tick.max(due))))
    }

    /// The login, and the jobs that are due for a look.
    fn due(&self, project: &ProjectCoordinates) -> Option<(Arc<dyn Workspace>, Vec<JobID>)> {
        let projects = self.lock();
        let entry = projects.get(project)?;
        let now = Instant::now();
        let due = entry
            .jobs
            .iter()
            .filter(|(_, job)| job.due <= now && !job.is_done());
        Some((entry.cloud.clone(), due.map(|(id, _)| id.clone()).collect()))
    }

    /// Stores what a tick found and wakes whom it concerns.
    fn publish(&self, project: &ProjectCoordinates, found: Result<Vec<(JobID, JobView)>, Error>) {
        let mut projects = self.lock();
        let Some(entry) = projects.get_mut(project) else {
            return;
        };
        let (found, trouble) = match found {
            Ok(found) => (found, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mood_changed = entry.trouble.is_some() != trouble.is_some();
        entry.trouble = trouble;
        for (id, view) in found {
            let Some(followed) = entry.jobs.get_mut(&id) else {
                continue;
            };
            let changed = followed.view != view || !followed.looked;
            followed.view = view;
            followed.looked = true;
            if changed && !mood_changed {
                self.wake(followed);
            }
        }
        if mood_changed {
            entry.jobs.values().for_each(|followed| self.wake(followed));
        }
    }

    fn wake(&self, followed: &Followed) {
        // The receiver is gone only when the operator stops.
        self.waker.send(followed.object.clone()).ok();
    }

    fn view(&self, project: &ProjectCoordinates, job: &JobID) -> JobView {
        let projects = self.lock();
        projects
            .get(project)
            .and_then(|p| p.jobs.get(job))
            .map(|f| f.view.clone())
            .unwrap_or_default()
    }
}

async fn poll(shared: Arc<Shared>, project: ProjectCoordinates) {
    let mut last = None;
    while let Some(at) = shared.next_look(&project, last) {
        tokio::time::sleep_until(at).await;
        let Some((cloud, due)) = shared.due(&project) else {
            return;
        };
        if due.is_empty() {
            continue;
        }
        last = Some(Instant::now());
        let found = tick(&shared, &project, &*cloud, due).await;
        if let Err(error) = &found {
            tracing::warn!(project = %project.project_id, %error, "the jobs of a project could not be read");
        }
        shared.publish(&project, found);
    }
}

/// One look at the open jobs of a project.
async fn tick(
    shared: &Shared,
    project: &ProjectCoordinates,
    cloud: &dyn Workspace,
    due: Vec<JobID>,
) -> Result<Vec<(JobID, JobView)>, Error> {
    let open = open_sub_jobs(cloud).await?;
    let mut found = Vec::new();
    for id in due {
        let mut view = shared.view(project, &id);
        let own: Vec<SubJob> = open.iter().filter(|s| s.job == id).cloned().collect();
        view.learn(&own);
        // A job that has left the list, or of which some desktops have, is read by its id until all has ended.
        let all_open = !own.is_empty() && view.words.len() == own.len();
        if !all_open {
            read_job(cloud, &id, &mut view).await?;
        }
        found.push((id, view));
    }
    Ok(found)
}

async fn read_job(cloud: &dyn Workspace, id: &JobID, view: &mut JobView) -> Result<(), Error> {
    match cloud.show_job(id).await {
        Ok(answer) => view.learn_parent(&answer.value),
        // Right after its submission a job may not show yet; afterwards the desktops decide.
        Err(error) if error.refusal().is_some_and(|r| r.status == 404 && r.json) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn open_sub_jobs(cloud: &dyn Workspace) -> Result<Vec<SubJob>, Error> {
    let mut query = SubJobQuery {
        statuses: vec![SubJobStatus::Waiting, SubJobStatus::Running],
        limit: PAGE,
        ..SubJobQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = cloud.list_sub_jobs(&query).await?.value;
        all.extend(page.sub_jobs);
        query.offset += u32::try_from(page.rows).unwrap_or(PAGE);
        if page.rows == 0 || u64::from(query.offset) >= page.total || query.offset > MAX_OFFSET {
            return Ok(all);
        }
    }
}
