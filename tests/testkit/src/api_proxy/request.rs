//! A request of the Kubernetes API, read as the API server reads it.

use bytes::Bytes;
use http::{Method, request::Parts};
use serde_json::Value;

/// What the operator asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiRequest {
    /// The number of the request through the proxy, from 1.
    pub number: usize,
    /// Verb of the Kubernetes API: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// Plural name, such as `desktopdeletions`; empty for paths that name none, such as `/version`.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty outside of one.
    pub namespace: String,
    /// Name of the object; empty for a collection.
    pub name: String,
    /// The query as it was sent, such as `watch=true&limit=5`; empty without one.
    pub query: String,
    /// The body; null without one.
    pub body: Value,
}

impl ApiRequest {
    /// Is it a write (`update` or `patch`) to an object of this resource, or to its subresource if one is named?
    pub fn writes(&self, resource: &str, subresource: &str, name: &str) -> bool {
        matches!(self.verb, "update" | "patch")
            && self.resource == resource
            && self.subresource == subresource
            && self.name == name
    }

    pub(super) fn read(number: usize, head: &Parts, body: &Bytes) -> Self {
        let mut segments = head.uri.path().split('/').skip(1);
        // /api/v1/..., /apis/<group>/<version>/...
        match segments.next() {
            Some("api") => segments.next(),
            Some("apis") => segments.nth(1),
            _ => {
                return Self {
                    number,
                    verb: "get",
                    ..Self::default()
                };
            }
        };
        let path: Vec<&str> = segments.collect();
        let (namespace, rest) = match path.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |index: usize| (*rest.get(index).unwrap_or(&"")).to_owned();
        Self {
            number,
            verb: verb(&head.method, head.uri.query().unwrap_or_default(), rest.len() > 1),
            resource: part(0),
            name: part(1),
            subresource: part(2),
            namespace: namespace.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }
}

fn verb(method: &Method, query: &str, names_an_object: bool) -> &'static str {
    let watches = query
        .split('&')
        .any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"));
    match *method {
        Method::GET if watches => "watch",
        Method::GET if names_an_object => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str) -> ApiRequest {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        ApiRequest::read(7, &request.into_parts().0, &Bytes::from_static(b"{\"a\": 1}"))
    }

    #[test]
    fn verb_and_object_are_derived_from_method_and_path() {
        let status = read(
            "PUT",
            "/apis/cloud-desktops.dev/v1alpha1/namespaces/n/desktopdeletions/dd/status?",
        );
        assert!(status.writes("desktopdeletions", "status", "dd"), "{status:?}");
        assert_eq!((status.number, status.namespace.as_str()), (7, "n"));
        assert_eq!(status.body, serde_json::json!({"a": 1}));
        let watch = read(
            "GET",
            "/apis/cloud-desktops.dev/v1alpha1/desktopdeletions?limit=5&watch=true",
        );
        assert_eq!(
            (watch.verb, watch.resource.as_str(), watch.name.as_str()),
            ("watch", "desktopdeletions", "")
        );
        assert_eq!(watch.query, "limit=5&watch=true");
        let secret = read("GET", "/api/v1/namespaces/n/secrets/login");
        assert_eq!(
            (secret.verb, secret.resource.as_str(), secret.name.as_str()),
            ("get", "secrets", "login")
        );
        let namespace = read("GET", "/api/v1/namespaces/n");
        assert_eq!(
            (namespace.resource.as_str(), namespace.name.as_str()),
            ("namespaces", "n")
        );
        assert_eq!(read("GET", "/version").resource, "");
    }
}
