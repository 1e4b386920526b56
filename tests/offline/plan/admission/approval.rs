//! Situations in which a request needs an approval, or has one. Only approved and unchanged desktops are deleted.

use desktop_deletion_operator::crd::conditions::Reason;
use desktop_deletion_operator::crd::deletion::ErrorClass;
use desktop_deletion_operator::crd::project::{Approval, Guardrails};
use desktop_deletion_operator::ids::ProjectID;
use desktop_deletion_operator::plan::observed::{Claim, NotBefore, SendPermit, Submission};
use desktop_deletion_operator::plan::plan;
use desktop_deletion_operator::plan::progress::Progress;
use desktop_deletion_operator::plan::step::Step;
use desktop_deletion_operator::plan::views::DesktopView;
use desktop_deletion_operator::workspace::api::{
    AttachedKind, AttachedUser, DesktopFacts, DesktopKind, Fact,
};

use super::super::build::{Seen, attempt, minute, ready, untouched};
use super::super::rules;
use super::super::tell::{Row, check, describe, row};
use super::preview::shown;

#[test]
fn only_approved_and_unchanged_desktops_are_deleted() {
    check(&rows());
}

fn required() -> Guardrails {
    Guardrails {
        approval: Approval::Required,
        ..Guardrails::default()
    }
}

/// Desktops of `anna` and `ben`, in a project that requires an approval, in a reconciliation that has read everything.
fn guarded() -> Seen {
    ready("a b")
        .facts("a", "pc-1", "anna")
        .facts("b", "pc-2", "ben")
        .guarded(required())
}

/// The desktops were not claimed.
fn unclaimed(seen: Seen) -> Seen {
    seen.with(|o| o.claim = None)
}

/// The plan that is shown was approved, which has not been observed yet.
fn approved() -> Seen {
    approve(shown(guarded()))
}

fn approve(seen: Seen) -> Seen {
    let hash = seen.0.request.status.plan.clone().unwrap().hash;
    seen.approving(&hash)
}

/// The approval is recorded.
fn recorded() -> Seen {
    record(shown(guarded()))
}

fn record(shown: Seen) -> Seen {
    let mut seen = approve(shown);
    let step = plan(&seen.0);
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(6)).unwrap();
    assert!(seen.0.request.status.approved.is_some(), "{}", describe(&step));
    seen
}

/// Desktop `b`, with all whom it is assigned to.
fn assigned(users: &[&str]) -> DesktopFacts {
    let user = |name: &&str| AttachedUser {
        name: (*name).to_owned(),
        kind: AttachedKind::User,
    };
    DesktopFacts {
        computer_name: Fact::Given("pc-2".to_owned()),
        user_name: Fact::Given("ben".to_owned()),
        attached: Fact::Given(users.iter().map(user).collect()),
        ..DesktopFacts::default()
    }
}

/// Desktop `b`, of that kind.
fn pooled(kind: DesktopKind) -> DesktopFacts {
    DesktopFacts {
        kind: Fact::Given(kind),
        ..assigned(&["ben"])
    }
}

/// The approval is recorded, and names all whom desktop `b` is assigned to.
fn attached(users: &[&str]) -> Seen {
    record(shown(guarded().with_facts("b", assigned(users))))
}

/// A desktop had another user when it was last read.
fn void() -> Seen {
    noticed(recorded().facts("b", "pc-2", "eve"))
}

const AWAITED: &str = "AwaitingApproval held until Plan; a Pending, b Pending [PlanReady, AwaitingApproval]";
const OTHER: &str = "PlanChanged held until Plan; a Pending, b Pending [PlanReady, PlanChanged]";
const VOID: &str = "PlanChanged held until Plan; a Pending, b Pending [PlanReady, PlanChanged, recorded]";
const UNCLEAR_UNRECORDED: &str = "CheckingDesktops retrying until PollInterval []";
const UNCLEAR: &str = "CheckingDesktops retrying until PollInterval [PlanApproved]";
const RECORD: &str = "approve: CheckingDesktops moving until PollInterval; a Pending, b Pending [PlanReady, PlanApproved, recorded]";

