//! Sessions in paused time, with an IAM that responds as the test specifies.

use std::collections::VecDeque;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::{advance, sleep};

use super::*;
use crate::workspace::auth::SecretData;
use crate::workspace::error::{BreakerKind, ErrorResponse, Failure, Operation};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What happens to a call instead of the usual response.
type IamFailure = Failure;

#[derive(Debug, Default)]
struct Fake(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: Vec<Operation>,
    tokens: VecDeque<IamFailure>,
    exchanges: VecDeque<IamFailure>,
}

impl Fake {
    fn calls(&self) -> Vec<Operation> {
        std::mem::take(&mut self.0.lock().calls)
    }

    fn refuse_tokens(&self, troubles: &[IamFailure]) {
        self.0.lock().tokens.extend(troubles.iter().cloned());
    }

    fn refuse_exchanges(&self, troubles: &[IamFailure]) {
        self.0.lock().exchanges.extend(troubles.iter().cloned());
    }

    /// Answers after a while, as networks do.
    async fn call<T>(
        &self,
        operation: Operation,
        queue: impl FnOnce(&mut State) -> Option<IamFailure>,
        good: T,
    ) -> Result<T, Error> {
        self.0.lock().calls.push(operation);
        sleep(Duration::from_millis(100)).await;
        queue(&mut self.0.lock()).map_or(Ok(good), |failure| {
            Err(Error {
                operation,
                failure,
                service_time: None,
            })
        })
    }
}

#[async_trait]
impl Iam for Fake {
    async fn create_token(
        &self,
        _: &PasswordCredentials,
        _: &ProjectID,
    ) -> Result<Issued<SecretString>, Error> {
        let operation = Operation::CreateToken;
        self.call(
            operation,
            |state| state.tokens.pop_front(),
            issued("canary".into(), DAY),
        )
        .await
    }

    async fn create_temporary_key(&self, _: &SecretString) -> Result<Issued<Credentials>, Error> {
        let key = Credentials::temporary("HST1".to_owned(), "canary".into(), "canary".into());
        let operation = Operation::CreateTemporaryAccessKey;
        self.call(operation, |state| state.exchanges.pop_front(), issued(key, HOUR))
            .await
    }

    async fn token_expiry(&self, _: &SecretString) -> Result<Timestamp, Error> {
        unreachable!("a session is never asked about a token from elsewhere")
    }
}

fn issued<T>(value: T, left: Duration) -> Issued<T> {
    Issued {
        value,
        expires_at: Timestamp::UNIX_EPOCH + left,
        lifetime: left,
    }
}

fn refused(status: u16) -> IamFailure {
    Failure::ErrorResponse(Box::new(ErrorResponse {
        status,
        ..ErrorResponse::default()
    }))
}

fn lost() -> IamFailure {
    Failure::NoResponse {
        reason: "reset".to_owned(),
    }
}

struct World {
    iam: Arc<Fake>,
    turn: Arc<tokio::sync::Mutex<LoginThrottle>>,
}

impl World {
    fn new() -> Self {
        Self {
            iam: Arc::default(),
            turn: Arc::default(),
        }
    }

    fn session(&self, project: &str) -> UserSession {
        let entries = ["domainName", "userName", "password"];
        let data: SecretData = entries.map(|key| (key.to_owned(), b"canary".to_vec())).into();
        UserSession::new(
            Arc::clone(&self.iam) as Arc<dyn Iam>,
            PasswordCredentials::read(&data).unwrap(),
            ProjectID::try_from(project).unwrap(),
            Arc::clone(&self.turn),
        )
    }
}

fn is_token(grant: &IssuedCredentials) -> bool {
    matches!(*grant.credentials, Credentials::Token(_))
}

