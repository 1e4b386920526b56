//! From an endpoint and credentials to a [`Workspace`]. HTTP clients are cached per endpoint and certificate authority,
//! and IAM sessions per project, so that connecting again costs nothing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::{Certificate, ClientBuilder, Proxy, redirect, retry};
use secrecy::ExposeSecret;

use super::api::Workspace;
use super::auth::{Credentials, SecretCredentials};
use super::endpoint::resolver::{self, FilteringResolver, HostResolver};
use super::endpoint::{Endpoint, EndpointError};
use super::error::root_cause;
use super::exchange::Service;
use super::http::HttpWorkspace;
use super::iam::http::HttpIam;
use super::iam::session_pool::SessionPool;
use super::iam::static_credentials::StaticCredentials;
use super::iam::{CallObserver, Iam};
use super::signature::sha256_hex;
use super::transport::{Clients, Options, Proxied, ServiceKey, Transport};
use crate::clock::Clock;
use crate::config::{AllowedEndpoint, CloudProxy};
use crate::ids::ProjectID;

/// More endpoints than are used in practice; beyond it the kept clients are dropped, so that no tenant fills the memory.
const MAX_CACHED_CLIENTS: usize = 256;

/// How this operator names itself to services.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// One project of one cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `https://HOST[:PORT]`; see [`regions`](super::endpoint::regions) for the public one of a region.
    pub endpoint: String,
    /// The project of the API paths.
    pub project_id: ProjectID,
    /// Certificates in PEM that replace the system's roots.
    pub ca_bundle: Option<String>,
    /// Endpoint of IAM, like `endpoint`. `None`: credentials must not be sent to any IAM.
    pub iam_endpoint: Option<String>,
}

