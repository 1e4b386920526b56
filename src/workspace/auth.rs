//! Credentials: parsed from the data of a Secret, checked, and used to authenticate requests. The Secret itself is read in
//! `controllers::project_session`, and `super::text` removes credentials from texts of the cloud.
//!
//! | file | content |
//! | --- | --- |
//! | this | what requests are authenticated with: an access key or a token |
//! | [`password`] | the name and password of a user, which IAM exchanges for one of these |

use std::collections::BTreeMap;
use std::fmt;

use ring::digest;
use secrecy::{ExposeSecret, SecretString};

use super::signature::hex;

pub mod password;

pub use password::PasswordCredentials;

/// Longest token: what the API definition allows for `X-Auth-Token`, in characters.
pub(super) const MAX_TOKEN: usize = 40_000;

/// Longest access key id or secret key that is accepted. The vendor's have 20 and 40 characters.
const MAX_KEY: usize = 255;

/// Secrets shorter than this are not searched for in texts: they could be parts of ordinary words.
const MIN_REDACTED: usize = 4;

/// Placeholder for a secret.
const REDACTED: &str = "[redacted]";

/// Key of the Secret for the access key id.
pub const ACCESS_KEY: &str = "accessKey";
/// Key of the Secret for the secret key.
pub const SECRET_KEY: &str = "secretKey";
/// Key of the Secret for the security token that belongs to a temporary access key.
pub const SECURITY_TOKEN: &str = "securityToken";
/// Key of the Secret for a ready `X-Auth-Token`.
pub const TOKEN: &str = "token";

/// Content of a Secret: its `data`, decoded from base64.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// The credentials in a Secret.
#[derive(Debug, Clone)]
pub enum SecretCredentials {
    /// Credentials that are used for requests as they are.
    Static(Credentials),
    /// A user name and password, which IAM exchanges for other credentials.
    Password(PasswordCredentials),
}

impl SecretCredentials {
    /// As [`Credentials::access_key`].
    ///
    /// # Errors
    /// As there.
    pub fn access_key(data: &SecretData) -> Result<Self, InvalidSecret> {
        Credentials::access_key(data).map(Self::Static)
    }

    /// As [`Credentials::token`].
    ///
    /// # Errors
    /// As there.
    pub fn token(data: &SecretData) -> Result<Self, InvalidSecret> {
        Credentials::token(data).map(Self::Static)
    }

    /// As [`PasswordCredentials::read`].
    ///
    /// # Errors
    /// As there.
    pub fn password(data: &SecretData) -> Result<Self, InvalidSecret> {
        PasswordCredentials::read(data).map(Self::Password)
    }

    /// Changes whenever the content of the Secret does, and stays the same when IAM issues new credentials for it; it
    /// does not reveal the content.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Static(credentials) => credentials.fingerprint(),
            Self::Password(credentials) => credentials.fingerprint(),
        }
    }
}

/// Something whose secrets can be taken out of a text.
pub(super) trait Redact: fmt::Debug + Sync {
    /// The text without any part of these credentials, in case a service or a library repeats one.
    fn redact(&self, text: &str) -> String;
}

/// Credentials for requests.
#[derive(Clone)]
pub enum Credentials {
    /// Each request is signed; the signature expires by itself.
    AccessKey(AccessKey),
    /// Each request carries the same token.
    Token(SecretString),
}

/// An access key, permanent or temporary.
#[derive(Clone)]
pub struct AccessKey {
    id: String,
    secret: SecretString,
    security_token: Option<SecretString>,
}

/// A value in a Secret that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {key} of the Secret {reason}")]
pub struct InvalidSecret {
    key: &'static str,
    reason: String,
}

impl Credentials {
    /// An access key from the keys `accessKey`, `secretKey` and, for a temporary one, `securityToken`.
    ///
    /// # Errors
    /// Names the key that is missing or cannot be used, and what to do.
    pub fn access_key(data: &SecretData) -> Result<Self, InvalidSecret> {
        let id = required(data, ACCESS_KEY, MAX_KEY)?;
        if id.contains([',', '=']) {
            return Err(InvalidSecret {
                key: ACCESS_KEY,
                reason: "contains ',' or '=', which is invalid in an access key ID".to_owned(),
            });
        }
        Ok(Self::AccessKey(AccessKey {
            id,
            secret: required(data, SECRET_KEY, MAX_KEY)?.into(),
            security_token: optional(data, SECURITY_TOKEN, MAX_TOKEN)?.map(SecretString::from),
        }))
    }

    /// A ready token from the key `token`.
    ///
    /// # Errors
    /// The key is missing or its value cannot be sent in a header.
    pub fn token(data: &SecretData) -> Result<Self, InvalidSecret> {
        Ok(Self::Token(required(data, TOKEN, MAX_TOKEN)?.into()))
    }

