//! Addresses that no endpoint may resolve to, since they belong not to the cloud but to this machine, its networks or a
//! metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Refused networks and what they are: those that are not globally reachable according to the special-purpose
/// registries of IANA, those that embed an IPv4 address, and metadata services. The shared address space 100.64.0.0/10
/// is not among them: inside the vendor's own network, its services answer from it.
const BLOCKED_NETWORKS: &[(IpNet, &str)] = &[
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([100, 100, 100, 200], 32), "an address of a metadata service"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    (v4([168, 63, 129, 16], 32), "an address of a metadata service"),
    (
        v4([169, 254, 0, 0], 16),
        "a link-local address, as metadata services have",
    ),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 0, 0, 0], 24), "a reserved address"),
    (v4([192, 0, 2, 0], 24), "an address for documentation"),
    (v4([192, 88, 99, 0], 24), "a 6to4 relay"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([198, 18, 0, 0], 15), "a benchmarking address"),
    (v4([198, 51, 100, 0], 24), "an address for documentation"),
    (v4([203, 0, 113, 0], 24), "an address for documentation"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([240, 0, 0, 0], 4), "a reserved address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (
        v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
        "an IPv4 address in a deprecated IPv6 form",
    ),
    (
        v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        "an IPv4 address in an IPv6 translation form",
    ),
    (NAT64, "a NAT64 address of an IPv4 address that is not public"),
    (
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        "a NAT64 address for local use",
    ),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard-only address"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo address"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "a benchmarking address"),
    (
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "an address for documentation",
    ),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 address"),
    (
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        "an address for documentation",
    ),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "a segment routing address"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a unique-local address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// The prefix under which an IPv6-only network reaches the IPv4 internet (RFC 6052). The last 32 bits are the IPv4
/// address.
const NAT64: IpNet = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    IpNet::new_assert(
        IpAddr::V4(Ipv4Addr::from_bits(u32::from_be_bytes(octets))),
        prefix,
    )
}

const fn v6(parts: [u16; 8], prefix: u8) -> IpNet {
    let address = Ipv6Addr::new(
        parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[6], parts[7],
    );
    IpNet::new_assert(IpAddr::V6(address), prefix)
}

/// What the address is, if it is one that is refused; `None` if it may be connected to. An IPv4-mapped IPv6 address is
/// checked as the IPv4 address, and one that NAT64 embeds may be connected to if it is public.
pub fn blocked_reason(address: IpAddr, admitted: &[IpNet]) -> Option<&'static str> {
    let address = address.to_canonical();
    if admitted.iter().any(|network| network.contains(&address)) {
        return None;
    }
    if embedded_by_nat64(address).is_some_and(|embedded| refused(embedded).is_none()) {
        return None;
    }
    refused(address)
}

fn embedded_by_nat64(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(address) if NAT64.contains(&IpAddr::V6(address)) => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        _ => None,
    }
}

fn refused(address: IpAddr) -> Option<&'static str> {
    BLOCKED_NETWORKS
        .iter()
        .find(|(network, _)| network.contains(&address))
        .map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(address: &str, admitted: &[&str]) -> Option<&'static str> {
        let admitted: Vec<IpNet> = admitted.iter().map(|network| network.parse().unwrap()).collect();
        blocked_reason(address.parse().unwrap(), &admitted)
    }

    #[test]
    fn each_refused_network_is_refused_from_its_first_address_to_its_last() {
        for (network, what) in BLOCKED_NETWORKS {
            for address in [network.network(), network.broadcast()] {
                let judged = blocked_reason(address, &[]);
                assert!(judged.is_some(), "{address} of {network}, {what}");
            }
        }
    }

    #[test]
    fn an_address_is_described_by_its_kind() {
        for (address, what) in [
            ("0.0.0.0", "unspecified"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "metadata"),
            ("::1", "loopback"),
            ("::7f00:1", "deprecated"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:0:7f00:1", "translation"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b::10.0.0.1", "NAT64"),
            ("64:ff9b::172.16.0.1", "NAT64"),
            ("64:ff9b::192.168.1.1", "NAT64"),
            ("64:ff9b::169.254.169.254", "NAT64"),
            ("64:ff9b::100.100.100.200", "NAT64"),
            ("64:ff9b::224.0.0.1", "NAT64"),
            ("64:ff9b:1::8.8.8.8", "NAT64"),
        ] {
            let judged = judged(address, &[]);
            assert!(
                judged.is_some_and(|text| text.contains(what)),
                "{address}: {judged:?}"
            );
        }
    }

    #[test]
    fn public_addresses_may_be_connected_to() {
        for address in [
            "8.8.8.8",
            "100.125.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b::100.125.0.1",
        ] {
            assert_eq!(judged(address, &[]), None, "{address}");
        }
    }

    #[test]
    fn a_network_of_the_allow_list_admits_its_addresses_and_no_others() {
        assert_eq!(judged("127.0.0.1", &["127.0.0.0/8"]), None);
        assert_eq!(judged("::ffff:127.0.0.1", &["127.0.0.0/8"]), None);
        assert_eq!(judged("64:ff9b::10.0.0.1", &["64:ff9b::/96"]), None);
        assert!(judged("64:ff9b::10.0.0.1", &["10.0.0.0/8"]).is_some());
        assert_eq!(judged("fd00::1", &["10.0.0.0/8", "fd00::/8"]), None);
        assert!(judged("10.0.0.1", &["127.0.0.0/8"]).is_some());
        assert!(judged("::1", &["127.0.0.0/8"]).is_some());
    }
}
