//! Decides which service a host and path belong to.
//!
//! Knows nothing of backends; does no I/O and allocates nothing while looking up.
//!
//! Paths are compared as they were sent, byte for byte: no decoding, no `..`, case matters (RFC 9110
//! section 4.2.3). A route chooses a service; it is no access control.

use std::cmp::Reverse;
use std::collections::HashMap;

/// The longest host name there is (RFC 1035 section 2.3.4); a longer one matches no name.
const LONGEST_HOST: usize = 255;

/// Which hosts a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This one, lower case, without a port.
    Exact(String),
    /// Every name below this one: `example.com` stands for `*.example.com`.
    Wildcard(String),
}

/// Finds the service of a request. `T` names a service.
#[derive(Clone, Debug)]
pub struct Table<T> {
    exact: HashMap<Vec<u8>, Paths<T>>,
    wildcard: HashMap<Vec<u8>, Paths<T>>,
    any: Paths<T>,
    default: Option<T>,
}

impl<T: Copy> Table<T> {
    /// Builds the table. On two routes with the same host and path the first wins; `default` is for
    /// requests that no route matches.
    ///
    /// A `/` at the end of a route's path means nothing: `/a` and `/a/` are the same route. Hosts are
    /// brought into the form that [`Table::find`] uses, so case and a final dot do not matter here
    /// either, and `[::1]` and `::1` are the same.
    #[must_use]
    pub fn new(
        routes: impl IntoIterator<Item = (HostPattern, String, T)>,
        default: Option<T>,
    ) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        let mut any = Paths::default();
        for (host, path, service) in routes {
            let paths = match host {
                HostPattern::Any => &mut any,
                HostPattern::Exact(name) => exact.entry(key(&name)).or_default(),
                HostPattern::Wildcard(name) => wildcard.entry(key(&name)).or_default(),
            };
            paths.insert(path, service);
        }
        Self { exact, wildcard, any, default }
    }

    /// The service for `host` (as in the request, with or without port, any case) and `path`
    /// (as in the request, without the query).
    ///
    /// An exact host wins over a wildcard, a longer wildcard over a shorter, any wildcard over
    /// [`HostPattern::Any`]; within one host the longest path prefix on a segment border wins: `/a`
    /// is a prefix of `/a`, `/a/` and `/a/b`, not of `/ab`; `/` is one of everything, `*` included.
    /// When a host has no matching path, less exact hosts are tried.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<T> {
        self.find_by_name(host, path).or_else(|| self.any.find(path)).or(self.default)
    }

    fn find_by_name(&self, host: &str, path: &str) -> Option<T> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return None;
        }
        let name = name_of(host).as_bytes();
        let mut buffer = [0; LONGEST_HOST];
        let lower = buffer.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let lower = &*lower;

        let exact = self.exact.get(lower).and_then(|paths| paths.find(path));
        if exact.is_some() || self.wildcard.is_empty() {
            return exact;
        }
        // A dot at the very start has no label before it.
        let dots = lower.iter().enumerate().skip(1).filter(|&(_, byte)| *byte == b'.');
        dots.filter_map(|(at, _)| self.wildcard.get(&lower[at + 1..]))
            .find_map(|paths| paths.find(path))
    }
}

/// The routes of one host, the longest prefix first.
#[derive(Clone, Debug)]
struct Paths<T> {
    prefixes: Vec<(String, T)>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { prefixes: Vec::new() }
    }
}

impl<T: Copy> Paths<T> {
    fn insert(&mut self, mut path: String, service: T) {
        path.truncate(path.trim_end_matches('/').len());
        let rank = Reverse(path.len());
        // After its equals: of two routes for the same path the first is found.
        let at = self.prefixes.partition_point(|(prefix, _)| Reverse(prefix.len()) <= rank);
        self.prefixes.insert(at, (path, service));
    }

    fn find(&self, path: &str) -> Option<T> {
        let covers = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
        };
        self.prefixes.iter().find(|(prefix, _)| covers(prefix)).map(|&(_, service)| service)
    }
}