/// Every situation of the table, for the conditions.
pub(super) fn rows() -> Vec<Row> {
    [
        missing(),
        given(),
        less_than_shown(),
        changed(),
        full_lists_of_users(),
        of_something_else(),
        withdrawn(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn missing() -> Vec<Row> {
    let early = || untouched("a b").project().guarded(required());
    vec![
        row(
            "the desktops are read for the plan, and not claimed",
            early(),
            "list a b",
        ),
        row(
            "one that the list lacks is asked for",
            early().desktop_views("a Idle b Missing"),
            "get b",
        ),
        row("an approval is required", unclaimed(guarded()), AWAITED),
        row("so it is if it was not at the first look", guarded(), AWAITED),
        row(
            "so it is while another request has the desktops",
            guarded().with(|o| o.claim = Some(Claim::WatchesNotSynced)),
            AWAITED,
        ),
        row(
            "they are not read: nothing is known",
            early().read_failure(ErrorClass::Unreachable),
            "ServiceUnavailable retrying until Backoff, error Unreachable [Planning]",
        ),
        row(
            "there is nothing to approve",
            early().all(DesktopView::Gone),
            "finish AlreadyAbsent (submitted: NothingToDelete); a Absent, b Absent",
        ),
        row(
            "more desktops than need none",
            unclaimed(guarded()).guarded(Guardrails {
                approval_above: Some(1),
                ..required()
            }),
            AWAITED,
        ),
        row(
            "as many desktops as need none",
            guarded().guarded(Guardrails {
                approval_above: Some(2),
                ..required()
            }),
            "sign a b",
        ),
        row(
            "what its author expects comes first",
            guarded().expecting("a", None, Some("ben")),
            "ExpectationFailed stalled until Change; a Blocked/ExpectationFailed, b Pending \
             [ExpectationFailed, AwaitingApproval]",
        ),
        row(
            "suspension comes first, and says that the approval is missing",
            guarded().suspended(),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, AwaitingApproval]",
        ),
        row(
            "so does its time",
            guarded().scheduled(NotBefore::Ahead),
            "Scheduled held until Start; a Pending, b Pending [PlanReady, AwaitingApproval]",
        ),
    ]
}

fn given() -> Vec<Row> {
    vec![
        row(
            "the plan on show is approved: that is recorded first",
            approved(),
            RECORD,
        ),
        row(
            "so it is while the request is suspended",
            approved().suspended(),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, PlanApproved, recorded]",
        ),
        row(
            "a plan is approved that was never on show, though it is the right one",
            guarded().approving(&hash()),
            OTHER,
        ),
        row(
            "another plan is approved",
            shown(guarded()).approving(OLDER),
            OTHER,
        ),
        row(
            "the plan was replaced before its approval was noticed",
            approved().facts("b", "pc-2", "eve"),
            OTHER,
        ),
        row(
            "a read says less than the plan on show before its approval was noticed: it is read again, and stays on show",
            approved().with_facts("b", DesktopFacts::default()),
            UNCLEAR_UNRECORDED,
        ),
        row(
            "the read after that says everything: the approval is recorded",
            approved()
                .with_facts("b", DesktopFacts::default())
                .facts("b", "pc-2", "ben"),
            RECORD,
        ),
        row(
            "a read names one user and does not list all, before the approval was noticed",
            approve(shown(guarded().with_facts("b", assigned(&["ben"])))).facts("b", "pc-2", "ben"),
            UNCLEAR_UNRECORDED,
        ),
        row(
            "the plan on show lacks that as well, so that something else has changed",
            approve(shown(guarded().with_facts("b", DesktopFacts::default()))).facts("a", "pc-9", "anna"),
            OTHER,
        ),
        row(
            "another plan is approved where none is required",
            ready("a b").approving(OLDER),
            OTHER,
        ),
        row(
            "it was refused before its plan was on show, which another edit does not change",
            refused_too_early()
                .suspended()
                .with(|o| o.request.generation += 1),
            "Suspended held until Plan; a Pending, b Pending [PlanReady, PlanChanged]",
        ),
        row(
            "nor does the end of that edit",
            refused_too_early().with(|o| o.request.generation += 2),
            OTHER,
        ),
        row(
            "it is withdrawn, which is observed, and set again: that is another approval",
            approve(noticed(
                refused_too_early().with(|o| o.request.approved_plan = None),
            )),
            RECORD,
        ),
        row(
            "it is recorded: the desktops are claimed",
            unclaimed(recorded()),
            "claim",
        ),
        row("it is recorded: they are submitted", recorded(), "sign a b"),
        row(
            "one of them is read by itself, which is not announced",
            recorded().desktop_views("b Missing").progress_due(),
            "get b",
        ),
        row(
            "so they are where it is not required any more",
            recorded().with(|o| {
                if let Some(project) = &mut o.project {
                    project.guardrails = None;
                }
            }),
            "sign a b",
        ),
        row(
            "the last check comes after that",
            recorded().project_not_rechecked(),
            "read the project",
        ),
    ]
}

/// The right plan was named before it was on show, which was refused; now it is on show.
fn refused_too_early() -> Seen {
    let seen = noticed(guarded().approving(&hash()));
    let status = &seen.0.request.status;
    assert_eq!(status.refused_plan.as_ref(), Some(&hash()));
    assert_eq!(status.plan.as_ref().map(|plan| &plan.hash), Some(&hash()));
    seen
}

/// What the next step says is stored.
fn noticed(mut seen: Seen) -> Seen {
    let step = plan(&seen.0);
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(7)).unwrap();
    seen
}

