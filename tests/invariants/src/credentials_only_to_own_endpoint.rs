//! I9: credentials go only to their own endpoint and project.

use crate::history::{Call, History, Login};
use crate::invariant::{Invariant::CredentialsStayHome, Violation};

/// A call of the cloud, and what each credential is for.
pub fn call(call: &Call, logins: &[Login]) -> Option<Violation> {
    let credential = call.credential.as_ref()?;
    let at_home = |login: &Login| {
        let project = call
            .project
            .as_ref()
            .is_none_or(|project| *project == login.project);
        login.credential == *credential && login.endpoint == call.endpoint && project
    };
    CredentialsStayHome.unless(
        logins.iter().any(at_home),
        "credentials were sent to another endpoint or project",
        || {
            let own: Vec<_> = logins
                .iter()
                .filter(|login| login.credential == *credential)
                .collect();
            format!("{call:?}; it is for {own:?}")
        },
    )
}

/// Judges every call.
pub fn judge(history: &History) -> Vec<Violation> {
    let calls = history.calls.iter();
    calls.filter_map(|made| call(made, &history.logins)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{hows, ordinary_history};

    #[test]
    fn calls_with_the_right_credentials_and_without_any_are_allowed() {
        let mut history = ordinary_history();
        assert_eq!(judge(&history), []);
        history.calls[0].project = None;
        assert_eq!(judge(&history), [], "a login has no project");
        history.calls[0].credential = None;
        history.calls[0].endpoint = "elsewhere".to_owned();
        assert_eq!(judge(&history), []);
    }

    #[test]
    fn credentials_that_are_sent_elsewhere_are_reported() {
        type Change = fn(&mut Call);
        let changes: [Change; 3] = [
            |call| call.endpoint = "elsewhere".to_owned(),
            |call| call.project = Some("another".to_owned()),
            |call| call.credential = Some("key-of-another".to_owned()),
        ];
        for change in changes {
            let mut history = ordinary_history();
            change(&mut history.calls[0]);
            let how = ["credentials were sent to another endpoint or project"];
            assert_eq!(hows(&judge(&history)), how);
        }
    }
}
