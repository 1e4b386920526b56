//! A Git repository on disk, whose commits the tools deliver.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The branch that the tools follow.
pub(crate) const BRANCH: &str = "main";

/// A repository with a working tree.
pub(crate) struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty repository in a new folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch", BRANCH]);
        repository
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a manifest into the working tree. JSON is YAML.
    pub(crate) fn write(&self, file: &str, manifest: &Value) {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{manifest:#}\n")).unwrap();
    }

    /// Reads a manifest from the working tree.
    pub(crate) fn read(&self, file: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.folder.join(file)).unwrap()).unwrap()
    }

    /// Removes a file from the working tree.
    pub(crate) fn remove(&self, file: &str) {
        std::fs::remove_file(self.folder.join(file)).unwrap();
    }

    /// Commits the working tree, and gives the revision.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Change what is wanted"]);
        self.head()
    }

    /// Makes a commit that takes back the last one, and gives the revision.
    pub(crate) fn revert(&self) -> String {
        self.git(&["revert", "--no-edit", "HEAD"]);
        self.head()
    }

    /// Packs the files of the last commit.
    pub(crate) fn archive(&self, to: &Path) {
        let output = format!("--output={}", to.display());
        self.git(&["archive", "--format=tar.gz", &output, "HEAD"]);
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> String {
        let git = Command::new("git")
            .args(arguments)
            .current_dir(&self.folder)
            // Nothing of the person who runs the tests: no signing, no hooks, no name.
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs(["AUTHOR", "COMMITTER"].iter().flat_map(|role| {
                [
                    (format!("GIT_{role}_NAME"), "test"),
                    (format!("GIT_{role}_EMAIL"), "test@example.com"),
                ]
            }))
            .output()
            .unwrap();
        assert!(
            git.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&git.stderr)
        );
        String::from_utf8(git.stdout).unwrap().trim().to_owned()
    }
}