/// A read says less than the plan on show, and nothing is approved.
fn less_than_shown() -> Vec<Row> {
    let less = |seen: Seen| seen.with_facts("b", DesktopFacts::default());
    let for_long = |seen: Seen| seen.with(|o| o.facts.facts_missing_for_long = true);
    let renamed = |user_name| DesktopFacts {
        computer_name: Fact::Given("pc-9".to_owned()),
        user_name,
        ..DesktopFacts::default()
    };
    let void_by_name = || noticed(recorded().with_facts("b", renamed(Fact::Given("ben".to_owned()))));
    vec![
        row(
            "a read says less than the plan on show: that stays, and is read again",
            less(shown(guarded())),
            "AwaitingApproval held until PollInterval [PlanReady, AwaitingApproval]",
        ),
        row(
            "so it does while the request is suspended",
            less(shown(guarded().suspended())),
            "Suspended held until PollInterval [PlanReady, AwaitingApproval]",
        ),
        row(
            "and while the approval of another plan is refused",
            less(shown(guarded()).approving(OLDER)),
            "PlanChanged held until PollInterval [PlanReady, PlanChanged]",
        ),
        row(
            "and while the approval is invalid",
            void_by_name().with_facts("b", renamed(Fact::NotGiven)),
            "PlanChanged held until PollInterval [PlanReady, PlanChanged]",
        ),
        row(
            "an invalid approval is shown at once",
            recorded().with_facts("b", renamed(Fact::NotGiven)),
            VOID,
        ),
        row(
            "reads have said less for long: the plan is shown without that",
            for_long(less(shown(guarded()))),
            AWAITED,
        ),
        row(
            "what has been approved meanwhile stays approved",
            for_long(less(approved())),
            UNCLEAR_UNRECORDED,
        ),
        row(
            "a desktop is blocked, which is shown at once",
            less(shown(guarded())).desktop_views("a Deleting"),
            "AwaitingApproval held until Plan; a Blocked/DeletionInProgress, b Pending [DesktopBlocked, AwaitingApproval]",
        ),
        row(
            "the project does not permit the request at all, which the condition goes on to say",
            less(shown(guarded())).guarded(Guardrails {
                max_desktops_per_request: Some(1),
                ..required()
            }),
            "GuardrailViolated stalled until PollInterval [GuardrailViolated, AwaitingApproval]",
        ),
        row(
            "a desktop that did not exist does not say everything, which is no less than before",
            less(shown(guarded().desktop_views("b Gone")).desktop_views("b Idle")),
            AWAITED,
        ),
        row(
            "the plan on show lacks that as well",
            less(shown(less(guarded()))).facts("a", "pc-1", "eve"),
            AWAITED,
        ),
    ]
}

