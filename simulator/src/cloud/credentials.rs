//! Authentication: access keys, tokens and passwords.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Request;
use super::api_error::ApiError;
use super::caller::Caller;
use super::signature::{self, Authorization, SignatureError};
use crate::world::{AccessKey, Account, Permission, StaticToken, World};

/// The credentials of the world file and those that IAM has issued since.
#[derive(Debug, Clone, Default)]
pub(super) struct CredentialStore {
    keys: HashMap<String, Key>,
    tokens: HashMap<String, Token>,
    failures: HashMap<String, Failures>,
}

#[derive(Debug, Clone)]
struct Key {
    secret: String,
    security_token: Option<String>,
    expires: Option<Timestamp>,
    caller: Caller,
}

/// A token with its owner and end.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) caller: Caller,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Debug, Clone, Default)]
struct Failures {
    in_a_row: u32,
    locked_until: Option<Timestamp>,
}

/// What the check of a signature needs to know about the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuthContext<'a> {
    pub(super) world: &'a World,
    /// The service's clock.
    pub(super) clock: Timestamp,
}

impl CredentialStore {
    /// The credentials of the world file.
    pub(super) fn of(world: &World) -> Self {
        let mut credentials = Self::default();
        for account in &world.accounts {
            credentials.add_account(account);
        }
        credentials
    }

    /// Makes the keys and tokens of an account valid.
    pub(super) fn add_account(&mut self, account: &Account) {
        for key in &account.access_keys {
            let user = key.user.as_deref().unwrap_or(&key.id);
            let permissions = key.permissions.clone().or_else(|| permissions_of(account, user));
            let caller = caller(account, &key.id, user, None, permissions);
            let AccessKey {
                secret,
                security_token,
                expires,
                ..
            } = key.clone();
            self.keys.insert(
                key.id.clone(),
                Key {
                    secret,
                    security_token,
                    expires,
                    caller,
                },
            );
        }
        for StaticToken {
            token,
            user,
            project,
            expires,
            permissions,
        } in &account.tokens
        {
            let permissions = permissions.clone().or_else(|| permissions_of(account, user));
            let caller = caller(account, user, user, project.clone(), permissions);
            self.tokens.insert(
                token.clone(),
                Token {
                    caller,
                    expires: *expires,
                },
            );
        }
    }

    /// Ends all keys and tokens of an account.
    pub(super) fn remove_account(&mut self, name: &str) {
        self.keys.retain(|_, key| key.caller.account != name);
        self.tokens.retain(|_, token| token.caller.account != name);
    }

    /// Checks the name and password of a user; returns the caller of a token for `project`.
    pub(super) fn password(
        world: &World,
        account: &str,
        user: &str,
        password: &str,
        project: Option<String>,
    ) -> Option<Caller> {
        let account = world.accounts.iter().find(|known| known.name == account)?;
        let known = account
            .users
            .iter()
            .find(|known| known.name == user && known.password == password)?;
        Some(caller(
            account,
            &known.name,
            &known.name,
            project,
            known.permissions.clone(),
        ))
    }

    /// Makes a token valid.
    pub(super) fn add_token(&mut self, text: String, caller: Caller, expires: Timestamp) {
        self.tokens.insert(
            text,
            Token {
                caller,
                expires: Some(expires),
            },
        );
    }

    /// Makes a temporary access key valid, with the rights of the token that it was made from.
    pub(super) fn add_temporary_key(&mut self, key: &TemporaryKey, mut caller: Caller) {
        caller.name.clone_from(&key.access);
        let made = Key {
            secret: key.secret.clone(),
            security_token: Some(key.security_token.clone()),
            expires: Some(key.expires),
            caller,
        };
        self.keys.insert(key.access.clone(), made);
    }

    /// The token with this text, if it is valid at `clock`.
    pub(super) fn token(&self, text: &str, clock: Timestamp) -> Option<&Token> {
        let token = self.tokens.get(text)?;
        token.expires.is_none_or(|end| clock < end).then_some(token)
    }

