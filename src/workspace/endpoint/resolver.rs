//! Name resolution that hands out admitted addresses only. It runs when a connection is opened and its result is
//! what is connected to, so a name that changes between a check and its use gains nothing.
//!
//! A literal address never gets here; [`Endpoint::parse`](super::Endpoint::parse) judges it.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Endpoint, address};

/// A resolver for one endpoint.
#[derive(Debug, Clone)]
pub struct Filter {
    admitted: Arc<[IpNet]>,
}

/// A name that leads nowhere the operator may go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("{name} has no address")]
    NoAddress { name: String },
    #[error(
        "{name} resolves to {address}, {what}, which only an entry of --allowed-endpoints with a network admits, such as {name}={}",
        IpNet::from(*.address)
    )]
    Refused {
        name: String,
        address: std::net::IpAddr,
        what: &'static str,
    },
}

impl Filter {
    /// The rule of `endpoint`.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self {
            admitted: Arc::clone(&endpoint.networks),
        }
    }

    /// The addresses that may be connected to; an error if there is none.
    fn admit(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Unusable> {
        let refused = found.iter().find_map(|socket| {
            let what = address::refusal(socket.ip(), &self.admitted)?;
            Some(Unusable::Refused {
                name: name.to_owned(),
                address: socket.ip(),
                what,
            })
        });
        let admitted: Vec<SocketAddr> = found
            .into_iter()
            .filter(|socket| address::refusal(socket.ip(), &self.admitted).is_none())
            .collect();
        if admitted.is_empty() {
            return Err(refused.unwrap_or_else(|| Unusable::NoAddress {
                name: name.to_owned(),
            }));
        }
        Ok(admitted)
    }
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found = tokio::net::lookup_host((name, 0)).await?.collect();
            let admitted = filter.admit(name, found)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(found: &[&str], networks: &[&str]) -> Result<Vec<String>, String> {
        let admitted = networks.iter().map(|network| network.parse().unwrap()).collect();
        let found = found
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
            .collect();
        Filter { admitted }
            .admit("a.example", found)
            .map(|admitted| admitted.iter().map(|socket| socket.ip().to_string()).collect())
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
    fn a_name_with_refused_addresses_only_says_which_and_what_to_do() {
        assert_eq!(
            admit(&["10.0.0.1", "127.0.0.1"], &["192.168.0.0/16"]),
            Err("a.example resolves to 10.0.0.1, a private address, which only an entry of --allowed-endpoints with a network admits, such as a.example=10.0.0.1/32".to_owned())
        );
        assert_eq!(admit(&[], &[]), Err("a.example has no address".to_owned()));
    }
}