    /// An access key that IAM made.
    pub(super) fn temporary(id: String, secret: SecretString, security_token: SecretString) -> Self {
        Self::AccessKey(AccessKey {
            id,
            secret,
            security_token: Some(security_token),
        })
    }

    /// A value that changes whenever the credentials do and does not reveal them: 16 hex digits of a SHA-256 over all
    /// parts.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.parts())
    }

    /// Name and value of each part, the longest first where one might hold another.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let (key, token) = match self {
            Self::AccessKey(key) => (Some(key), None),
            Self::Token(token) => (None, Some(token)),
        };
        let security_token = key.and_then(|key| key.security_token.as_ref());
        [
            security_token.map(|token| (SECURITY_TOKEN, token.expose_secret())),
            key.map(|key| (SECRET_KEY, key.secret.expose_secret())),
            key.map(|key| (ACCESS_KEY, key.id.as_str())),
            token.map(|token| (TOKEN, token.expose_secret())),
        ]
        .into_iter()
        .flatten()
    }
}

impl AccessKey {
    /// The access key id, for the `Authorization` header.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The secret key, for the signature.
    pub(super) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The security token, for its header.
    pub(super) fn security_token(&self) -> Option<&str> {
        self.security_token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// The access key id for people: enough to recognise it in the console, too little to use.
    fn masked(&self) -> String {
        self.id
            .chars()
            .take(self.id.len().min(8) / 2)
            .chain(['…'])
            .collect()
    }
}

impl Redact for Credentials {
    fn redact(&self, text: &str) -> String {
        self.parts()
            .filter(|(_, secret)| secret.len() >= MIN_REDACTED)
            .fold(text.to_owned(), |text, (name, secret)| {
                if !text.contains(secret) {
                    return text;
                }
                match self {
                    Self::AccessKey(key) if name == ACCESS_KEY => text.replace(secret, &key.masked()),
                    _ => text.replace(secret, REDACTED),
                }
            })
    }
}

/// Shows the kind of credentials, and the first characters of an access key id.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessKey(key) => key.fmt(f),
            Self::Token(_) => f.write_str("Token"),
        }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.masked())
            .finish_non_exhaustive()
    }
}

/// 16 hex digits that depend on every name and value.
fn fingerprint<'a>(parts: impl Iterator<Item = (&'static str, &'a str)>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"desktop-deletion-operator login\0");
    for (name, value) in parts {
        context.update(name.as_bytes());
        context.update(&(value.len() as u64).to_be_bytes());
        context.update(value.as_bytes());
    }
    hex(&context.finish().as_ref()[..8])
}

fn required(data: &SecretData, key: &'static str, max: usize) -> Result<String, InvalidSecret> {
    present(data, key, optional(data, key, max)?)
}

fn optional(data: &SecretData, key: &'static str, max: usize) -> Result<Option<String>, InvalidSecret> {
    checked(data, key, max, header_error)
}

/// The value of a required key, or an error that lists the keys of the Secret.
fn present(data: &SecretData, key: &'static str, value: Option<String>) -> Result<String, InvalidSecret> {
    value.ok_or_else(|| {
        let others: Vec<&str> = data.keys().take(8).map(String::as_str).collect();
        let has = if others.is_empty() {
            "none".to_owned()
        } else {
            others.join(", ")
        };
        InvalidSecret {
            key,
            reason: format!("is missing; keys of the Secret: {has}"),
        }
    })
}

/// The value of a key as text; `flaw` returns what is wrong with a value that is neither empty nor too long.
fn checked(
    data: &SecretData,
    key: &'static str,
    max: usize,
    flaw: fn(&str) -> Option<String>,
) -> Result<Option<String>, InvalidSecret> {
    let Some(bytes) = data.get(key) else {
        return Ok(None);
    };
    text(bytes, max)
        .and_then(|text| flaw(text).map_or_else(|| Ok(Some(text.to_owned())), Err))
        .map_err(|why| InvalidSecret { key, reason: why })
}

/// The value as text. It is never trimmed: an invalid Secret is reported once, here, rather than as a failed login
/// that counts towards a lock.
fn text(bytes: &[u8], max: usize) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        "is not valid UTF-8; encode the value in base64 exactly once in data, or use stringData".to_owned()
    })?;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.trim().is_empty() {
        return Err("is blank".to_owned());
    }
    if text.ends_with(['\n', '\r']) {
        return Err(
            "ends with a line feed; create it with `kubectl create secret --from-literal` or `echo -n`"
                .to_owned(),
        );
    }
    if text.len() > max {
        return Err(format!(
            "is {} bytes long, more than the {max} that are allowed",
            text.len()
        ));
    }
    Ok(text)
}

