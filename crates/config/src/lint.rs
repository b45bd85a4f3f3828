//! Values that are allowed and probably not what their author wants.
//!
//! Each says what will happen, not just that a rule is broken. Works on the model, so that a file and
//! an explanation get the same warnings.

use std::time::Duration;

use ipnet::IpNet;

use crate::kinds::{show_duration, show_size};
use crate::model::{
    Backend, BackendAddress, DownstreamLimits, Hsts, Listener, Scheme, Service, StreamPolicy,
    Trust, UpstreamTls,
};
use crate::problem::quoted;
use crate::times::Times;

mod health;
mod hooks;
mod moves;
mod traces;

pub(crate) use health::{probes, witness};
pub(crate) use hooks::{gate, job, notifier};
pub(crate) use moves::{admin, memory};
pub(crate) use traces::traces;

/// One warning.
#[derive(Debug)]
pub(crate) struct Lint {
    /// The keys it is about, the likeliest first, with dots between levels below the service
    /// or listener.
    pub(crate) keys: &'static [&'static str],
    pub(crate) message: String,
    pub(crate) advice: &'static str,
}

/// A slower upload than this is still an upload: a modem.
const SLOW_UPLOAD: u64 = 8 << 10;
/// A client that has stood still for longer is gone.
const LONG_BODY: Duration = Duration::from_secs(600);
/// A shorter promise protects nobody between two visits.
const SHORT_HSTS: Duration = Duration::from_secs(24 * 3600);
/// What the lists of browsers ask for.
const PRELOAD_AGE: Duration = Duration::from_secs(365 * 24 * 3600);
/// A failed active that still has streams after this long is half an active.
const LONG_DRAIN: Duration = Duration::from_secs(600);

/// Every warning about one listener; the keys are below the listener.
pub(crate) fn listener(listener: &Listener) -> Vec<Lint> {
    let mut lints = Vec::new();
    ports(listener, &mut lints);
    believed(listener, &mut lints);
    if let Some(hsts) = &listener.hsts {
        strict_transport(hsts, &mut lints);
    }
    limits(&listener.limits, &mut lints);
    lints
}

/// Every warning about listeners together: the index of a listener, and what is said about it.
pub(crate) fn listeners(listeners: &[&Listener]) -> Vec<(usize, Lint)> {
    let mut lints = Vec::new();
    let redirects = |listener: &Listener| listener.redirect_https.is_some();
    let first = listeners.iter().position(|listener| redirects(listener));
    let Some((first, at)) = first.and_then(|index| Some((index, listeners.get(index)?))) else {
        return lints;
    };
    if listeners.iter().all(|listener| redirects(listener)) {
        lints.push((
            first,
            Lint {
                keys: &["redirect_https"],
                message: format!(
                    "{} redirects to https, as every listener does: no request reaches a service",
                    at.address
                ),
                advice: "add a listener with `tls`",
            },
        ));
    } else if listeners.iter().all(|listener| listener.tls.is_none()) {
        lints.push((
            first,
            Lint {
                keys: &["redirect_https"],
                message: format!("{} redirects to https, and no listener has TLS", at.address),
                advice: "add a listener with `tls`, unless another program answers there",
            },
        ));
    }
    lints
}

fn ports(listener: &Listener, lints: &mut Vec<Lint>) {
    let port = listener.address.tcp().map(|address| address.port());
    match (port, &listener.tls) {
        (Some(443), None) => lints.push(Lint {
            keys: &["address"],
            message: format!(
                "{} is the port of https, and this listener has no TLS",
                listener.address
            ),
            advice: "add `tls` with a certificate, or use port 80",
        }),
        (Some(80), Some(_)) => lints.push(Lint {
            keys: &["address"],
            message: format!(
                "{} is the port of http, and this listener speaks TLS",
                listener.address
            ),
            advice: "use port 443",
        }),
        (Some(_) | None, Some(_) | None) => {}
    }
}

