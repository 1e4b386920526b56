//! Makes the files of a release that no other program makes. `release/run` puts them together.
//!
//! Everything here is a function of its input: no clock, no network, no path of the machine, so that the same commit gives
//! the same bytes wherever it is built.
//!
//! - [`archive`]: tar and gzip without traces of the machine.
//! - [`image`]: the operator's image as an OCI layout, with the files and the configuration of `deploy/Dockerfile`.
//! - [`sbom`]: what is compiled into the programs, in `CycloneDX`.
//! - [`provenance`]: from what the files were built, as an in-toto statement in the words of SLSA.
//! - [`bundle`]: the bundle of the Operator Lifecycle Manager.
//! - [`krew`]: the manifest of the kubectl plugin.
//! - [`changelog`]: the notes of one version.
//! - [`site`]: the documentation as a book.
//! - [`links`]: where a rendered site leads to nothing.
//! - [`version`]: the version is the same wherever it is written.

pub mod archive;
pub mod bundle;
pub mod changelog;
pub mod image;
pub mod krew;
pub mod links;
pub mod provenance;
pub mod sbom;
pub mod site;
pub mod version;

/// SHA-256 in hexadecimal digits.
pub fn sha256(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// The time of a commit as RFC 3339, or `None` if it is in no year that can be written so.
pub fn time(epoch: i64) -> Option<String> {
    jiff::Timestamp::from_second(epoch)
        .ok()
        .map(|time| time.to_string())
}
