//! Text that says where: listener addresses, backend URLs, hosts and paths of routes.
//!
//! Pure text to values: resolves nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use routing::table::HostPattern;

use crate::model::{BackendAddress, BackendUrl, ListenAddress, Scheme};
use crate::problem::quoted;
use crate::report::Complaint;
use crate::unix::{self, parse_socket_path};

/// Where a listener is bound: an address as below, or `unix:/path`.
pub(crate) fn parse_listener(text: &str) -> Result<ListenAddress, Complaint> {
    match text.strip_prefix(unix::PREFIX) {
        Some(path) => parse_socket_path(path).map(ListenAddress::Unix),
        None => parse_listen(text).map(ListenAddress::Tcp),
    }
}

/// An address to listen on: `0.0.0.0:8080`, `[::1]:80`, `localhost:80` (127.0.0.1) or `:8080`
/// (every IPv4 address).
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, Complaint> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bad = || Complaint::new(format!("{} is not an address to listen on", quoted(text)));
    if text.contains("://") {
        return Err(bad().advice("write only the address and the port, for example `0.0.0.0:8080`"));
    }
    if text.starts_with(unix::PREFIX) {
        return Err(bad().advice("here it is an IP address and a port, not a Unix socket"));
    }
    if text.starts_with('/') {
        return Err(bad().advice(format!(
            "for a Unix socket write {}",
            quoted(&format!("{}{text}", unix::PREFIX))
        )));
    }
    if text.parse::<IpAddr>().is_ok() {
        let address =
            if text.contains(':') { format!("[{text}]:8080") } else { format!("{text}:8080") };
        return Err(
            bad().advice(format!("the port is missing: write for example {}", quoted(&address)))
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(bad().advice("write an IP address and a port, for example `0.0.0.0:8080`"));
    };
    let port: u16 = port.parse().map_err(|_| {
        bad().advice(format!("{} is not a port, ports are 0 to 65535", quoted(port)))
    })?;
    match host {
        "" | "*" => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        "localhost" => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ if host.parse::<Ipv6Addr>().is_ok() => {
            Err(bad().advice(format!("put the IPv6 address in brackets: `[{host}]:{port}`")))
        }
        _ => Err(bad().advice(
            "a listener needs an IP address, not a name; `0.0.0.0` stands for every IPv4 address",
        )),
    }
}

/// Where a backend is: `http://` or `https://`, a host, perhaps a port, and nothing else; or
/// `unix:/path`.
pub(crate) fn parse_url(text: &str) -> Result<BackendUrl, Complaint> {
    if let Some(path) = text.strip_prefix(unix::PREFIX) {
        let address = BackendAddress::Unix(parse_socket_path(path)?);
        return Ok(BackendUrl { scheme: Scheme::Http, address });
    }
    if let Some(rest) = text.strip_prefix("http://").filter(|rest| rest.starts_with(unix::PREFIX)) {
        let complaint = Complaint::new(format!("{} is not the URL of a backend", quoted(text)));
        return Err(complaint.advice(format!("for a Unix socket write {}", quoted(rest))));
    }
    let bad = || Complaint::new(format!("{} is not the URL of a backend", quoted(text)));
    let shape = "write for example `http://10.0.0.1:8080` or `https://app.example.com`";
    let Some((scheme, rest)) = text.split_once("://") else {
        let scheme = if text.starts_with('/') { unix::PREFIX } else { "http://" };
        let whole = quoted(&format!("{scheme}{text}"));
        return Err(bad().advice(format!("the scheme is missing: write {whole}")));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(bad().advice("the scheme is `http` or `https`")),
    };
    if rest.contains(['#', '?']) || rest.trim_end_matches('/').contains('/') {
        let message = format!("the URL of a backend has no path or query, {} has", quoted(text));
        return Err(Complaint::new(message).advice(
            "requests keep their own path; the path of a probe belongs to `health.http.path`",
        ));
    }
    if rest.contains('@') {
        let message = "the URL of a backend has no user or password";
        return Err(Complaint::new(message).advice("requests keep their own credentials"));
    }
    let uri: Uri = format!("http://{rest}").parse().map_err(|_| bad().advice(shape))?;
    let authority = uri.authority().ok_or_else(|| bad().advice(shape))?;
    let host = parse_url_host(authority.host()).ok_or_else(|| bad().advice(shape))?;
    let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
        "" => default_port(scheme),
        given => given
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| bad().advice("ports are 1 to 65535"))?,
    };
    Ok(BackendUrl::tcp(scheme, &host, port))
}