/// The host without port (RFC 9110 section 7.2), brackets and final dot.
fn name_of(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split_once(']').map_or(host, |(address, _)| address);
    }
    let name = match host.split_once(':') {
        // Not digits: a bare IPv6 address, or nothing we know; in both cases no port.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn key(host: &str) -> Vec<u8> {
    name_of(host).to_ascii_lowercase().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, Table};

    const ANY: &str = "any";

    /// Builds a table from lines `host path service`; hosts `*` and `*.name` are patterns, and the
    /// line `default service` is the default. Then compares lines `host path` (no host: `-`) with
    /// what is expected after `=`.
    #[track_caller]
    fn check(routes: &str, requests: &str) {
        let mut default = None;
        let mut table = vec![];
        for line in lines(routes) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["default", service] => default = Some(service),
                [host, path, service] => table.push((pattern(host), path.to_owned(), service)),
                _ => panic!("no such route: {line}"),
            }
        }
        let table = Table::new(table, default);
        for line in lines(requests) {
            let (request, expected) = line.split_once(" = ").expect("host path = service");
            let (host, path) = request.split_once(' ').unwrap();
            let host = if host == "-" { "" } else { host };
            assert_eq!(table.find(host, path).unwrap_or("none"), expected, "{line}");
        }
    }

    fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(str::trim).filter(|l| !l.is_empty())
    }

    fn pattern(host: &str) -> HostPattern {
        match host.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(below) => HostPattern::Wildcard(below.trim_start_matches('.').to_owned()),
            None => HostPattern::Exact(host.to_owned()),
        }
    }

    #[test]
    fn an_empty_table_finds_nothing_and_a_default_everything() {
        check("", "example.com / = none");
        check("default d", "example.com / = d\n example.com * = d\n - /x = d");
    }

    #[test]
    fn hosts_are_compared_without_case_port_and_final_dot() {
        check(
            "example.com / e",
            "example.com / = e
            EXAMPLE.Com / = e
            example.com:8080 / = e
            example.com: / = e
            example.com. / = e
            Example.com.:443 / = e
            example.com.. / = none
            example.com:x / = none
            example.org / = none
            www.example.com / = none
            xample.com / = none",
        );
        check("Example.COM. / e", "example.com / = e");
    }

    #[test]
    fn ipv6_hosts_with_and_without_port() {
        check(
            "[::1] / six
            2001:DB8::2 / two
            127.0.0.1 / four",
            "[::1] / = six
            [::1]:80 / = six
            ::1 / = six
            [2001:db8::2]:443 / = two
            [::2] / = none
            [::1 / = none
            127.0.0.1:80 / = four",
        );
    }

    #[test]
    fn a_wildcard_is_for_every_name_below() {
        check(
            "*.example.com / w",
            "a.example.com / = w
            A.B.Example.com:80 / = w
            example.com / = none
            .example.com / = none
            aexample.com / = none
            a.example.com.org / = none",
        );
    }

    #[test]
    fn the_most_exact_host_wins() {
        check(
            "* / any
            *.example.com / short
            *.a.example.com / long
            x.a.example.com / exact",
            "x.a.example.com / = exact
            y.a.example.com / = long
            a.example.com / = short
            b.example.com / = short
            example.com / = any",
        );
    }

    #[test]
    fn the_longest_prefix_on_a_segment_border_wins() {
        check(
            "* /a short
            * /a/b long
            * /a/b/c/ longer
            default d",
            "h /a = short
            h /a/ = short
            h /a/x = short
            h /a/bc = short
            h /a/b = long
            h /a/b/ = long
            h /a/b/c = longer
            h /a/b/c/ = longer
            h /a/b/c/d = longer
            h /ab = d
            h /A = d
            h / = d
            h * = d
            h //a = d",
        );
    }

    #[test]
    fn the_root_covers_everything() {
        check("* / r", "h / = r\n h /x/y = r\n h * = r\n h  = r");
    }

    #[test]
    fn without_a_matching_path_less_exact_hosts_are_tried() {
        check(
            "x.a.example.com /one exact
            *.a.example.com /two long
            *.example.com /three short
            * /four any
            default d",
            "x.a.example.com /one = exact
            x.a.example.com /two = long
            x.a.example.com /three = short
            x.a.example.com /four = any
            x.a.example.com /five = d",
        );
    }

    #[test]
    fn of_two_equal_routes_the_first_wins() {
        check(
            "h /a first
            h /b other
            H. /a/ second",
            "h /a = first\n h /b = other",
        );
    }

    #[test]
    fn the_longest_legal_host_is_found_and_longer_ones_match_any_only() {
        let longest = [&"a".repeat(63); 4].map(String::as_str).join(".");
        let longer = format!("{longest}x");
        let routes = [
            (HostPattern::Exact(longest.clone()), "/".to_owned(), "longest"),
            (HostPattern::Exact(longer.clone()), "/".to_owned(), "longer"),
            (HostPattern::Any, "/".to_owned(), ANY),
        ];
        let table = Table::new(routes, None);
        assert_eq!(longest.len(), 255);
        assert_eq!(table.find(&longest, "/"), Some("longest"));
        assert_eq!(table.find(&format!("{longest}.:80"), "/"), Some("longest"));
        assert_eq!(table.find(&longer, "/"), Some(ANY));
    }

    /// The rules again, as a search through all routes for the best one.
    fn naive(routes: &[(HostPattern, String, usize)], host: &str, path: &str) -> Option<usize> {
        let host = host.to_ascii_lowercase();
        let host = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let host = host.trim_end_matches('.');
        let segments: Vec<_> = path.split('/').collect();
        let mut best: Option<((usize, usize), usize)> = None;
        for (pattern, prefix, service) in routes {
            let host_rank = match pattern {
                HostPattern::Any => 0,
                HostPattern::Wildcard(below) if host.ends_with(&format!(".{below}")) => below.len(),
                HostPattern::Exact(name) if host == name => 1000,
                HostPattern::Wildcard(_) | HostPattern::Exact(_) => continue,
            };
            let wanted: Vec<_> = prefix.trim_end_matches('/').split('/').collect();
            let rank = (host_rank, prefix.trim_end_matches('/').len());
            if segments.starts_with(&wanted) && best.is_none_or(|(held, _)| rank > held) {
                best = Some((rank, *service));
            }
        }
        best.map(|(_, service)| service)
    }

    #[test]
    fn agrees_with_a_naive_search() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut name = |most| -> String {
                let labels: Vec<_> = (0..random.usize(1..=most))
                    .map(|_| ["a", "b", "ab"][random.usize(..3)])
                    .collect();
                labels.join(".")
            };
            let hosts: Vec<_> = (0..6).map(|_| name(3)).collect();
            let mut random = fastrand::Rng::with_seed(seed + 1_000_000);
            let path = |random: &mut fastrand::Rng| -> String {
                let segments = 0..random.usize(0..4);
                let path: String =
                    segments.map(|_| ["/a", "/b", "/ab"][random.usize(..3)]).collect();
                path + ["", "/"][random.usize(..2)]
            };
            let routes: Vec<_> = (0..random.usize(..20))
                .map(|service| {
                    let host = hosts[random.usize(..hosts.len())].clone();
                    let pattern = match random.u8(..3) {
                        0 => HostPattern::Any,
                        1 => HostPattern::Exact(host),
                        _ => HostPattern::Wildcard(host),
                    };
                    (pattern, format!("/{}", path(&mut random).trim_start_matches('/')), service)
                })
                .collect();
            let table = Table::new(routes.clone(), None);
            for _ in 0..200 {
                let host = &hosts[random.usize(..hosts.len())];
                let host = match random.u8(..4) {
                    0 => host.to_ascii_uppercase(),
                    1 => format!("{host}:80"),
                    2 => format!("ab.{host}."),
                    _ => host.clone(),
                };
                let path = format!("/{}", path(&mut random).trim_start_matches('/'));
                let (found, expected) = (table.find(&host, &path), naive(&routes, &host, &path));
                assert_eq!(found, expected, "seed {seed}: {host} {path} in {routes:?}");
            }
        }
    }
}
