//! The networks of a cluster. They exist in its namespaces only: outside, the same addresses may belong to other
//! machines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a cluster has; of two, the first is that of its pods and Services where there can be only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// IPv4, and IPv6 beside it.
    Dual,
}

/// The addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    V4,
    V6,
}

impl Family {
    pub(super) fn networks(self) -> &'static [Network] {
        match self {
            Self::V4 => &[Network::V4],
            Self::V6 => &[Network::V6],
            Self::Dual => &[Network::V4, Network::V6],
        }
    }

    /// The network of the addresses of which there is one each.
    pub(super) fn primary(self) -> Network {
        if self == Self::V6 {
            Network::V6
        } else {
            Network::V4
        }
    }

    /// Ranges of the addresses of Services, as the API server takes them.
    pub(super) fn services(self) -> &'static str {
        match self {
            Self::V4 => "10.96.0.0/16",
            Self::V6 => "fd00:96::/112",
            Self::Dual => "10.96.0.0/16,fd00:96::/112",
        }
    }
}

impl Network {
    /// The machine that all nodes are connected to: the API server, and the router of the nodes.
    pub(super) fn host(self) -> IpAddr {
        self.address(1)
    }

    /// Where the simulated cloud is.
    pub(super) fn cloud(self) -> IpAddr {
        self.address(2)
    }

    /// A node; they are counted from 1.
    pub(super) fn node(self, number: u8) -> IpAddr {
        self.address(10 + u16::from(number))
    }

    fn address(self, last: u16) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 10, 0, u8::try_from(last).unwrap_or(u8::MAX)).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, last).into(),
        }
    }

    /// Bits of the network of these addresses.
    pub(super) fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    /// Addresses of the pods of a node.
    pub(super) fn pods(self, number: u8) -> String {
        match self {
            Self::V4 => format!("10.244.{number}.0/24"),
            Self::V6 => format!("fd00:244:{number}::/64"),
        }
    }

    /// The address of the Service `kubernetes`: the first one of the range.
    pub(super) fn service(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 96, 0, 1).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// Every address.
    pub(super) fn anywhere(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0/0",
            Self::V6 => "::/0",
        }
    }

    /// The option of `ip` for this family.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}
