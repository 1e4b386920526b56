//! What happens, in order.

use std::time::Duration;

use desktop_deletion_operator::crd::deletion::Outcome;
use serde_json::json;
use testkit::{Operator, eventually};

use crate::board::Board;
use crate::cast::{ROLES, Role, has_job, is_finished};
use crate::fixture::Fixture;
use crate::verdict::{self, Verdict};
use crate::{BoxError, approve};

/// Plays all of it; the error is error that kept it from being played to its end.
pub(crate) async fn play(fixture: &mut Fixture, board: &mut Board) -> Result<Verdict, BoxError> {
    let [first @ .., crashing, blocked, approved] = &ROLES;
    board.follow(fixture.requests());
    for role in first {
        board.say(&format!("applying {}: {}", role.name, role.story));
        fixture.apply(role).await?;
    }
    let on_its_way = |board: &Board| first.iter().all(|role| has_job_or_arrived(board, role));
    watched(
        fixture,
        board,
        "the first requests have a job or a result",
        on_its_way,
    )
    .await?;
    crash(fixture, board, crashing).await?;
    for role in [blocked, approved] {
        board.say(&format!("applying {}: {}", role.name, role.story));
        fixture.apply(role).await?;
    }
    let planned = |board: &Board| is_over(board, blocked) && approve::waits(board, approved);
    watched(
        fixture,
        board,
        "one request is blocked, one waits for an approval",
        planned,
    )
    .await?;
    let hash = approve::approve(fixture, board, approved).await?;
    let over = |board: &Board| ROLES.iter().all(|role| is_over(board, role));
    watched(fixture, board, "every request has finished", over).await?;
    approve::only_that_was_submitted(board, approved, &hash)?;
    verdict::pronounce(fixture, board)
}

/// Kills the operator between the effect of a call and its record, and starts it again.
///
/// The cloud carries the call out and answers never, so that the moment cannot be missed.
async fn crash(fixture: &mut Fixture, board: &mut Board, role: &Role) -> Result<(), BoxError> {
    let [desktop, ..] = role.desktops else {
        return Err(format!("{} lists no desktop", role.name).into());
    };
    fixture.cloud.add_fault(&json!({
        "operation": "batchDelete", "desktop": desktop.id, "effectFirst": true, "answer": "timeout",
    }))?;
    board.say(&format!("applying {}: {}", role.name, role.story));
    fixture.apply(role).await?;
    let accepted = eventually(
        "the cloud accepted the call",
        Duration::from_secs(60),
        async || {
            let posts = fixture.posts(role);
            if posts.iter().any(|post| post.took_effect) {
                Ok(())
            } else {
                Err(format!("{} calls", posts.len()))
            }
        },
    );
    board.meanwhile(accepted).await?;
    let pid = fixture.operator.pid();
    fixture.operator.kill().await?;
    board.say(&format!(
        "the cloud accepted the call for {}; killed the operator, process {pid}",
        role.name
    ));
    only_the_intent_is_stored(fixture, board, role).await?;
    fixture.cloud.clear_faults();
    fixture.start_again()?;
    board.say(&format!(
        "started the operator again, process {}",
        fixture.operator.pid()
    ));
    Ok(())
}

/// Nothing but the intent may be known to the next process; else the crash came too late to show anything.
async fn only_the_intent_is_stored(
    fixture: &Fixture,
    board: &mut Board,
    role: &Role,
) -> Result<(), BoxError> {
    let request = fixture.requests().get(role.name).await?;
    let status = request.status.unwrap_or_default();
    let [attempt] = &status.attempts[..] else {
        return Err(format!(
            "{} has {} attempts after the crash, not 1",
            role.name,
            status.attempts.len()
        )
        .into());
    };
    if attempt.outcome != Outcome::Pending || status.job_id.is_some() {
        return Err(format!("{} knows of its job in spite of the crash", role.name).into());
    }
    board.say(&format!(
        "{} has stored its intent, attempt {}, and has no job",
        role.name, attempt.id
    ));
    Ok(())
}

/// Watches the board, and stops when the operator ends by itself.
async fn watched(
    fixture: &Fixture,
    board: &mut Board,
    what: &str,
    wanted: impl Fn(&Board) -> bool,
) -> Result<(), BoxError> {
    tokio::select! {
        done = board.until(what, wanted) => done,
        status = ended(&fixture.operator) => Err(status),
    }
}

async fn ended(operator: &Operator) -> BoxError {
    match operator.wait().await {
        Ok(status) => format!("the operator ended by itself with exit status {status}").into(),
        Err(error) => error.into(),
    }
}

fn has_job_or_arrived(board: &Board, role: &Role) -> bool {
    board
        .request(role.name)
        .is_some_and(|request| has_job(request) || is_finished(request) || role.has_arrived(request))
}

/// Arrived, or finished otherwise: there is nothing to wait for.
fn is_over(board: &Board, role: &Role) -> bool {
    board
        .request(role.name)
        .is_some_and(|request| is_finished(request) || role.has_arrived(request))
}
