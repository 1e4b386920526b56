//! Reads of desktops: who is asked about together, and whose answer serves another.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::listing;
use crate::cloud::session::ClientsWithPermit;
use crate::ids::DesktopID;
use crate::workspace::api::{Desktop, MAX_BATCH, Workspace};
use crate::workspace::error::Error;

/// How long a read is kept for those who ask soon after it; each says itself how old an answer may be.
const KEPT: Duration = Duration::from_secs(60);

/// What is wanted of a read of desktops.
#[derive(Debug, Clone)]
pub struct DesktopQuery {
    /// The desktops.
    pub ids: Vec<DesktopID>,
    /// A response that another caller's batch includes must have been requested since then.
    pub since: Instant,
    /// Such an answer counts only if it shows none of the desktops: what is gone stays gone, all else may have changed.
    pub gone_only: bool,
}

/// A read of desktops, of those asked for and maybe of others.
#[derive(Debug)]
pub struct Read {
    /// When it began.
    pub began: Instant,
    /// It was read to its end.
    pub complete: bool,
    /// What it says something about.
    asked: HashSet<DesktopID>,
    /// By folded id.
    desktops: HashMap<DesktopID, Desktop>,
}

/// The reads of one login and priority; clones share them.
#[derive(Clone, Default)]
pub(super) struct Desktops {
    queue: Arc<Mutex<Queue>>,
    pages: Arc<Mutex<Vec<Arc<Read>>>>,
}

/// Who waits for a read of desktops.
#[derive(Default)]
struct Queue {
    waiting: Vec<PendingQuery>,
    /// A read is in progress, and will include new callers.
    reading: bool,
}

struct PendingQuery {
    question: DesktopQuery,
    upcoming: Vec<DesktopID>,
    answer: oneshot::Sender<Result<Arc<Read>, Error>>,
    /// In which trace it was asked.
    span: Span,
}

impl Desktops {
    /// Reads desktops, together with callers that ask at the same time, or have just asked. The same call takes along as
    /// many as it can of those that others will ask for soon, which `upcoming` names.
    pub(super) async fn read(
        &self,
        cloud: impl ClientsWithPermit,
        question: DesktopQuery,
        upcoming: impl FnOnce() -> Vec<DesktopID>,
    ) -> Result<Arc<Read>, Error> {
        let known = self
            .pages
            .lock()
            .iter()
            .rev()
            .find(|read| read.answers(&question))
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let (ids, upcoming) = (question.ids.clone(), upcoming());
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut queue = self.queue.lock();
            queue.waiting.push(PendingQuery {
                question,
                upcoming,
                answer,
                span: Span::current(),
            });
            !std::mem::replace(&mut queue.reading, true)
        };
        let cloud = Arc::new(cloud);
        if first {
            tokio::spawn(read(self.queue.clone(), self.pages.clone(), cloud.clone()));
        }
        match answered.await {
            Ok(result) => result,
            // The reader died; this one asks for itself.
            Err(_) => read_now(&*cloud.with_permit().await, ids).await,
        }
    }
}

/// Reads for all callers that wait, until none does. A caller that asks while a call waits for its permit is included.
async fn read(
    queue: Arc<Mutex<Queue>>,
    pages: Arc<Mutex<Vec<Arc<Read>>>>,
    clients: Arc<impl ClientsWithPermit>,
) {
    // If this task dies, those who wait see it, and the next one reads again.
    let _reset = Reset(queue.clone());
    while queue.lock().goes_on() {
        let cloud = clients.with_permit().await;
        let batch = queue.lock().take_batch();
        let ids = ids_of(&batch);
        let result = read_now(&*cloud, ids.clone())
            .instrument(span(&batch, ids.len()))
            .await;
        if let Ok(read) = &result
            && read.complete
        {
            {
                let mut pages = pages.lock();
                pages.retain(|page| page.began.elapsed() < KEPT);
                pages.push(read.clone());
            }
            queue.lock().answer(read);
        }
        let ids_rejected = result.as_ref().is_err_and(listing::is_about_the_ids);
        for asked in batch {
            let own = asked.question.ids;
            let share = if ids_rejected && own.len() < ids.len() {
                // The ids of one must not be the trouble of another.
                read_now(&*cloud, own).instrument(asked.span).await
            } else {
                result.clone()
            };
            // The caller may have been cancelled.
            asked.answer.send(share).ok();
        }
    }
}

/// The span of a read, in the trace of the first caller. Those of the others have a link to it.
fn span(batch: &[PendingQuery], desktops: usize) -> Span {
    let mut spans = batch.iter().map(|asked| &asked.span);
    let first = spans.next().and_then(Span::id);
    let span = tracing::info_span!(parent: first, "read_desktops", desktops);
    for other in spans {
        other.follows_from(&span);
    }
    span
}

/// As each asked: a service may tell upper from lower case, and would not list what is spelt otherwise.
fn ids_of(batch: &[PendingQuery]) -> Vec<DesktopID> {
    let own = batch.iter().flat_map(|asked| &asked.question.ids);
    let mut ids: BTreeSet<_> = own.cloned().collect();
    for id in batch.iter().flat_map(|asked| &asked.upcoming) {
        if ids.len() >= MAX_BATCH {
            break;
        }
        ids.insert(id.clone());
    }
    ids.into_iter().collect()
}

async fn read_now(cloud: &dyn Workspace, ids: Vec<DesktopID>) -> Result<Arc<Read>, Error> {
    let began = Instant::now();
    let listing = listing::list(cloud, &ids).await?;
    let mut asked: HashSet<_> = ids.into_iter().collect();
    asked.retain(|id| !listing.refused.contains(id));
    Ok(Arc::new(Read {
        began,
        complete: listing.complete,
        asked,
        desktops: listing.desktops,
    }))
}

impl Queue {
    /// Whether a caller waits; otherwise reading ends.
    fn goes_on(&mut self) -> bool {
        self.reading = !self.waiting.is_empty();
        self.reading
    }

    /// Those in front whose desktops go into one call.
    fn take_batch(&mut self) -> Vec<PendingQuery> {
        let mut ids = BTreeSet::new();
        let mut size = 0;
        for asked in &self.waiting {
            ids.extend(&asked.question.ids);
            if size > 0 && ids.len() > MAX_BATCH {
                break;
            }
            size += 1;
        }
        self.waiting.drain(..size).collect()
    }

    /// Answers those who asked while it was read, if it took along what they asked for.
    fn answer(&mut self, read: &Arc<Read>) {
        let is_answered = |asked: &mut PendingQuery| read.answers(&asked.question);
        for asked in self.waiting.extract_if(.., is_answered) {
            // The caller may have been cancelled.
            asked.answer.send(Ok(read.clone())).ok();
        }
    }
}

struct Reset(Arc<Mutex<Queue>>);

impl Drop for Reset {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        if queue.reading {
            queue.reading = false;
            queue.waiting.clear();
        }
    }
}

impl Read {
    /// What it shows of a desktop, in whichever letter case it was asked for.
    pub fn shows(&self, id: &DesktopID) -> Option<&Desktop> {
        self.desktops.get(&id.folded())
    }

    /// It proves that a desktop that it does not show does not exist.
    pub fn proves_missing(&self, id: &DesktopID) -> bool {
        self.complete && self.asked.contains(id)
    }

    /// The answer to a question, if this read has one.
    fn answers(&self, question: &DesktopQuery) -> bool {
        self.began >= question.since
            && question.ids.iter().all(|id| self.asked.contains(id))
            && !(question.gone_only && question.ids.iter().any(|id| self.shows(id).is_some()))
    }
}
