//! Reads of desktops: which queries go into one call, and which result serves another query.

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

/// How long a read is kept for later queries; each query states how old a result may be.
const RETENTION: Duration = Duration::from_secs(60);

/// A query for desktops.
#[derive(Debug, Clone)]
pub struct DesktopQuery {
    /// The desktops.
    pub ids: Vec<DesktopID>,
    /// A result of another query must be of a read that began since then.
    pub since: Instant,
    /// A result of another query counts only if it contains none of the desktops: a deleted desktop stays deleted,
    /// everything else may have changed.
    pub gone_only: bool,
}

/// The result of a read of desktops.
#[derive(Debug)]
pub struct DesktopRead {
    /// When it began.
    pub began: Instant,
    /// Whether the list was read to its end.
    pub complete: bool,
    /// The desktops that were queried, without those that the service refuses.
    queried: HashSet<DesktopID>,
    /// The desktops that exist, by folded ID.
    desktops: HashMap<DesktopID, Desktop>,
}

/// The reads with one set of credentials and of one priority; clones share them.
#[derive(Clone, Default)]
pub(super) struct SharedDesktopReads {
    queue: Arc<Mutex<Queue>>,
    recent_reads: Arc<Mutex<Vec<Arc<DesktopRead>>>>,
}

/// Queries that wait for a read.
#[derive(Default)]
struct Queue {
    waiting: Vec<PendingQuery>,
    /// A task is reading, and will include new queries.
    reading: bool,
}

struct PendingQuery {
    query: DesktopQuery,
    upcoming: Vec<DesktopID>,
    result_sender: oneshot::Sender<Result<Arc<DesktopRead>, Error>>,
    /// The span of the caller.
    span: Span,
}

impl SharedDesktopReads {
    /// Reads desktops, together with those of concurrent and recent queries. A call also includes as many as it can of
    /// `upcoming`, the desktops that other requests will query soon.
    pub(super) async fn read(
        &self,
        cloud: impl ClientsWithPermit,
        query: DesktopQuery,
        upcoming: impl FnOnce() -> Vec<DesktopID>,
    ) -> Result<Arc<DesktopRead>, Error> {
        let known = self
            .recent_reads
            .lock()
            .iter()
            .rev()
            .find(|read| read.satisfies(&query))
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let (ids, upcoming) = (query.ids.clone(), upcoming());
        let (result_sender, result_receiver) = oneshot::channel();
        let first = {
            let mut queue = self.queue.lock();
            queue.waiting.push(PendingQuery {
                query,
                upcoming,
                result_sender,
                span: Span::current(),
            });
            !std::mem::replace(&mut queue.reading, true)
        };
        let cloud = Arc::new(cloud);
        if first {
            tokio::spawn(read(self.queue.clone(), self.recent_reads.clone(), cloud.clone()));
        }
        match result_receiver.await {
            Ok(result) => result,
            // The reading task ended without a result.
            Err(_) => read_now(&*cloud.with_permit().await, ids).await,
        }
    }
}

/// Reads for all queries that wait, until none does. A query that arrives while a call waits for its permit is included.
async fn read(
    queue: Arc<Mutex<Queue>>,
    pages: Arc<Mutex<Vec<Arc<DesktopRead>>>>,
    clients: Arc<impl ClientsWithPermit>,
) {
    // If this task ends early, the callers that wait notice it, and the next query starts a new task.
    let _reset = Reset(queue.clone());
    while queue.lock().continue_reading() {
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
                pages.retain(|page| page.began.elapsed() < RETENTION);
                pages.push(read.clone());
            }
            queue.lock().complete_waiting(read);
        }
        let ids_rejected = result.as_ref().is_err_and(listing::is_about_the_ids);
        for pending in batch {
            let own = pending.query.ids;
            let share = if ids_rejected && own.len() < ids.len() {
                // An ID that the service refuses must not fail the queries of others.
                read_now(&*cloud, own).instrument(pending.span).await
            } else {
                result.clone()
            };
            // The caller may have been cancelled.
            pending.result_sender.send(share).ok();
        }
    }
}

/// The span of a read, in the trace of the first caller. Those of the others have a link to it.
fn span(batch: &[PendingQuery], desktops: usize) -> Span {
    let mut spans = batch.iter().map(|pending| &pending.span);
    let first = spans.next().and_then(Span::id);
    let span = tracing::info_span!(parent: first, "read_desktops", desktops);
    for other in spans {
        other.follows_from(&span);
    }
    span
}

/// As each query spells them: a service may distinguish upper and lower case.
fn ids_of(batch: &[PendingQuery]) -> Vec<DesktopID> {
    let own = batch.iter().flat_map(|pending| &pending.query.ids);
    let mut ids: BTreeSet<_> = own.cloned().collect();
    for id in batch.iter().flat_map(|pending| &pending.upcoming) {
        if ids.len() >= MAX_BATCH {
            break;
        }
        ids.insert(id.clone());
    }
    ids.into_iter().collect()
}

async fn read_now(cloud: &dyn Workspace, ids: Vec<DesktopID>) -> Result<Arc<DesktopRead>, Error> {
    let began = Instant::now();
    let listing = listing::list(cloud, &ids).await?;
    let mut queried: HashSet<_> = ids.into_iter().collect();
    queried.retain(|id| !listing.rejected_ids.contains(id));
    Ok(Arc::new(DesktopRead {
        began,
        complete: listing.complete,
        queried,
        desktops: listing.desktops,
    }))
}

impl Queue {
    /// Whether a query waits; otherwise reading ends.
    fn continue_reading(&mut self) -> bool {
        self.reading = !self.waiting.is_empty();
        self.reading
    }

    /// The first queries whose desktops fit into one call.
    fn take_batch(&mut self) -> Vec<PendingQuery> {
        let mut ids = BTreeSet::new();
        let mut size = 0;
        for pending in &self.waiting {
            ids.extend(&pending.query.ids);
            if size > 0 && ids.len() > MAX_BATCH {
                break;
            }
            size += 1;
        }
        self.waiting.drain(..size).collect()
    }

    /// Answers queries that arrived during a read which includes their desktops.
    fn complete_waiting(&mut self, read: &Arc<DesktopRead>) {
        let is_answered = |pending: &mut PendingQuery| read.satisfies(&pending.query);
        for pending in self.waiting.extract_if(.., is_answered) {
            // The caller may have been cancelled.
            pending.result_sender.send(Ok(read.clone())).ok();
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

impl DesktopRead {
    /// A desktop, if it exists; the ID is compared ignoring case.
    pub fn get(&self, id: &DesktopID) -> Option<&Desktop> {
        self.desktops.get(&id.folded())
    }

    /// Whether a desktop that it does not contain does not exist.
    pub fn confirms_missing(&self, id: &DesktopID) -> bool {
        self.complete && self.queried.contains(id)
    }

    /// Whether it is a result for a query.
    fn satisfies(&self, query: &DesktopQuery) -> bool {
        self.began >= query.since
            && query.ids.iter().all(|id| self.queried.contains(id))
            && !(query.gone_only && query.ids.iter().any(|id| self.get(id).is_some()))
    }
}
