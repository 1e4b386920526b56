//! The approval: the plan as `kubectl desktops` shows it, and a yes to exactly that.

use desktop_deletion_operator::crd::conditions::{ConditionType, Reason};
use serde_json::Value;

use crate::BoxError;
use crate::board::Board;
use crate::cast::{Role, reason};
use crate::fixture::Fixture;

/// Does the request wait for its approval?
pub(crate) fn waits(board: &Board, role: &Role) -> bool {
    board.request(role.name).is_some_and(|request| {
        reason(request, ConditionType::Approved) == Reason::AwaitingApproval.as_str()
            && reason(request, ConditionType::Planned) == Reason::PlanReady.as_str()
    })
}

/// Shows the plan, and approves it; the hash of what was approved.
pub(crate) async fn approve(fixture: &Fixture, board: &mut Board, role: &Role) -> Result<String, BoxError> {
    let arguments = ["plan", role.name];
    let shown = board.meanwhile(fixture.kubectl_desktops(&arguments)).await?;
    board.show(&format!("kubectl desktops {}", arguments.join(" ")), &shown);
    let arguments = ["plan", role.name, "--output=json"];
    let plan = board.meanwhile(fixture.kubectl_desktops(&arguments)).await?;
    let plan: Value = serde_json::from_str(&plan)?;
    let hash = plan["plan"]["hash"].as_str().unwrap_or_default().to_owned();
    let missing = missing(&shown, role, &hash);
    if !missing.is_empty() {
        return Err(format!("the plan of {} does not show {missing:?}", role.name).into());
    }
    let posts = fixture.posts(role);
    if !posts.is_empty() {
        return Err(format!(
            "{} was submitted {} times before its approval",
            role.name,
            posts.len()
        )
        .into());
    }
    let arguments = ["approve", role.name, "--yes"];
    board.meanwhile(fixture.kubectl_desktops(&arguments)).await?;
    board.say(&format!("kubectl desktops {}", arguments.join(" ")));
    Ok(hash)
}

/// What the plan had to show and does not: its hash, and of each desktop a row with ID, computer name and user.
fn missing(shown: &str, role: &Role, hash: &str) -> Vec<String> {
    let row = |words: &[&str]| {
        let mut lines = shown.lines().map(|line| line.split_whitespace());
        lines.any(|line| line.collect::<Vec<_>>().starts_with(words))
    };
    let mut missing = Vec::new();
    if hash.is_empty() || !row(&["Plan:", hash]) {
        missing.push(format!("its hash {hash:?}"));
    }
    for desktop in role.desktops {
        if !row(&[desktop.id, desktop.name, desktop.user()]) {
            missing.push(format!("{} {} {}", desktop.id, desktop.name, desktop.user()));
        }
    }
    missing
}

/// Does the record say that exactly the approved plan was submitted?
pub(crate) fn only_that_was_submitted(board: &Board, role: &Role, hash: &str) -> Result<(), BoxError> {
    let status = board
        .request(role.name)
        .and_then(|request| request.status.as_ref());
    let submitted: Vec<_> = status
        .into_iter()
        .flat_map(|status| &status.attempts)
        .map(|attempt| attempt.plan_hash.as_deref())
        .collect();
    if submitted == [Some(hash)] {
        return Ok(());
    }
    Err(format!(
        "{} was approved as {hash}, but submitted as {submitted:?}",
        role.name
    )
    .into())
}