const LOGIN: [Operation; 2] = [Operation::CreateToken, Operation::CreateTemporaryAccessKey];
const EXCHANGE: [Operation; 1] = [Operation::CreateTemporaryAccessKey];
const NOTHING: [Operation; 0] = [];

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_login() {
    let world = World::new();
    let session = world.session("p1");
    assert!(session.cached().is_none());
    let grants = join_all((0..50).map(|_| session.current())).await;
    let first = grants[0].as_ref().unwrap();
    for grant in &grants {
        assert!(Arc::ptr_eq(
            &grant.as_ref().unwrap().credentials,
            &first.credentials
        ));
    }
    assert_eq!(world.iam.calls(), LOGIN);
    assert!(!is_token(first));
    assert_eq!(first.expires_at, Some(Timestamp::UNIX_EPOCH + HOUR));
    assert!(session.cached().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_renewed_before_it_ends_and_the_password_is_used_once_a_day() {
    let world = World::new();
    let session = world.session("p1");
    session.current().await.unwrap();
    world.iam.calls();
    let began = Instant::now();
    while began.elapsed() < DAY * 3 {
        session.current().await.unwrap();
        let cached = session.cache.lock().credentials.clone().unwrap();
        assert!(
            cached.last_use - Instant::now() > 15 * MINUTE,
            "a signature never outlives its key"
        );
        advance(5 * MINUTE).await;
    }
    let calls = world.iam.calls();
    let count = |operation| calls.iter().filter(|call| **call == operation).count();
    assert_eq!(count(Operation::CreateToken), 2);
    let exchanges = count(Operation::CreateTemporaryAccessKey);
    assert!((100..=110).contains(&exchanges), "every 40 minutes: {exchanges}");
}

#[tokio::test(start_paused = true)]
async fn a_valid_key_is_used_while_it_cannot_be_renewed() {
    let world = World::new();
    let session = world.session("p1");
    let first = session.current().await.unwrap();
    advance(45 * MINUTE).await;
    world.iam.refuse_exchanges(&[lost(), lost()]);
    world.iam.calls();
    for _ in 0..3 {
        let same = session.current().await.unwrap();
        assert!(Arc::ptr_eq(&same.credentials, &first.credentials));
    }
    assert_eq!(world.iam.calls(), EXCHANGE, "IAM is not asked at every call");
    advance(2 * MINUTE).await;
    session.current().await.unwrap();
    assert_eq!(world.iam.calls(), EXCHANGE);
    advance(12 * MINUTE).await;
    assert!(session.cached().is_none(), "too close to its end to sign with it");
    let second = session.current().await.unwrap();
    assert!(!Arc::ptr_eq(&second.credentials, &first.credentials));
}

#[tokio::test(start_paused = true)]
async fn other_callers_do_not_wait_for_a_renewal_in_progress() {
    let world = World::new();
    let session = world.session("p1");
    let first = session.current().await.unwrap();
    advance(45 * MINUTE).await;
    let (renewed, same) = futures::join!(session.current(), session.current());
    assert!(!Arc::ptr_eq(&renewed.unwrap().credentials, &first.credentials));
    assert!(Arc::ptr_eq(&same.unwrap().credentials, &first.credentials));
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_not_handed_out_again() {
    let world = World::new();
    let session = world.session("p1");
    let first = session.current().await.unwrap();
    world.iam.calls();
    assert!(session.invalidate(&first.credentials));
    assert!(session.cached().is_none());
    let second = session.current().await.unwrap();
    assert_eq!(world.iam.calls(), LOGIN, "the token may have ended too");
    // A caller that was refused with the first one finds the second one in place.
    assert!(session.invalidate(&first.credentials));
    assert!(Arc::ptr_eq(
        &session.current().await.unwrap().credentials,
        &second.credentials
    ));
    assert_eq!(world.iam.calls(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn without_an_exchange_the_token_is_sent_until_it_expires() {
    for status in [403, 404] {
        let world = World::new();
        let session = world.session("p1");
        world.iam.refuse_exchanges(&[refused(status), refused(status)]);
        let grant = session.current().await.unwrap();
        assert!(is_token(&grant));
        assert_eq!(grant.expires_at, Some(Timestamp::UNIX_EPOCH + DAY));
        assert_eq!(world.iam.calls(), LOGIN);
        advance(23 * HOUR).await;
        session.current().await.unwrap();
        assert_eq!(world.iam.calls(), NOTHING);
        advance(45 * MINUTE).await;
        assert!(is_token(&session.current().await.unwrap()));
        assert_eq!(world.iam.calls(), LOGIN);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_revoked_early_is_replaced() {
    let world = World::new();
    let session = world.session("p1");
    session.current().await.unwrap();
    advance(59 * MINUTE).await;
    world.iam.calls();
    world.iam.refuse_exchanges(&[refused(401)]);
    session.current().await.unwrap();
    assert_eq!(world.iam.calls(), [&EXCHANGE[..], &LOGIN].concat());
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_fails_needs_no_second_login() {
    let world = World::new();
    let session = world.session("p1");
    world.iam.refuse_exchanges(&[refused(503)]);
    let error = session.current().await.unwrap_err();
    assert_eq!(error.operation, Operation::CreateTemporaryAccessKey);
    session.current().await.unwrap();
    assert_eq!(world.iam.calls(), [&LOGIN[..], &EXCHANGE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_only_twice() {
    let world = World::new();
    let sessions = [world.session("p1"), world.session("p2")];
    world
        .iam
        .refuse_tokens(&[refused(401), refused(401), refused(401)]);
    let everybody = || join_all((0..40).map(|n| sessions[n % 2].current()));
    let mut rejections = 0;
    for result in everybody().await {
        match result.unwrap_err().failure {
            Failure::ErrorResponse(_) => rejections += 1,
            Failure::CircuitOpen { breaker, reason } => {
                assert_eq!(breaker, BreakerKind::Credentials);
                assert!(
                    reason.contains("The last response: the service returned HTTP 401"),
                    "{reason}"
                );
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        (rejections, world.iam.calls().len()),
        (2, 2),
        "one for each project"
    );
    advance(14 * MINUTE).await;
    everybody().await;
    assert_eq!(world.iam.calls(), NOTHING);
    advance(2 * MINUTE).await;
    everybody().await;
    assert_eq!(world.iam.calls(), [Operation::CreateToken]);
    advance(16 * MINUTE).await;
    for result in everybody().await {
        result.unwrap();
    }
    assert_eq!(world.iam.calls(), [LOGIN, LOGIN].concat());
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_iam_is_called_once_for_all_waiting_callers() {
    let world = World::new();
    let sessions = [world.session("p1"), world.session("p2")];
    world.iam.refuse_tokens(&[lost()]);
    for result in join_all(sessions.iter().map(CredentialsProvider::current)).await {
        assert_eq!(result.unwrap_err().failure, lost());
    }
    assert_eq!(world.iam.calls(), [Operation::CreateToken]);
    sessions[0].current().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn even_a_short_life_can_be_used() {
    for (left, renewed_after, unusable_after) in [(9_u64, 6, 9), (900, 600, 810), (3600, 2400, 3480)] {
        let timed = Expiring::new((), Duration::from_secs(left));
        let now = Instant::now();
        assert_eq!(timed.renew_at - now, Duration::from_secs(renewed_after), "{left}");
        let last_use = (timed.last_use - now).as_secs_f64().ceil();
        assert!(
            (last_use - f64::from(unusable_after)).abs() < 1e-9,
            "{left}: {last_use}"
        );
    }
    let timed = Expiring::new((), Duration::MAX);
    assert!(timed.is_usable() && !timed.is_due());
    assert!(!Expiring::new((), Duration::ZERO).is_usable());
}

#[tokio::test(start_paused = true)]
async fn nothing_shows_a_secret() {
    let world = World::new();
    let session = world.session("p1");
    let grant = session.current().await.unwrap();
    let shown = format!(
        "{session:?} {grant:?} {:?}",
        session.cache.lock().token.as_ref().map(|t| &t.value)
    );
    // Name and account of the user are called so too here.
    let shown = shown.replace("domain: \"canary\", user: \"canary\"", "");
    assert!(!shown.contains("canary"), "{shown}");
}