fn changed() -> Vec<Row> {
    let given = |name: &str| Fact::Given(name.to_owned());
    let facts = |computer_name, user_name, created| DesktopFacts {
        computer_name,
        user_name,
        created,
        ..DesktopFacts::default()
    };
    vec![
        row(
            "a desktop has another user",
            recorded().facts("b", "pc-2", "eve"),
            VOID,
        ),
        row(
            "a desktop has no user any more",
            recorded().facts("b", "pc-2", ""),
            VOID,
        ),
        row(
            "a desktop has another name",
            recorded().facts("b", "pc-9", "ben"),
            VOID,
        ),
        row(
            "its name differs in letter case",
            recorded().facts("b", "PC-2", "ben"),
            VOID,
        ),
        row(
            "it was created at a time that was not known",
            recorded().with_facts("b", facts(given("pc-2"), given("ben"), Fact::Given(minute(1).0))),
            VOID,
        ),
        row(
            "a desktop vanished: that makes it smaller",
            recorded().desktop_views("b Gone"),
            "sign a",
        ),
        row(
            "and it is back as it was",
            recorded()
                .desktop_views("b Gone")
                .desktop_views("b Idle")
                .facts("b", "pc-2", "ben"),
            "sign a b",
        ),
        row(
            "one that did not exist is there",
            shown_without("b")
                .desktop_views("b Idle")
                .facts("b", "pc-2", "ben"),
            VOID,
        ),
        row(
            "it is invalid: the desktops are read again, and not claimed",
            unclaimed(void()).unread(),
            "list a b",
        ),
        row(
            "they are still others",
            unclaimed(void()),
            "PlanChanged held until Plan; a Pending, b Pending [PlanReady, PlanChanged, recorded]",
        ),
        row(
            "they are as they were: now they are claimed",
            unclaimed(void().facts("b", "pc-2", "ben")),
            "claim",
        ),
        row("and submitted", void().facts("b", "pc-2", "ben"), "sign a b"),
        row(
            "its user is missing from a read",
            recorded().with_facts("b", facts(given("pc-2"), Fact::NotGiven, Fact::NotGiven)),
            UNCLEAR,
        ),
        row(
            "its name cannot be read",
            recorded().with_facts(
                "b",
                facts(Fact::Unreadable("7".to_owned()), given("ben"), Fact::NotGiven),
            ),
            UNCLEAR,
        ),
        row(
            "one fact is missing, and another one differs",
            recorded().with_facts("b", facts(given("pc-9"), Fact::NotGiven, Fact::NotGiven)),
            VOID,
        ),
        row(
            "another client deletes one of them: that is waited for",
            recorded().desktop_views("b Deleting").facts("b", "pc-2", "ben"),
            "DeletionInProgress retrying until PollInterval; a Pending, b Blocked/DeletionInProgress \
             [DesktopBlocked, PlanApproved, recorded]",
        ),
    ]
}

fn full_lists_of_users() -> Vec<Row> {
    vec![
        row(
            "the read says nothing about others whom it is assigned to, the approved one did",
            attached(&["ben"]).facts("b", "pc-2", "ben"),
            UNCLEAR,
        ),
        row(
            "another user was assigned to it as well when it was approved",
            attached(&["ben", "eve"]).facts("b", "pc-2", "ben"),
            UNCLEAR,
        ),
        row(
            "another user is assigned to it as well",
            attached(&["ben"]).with_facts("b", assigned(&["ben", "eve"])),
            VOID,
        ),
        row(
            "nobody is, while the approved read did not say so",
            recorded().with_facts("b", assigned(&["ben"])),
            VOID,
        ),
        row(
            "a read does not say whether it belongs to a pool, as it did when it was approved",
            record(shown(guarded().with_facts("b", pooled(DesktopKind::Pooled)))).facts("b", "pc-2", "ben"),
            UNCLEAR,
        ),
        row(
            "it belongs to a pool, as it did not when it was approved",
            recorded().with_facts("b", pooled(DesktopKind::Pooled)),
            VOID,
        ),
        row(
            "it no longer belongs to a pool",
            record(shown(guarded().with_facts("b", pooled(DesktopKind::Pooled))))
                .with_facts("b", pooled(DesktopKind::Dedicated)),
            VOID,
        ),
        row(
            "all whom it is assigned to are the same",
            attached(&["ben", "eve"]).with_facts("b", assigned(&["eve", "ben"])),
            "sign a b",
        ),
    ]
}

