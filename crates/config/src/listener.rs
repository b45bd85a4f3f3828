//! One listener: where it is, what is spoken on it, who is believed, and what a client may do.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use crate::address::parse_listener;
use crate::choice::{flag, off_or};
use crate::kinds::{count, duration, ms, parse_count, secs, size, small_count, text};
use crate::model::{DownstreamLimits, Hsts, ListenAddress, Listener, RedirectHttps};
use crate::network::parse_network;
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Report};
use crate::{check, defaults, lint, tls};

pub(crate) fn listener(value: &mut Value<'_>, base: &Path) -> Option<At<Listener>> {
    value.either(
        |value| {
            let address = text("an address to listen on", parse_listener)(value)?;
            let report = Report::new("", "");
            let listener = Value::root(&report, None)
                .section(|section| settings(section, Some(address), base))?;
            for lint in lint::listener(&listener) {
                let complaint = Complaint::new(lint.message).advice(lint.advice);
                value.report().warning(value.place(), complaint);
            }
            Some(At { value: listener, place: value.place().clone() })
        },
        |value| value.section(|section| keys(section, base)),
    )
}

fn keys(section: &mut Section<'_>, base: &Path) -> Option<At<Listener>> {
    let errors = section.report().errors();
    let address = section.required(
        "address",
        "IP address and port, for example `0.0.0.0:8080` (`:8080` is every IPv4 address), or `unix:/run/app.sock`",
        text("an address to listen on", parse_listener),
    );
    let listener = settings(section, address, base)?;
    check::listener(section, &listener);
    // Without TLS that is given and could not be read it would be taken for one in the clear.
    if section.has("tls") && listener.tls.is_none() {
        return None;
    }
    // What stands in for a value that could not be read deserves no warning.
    if section.report().errors() == errors {
        for lint in lint::listener(&listener) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    Some(At { value: listener, place: section.place("address") })
}

/// Everything but the address; `None` without one.
fn settings(
    section: &mut Section<'_>,
    address: Option<ListenAddress>,
    base: &Path,
) -> Option<Listener> {
    let tls = section.optional("tls", "TLS towards clients; in the clear without it", |value| {
        value.section(|section| tls::downstream(section, base))
    });
    let http2 =
        section.or("http2", "Whether HTTP/2 is offered over TLS (ALPN)", defaults::HTTP2, flag);
    let h2c = section.or(
        "h2c",
        "Whether HTTP/2 with prior knowledge is understood in the clear, beside HTTP/1.1",
        defaults::H2C,
        flag,
    );
    let redirect_https = section.or(
        "redirect_https",
        "Answer every request with a redirect to `https`: `true`, `false`, or its keys",
        defaults::REDIRECT_HTTPS,
        redirect,
    );
    let hsts = section.or(
        "hsts",
        "What browsers are told about coming back over TLS only: `off`, or its keys",
        defaults::HSTS,
        off_or("`off` or keys such as `{ max_age: 8760h }`", |value| value.keys(strict_transport)),
    );
    let trusted_proxies = networks(
        section,
        "trusted_proxies",
        "Networks whose `X-Forwarded-*` and `Forwarded` are believed; nobody's without it",
    );
    let proxy_protocol = networks(
        section,
        "proxy_protocol",
        "Networks that must begin a connection with a PROXY header (v1 or v2); nobody else may",
    );
    let half_close = section.or(
        "half_close",
        "Whether a client that has closed its sending side still gets its answer",
        defaults::HALF_CLOSE,
        flag,
    );
    let limits =
        section.section("limits", "Bounds on clients", |section| limits(section, half_close));
    Some(Listener {
        address: address?,
        tls,
        http2,
        h2c,
        redirect_https,
        hsts,
        trusted_proxies,
        proxy_protocol,
        limits,
    })
}

fn networks(section: &mut Section<'_>, key: &'static str, about: &str) -> Vec<IpNet> {
    let read = |value: &mut Value<'_>| {
        value.list("a list of networks", 0, text("a network", parse_network))
    };
    section.optional(key, about, read).unwrap_or_default()
}

/// The outer option: whether it could be read; the inner one: whether there is a redirect.
fn redirect(value: &mut Value<'_>) -> Option<Option<RedirectHttps>> {
    value.either(
        |value| {
            let report = Report::new("", "");
            let plain = Value::root(&report, None).section(redirect_keys);
            flag(value).map(|on| on.then_some(plain))
        },
        |value| value.keys(redirect_keys).map(Some),
    )
}

fn redirect_keys(section: &mut Section<'_>) -> RedirectHttps {
    RedirectHttps {
        port: section.or(
            "port",
            "The port of the new URL; 443 is left out of it",
            defaults::REDIRECT_PORT,
            |value| count(1..=65535)(value).and_then(|port| u16::try_from(port).ok()),
        ),
        status: section.or(
            "status",
            "308 and 307 keep the method, 301 and 302 do not always; 308 and 301 are remembered",
            defaults::REDIRECT_STATUS,
            redirect_status,
        ),
    }
}

