//! The vendor's regions and where their services are (vendor's API reference, endpoints, and the regions of its SDK).
//!
//! The host of Workspace is part of what a request stores when it is admitted, so a region that is in this table keeps
//! its host. For any other region a project names its hosts itself.

use crate::ids::Region;

const COM: &str = "myhuaweicloud.com";
const EU: &str = "myhuaweicloud.eu";

/// A region, and the domain of its IAM. Workspace is below [`COM`] in each of them.
const REGIONS: &[(&str, &str)] = &[
    ("af-north-1", COM),
    ("af-south-1", COM),
    ("ap-southeast-1", COM),
    ("ap-southeast-2", COM),
    ("ap-southeast-3", COM),
    ("cn-east-3", COM),
    ("cn-east-5", COM),
    ("cn-north-11", COM),
    ("cn-north-4", COM),
    ("cn-north-9", COM),
    ("cn-south-1", COM),
    ("cn-southwest-2", COM),
    ("eu-west-101", EU),
    ("la-north-2", COM),
    ("la-south-2", COM),
    ("me-east-1", COM),
    ("na-mexico-1", COM),
    ("sa-brazil-1", COM),
    ("tr-west-1", COM),
];

fn iam_domain(region: &Region) -> Option<&'static str> {
    REGIONS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(region.as_str()))
        .map(|(_, domain)| *domain)
}

/// Whether the vendor has this region. Other values must not become part of a host: customers choose host names below
/// the domains of the vendor's other services, such as `BUCKET.obs.myhuaweicloud.com`.
pub fn is_known(region: &Region) -> bool {
    iam_domain(region).is_some()
}

/// The public endpoint of Workspace in a region; [`is_known`] checks whether the region exists.
pub fn workspace(region: &Region) -> String {
    format!("https://workspace.{region}.{COM}").to_ascii_lowercase()
}

/// The public endpoint of IAM in a region that is known.
pub fn iam(region: &Region) -> Option<String> {
    let domain = iam_domain(region)?;
    Some(format!("https://iam.{region}.{domain}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllowedEndpoint, endpoints};
    use crate::workspace::endpoint::Endpoint;

    fn region(name: &str) -> Region {
        Region::try_from(name).unwrap()
    }

    #[test]
    fn the_iam_of_the_european_region_is_on_its_own_domain() {
        for (name, there, its_iam) in [
            (
                "eu-west-101",
                "https://workspace.eu-west-101.myhuaweicloud.com",
                "https://iam.eu-west-101.myhuaweicloud.eu",
            ),
            (
                "CN-North-4",
                "https://workspace.cn-north-4.myhuaweicloud.com",
                "https://iam.cn-north-4.myhuaweicloud.com",
            ),
        ] {
            assert_eq!(workspace(&region(name)), there);
            assert_eq!(iam(&region(name)).as_deref(), Some(its_iam));
        }
    }

    #[test]
    fn the_hosts_of_every_region_are_on_the_default_allow_list() {
        let allowed: Vec<AllowedEndpoint> = endpoints::DEFAULT
            .split(';')
            .map(|entry| entry.parse().unwrap())
            .collect();
        for (name, _) in REGIONS {
            for endpoint in [workspace(&region(name)), iam(&region(name)).unwrap()] {
                Endpoint::parse(&endpoint, &allowed).unwrap();
            }
        }
    }

    #[test]
    fn an_invalid_region_is_not_known() {
        for name in [
            "obs",
            "obs-website",
            "apig",
            "bucket",
            "ap-southeast-9",
            "local-1",
            "a",
        ] {
            assert!(!is_known(&region(name)), "{name}");
            assert_eq!(iam(&region(name)), None, "{name}");
        }
    }
}
