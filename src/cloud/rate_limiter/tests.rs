use std::cell::RefCell;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};

use super::Priority::{Poll, Recovery, Resumption, Submission};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The order in which permits came, and when.
type Served = Rc<RefCell<Vec<(String, Instant)>>>;

/// Waits in line and notes when its permit came; it is over at once.
fn waiter<'a>(
    permits: &'a RateLimiter,
    priority: Priority,
    namespace: &'a str,
    served: &Served,
) -> LocalBoxFuture<'a, ()> {
    let served = served.clone();
    async move {
        let permit = permits.acquire(priority, namespace).await;
        served
            .borrow_mut()
            .push((format!("{}/{namespace}", priority.as_str()), Instant::now()));
        drop(permit);
    }
    .boxed_local()
}

fn names(served: &Served) -> Vec<String> {
    served.borrow().iter().map(|(name, _)| name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_minute_has_more_permits_than_the_rate_allows_and_none_is_wasted() {
    for most in [1, 2, 3, 60, 100] {
        let permits = RateLimiter::new(usize::MAX, Some(Rate::per_minute(most)));
        let served = Served::default();
        let began = Instant::now();
        let wanted = most as usize * 5;
        join_all((0..wanted).map(|_| waiter(&permits, Submission, "a", &served))).await;
        let times: Vec<_> = served.borrow().iter().map(|(_, at)| *at).collect();
        for (first, start) in times.iter().enumerate() {
            let within = times[first..].iter().filter(|at| **at - *start < MINUTE).count();
            assert!(within <= most as usize, "{within} of {most}");
        }
        assert!(began.elapsed() <= MINUTE * 9, "{most}: {:?}", began.elapsed());
    }
}

/// The order in which those are served who all wait while the only permit is taken.
async fn order_of(waiting: &[(Priority, usize)]) -> Vec<Priority> {
    let permits = RateLimiter::new(1, Some(Rate::per_minute(60)));
    let taken = permits.acquire(Recovery, "a").await;
    let served = Rc::new(RefCell::new(Vec::new()));
    let all = waiting
        .iter()
        .flat_map(|(priority, count)| vec![*priority; *count]);
    let waiting = join_all(all.map(|priority| {
        let (permits, served) = (&permits, served.clone());
        async move {
            let _turn = permits.acquire(priority, "a").await;
            served.borrow_mut().push(priority);
        }
    }));
    let finish = async { drop(taken) };
    futures::join!(waiting, finish);
    served.take()
}

#[tokio::test(start_paused = true)]
async fn recovery_goes_before_polls_and_polls_before_submissions() {
    for (first, last) in [(Recovery, Poll), (Recovery, Submission), (Poll, Submission)] {
        let order = order_of(&[(last, 12), (first, 12)]).await;
        let of_first = order[..16].iter().filter(|priority| **priority == first).count();
        assert_eq!(of_first, 12, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_fourth_permit_goes_to_a_poll_and_every_fourth_to_a_submission() {
    let order = order_of(&[(Recovery, 1000), (Poll, 20), (Submission, 20)]).await;
    for four in order[..80].windows(4) {
        for priority in [Poll, Submission] {
            assert_eq!(
                four.iter().filter(|other| **other == priority).count(),
                1,
                "{four:?}"
            );
        }
    }
    assert!(
        order[80..].iter().all(|priority| *priority == Recovery),
        "no permit is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reserved_permit_goes_to_the_namespaces_in_rotation() {
    let permits = RateLimiter::new(1, None);
    let taken = permits.acquire(Recovery, "crowd").await;
    let served = Served::default();
    let crowd = (0..100)
        .flat_map(|_| [Recovery, Submission].map(|priority| waiter(&permits, priority, "crowd", &served)));
    let single = std::iter::once(waiter(&permits, Submission, "single", &served));
    let waiting = join_all(crowd.chain(single));
    let finish = async { drop(taken) };
    futures::join!(waiting, finish);
    let submissions = names(&served)
        .into_iter()
        .filter(|name| name.starts_with("submission"));
    let place = submissions
        .into_iter()
        .position(|name| name == "submission/single");
    assert_eq!(place, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_a_thousand_waiters_delays_another_namespace_by_one_permit() {
    for rate in [None, Some(Rate::per_minute(10))] {
        let permits = RateLimiter::new(2, rate);
        let taken = [
            permits.acquire(Submission, "crowd").await,
            permits.acquire(Submission, "crowd").await,
        ];
        let served = Served::default();
        let crowd = (0..1000).map(|_| waiter(&permits, Submission, "crowd", &served));
        let single = std::iter::once(waiter(&permits, Submission, "single", &served));
        let waiting = join_all(crowd.chain(single));
        let finish = async { drop(taken) };
        futures::join!(waiting, finish);
        let place = names(&served).iter().position(|name| name == "submission/single");
        assert_eq!(place, Some(1));
        assert_eq!(served.borrow().len(), 1001);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumption_waits_for_the_concurrency_limit_only_and_not_for_the_rate() {
    let permits = RateLimiter::new(1, Some(Rate::per_minute(1)));
    let first = permits.acquire(Submission, "a").await;
    assert_eq!(permits.acquire(Resumption, "a").now_or_never().map(drop), None);
    drop(first);
    assert_eq!(
        permits.acquire(Poll, "a").now_or_never().map(drop),
        None,
        "the rate"
    );
    assert_eq!(permits.acquire(Resumption, "a").await.waited, None);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_takes_no_permit() {
    let permits = RateLimiter::new(1, None);
    let taken = permits.acquire(Submission, "a").await;
    let mut gone: Vec<_> = (0..3).map(|_| Box::pin(permits.acquire(Poll, "a"))).collect();
    for waiting in &mut gone {
        assert!(waiting.now_or_never().is_none());
    }
    // The permit of the first waiter is being delivered when that waiter is dropped.
    drop(taken);
    drop(gone);
    assert_eq!(permits.acquire(Submission, "a").await.waited, None);
    assert!(permits.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_applies_once_earlier_permits_are_released() {
    let permits = RateLimiter::new(2, None);
    let (first, second) = (permits.acquire(Poll, "a").await, permits.acquire(Poll, "a").await);
    permits.set_max_concurrent(1);
    drop(first);
    assert_eq!(permits.acquire(Poll, "a").now_or_never().map(drop), None);
    drop(second);
    let only = permits.acquire(Poll, "a").await;
    assert_eq!(permits.acquire(Poll, "a").now_or_never().map(drop), None);
    permits.set_max_concurrent(2);
    drop((permits.acquire(Poll, "a").await, only));
}
