//! No secret in the output of an operator. Every secret of the tests is a canary: it contains the word [`MARK`], or was
//! passed to [`guard`] by the part of the test kit that handed it out. When an [`Operator`] ends,
//! its whole log, its metrics, and all that was written to the API server meanwhile are searched for them; when a
//! [`Cluster`] with nodes ends, all that its pods have printed; and when an [`OtlpCollector`] ends, the traces that it was sent.
//!
//! [`Cluster`]: crate::node::Cluster
//! [`Operator`]: crate::Operator
//! [`OtlpCollector`]: crate::OtlpCollector

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;
use serde_json::json;

use crate::eventually::GENEROUS;
use crate::growing_file::GrowingFile;

/// The word that marks a secret. The simulated cloud puts it into those that it makes up, too.
pub const MARK: &str = "canary";

/// How every JSON web token begins, such as that of a service account: `{"alg":` in base64.
const WEB_TOKEN: &str = "eyJhbGciOi";

/// What is shorter is found in texts that have nothing to do with it.
const SHORTEST: usize = 8;

/// How much of a line is shown on each side of a secret.
const AROUND: usize = 300;

/// How long an operator may take to return its metrics.
const BOUND: Duration = GENEROUS;

/// Secrets without the mark.
static UNMARKED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Audit logs, as far as they were searched.
static AUDIT_LOGS: LazyLock<Mutex<HashMap<PathBuf, GrowingFile>>> = LazyLock::new(Mutex::default);

/// Has this secret searched for, from now on and in this process. Blank and very short ones are none.
pub fn guard(secret: &str) {
    let secret = secret.trim();
    if secret.len() >= SHORTEST && !secret.contains(MARK) {
        let mut unmarked = UNMARKED.lock().unwrap_or_else(PoisonError::into_inner);
        unmarked.insert(secret.to_owned());
    }
}

/// The place in a text that shows a secret, with what stands around it: as it is, in base64 at any place of the encoded bytes, in
/// hexadecimal digits, or as Rust prints bytes.
pub fn find(text: &str) -> Option<&str> {
    let unmarked = UNMARKED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let secrets = unmarked.iter().map(String::as_str).chain([MARK]);
    let mut needles: Vec<String> = secrets.flat_map(forms).collect();
    needles.push(WEB_TOKEN.to_owned());
    let shown = needles.iter().find_map(|needle| text.find(needle))?;
    let line = text[..shown].rfind('\n').map_or(0, |end| end + 1);
    let begin = boundary(text, shown.saturating_sub(AROUND)).max(line);
    let rest = text[begin..].lines().next()?;
    Some(&rest[..boundary(rest, shown - begin + AROUND)])
}

/// The last place at or before this one at which a text can be cut.
fn boundary(text: &str, place: usize) -> usize {
    let place = place.min(text.len());
    (0..=place)
        .rfind(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}

/// Ways in which a program may print a secret.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let join = |digits: &dyn Fn(&u8) -> String, between: &str| {
        bytes.iter().map(digits).collect::<Vec<_>>().join(between)
    };
    let mut forms = vec![
        secret.to_owned(),
        join(&|byte| byte.to_string(), ", "),
        join(&|byte| format!("{byte:02x}"), ""),
        join(&|byte| format!("{byte:02X}"), ""),
    ];
    // Three bytes are four characters, so what stands before shifts the rest in one of three ways.
    for (before, unknown) in [(0, 0), (1, 2), (2, 3)] {
        let shifted = [vec![0; before], bytes.to_vec()].concat();
        let known = shifted.len() * 8 / 6;
        let encoded = json!(ByteString(shifted));
        let encoded = encoded.as_str().unwrap_or_default();
        forms.push(encoded[unknown..known].to_owned());
    }
    forms
}

/// What was found in one place.
pub(crate) fn search(place: &str, text: &str) -> Option<String> {
    find(text).map(|line| format!("a secret stands in {place}: {line}"))
}

/// Searches what has been added to the audit log beside a kubeconfig since it was last searched. The log has the
/// bodies of all writes but those of Secrets.
pub(crate) fn search_audit(kubeconfig: &Path) -> Option<String> {
    let path = kubeconfig.with_file_name(crate::audit::FILE);
    let mut logs = AUDIT_LOGS.lock().unwrap_or_else(PoisonError::into_inner);
    let log = logs
        .entry(path.clone())
        .or_insert_with(|| GrowingFile::new(path.clone()));
    // The kubeconfig may be that of another cluster.
    if !path.exists() {
        return None;
    }
    match log.new_lines() {
        Ok(lines) => search("the audit log", &lines),
        Err(error) => Some(format!("the audit log cannot be searched: {error}")),
    }
}

/// What `/metrics` answers; `None` if it does not, since the process is about to end or busy.
pub(crate) fn metrics(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, BOUND).ok()?;
    stream.set_read_timeout(Some(BOUND)).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Fails the test that these were found in; a test that fails already only shows them.
///
/// # Panics
///
/// When something was found.
pub(crate) fn report(found: &[String]) {
    if found.is_empty() {
        return;
    }
    let text = found.join("\n");
    if std::thread::panicking() {
        eprintln!("{text}");
    } else {
        #[expect(
            clippy::panic,
            reason = "called when a value of a test is dropped, which has no other way to fail it"
        )]
        {
            panic!("{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_in_which_it_may_be_printed() {
        let secret = "canary-secret-key-1";
        let base64 = |text: &str| json!(ByteString(text.as_bytes().to_vec())).to_string();
        for shown in [
            secret.to_owned(),
            format!("{:?}", secret.as_bytes()),
            format!("{:02x?}", secret.as_bytes()).replace(", ", ""),
            base64(secret),
            base64(&format!("a{secret}")),
            base64(&format!("ab{secret}")),
            base64(&format!("abc{secret}")),
            "bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30.c2ln".to_owned(),
        ] {
            let text = format!("first\nsecond {shown} end\nthird");
            assert_eq!(find(&text), Some(format!("second {shown} end").as_str()));
        }
    }

    #[test]
    fn an_unmarked_secret_is_found_once_it_is_registered() {
        let text = "the password Tr0ub4dor&3 is wrong";
        assert_eq!(find(text), None);
        guard("Tr0ub4dor&3");
        assert_eq!(find(text), Some(text));
        guard("wrong");
        guard("        ");
        assert_eq!(find("the wrong        way"), None, "these are no secrets");
    }
}