/// The port of a scheme.
pub(crate) fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// A URL's host without brackets, lower case, addresses in their usual form.
fn parse_url_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().ok().map(|address| address.to_string());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    is_dns_name(host).then(|| host.to_ascii_lowercase())
}

/// A host alone: a name or an address.
pub(crate) fn parse_host(text: &str) -> Result<Arc<str>, Complaint> {
    let bad = || Complaint::new(format!("{} is not a host", quoted(text)));
    if text.contains("://") || text.contains('/') {
        return Err(bad().advice("write only the host, for example `app.example.com`"));
    }
    if text.parse::<Ipv6Addr>().is_err() && text.contains(':') && !text.starts_with('[') {
        return Err(bad().advice("write only the host; the port has a key of its own"));
    }
    let bracketed = text.parse::<Ipv6Addr>().map(|address| format!("[{address}]"));
    let host = parse_url_host(bracketed.as_deref().unwrap_or(text));
    host.map(Arc::from).ok_or_else(|| bad().advice("write a name or an IP address"))
}

/// A host and a port: `10.0.0.1:53`, `[::1]:53` or `gateway.example.com:443`.
pub(crate) fn parse_host_and_port(text: &str) -> Result<(Arc<str>, u16), Complaint> {
    let bad = || Complaint::new(format!("{} is not a host and a port", quoted(text)));
    let shape = "write for example `10.0.0.1:53` or `gateway.example.com:443`";
    if text.contains("://") || text.contains('/') {
        return Err(bad().advice(shape));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Err(bad().advice(format!("write for example `[{address}]:443`")));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(bad().advice(format!("the port is missing: write for example `{text}:443`")));
    };
    let host = parse_url_host(host).ok_or_else(|| bad().advice(shape))?;
    let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    Ok((host.into(), port.ok_or_else(|| bad().advice("ports are 1 to 65535"))?))
}

/// The name a certificate is asked for: a DNS name or an IP address.
pub(crate) fn parse_server_name(text: &str) -> Result<Arc<str>, Complaint> {
    if text.parse::<IpAddr>().is_ok() || is_dns_name(text) {
        return Ok(Arc::from(text.to_ascii_lowercase()));
    }
    let complaint = Complaint::new(format!("{} is not a host name", quoted(text)));
    Err(complaint.advice("write the name in the certificate, for example `app.example.com`"))
}

/// RFC 1123 2.1, plus `_`, which real networks use. A name of digits and dots only would be a
/// mistyped address.
fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(label) && !last.chars().all(|c| c.is_ascii_digit())
}