fn believed(listener: &Listener, lints: &mut Vec<Lint>) {
    let everybody = |networks: &[IpNet]| networks.iter().any(|network| network.prefix_len() == 0);
    if everybody(&listener.trusted_proxies) {
        lints.push(Lint {
            keys: &["trusted_proxies"],
            message: "`trusted_proxies` names everybody: any client may say who it is, and none is counted in `connections_per_client`".to_owned(),
            advice: "name only the networks of your own proxies",
        });
    }
    if everybody(&listener.proxy_protocol) {
        lints.push(Lint {
            keys: &["proxy_protocol"],
            message: "`proxy_protocol` names everybody: any client may send a PROXY header with an address that is not its own".to_owned(),
            advice: "name only the networks of your own proxies",
        });
    }
}

fn strict_transport(hsts: &Hsts, lints: &mut Vec<Lint>) {
    // Zero is how a promise is taken back (RFC 6797 6.1.1).
    if !hsts.max_age.is_zero() && hsts.max_age < SHORT_HSTS {
        lints.push(Lint {
            keys: &["hsts.max_age"],
            message: format!("browsers forget `hsts` after {}", show_duration(hsts.max_age)),
            advice: "whoever comes back later is unprotected again: 8760h is usual, 0s takes it back",
        });
    }
    if hsts.preload && (!hsts.subdomains || hsts.max_age < PRELOAD_AGE) {
        lints.push(Lint {
            keys: &["hsts.preload"],
            message: "the lists of browsers take nobody with less than `subdomains: true` and a `max_age` of 8760h".to_owned(),
            advice: "remove `preload`, or give all three",
        });
    }
}

fn limits(limits: &DownstreamLimits, lints: &mut Vec<Lint>) {
    if limits.uri_bytes > limits.header_bytes {
        lints.push(Lint {
            keys: &["limits.uri_bytes", "limits.header_bytes"],
            message: format!(
                "a target of {} (`uri_bytes`) does not fit into a head of {} (`header_bytes`)",
                show_size(limits.uri_bytes),
                show_size(limits.header_bytes)
            ),
            advice: "lower `uri_bytes`, or raise `header_bytes`",
        });
    }
    let per_second = limits.body_progress as u128 * 1000 / limits.body_timeout.as_millis().max(1);
    if per_second > u128::from(SLOW_UPLOAD) {
        lints.push(Lint {
            keys: &["limits.body_progress", "limits.body_timeout"],
            message: format!(
                "uploads slower than {} in {} are cut off",
                show_size(limits.body_progress),
                show_duration(limits.body_timeout)
            ),
            advice: "people on bad lines upload more slowly: 1KiB in 30s is usual",
        });
    }
    if limits.body_timeout > LONG_BODY {
        lints.push(Lint {
            keys: &["limits.body_timeout"],
            message: format!(
                "a client may stand still for {} in the middle of a body",
                show_duration(limits.body_timeout)
            ),
            advice: "it holds a connection to the backend for as long: 30s is usual",
        });
    }
}

/// Every warning about one service.
pub(crate) fn service(service: &Service) -> Vec<Lint> {
    let mut lints = Vec::new();
    backends(service, &mut lints);
    tls(service, &mut lints);
    health::health(service, &mut lints);
    health::roles(service, &mut lints);
    moves::failback(service, &mut lints);
    moves::exclusive(service, &mut lints);
    hooks::gates(service, &mut lints);
    requests(service, &mut lints);
    streams(service, &mut lints);
    lints
}

fn backends(service: &Service, lints: &mut Vec<Lint>) {
    if let [only] = service.backends.as_slice() {
        lints.push(Lint {
            keys: &["backends"],
            message: format!(
                "{} has no standby: when it fails, nobody steps in",
                quoted(&only.name)
            ),
            advice: "add a second backend",
        });
    }
    // What goes through a Unix socket stays on this machine.
    let travels = |backend: &&Backend| match backend.url.address {
        BackendAddress::Tcp { .. } => backend.url.scheme == Scheme::Http,
        BackendAddress::Unix(_) => false,
    };
    let plain = service.backends.iter().find(travels);
    let https = service.backends.iter().any(|backend| backend.url.scheme == Scheme::Https);
    if let (Some(plain), true) = (plain, https) {
        lints.push(Lint {
            keys: &["backends"],
            message: format!("some backends are https, {} is not", quoted(&plain.name)),
            advice: "after a failover the same traffic would travel unprotected",
        });
    }
}

