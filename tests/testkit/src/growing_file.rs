//! A file to which lines are added while it is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::error::{Context, Error};

/// The file, and how far it was read.
pub(crate) struct GrowingFile {
    path: PathBuf,
    offset: u64,
}

impl GrowingFile {
    /// Nothing of it was read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// The whole lines that were added since the last call.
    pub(crate) fn new_lines(&mut self) -> Result<String, Error> {
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut bytes)
        };
        read().context(|| format!("read {}", self.path.display()))?;
        // The last line may still be under way.
        let end = bytes.iter().rposition(|&byte| byte == b'\n');
        bytes.truncate(end.map_or(0, |end| end + 1));
        self.offset += bytes.len() as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