/// Why a text cannot be sent in a header, if it cannot.
fn header_error(text: &str) -> Option<String> {
    let position = text.bytes().position(|b| !b.is_ascii_graphic())?;
    Some(format!(
        "contains a space, a control character or a non-ASCII character at position {}",
        position + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entries: &[(&str, &[u8])]) -> SecretData {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_vec()))
            .collect()
    }

    fn access_key(entries: &[(&str, &[u8])]) -> Credentials {
        Credentials::access_key(&secret(entries)).unwrap()
    }

    const AK: (&str, &[u8]) = ("accessKey", b"AKEXAMPLE00000000000");
    const SK: (&str, &[u8]) = ("secretKey", b"SKEXAMPLE-canary");

    #[test]
    fn both_kinds_of_credentials_are_read() {
        assert!(
            matches!(access_key(&[AK, SK]), Credentials::AccessKey(key) if key.security_token().is_none())
        );
        let temporary = access_key(&[AK, SK, ("securityToken", b"ST+/==")]);
        assert!(matches!(temporary, Credentials::AccessKey(key) if key.security_token() == Some("ST+/==")));
        assert!(matches!(
            Credentials::token(&secret(&[("token", b"MII")])),
            Ok(Credentials::Token(_))
        ));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_the_reason() {
        let long = vec![b'x'; 256];
        for (value, message) in [
            (&b""[..], "the key secretKey of the Secret is empty"),
            (b"  \n", "the key secretKey of the Secret is blank"),
            (
                b"abc\n",
                "the key secretKey of the Secret ends with a line feed; create it with `kubectl create secret --from-literal` or `echo -n`",
            ),
            (
                b"abc\r\n",
                "the key secretKey of the Secret ends with a line feed; create it with `kubectl create secret --from-literal` or `echo -n`",
            ),
            (
                b"a\r\nX-Evil: 1",
                "the key secretKey of the Secret contains a space, a control character or a non-ASCII character at position 2",
            ),
            (
                b"a b",
                "the key secretKey of the Secret contains a space, a control character or a non-ASCII character at position 2",
            ),
            (
                "\u{200b}abc".as_bytes(),
                "the key secretKey of the Secret contains a space, a control character or a non-ASCII character at position 1",
            ),
            (
                &[0xff, 0xfe],
                "the key secretKey of the Secret is not valid UTF-8; encode the value in base64 exactly once in data, or use stringData",
            ),
            (
                &long,
                "the key secretKey of the Secret is 256 bytes long, more than the 255 that are allowed",
            ),
        ] {
            let error = Credentials::access_key(&secret(&[AK, ("secretKey", value)])).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_missing_key_is_named_beside_those_that_are_there() {
        let error = Credentials::access_key(&secret(&[("token", b"x")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key accessKey of the Secret is missing; keys of the Secret: token"
        );
        let error = Credentials::token(&secret(&[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the key token of the Secret is missing; keys of the Secret: none"
        );
    }

    #[test]
    fn an_access_key_id_cannot_break_the_header_that_holds_it() {
        assert!(Credentials::access_key(&secret(&[("accessKey", b"AK,SignedHeaders=host"), SK])).is_err());
    }

    #[test]
    fn a_token_may_have_40_000_characters_and_no_more() {
        assert!(Credentials::token(&secret(&[("token", &vec![b'x'; 40_000])])).is_ok());
        assert!(Credentials::token(&secret(&[("token", &vec![b'x'; 40_001])])).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", access_key(&[AK, SK, ("securityToken", b"ST-canary")]));
        assert_eq!(shown, "AccessKey { id: \"AKEX…\", .. }");
        assert_eq!(
            format!(
                "{:?}",
                Credentials::token(&secret(&[("token", b"canary")])).unwrap()
            ),
            "Token"
        );
    }

    #[test]
    fn the_fingerprint_depends_on_every_part_and_reveals_none() {
        let one = access_key(&[AK, SK]);
        assert_eq!(one.fingerprint(), access_key(&[AK, SK]).fingerprint());
        assert_eq!(one.fingerprint().len(), 16);
        let others = [
            access_key(&[("accessKey", b"AKEXAMPLE00000000001"), SK]),
            access_key(&[AK, ("secretKey", b"SKEXAMPLE-canarz")]),
            access_key(&[AK, SK, ("securityToken", b"ST")]),
            access_key(&[
                ("accessKey", b"AKEXAMPLE0000000000"),
                ("secretKey", b"0SKEXAMPLE-canary"),
            ]),
        ];
        for other in others {
            assert_ne!(one.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }

    #[test]
    fn parts_of_the_credentials_are_redacted_in_texts() {
        let key = access_key(&[AK, SK, ("securityToken", b"ST-canary")]);
        assert_eq!(
            key.redact("Get secretKey failed,ak:AKEXAMPLE00000000000,sk:SKEXAMPLE-canary,token:ST-canary"),
            "Get secretKey failed,ak:AKEX…,sk:[redacted],token:[redacted]"
        );
        let token = Credentials::token(&secret(&[("token", b"MII-canary")])).unwrap();
        assert_eq!(
            token.redact("decrypt token MII-canary fail"),
            "decrypt token [redacted] fail"
        );
    }
}