    /// Establishes who sent a request: by its signature, else by its token.
    pub(super) fn authenticate(
        &mut self,
        request: &Request,
        rules: AuthContext<'_>,
    ) -> Result<Caller, ApiError> {
        if let Some(header) = request.header("authorization") {
            let authorization = Authorization::parse(header).ok_or_else(|| {
                ApiError::unauthenticated("authorization header is not of the documented form")
            })?;
            return self.check_key(request, &authorization, rules);
        }
        let Some(text) = request.header("x-auth-token").filter(|text| !text.is_empty()) else {
            return Err(ApiError::unauthenticated("x-auth-token not found"));
        };
        let token = self
            .token(text, rules.clock)
            .ok_or_else(|| ApiError::unauthenticated("decrypt token fail"))?;
        Ok(token.caller.clone())
    }

    /// Checks a signature and keeps count of the failures in a row of each key.
    fn check_key(
        &mut self,
        request: &Request,
        authorization: &Authorization<'_>,
        rules: AuthContext<'_>,
    ) -> Result<Caller, ApiError> {
        let id = authorization.access_key;
        let Some(key) = self.keys.get(id) else {
            let why = format!("Get secretKey failed,ak:{id},err:ak not exist");
            return Err(ApiError::unauthenticated(&why));
        };
        let failures = self.failures.entry(id.to_owned()).or_default();
        if failures.locked_until.is_some_and(|end| rules.clock < end) {
            return Err(ApiError::unauthenticated(
                "AK access failed to reach the limit,forbidden",
            ));
        }
        match key.check(request, authorization, rules) {
            Ok(()) => {
                *failures = Failures::default();
                Ok(key.caller.clone())
            }
            Err(why) => {
                failures.in_a_row += 1;
                if failures.in_a_row > rules.world.switches.failures_before_lock {
                    let end = rules.world.timings.key_lock.after(rules.clock);
                    *failures = Failures {
                        in_a_row: 0,
                        locked_until: Some(end),
                    };
                }
                Err(ApiError::unauthenticated(why))
            }
        }
    }
}

impl Key {
    fn check(
        &self,
        request: &Request,
        authorization: &Authorization<'_>,
        rules: AuthContext<'_>,
    ) -> Result<(), &'static str> {
        if self.expires.is_some_and(|end| rules.clock >= end) {
            return Err("the temporary access key has expired");
        }
        match (&self.security_token, request.header("x-security-token")) {
            (None, None) => {}
            (Some(expected), Some(sent)) if expected == sent => {}
            (Some(_), None) => return Err("X-Security-Token is missing for a temporary access key"),
            (None, Some(_)) => return Err("X-Security-Token does not belong to a permanent access key"),
            (Some(_), Some(_)) => return Err("decrypt security token fail"),
        }
        let signed_at = request.header("x-sdk-date").and_then(signature::signing_time);
        let signed_at = signed_at.ok_or("X-Sdk-Date is missing or not of the form YYYYMMDDTHHMMSSZ")?;
        let window = rules.world.timings.signature_window;
        if window.after(signed_at) < rules.clock || signed_at > window.after(rules.clock) {
            return Err("signature expired, X-Sdk-Date is too far from the time of the gateway");
        }
        signature::verify(request, authorization, &self.secret).map_err(|error| match error {
            SignatureError::HeaderMissing => "verify aksk signature fail, a signed header is missing",
            SignatureError::BodyChanged => {
                "verify aksk signature fail, the body does not match X-Sdk-Content-Sha256"
            }
            SignatureError::Mismatch => "verify aksk signature fail",
        })
    }
}

/// A temporary access key, as IAM issues it.
#[derive(Debug, Clone)]
pub(super) struct TemporaryKey {
    pub(super) access: String,
    pub(super) secret: String,
    pub(super) security_token: String,
    pub(super) expires: Timestamp,
}

/// The caller that a request claims, authenticated or not: the access key, or the owner of a known token.
pub(super) fn claimed_name(credentials: &CredentialStore, request: &Request) -> Option<String> {
    if let Some(authorization) = request.header("authorization").and_then(Authorization::parse) {
        return Some(authorization.access_key.to_owned());
    }
    let token = credentials.tokens.get(request.header("x-auth-token")?)?;
    Some(token.caller.name.clone())
}

fn caller(
    account: &Account,
    name: &str,
    user: &str,
    project: Option<String>,
    permissions: Option<Vec<Permission>>,
) -> Caller {
    Caller {
        name: name.to_owned(),
        user: user.to_owned(),
        account: account.name.clone(),
        account_id: account.id.clone(),
        project,
        permissions,
    }
}

fn permissions_of(account: &Account, user: &str) -> Option<Vec<Permission>> {
    account
        .users
        .iter()
        .find(|known| known.name == user)?
        .permissions
        .clone()
}
