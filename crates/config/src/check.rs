//! What valid parts get wrong together.
//!
//! Each check says what will happen, not just that a rule is broken. The first group is called while
//! a section is read and knows its places; [`whole`] runs once everything is read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use routing::failover::{Damping, Failback};

use crate::address::{leads_to, overlap, show_host, show_url};
use crate::kinds::{show_duration, show_size};
use crate::model::{Health, Hold, Replay, Scheme, Trust, UpstreamTimeouts, UpstreamTls};
use crate::problem::quoted;
use crate::reader::{Complaint, Place, Report, Section};
use crate::sections::Draft;
use crate::service::DraftBackend;
use crate::suggest::closest;
use crate::times::Times;

/// A probe that may take this long finds a hung backend too late for any client.
const LONG_PROBE: Duration = Duration::from_secs(30);
/// Intervals a probe may last before it no longer fits them.
const INTERVALS_PER_TIMEOUT: u32 = 10;

fn warn(section: &Section<'_>, key: &str, message: String, advice: impl Into<String>) {
    section.report().warning(&section.place(key), Complaint::new(message).advice(advice));
}

pub(crate) fn admin(section: &Section<'_>, place: &Place, address: SocketAddr, allow_remote: bool) {
    if address.ip().is_loopback() || allow_remote {
        return;
    }
    let message = format!("the admin listener on {address} could be reached from other machines");
    let advice = "use 127.0.0.1, or set `allow_remote: true` when a firewall protects it";
    section.report().error(place, Complaint::new(message).advice(advice));
}

/// `given` counts the backends of the file, `backends` are those that could be read.
pub(crate) fn backends(section: &Section<'_>, backends: &[DraftBackend], given: usize) {
    let report = section.report();
    let (mut names, mut urls) = (HashMap::new(), HashMap::new());
    for draft in backends {
        let (name, url) = (&draft.backend.name, &draft.backend.url);
        // The same URL written twice without names is one mistake, not two.
        if let Some(line) = urls.insert(url.clone(), draft.url.mark.line) {
            let message =
                format!("{} is already a backend of this service (line {line})", show_url(url));
            let advice =
                "a standby must be another server, otherwise it fails together with the primary";
            report.error(&draft.url, Complaint::new(message).advice(advice));
        } else if let Some(line) = names.insert(name.clone(), draft.name.mark.line) {
            let message = format!("the name {} is already used on line {line}", quoted(name));
            report.error(
                &draft.name,
                Complaint::new(message).advice("names are unique in a service"),
            );
        }
    }
    if let ([only], 1) = (backends, given) {
        let message = format!(
            "{} has no standby: when it fails, nobody steps in",
            quoted(&only.backend.name)
        );
        warn(section, "backends", message, "add a second backend");
    }
    let encrypted = |draft: &&DraftBackend| draft.backend.url.scheme == Scheme::Https;
    if let (Some(plain), Some(_)) =
        (backends.iter().find(|draft| !encrypted(draft)), backends.iter().find(encrypted))
    {
        let message = format!("some backends are https, {} is not", quoted(&plain.backend.name));
        let complaint = Complaint::new(message)
            .advice("after a failover the same traffic would travel unprotected");
        report.warning(&plain.url, complaint);
    }
}

pub(crate) fn tls(section: &Section<'_>, tls: &UpstreamTls, backends: &[DraftBackend]) {
    let https = backends.iter().any(|draft| draft.backend.url.scheme == Scheme::Https);
    let unused = UpstreamTls { trust: Trust::System, server_name: None } != *tls;
    if unused && !https && !backends.is_empty() {
        let message = "`tls` has no effect: no backend of this service is https".to_owned();
        warn(section, "tls", message, "write `https://` in the URLs, or remove `tls`");
    }
}

pub(crate) fn trust(section: &Section<'_>, trust: &Trust) {
    match trust {
        Trust::Insecure => warn(
            section,
            "insecure",
            "certificates are not verified: anybody on the way can read and change the traffic"
                .to_owned(),
            "name the authority that signed them: `ca: file.pem`",
        ),
        Trust::System | Trust::Ca(_) => {}
    }
}

pub(crate) fn health(section: &Section<'_>, health: &Health, fall: u32) {
    let (interval, timeout) = (show_duration(health.interval), show_duration(health.timeout));
    if health.timeout > LONG_PROBE || health.timeout > health.interval * INTERVALS_PER_TIMEOUT {
        let message = format!("a timeout of {timeout} is long for a probe every {interval}");
        let advice = "a hung backend is found only after the timeout: about as long as the interval is usual";
        warn(section, "timeout", message, advice);
    }
    if health.confirm_interval > health.interval {
        let message = format!(
            "confirming every {} is slower than probing every {interval}",
            show_duration(health.confirm_interval)
        );
        warn(
            section,
            "confirm_interval",
            message,
            "confirm several times in one interval, for example 100ms",
        );
    }
    if fall == 1 {
        let message = "a single failed probe takes a backend down".to_owned();
        warn(section, "fall", message, "one lost packet would move the service: use 2 or more");
    }
}

pub(crate) fn failback(section: &Section<'_>, failback: Failback, health: &Health, rise: u32) {
    match failback {
        Failback::Auto { hold_down } if hold_down < health.interval * rise => {
            let message = format!(
                "a hold-down of {} ends before {rise} probes can be made every {}",
                show_duration(hold_down),
                show_duration(health.interval)
            );
            let advice =
                "a primary that comes and goes would take the service with it: 30s is usual";
            warn(section, "failback", message, advice);
        }
        Failback::Auto { .. } | Failback::Manual => {}
    }
}

