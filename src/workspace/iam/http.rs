//! The calls of IAM over HTTPS, each on a connection of its own and never repeated: a wrong password that is sent twice
//! counts twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{CallObserver, Iam, Issued, wire};
use crate::ids::ProjectID;
use crate::workspace::api::ApiResponse;
use crate::workspace::auth::{Credentials, PasswordCredentials, Redact};
use crate::workspace::error::{Error, Operation};
use crate::workspace::exchange::{Exchange, Service};
use crate::workspace::text::Sanitizer;
use crate::workspace::wire::Unreadable;

/// Path of the tokens; the catalogue of services would only make the response longer.
const TOKENS: &str = "/v3/auth/tokens?nocatalog=true";

/// Path of the exchange.
const EXCHANGE: &str = "/v3.0/OS-CREDENTIAL/securitytokens";

/// IAM at one endpoint.
pub(in crate::workspace) struct HttpIam {
    pub(in crate::workspace) service: Service,
    pub(in crate::workspace) observer: Arc<dyn CallObserver>,
}

impl fmt::Debug for HttpIam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpIam({})", self.service.endpoint)
    }
}

#[async_trait]
impl Iam for HttpIam {
    async fn create_token(
        &self,
        credentials: &PasswordCredentials,
        project: &ProjectID,
    ) -> Result<Issued<SecretString>, Error> {
        let operation = Operation::CreateToken;
        let call = self.request(
            operation,
            Method::POST,
            TOKENS,
            wire::credentials(credentials, project).to_string(),
        )?;
        let response = self
            .call(operation, call, credentials, |headers, body| {
                Ok((wire::token(headers)?, wire::token_end(body)?))
            })
            .await?;
        Ok(self.issued(response))
    }

    async fn create_temporary_key(&self, token: &SecretString) -> Result<Issued<Credentials>, Error> {
        let operation = Operation::CreateTemporaryAccessKey;
        let mut call = self.request(operation, Method::POST, EXCHANGE, wire::exchange().to_string())?;
        call.headers_mut()
            .extend(auth(operation, &["x-auth-token"], token)?);
        let response = self
            .call(operation, call, &Credentials::Token(token.clone()), |_, body| {
                wire::temporary_key(body)
            })
            .await?;
        Ok(self.issued(response))
    }

    async fn token_expiry(&self, token: &SecretString) -> Result<Timestamp, Error> {
        let operation = Operation::ValidateToken;
        let mut call = self.request(operation, Method::GET, TOKENS, String::new())?;
        call.headers_mut()
            .extend(auth(operation, &["x-auth-token", "x-subject-token"], token)?);
        let response = self
            .call(operation, call, &Credentials::Token(token.clone()), |_, body| {
                wire::token_end(body)
            })
            .await?;
        Ok(response.value)
    }
}

impl HttpIam {
    fn request(
        &self,
        operation: Operation,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Request<Vec<u8>>, Error> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.service.endpoint))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into_bytes())
            .map_err(|error| Error::not_sent(operation, error.to_string()))
    }

    async fn call<T>(
        &self,
        operation: Operation,
        call: Request<Vec<u8>>,
        secrets: &dyn Redact,
        read: impl FnOnce(&HeaderMap, &[u8]) -> Result<T, Unreadable>,
    ) -> Result<ApiResponse<T>, Error> {
        let exchange = Exchange {
            operation,
            service: &self.service,
            sanitizer: Sanitizer(secrets),
        };
        let limits = self.service.limits(self.service.options.max_body);
        let received = exchange
            .exchange(&*self.service.clients.submissions, call, limits)
            .await;
        let result = received.and_then(|received| {
            let read = |body: &[u8], _: Sanitizer<'_>| read(&received.headers, body);
            exchange.decode(&received, received.status.is_success(), read)
        });
        let outcome = result.as_ref().map(|answer| answer.status);
        self.observer
            .call_ended(operation, outcome.map_err(|error| &error.failure));
        result
    }

    /// The lifetime is computed with the service's own clock, so a wrong local clock does not matter.
    fn issued<T>(&self, response: ApiResponse<(T, Timestamp)>) -> Issued<T> {
        let (value, ends) = response.value;
        let now = response.service_time.unwrap_or_else(|| self.service.clock.now());
        Issued {
            value,
            expires_at: ends,
            lifetime: Duration::try_from(ends.duration_since(now)).unwrap_or_default(),
        }
    }
}

/// Headers that send a token.
fn auth(operation: Operation, names: &[&'static str], token: &SecretString) -> Result<HeaderMap, Error> {
    let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
        Error::not_sent(
            operation,
            "the token contains characters that are not allowed in an HTTP header",
        )
    })?;
    value.set_sensitive(true);
    let names = names.iter().copied().map(http::HeaderName::from_static);
    Ok(names.map(|name| (name, value.clone())).collect())
}
