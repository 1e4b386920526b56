//! Reports that a request is queued (reason `Queued`) if it has no conditions yet: its reconciliation may not have
//! started, or may wait for a response that does not arrive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;

use super::super::Context;
use super::super::cache::Source;
use super::reconciliation::Reconciliation;
use super::{Error, execute};
use crate::crd::DesktopDeletion;
use crate::plan::deadlines;

/// How often requests without conditions are searched.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of reports that are written concurrently.
const MAX_CONCURRENT_REPORTS: usize = 4;

/// Reports until the operator stops.
pub async fn run(context: Arc<Context>) {
    let mut unreported = Unreported::default();
    let stopping = &context.process.stopping;
    while stopping
        .run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL))
        .await
        .is_some()
    {
        let due = unreported.due(
            context.requests.cache.all(),
            context.process.uptime.now(),
            context.process.config.timing.first_report,
        );
        if due.is_empty() {
            continue;
        }
        let reports = due
            .into_iter()
            .map(|request| try_report(request, context.clone()));
        let reports = futures::stream::iter(reports)
            .buffer_unordered(MAX_CONCURRENT_REPORTS)
            .collect::<()>();
        stopping.run_until_cancelled(reports).await;
    }
}

async fn try_report(request: Arc<DesktopDeletion>, context: Arc<Context>) {
    if let Err(error) = report(&request, &context).await {
        let (namespace, name) = (request.namespace(), request.name_any());
        tracing::debug!(namespace, name, %error, "could not report that a request waits");
    }
}

/// The requests without conditions, by uid, and when each is to be reported on. A report does not become due earlier
/// because others were reconciled in the meantime: its own reconciliation is then about to start.
#[derive(Default)]
struct Unreported(HashMap<String, Duration>);

impl Unreported {
    /// Which of the requests are to be reported on.
    fn due(
        &mut self,
        mut unreported: Vec<Arc<DesktopDeletion>>,
        now: Duration,
        few: Duration,
    ) -> Vec<Arc<DesktopDeletion>> {
        unreported.retain(|request| {
            let status = request.status.as_ref();
            status.is_none_or(|status| status.conditions.is_empty())
        });
        let uid = |request: &DesktopDeletion| request.uid().unwrap_or_default();
        let new = now + deadlines::first_report(unreported.len(), few);
        let at = |request: &DesktopDeletion| self.0.get(&uid(request)).copied().unwrap_or(new);
        self.0 = unreported
            .iter()
            .map(|request| (uid(request), at(request)))
            .collect();
        unreported.retain(|request| self.0[&uid(request)] <= now);
        // The oldest first: the cache has no order.
        unreported.sort_by_cached_key(|request| {
            let created = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (created, request.namespace(), request.name_any())
        });
        unreported
    }
}

/// A reconciliation in progress then conflicts with the newer object and starts over.
async fn report(request: &DesktopDeletion, context: &Context) -> Result<(), Error> {
    let namespace = request.namespace().unwrap_or_default();
    let source = context.requests.cache.source(&namespace, &request.name_any());
    let Some((copy, Source::Cache)) = source.filter(|(copy, _)| copy.uid() == request.uid()) else {
        return Ok(());
    };
    let is_submitting = context
        .requests
        .submissions
        .is_in_progress(&copy.uid().unwrap_or_default());
    if is_submitting
        || !context.process.leadership.holds()
        || copy.metadata.resource_version != request.metadata.resource_version
    {
        return Ok(());
    }
    let mut reconciliation = Reconciliation::cached(&copy, context.process.uptime.now(), context);
    execute::report_queued(&mut reconciliation, context).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(uid: usize, conditions: bool) -> Arc<DesktopDeletion> {
        let condition = json!({
            "type": "Submitted", "status": "Unknown", "reason": "Submitting", "message": "",
            "lastTransitionTime": "2026-12-01T09:00:00Z",
        });
        let conditions = if conditions { vec![condition] } else { vec![] };
        let object = json!({
            "apiVersion": "cloud-desktops.dev/v1alpha1",
            "kind": "DesktopDeletion",
            "metadata": {"name": "leaver", "namespace": "vdi", "uid": uid.to_string()},
            "spec": {"projectRef": {"name": "prod"}, "desktopIDs": ["pc-1"]},
            "status": {"conditions": conditions},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    /// How many of them are due that many seconds after the start of the process.
    fn due(unreported: &mut Unreported, requests: Vec<Arc<DesktopDeletion>>, seconds: u64) -> usize {
        let (now, few) = (Duration::from_secs(seconds), Duration::from_secs(5));
        unreported.due(requests, now, few).len()
    }

    #[test]
    fn a_request_that_stays_without_conditions_is_due_after_some_seconds() {
        let mut unreported = Unreported::default();
        let both = || vec![request(1, false), request(2, true)];
        assert_eq!(due(&mut unreported, both(), 100), 0);
        assert_eq!(due(&mut unreported, both(), 104), 0);
        assert_eq!(due(&mut unreported, both(), 105), 1);
        assert_eq!(due(&mut unreported, vec![request(1, true)], 106), 0);
        assert!(unreported.0.is_empty(), "requests with conditions are forgotten");
    }

    #[test]
    fn with_many_requests_none_is_due_before_it_could_have_been_reconciled() {
        let mut unreported = Unreported::default();
        let many = || (0..200).map(|uid| request(uid, false)).collect::<Vec<_>>();
        assert_eq!(due(&mut unreported, many(), 100), 0);
        assert_eq!(due(&mut unreported, many(), 139), 0);
        let few = || many().into_iter().take(9).collect();
        assert_eq!(due(&mut unreported, few(), 139), 0, "they are reconciled soon");
        assert_eq!(due(&mut unreported, few(), 140), 9);
    }
}