pub(crate) fn damping(section: &Section<'_>, hold_down: Duration, damping: &Damping) {
    if damping.cap < hold_down {
        let message = format!(
            "the cap of the hold-down ({}) is below the hold-down itself ({})",
            show_duration(damping.cap),
            show_duration(hold_down)
        );
        let key = if section.has("hold_down_cap") { "hold_down_cap" } else { "hold_down" };
        section
            .report()
            .error(&section.place(key), Complaint::new(message).advice("raise `hold_down_cap`"));
    }
}

pub(crate) fn hold(section: &Section<'_>, hold: &Hold, times: &Times) {
    let worst = times.dead.max(times.hung);
    if hold.timeout < worst {
        let message = format!(
            "requests are held for {}, but leaving a hung backend takes up to {}",
            show_duration(hold.timeout),
            show_duration(worst)
        );
        warn(section, "timeout", message, "requests would fail that a longer hold could save");
    }
}

pub(crate) fn replay(section: &Section<'_>, replay: &Replay, hold: &Hold) {
    if replay.buffer > hold.bytes {
        let message = format!(
            "one body of {} would not fit into `hold.bytes` ({})",
            show_size(replay.buffer),
            show_size(hold.bytes)
        );
        let key = if section.has("replay") { "replay" } else { "hold" };
        warn(section, key, message, "lower `replay.buffer`, or raise `hold.bytes`");
    }
}

pub(crate) fn timeouts(section: &Section<'_>, timeouts: &UpstreamTimeouts, health: &Health) {
    if timeouts.response <= health.stall_after {
        let message = format!(
            "requests end after {}, before a stall is suspected after {}",
            show_duration(timeouts.response),
            show_duration(health.stall_after)
        );
        warn(section, "response", message, "lower `health.stall_after`, or raise `response`");
    }
}

/// Checks between sections.
pub(crate) fn whole(report: &Report<'_>, draft: &Draft) {
    sockets(report, draft);
    routes(report, draft);
    loops(report, draft);
}

fn sockets(report: &Report<'_>, draft: &Draft) {
    for (index, listener) in draft.listeners.iter().enumerate() {
        let address = listener.value.address;
        let earlier =
            draft.listeners[..index].iter().find(|other| overlap(other.value.address, address));
        if let Some(other) = earlier {
            let message = format!(
                "{address} and {} (line {}) would take each other's clients",
                other.value.address, other.place.mark.line
            );
            let advice = "a listener on every address covers the others with its port";
            report.error(&listener.place, Complaint::new(message).advice(advice));
        }
    }
    let Some(admin) = &draft.admin else { return };
    let clash = |listener: &&crate::reader::At<crate::model::Listener>| {
        overlap(listener.value.address, admin.value.address)
    };
    if let Some(listener) = draft.listeners.iter().find(clash) {
        let message = format!(
            "{} is taken by the admin listener ({})",
            listener.value.address, admin.value.address
        );
        let advice = "use another port here, or another `admin.address`";
        report.error(&listener.place, Complaint::new(message).advice(advice));
    }
}

fn routes(report: &Report<'_>, draft: &Draft) {
    let names: Vec<&str> = draft.services.iter().map(|draft| &*draft.service.name).collect();
    let mut seen = HashMap::new();
    for route in &draft.routes {
        let service = &route.value.service;
        if !names.contains(&service.value.as_str()) {
            let complaint =
                Complaint::new(format!("there is no service {}", quoted(&service.value)));
            let advice = match closest(&service.value, names.iter().copied()) {
                Some(name) => format!("did you mean {}?", quoted(name)),
                None => format!("the services are: {}", names.join(", ")),
            };
            report.error(&service.place, complaint.advice(advice));
        }
        let key = (show_host(&route.value.host), route.value.path.as_str());
        let line = route.place.mark.line;
        if let Some(first) = seen.get(&key) {
            let message = format!(
                "host {} with path {} already has a route on line {first}",
                quoted(&key.0),
                quoted(key.1)
            );
            report.error(
                &route.place,
                Complaint::new(message)
                    .advice("this one would never be used: remove one of the two"),
            );
        } else {
            seen.insert(key, line);
        }
    }
    if draft.routes.is_empty() {
        if let [_, second, ..] = draft.services.as_slice() {
            let message = format!("there are {} services and no routes", draft.services.len());
            let advice =
                "say which requests are for which: `routes: [{ host: ..., service: ... }]`";
            report.error(&second.place, Complaint::new(message).advice(advice));
        }
        return;
    }
    for unused in &draft.services {
        if !draft.routes.iter().any(|route| route.value.service.value == *unused.service.name) {
            let message = format!("no route leads to the service {}", quoted(&unused.service.name));
            report.warning(
                &unused.place,
                Complaint::new(message).advice("add a route, or remove the service"),
            );
        }
    }
}

fn loops(report: &Report<'_>, draft: &Draft) {
    let own = draft.listeners.iter().map(|listener| listener.value.address);
    let own: Vec<SocketAddr> =
        own.chain(draft.admin.iter().map(|admin| admin.value.address)).collect();
    for backend in draft.services.iter().flat_map(|service| &service.backends) {
        if let Some(address) = own.iter().find(|address| leads_to(&backend.backend.url, **address))
        {
            let message = format!(
                "{} is this program itself: it listens on {address}",
                show_url(&backend.backend.url)
            );
            report.error(
                &backend.url,
                Complaint::new(message).advice("requests would go round in circles"),
            );
        }
    }
}
