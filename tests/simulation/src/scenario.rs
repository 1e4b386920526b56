//! What one seed is about: the desktops, the requests, how the cloud behaves, what goes wrong.

use std::fmt;

use serde_json::{Value, json};
use workspace_simulator::world::World as CloudWorld;

use crate::acts::{Act, TROUBLED};
use crate::answers;
use crate::dice::Dice;
use crate::faults::Rule;
use crate::mutant::Mutant;

mod answered;
mod guarded;
mod neighbour;

pub use answered::TOKEN_LIFE;
pub use guarded::{ELSEWHERE, Guard};
pub use neighbour::{OTHER, OWN, ProjectSetup};

/// The namespace of everything.
pub const NAMESPACE: &str = "vdi";
/// The project that each world has.
pub const PROJECT: &str = "prod";
/// Its Secret.
pub const SECRET: &str = "prod-login";
/// Its id in the cloud.
pub const PROJECT_ID: &str = "0b5f3a7c9d1e4f60826b4a5c7d8e9f01";
/// Its region.
pub const REGION: &str = "ap-southeast-1";
/// The access key of the operator.
pub const ACCESS_KEY: &str = "SIMULATEDOPERATOR001";
/// Its secret.
pub const SECRET_KEY: &str = "the-secret-of-the-operator-0000000000001";
/// A secret that does not belong to it.
const WRONG_SECRET_KEY: &str = "a-wrong-secret-key-0000000000000000001";
/// The token of a user in the console.
pub const CONSOLE: &str = "the-token-of-the-console";

/// The operator's token, until everything is repaired.
pub const TOKEN: &str = "the-token-of-the-operator-0000000000000001";
/// The token after that.
pub const NEXT_TOKEN: &str = "the-token-of-the-operator-0000000000000002";
/// The operator's user, in worlds in which it logs in with a password.
pub const USER: &str = "operator";
/// The password.
pub const PASSWORD: &str = "the password of the operator 1";
/// The account of all of them.
pub const ACCOUNT: &str = "test";

/// How long after the last fault everything must have ended: six hours.
const SETTLING_LIMIT: u64 = 6 * 3_600_000;

/// Makes the numbers by which untruths are drawn their own.
const UNTRUTHS: u64 = 0x636c_6f63_6b73;

/// One run, before it begins.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Ids of the desktops.
    pub desktops: Vec<String>,
    /// The requests.
    pub requests: Vec<RequestPlan>,
    /// How the cloud is.
    pub cloud: Value,
    /// Calls that go wrong.
    pub rules: Vec<Rule>,
    /// What happens meanwhile.
    pub acts: Vec<Act>,
    /// Responses of the cloud that are replaced by undocumented ones.
    pub answers: Vec<answers::Rule>,
    /// What the owner of the project permits, in worlds in which it is limited.
    pub guard: Option<Guard>,
    /// The projects.
    pub homes: Vec<&'static ProjectSetup>,
    /// How the operator logs in.
    pub login: Login,
    /// When nothing goes wrong any more, in milliseconds.
    pub troubled: u64,
    /// How many milliseconds later everything must have ended.
    pub patience: u64,
    /// How many seconds the operator's clock is ahead of the true time.
    pub ahead: i64,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
}

/// How the operator logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// With an access key.
    AccessKey,
    /// With a password, at IAM.
    Password,
    /// With a token from the Secret.
    Token,
}

/// A `DesktopDeletion` to be.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// Its name.
    pub name: String,
    /// The `WorkspaceProject` that it names.
    pub project: &'static str,
    /// The desktops that it names.
    pub desktops: Vec<String>,
    /// When it is created, in milliseconds.
    pub created: u64,
    /// It begins suspended.
    pub suspended: bool,
    /// It is a copy of that request, made with the approval that the other one has by then.
    pub copies: Option<usize>,
}

impl Scenario {
    /// What a seed gives.
    pub fn draw(seed: u64, mutant: Option<Mutant>) -> Self {
        Self::draw_unguarded(seed, mutant)
            .with_guardrails()
            .with_neighbour()
    }

