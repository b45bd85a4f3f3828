//! The effective policy of a config in words and numbers.

use routing::failover::AllDown;

use crate::address::show_host;
use crate::kinds::{show_duration, show_size};
use crate::lint;
use crate::model::{
    Backend, Config, ProxyVersion, Scheme, Service, StreamPolicy, Trust, UpstreamProtocol,
    UpstreamTls, Workers,
};

mod admin;
mod health;
mod hooks;
mod listeners;
mod logs;
mod moves;
mod traces;

use admin::admin;
use health::{claims, leaving, probes, ready, witnesses};
use hooks::{gates, jobs, notified};
use listeners::{listeners, warning};
use logs::logs;
use moves::{coming_back, moving};
use traces::traces;

/// What this config does, service by service, with the worst-case times that follow from it and
/// warnings about dangerous values.
#[must_use]
pub fn explain(config: &Config) -> String {
    let mut parts = vec![front(config)];
    parts.extend(listeners(&config.listeners));
    parts.extend(config.services.iter().map(|service| {
        let sentences = [
            Some(who(service)),
            Some(probes(service)),
            claims(service),
            Some(leaving(service)),
            Some(waiting(service)),
            Some(moving(service)),
            gates(service),
            Some(moved(service)),
            Some(coming_back(service)),
            ready(service),
            jobs(service),
        ];
        let forgotten = lint::memory(service, config.state_dir.as_deref());
        let probes = lint::probes(&service.health).into_iter().map(|(_, lint)| lint);
        let warnings =
            lint::service(service).into_iter().chain(probes).chain(forgotten.into_iter().flatten());
        let warnings: Vec<String> = warnings.map(|lint| warning(&lint)).collect();
        let lines: Vec<String> = sentences
            .into_iter()
            .flatten()
            .chain(warnings)
            .map(|line| format!("  {line}\n"))
            .collect();
        format!("{}\n{}", service.name, lines.concat())
    }));
    parts.join("\n")
}

fn front(config: &Config) -> String {
    let workers = match config.workers {
        Workers::Auto => "one worker per core".to_owned(),
        Workers::Count(1) => "1 worker".to_owned(),
        Workers::Count(count) => format!("{count} workers"),
    };
    let addresses: Vec<String> =
        config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    let mut text = format!("Clients connect to {}, served by {workers}.\n", addresses.join(", "));
    for route in &config.routes {
        let service = config.services.get(route.service).map_or("", |service| &*service.name);
        text.push_str(&format!(
            "Host {}, path {} and below: {service}.\n",
            show_host(&route.host),
            route.path
        ));
    }
    text.push_str(&match config.default_service.and_then(|index| config.services.get(index)) {
        Some(service) => format!("Every request goes to {}.\n", service.name),
        None => "Any other request is answered 404.\n".to_owned(),
    });
    text.push_str(&witnesses(&config.witnesses));
    for witness in &config.witnesses {
        let lint = lint::witness(witness, &config.services);
        text.extend(lint.map(|lint| format!("{}\n", warning(&lint))));
    }
    text.push_str(&admin(config));
    text.push_str(&logs(config));
    text.push_str(&notified(config));
    text.push_str(&traces(config));
    text
}

fn who(service: &Service) -> String {
    let named = |backend: &Backend| {
        let url = backend.url.to_string();
        if *backend.name == *backend.url.place() {
            url
        } else {
            format!("{} ({url})", backend.name)
        }
    };
    let (primary, standbys) = match service.backends.as_slice() {
        [] => return String::new(),
        [primary, standbys @ ..] => (named(primary), standbys),
    };
    let spoken = spoken(service);
    match standbys {
        [] => format!("{primary} is the primary; there is no standby.{spoken}"),
        [only] => format!("{primary} is the primary, {} the standby.{spoken}", named(only)),
        several => {
            let names: Vec<String> = several.iter().map(named).collect();
            format!(
                "{primary} is the primary; the standbys are, in this order, {}.{spoken}",
                names.join(", ")
            )
        }
    }
}

