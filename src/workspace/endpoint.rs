//! Where the cloud is: the `endpoint` of a project, checked before any packet leaves.
//!
//! | file | what |
//! | --- | --- |
//! | this | the URL: shape, host, allow-list |
//! | [`address`] | which addresses are refused unless a flag allows them |
//! | [`regions`] | the hosts of the vendor's regions |
//! | [`resolver`] | the same rule for resolved addresses, at the moment of connecting |

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::AllowedEndpoint;

pub mod address;
pub mod regions;
pub mod resolver;

const HTTPS_PORT: u16 = 443;

/// The https origin of a service, admitted by the operator's allow-list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Host,
    port: u16,
    /// Networks whose addresses the allow-list admits for this host although they are refused otherwise.
    networks: Arc<[IpNet]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Address(IpAddr),
}

/// An endpoint that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {endpoint:?} is not allowed: {reason}")]
pub struct EndpointError {
    endpoint: String,
    reason: String,
}

impl Endpoint {
    /// Reads `https://HOST[:PORT]` and checks it against the allow-list. A name is not resolved here; what it
    /// resolves to is checked whenever a connection is opened.
    ///
    /// # Errors
    /// Another shape (no https; user-info, path, query or fragment), a host in a disguised spelling, a host that no
    /// entry names, or a literal address that no entry admits.
    pub fn parse(text: &str, allowed: &[AllowedEndpoint]) -> Result<Self, EndpointError> {
        let invalid = |why: String| EndpointError {
            endpoint: text.chars().take(300).collect(),
            reason: why,
        };
        let (host, port) = split(text).ok_or_else(|| {
            invalid(
                "it must have the form https://HOST or https://HOST:PORT, without user, path, query or fragment"
                    .to_owned(),
            )
        })?;
        let host = Host::parse(host).map_err(|why| invalid(why.to_owned()))?;
        let entries: Vec<&AllowedEndpoint> = allowed
            .iter()
            .filter(|entry| entry.matches(&host.to_string()))
            .collect();
        if entries.is_empty() {
            return Err(invalid(format!(
                "host {host} is not in the operator's --allowed-endpoints; if it is wrong, create the \
                 WorkspaceProject again with the right endpoint, else ask an administrator to add it"
            )));
        }
        let networks = entries
            .iter()
            .flat_map(|entry| entry.networks.iter().copied())
            .collect();
        let endpoint = Self { host, port, networks };
        match endpoint.host {
            Host::Address(address) => endpoint.admits_literal(address).map_err(invalid)?,
            Host::Name(_) => {}
        }
        Ok(endpoint)
    }

    fn admits_literal(&self, address: IpAddr) -> Result<(), String> {
        if self.networks.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        Err(format!(
            "an IP address needs an entry of --allowed-endpoints with a network that contains it, such as {address}={}",
            IpNet::from(address)
        ))
    }
}

