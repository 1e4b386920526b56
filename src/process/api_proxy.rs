//! Whether the API server is reached through a proxy. In a pod it is reached directly, regardless of the environment.
//! With a kubeconfig, its `proxy-url` is used, or else `HTTPS_PROXY`, unless `NO_PROXY` contains the API server. (kube
//! reads the same variables, but compares `NO_PROXY` with the proxy's own host.)

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::Kubeconfig;

/// A proxy that cannot be used. Its URL is not repeated, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{named_by} is not a valid http, https or socks5 proxy for the API server: correct or remove it; to bypass HTTPS_PROXY, you can also add the API server to NO_PROXY"
)]
pub struct InvalidProxy {
    named_by: &'static str,
}

/// The proxy settings of the process.
#[derive(Default)]
pub struct Settings {
    /// `proxy-url` of the kubeconfig.
    kubeconfig: Option<String>,
    /// `HTTPS_PROXY`.
    https_proxy: Option<String>,
    /// `NO_PROXY`.
    no_proxy: Option<String>,
}

impl Settings {
    /// Those of this process.
    pub(super) fn read() -> Self {
        Self::of(Kubeconfig::read().ok().as_ref())
    }

    /// Those of the environment and of a kubeconfig.
    pub fn of(file: Option<&Kubeconfig>) -> Self {
        let variable = |names: [&str; 2]| {
            names
                .into_iter()
                .filter_map(|name| std::env::var(name).ok())
                .find(|value| !value.trim().is_empty())
        };
        Self {
            kubeconfig: file.and_then(proxy_url),
            https_proxy: variable(["HTTPS_PROXY", "https_proxy"]),
            no_proxy: variable(["NO_PROXY", "no_proxy"]),
        }
    }

    /// The proxy to this API server, if there is one.
    ///
    /// # Errors
    /// A proxy is set, but cannot be used.
    pub fn proxy(&self, server: &Uri) -> Result<Option<Uri>, InvalidProxy> {
        if let Some(url) = &self.kubeconfig {
            return parse(url, "proxy-url of the kubeconfig").map(Some);
        }
        match &self.https_proxy {
            Some(url) if !self.is_exempt(server) => parse(url, "HTTPS_PROXY").map(Some),
            _ => Ok(None),
        }
    }

    /// Whether `NO_PROXY` names the API server.
    fn is_exempt(&self, server: &Uri) -> bool {
        let Some(exempt) = &self.no_proxy else {
            return false;
        };
        let rule = Matcher::builder().all("http://proxy").no(exempt.as_str()).build();
        rule.intercept(server).is_none()
    }
}

/// The proxy of the cluster that the current context names.
fn proxy_url(file: &Kubeconfig) -> Option<String> {
    let current = file.current_context.as_deref()?;
    let context = file.contexts.iter().find(|context| context.name == current)?;
    let cluster = &context.context.as_ref()?.cluster;
    let cluster = file.clusters.iter().find(|named| named.name == *cluster)?;
    let url = cluster.cluster.as_ref()?.proxy_url.clone();
    url.filter(|url| !url.is_empty())
}

/// A URL, or as curl takes it, `HOST:PORT`.
fn parse(url: &str, named_by: &'static str) -> Result<Uri, InvalidProxy> {
    let full = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let known =
        |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https" | "socks5")) && uri.host().is_some();
    full.parse().ok().filter(known).ok_or(InvalidProxy { named_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, https_proxy: &str, no_proxy: &str) -> Option<String> {
        let settings = Settings {
            kubeconfig: None,
            https_proxy: Some(https_proxy.to_owned()),
            no_proxy: Some(no_proxy.to_owned()),
        };
        let found = settings.proxy(&server.parse().unwrap()).unwrap();
        found.map(|uri| uri.to_string())
    }

    #[test]
    fn the_api_server_is_reached_through_the_proxy_unless_it_is_exempt() {
        let through = Some("http://proxy.example:3128/".to_owned());
        for (server, exempt, direct) in [
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "localhost, 192.168.0.0/16", false),
            ("https://api.cluster.example:6443", ".cluster.example", true),
            ("https://api.cluster.example:6443", "cluster.example", true),
            ("https://api.cluster.example:6443", "api.cluster.example", true),
            ("https://api.cluster.example:6443", "other.example", false),
            ("https://[fd00::1]:6443", "fd00::/8", true),
            ("https://anything:6443", "*", true),
            // The proxy's own host says nothing about the API server.
            ("https://10.1.2.3:6443", "proxy.example", false),
        ] {
            let found = proxy(server, "http://proxy.example:3128", exempt);
            let expected = if direct { None } else { through.clone() };
            assert_eq!(found, expected, "{server}, NO_PROXY={exempt}");
        }
        let without_scheme = proxy("https://10.1.2.3:6443", "proxy.example:3128", "");
        assert_eq!(without_scheme, through);
    }

    #[test]
    fn the_proxy_of_the_kubeconfig_is_meant_for_its_cluster() {
        let file: Kubeconfig = serde_json::from_value(serde_json::json!({
            "current-context": "b",
            "contexts": [
                {"name": "a", "context": {"cluster": "one", "user": "u"}},
                {"name": "b", "context": {"cluster": "two", "user": "u"}},
            ],
            "clusters": [
                {"name": "one", "cluster": {"server": "https://one", "proxy-url": "http://other:1"}},
                {"name": "two", "cluster": {"server": "https://two", "proxy-url": "socks5://mine:2"}},
            ],
        }))
        .unwrap();
        let settings = Settings {
            kubeconfig: proxy_url(&file),
            https_proxy: Some("http://environment:3".to_owned()),
            no_proxy: Some("*".to_owned()),
        };
        let found = settings.proxy(&"https://two".parse().unwrap()).unwrap().unwrap();
        assert_eq!(found.to_string(), "socks5://mine:2/");
    }

    #[test]
    fn an_invalid_proxy_is_reported_without_repeating_its_url() {
        for url in [
            "ftp://user:canary@proxy.example:21",
            "http://user:canary pass@proxy",
        ] {
            let settings = Settings {
                https_proxy: Some(url.to_owned()),
                ..Settings::default()
            };
            let error = settings
                .proxy(&"https://a".parse().unwrap())
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("HTTPS_PROXY is not a valid http, "), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