/// What is spoken with backends, as a further line.
fn spoken(service: &Service) -> String {
    let https = service.backends.iter().any(|backend| backend.url.scheme == Scheme::Https);
    let protocol = match service.protocol {
        UpstreamProtocol::Auto if https => " HTTP/2 is spoken with those that offer it over TLS.",
        UpstreamProtocol::Auto | UpstreamProtocol::Http1 => "",
        UpstreamProtocol::Http2 => " HTTP/2 is spoken with them, nothing else.",
    };
    let header = match service.proxy_protocol {
        None => "",
        Some(ProxyVersion::V1) => " Connections begin with a PROXY header (v1).",
        Some(ProxyVersion::V2) => " Connections begin with a PROXY header (v2).",
    };
    let verified = if https { verified(&service.tls) } else { String::new() };
    let sentences = format!("{protocol}{header}{verified}");
    if sentences.is_empty() { sentences } else { format!("\n {sentences}") }
}

/// How certificates are verified, as further sentences.
fn verified(tls: &UpstreamTls) -> String {
    let trust = match &tls.trust {
        Trust::System => " Certificates are verified with the system's authorities.".to_owned(),
        Trust::Ca(file) => format!(" Certificates are verified with {} only.", file.display()),
        Trust::Insecure => " Certificates are not verified.".to_owned(),
    };
    let names = match (&tls.server_name, &tls.verify_name) {
        (None, None) => String::new(),
        (Some(name), None) => format!(" They are asked for as {name}."),
        (None, Some(name)) => format!(" They must be for {name}."),
        (Some(asked), Some(name)) => {
            format!(" They are asked for as {asked} and must be for {name}.")
        }
    };
    let pins = match tls.pins.len() {
        0 => String::new(),
        1 => " Their key must be the pinned one.".to_owned(),
        count => format!(" Their key must be one of {count} pinned ones."),
    };
    let own = tls
        .certificate
        .as_ref()
        .map(|files| format!(" We show {} when asked.", files.cert.display()))
        .unwrap_or_default();
    format!("{trust}{names}{pins}{own}")
}

fn waiting(service: &Service) -> String {
    let Service { hold, replay, policy, timeouts, .. } = service;
    let nobody = match policy.all_down {
        AllDown::Reject => "so also when no backend is eligible",
        AllDown::KeepLast => "when no backend is eligible the last active goes on getting them",
    };
    let again = match replay.attempts {
        0 => "A request that may have reached a backend is never sent again".to_owned(),
        attempts => {
            let times =
                if attempts == 1 { "once".to_owned() } else { format!("up to {attempts} times") };
            format!(
                "A request that is safe to repeat is sent again {times} if its body is no larger than {}",
                show_size(replay.buffer)
            )
        }
    };
    format!(
        "While nobody is active up to {} requests with {} of bodies wait up to {} each, then they get 503; {nobody}.\n  \
         {again}; one that is not safe to repeat may wait {} for a hung active, then it gets 504.\n  \
         A response must begin within {}{}.",
        hold.requests,
        show_size(hold.bytes),
        show_duration(hold.timeout),
        show_duration(replay.settle),
        show_duration(timeouts.response),
        timeouts.request.map_or_else(String::new, |request| format!(
            " and be over {} after the request began",
            show_duration(request)
        ))
    )
}

/// What becomes of streams at the old active.
fn moved(service: &Service) -> String {
    if service.policy.exclusive.is_some() {
        return "Streams (WebSockets, server-sent events, gRPC) at the old active are closed when a move begins.".to_owned();
    }
    let becomes = |policy: StreamPolicy| match policy {
        StreamPolicy::Keep => "they stay there until they end".to_owned(),
        StreamPolicy::Close { deadline, window } => {
            let spread = if window.is_zero() {
                "all at once".to_owned()
            } else {
                format!("spread over {}", show_duration(window))
            };
            if deadline.is_zero() {
                format!("they are closed there, {spread}")
            } else {
                let deadline = show_duration(deadline);
                format!("they may go on there for {deadline}, then they are closed, {spread}")
            }
        }
    };
    format!(
        "Streams (WebSockets, server-sent events, gRPC, long bodies) at the old active: after a failover {}; after any other move, and when it is drained, {}.",
        becomes(service.streams.failover),
        becomes(service.streams.failback)
    )
}
