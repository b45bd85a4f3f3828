//! The PROXY header that a connection begins with (HAProxy's "The PROXY protocol", versions 1 and 2).
//!
//! Written by hand: it is two short formats, and no package makes either of them shorter.

use std::net::{IpAddr, SocketAddr};

use config::model::ProxyVersion;

use crate::connector::Origin;

/// Every header of version 2 begins with these (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2; the sender speaks for itself.
const LOCAL: u8 = 0x20;
/// Version 2; the sender speaks for somebody else.
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header that tells of `origin`.
///
/// Neither version can tell of two addresses of different families; then it tells of none, as for
/// [`Origin::Local`].
pub(crate) fn header(version: ProxyVersion, origin: Origin) -> Vec<u8> {
    let ends = match origin {
        Origin::Local => None,
        Origin::Client { source, destination } => {
            // A socket for both families has IPv4 clients with addresses such as ::ffff:192.0.2.1.
            let ends = (canonical(source), canonical(destination));
            (ends.0.is_ipv4() == ends.1.is_ipv4()).then_some(ends)
        }
    };
    match version {
        ProxyVersion::V1 => line(ends).into_bytes(),
        ProxyVersion::V2 => binary(ends),
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Section 2.1.
fn line(ends: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((source, destination)) = ends else { return "PROXY UNKNOWN\r\n".to_owned() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let ips = format!("{} {}", source.ip(), destination.ip());
    format!("PROXY {family} {ips} {} {}\r\n", source.port(), destination.port())
}

/// Section 2.2.
fn binary(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some((source, destination)) = ends else {
        header.extend([LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    // Two addresses and two ports follow.
    let (family, length) = if source.is_ipv4() { (TCP_OVER_IPV4, 12) } else { (TCP_OVER_IPV6, 36) };
    header.extend([PROXY, family, 0, length]);
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(ip) => header.extend(ip.octets()),
            IpAddr::V6(ip) => header.extend(ip.octets()),
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use ppp::{HeaderResult, v1, v2};

    use super::*;

    fn client(source: &str, destination: &str) -> Origin {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Origin::Client { source, destination }
    }

    #[test]
    fn version_1_is_a_line() {
        for (origin, expected) in [
            (
                client("192.0.2.1:56324", "198.51.100.7:443"),
                "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
            ),
            (
                client("[2001:db8::1]:65535", "[2001:db8::2]:1"),
                "PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n",
            ),
            (
                client("[::ffff:192.0.2.1]:5", "[::ffff:198.51.100.7]:6"),
                "PROXY TCP4 192.0.2.1 198.51.100.7 5 6\r\n",
            ),
            (client("192.0.2.1:5", "[2001:db8::2]:6"), "PROXY UNKNOWN\r\n"),
            (Origin::Local, "PROXY UNKNOWN\r\n"),
        ] {
            let header = header(ProxyVersion::V1, origin);
            assert_eq!(String::from_utf8(header).unwrap(), expected);
        }
    }

    #[test]
    fn version_2_is_binary() {
        let signature = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";
        let rest = |origin| {
            let header = header(ProxyVersion::V2, origin);
            assert_eq!(header[..12], signature[..]);
            header[12..].to_vec()
        };
        assert_eq!(
            rest(client("192.0.2.1:56324", "198.51.100.7:443")),
            [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb]
        );
        let mut six = vec![0x21, 0x21, 0, 36];
        for last in [1, 2] {
            six.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        six.extend([0xff, 0xff, 0, 1]);
        assert_eq!(rest(client("[2001:db8::1]:65535", "[2001:db8::2]:1")), six);
        let local = [0x20, 0, 0, 0];
        assert_eq!(rest(Origin::Local), local);
        assert_eq!(rest(client("[2001:db8::2]:6", "192.0.2.1:5")), local);
    }

    #[test]
    fn another_reader_understands_them() {
        for origin in [
            client("192.0.2.1:56324", "198.51.100.7:443"),
            client("[2001:db8::1]:65535", "[2001:db8::2]:1"),
        ] {
            let Origin::Client { source, destination } = origin else { unreachable!() };
            let ends = (source.ip(), source.port(), destination.ip(), destination.port());
            let one = header(ProxyVersion::V1, origin);
            let HeaderResult::V1(Ok(parsed)) = HeaderResult::parse(&one) else { panic!("{one:?}") };
            let understood: (IpAddr, u16, IpAddr, u16) = match parsed.addresses {
                v1::Addresses::Tcp4(a) => (
                    a.source_address.into(),
                    a.source_port,
                    a.destination_address.into(),
                    a.destination_port,
                ),
                v1::Addresses::Tcp6(a) => (
                    a.source_address.into(),
                    a.source_port,
                    a.destination_address.into(),
                    a.destination_port,
                ),
                v1::Addresses::Unknown => panic!("unknown"),
            };
            assert_eq!(understood, ends);
            let two = header(ProxyVersion::V2, origin);
            let HeaderResult::V2(Ok(parsed)) = HeaderResult::parse(&two) else { panic!("{two:?}") };
            assert_eq!(
                (parsed.command, parsed.protocol),
                (v2::Command::Proxy, v2::Protocol::Stream)
            );
            let understood: (IpAddr, u16, IpAddr, u16) = match parsed.addresses {
                v2::Addresses::IPv4(a) => (
                    a.source_address.into(),
                    a.source_port,
                    a.destination_address.into(),
                    a.destination_port,
                ),
                v2::Addresses::IPv6(a) => (
                    a.source_address.into(),
                    a.source_port,
                    a.destination_address.into(),
                    a.destination_port,
                ),
                other => panic!("{other:?}"),
            };
            assert_eq!(understood, ends);
        }
    }
}
