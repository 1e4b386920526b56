//! Waiting for a condition instead of for a time.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// A bound for what takes a second or two on an idle machine.
pub const GENEROUS: Duration = Duration::from_secs(60);

/// How often the condition is checked.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `look` returns `Ok`, and returns its value.
///
/// `look` returns as error what it saw instead; the last of these is part of the message when `bound` is over.
///
/// # Errors
///
/// [`Error::Never`] when the condition has not come true within `bound`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), testkit::Error> {
/// let mut tries = 0;
/// let third = testkit::eventually("there were three tries", testkit::GENEROUS, async || {
///     tries += 1;
///     if tries == 3 { Ok(tries) } else { Err(format!("{tries} tries")) }
/// });
/// assert_eq!(third.await?, 3);
/// # Ok(())
/// # }
/// ```
pub async fn eventually<T, S: Display>(
    what: &str,
    bound: Duration,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T, Error> {
    let end = Instant::now() + bound;
    let mut seen = "nothing yet".to_owned();
    loop {
        match tokio::time::timeout_at(end, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(view)) => seen = view.to_string(),
            // `look` itself hangs; what it saw before is still worth knowing.
            Err(_) => {}
        }
        if Instant::now() >= end {
            return Err(Error::Never {
                what: what.to_owned(),
                bound,
                seen,
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_reports_the_condition_and_the_last_observation() {
        let mut looks = 0;
        let never = eventually("the moon is full", Duration::from_millis(1), async || {
            looks += 1;
            Err::<(), _>(format!("phase {looks}"))
        });
        let message = never.await.unwrap_err().to_string();
        assert!(
            message.starts_with("not within 1ms: the moon is full; seen last: phase "),
            "{message}"
        );
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_cancelled() {
        let never = eventually("an answer", Duration::from_millis(1), async || {
            std::future::pending::<Result<(), String>>().await
        });
        assert_eq!(
            never.await.unwrap_err().to_string(),
            "not within 1ms: an answer; seen last: nothing yet"
        );
    }
}
