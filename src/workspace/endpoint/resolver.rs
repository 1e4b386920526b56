//! Name resolution that hands out admitted addresses only. It runs when a connection is opened and its result is
//! what is connected to, so a name that changes between a check and its use gains nothing.
//!
//! Literal addresses are not resolved; [`Endpoint::parse`](super::Endpoint::parse) checks them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Endpoint, address};

/// Resolves host names.
#[async_trait]
pub trait HostResolver: fmt::Debug + Send + Sync {
    /// All addresses of a name.
    ///
    /// # Errors
    /// The name does not exist, or no DNS server could be reached.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names as this machine resolves them.
#[derive(Debug)]
pub struct System;

#[async_trait]
impl HostResolver for System {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|socket| socket.ip()).collect())
    }
}

/// A resolver for one endpoint.
#[derive(Debug, Clone)]
pub struct FilteringResolver {
    resolver: Arc<dyn HostResolver>,
    admitted: Arc<[IpNet]>,
}

/// A name without an address that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("{name} has no address")]
    NoAddress { name: String },
    #[error(
        "{name} resolves to {address}, {what}, which is not allowed; an administrator can allow it with an entry of --allowed-endpoints such as {name}={}",
        IpNet::from(.address.to_canonical())
    )]
    Refused {
        name: String,
        address: IpAddr,
        what: &'static str,
    },
}

impl FilteringResolver {
    /// A resolver with the rule of `endpoint`, on top of `names`.
    pub fn of(endpoint: &Endpoint, names: Arc<dyn HostResolver>) -> Self {
        Self {
            resolver: names,
            admitted: Arc::clone(&endpoint.networks),
        }
    }

    /// The addresses that may be connected to; an error if there is none.
    fn admit(&self, name: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Unusable> {
        let refused = found.iter().find_map(|&address| {
            let what = address::blocked_reason(address, &self.admitted)?;
            Some(Unusable::Refused {
                name: name.to_owned(),
                address,
                what,
            })
        });
        let admitted: Vec<IpAddr> = found
            .into_iter()
            .filter(|&address| address::blocked_reason(address, &self.admitted).is_none())
            .collect();
        if admitted.is_empty() {
            return Err(refused.unwrap_or_else(|| Unusable::NoAddress {
                name: name.to_owned(),
            }));
        }
        Ok(admitted)
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found = filter.resolver.addresses(name).await?;
            let admitted = filter.admit(name, found)?;
            // The port 0 is replaced by the port of the URL.
            Ok(Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(found: &[&str], networks: &[&str]) -> Result<Vec<String>, String> {
        let admitted = networks.iter().map(|network| network.parse().unwrap()).collect();
        let found = found.iter().map(|ip| ip.parse().unwrap()).collect();
        let names = Arc::new(System);
        FilteringResolver {
            resolver: names,
            admitted,
        }
        .admit("a.example", found)
        .map(|admitted| admitted.iter().map(IpAddr::to_string).collect())
        .map_err(|error| error.to_string())
    }

    #[test]
    fn refused_addresses_are_left_out() {
        assert_eq!(
            admit(&["10.0.0.1", "8.8.8.8", "::1"], &[]),
            Ok(vec!["8.8.8.8".to_owned()])
        );
        assert_eq!(
            admit(&["10.0.0.1"], &["10.0.0.0/8"]),
            Ok(vec!["10.0.0.1".to_owned()])
        );
    }

    #[test]
    fn a_name_with_only_refused_addresses_is_reported_with_them_and_the_fix() {
        assert_eq!(
            admit(&["10.0.0.1", "127.0.0.1"], &["192.168.0.0/16"]),
            Err("a.example resolves to 10.0.0.1, a private address, which is not allowed; an administrator can allow it with an entry of --allowed-endpoints such as a.example=10.0.0.1/32".to_owned())
        );
        assert_eq!(admit(&[], &[]), Err("a.example has no address".to_owned()));
    }
}
