//! The addresses that a server must not call on behalf of a stranger.
//!
//! A stranger who names a URL that the broker calls could otherwise reach, through
//! it, what only the broker's machine can reach: services on loopback, hosts of the
//! private network, the metadata service of a cloud (169.254.169.254). These rules
//! are pure; `dial` connects only to addresses that they allow.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

/// A network given by the first four groups of its address; none below needs more.
const fn v6(a: u16, b: u16, c: u16, d: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), bits)
}

/// The IPv4 networks that are not the public internet: the registry of
/// special-purpose addresses (RFC 6890 and its updates), multicast, and the
/// reserved rest.
const REFUSED_V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "an address of \"this\" network"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a carrier's shared address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a protocol's own address"),
    (v4(192, 0, 2, 0, 24), "an address for documentation"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay's address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address for benchmarks"),
    (v4(198, 51, 100, 0, 24), "an address for documentation"),
    (v4(203, 0, 113, 0, 24), "an address for documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "a reserved or broadcast address"),
];

/// The same for IPv6. Only `2000::/3` has ever been given out as global unicast, so
/// the last three rows refuse everything else; those before them are there for
/// their reasons, or lie within it. An IPv4-mapped address is judged as the address
/// that it maps, and never gets here.
const REFUSED_V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    (v6(0x64, 0xff9b, 0, 0, 96), "an IPv4 address behind NAT64"),
    (v6(0x64, 0xff9b, 1, 0, 48), "an IPv4 address behind NAT64"),
    (v6(0x2001, 0, 0, 0, 32), "a Teredo tunnel's address"),
    (v6(0x2001, 0, 0, 0, 23), "a protocol's own address"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "an address for documentation"),
    (v6(0x2002, 0, 0, 0, 16), "an IPv4 address behind 6to4"),
    (v6(0x3fff, 0, 0, 0, 20), "an address for documentation"),
    (v6(0xfc00, 0, 0, 0, 7), "a private address"),
    (v6(0xfe80, 0, 0, 0, 10), "a link-local address"),
    (v6(0xff00, 0, 0, 0, 8), "a multicast address"),
    (v6(0, 0, 0, 0, 3), "a reserved address"),
    (v6(0x4000, 0, 0, 0, 2), "a reserved address"),
    (v6(0x8000, 0, 0, 0, 1), "a reserved address"),
];

/// Which addresses may be called.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Networks that may be called although a stranger must not reach them.
    pub allow: Vec<IpNet>,
    /// The setting that extends `allow`, for the text of a refusal.
    pub setting: &'static str,
}

impl Policy {
    /// The address to connect to in place of this one: itself, or the IPv4 address
    /// that it maps.
    ///
    /// # Errors
    /// A sentence that says why it may not be called, and what would change
    /// that.
    pub fn judge(&self, addr: IpAddr) -> Result<IpAddr, String> {
        let addr = addr.to_canonical();
        if self.allow.iter().any(|net| net.contains(&addr)) {
            return Ok(addr);
        }
        match refused(addr) {
            None => Ok(addr),
            // The text does not name the address: whoever names a host must not
            // learn where it is in this network.
            Some((what, net)) => Err(format!(
                "it is at {what}, where this broker calls nobody ({} {net} would allow it)",
                self.setting
            )),
        }
    }
}

/// Why this address is not called, and the network in the table that says so.
fn refused(addr: IpAddr) -> Option<(&'static str, IpNet)> {
    match addr {
        IpAddr::V4(addr) => {
            let row = REFUSED_V4.iter().find(|(net, _)| net.contains(&addr));
            row.map(|(net, what)| (*what, IpNet::V4(*net)))
        }
        IpAddr::V6(addr) => {
            let row = REFUSED_V6.iter().find(|(net, _)| net.contains(&addr));
            row.map(|(net, what)| (*what, IpNet::V6(*net)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Result<IpAddr, String> {
        Policy { allow: Vec::new(), setting: "--allow" }.judge(text.parse().unwrap())
    }

    /// The first and the last address of each range, and their neighbours
    /// outside it (`-` where those belong to another refused range).
    const RANGES_V4: &[[&str; 4]] = &[
        ["-", "0.0.0.0", "0.255.255.255", "1.0.0.0"],
        ["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
        ["100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"],
        ["126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"],
        ["169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"],
        ["172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"],
        ["191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"],
        ["192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"],
        ["192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"],
        ["192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"],
        ["198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"],
        ["198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"],
        ["203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"],
        ["223.255.255.255", "224.0.0.0", "239.255.255.255", "-"],
        ["-", "240.0.0.0", "255.255.255.255", "-"],
    ];

    #[test]
    fn the_borders_of_every_ipv4_range() {
        assert_eq!(RANGES_V4.len(), REFUSED_V4.len(), "one row for each");
        for ([before, first, last, after], (net, _)) in RANGES_V4.iter().zip(REFUSED_V4) {
            for refused in [first, last] {
                let why = judged(refused).unwrap_err();
                assert!(why.contains(&format!("(--allow {net} would")), "{refused}: {why}");
                // The same address, in other forms.
                judged(&format!("::ffff:{refused}")).unwrap_err();
                judged(&format!("64:ff9b::{refused}")).unwrap_err();
                judged(&format!("::{refused}")).unwrap_err();
            }
            for called in [before, after].into_iter().filter(|addr| **addr != "-") {
                assert_eq!(judged(called), Ok(called.parse().unwrap()));
                assert_eq!(judged(&format!("::ffff:{called}")), Ok(called.parse().unwrap()));
                judged(&format!("64:ff9b::{called}")).unwrap_err();
            }
        }
    }

    #[test]
    fn the_borders_of_the_ipv6_ranges() {
        for refused in [
            "::",
            "::1",
            "::2",
            "64:ff9b::",
            "64:ff9b::8.8.8.8",
            "64:ff9b::ffff:ffff",
            "64:ff9b:1::1",
            "100::1",
            "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001::",
            "2001:0:ffff::1",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2002::",
            "2002:7f00:1::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "4000::",
            "5f00::1",
            "8000::",
            "fc00::",
            "fd00:ec2::254",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe00::",
            "fe80::",
            "fe80::1",
            "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fec0::1",
            "ff00::",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            judged(refused).unwrap_err();
        }
        for called in [
            "2000::",
            "2001:200::",
            "2001:4860:4860::8888",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2003::",
            "2606:4700:4700::1111",
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
            "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert_eq!(judged(called), Ok(called.parse().unwrap()));
        }
    }

    #[test]
    fn an_allowed_network_and_nothing_beside_it() {
        let allow = vec!["10.1.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()];
        let policy = Policy { allow, setting: "--allow" };
        let judge = |text: &str| policy.judge(text.parse().unwrap()).is_ok();
        assert!(judge("10.1.0.0") && judge("10.1.255.255") && judge("::ffff:10.1.2.3"));
        assert!(judge("::1") && judge("8.8.8.8"));
        assert!(!judge("10.0.255.255") && !judge("10.2.0.0") && !judge("127.0.0.1"));
        assert!(!judge("::2") && !judge("::ffff:127.0.0.1"));
    }
}
