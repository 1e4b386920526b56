//! Reads of the cloud that many requests share: desktops asked for at the same time, or soon after, go out in calls of up
//! to a hundred, and one sweep over the sub-jobs serves all who ask within a minute. Calls grow with desktops / 100, not with requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::login::LoginKey;
use super::poller::{MAX_OFFSET, MAX_PAGES, PAGE};
use super::turns::RightOfWay;
use crate::ids::DesktopID;
use crate::plan::observed::Sweep;
use crate::workspace::api::{DesktopPage, MAX_BATCH, SubJob, SubJobQuery, Workspace};
use crate::workspace::error::Error;

/// How long the first to ask for desktops waits for company.
const COMPANY: Duration = Duration::from_millis(100);

/// How long a read is kept for those who ask soon after it; each says itself how old an answer may be.
const KEPT: Duration = Duration::from_secs(60);

/// How old a sweep may be for those who need no newer one, in ticks of the poller.
pub const SWEEP_AGE: u32 = 4;

/// Projects that nobody asked about for so long are forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// The shared reads of all logins, by right of way: what has to wait must not hold up what may go first. Clones share
/// them.
#[derive(Clone, Default)]
pub struct SharedReads(Arc<Mutex<HashMap<(LoginKey, RightOfWay), Entry>>>);

#[derive(Clone)]
struct Entry {
    used: Instant,
    desktops: Arc<Mutex<Queue>>,
    pages: Arc<Mutex<Vec<Read>>>,
    sweep: Arc<tokio::sync::Mutex<Option<Swept>>>,
}

/// Who waits for a read of desktops.
#[derive(Default)]
struct Queue {
    waiting: Vec<Asked>,
    /// Somebody is reading, and will take care of those who come.
    reading: bool,
}

struct Asked {
    ids: Vec<DesktopID>,
    upcoming: Vec<DesktopID>,
    answer: oneshot::Sender<Result<Read, Error>>,
}

/// What is wanted of a read of desktops.
#[derive(Debug, Clone)]
pub struct Question {
    /// The desktops.
    pub ids: Vec<DesktopID>,
    /// Desktops that others will ask for soon: the same call takes along as many as it can.
    pub upcoming: Vec<DesktopID>,
    /// An answer that somebody else's call took along must have been begun since then.
    pub since: Instant,
    /// Such an answer counts only if it shows none of the desktops: what is gone stays gone, all else may have changed.
    pub gone_only: bool,
}

/// A read of desktops.
#[derive(Debug, Clone)]
pub struct Read {
    /// When it began.
    pub began: Instant,
    asked: Vec<DesktopID>,
    /// What it gave. Of an incomplete list `total` is larger than the number of rows.
    pub page: DesktopPage,
}

/// A sweep, by folded desktop id.
#[derive(Clone)]
struct Swept {
    began: Instant,
    by_desktop: Arc<HashMap<DesktopID, Vec<SubJob>>>,
    complete: bool,
}