/// The host of a route: a name, an address, `*.example.com`, or `*` for every host.
pub(crate) fn parse_host_pattern(text: &str) -> Result<HostPattern, Complaint> {
    let bad = || Complaint::new(format!("{} is not a host", quoted(text)));
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if text.contains("://") || text.contains('/') {
        return Err(bad().advice(
            "write only the host, for example `app.example.com`; the path has its own key",
        ));
    }
    if !text.is_ascii() {
        return Err(bad().advice("write an international name in its `xn--` form"));
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bracketed.parse::<Ipv6Addr>() {
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    if text.contains(':') {
        return Err(bad().advice("leave the port out: a route is for every port"));
    }
    if let Some(rest) = text.strip_prefix("*.").filter(|rest| is_dns_name(rest)) {
        return Ok(HostPattern::Wildcard(rest.trim_end_matches('.').to_ascii_lowercase()));
    }
    if text.contains('*') {
        return Err(
            bad().advice("a `*` stands alone or for whole labels in front: `*.example.com`")
        );
    }
    if text.parse::<Ipv4Addr>().is_ok() || is_dns_name(text) {
        return Ok(HostPattern::Exact(text.trim_end_matches('.').to_ascii_lowercase()));
    }
    Err(bad().advice("write for example `app.example.com` or `*.example.com`"))
}

/// The host of a route as a user would write it.
pub(crate) fn show_host(host: &HostPattern) -> String {
    match host {
        HostPattern::Any => "*".to_owned(),
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(rest) => format!("*.{rest}"),
    }
}

/// The path prefix of a route.
pub(crate) fn parse_route_path(text: &str) -> Result<String, Complaint> {
    let bad = || Complaint::new(format!("{} is not a path prefix", quoted(text)));
    if !text.starts_with('/') {
        return Err(
            bad().advice(format!("a path begins with `/`: write {}", quoted(&format!("/{text}"))))
        );
    }
    if text.contains('*') {
        let prefix = text.split('*').next().unwrap_or_default();
        let prefix = if prefix.len() > 1 { prefix.trim_end_matches('/') } else { prefix };
        return Err(bad()
            .advice(format!("a path stands for everything below it: write {}", quoted(prefix))));
    }
    if text.contains(['?', '#']) {
        return Err(bad().advice("a route looks at the path only, without the query"));
    }
    let parsed: Result<Uri, _> = text.parse();
    if parsed.is_err()
        || text.contains("//")
        || text.split('/').any(|part| matches!(part, "." | ".."))
    {
        return Err(bad()
            .advice("write it as it appears in a request, without empty, `.` or `..` segments"));
    }
    Ok(text.to_owned())
}

/// Whether two listening sockets would compete for the same clients. Port 0 never does.
pub(crate) fn overlap(a: &ListenAddress, b: &ListenAddress) -> bool {
    let (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) = (a, b) else { return a == b };
    let covers =
        |wide: IpAddr, other: IpAddr| wide.is_unspecified() && wide.is_ipv4() == other.is_ipv4();
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip()))
}

