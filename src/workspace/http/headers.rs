//! The headers of a call, proof of the caller included.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::ids::ProjectID;
use crate::workspace::auth::Credentials;
use crate::workspace::signature::{self, sign};

const SECRET: [&str; 3] = ["authorization", "x-auth-token", "x-security-token"];

/// A call whose headers are wanted.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    /// The query in canonical form: it is signed like this and must be sent like this.
    pub(super) url: &'a str,
    pub(super) body: &'a [u8],
}

impl Call<'_> {
    /// As it is to be sent.
    ///
    /// # Errors
    /// The URL is none.
    pub(super) fn with(&self, headers: HeaderMap) -> Result<Request<Vec<u8>>, http::Error> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.url)
            .body(self.body.to_vec())?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Every header to send; `None` if the credentials contain characters that are not allowed in an HTTP header.
pub(super) fn headers(
    call: &Call<'_>,
    project_id: &ProjectID,
    credentials: &Credentials,
    now: Timestamp,
) -> Option<HeaderMap> {
    // The service wants the content type on every call, also on those without a body.
    let mut given = vec![
        ("Content-Type", "application/json"),
        ("X-Project-Id", project_id.as_str()),
    ];
    let mut all: Vec<(String, String)> = match credentials {
        Credentials::AccessKey(key) => {
            given.extend(key.security_token().map(|token| ("X-Security-Token", token)));
            let request = signature::Request {
                method: call.method.as_str(),
                url: call.url,
                headers: &given,
                body: call.body,
            };
            sign(&request, key.id(), key.secret(), &sdk_date(now)).headers
        }
        Credentials::Token(token) => {
            given.push(("X-Auth-Token", token.expose_secret()));
            given
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        }
    };
    // Not signed: it only chooses the language of messages, and a proxy may change it.
    all.push(("X-Language".to_owned(), "en-us".to_owned()));
    all.iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(SECRET.contains(&name.as_str()));
    Some((name, value))
}

/// `X-Sdk-Date`: UTC, cut to the second.
fn sdk_date(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_signature_is_cut_to_the_second() {
        assert_eq!(
            sdk_date("2026-01-05T08:03:02.999Z".parse().unwrap()),
            "20260105T080302Z"
        );
    }

    #[test]
    fn headers_that_prove_the_caller_are_marked_as_secret() {
        let call = Call {
            method: &Method::GET,
            url: "https://a.example/",
            body: &[],
        };
        let credentials = Credentials::Token("TOKEN-canary".to_owned().into());
        let project_id = ProjectID::try_from("p1").unwrap();
        let headers = headers(&call, &project_id, &credentials, Timestamp::UNIX_EPOCH).unwrap();
        assert!(!format!("{headers:?}").contains("canary"));
    }
}