impl SharedReads {
    /// Reads desktops, together with whoever asks at the same time, or has just asked.
    ///
    /// # Errors
    /// As the call of the cloud.
    pub async fn desktops(
        &self,
        key: (LoginKey, RightOfWay),
        cloud: Arc<dyn Workspace>,
        question: Question,
    ) -> Result<Read, Error> {
        let entry = self.entry(key);
        let known = lock(&entry.pages)
            .iter()
            .rev()
            .find_map(|read| read.answer(&question));
        if let Some(known) = known {
            return Ok(known);
        }
        let ids = question.ids.clone();
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut queue = lock(&entry.desktops);
            queue.waiting.push(Asked {
                ids: question.ids,
                upcoming: question.upcoming,
                answer,
            });
            !std::mem::replace(&mut queue.reading, true)
        };
        if first {
            tokio::spawn(read(entry.desktops, entry.pages, cloud.clone()));
        }
        match answered.await {
            Ok(result) => result,
            // The reader died; this one asks for itself.
            Err(_) => read_now(&*cloud, ids).await,
        }
    }

    /// What the sub-jobs of the project say of `ids`, from a sweep begun at `not_before` or later.
    ///
    /// # Errors
    /// As the calls of the cloud.
    pub async fn sweep(
        &self,
        key: (LoginKey, RightOfWay),
        cloud: &dyn Workspace,
        ids: &[DesktopID],
        not_before: Instant,
    ) -> Result<Sweep, Error> {
        let slot = self.entry(key).sweep;
        let mut slot = slot.lock().await;
        let swept = match slot.clone().filter(|swept| swept.began >= not_before) {
            Some(swept) => swept,
            None => slot.insert(sweep(cloud).await?).clone(),
        };
        drop(slot);
        let wanted: BTreeSet<_> = ids.iter().map(DesktopID::folded).collect();
        let sub_jobs = wanted
            .iter()
            .filter_map(|id| swept.by_desktop.get(id))
            .flatten()
            .cloned()
            .collect();
        Ok(Sweep {
            sub_jobs,
            complete: swept.complete,
        })
    }

    fn entry(&self, key: (LoginKey, RightOfWay)) -> Entry {
        let mut entries = lock(&self.0);
        let now = Instant::now();
        entries.retain(|other, entry| *other == key || now.duration_since(entry.used) < IDLE);
        let entry = entries.entry(key).or_insert_with(|| Entry {
            used: now,
            desktops: Arc::default(),
            pages: Arc::default(),
            sweep: Arc::default(),
        });
        entry.used = now;
        entry.clone()
    }
}

/// Reads for all who wait, until nobody does.
async fn read(queue: Arc<Mutex<Queue>>, pages: Arc<Mutex<Vec<Read>>>, cloud: Arc<dyn Workspace>) {
    // If this task dies, those who wait see it, and the next one reads again.
    let _reset = Reset(queue.clone());
    loop {
        tokio::time::sleep(COMPANY).await;
        let party = lock(&queue).take_party();
        if party.is_empty() {
            return;
        }
        let result = read_now(&*cloud, ids_of(&party)).await;
        if let Ok(read) = &result {
            let mut pages = lock(&pages);
            pages.retain(|page| page.began.elapsed() < KEPT);
            pages.extend(Some(read.clone()).filter(Read::is_complete));
        }
        for asked in party {
            let share = result.as_ref().map(|read| read.part(&asked.ids));
            // Whoever asked may have gone.
            asked.answer.send(share.map_err(Clone::clone)).ok();
        }
    }
}

/// As each asked: a service may tell upper from lower case, and would not list what is spelt otherwise.
fn ids_of(party: &[Asked]) -> Vec<DesktopID> {
    let mut ids: BTreeSet<_> = party.iter().flat_map(|asked| asked.ids.iter().cloned()).collect();
    for id in party.iter().flat_map(|asked| &asked.upcoming) {
        if ids.len() >= MAX_BATCH {
            break;
        }
        ids.insert(id.clone());
    }
    ids.into_iter().collect()
}

async fn read_now(cloud: &dyn Workspace, ids: Vec<DesktopID>) -> Result<Read, Error> {
    let began = Instant::now();
    let page = cloud.list_desktops(&ids).await?.value;
    Ok(Read {
        began,
        asked: ids,
        page,
    })
}

impl Queue {
    /// Those in front whose desktops go into one call; says that nobody reads any more if there are none.
    fn take_party(&mut self) -> Vec<Asked> {
        let mut ids = BTreeSet::new();
        let mut size = 0;
        for asked in &self.waiting {
            ids.extend(&asked.ids);
            if size > 0 && ids.len() > MAX_BATCH {
                break;
            }
            size += 1;
        }
        self.reading = size > 0;
        self.waiting.drain(..size).collect()
    }
}

struct Reset(Arc<Mutex<Queue>>);

impl Drop for Reset {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        if queue.reading {
            queue.reading = false;
            queue.waiting.clear();
        }
    }
}

impl Read {
    /// An older region may ignore the filter, and a list may be cut: then it proves nothing about an id that is not in
    /// it.
    pub fn is_complete(&self) -> bool {
        let asked = |id: &DesktopID| self.asked.iter().any(|other| other.folded() == id.folded());
        self.page.total == self.page.desktops.len() as u64 && self.page.desktops.iter().all(|d| asked(&d.id))
    }