/// Why no client could be created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is not allowed.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no IAM to show a password to.
    #[error(
        "a password requires spec.iamEndpoint if spec.endpoint is set; create a new WorkspaceProject with both"
    )]
    NoIam,
    /// The certificates cannot be used.
    #[error("the caBundle cannot be used: {0}")]
    CaBundle(String),
    /// No HTTP client could be made, most likely since this machine has no root certificates.
    #[error("failed to create a TLS client for {endpoint}: {reason}")]
    Client {
        /// For which endpoint.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

/// Makes [`Workspace`]s. One for the process.
#[derive(Debug)]
pub struct Connector {
    options: Options,
    allowed: Vec<AllowedEndpoint>,
    proxy: Option<CloudProxy>,
    clock: Clock,
    resolver: Arc<dyn HostResolver>,
    observer: Arc<dyn CallObserver>,
    sessions: SessionPool,
    /// The transport of all calls instead of the network.
    transport: Option<Arc<dyn Transport>>,
    client_cache: Mutex<HashMap<ServiceKey, Clients>>,
}

impl Connector {
    /// A connector to the endpoints of this allow-list.
    pub fn new(options: Options, allowed: Vec<AllowedEndpoint>, clock: Clock) -> Self {
        // reqwest panics without a crypto provider; the first caller installs the one that is compiled in.
        rustls::crypto::ring::default_provider().install_default().ok();
        Self {
            options,
            allowed,
            proxy: None,
            clock,
            resolver: Arc::new(resolver::System),
            observer: Arc::new(()),
            sessions: SessionPool::default(),
            transport: None,
            client_cache: Mutex::default(),
        }
    }

    /// Reports to `observer` how each call of IAM ended.
    #[must_use]
    pub fn with_call_observer(self, observer: Arc<dyn CallObserver>) -> Self {
        Self { observer, ..self }
    }

    /// Sends every call by `transport` instead of the network, to any allowed endpoint.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self {
            transport: Some(transport),
            ..self
        }
    }

    /// Opens every connection through this proxy, if there is one. It resolves the names of endpoints.
    #[must_use]
    pub fn with_proxy(self, proxy: Option<CloudProxy>) -> Self {
        Self { proxy, ..self }
    }

    /// Resolves the hosts of endpoints by `names` instead of this machine's resolver.
    #[must_use]
    pub fn with_resolver(self, names: Arc<dyn HostResolver>) -> Self {
        Self {
            resolver: names,
            ..self
        }
    }

    /// A client for one project with the credentials of a Secret. A password is exchanged when it is first needed, and
    /// the result is shared by all clients with that password. Does not open a connection yet.
    ///
    /// # Errors
    /// An endpoint is not allowed, or its certificates cannot be used.
    pub fn connect(
        &self,
        target: &Target,
        credentials: SecretCredentials,
    ) -> Result<Arc<dyn Workspace>, ConnectError> {
        let project_id = target.project_id.clone();
        let credentials_provider = match credentials {
            SecretCredentials::Static(token @ Credentials::Token(_)) => {
                // A token can be used even if IAM cannot be asked for its expiry.
                self.sessions.token(self.iam(target).ok(), project_id, token)
            }
            SecretCredentials::Static(key) => Arc::new(StaticCredentials::new(None, key)),
            SecretCredentials::Password(password_credentials) => {
                let (service_key, iam) = self.iam(target)?;
                self.sessions
                    .password(service_key, iam, project_id, password_credentials)
            }
        };
        let (_, service) = self.service(&target.endpoint, target)?;
        Ok(Arc::new(HttpWorkspace {
            service,
            project_id: target.project_id.clone(),
            credentials_provider,
        }))
    }

    fn iam(&self, target: &Target) -> Result<(ServiceKey, Arc<dyn Iam>), ConnectError> {
        let endpoint = target.iam_endpoint.as_ref().ok_or(ConnectError::NoIam)?;
        let (service_key, service) = self.service(endpoint, target)?;
        let observer = Arc::clone(&self.observer);
        Ok((service_key, Arc::new(HttpIam { service, observer })))
    }

    /// The service at an endpoint, with the authorities of the target.
    fn service(&self, endpoint: &str, target: &Target) -> Result<(ServiceKey, Service), ConnectError> {
        let ca_bundle = target.ca_bundle.as_deref();
        let service_key = ServiceKey {
            endpoint: Endpoint::parse(endpoint, &self.allowed)?,
            authorities: ca_bundle.map(|pem| sha256_hex(pem.as_bytes())),
        };
        let service = Service {
            endpoint: service_key.endpoint.clone(),
            clients: self.clients(&service_key, ca_bundle)?,
            clock: Arc::clone(&self.clock),
            options: self.options.clone(),
        };
        Ok((service_key, service))
    }

    fn clients(&self, service_key: &ServiceKey, ca_bundle: Option<&str>) -> Result<Clients, ConnectError> {
        if let Some(transport) = &self.transport {
            return Ok(Clients {
                reads: Arc::clone(transport),
                submissions: Arc::clone(transport),
            });
        }
        if let Some(clients) = self.client_cache.lock().get(service_key) {
            return Ok(clients.clone());
        }
        let endpoint = &service_key.endpoint;
        let roots = ca_bundle.map(certificates).transpose()?;
        let clients = Clients {
            reads: self.transport(self.builder(endpoint, roots.as_deref()), endpoint, ca_bundle)?,
            submissions: self.transport(
                self.builder(endpoint, roots.as_deref())
                    .pool_max_idle_per_host(0)
                    .retry(retry::never()),
                endpoint,
                ca_bundle,
            )?,
        };
        let mut kept = self.client_cache.lock();
        if kept.len() >= MAX_CACHED_CLIENTS {
            kept.clear();
        }
        kept.insert(service_key.clone(), clients.clone());
        Ok(clients)
    }

    fn transport(
        &self,
        builder: ClientBuilder,
        endpoint: &Endpoint,
        ca_bundle: Option<&str>,
    ) -> Result<Arc<dyn Transport>, ConnectError> {
        let Some(proxy) = &self.proxy else {
            return Ok(Arc::new(build(builder, endpoint, ca_bundle)?));
        };
        let tunnel = tunnel(proxy).map_err(|error| unusable(endpoint, &error))?;
        Ok(Arc::new(Proxied {
            client: build(builder.proxy(tunnel), endpoint, ca_bundle)?,
            proxy: proxy.to_string(),
        }))
    }

    fn builder(&self, endpoint: &Endpoint, roots: Option<&[Certificate]>) -> ClientBuilder {
        let builder = ClientBuilder::new()
            .user_agent(USER_AGENT)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(self.options.connect_timeout);
        let builder = match &self.proxy {
            None => builder.dns_resolver(FilteringResolver::of(endpoint, Arc::clone(&self.resolver))),
            // The only name that is resolved here is the proxy's.
            Some(_) => builder,
        };
        match roots {
            Some(roots) => builder.tls_certs_only(roots.iter().cloned()),
            None => builder,
        }
    }
}

