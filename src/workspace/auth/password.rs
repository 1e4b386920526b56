//! Name and password of an IAM user, as a Secret holds them.

use secrecy::{ExposeSecret, SecretString};

use super::{InvalidSecret, MIN_REDACTED, REDACTED, Redact, SecretData, checked, fingerprint, present};

/// Key of the Secret for the name of the account.
pub const DOMAIN_NAME: &str = "domainName";
/// Key of the Secret for the name of the user.
pub const USER_NAME: &str = "userName";
/// Key of the Secret for the password.
pub const PASSWORD: &str = "password";

/// Longest name or password that is accepted, in bytes: several times what a user would type.
const MAX_LENGTH: usize = 255;

/// An IAM user who logs in with a password.
#[derive(Debug, Clone)]
pub struct PasswordCredentials {
    domain: String,
    user: String,
    password: SecretString,
}

impl PasswordCredentials {
    /// The user of the keys `domainName`, `userName` and `password`.
    ///
    /// # Errors
    /// Names the key that is missing or cannot be used, and what to do.
    pub fn read(data: &SecretData) -> Result<Self, InvalidSecret> {
        let value = |key| present(data, key, checked(data, key, MAX_LENGTH, invalid_character)?);
        Ok(Self {
            domain: value(DOMAIN_NAME)?,
            user: value(USER_NAME)?,
            password: value(PASSWORD)?.into(),
        })
    }

    /// Name of the account.
    pub(in crate::workspace) fn domain(&self) -> &str {
        &self.domain
    }

    /// Name of the user.
    pub(in crate::workspace) fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    pub(in crate::workspace) fn password(&self) -> &str {
        self.password.expose_secret()
    }

    /// As [`SecretCredentials::fingerprint`](super::SecretCredentials::fingerprint).
    pub(in crate::workspace) fn fingerprint(&self) -> String {
        fingerprint(
            [
                (DOMAIN_NAME, self.domain()),
                (USER_NAME, self.user()),
                (PASSWORD, self.password()),
            ]
            .into_iter(),
        )
    }
}

impl Redact for PasswordCredentials {
    fn redact(&self, text: &str) -> String {
        if self.password().len() < MIN_REDACTED {
            return text.to_owned();
        }
        text.replace(self.password(), REDACTED)
    }
}

/// Why this text cannot be a name or password, if it cannot. Names may be of any language, passwords may hold blanks.
fn invalid_character(text: &str) -> Option<String> {
    if text.trim() != text {
        return Some("begins or ends with whitespace".to_owned());
    }
    let position = text.chars().position(|c| c.is_control() || c == '\u{feff}')?;
    Some(format!(
        "contains a control character at position {}",
        position + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] = [
        (DOMAIN_NAME, "Beispiel AG"),
        (USER_NAME, "vdi-robot"),
        (PASSWORD, "canary pass\"w\u{f6}rd"),
    ];

    fn read(entries: &[(&str, &str)]) -> Result<PasswordCredentials, InvalidSecret> {
        let entries = entries.iter();
        PasswordCredentials::read(
            &entries
                .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        )
    }

    /// The valid credentials with one value replaced.
    fn with(key: &str, value: &str) -> Result<PasswordCredentials, InvalidSecret> {
        read(&GOOD.map(|(name, good)| (name, if name == key { value } else { good })))
    }

    #[test]
    fn a_user_is_read_as_it_is_written() {
        let login = read(&GOOD).unwrap();
        assert_eq!(
            (login.domain(), login.user(), login.password()),
            ("Beispiel AG", "vdi-robot", "canary pass\"w\u{f6}rd")
        );
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_the_reason() {
        for (key, value, message) in [
            (PASSWORD, "", "the key password of the Secret is empty"),
            (PASSWORD, " \t", "the key password of the Secret is blank"),
            (
                PASSWORD,
                "canary\n",
                "the key password of the Secret ends with a line feed; create it with `kubectl create secret --from-literal` or `echo -n`",
            ),
            (
                USER_NAME,
                "robot ",
                "the key userName of the Secret begins or ends with whitespace",
            ),
            (
                DOMAIN_NAME,
                "ac\0me",
                "the key domainName of the Secret contains a control character at position 3",
            ),
            (
                PASSWORD,
                "a\r\nb",
                "the key password of the Secret contains a control character at position 2",
            ),
            (
                PASSWORD,
                &"x".repeat(256),
                "the key password of the Secret is 256 bytes long, more than the 255 that are allowed",
            ),
        ] {
            assert_eq!(with(key, value).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_missing_key_is_named_beside_those_that_are_there() {
        for missing in [DOMAIN_NAME, USER_NAME, PASSWORD] {
            let others: Vec<_> = GOOD.into_iter().filter(|(key, _)| *key != missing).collect();
            let message = read(&others).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!(
                    "the key {missing} of the Secret is missing; keys of the Secret: "
                )),
                "{message}"
            );
        }
    }

    #[test]
    fn the_fingerprint_changes_with_every_part() {
        let login = read(&GOOD).unwrap();
        assert_eq!(login.fingerprint(), read(&GOOD).unwrap().fingerprint());
        for key in [DOMAIN_NAME, USER_NAME, PASSWORD] {
            assert_ne!(
                login.fingerprint(),
                with(key, "other").unwrap().fingerprint(),
                "{key}"
            );
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let login = read(&GOOD).unwrap();
        let shown = format!("{login:?}");
        assert!(
            shown.contains("vdi-robot") && !shown.contains("canary"),
            "{shown}"
        );
        assert_eq!(
            login.redact("the password canary pass\"w\u{f6}rd is wrong"),
            "the password [redacted] is wrong"
        );
    }
}