    /// The same where the owner of the project has nothing to say.
    fn draw_unguarded(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut dice = Dice::new(seed);
        let desktops: Vec<_> = (1..=dice.within(1..5)).map(|n| format!("pc-{n}")).collect();
        let requests: Vec<_> = (1..=*dice.one_of(&[1, 1, 1, 2, 2, 3]))
            .map(|n| RequestPlan::draw(n, &desktops, &mut dice))
            .collect();
        let cloud = cloud(seed, &desktops, &mut dice);
        let rules = (0..dice.within(0..5)).map(|_| Rule::draw(&mut dice)).collect();
        let acts = (0..dice.within(0..4))
            .map(|_| Act::draw(requests.len(), desktops.len(), &mut dice))
            .collect();
        let ahead = *dice.one_of(&[0, 0, 0, 7, -7, 200, -200]);
        Self {
            seed,
            desktops,
            requests,
            cloud,
            rules,
            acts,
            answers: vec![],
            guard: None,
            homes: vec![&OWN],
            login: Login::AccessKey,
            troubled: TROUBLED,
            patience: SETTLING_LIMIT,
            ahead,
            mutant,
        }
        .with_untruths()
    }

    /// In every other world some clocks, lists and clients are not true. They are drawn apart, so that the rest of a world
    /// is the same without them.
    fn with_untruths(mut self) -> Self {
        let mut dice = Dice::new(self.seed ^ UNTRUTHS);
        if dice.once_in(2) {
            let (rules, acts) = (dice.within(0..4), dice.within(0..3));
            self.rules
                .extend((0..rules).map(|_| Rule::draw_untrue(&mut dice)));
            let requests = self.requests.len();
            self.acts
                .extend((0..acts).map(|_| Act::draw_untrue(requests, &mut dice)));
        }
        self
    }

    /// The same without anything that goes wrong.
    #[must_use]
    pub fn in_peace(self) -> Self {
        Self {
            rules: vec![],
            acts: vec![],
            answers: vec![],
            ..self
        }
    }

    /// The world file of the cloud.
    ///
    /// # Errors
    /// It has not the form of one, which is a fault of the simulation.
    pub fn cloud_world(&self) -> serde_json::Result<CloudWorld> {
        serde_json::from_value(self.cloud.clone())
    }

    /// One of the `WorkspaceProject` objects.
    pub fn project(&self, home: &ProjectSetup) -> Value {
        let mut project = home.manifest(self.login);
        if let Some(guard) = self.guard.as_ref().filter(|_| *home == OWN) {
            project["spec"]["guardrails"] = guard.guardrails.clone();
        }
        project
    }

    /// The content of its Secret. `right`: the credentials are valid; `late`: they are those with which everything
    /// ends.
    pub fn secret(&self, right: bool, late: bool) -> Vec<(&'static str, &'static str)> {
        match self.login {
            Login::AccessKey if right => vec![("accessKey", ACCESS_KEY), ("secretKey", SECRET_KEY)],
            Login::AccessKey => vec![("accessKey", ACCESS_KEY), ("secretKey", WRONG_SECRET_KEY)],
            Login::Password => vec![
                ("domainName", ACCOUNT),
                ("userName", USER),
                ("password", PASSWORD),
            ],
            Login::Token if late => vec![("token", NEXT_TOKEN)],
            Login::Token => vec![("token", TOKEN)],
        }
    }
}

impl RequestPlan {
    fn draw(number: u64, desktops: &[String], dice: &mut Dice) -> Self {
        let mut own: Vec<_> = desktops.iter().filter(|_| !dice.once_in(3)).cloned().collect();
        if own.is_empty() {
            own.push(dice.one_of(desktops).clone());
        }
        if dice.once_in(12) {
            own.push("pc-unknown".to_owned());
        }
        Self {
            name: format!("leavers-{number}"),
            project: OWN.name,
            desktops: own,
            created: dice.within(0..8_000),
            suspended: dice.once_in(10),
            copies: None,
        }
    }