    /// The part that concerns `ids`; of an incomplete list it is incomplete.
    fn part(&self, ids: &[DesktopID]) -> Self {
        let mut desktops = self.page.desktops.clone();
        desktops.retain(|desktop| ids.iter().any(|id| id.folded() == desktop.id.folded()));
        Self {
            began: self.began,
            asked: ids.to_vec(),
            page: DesktopPage {
                total: desktops.len() as u64 + u64::from(!self.is_complete()),
                desktops,
            },
        }
    }

    /// The answer to a question, if this read has one.
    fn answer(&self, question: &Question) -> Option<Self> {
        let asked = |id: &DesktopID| self.asked.contains(id);
        if self.began < question.since || !question.ids.iter().all(asked) {
            return None;
        }
        Some(self.part(&question.ids)).filter(|part| !question.gone_only || part.page.desktops.is_empty())
    }
}

/// Reads the sub-jobs of every status, all pages. The sweep is complete if the total did not fall meanwhile and as many
/// rows came as it named first; past the rows and pages that are read it is not.
async fn sweep(cloud: &dyn Workspace) -> Result<Swept, Error> {
    let began = Instant::now();
    let mut query = SubJobQuery {
        limit: PAGE,
        ..SubJobQuery::default()
    };
    let mut by_desktop: HashMap<DesktopID, Vec<SubJob>> = HashMap::new();
    let (mut seen, mut first_total, mut steady) = (BTreeSet::new(), None, true);
    let mut unreadable = 0;
    for _ in 0..MAX_PAGES {
        let page = cloud.list_sub_jobs(&query).await?.value;
        steady &= page.total >= *first_total.get_or_insert(page.total);
        unreadable += page.rows.saturating_sub(page.sub_jobs.len());
        for sub_job in page.sub_jobs {
            if seen.insert((sub_job.id.clone(), sub_job.job.clone(), sub_job.desktop.folded())) {
                by_desktop
                    .entry(sub_job.desktop.folded())
                    .or_default()
                    .push(sub_job);
            }
        }
        query.offset += u32::try_from(page.rows).unwrap_or(PAGE);
        if page.rows == 0 || u64::from(query.offset) >= page.total || query.offset > MAX_OFFSET {
            break;
        }
    }
    let complete = steady && (seen.len() + unreadable) as u64 >= first_total.unwrap_or_default();
    Ok(Swept {
        began,
        by_desktop: Arc::new(by_desktop),
        complete,
    })
}

/// What is locked here is whole after every step, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::*;
    use crate::ids::JobID;
    use crate::workspace::api::{Answer, BatchDelete, Job, Lookup, SignedRequest, SubJobPage};

    /// A cloud that promises a billion sub-jobs and brings one unreadable row at a time.
    #[derive(Debug, Default)]
    struct Promises(AtomicUsize);

    #[async_trait]
    impl Workspace for Promises {
        async fn list_sub_jobs(&self, _: &SubJobQuery) -> Result<Answer<SubJobPage>, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let value = SubJobPage {
                total: 1_000_000_000,
                rows: 1,
                sub_jobs: vec![],
            };
            Ok(Answer {
                value,
                service_time: None,
            })
        }

        async fn list_desktops(&self, _: &[DesktopID]) -> Result<Answer<DesktopPage>, Error> {
            unreachable!("not asked for")
        }

        async fn show_desktop(&self, _: &DesktopID) -> Result<Answer<Lookup>, Error> {
            unreachable!("not asked for")
        }

        async fn show_job(&self, _: &JobID) -> Result<Answer<Job>, Error> {
            unreachable!("not asked for")
        }

        fn sign_batch_delete(&self, _: &BatchDelete, _: Timestamp) -> Result<SignedRequest, Error> {
            unreachable!("not asked for")
        }

        async fn send(&self, _: SignedRequest) -> Result<Answer<JobID>, Error> {
            unreachable!("not asked for")
        }
    }

    #[tokio::test]
    async fn a_list_that_never_comes_to_its_end_is_left_and_not_taken_for_complete() {
        let cloud = Promises::default();
        let swept = sweep(&cloud).await.unwrap();
        assert_eq!(cloud.0.into_inner(), 100);
        assert!(!swept.complete);
    }
}
