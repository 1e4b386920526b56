//! Worlds with a second project in the same namespace, which has its own endpoint, credentials and desktops.

use serde_json::{Value, json};

use super::{ACCESS_KEY, Login, PROJECT, PROJECT_ID, REGION, RequestPlan, SECRET, SECRET_KEY, Scenario};
use crate::dice::Dice;

/// The seeds of these worlds, of so many.
const EVERY: u64 = 4;
const WHICH: u64 = 3;

/// Makes the numbers by which these worlds are drawn their own.
const NEIGHBOUR: u64 = 0x6e65_6967_6862;

/// What belongs together: a project, and who may call for it.
#[derive(Debug, PartialEq, Eq)]
pub struct ProjectSetup {
    /// The name of the `WorkspaceProject`.
    pub name: &'static str,
    /// The name of its Secret.
    pub secret: &'static str,
    /// Its id in the cloud.
    pub id: &'static str,
    /// Its region.
    pub region: &'static str,
    /// The access key of the operator there.
    pub access_key: &'static str,
    /// The secret of that key.
    pub secret_key: &'static str,
}

/// The project that each world has.
pub const OWN: ProjectSetup = ProjectSetup {
    name: PROJECT,
    secret: SECRET,
    id: PROJECT_ID,
    region: REGION,
    access_key: ACCESS_KEY,
    secret_key: SECRET_KEY,
};

/// The second project.
pub const OTHER: ProjectSetup = ProjectSetup {
    name: "test",
    secret: "test-login",
    id: "4f60826b4a5c7d8e9f010b5f3a7c9d1e",
    region: "cn-north-4",
    access_key: "SIMULATEDOPERATOR002",
    secret_key: "the-secret-of-the-operator-0000000000002",
};

impl ProjectSetup {
    /// The host of the service.
    pub fn endpoint(&self) -> String {
        format!("workspace.{}.myhuaweicloud.com", self.region)
    }

    /// The `WorkspaceProject`, without guardrails.
    pub fn manifest(&self, login: Login) -> Value {
        let kind = match login {
            Login::AccessKey => "accessKey",
            Login::Password => "password",
            Login::Token => "token",
        };
        json!({
            "metadata": {"name": self.name},
            "spec": {
                "region": self.region,
                "projectID": self.id,
                "credentials": {kind: {"secretRef": {"name": self.secret}}},
            },
        })
    }
}

impl Scenario {
    /// In every fourth world requests of a second project are in the way of the others. They are drawn apart, so that the
    /// rest of a world is the same without them.
    pub(super) fn with_neighbour(mut self) -> Self {
        if self.seed % EVERY != WHICH {
            return self;
        }
        let mut dice = Dice::new(self.seed ^ NEIGHBOUR);
        let desktops: Vec<_> = (1..=dice.within(1..3)).map(|n| format!("qa-{n}")).collect();
        self.requests.push(RequestPlan {
            name: "leavers-of-test".to_owned(),
            project: OTHER.name,
            desktops: desktops.clone(),
            created: dice.within(0..8_000),
            suspended: false,
            copies: None,
        });
        self.homes.push(&OTHER);
        self.cloud["regions"] = json!([OWN.region, OTHER.region]);
        self.cloud["projects"] = json!([{"id": OWN.id}, {"id": OTHER.id}]);
        if let Some(keys) = self.cloud["accounts"][0]["accessKeys"].as_array_mut() {
            keys.push(json!({"id": OTHER.access_key, "secret": OTHER.secret_key}));
        }
        if let Some(rows) = self.cloud["desktops"].as_array_mut() {
            let row = |id| json!({"id": id, "project": OTHER.id, "outcome": "success"});
            rows.extend(desktops.into_iter().map(row));
        }
        self
    }
}
