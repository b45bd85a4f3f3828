//! Networks in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`, or an address alone.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::problem::quoted;
use crate::report::Complaint;

/// A network (RFC 4632 3.1, RFC 4291 2.3); an address alone is the network of only itself.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, Complaint> {
    let bad = || Complaint::new(format!("{} is not a network", quoted(text)));
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| bad().advice(advice(address)))?;
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(bad().advice(format!("write it as IPv4: clients there are {v4}, not {v6}")));
    }
    let Some(prefix) = prefix else { return Ok(IpNet::from(address)) };
    let longest = IpNet::from(address).max_prefix_len();
    if let Some(length) = mask_length(address, prefix) {
        let right = quoted(&format!("{address}/{length}"));
        return Err(bad().advice(format!("write the length of the mask: {right}")));
    }
    let digits = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_digit());
    let network = prefix
        .parse()
        .ok()
        .filter(|_| digits)
        .and_then(|length| IpNet::new(address, length).ok())
        .ok_or_else(|| {
            bad().advice(format!("behind the `/` stands a number from 0 to {longest}"))
        })?;
    if network.trunc() != network {
        return Err(bad().advice(format!(
            "write {} for the whole network, or {} for this address only",
            quoted(&network.trunc().to_string()),
            quoted(&address.to_string())
        )));
    }
    Ok(network)
}

/// What to do about text that is not an address.
fn advice(address: &str) -> &'static str {
    let inner = address.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let port = address.rsplit_once(':').is_some_and(|(host, _)| host.parse::<Ipv4Addr>().is_ok());
    if inner.is_some_and(|(inner, _)| inner.parse::<IpAddr>().is_ok()) {
        "leave out the brackets, and the port"
    } else if port {
        "leave out the port"
    } else {
        "write an address or a network, for example `10.0.0.0/8` or `2001:db8::1`; names are not looked up"
    }
}

/// The length of `255.0.0.0` and the like.
fn mask_length(address: IpAddr, mask: &str) -> Option<u8> {
    let mask: Ipv4Addr = mask.parse().ok().filter(|_| address.is_ipv4())?;
    ipnet::ipv4_mask_to_prefix(mask).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                parse_network(text).map(|network| network.to_string()).as_deref(),
                Ok(expected),
                "{text}"
            );
        };
        check("10.0.0.0/8", "10.0.0.0/8");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("::/0", "::/0");
        check("192.0.2.1", "192.0.2.1/32");
        check("2001:db8::1", "2001:db8::1/128");
        check("2001:DB8::/32", "2001:db8::/32");
        check("192.0.2.1/32", "192.0.2.1/32");
    }

    #[test]
    fn what_is_no_network_gets_the_right_one_as_advice() {
        let check = |text: &str, expected: &str| {
            let advice = parse_network(text).unwrap_err().advice.unwrap();
            assert!(advice.contains(expected), "{text}: {advice}");
        };
        check("10.1.2.3/8", "`10.0.0.0/8`");
        check("10.1.2.3/8", "`10.1.2.3` for");
        check("2001:db8::1/32", "`2001:db8::/32`");
        check("10.0.0.0/255.0.0.0", "`10.0.0.0/8`");
        check("10.0.0.0/33", "0 to 32");
        check("::/129", "0 to 128");
        check("10.0.0.0/", "0 to 32");
        check("10.0.0.0/+8", "0 to 32");
        check("10.0.0.1:80", "port");
        check("[::1]", "brackets");
        check("[::1]:80", "brackets");
        check("proxy.example.com", "names are not looked up");
        check("10.0.0", "names are not looked up");
        check("", "names are not looked up");
        check("::ffff:10.0.0.1", "IPv4");
        check("::ffff:10.0.0.0/104", "IPv4");
    }
}