fn tls(service: &Service, lints: &mut Vec<Lint>) {
    let https = service.backends.iter().any(|backend| backend.url.scheme == Scheme::Https);
    let set = service.tls != UpstreamTls::default() || service.health.tls.is_some();
    if set && !https && !service.backends.is_empty() {
        lints.push(Lint {
            keys: &["tls", "health.tls"],
            message: "`tls` has no effect: no backend of this service is https".to_owned(),
            advice: "write `https://` in the URLs, or remove `tls`",
        });
        return;
    }
    if unverified(&service.tls) {
        lints.push(Lint {
            keys: &["tls.insecure"],
            message:
                "certificates are not verified: anybody on the way can read and change the traffic"
                    .to_owned(),
            advice: "name the authority that signed them: `ca: file.pem`",
        });
    }
    let Some(probes) = &service.health.tls else { return };
    if unverified(probes) && !unverified(&service.tls) {
        lints.push(Lint {
            keys: &["health.tls.insecure"],
            message: "probes do not verify certificates: a backend that the traffic cannot use passes them".to_owned(),
            advice: "name the authority that signed them: `ca: file.pem`",
        });
    }
    if !service.health.probes.iter().any(health::speaks_tls) {
        lints.push(Lint {
            keys: &["health.tls"],
            message: "`health.tls` has no effect: no probe of this service speaks TLS".to_owned(),
            advice: "probe with `http` or `grpc`, or with `tcp` and `send` or `expect`; or remove `health.tls`",
        });
    }
}

/// Whether anybody may pass for the backend: no authority is asked, and no key is pinned.
fn unverified(tls: &UpstreamTls) -> bool {
    match tls.trust {
        Trust::Insecure => tls.pins.is_empty(),
        Trust::System | Trust::Ca(_) => false,
    }
}

fn requests(service: &Service, lints: &mut Vec<Lint>) {
    let Service { hold, replay, timeouts, health, policy, .. } = service;
    let times = Times::new(health, policy);
    let worst = times.dead.max(times.hung);
    if hold.timeout < worst {
        lints.push(Lint {
            keys: &[
                "hold.timeout",
                "health.timeout",
                "health.stall_after",
                "health.fall",
                "health",
            ],
            message: format!(
                "requests are held for {}, but leaving a hung backend takes up to {}",
                show_duration(hold.timeout),
                show_duration(worst)
            ),
            advice: "requests would fail that a longer `hold.timeout` could save",
        });
    }
    if replay.buffer > hold.bytes {
        lints.push(Lint {
            keys: &["replay.buffer", "hold.bytes"],
            message: format!(
                "one body of {} (`replay.buffer`) does not fit into {} (`hold.bytes`)",
                show_size(replay.buffer),
                show_size(hold.bytes)
            ),
            advice: "lower `replay.buffer`, or raise `hold.bytes`",
        });
    }
    let response: (_, &[_], _) = (
        Some(timeouts.response),
        &["timeouts.response", "health.stall_after"],
        "lower `health.stall_after`, or raise `timeouts.response`",
    );
    let request: (_, &[_], _) = (
        timeouts.request,
        &["timeouts.request", "health.stall_after"],
        "lower `health.stall_after`, or raise `timeouts.request`",
    );
    for (bound, keys, advice) in [response, request] {
        let Some(bound) = bound.filter(|bound| *bound <= times.stall) else { continue };
        lints.push(Lint {
            keys,
            message: format!(
                "requests end after {}, before a stall is suspected after {}",
                show_duration(bound),
                show_duration(times.stall)
            ),
            advice,
        });
    }
}

fn streams(service: &Service, lints: &mut Vec<Lint>) {
    match service.streams.failover {
        StreamPolicy::Keep => lints.push(Lint {
            keys: &["streams.failover"],
            message: "streams stay at a failed active for as long as it keeps them open: `keep`"
                .to_owned(),
            advice: "clients there would not notice the failover: `drain` gives them 30s",
        }),
        StreamPolicy::Close { deadline, .. } if deadline > LONG_DRAIN => lints.push(Lint {
            keys: &["streams.failover.drain.deadline"],
            message: format!("streams may stay at a failed active for {}", show_duration(deadline)),
            advice: "clients there would not notice the failover: 30s is usual",
        }),
        StreamPolicy::Close { .. } => {}
    }
}