fn build(
    builder: ClientBuilder,
    endpoint: &Endpoint,
    ca_bundle: Option<&str>,
) -> Result<reqwest::Client, ConnectError> {
    builder.build().map_err(|error| match ca_bundle {
        Some(_) => ConnectError::CaBundle(root_cause(&error)),
        None => unusable(endpoint, &error),
    })
}

fn unusable(endpoint: &Endpoint, error: &reqwest::Error) -> ConnectError {
    ConnectError::Client {
        endpoint: endpoint.to_string(),
        reason: root_cause(error),
    }
}

fn tunnel(proxy: &CloudProxy) -> Result<Proxy, reqwest::Error> {
    let tunnel = Proxy::all(format!("http://{proxy}"))?;
    Ok(match &proxy.credentials {
        Some(shown) => tunnel.basic_auth(&shown.user, shown.password.expose_secret()),
        None => tunnel,
    })
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, ConnectError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(ConnectError::CaBundle(
            "it contains a private key; keep only certificates in the spec, and rotate that key".to_owned(),
        ));
    }
    let found = Certificate::from_pem_bundle(pem.as_bytes())
        .map_err(|error| ConnectError::CaBundle(root_cause(&error)))?;
    if found.is_empty() {
        return Err(ConnectError::CaBundle(
            "it contains no certificate in PEM format".to_owned(),
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::clock::SystemClock;

    fn connect(endpoint: &str, ca_bundle: Option<&str>) -> Result<Arc<dyn Workspace>, ConnectError> {
        connect_with(&connector(), endpoint, ca_bundle)
    }

    fn connector() -> Connector {
        let allowed = crate::config::endpoints::DEFAULT
            .split(';')
            .map(|entry| entry.parse().unwrap())
            .collect();
        Connector::new(Options::default(), allowed, Arc::new(SystemClock))
    }

    fn connect_with(
        connector: &Connector,
        endpoint: &str,
        ca_bundle: Option<&str>,
    ) -> Result<Arc<dyn Workspace>, ConnectError> {
        let target = Target {
            endpoint: endpoint.to_owned(),
            project_id: ProjectID::try_from("p1").unwrap(),
            ca_bundle: ca_bundle.map(str::to_owned),
            iam_endpoint: None,
        };
        let token = Credentials::Token(SecretString::from("TOKEN-canary"));
        connector.connect(&target, SecretCredentials::Static(token))
    }

    const HOST: &str = "https://workspace.ap-southeast-1.myhuaweicloud.com";

    #[test]
    fn an_endpoint_that_is_not_allowed_is_refused() {
        let error = connect("https://evil.example", None).unwrap_err();
        assert!(matches!(error, ConnectError::Endpoint(_)), "{error}");
    }

    #[test]
    fn unusable_certificates_are_refused_with_the_reason() {
        for (pem, why) in [
            ("", "it contains no certificate in PEM format"),
            ("junk", "it contains no certificate in PEM format"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "the caBundle cannot be used: ",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n",
                "the caBundle cannot be used: ",
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
                "private key",
            ),
        ] {
            let error = connect(HOST, Some(pem)).unwrap_err();
            assert!(matches!(error, ConnectError::CaBundle(_)), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn clients_are_kept_per_endpoint_and_certificates() {
        let authority = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()])
            .unwrap()
            .cert
            .pem();
        let connector = connector();
        for _ in 0..2 {
            connect_with(&connector, HOST, None).unwrap();
            connect_with(&connector, HOST, Some(&authority)).unwrap();
            connect_with(&connector, "https://iam.myhuaweicloud.com", None).unwrap();
        }
        assert_eq!(connector.client_cache.lock().len(), 3);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", connect(HOST, None).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("workspace.ap-southeast-1"), "{shown}");
    }
}
