//! Digests, and the ids that are made of them.

use std::fmt::Write;

use ring::digest;

/// The SHA-256 of some bytes in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes)
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// An id of 32 hexadecimal digits that depends on nothing but its arguments.
pub(crate) fn derived_id(seed: u64, kind: &str, name: &str) -> String {
    let mut id = sha256_hex(format!("{seed}/{kind}/{name}").as_bytes());
    id.truncate(32);
    id
}
