//! Archives that depend on names, permissions and contents of their files, and on one given time.

use std::collections::BTreeSet;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Path in the archive, relative.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it is a program.
    pub executable: bool,
}

impl File {
    /// A file that is no program.
    pub fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
            executable: false,
        }
    }

    /// A program.
    pub fn program(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            executable: true,
            ..Self::new(path, content)
        }
    }
}

/// A tar archive of the files, sorted, below folders that belong to root. Everything has the time `epoch`, in seconds.
///
/// # Errors
///
/// A path is there twice, or is none that an archive can hold.
pub fn tar(mut files: Vec<File>, epoch: u64) -> io::Result<Vec<u8>> {
    files.sort();
    let mut archive = Builder::new(Vec::new());
    let mut known = BTreeSet::new();
    for file in &files {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..=end];
            if known.insert(folder) {
                let mut header = header(EntryType::Directory, 0o755, 0, epoch);
                archive.append_data(&mut header, folder, io::empty())?;
            }
        }
        if !known.insert(&file.path) {
            return Err(io::Error::other(format!("{} is there twice", file.path)));
        }
        let mode = if file.executable { 0o755 } else { 0o644 };
        let mut header = header(EntryType::Regular, mode, file.content.len() as u64, epoch);
        archive.append_data(&mut header, &file.path, &*file.content)?;
    }
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64, epoch: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(epoch);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Compresses, without a name and a time.
///
/// # Errors
///
/// Never in memory, as far as is known.
pub fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = GzBuilder::new().write(Vec::new(), Compression::best());
    compressed.write_all(content)?;
    compressed.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_does_not_depend_on_the_order_of_its_files() {
        let files = vec![
            File::program("b/program", "x"),
            File::new("a", "y"),
            File::new("b/c/d", ""),
        ];
        let mut reversed = files.clone();
        reversed.reverse();
        let one = tar(files, 1_000).unwrap();
        assert_eq!(one, tar(reversed, 1_000).unwrap());

        let mut read = tar::Archive::new(&*one);
        let entries = read.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 1_000);
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            (
                entry.path().unwrap().display().to_string(),
                header.mode().unwrap(),
            )
        });
        let expected = [
            ("a", 0o644),
            ("b/", 0o755),
            ("b/c/", 0o755),
            ("b/c/d", 0o644),
            ("b/program", 0o755),
        ];
        assert_eq!(
            entries.collect::<Vec<_>>(),
            expected.map(|(path, mode)| (path.to_owned(), mode))
        );
    }

    #[test]
    fn a_path_that_is_there_twice_is_refused() {
        let error = tar(vec![File::new("a", "1"), File::new("a", "2")], 0).unwrap_err();
        assert_eq!(error.to_string(), "a is there twice");
    }

    #[test]
    fn what_is_compressed_has_neither_time_nor_name() {
        let compressed = gzip(b"content").unwrap();
        // Flags, then four bytes of time.
        assert_eq!(compressed[3..8], [0, 0, 0, 0, 0]);
        let mut content = String::new();
        GzDecoder::new(&*compressed).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
    }
}