    /// The object.
    pub fn manifest(&self) -> Value {
        json!({
            "metadata": {"name": self.name},
            "spec": {
                "projectRef": {"name": self.project},
                "desktopIDs": self.desktops,
                "suspend": self.suspended,
            },
        })
    }
}

/// Where the documents of the cloud leave something open, the seed decides.
fn cloud(seed: u64, desktops: &[String], dice: &mut Dice) -> Value {
    let desktops: Vec<_> = desktops
        .iter()
        .map(|id| {
            let result = *dice.one_of(&[
                "success",
                "success",
                "success",
                "success",
                "success",
                "failed",
                "failedButGone",
                "noSubJob",
            ]);
            json!({"id": id, "outcome": result})
        })
        .collect();
    let seconds = |of: &[u64], dice: &mut Dice| format!("{}s", dice.one_of(of));
    json!({
        "seed": seed,
        "regions": [REGION],
        "accounts": [{
            "name": ACCOUNT,
            "accessKeys": [{"id": ACCESS_KEY, "secret": SECRET_KEY}],
            "tokens": [{"token": CONSOLE, "user": "console"}],
        }],
        "projects": [{"id": PROJECT_ID}],
        "desktops": desktops,
        "timings": {
            "jobVisibleAfter": seconds(&[0, 0, 1, 20, 100], dice),
            "desktopVisibleAfter": seconds(&[0, 0, 1, 20, 100], dice),
            "waiting": seconds(&[0, 1, 10], dice),
            "running": seconds(&[1, 10, 90], dice),
            "stagger": seconds(&[0, 0, 5], dice),
            "goneAfter": seconds(&[0, 0, 10], dice),
        },
        "switches": {
            "repeatedDesktop": dice.one_of(&["conflict", "accept", "fail", "notFound"]),
            "unknownDesktop": dice.one_of(&["refuse", "skip", "fail"]),
            "deletedDesktop": dice.one_of(&["notFound", "deleted"]),
            "listsShowDeleted": dice.once_in(3),
            "failedDesktop": dice.one_of(&["idle", "deleteFailed"]),
            "emptyStatus": dice.one_of(&["empty", "null"]),
            "desktopAsArray": dice.once_in(4),
            "lowerCaseStatus": dice.once_in(4),
            "jobTimes": !dice.once_in(3),
            "newestJobFirst": !dice.once_in(3),
        },
    })
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        let desktops = self.cloud["desktops"].as_array().into_iter().flatten();
        for desktop in desktops {
            writeln!(
                f,
                "  desktop {}: deletion would end as {}",
                desktop["id"].as_str().unwrap_or_default(),
                desktop["outcome"].as_str().unwrap_or_default()
            )?;
        }
        for (place, request) in self.requests.iter().enumerate() {
            let RequestPlan {
                name,
                project,
                desktops,
                created,
                suspended,
                copies,
            } = request;
            let state = if *suspended { ", suspended" } else { "" };
            let copy = copies.map_or_else(String::new, |of| format!(", a copy of request {of}"));
            writeln!(
                f,
                "  request {place} ({name}, project {project}): {} at {created} ms{state}{copy}",
                desktops.join(", ")
            )?;
        }
        writeln!(f, "  cloud: {}", self.cloud["timings"])?;
        writeln!(f, "  cloud: {}", self.cloud["switches"])?;
        writeln!(f, "  the operator's clock is {} s ahead", self.ahead)?;
        for rule in &self.rules {
            writeln!(f, "  fault: {rule}")?;
        }
        for rule in &self.answers {
            writeln!(f, "  answers: {rule}")?;
        }
        if self.login != Login::AccessKey {
            writeln!(f, "  the operator logs in with a {:?}", self.login)?;
        }
        if let Some(guard) = &self.guard {
            writeln!(f, "  guardrails: {guard}")?;
        }
        for act in &self.acts {
            writeln!(f, "  act: {act}")?;
        }
        if let Some(mutant) = self.mutant {
            writeln!(f, "  broken on purpose: {}", mutant.words())?;
        }
        Ok(())
    }
}