/// Splits `https://HOST[:PORT][/]`; `None` for anything else. Done by hand, since a lenient parser would drop line
/// feeds, turn backslashes into slashes and accept user-info.
fn split(text: &str) -> Option<(&str, u16)> {
    let authority = text.strip_prefix("https://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, HTTPS_PORT)),
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .map(|port| (host, port)),
        _ => None,
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address = address
                .parse::<Ipv6Addr>()
                .map_err(|_| "the text in brackets is not an IPv6 address")?;
            return Ok(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        // Browsers and C libraries read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) if name.split('.').all(is_label) => Ok(Self::Name(name)),
            Ok(url::Host::Domain(_)) => {
                Err("the host must consist of labels of letters, digits and '-', without a trailing dot")
            }
            _ => Err("the host must be a DNS name or an address in its usual spelling"),
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// The origin, `https://HOST[:PORT]`, without a slash at the end.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "https://[{address}]")?,
            host => write!(f, "https://{host}")?,
        }
        if self.port == HTTPS_PORT {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, allowed: &str) -> Result<Endpoint, EndpointError> {
        let allowed: Vec<AllowedEndpoint> = allowed.split(';').map(|entry| entry.parse().unwrap()).collect();
        Endpoint::parse(text, &allowed)
    }

    fn defaults(text: &str) -> Result<Endpoint, EndpointError> {
        parse(text, crate::config::endpoints::DEFAULT)
    }

    #[test]
    fn the_services_of_the_vendor_are_allowed_and_written_as_an_origin() {
        for (given, origin) in [
            (
                "https://workspace.ap-southeast-1.myhuaweicloud.com",
                "https://workspace.ap-southeast-1.myhuaweicloud.com",
            ),
            (
                "https://workspace.eu-west-101.myhuaweicloud.eu/",
                "https://workspace.eu-west-101.myhuaweicloud.eu",
            ),
            (
                "https://Workspace.CN-north-4.MyHuaweiCloud.com:443",
                "https://workspace.cn-north-4.myhuaweicloud.com",
            ),
            (
                "https://iam.myhuaweicloud.com:8443",
                "https://iam.myhuaweicloud.com:8443",
            ),
        ] {
            assert_eq!(defaults(given).unwrap().to_string(), origin);
        }
    }

    #[test]
    fn other_shapes_than_an_https_origin_are_refused() {
        let host = "workspace.cn-north-4.myhuaweicloud.com";
        for bad in [
            format!("http://{host}"),
            format!("HTTPS://{host}"),
            format!("https:{host}"),
            format!("https:///{host}"),
            format!("https://user@{host}"),
            format!("https://user:password@{host}"),
            format!("https://{host}@evil.example"),
            format!("https://{host}/v2"),
            format!("https://{host}//"),
            format!("https://{host}?a"),
            format!("https://{host}/?a"),
            format!("https://{host}#a"),
            format!("https://{host}\\@evil.example"),
            format!("https://{host}\n"),
            "https://work\tspace.cn-north-4.myhuaweicloud.com".to_owned(),
            format!(" https://{host}"),
            format!("https://{host}:"),
            format!("https://{host}:0"),
            format!("https://{host}:65536"),
            format!("https://{host}:443:443"),
            format!("https://{host}:+443"),
            format!("https://{host}%2eevil.example"),
            "https://workspace.cn-north-4\u{3002}myhuaweicloud.com".to_owned(),
            "https://".to_owned(),
            String::new(),
        ] {
            let message = defaults(&bad).unwrap_err().to_string();
            assert!(
                message.contains("it must have the form https://HOST"),
                "{bad:?}: {message}"
            );
        }
    }

    #[test]
    fn hosts_that_no_entry_names_are_refused() {
        for bad in [
            "https://workspace.cn-north-4.myhuaweicloud.com.evil.example",
            "https://evil-workspace.cn-north-4.myhuaweicloud.com",
            "https://workspace.a.b.myhuaweicloud.com",
            "https://bucket.obs.cn-north-4.myhuaweicloud.com",
            "https://workspace.myhuaweicloud.com",
            // Names that customers can give to a bucket.
            "https://workspace.obs.myhuaweicloud.com",
            "https://iam.obs.myhuaweicloud.com",
            "https://sts.obs.myhuaweicloud.eu",
            "https://localhost",
            "https://kubernetes.default.svc",
            "https://metadata.google.internal",
            "https://169.254.169.254",
            "https://10.0.0.1:6443",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
        ] {
            let message = defaults(bad).unwrap_err().to_string();
            assert!(
                message.contains("is not in the operator's --allowed-endpoints"),
                "{message}"
            );
        }
    }

    #[test]
    fn disguised_hosts_are_refused_even_if_an_entry_names_what_they_mean() {
        for bad in [
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.0.0.1",
            "https://0177.0.0.1",
            "https://127.1",
            "https://127.0.0.1.",
            "https://127.0.0.256",
            "https://[::1%25eth0]",
            "https://[::1",
            "https://::1",
            "https://[]",
            "https://workspace.cn-north-4.myhuaweicloud.com.",
            "https://workspace..myhuaweicloud.com",
            "https://workspace.-a.myhuaweicloud.com",
            "https://workspace.a_b.myhuaweicloud.com",
        ] {
            let allowed = format!(
                "{};127.0.0.1=127.0.0.0/8;::1=::1/128",
                crate::config::endpoints::DEFAULT
            );
            assert!(parse(bad, &allowed).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_literal_address_needs_an_entry_with_a_network_that_holds_it() {
        assert_eq!(
            parse("https://127.0.0.1:18443", "127.0.0.1=127.0.0.0/8")
                .unwrap()
                .to_string(),
            "https://127.0.0.1:18443"
        );
        assert_eq!(
            parse("https://[::1]:18443", "::1=::1/128").unwrap().to_string(),
            "https://[::1]:18443"
        );
        for (bad, allowed) in [
            ("https://127.0.0.1", "127.0.0.1"),
            ("https://127.0.0.1", "127.0.0.1=10.0.0.0/8"),
        ] {
            let message = parse(bad, allowed).unwrap_err().to_string();
            assert!(message.contains("such as 127.0.0.1=127.0.0.1/32"), "{message}");
        }
    }

    #[test]
    fn networks_of_all_entries_that_name_the_host_count() {
        let endpoint = parse("https://a.example", "a.example=10.0.0.0/8;*.example=127.0.0.0/8").unwrap();
        assert_eq!(endpoint.networks.len(), 2);
    }
}
