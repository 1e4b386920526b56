//! `desktop-deletion-operator crds`: the `CustomResourceDefinition`s, from the types this binary was built with.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::crd;

/// Flags of `crds`.
#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Directory for one file per CRD, instead of standard output; created if missing
    #[arg(long, value_name = "DIR", env = "DESKTOP_DELETION_OUTPUT")]
    output: Option<PathBuf>,
}

/// The definitions could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CrdsError {
    /// A kind has no YAML form: a mistake in its types.
    #[error("failed to write a CustomResourceDefinition as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// Standard output cannot be written.
    #[error("failed to print the CustomResourceDefinitions: {0}")]
    Print(#[source] io::Error),
    /// A file or folder cannot be written.
    #[error("failed to write {}: {source}", .path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CrdsArgs {
    /// Prints the definitions to `out` as one YAML stream, or writes the files.
    ///
    /// # Errors
    /// A file, or `out`, cannot be written.
    pub fn run(&self, out: &mut impl Write) -> Result<(), CrdsError> {
        match &self.output {
            None => print(out, &crd::yaml()?).map_err(CrdsError::Print),
            Some(folder) => write(folder),
        }
    }
}

fn print(out: &mut impl Write, yaml: &str) -> io::Result<()> {
    out.write_all(yaml.as_bytes())?;
    out.flush()
}

fn write(folder: &Path) -> Result<(), CrdsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| CrdsError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for (name, text) in crd::files()? {
        let path = folder.join(name);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_printed_or_written() {
        let mut out = Vec::new();
        CrdsArgs { output: None }.run(&mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        assert!(printed.contains("kind: DesktopDeletion\n") && printed.contains("kind: WorkspaceProject\n"));

        let folder = tempfile::tempdir().unwrap();
        let output = Some(folder.path().join("new"));
        CrdsArgs { output }.run(&mut Vec::new()).unwrap();
        assert!(folder.path().join("new/desktopdeletions.yaml").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = Some(file.path().join("sub"));
        let message = CrdsArgs { output }.run(&mut Vec::new()).unwrap_err().to_string();
        assert!(message.contains(&file.path().display().to_string()), "{message}");
    }
}