/// Whether a connection to `url` would certainly arrive at a socket listening on `address`.
pub(crate) fn leads_to(url: &BackendUrl, address: &ListenAddress) -> bool {
    let (host, port, address) = match (&url.address, address) {
        (BackendAddress::Tcp { host, port }, ListenAddress::Tcp(address)) => (host, port, address),
        (BackendAddress::Unix(path), ListenAddress::Unix(own)) => return path == own,
        (BackendAddress::Tcp { .. }, ListenAddress::Unix(_))
        | (BackendAddress::Unix(_), ListenAddress::Tcp(_)) => return false,
    };
    if *port != address.port() {
        return false;
    }
    if host.as_ref() == "localhost" {
        return address.ip().is_loopback() || address.ip().is_unspecified();
    }
    host.parse::<IpAddr>().is_ok_and(|host| {
        host == address.ip()
            || (address.ip().is_unspecified()
                && (host.is_loopback() || host.is_unspecified())
                && host.is_ipv4() == address.is_ipv4())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show<T: std::fmt::Debug>(result: Result<T, Complaint>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(complaint) => format!("error: {}", complaint.advice.unwrap_or(complaint.message)),
        }
    }

    #[test]
    fn listen_addresses() {
        let check =
            |text: &str, expected: &str| assert_eq!(show(parse_listen(text)), expected, "{text}");
        check("0.0.0.0:8080", "0.0.0.0:8080");
        check(":8080", "0.0.0.0:8080");
        check("*:8080", "0.0.0.0:8080");
        check("[::1]:80", "[::1]:80");
        check("localhost:80", "127.0.0.1:80");
        check("127.0.0.1:0", "127.0.0.1:0");
        check("::1:80", "error: the port is missing: write for example `[::1:80]:8080`");
        check("127.0.0.1", "error: the port is missing: write for example `127.0.0.1:8080`");
        check("8080", "error: write an IP address and a port, for example `0.0.0.0:8080`");
        check("127.0.0.1:70000", "error: `70000` is not a port, ports are 0 to 65535");
        check(
            "http://127.0.0.1:80",
            "error: write only the address and the port, for example `0.0.0.0:8080`",
        );
        assert!(parse_listen("app.example.com:80").is_err());
        assert!(parse_listen("").is_err());
        check("unix:/a", "error: here it is an IP address and a port, not a Unix socket");
        check("/run/a", "error: for a Unix socket write `unix:/run/a`");
    }

    #[test]
    fn urls() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_url(text).map(|url| url.to_string()).ok().as_deref(), Some(expected));
        };
        check("http://10.0.0.1", "http://10.0.0.1:80");
        check("https://App.Example.com", "https://app.example.com:443");
        check("HTTPS://app:8443/", "https://app:8443");
        check("http://[::1]:9001", "http://[::1]:9001");
        check("unix:/run/app.sock", "unix:/run/app.sock");
        for bad in [
            "",
            "app",
            "app:80",
            "ftp://app",
            "unix:run/app.sock",
            "unix://run/app.sock",
            "/run/app.sock",
            "http://",
            "http://:80",
            "http://app:0",
            "http://app:",
            "http://app:99999",
            "http://app/path",
            "http://app?x",
            "http://app#x",
            "http://u:p@app",
            "http://a b",
            "http://-app",
            "http://300.1.1.1",
            "http://[::1",
            "http://[zz]",
            "http://a..b",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_patterns() {
        let check =
            |text: &str, expected: HostPattern| assert_eq!(parse_host_pattern(text), Ok(expected));
        check("*", HostPattern::Any);
        check("App.example.com", HostPattern::Exact("app.example.com".into()));
        check("*.Example.com", HostPattern::Wildcard("example.com".into()));
        check("127.0.0.1", HostPattern::Exact("127.0.0.1".into()));
        check("[::1]", HostPattern::Exact("[::1]".into()));
        check("::1", HostPattern::Exact("[::1]".into()));
        for bad in
            ["", "app:80", "*.", "*app.com", "a.*.com", "http://app", "app/x", "münchen.de", "a b"]
        {
            assert!(parse_host_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("10.0.0.1:53", "10.0.0.1", 53),
            ("Gateway.example.com:443", "gateway.example.com", 443),
            ("[2001:DB8::1]:1", "2001:db8::1", 1),
        ] {
            assert_eq!(parse_host_and_port(text), Ok((host.into(), port)), "{text}");
        }
        for bad in [
            "",
            "a",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "::1",
            "http://a:1",
            "a/b:1",
            "a b:1",
            "10.0.0:1",
        ] {
            assert!(parse_host_and_port(bad).is_err(), "{bad}");
        }
        for (text, host) in [("::1", "::1"), ("[::1]", "::1"), ("A", "a"), ("10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(parse_host(text).as_deref(), Ok(host), "{text}");
        }
        for bad in ["", "a:1", "http://a", "a/", "10.0.0", "[a]", "a b"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn route_paths() {
        assert_eq!(parse_route_path("/api/v1").as_deref(), Ok("/api/v1"));
        for bad in ["", "api", "/a?b", "/a#b", "/a b", "//", "/a//b", "/a/../b", "/a/*"] {
            assert!(parse_route_path(bad).is_err(), "{bad}");
        }
        assert_eq!(
            show(parse_route_path("/api/*")),
            "error: a path stands for everything below it: write `/api`"
        );
        assert_eq!(
            show(parse_route_path("/*")),
            "error: a path stands for everything below it: write `/`"
        );
    }

    #[test]
    fn sockets_that_compete() {
        let check = |a: &str, b: &str, expected: bool| {
            let (a, b) = (parse_listener(a).unwrap(), parse_listener(b).unwrap());
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{a} {b}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("0.0.0.0:80", "0.0.0.0:81", false);
        check("[::]:80", "127.0.0.1:80", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("unix:/run/a", "unix:/run/a", true);
        check("unix:/run/a", "unix:/run/b", false);
        check("unix:/run/a", "0.0.0.0:80", false);
    }

    #[test]
    fn loops() {
        let check = |url: &str, address: &str, expected: bool| {
            assert_eq!(
                leads_to(&parse_url(url).unwrap(), &parse_listener(address).unwrap()),
                expected,
                "{url} {address}"
            );
        };
        check("http://127.0.0.1:80", "127.0.0.1:80", true);
        check("http://127.0.0.1", "0.0.0.0:80", true);
        check("http://localhost:81", "127.0.0.1:81", true);
        check("http://127.0.0.1:81", "0.0.0.0:80", false);
        check("http://10.0.0.1:80", "0.0.0.0:80", false);
        check("http://app.example.com:80", "0.0.0.0:80", false);
        check("unix:/run/a", "unix:/run/a", true);
        check("unix:/run/a", "unix:/run/b", false);
        check("unix:/run/a", "0.0.0.0:80", false);
        check("http://127.0.0.1", "unix:/run/a", false);
    }
}