fn of_something_else() -> Vec<Row> {
    vec![
        row(
            "the record was made for another object",
            recorded().with(|o| o.request.uid.push('2')),
            OTHER,
        ),
        row(
            "the record was made for another project of the cloud",
            recorded().with(|o| {
                let project = o.project.as_mut().unwrap().coordinates.as_mut().unwrap();
                project.project_id = ProjectID::try_from("another").unwrap();
            }),
            OTHER,
        ),
        row(
            "the record was made for other flags",
            recorded().with(|o| o.request.delete_users ^= true),
            OTHER,
        ),
    ]
}

fn withdrawn() -> Vec<Row> {
    let armed = |seen: Seen| {
        let hash = seen.0.request.approved_plan.clone();
        seen.with(|o| {
            o.submission = Submission::Signed {
                attempt: desktop_deletion_operator::crd::deletion::Attempt {
                    plan_hash: hash,
                    ..attempt("a b")
                },
                fresh: true,
            };
        })
    };
    let withdrawn = |seen: Seen| seen.with(|o| o.request.approved_plan = None);
    let stored = |seen: Seen| {
        seen.with(|o| {
            if let Submission::Signed { attempt, .. } = &o.submission {
                o.request.status.attempts.push(attempt.clone());
            }
        })
        .begun()
    };
    vec![
        row("it is taken back", withdrawn(recorded()), AWAITED),
        row(
            "it is withdrawn where it is not required: it blocks nothing",
            withdrawn(recorded()).guarded(Guardrails::default()),
            "sign a b",
        ),
        row(
            "another plan is approved instead",
            recorded().approving(OLDER),
            OTHER,
        ),
        row(
            "it is signed: the intent says so too",
            armed(recorded()),
            "intend a b: Submitting moving until JobChange; a Pending, b Pending [PlanReady, PlanApproved, recorded]",
        ),
        row(
            "it is withdrawn before the intent is stored",
            withdrawn(armed(recorded())),
            "start over",
        ),
        row(
            "the intent is stored: it is sent",
            stored(armed(recorded())),
            "post",
        ),
        row(
            "it is withdrawn after that, and before the call",
            withdrawn(stored(armed(recorded()))),
            "record NotSent: PlanChanged retrying until Retry",
        ),
        row(
            "none was needed, and another plan is approved after that",
            stored(armed(ready("a b"))).with(|o| o.request.approved_plan = Some(OLDER.to_owned())),
            "record NotSent: PlanChanged retrying until Retry",
        ),
    ]
}

const OLDER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of the plan of [`guarded`].
fn hash() -> String {
    shown(guarded()).0.request.status.plan.unwrap().hash
}

/// A plan without that desktop is approved.
fn shown_without(desktop: &str) -> Seen {
    record(shown(guarded().desktop_views(&format!("{desktop} Gone"))))
}

fn held(seen: &Seen) -> Progress {
    match plan(&seen.0) {
        Step::RecordProgress(progress) | Step::Wait(progress) => progress,
        step => panic!("{}", describe(&step)),
    }
}

