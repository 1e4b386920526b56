//! The world file: the accounts and their credentials, the desktops, how long things take, and how the cloud behaves
//! where its documentation does not specify it.
//!
//! Reading is strict: an unknown key, a name that is used twice or a reference to nothing is rejected with a message
//! that states what is wrong and where.

mod accounts;
mod desktop;
mod field_override;
mod span;
mod switches;
mod timings;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::derived_id;

pub use accounts::{AccessKey, Account, Permission, StaticToken, User};
pub use desktop::{AttachedType, AttachedUser, ChargingMode, DeletionResult, Desktop, DesktopType, Outcome};
pub use field_override::FieldOverride;
pub use span::Span;
pub use switches::{
    DeletedDesktop, DuplicateIds, EmptyStatus, FailedDesktop, MixedAuthorization, RepeatedDesktop,
    RestrictedDesktop, Switches, Throttle, UnknownDesktop,
};
pub use timings::Timings;

/// The simulated cloud at its start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct World {
    /// Makes job ids, request ids and tokens differ from those of another world. Default 0.
    pub seed: u64,

    /// Regions; the first is the default of projects. Default: one, `local-1`.
    pub regions: Vec<String>,

    /// Accounts with their credentials.
    pub accounts: Vec<Account>,

    /// Projects; the first is the default of desktops.
    pub projects: Vec<Project>,

    /// Desktops.
    pub desktops: Vec<Desktop>,

    /// How long things take.
    pub timings: Timings,

    /// How the cloud behaves where its documents leave that open.
    pub switches: Switches,
}

/// One project: a part of an account in one region.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Project {
    /// Id of the project, 32 hexadecimal digits in the real cloud; 1 to 255 characters here.
    pub id: String,

    /// Name of the project; by default the name of its region, as in the real cloud.
    #[serde(default)]
    pub name: String,

    /// Name of the account that owns it; by default the first account.
    #[serde(default)]
    pub account: String,

    /// Region of the project; by default the first region.
    #[serde(default)]
    pub region: String,
}

/// Why a world could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The file could not be read.
    #[error("failed to read the world file {path}: {source}; check the path given by --world")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },

    /// The text is not YAML, or not of the documented form.
    #[error("the world file does not have the documented form: {0}")]
    Form(String),

    /// The parts do not fit together.
    #[error("the world does not fit together: {0}")]
    Inconsistent(String),
}

impl World {
    /// Reads a world file.
    ///
    /// # Errors
    /// When the file cannot be read, has not the documented form or its parts do not fit together.
    pub fn read(path: &Path) -> Result<Self, WorldError> {
        let text = std::fs::read_to_string(path).map_err(|source| WorldError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Reads a world from YAML text and fills in its defaults.
    ///
    /// # Errors
    /// When the text has not the documented form or its parts do not fit together.
    pub fn parse(yaml: &str) -> Result<Self, WorldError> {
        let world: Self =
            serde_saphyr::from_str(yaml).map_err(|error| WorldError::Form(error.to_string()))?;
        world.complete()
    }

    /// Fills in the defaults that depend on other parts and checks that everything fits together.
    ///
    /// # Errors
    /// When a name is used twice or refers to nothing.
    pub fn complete(mut self) -> Result<Self, WorldError> {
        if self.regions.is_empty() {
            self.regions.push("local-1".to_owned());
        }
        for account in &mut self.accounts {
            if account.id.is_empty() {
                account.id = derived_id(self.seed, "account", &account.name);
            }
        }
        self.complete_projects()?;
        let mut desktops = std::mem::take(&mut self.desktops);
        for desktop in &mut desktops {
            self.complete_desktop(desktop)?;
        }
        self.desktops = desktops;
        self.check_unique()?;
        self.check_tokens()?;
        Ok(self)
    }

    /// Fills in the defaults of one desktop.
    ///
    /// # Errors
    /// When its id is empty or too long, or its project does not exist.
    pub fn complete_desktop(&self, desktop: &mut Desktop) -> Result<(), WorldError> {
        let length = desktop.id.chars().count();
        if length == 0 || length > 255 {
            return Err(inconsistent(format!(
                "the desktop id `{}` must have 1 to 255 characters",
                desktop.id
            )));
        }
        if desktop.project.is_empty() {
            let first = self.projects.first().ok_or_else(|| {
                inconsistent(format!(
                    "the desktop {} has no project and the world has none",
                    desktop.id
                ))
            })?;
            desktop.project.clone_from(&first.id);
        }
        if !self.projects.iter().any(|project| project.id == desktop.project) {
            return Err(inconsistent(format!(
                "the desktop {} names the project {}, which is not under projects",
                desktop.id, desktop.project
            )));
        }
        if desktop.name.is_empty() {
            desktop.name = format!("desktop-{}", desktop.id.chars().take(8).collect::<String>());
        }
        Ok(())
    }

    fn complete_projects(&mut self) -> Result<(), WorldError> {
        let Self {
            projects,
            accounts,
            regions,
            ..
        } = self;
        for project in projects {
            if project.account.is_empty() {
                let first = accounts.first().ok_or_else(|| {
                    inconsistent(format!(
                        "the project {} has no account and the world has none",
                        project.id
                    ))
                })?;
                project.account.clone_from(&first.name);
            }
            if !accounts.iter().any(|account| account.name == project.account) {
                return Err(inconsistent(format!(
                    "the project {} names the account {}, which is not under accounts",
                    project.id, project.account
                )));
            }
            if project.region.is_empty() {
                project.region.clone_from(&regions[0]);
            }
            if !regions.contains(&project.region) {
                return Err(inconsistent(format!(
                    "the project {} names the region {}, which is not under regions",
                    project.id, project.region
                )));
            }
            if project.name.is_empty() {
                project.name.clone_from(&project.region);
            }
        }
        Ok(())
    }

    fn check_unique(&self) -> Result<(), WorldError> {
        unique(
            "account",
            self.accounts.iter().map(|account| account.name.as_str()),
        )?;
        unique("project", self.projects.iter().map(|project| project.id.as_str()))?;
        unique("desktop", self.desktops.iter().map(|desktop| desktop.id.as_str()))?;
        let keys = self.accounts.iter().flat_map(|account| &account.access_keys);
        unique("access key", keys.map(|key| key.id.as_str()))?;
        let tokens = self.accounts.iter().flat_map(|account| &account.tokens);
        unique("token", tokens.map(|token| token.token.as_str()))?;
        for account in &self.accounts {
            unique("user", account.users.iter().map(|user| user.name.as_str()))?;
        }
        Ok(())
    }

    fn check_tokens(&self) -> Result<(), WorldError> {
        for account in &self.accounts {
            for project in account.tokens.iter().filter_map(|token| token.project.as_deref()) {
                let owned = self
                    .projects
                    .iter()
                    .any(|known| known.id == project && known.account == account.name);
                if !owned {
                    return Err(inconsistent(format!(
                        "a token of the account {} names the project {project}, which is not one of its projects",
                        account.name
                    )));
                }
            }
        }
        Ok(())
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), WorldError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err(inconsistent(format!("a {what} without a name or id")));
        }
        if !seen.insert(name) {
            return Err(inconsistent(format!("the {what} {name} is there twice")));
        }
    }
    Ok(())
}

fn inconsistent(why: String) -> WorldError {
    WorldError::Inconsistent(why)
}