/// RFC 9110 15.4: those that send a client to one other URL with the same request.
const REDIRECTS: [u16; 4] = [301, 302, 307, 308];

fn redirect_status(value: &mut Value<'_>) -> Option<u16> {
    value.scalar(
        "a status",
        || json!({ "enum": REDIRECTS }),
        |scalar| {
            let number = parse_count(scalar)?;
            REDIRECTS.into_iter().find(|status| usize::from(*status) == number).ok_or_else(|| {
                Complaint::new(format!("{} is not a redirect", quoted(&scalar.text)))
                    .advice("use 301, 302, 307 or 308")
            })
        },
    )
}

fn strict_transport(section: &mut Section<'_>) -> Hsts {
    Hsts {
        max_age: section.or(
            "max_age",
            "For how long a browser remembers",
            defaults::HSTS_MAX_AGE,
            duration(secs(0)..=secs(10 * 8760 * 3600)),
        ),
        subdomains: section.or(
            "subdomains",
            "Whether it holds for names below, too",
            defaults::HSTS_SUBDOMAINS,
            flag,
        ),
        preload: section.or(
            "preload",
            "Whether the site asks to be in the lists that browsers come with",
            defaults::HSTS_PRELOAD,
            flag,
        ),
    }
}

fn limits(section: &mut Section<'_>, half_close: bool) -> DownstreamLimits {
    let [handshake_timeout, header_timeout, idle_timeout, body_timeout] = timeouts(section);
    let (requests, connection_age) = connection_end(section);
    DownstreamLimits {
        connections: section.or(
            "connections",
            "Open client connections, over all workers",
            defaults::CONNECTIONS,
            count(1..=10_000_000),
        ),
        connections_per_client: section.or(
            "connections_per_client",
            "Open connections of one client address, over all workers; trusted proxies are exempt",
            defaults::CONNECTIONS_PER_CLIENT,
            count(1..=10_000_000),
        ),
        handshake_timeout,
        header_timeout,
        idle_timeout,
        body_timeout,
        body_progress: section.or(
            "body_progress",
            "What a request body must at least move within `body_timeout`; `0B`: any byte will do",
            defaults::BODY_PROGRESS,
            size(0..=64 << 20),
        ),
        header_bytes: section.or(
            "header_bytes",
            "Most bytes of a request head; then 431",
            defaults::HEADER_BYTES,
            size(8 << 10..=1 << 20),
        ),
        headers: section.or(
            "headers",
            "Most header fields of a request; then 431",
            defaults::HEADERS,
            count(10..=1000),
        ),
        uri_bytes: section.or(
            "uri_bytes",
            "Most bytes of a request's target; then 414",
            defaults::URI_BYTES,
            size(256..=1 << 20),
        ),
        body_bytes: section.or(
            "body_bytes",
            "Most bytes of a request body, or `off`; then 413",
            defaults::BODY_BYTES,
            off_or("`off` or a size such as `64KiB`", |value| {
                size(0..=1 << 40)(value).map(|bytes| bytes as u64)
            }),
        ),
        streams: section.or(
            "streams",
            "Concurrent streams of one HTTP/2 connection",
            defaults::STREAMS,
            small_count(1..=10_000),
        ),
        requests,
        connection_age,
        half_close,
    }
}

/// For the handshake, a head, the next request, and the progress of a body.
fn timeouts(section: &mut Section<'_>) -> [Duration; 4] {
    [
        section.or(
            "handshake_timeout",
            "How long the PROXY header and the TLS handshake may take, together",
            defaults::HANDSHAKE_TIMEOUT,
            duration(ms(10)..=secs(300)),
        ),
        section.or(
            "header_timeout",
            "From the first byte of a request to the end of its head; then 408",
            defaults::HEADER_TIMEOUT,
            duration(ms(10)..=secs(3600)),
        ),
        section.or(
            "idle_timeout",
            "How long a connection may wait for its next request",
            defaults::IDLE_TIMEOUT,
            duration(ms(10)..=secs(24 * 3600)),
        ),
        section.or(
            "body_timeout",
            "How long a body may make no progress, in either direction",
            defaults::BODY_TIMEOUT,
            duration(ms(10)..=secs(24 * 3600)),
        ),
    ]
}

/// After how many requests and at what age a connection is closed.
fn connection_end(section: &mut Section<'_>) -> (Option<u64>, Option<Duration>) {
    (
        section.or(
            "requests",
            "After this many requests a connection is closed gracefully, or `off`",
            defaults::REQUESTS,
            off_or("`off` or a whole number", |value| {
                count(1..=1_000_000_000)(value).map(|requests| requests as u64)
            }),
        ),
        section.or(
            "connection_age",
            "At this age a connection is closed gracefully, or `off`",
            defaults::CONNECTION_AGE,
            off_or("`off` or a duration such as `1h`", duration(secs(1)..=secs(30 * 24 * 3600))),
        ),
    )
}
