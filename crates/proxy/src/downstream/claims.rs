//! What a trusted proxy in front of us says about a request.
//!
//! A chain of addresses grows to the right: each proxy writes down whom it saw. So it is read from
//! the right, for as long as it leads through trusted proxies; what is further left may be invented.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{FORWARDED, HeaderName};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::identity::{
    UNKNOWN, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, contains, node,
};
use crate::head::is_authority;

/// Most addresses of a chain that are read and passed on: the last ones.
const MAX_CHAIN: usize = 100;

/// Most parameters of one element of `Forwarded`. RFC 7239 names four.
const MAX_PARAMETERS: usize = 16;

/// Longest name of a scheme that is taken over.
const MAX_SCHEME: usize = 16;

/// What a trusted proxy says about one request, in a form that can be passed on as it is.
#[derive(Debug)]
pub(crate) struct Claims {
    client: IpAddr,
    /// For `X-Forwarded-For`: whom the proxies before us saw; empty when there is nobody.
    pub(super) chain: String,
    /// For `Forwarded`: the elements of the proxies before us; empty when there are none.
    pub(super) forwarded: String,
    pub(super) proto: Option<HeaderValue>,
    pub(super) host: Option<HeaderValue>,
    pub(super) port: Option<HeaderValue>,
}

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    Address(IpAddr),
    /// Somebody whose address is not told: `unknown`, `_hidden`, or nothing that we understand.
    Hidden,
}

/// One element of `Forwarded`.
struct Element {
    /// As it is passed on: without superfluous blanks and semicolons.
    text: String,
    hop: Hop,
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Claims {
    /// Reads what the trusted proxy at `peer` says. `X-Forwarded-For` decides who the client is;
    /// `Forwarded` does when it is alone. Each is made from the other when it is missing or says
    /// otherwise, so that a backend finds the same chain in both (RFC 7239 section 7.4).
    pub(super) fn read(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Self {
        let mut chain = chain(headers);
        let elements = elements(headers);
        let is_alone = chain.is_empty();
        if is_alone {
            chain = elements.iter().map(|element| (element.hop.plain(), element.hop)).collect();
        }
        let (client, at) = walk(peer, &chain, trusted);
        // What the client asked for, as the proxy wrote down that spoke with it.
        let asked = at.filter(|_| is_alone).and_then(|at| elements.get(at));
        let claimed = |name, is_allowed: fn(&[u8]) -> bool| {
            single(headers, name).filter(|value| is_allowed(value.as_bytes())).cloned()
        };
        // A proxy that writes the one field often lets the client's own other one through: what does
        // not say the same is not passed on.
        let hops = |(element, (_, hop)): (&Element, &(String, Hop))| element.hop == *hop;
        let agree = elements.len() == chain.len() && elements.iter().zip(&chain).all(hops);
        let forwarded = if agree {
            joined(elements.iter().map(|element| &element.text))
        } else {
            joined(chain.iter().map(|(_, hop)| format!("for={}", node(hop.address()))))
        };
        Self {
            client,
            chain: joined(chain.iter().map(|(text, _)| text)),
            forwarded,
            proto: claimed(&X_FORWARDED_PROTO, is_scheme)
                .or_else(|| asked.and_then(|element| element.proto.clone())),
            host: claimed(&X_FORWARDED_HOST, is_authority)
                .or_else(|| asked.and_then(|element| element.host.clone())),
            port: claimed(&X_FORWARDED_PORT, is_port),
        }
    }

    /// Whether the client spoke TLS with one of the proxies.
    pub(crate) fn is_https(&self) -> bool {
        self.proto.as_ref().is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
    }

    /// The client's address, for logs: the last one that is not a trusted proxy's. Where the chain
    /// hides somebody, the last one that is known.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }
}

impl Hop {
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address),
            Self::Hidden => None,
        }
    }

    /// As `X-Forwarded-For` writes it.
    fn plain(self) -> String {
        self.address().map_or_else(|| UNKNOWN.to_owned(), |address| address.to_string())
    }
}

/// From `peer` to the left through trusted proxies: the client, and where in `chain` it was found.
fn walk(peer: IpAddr, chain: &[(String, Hop)], trusted: &[IpNet]) -> (IpAddr, Option<usize>) {
    let mut found = (peer, None);
    for (at, (_, hop)) in chain.iter().enumerate().rev() {
        let Some(address) = hop.address() else { break };
        found = (address, Some(at));
        if !contains(trusted, address) {
            break;
        }
    }
    found
}

fn joined(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut all = String::new();
    for part in parts {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(part.as_ref());
    }
    all
}