#[test]
fn the_message_lists_the_changes_and_the_plan_to_approve() {
    let seen = recorded().facts("b", "pc-9", "eve");
    let progress = held(&seen);
    let hash = progress.preview.unwrap().summary.unwrap().hash;
    assert_eq!(
        progress.message,
        format!(
            "the desktops have changed since they were approved, so nothing is submitted: desktop b: the computer name is \
             pc-9 (approved: pc-2), it is assigned to eve (approved: ben). Check status.plan and status.desktops, then \
             set spec.approvedPlan to {hash}"
        )
    );
    let hidden = recorded()
        .facts("b", "pc-2", "eve")
        .with(|o| o.facts.hide_users = true);
    let progress = held(&hidden);
    assert!(
        !progress.message.contains("eve") && !progress.message.contains("ben"),
        "{}",
        progress.message
    );
    let gone = held(&recorded().facts("b", "pc-2", ""));
    assert!(
        gone.message.contains("it is assigned to no user (approved: ben)"),
        "{}",
        gone.message
    );
}

#[test]
fn a_plan_that_is_still_shown_can_be_approved_and_missing_facts_are_named() {
    let shown = shown(guarded());
    let hash = hash();
    let user_only = DesktopFacts {
        computer_name: Fact::Given("pc-2".to_owned()),
        ..DesktopFacts::default()
    };
    let seen = shown.with_facts("b", user_only);
    let progress = held(&seen);
    assert!(
        progress
            .message
            .ends_with(&format!("then set spec.approvedPlan to {hash}")),
        "{}",
        progress.message
    );
    let preview = progress.preview.unwrap();
    assert!(preview.lacks_facts && preview.summary.is_none());
    assert_eq!(
        preview.updates[0].message,
        "deletes 2 desktops; the last read lacks facts of the plan: desktop b: the users; reading again"
    );
    assert_eq!(preview.updates[1].message, progress.message);
    // It is reported once.
    let seen = noticed(seen);
    assert!(matches!(plan(&seen.0), Step::Wait(_)));
    assert_eq!(seen.0.request.status.plan.as_ref().unwrap().hash, hash);
    // The next read says everything: it is as before.
    let seen = noticed(seen.facts("b", "pc-2", "ben"));
    assert_eq!(seen.0.request.status.plan.as_ref().unwrap().hash, hash);
}

#[test]
fn a_new_approval_replaces_one_that_became_invalid() {
    let seen = void();
    let again = plan(&seen.0);
    assert!(matches!(again, Step::Wait(_)), "{}", describe(&again));
    let hash = seen.0.request.status.plan.clone().unwrap().hash;
    let mut seen = seen.approving(&hash);
    let step = plan(&seen.0);
    assert_eq!(describe(&step), RECORD);
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(8)).unwrap();
    assert_eq!(seen.0.request.status.approved.as_ref().unwrap().hash, hash);
    assert_eq!(describe(&plan(&seen.permit(SendPermit::Held).0)), "sign a b");
}

#[test]
fn a_signed_attempt_names_the_approved_plan() {
    let seen = recorded().permit(SendPermit::Held);
    let Step::Sign(batch) = plan(&seen.0) else {
        panic!("not signed");
    };
    assert_eq!(batch.plan_hash, seen.0.request.approved_plan);
    let Step::Sign(batch) = plan(&ready("a b").permit(SendPermit::Held).0) else {
        panic!("not signed");
    };
    assert_eq!(batch.plan_hash, None);
}

#[test]
fn users_that_are_not_shown_are_still_compared() {
    let hidden = |seen: Seen| seen.with(|o| o.facts.hide_users = true);
    let mut seen = hidden(approved());
    let step = plan(&seen.0);
    seen.0.request.status = rules::written(&seen.0.request, &step, &minute(6)).unwrap();
    let record = seen.0.request.status.approved.as_ref().unwrap();
    assert!(
        record
            .desktops
            .iter()
            .all(|d| d.users.is_none() && d.user_name_hash.is_some())
    );
    let seen = seen.permit(SendPermit::Held);
    assert_eq!(describe(&plan(&seen.0)), "sign a b");
    let seen = seen.permit(SendPermit::None);
    assert_eq!(held(&seen.facts("b", "pc-2", "eve")).reason, Reason::PlanChanged);
    let late = held(&hidden(recorded()).suspended());
    let record = late.preview.unwrap().approved.unwrap();
    assert!(
        record.desktops.iter().all(|d| d.users.is_none()),
        "those that were shown before are taken off"
    );
}
