use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use tracing::Instrument;

use super::*;
use crate::crd::deletion::ProjectCoordinates;
use crate::ids::JobID;
use crate::runtime::traces::tests::Recorded;
use crate::workspace::api::{
    ApiResponse, BatchDelete, Desktop, DesktopDetails, DesktopPage, Job, Lookup, MAX_BATCH, SignedRequest,
    SubJob, SubJobPage, SubJobQuery, SubJobStatus,
};
use crate::workspace::error::{ErrorResponse, Failure, Operation};

/// A cloud with some desktops, that promises a billion sub-jobs and brings one row at a time.
#[derive(Debug, Default)]
struct Fake {
    /// The desktops of each list that was queried.
    lists: Mutex<Vec<BTreeSet<String>>>,
    present: &'static [&'static str],
    /// How long a list takes.
    takes: Duration,
    /// A list that names one of these desktops is refused.
    refused: &'static [&'static str],
    /// Lists lack rows.
    cut: bool,
    /// The pages of the desktop list, as of a service that ignores the filter, with what they count.
    unfiltered: Vec<(u64, Vec<String>)>,
    /// Offset of each page that was read on.
    offsets: Mutex<Vec<u32>>,
    pages: AtomicUsize,
    /// No row of the sub-job list can be read.
    unreadable: bool,
    /// Responses of the sub-job list do not name the list.
    unnamed: bool,
    /// The pages of the sub-job list by their offset, with what they count, in place of that.
    sub_jobs: Mutex<Vec<(u32, u64, Vec<SubJob>)>>,
}

fn answer<T>(value: T) -> ApiResponse<T> {
    ApiResponse {
        value,
        status: 200,
        service_time: None,
    }
}

#[async_trait]
impl Workspace for Fake {
    async fn list_sub_jobs(&self, query: &SubJobQuery) -> Result<ApiResponse<SubJobPage>, Error> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let planned = self.sub_jobs.lock();
        if let Some((_, total, rows)) = planned.iter().find(|(offset, ..)| *offset == query.offset) {
            return Ok(answer(SubJobPage {
                total: *total,
                rows: rows.len(),
                has_list: !self.unnamed,
                sub_jobs: rows.clone(),
            }));
        }
        Ok(answer(SubJobPage {
            total: 1_000_000_000,
            rows: 1,
            has_list: true,
            sub_jobs: if self.unreadable {
                vec![]
            } else {
                rows(&[&format!("pc-{}", query.offset)])
            },
        }))
    }

    async fn list_desktops(&self, ids: &[DesktopID]) -> Result<ApiResponse<DesktopPage>, Error> {
        let queried: BTreeSet<_> = ids.iter().map(ToString::to_string).collect();
        self.lists.lock().push(queried.clone());
        tokio::time::sleep(self.takes).await;
        if self.refused.iter().any(|id| queried.contains(*id)) {
            let response = ErrorResponse {
                status: 400,
                json: true,
                ..ErrorResponse::default()
            };
            return Err(Error {
                operation: Operation::ListDesktops,
                failure: Failure::ErrorResponse(Box::new(response)),
                service_time: None,
            });
        }
        if let Some((total, first)) = self.unfiltered.first() {
            return Ok(answer(page(*total, first)));
        }
        let here = self.present.iter().filter(|id| queried.contains(**id));
        let desktops: Vec<_> = here.map(|id| desktop(id)).collect();
        Ok(answer(DesktopPage {
            total: desktops.len() as u64 + u64::from(self.cut),
            rows: desktops.len(),
            desktops,
        }))
    }

    async fn list_desktops_from(
        &self,
        _: &[DesktopID],
        offset: u32,
    ) -> Result<ApiResponse<DesktopPage>, Error> {
        let mut offsets = self.offsets.lock();
        offsets.push(offset);
        let last = self.unfiltered.last().map_or(0, |(total, _)| *total);
        let next = self.unfiltered.get(offsets.len());
        Ok(answer(next.map_or_else(
            || page(last, &[]),
            |(total, rows)| page(*total, rows),
        )))
    }

    async fn list_desktop_details(&self, _: &[DesktopID]) -> Result<ApiResponse<Vec<DesktopDetails>>, Error> {
        unreachable!("not called")
    }

    async fn show_desktop(&self, _: &DesktopID) -> Result<ApiResponse<Lookup>, Error> {
        unreachable!("not called")
    }

    async fn show_job(&self, _: &JobID) -> Result<ApiResponse<Job>, Error> {
        unreachable!("not called")
    }

    fn sign_batch_delete(&self, _: &BatchDelete, _: Timestamp) -> Result<SignedRequest, Error> {
        unreachable!("not called")
    }

    async fn send(&self, _: SignedRequest) -> Result<ApiResponse<JobID>, Error> {
        unreachable!("not called")
    }
}