/// The field's value, if the field is there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The parts of a list, from the right, without blanks around them; no empty ones.
fn from_the_right<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter().rev();
    let parts = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// `X-Forwarded-For`, as it is passed on and as it is understood. What is no word becomes `unknown`,
/// so that everybody else keeps their place.
fn chain(headers: &HeaderMap) -> Vec<(String, Hop)> {
    let mut chain: Vec<_> = from_the_right(headers, &X_FORWARDED_FOR)
        .take(MAX_CHAIN)
        .map(|part| match str::from_utf8(part) {
            Ok(text) if part.iter().all(u8::is_ascii_graphic) => (text.to_owned(), step(text)),
            _ => (UNKNOWN.to_owned(), Hop::Hidden),
        })
        .collect();
    chain.reverse();
    chain
}

/// One step as `X-Forwarded-For` has it: there is no grammar, so every way to write an address.
fn step(text: &str) -> Hop {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match text.parse::<IpAddr>() {
        Ok(address) => Hop::Address(address.to_canonical()),
        Err(_) => hop(text).unwrap_or(Hop::Hidden),
    }
}

/// The elements of `Forwarded` (RFC 7239 section 4), from the last back to the first that is
/// malformed. That one is dropped with all that is left of it: a client could otherwise spoil, with
/// one quotation mark, what the proxies behind it wrote.
fn elements(headers: &HeaderMap) -> Vec<Element> {
    let mut elements: Vec<_> = from_the_right(headers, &FORWARDED)
        .take(MAX_CHAIN)
        .map_while(|part| str::from_utf8(part).ok().and_then(element))
        .collect();
    elements.reverse();
    elements
}

/// One element. A quoted string may not hold what separates elements and parameters, nor a
/// backslash: no address, host or scheme needs them, and not everybody reads them the same way.
fn element(text: &str) -> Option<Element> {
    let mut element = Element { text: String::new(), hop: Hop::Hidden, proto: None, host: None };
    let mut names: Vec<&str> = Vec::new();
    for pair in text.split(';').map(str::trim_ascii).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let is_repeated = names.iter().any(|other| other.eq_ignore_ascii_case(name));
        if !is_token(name) || is_repeated || names.len() == MAX_PARAMETERS {
            return None;
        }
        names.push(name);
        let value = bare(value)?;
        if name.eq_ignore_ascii_case("for") {
            element.hop = hop(value)?;
        } else if name.eq_ignore_ascii_case("by") {
            hop(value)?;
        } else if name.eq_ignore_ascii_case("proto") {
            element.proto = HeaderValue::from_str(value).ok().filter(|v| is_scheme(v.as_bytes()));
        } else if name.eq_ignore_ascii_case("host") {
            element.host = HeaderValue::from_str(value).ok().filter(|v| is_authority(v.as_bytes()));
        }
        if !element.text.is_empty() {
            element.text.push(';');
        }
        element.text.push_str(pair);
    }
    (!names.is_empty()).then_some(element)
}

/// The text of a token or of a quoted string (RFC 9110 5.6.4).
fn bare(value: &str) -> Option<&str> {
    let Some(rest) = value.strip_prefix('"') else {
        return is_token(value).then_some(value);
    };
    let inner = rest.strip_suffix('"')?;
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !b"\"\\,;".contains(&byte);
    inner.bytes().all(is_plain).then_some(inner)
}

/// A node of RFC 7239 section 6: a name and perhaps a port.
fn hop(text: &str) -> Option<Hop> {
    let (hop, rest) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, rest) = text.split_once(']')?;
            let address = IpAddr::V6(address.parse::<Ipv6Addr>().ok()?);
            (Hop::Address(address.to_canonical()), rest)
        }
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_hidden = name.eq_ignore_ascii_case(UNKNOWN) || is_obfuscated(name);
            (
                if is_hidden { Hop::Hidden } else { Hop::Address(IpAddr::V4(name.parse().ok()?)) },
                rest,
            )
        }
    };
    let is_port = |port: &str| is_number(port.as_bytes()) || is_obfuscated(port);
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(hop)
}

/// A name that somebody made up (RFC 7239 section 6.3).
fn is_obfuscated(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() > 1 && name.starts_with('_') && name.bytes().all(is_allowed)
}

/// A port that one can connect to.
fn is_port(port: &[u8]) -> bool {
    let number = str::from_utf8(port).ok().filter(|_| is_number(port));
    number.and_then(|port| port.parse().ok()).is_some_and(|number: u16| number > 0)
}

fn is_number(text: &[u8]) -> bool {
    (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    scheme.len() <= MAX_SCHEME
        && scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(is_allowed)
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}
