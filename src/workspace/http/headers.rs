//! A call with its headers, including authentication.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::ids::ProjectID;
use crate::workspace::auth::Credentials;
use crate::workspace::signature::{self, sign};

const SECRET: [&str; 3] = ["authorization", "x-auth-token", "x-security-token"];

/// A call as it is to be sent. The query of `url` is in canonical form: it is signed like this and sent like this.
///
/// # Errors
/// The URL is invalid, or the credentials contain characters that are not allowed in a header.
pub(super) fn signed(
    method: Method,
    url: &str,
    body: Vec<u8>,
    project_id: &ProjectID,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Request<Vec<u8>>, String> {
    // The service wants the content type on every call, also on those without a body.
    let mut given = vec![
        ("Content-Type", "application/json"),
        ("X-Project-Id", project_id.as_str()),
    ];
    let mut all: Vec<(String, String)> = match credentials {
        Credentials::AccessKey(key) => {
            given.extend(key.security_token().map(|token| ("X-Security-Token", token)));
            let request = signature::Request {
                method: method.as_str(),
                url,
                headers: &given,
                body: &body,
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
    let headers: Option<HeaderMap> = all.iter().map(|(name, value)| header(name, value)).collect();
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .body(body)
        .map_err(|error| error.to_string())?;
    *request.headers_mut() =
        headers.ok_or("the credentials contain characters that are not allowed in an HTTP header")?;
    Ok(request)
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
        let credentials = Credentials::Token("TOKEN-canary".to_owned().into());
        let project_id = ProjectID::try_from("p1").unwrap();
        let (url, now) = ("https://a.example/", Timestamp::UNIX_EPOCH);
        let call = signed(Method::GET, url, Vec::new(), &project_id, &credentials, now).unwrap();
        assert!(!format!("{call:?}").contains("canary"));
    }
}
