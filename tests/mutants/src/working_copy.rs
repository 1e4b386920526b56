//! A copy of the sources, in which one mutant at a time is made. Files that stay as they are are not touched, so that
//! Cargo builds again only what a mutant changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Edit, Mutant};

/// The copy.
#[derive(Debug)]
pub struct WorkingCopy {
    original: PathBuf,
    /// Where the copy stands.
    pub sources: PathBuf,
    /// Where it is built.
    pub build: PathBuf,
}

/// Why a mutant could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text to replace is not there, or more than once.
    #[error("{file} has {count} times, not once, the text that mutant {mutant} replaces:\n{find}")]
    NotOnce {
        /// Which mutant.
        mutant: &'static str,
        /// Which file.
        file: &'static str,
        /// The text.
        find: &'static str,
        /// How often it is there.
        count: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// Git does not say which files there are.
    #[error("git does not list the files of the project: {0}")]
    Git(String),
}

impl WorkingCopy {
    /// A working copy below `folder` for the project in `original`.
    ///
    /// # Errors
    /// The folders cannot be made.
    pub fn open(original: &Path, folder: &Path) -> Result<Self, Error> {
        let working_copy = Self {
            original: original.to_owned(),
            sources: folder.join("source"),
            // Made here and not by Cargo, it does not bear Cargo's mark: the test kit finds its control plane in the target
            // folder around this one, and need not build another.
            build: folder.join("build"),
        };
        for folder in [&working_copy.sources, &working_copy.build] {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        Ok(working_copy)
    }

    /// Makes the copy the same as the original.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn restore(&self) -> Result<(), Error> {
        let files = self.files()?;
        for file in &files {
            let (from, to) = (self.original.join(file), self.sources.join(file));
            let text = fs::read(&from).map_err(at(&from))?;
            if fs::read(&to).is_ok_and(|present| present == text) {
                continue;
            }
            let folder = to.parent().unwrap_or(&self.sources);
            fs::create_dir_all(folder).map_err(at(folder))?;
            // Written, not copied: the time of the change is what Cargo goes by.
            fs::write(&to, text).map_err(at(&to))?;
            let permissions = fs::metadata(&from).map_err(at(&from))?.permissions();
            fs::set_permissions(&to, permissions).map_err(at(&to))?;
        }
        self.clear(&self.sources, &files)
    }

    /// Makes one mutant in the copy.
    ///
    /// # Errors
    /// A text to replace does not stand there exactly once; then the copy is unchanged.
    pub fn make(&self, mutant: &Mutant) -> Result<(), Error> {
        let mut changed = BTreeMap::new();
        for edit in mutant.edits {
            let path = self.sources.join(edit.file);
            let text = match changed.remove(&path) {
                Some(text) => text,
                None => fs::read_to_string(&path).map_err(at(&path))?,
            };
            changed.insert(path, edit.apply(mutant.name, &text)?);
        }
        for (path, text) in changed {
            fs::write(&path, text).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The files of the project, also those that are not committed yet.
    fn files(&self) -> Result<BTreeSet<PathBuf>, Error> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.original)
            .output()
            .map_err(|error| Error::Git(error.to_string()))?;
        if !listed.status.success() {
            return Err(Error::Git(String::from_utf8_lossy(&listed.stderr).into_owned()));
        }
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names = names.split_terminator('\0').map(PathBuf::from);
        // One that was removed and not committed yet is listed all the same.
        Ok(names.filter(|name| self.original.join(name).is_file()).collect())
    }

    /// Removes what the original does not have.
    fn clear(&self, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            let known = path.strip_prefix(&self.sources).is_ok_and(|p| files.contains(p));
            if path.is_dir() {
                self.clear(&path, files)?;
            } else if !known {
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}

impl Edit {
    /// The changed text.
    ///
    /// # Errors
    /// What is to be replaced does not stand there exactly once.
    pub fn apply(&self, mutant: &'static str, text: &str) -> Result<String, Error> {
        match text.matches(self.find).count() {
            1 => Ok(text.replacen(self.find, self.replace, 1)),
            count => Err(Error::NotOnce {
                mutant,
                file: self.file,
                find: self.find,
                count,
            }),
        }
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |reason| Error::File { path, reason }
}