impl ClientsWithPermit for Arc<Fake> {
    async fn with_permit(&self) -> Arc<dyn Workspace> {
        self.clone()
    }
}

fn desktop(id: &str) -> Desktop {
    Desktop {
        id: ids(&[id]).remove(0),
        name: None,
        status: "ACTIVE".to_owned(),
        task_status: String::new(),
        facts: Box::default(),
    }
}

fn page(total: u64, names: &[String]) -> DesktopPage {
    DesktopPage {
        total,
        rows: names.len(),
        desktops: names.iter().map(|name| desktop(name)).collect(),
    }
}

fn ids(names: &[&str]) -> Vec<DesktopID> {
    let id = |name: &&str| DesktopID::try_from((*name).to_owned()).unwrap();
    names.iter().map(id).collect()
}

/// A query before a submission, with a result of any age.
fn query(names: &[&str], since: Instant) -> DesktopQuery {
    DesktopQuery {
        ids: ids(names),
        since,
        gone_only: false,
    }
}

fn shown(read: &DesktopRead, names: &[&str]) -> Vec<String> {
    let ids = ids(names);
    ids.iter()
        .filter_map(|id| Some(read.get(id)?.id.to_string()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_includes_the_desktops_that_are_needed_next() {
    let cloud = Arc::new(Fake {
        present: &["a", "b", "c"],
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let first = reads
        .read(cloud.clone(), query(&["a"], start), || ids(&["b", "gone"]))
        .await
        .unwrap();
    assert_eq!(shown(&first, &["A"]), ["a"]);
    let next = reads
        .read(cloud.clone(), query(&["b", "gone"], start), || ids(&[]))
        .await
        .unwrap();
    assert_eq!(
        (shown(&next, &["b", "gone"]), next.complete, next.began),
        (vec!["b".to_owned()], true, first.began)
    );
    assert_eq!(cloud.lists.lock().len(), 1, "it was known already");
    let other = reads
        .read(cloud.clone(), query(&["b", "c"], start), || ids(&[]))
        .await
        .unwrap();
    assert_eq!(shown(&other, &["b", "c"]), ["b", "c"], "c was not queried");
    assert_eq!(cloud.lists.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_query_for_desktops_that_are_being_read_shares_that_read() {
    let cloud = Arc::new(Fake {
        present: &["a", "b", "c"],
        takes: Duration::from_secs(2),
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let later = Duration::from_secs(1);
    let ask = async |after, name: &'static str, since| {
        tokio::time::sleep(after).await;
        let take_along = || ids(&["b", "c"]);
        reads
            .read(cloud.clone(), query(&[name], since), take_along)
            .await
            .unwrap()
    };
    let (first, joined, newer) = tokio::join!(
        ask(Duration::ZERO, "a", start),
        ask(later, "b", start),
        // A read that began before the query is too old for this one.
        ask(later, "c", start + later),
    );
    assert_eq!((joined.began, newer.began), (first.began, start + 2 * later));
    assert_eq!(cloud.lists.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_result_older_than_the_query_is_read_again() {
    let cloud = Arc::new(Fake {
        present: &["a"],
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let first = reads
        .read(cloud.clone(), query(&["a"], start), || ids(&[]))
        .await
        .unwrap();
    tokio::time::advance(Duration::from_millis(1)).await;
    let again = reads
        .read(cloud.clone(), query(&["a"], Instant::now()), || ids(&[]))
        .await
        .unwrap();
    assert!(again.began > first.began);
    assert_eq!(cloud.lists.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_submission_earlier_reads_only_show_which_desktops_are_gone() {
    let cloud = Arc::new(Fake {
        present: &["here"],
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let after = |name| DesktopQuery {
        gone_only: true,
        ..query(&[name], start)
    };
    let take_along = || ids(&["here", "gone"]);
    reads
        .read(cloud.clone(), after("here"), take_along)
        .await
        .unwrap();
    assert_eq!(
        shown(
            &reads
                .read(cloud.clone(), after("gone"), take_along)
                .await
                .unwrap(),
            &["gone"]
        ),
        [""; 0]
    );
    assert_eq!(cloud.lists.lock().len(), 1);
    assert_eq!(
        shown(
            &reads
                .read(cloud.clone(), after("here"), take_along)
                .await
                .unwrap(),
            &["here"]
        ),
        ["here"]
    );
    assert_eq!(cloud.lists.lock().len(), 2, "it may have changed");
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_list_is_not_shared() {
    let cloud = Arc::new(Fake {
        cut: true,
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    for _ in 0..2 {
        let read = reads
            .read(cloud.clone(), query(&["a"], start), || ids(&["a"]))
            .await
            .unwrap();
        assert!(!read.complete);
    }
    assert_eq!(cloud.lists.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn invalid_ids_of_one_query_do_not_affect_other_queries() {
    let cloud = Arc::new(Fake {
        present: &["a", "b"],
        refused: &["odd"],
        ..Fake::default()
    });
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let ask = |names: &'static [&str], upcoming: &'static [&str]| {
        reads.read(cloud.clone(), query(names, start), || ids(upcoming))
    };
    let (odd, good) = tokio::join!(ask(&["odd"], &[]), ask(&["a", "gone"], &[]));
    assert!(!odd.unwrap().confirms_missing(&ids(&["odd"])[0]));
    let good = good.unwrap();
    assert_eq!(shown(&good, &["a"]), ["a"]);
    assert!(good.confirms_missing(&ids(&["gone"])[0]));
    let good = ask(&["b"], &["odd"]).await;
    assert_eq!(shown(&good.unwrap(), &["b"]), ["b"]);
    let odd = ask(&["odd"], &[]).await.unwrap();
    assert!(
        !odd.confirms_missing(&ids(&["odd"])[0]),
        "nor is it known from an earlier read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shared_read_is_in_the_trace_of_one_query_and_linked_from_the_others() {
    let (recorded, _guard) = Recorded::start();
    let cloud = Arc::new(Fake::default());
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let ask = |id: &'static str| {
        let question = DesktopQuery {
            ids: ids(&[id]),
            ..query(&[], start)
        };
        let span = tracing::info_span!("reconcile", name = id);
        reads.read(cloud.clone(), question, Vec::new).instrument(span)
    };
    let (first, second) = tokio::join!(ask("a"), ask("b"));
    assert_eq!(first.unwrap().began, second.unwrap().began);
    // The reader checks once more whether a caller waits, and ends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut spans = recorded.take();
    spans.sort_by_key(|span| span.start_time);
    let [a, b, read] = &spans[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(
        (&*a.name, &*b.name, &*read.name),
        ("reconcile", "reconcile", "read_desktops")
    );
    assert_eq!(read.parent_span_id, a.span_context.span_id());
    assert_eq!(read.span_context.trace_id(), a.span_context.trace_id());
    assert!(a.links.is_empty());
    let links: Vec<_> = b.links.iter().map(|link| link.span_context.clone()).collect();
    assert_eq!(links, std::slice::from_ref(&read.span_context));
}

fn hundred() -> Vec<String> {
    (0..MAX_BATCH).map(|n| format!("pc-{n}")).collect()
}

fn own(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn the_desktop_for_which_a_list_is_refused_is_found_by_bisection() {
    for (refused, calls) in [(&["pc-7"][..], 15), (&["pc-7", "pc-70"][..], 27)] {
        let cloud = Fake {
            present: &["pc-1", "pc-7", "pc-99"],
            refused,
            ..Fake::default()
        };
        let names = hundred();
        let listing = listing::list(&cloud, &ids(&own(&names))).await.unwrap();
        let found: Vec<_> = listing.rejected_ids.iter().map(ToString::to_string).collect();
        assert_eq!(found, refused);
        assert!(listing.complete);
        assert_eq!(listing.desktops.len(), 2, "{:#?}", listing.desktops);
        assert_eq!(cloud.lists.lock().len(), calls);
    }
}

#[tokio::test]
async fn calls_to_a_service_that_refuses_every_list_are_limited() {
    let cloud = Fake {
        refused: &[
            "pc-0", "pc-10", "pc-20", "pc-30", "pc-40", "pc-50", "pc-60", "pc-70",
        ],
        ..Fake::default()
    };
    let names = hundred();
    let error = listing::list(&cloud, &ids(&own(&names))).await.unwrap_err();
    assert_eq!(error.error_response().unwrap().status, 400);
    assert_eq!(cloud.lists.lock().len(), 51);
}

#[tokio::test]
async fn a_list_that_ignores_the_filter_is_read_to_its_end() {
    let rows = |names: std::ops::Range<usize>| names.map(|n| format!("pc-{n}")).collect::<Vec<_>>();
    let queried = ["pc-0", "pc-250", "none"];
    for (what, pages, shown, complete, offsets) in [
        (
            "all pages",
            vec![(300, rows(0..3)), (300, rows(3..300))],
            2,
            true,
            vec![3, 300],
        ),
        (
            "a count that is capped",
            vec![(200, rows(0..3)), (200, rows(3..300))],
            2,
            false,
            vec![3, 300],
        ),
        (
            "a count that falls",
            vec![(301, rows(0..3)), (300, rows(3..300))],
            2,
            false,
            vec![3, 300],
        ),
        (
            "a row that comes twice",
            vec![(300, rows(0..3)), (300, rows(2..299))],
            2,
            false,
            vec![3, 300],
        ),
        (
            "an end that does not come within as many calls as there are desktops",
            vec![
                (300, rows(0..3)),
                (300, rows(3..4)),
                (300, rows(4..5)),
                (300, rows(5..6)),
            ],
            1,
            false,
            vec![3, 4, 5],
        ),
    ] {
        let cloud = Fake {
            unfiltered: pages,
            ..Fake::default()
        };
        let listing = listing::list(&cloud, &ids(&queried)).await.unwrap();
        assert_eq!(
            (listing.desktops.len(), listing.complete),
            (shown, complete),
            "{what}"
        );
        assert_eq!(*cloud.offsets.lock(), offsets, "{what}");
    }
}

#[tokio::test]
async fn a_list_that_ignores_the_filter_is_read_up_to_the_last_queried_desktop() {
    let cloud = Fake {
        unfiltered: vec![
            (9, vec!["a".to_owned(), "b".to_owned()]),
            (9, vec!["c".to_owned()]),
            (9, vec!["d".to_owned()]),
        ],
        ..Fake::default()
    };
    let listing = listing::list(&cloud, &ids(&["a", "c"])).await.unwrap();
    assert!(listing.complete);
    assert_eq!(listing.desktops.len(), 2);
    assert_eq!(*cloud.offsets.lock(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_hundred_desktops_at_most() {
    let cloud = Arc::new(Fake::default());
    let (reads, start) = (SharedDesktopReads::default(), Instant::now());
    let names: Vec<_> = (0..250).map(|n| format!("pc-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let all = names
        .chunks(50)
        .map(|own| reads.read(cloud.clone(), query(own, start), || ids(&names)));
    for read in futures::future::join_all(all).await {
        assert!(read.unwrap().complete);
    }
    let lists = cloud.lists.lock();
    assert!(lists.iter().all(|list| list.len() == MAX_BATCH), "{lists:#?}");
    assert_eq!(lists.len(), 3);
}

fn rows(names: &[&str]) -> Vec<SubJob> {
    let row = |name: &&str| SubJob {
        id: format!("sub-{name}"),
        job: JobID::try_from("j1").unwrap(),
        desktop: ids(&[name]).remove(0),
        status: SubJobStatus::Failed,
        code: None,
        reason: None,
    };
    names.iter().map(row).collect()
}

fn listing(pages: Vec<(u32, u64, Vec<SubJob>)>) -> Fake {
    Fake {
        sub_jobs: Mutex::new(pages),
        ..Fake::default()
    }
}

#[tokio::test]
async fn a_list_is_complete_once_a_further_page_is_empty_and_the_count_agrees() {
    let (abc, ab, c) = (rows(&["a", "b", "c"]), rows(&["a", "b"]), rows(&["c"]));
    for (what, pages, complete) in [
        ("nothing", vec![(0, 0, vec![])], true),
        ("one page", vec![(0, 3, abc.clone()), (3, 3, vec![])], true),
        (
            "two pages",
            vec![(0, 3, ab.clone()), (2, 3, c.clone()), (3, 3, vec![])],
            true,
        ),
        (
            "a count that is capped",
            vec![(0, 2, ab.clone()), (2, 2, c.clone()), (3, 2, vec![])],
            false,
        ),
        (
            "a list that is cut",
            vec![(0, 3, ab.clone()), (2, 3, vec![])],
            false,
        ),
        ("nothing, and a count", vec![(0, 3, vec![])], false),
        (
            "a row that comes twice",
            vec![(0, 4, ab.clone()), (2, 4, ab.clone()), (4, 4, vec![])],
            false,
        ),
        (
            "a count that falls",
            vec![(0, 4, abc.clone()), (3, 3, vec![])],
            false,
        ),
        (
            "a count that grows with the rows",
            vec![(0, 2, ab.clone()), (2, 3, c.clone()), (3, 3, vec![])],
            true,
        ),
    ] {
        let (list, _) = sub_job_list(&listing(pages)).await.unwrap();
        assert_eq!(list.complete, complete, "{what}");
    }
}

#[tokio::test]
async fn a_response_without_a_list_is_not_complete() {
    let two = rows(&["a", "b"]);
    for pages in [vec![(0, 0, vec![])], vec![(0, 2, two), (2, 2, vec![])]] {
        let named = listing(pages.clone());
        let unnamed = Fake {
            unnamed: true,
            ..listing(pages)
        };
        assert!(sub_job_list(&named).await.unwrap().0.complete);
        assert!(!sub_job_list(&unnamed).await.unwrap().0.complete);
    }
}

#[tokio::test]
async fn open_jobs_are_read_past_a_capped_count_but_no_further_than_needed() {
    for (pages, calls) in [
        (vec![(0, 2, rows(&["a", "b"]))], 1),
        (vec![(0, 3, rows(&["a", "b"])), (2, 3, rows(&["c"]))], 2),
        (vec![(0, 9, rows(&["a", "b"])), (2, 9, vec![])], 2),
    ] {
        let cloud = listing(pages);
        let extent = paging::Extent::Pages(10);
        paging::list(&cloud, SubJobQuery::default(), extent)
            .await
            .unwrap();
        assert_eq!(cloud.pages.into_inner(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lacks_a_row_of_an_earlier_one_is_not_complete_for_a_day() {
    let shared = DesktopBatcher::default();
    let key = |version: &str| {
        let project = ProjectCoordinates {
            region: "r".to_owned().try_into().unwrap(),
            project_id: "p".to_owned().try_into().unwrap(),
            endpoint: "https://h".to_owned(),
        };
        let project = project.key();
        let version = version.to_owned();
        (CredentialsKey { project, version }, Priority::Recovery)
    };
    let is_complete = async |cloud: &Fake, version: &str| {
        let now = Instant::now();
        let list = shared.sub_job_list(key(version), cloud, &ids(&["a"]), now).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        list.unwrap().value.complete
    };
    let both = listing(vec![(0, 2, rows(&["a", "b"])), (2, 2, vec![])]);
    let (one, none) = (
        listing(vec![(0, 1, rows(&["b"])), (1, 1, vec![])]),
        listing(vec![(0, 0, vec![])]),
    );
    assert!(is_complete(&none, "1").await);
    assert!(is_complete(&both, "1").await);
    assert!(!is_complete(&one, "1").await);
    assert!(!is_complete(&none, "2").await, "with any credentials");
    assert!(!is_complete(&none, "1").await, "as often as it is read");
    assert!(is_complete(&both, "1").await);
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert!(is_complete(&none, "1").await, "records are erased");
}

#[tokio::test]
async fn an_endless_list_is_not_complete() {
    let cloud = Fake::default();
    let (list, _) = sub_job_list(&cloud).await.unwrap();
    assert_eq!(cloud.pages.into_inner(), 100);
    assert!(!list.complete);
}

#[tokio::test]
async fn paging_stops_at_unreadable_rows_and_the_list_is_not_complete() {
    let cloud = Fake {
        unreadable: true,
        ..Fake::default()
    };
    let (list, _) = sub_job_list(&cloud).await.unwrap();
    assert_eq!(cloud.pages.into_inner(), 1);
    assert!(!list.complete);
}
