//! Following a redirect (RFC 9110 section 15.4), to the same scheme, host and port only. Pure.

use config::model::{HttpProbe, Scheme};
use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::{Question, Reply, host};
use crate::report::Cause;

/// Where an answer sends us, if redirects are followed at all.
pub(super) fn location(probe: &HttpProbe, reply: &Reply) -> Option<String> {
    let redirects = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
    if probe.redirects == 0 || !redirects {
        return None;
    }
    reply.headers.get(LOCATION)?.to_str().ok().map(str::to_owned)
}

/// Most characters of a location that are repeated.
const MOST_CHARACTERS: usize = 100;

/// A location for a message: its beginning, without control characters, and without the query, which
/// may hold a token.
pub(super) fn shown(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    let mut characters = path.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = characters.by_ref().take(MOST_CHARACTERS).collect();
    if characters.next().is_some() || path.len() < location.len() {
        shown.push_str("...");
    }
    shown
}

/// Turns the question to `location`.
///
/// # Errors
/// It leads elsewhere, or nowhere.
pub(super) fn follow(
    question: &mut Question<'_>,
    status: u16,
    location: &str,
) -> Result<(), Cause> {
    let host = host(question)?;
    let hosts = [&*question.url.authority(), host.to_str().unwrap_or_default()];
    let path = target(location, &question.path, question.url.scheme, hosts);
    let elsewhere = || Cause::Unexpected(format!("redirected elsewhere, to {}", shown(location)));
    question.path = path.ok_or_else(elsewhere)?;
    // RFC 9110 sections 15.4.2 to 15.4.4.
    let turns = match status {
        303 => question.method != Method::HEAD,
        301 | 302 => question.method == Method::POST,
        _ => false,
    };
    if turns {
        (question.method, question.body) = (Method::GET, "");
    }
    Ok(())
}

/// The path and query that `location` means, seen from `base`; `None` when it is not on one of
/// `hosts` in this scheme.
fn target(
    location: &str,
    base: &PathAndQuery,
    scheme: Scheme,
    hosts: [&str; 2],
) -> Option<PathAndQuery> {
    let location = location.split('#').next().unwrap_or_default();
    let (name, port) = match scheme {
        Scheme::Http => ("http", 80),
        Scheme::Https => ("https", 443),
    };
    let is_absolute = location.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
    let absolute = match location.strip_prefix("//") {
        Some(rest) => Some(format!("{name}://{rest}")),
        None => is_absolute.then(|| location.to_owned()),
    };
    if let Some(absolute) = absolute {
        let uri: Uri = absolute.parse().ok()?;
        let authority = uri.authority()?;
        let is_ours = hosts.iter().any(|host| same_host(authority.as_str(), host, port));
        let same_scheme = uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
        return (same_scheme && is_ours).then(|| uri.path_and_query().cloned()).flatten();
    }
    let path = base.path();
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    let text = match location.chars().next() {
        None => base.to_string(),
        Some('/') => location.to_owned(),
        Some('?') => format!("{path}{location}"),
        Some(_) => format!("{folder}{location}"),
    };
    text.parse().ok()
}

/// Whether both mean the same host and port.
fn same_host(a: &str, b: &str, default_port: u16) -> bool {
    let suffix = format!(":{default_port}");
    let bare = |host: &str| host.strip_suffix(&suffix).unwrap_or(host).to_ascii_lowercase();
    bare(a) == bare(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_short_and_without_its_query() {
        for (location, expected) in [
            ("/login", "/login"),
            ("https://sso.example/x?token=hunter2", "https://sso.example/x..."),
            ("/x#token=hunter2", "/x..."),
            ("/a\x1b[2J", "/a [2J"),
        ] {
            assert_eq!(shown(location), expected);
        }
        assert_eq!(shown(&"ü".repeat(5000)), format!("{}...", "ü".repeat(100)));
    }

    #[test]
    fn a_redirect_stays_with_its_scheme_host_and_port() {
        let base = PathAndQuery::from_static("/a/b?c=1");
        for (location, expected) in [
            ("/x", Some("/x")),
            ("/x?y=1#z", Some("/x?y=1")),
            ("x", Some("/a/x")),
            ("?d=2", Some("/a/b?d=2")),
            ("", Some("/a/b?c=1")),
            ("#top", Some("/a/b?c=1")),
            ("x?to=http://evil.example/", Some("/a/x?to=http://evil.example/")),
            ("http://app.example:8080/x", Some("/x")),
            ("HTTP://APP.example:8080/x", Some("/x")),
            ("//app.example:8080/x", Some("/x")),
            ("http://licence.example/x", Some("/x")),
            ("http://licence.example:80/x", Some("/x")),
            ("http://app.example:8080", Some("/")),
            ("http://app.example/x", None),
            ("http://app.example:8081/x", None),
            ("https://app.example:8080/x", None),
            ("//evil.example/x", None),
            ("http://evil.example/x", None),
            ("http://app.example:8080@evil.example/x", None),
            ("http://user@app.example:8080/x", None),
            ("javascript:alert(1)", None),
            ("http://", None),
            ("/with space", None),
        ] {
            let hosts = ["app.example:8080", "licence.example"];
            let target = target(location, &base, Scheme::Http, hosts);
            assert_eq!(target.as_ref().map(PathAndQuery::as_str), expected, "{location}");
        }
    }
}
