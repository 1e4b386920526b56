//! Which hosts the `endpoint` and `iamEndpoint` of a project may name.
//!
//! An entry reads `HOST[=CIDR,CIDR...]`. A `*` in HOST stands for exactly one label of a name, below the vendor's
//! domains for a label in the form of a region: below other labels, such as `obs`, customers choose the host names.
//! Addresses that only this machine or its networks can reach (loopback, link-local, private ranges) are refused even
//! when the name matches, unless a CIDR of the matching entry holds them; an IP literal in an endpoint needs such an
//! entry too.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The default of `--allowed-endpoints`: the service hosts of Huawei Cloud, and nothing else below its domains, since
/// customers can choose host names there.
pub const DEFAULT: &str = "workspace.*.myhuaweicloud.com;workspace.*.myhuaweicloud.eu;\
                           iam.*.myhuaweicloud.com;iam.*.myhuaweicloud.eu;iam.myhuaweicloud.com;\
                           sts.*.myhuaweicloud.com;sts.*.myhuaweicloud.eu";

/// Domains below which the vendor's customers may name hosts.
const SHARED_DOMAINS: &[&str] = &["myhuaweicloud.com", "myhuaweicloud.eu"];

/// One entry of the allow-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedEndpoint {
    /// The labels of the host, lower case, `*` for any one; or an IP address as one label.
    host: Vec<String>,
    /// Networks whose addresses this entry admits although they are not public.
    pub networks: Vec<IpNet>,
}

/// An invalid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is not HOST or HOST=CIDR,CIDR: {reason}")]
pub struct InvalidEntry {
    entry: String,
    reason: String,
}

impl AllowedEndpoint {
    /// Whether the entry names `host`: a DNS name in any case, or an IP literal without brackets.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let labels = labels(host);
        let star: fn(&str) -> bool = if is_shared(&labels) {
            looks_like_region
        } else {
            |_| true
        };
        labels.len() == self.host.len()
            && labels.iter().zip(&self.host).all(|(label, pattern)| {
                !label.is_empty() && (pattern == label || pattern == "*" && star(label))
            })
    }
}

/// The labels of a name; an IP address is one label, so that `*` never matches a part of it.
fn labels(host: &str) -> Vec<String> {
    let host = host.to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return vec![host];
    }
    host.split('.').map(str::to_owned).collect()
}

fn is_shared(labels: &[String]) -> bool {
    let [.., second, first] = labels else { return false };
    SHARED_DOMAINS.contains(&format!("{second}.{first}").as_str())
}

/// Whether a label looks like a region, such as ap-southeast-1.
fn looks_like_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let [words @ .., number] = parts.as_slice() else {
        return false;
    };
    let word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    words.len() >= 2
        && words.iter().all(word)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Why a host pattern is invalid, if it is.
fn pattern_error(labels: &[String]) -> Option<String> {
    let letters =
        |label: &String| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !label.is_empty();
    let literal = labels.len() == 1 && labels[0].parse::<IpAddr>().is_ok();
    if !literal && let Some(bad) = labels.iter().find(|label| *label != "*" && !letters(label)) {
        return Some(format!(
            "the label {bad:?} of the host must consist of letters, digits and '-', or be '*'"
        ));
    }
    if labels.last().is_some_and(|last| last == "*") {
        return Some(
            "the last label of the host must not be '*', which would allow hosts of any owner".to_owned(),
        );
    }
    None
}

impl FromStr for AllowedEndpoint {
    type Err = InvalidEntry;

    fn from_str(entry: &str) -> Result<Self, InvalidEntry> {
        let invalid = |why: String| InvalidEntry {
            entry: entry.to_owned(),
            reason: why,
        };
        let (host, networks) = match entry.trim().split_once('=') {
            None => (entry.trim(), Vec::new()),
            Some((host, networks)) => {
                let parse = |text: &str| {
                    text.trim()
                        .parse::<IpNet>()
                        .map_err(|_| invalid(format!("{text:?} is not a CIDR such as 10.0.0.0/8")))
                };
                (host, networks.split(',').map(parse).collect::<Result<_, _>>()?)
            }
        };
        let host = labels(host);
        match pattern_error(&host) {
            Some(why) => Err(invalid(why)),
            None => Ok(Self { host, networks }),
        }
    }
}

impl fmt::Display for AllowedEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host.join("."))?;
        for (index, network) in self.networks.iter().enumerate() {
            write!(f, "{}{network}", if index == 0 { '=' } else { ',' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> AllowedEndpoint {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let allowed = entry("workspace.*.myhuaweicloud.com");
        for good in [
            "workspace.cn-north-4.myhuaweicloud.com",
            "Workspace.EU-west-101.MyHuaweiCloud.com",
        ] {
            assert!(allowed.matches(good), "{good}");
        }
        for bad in [
            "workspace.myhuaweicloud.com",
            "workspace.a.b.myhuaweicloud.com",
            "workspace..myhuaweicloud.com",
            "workspace.cn-north-4.myhuaweicloud.com.",
            "workspace.cn-north-4.myhuaweicloud.com.example.org",
            "xworkspace.cn-north-4.myhuaweicloud.com",
            "bucket.obs.a.myhuaweicloud.com",
            "",
        ] {
            assert!(!allowed.matches(bad), "{bad}");
        }
    }

    #[test]
    fn below_the_domains_of_the_vendor_a_star_stands_for_a_region() {
        let allowed = entry("workspace.*.myhuaweicloud.com");
        for bad in ["obs", "obs-website", "obs-website-", "a", "a-1", "--1", "a1-b-1"] {
            let host = format!("workspace.{bad}.myhuaweicloud.com");
            assert!(!allowed.matches(&host), "{host}");
        }
        assert!(allowed.matches("workspace.na-mexico-1.myhuaweicloud.com"));
        assert!(entry("workspace.*.cloud.example").matches("workspace.obs.cloud.example"));
        // Who writes the whole name means it.
        assert!(entry("workspace.obs.myhuaweicloud.com").matches("workspace.obs.myhuaweicloud.com"));
    }

    #[test]
    fn an_address_is_one_label() {
        let allowed = entry("127.0.0.1=127.0.0.0/8");
        assert!(allowed.matches("127.0.0.1"));
        assert!(!allowed.matches("127.0.0.2"));
        assert!(entry("::1=::1/128").matches("::1"));
        assert!("127.0.0.*".parse::<AllowedEndpoint>().is_err());
        assert!(!entry("127.0.*.1").matches("127.0.0.1"));
    }

    #[test]
    fn every_default_is_a_valid_entry_and_can_be_parsed_again() {
        for text in DEFAULT.split(';') {
            assert_eq!(entry(text).to_string(), text);
        }
        let text = "workspace.cloud.example=10.0.0.0/8,fd00::/8";
        assert_eq!(entry(text).to_string(), text);
    }

    #[test]
    fn invalid_entries_are_refused_with_the_reason() {
        for (bad, why) in [
            ("", "the label"),
            ("*", "must not be '*'"),
            ("a.*", "must not be '*'"),
            ("https://a.example", "the label"),
            ("a.example:443", "the label"),
            ("a.example=", "is not a CIDR"),
            ("a.example=10.0.0.1", "is not a CIDR"),
            ("a.ex*mple.com", "the label"),
        ] {
            let message = bad.parse::<AllowedEndpoint>().unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
