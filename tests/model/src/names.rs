//! The few things of the model world, by number and by name, and sets of them as bits.

use std::sync::LazyLock;

use desktop_deletion_operator::ids::{AttemptID, DesktopID, JobID};

/// Desktops at most.
pub const DESKTOPS: usize = 2;
/// Attempts at most, over all requests and operators.
pub const ATTEMPTS: usize = 4;
/// Jobs at most: one of each attempt, and one of the console.
pub const JOBS: usize = ATTEMPTS + 1;
/// The job that a user started in the console.
pub const CONSOLE: usize = ATTEMPTS;

/// The user of each desktop in the beginning, and the one to whom it may be assigned later.
pub const USERS: [&str; 2] = ["the first user", "the other user"];

/// Some of the things of one kind: bit n is thing n.
pub type Set = u8;

/// The set of one.
pub fn only(member: usize) -> Set {
    1 << member
}

/// Whether `member` is in `set`.
pub fn has(set: Set, member: usize) -> bool {
    set & only(member) != 0
}

/// The members of a set, in order.
pub fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..8).filter(move |member| has(set, *member))
}

/// The set of these.
pub fn set(members: impl IntoIterator<Item = usize>) -> Set {
    members.into_iter().fold(0, |set, member| set | only(member))
}

struct Names {
    desktops: Vec<DesktopID>,
    attempts: Vec<AttemptID>,
    jobs: Vec<JobID>,
    texts: Vec<Vec<String>>,
    objects: Vec<String>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    // Letters, digits and hyphens are always an identifier.
    #[allow(clippy::expect_used)]
    let desktops = ["desktop-a", "desktop-b"].map(|name| DesktopID::try_from(name).expect("an identifier"));
    let text = |number: usize| desktops[number].as_str().to_owned();
    #[allow(clippy::expect_used)]
    Names {
        texts: (0..1 << DESKTOPS)
            .map(|set| members(set).map(text).collect())
            .collect(),
        objects: (0..=u8::MAX).map(|uid| format!("object {uid}")).collect(),
        desktops: desktops.to_vec(),
        attempts: (1..=ATTEMPTS)
            .map(|n| AttemptID::try_from(format!("attempt-{n}")).expect("an identifier"))
            .collect(),
        jobs: (1..=ATTEMPTS)
            .map(|n| format!("job-{n}"))
            .chain(["job-of-the-console".to_owned()])
            .map(|name| JobID::try_from(name).expect("an identifier"))
            .collect(),
    }
});

/// Name of a desktop.
pub fn desktop(number: usize) -> &'static DesktopID {
    &NAMES.desktops[number]
}

/// Names of desktops.
pub fn desktops(set: Set) -> Vec<DesktopID> {
    members(set).map(|number| desktop(number).clone()).collect()
}

/// Names of desktops, as texts.
pub fn texts(set: Set) -> &'static [String] {
    &NAMES.texts[usize::from(set)]
}

/// Name of one of the objects of a name.
pub fn object(uid: u8) -> &'static str {
    &NAMES.objects[usize::from(uid)]
}

/// Numbers of desktops.
pub fn desktop_set<'a>(names: impl IntoIterator<Item = &'a DesktopID>) -> Set {
    set(names
        .into_iter()
        .filter_map(|name| NAMES.desktops.iter().position(|known| known == name)))
}

/// Name of an attempt.
pub fn attempt(number: usize) -> &'static AttemptID {
    &NAMES.attempts[number]
}

/// Number of an attempt.
pub fn attempt_number(name: &AttemptID) -> Option<usize> {
    NAMES.attempts.iter().position(|known| known == name)
}

/// Name of a job.
pub fn job(number: usize) -> &'static JobID {
    &NAMES.jobs[number]
}

/// Names of jobs.
pub fn jobs(set: Set) -> Vec<JobID> {
    members(set).map(|number| job(number).clone()).collect()
}

/// Numbers of jobs.
pub fn job_set<'a>(names: impl IntoIterator<Item = &'a JobID>) -> Set {
    set(names
        .into_iter()
        .filter_map(|name| NAMES.jobs.iter().position(|known| known == name)))
}
