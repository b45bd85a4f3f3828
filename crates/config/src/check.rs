//! What valid parts get wrong together, so that the config cannot be used. What is merely doubtful is
//! said by `lint`.
//!
//! The first group is called while a section is read and knows its places; [`whole`] runs once
//! everything is read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use routing::failover::{Damping, Exclusive};

use crate::address::{leads_to, overlap, show_host};
use crate::admin::DraftToken;
use crate::gates::promote;
use crate::kinds::show_duration;
use crate::model::{
    Admin, AdminSocket, GateAction, Gates, Job, JobTarget, ListenAddress, Listener, ProbeKind,
    Role, Scheme, Service, Trust, UpstreamTls,
};
use crate::probe::{role_name, tells};
use crate::problem::quoted;
use crate::reader::Section;
use crate::report::{At, Complaint, Place, Report};
use crate::sections::Draft;
use crate::service::DraftBackend;
use crate::suggest::closest;
use crate::{lint, logs};

/// Whom the admin listener would let in. Only for a section that could be read.
pub(crate) fn admin(section: &Section<'_>, admin: &Admin) {
    let Some(address) = admin.address.filter(|address| !address.ip().is_loopback()) else { return };
    if admin.tls.is_some() && !admin.tokens.is_empty() {
        return;
    }
    let message = format!("the admin listener on {address} could be reached from other machines");
    // There are no flags for them, and this is said about the flag `--admin` too.
    let advice = "use 127.0.0.1, or a config file with `admin.tls` and `admin.tokens`";
    section.report().error(&section.place("address"), Complaint::new(message).advice(advice));
}

/// Names say in the journal who did it.
pub(crate) fn tokens(section: &Section<'_>, tokens: &[DraftToken]) {
    let mut names = HashMap::new();
    for token in tokens {
        let name = &token.value.name;
        if let Some(line) = names.insert(name, token.place.mark.line) {
            let message = format!("the name {} is already used on line {line}", quoted(name));
            let complaint = Complaint::new(message).advice("names of tokens are unique");
            section.report().error(&token.place, complaint);
        }
    }
}

pub(crate) fn backends(section: &Section<'_>, backends: &[DraftBackend]) {
    let report = section.report();
    let (mut names, mut urls) = (HashMap::new(), HashMap::new());
    for draft in backends {
        let (name, url) = (&draft.backend.name, &draft.backend.url);
        // The same URL written twice without names is one mistake, not two.
        if let Some(line) = urls.insert(url.clone(), draft.url.mark.line) {
            let message = format!("{url} is already a backend of this service (line {line})");
            let advice =
                "a standby must be another server, otherwise it fails together with the primary";
            report.error(&draft.url, Complaint::new(message).advice(advice));
        } else if let Some(line) = names.insert(name.clone(), draft.name.mark.line) {
            let derived = draft.name.mark == draft.url.mark;
            let (message, advice) = if derived {
                (
                    format!("{url} would be called {}, as on line {line}", quoted(name)),
                    "give it a name of its own: `{ name: ..., url: ... }`",
                )
            } else {
                (
                    format!("the name {} is already used on line {line}", quoted(name)),
                    "names are unique in a service",
                )
            };
            report.error(&draft.name, Complaint::new(message).advice(advice));
        }
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

/// What one listener cannot be at the same time.
pub(crate) fn listener(section: &Section<'_>, listener: &Listener) {
    let complain = |key: &str, message: &str, advice: &str| {
        let complaint = Complaint::new(message).advice(advice);
        section.report().error(&section.place(key), complaint);
    };
    // Its certificates may be what could not be read.
    let tls = section.has("tls");
    if tls && listener.redirect_https.is_some() {
        complain(
            "redirect_https",
            "a listener with TLS would redirect its clients to where they are",
            "give the listener without `tls` a `redirect_https`",
        );
    }
    if !tls && listener.hsts.is_some() {
        complain(
            "hsts",
            "browsers believe `hsts` over TLS only (RFC 6797 8.1), and this listener has no `tls`",
            "write it at the listener with `tls`; here `redirect_https: true` may be what is meant",
        );
    }
    if tls && listener.h2c {
        complain(
            "h2c",
            "`h2c: true` is HTTP/2 in the clear, and this listener has `tls`",
            "over TLS `http2` offers it",
        );
    }
    if !listener.http2 && listener.h2c {
        complain(
            "h2c",
            "`h2c: true` and `http2: false` contradict each other",
            "remove one of the two",
        );
    }
    if matches!(listener.address, ListenAddress::Unix(_)) {
        let networks = [
            ("trusted_proxies", listener.trusted_proxies.as_slice()),
            ("proxy_protocol", listener.proxy_protocol.as_slice()),
        ];
        for (key, _) in networks.iter().filter(|(_, networks)| !networks.is_empty()) {
            complain(
                key,
                &format!("clients of a Unix socket have no address that `{key}` could name"),
                "use a listener on a loopback address, for example `127.0.0.1:8080`",
            );
        }
    }
}

/// Names are only looked at in certificates that are verified.
pub(crate) fn verified(section: &Section<'_>, trust: &Trust, name: Option<&str>) {
    if let (Some(name), Trust::Insecure) = (name, trust) {
        let message = format!("{} is never verified: `insecure: true`", quoted(name));
        let advice = "name the authority that signed the certificate: `ca: file.pem`";
        let place = section.place("verify_name");
        section.report().error(&place, Complaint::new(message).advice(advice));
    }
}

/// Requests wait in hold while the old active finishes.
pub(crate) fn exclusive(section: &Section<'_>, service: &Service) {
    let Some(Exclusive { drain }) = service.policy.exclusive else { return };
    let timeout = service.hold.timeout;
    if drain < timeout {
        return;
    }
    // Whoever wrote neither should know where it comes from.
    let why = if section.has("exclusive") || service.policy.gates.is_empty() {
        ""
    } else {
        " (a service with gates is `exclusive`)"
    };
    let message = format!(
        "a move may take {}{why}, and requests wait for {} only",
        show_duration(drain),
        show_duration(timeout)
    );
    let advice = "lower `exclusive.drain`, or raise `hold.timeout`: requests would get 503 before the move is over";
    let place = section.place_of(&["exclusive.drain", "exclusive"]);
    section.report().error(&place, Complaint::new(message).advice(advice));
}

/// Probes carry the epoch as well.
pub(crate) fn epoch_header(section: &Section<'_>, service: &Service) {
    let Some(name) = &service.epoch_header else { return };
    for (index, probe) in service.health.probes.iter().enumerate() {
        let ProbeKind::Http(http) = &probe.kind else { continue };
        if http.headers.contains_key(name) {
            let message = format!("{} is written by `epoch_header` already", quoted(name.as_str()));
            let advice =
                "remove it from the fields of the probe, or give `epoch_header` another name";
            let place = section.place_of(&places(index, "http.headers"));
            section.report().error(&place, Complaint::new(message).advice(advice));
        }
    }
}

/// Where a key of a probe may stand: in the list, or the only probe's.
pub(crate) fn places(index: usize, key: &str) -> [String; 2] {
    [format!("health.probes[{index}].{key}"), format!("health.{key}")]
}

/// Keys that promise protection where there can be none.
pub(crate) fn protection(section: &Section<'_>, service: &Service) {
    let https = service.backends.iter().any(|backend| backend.url.scheme == Scheme::Https);
    if https || service.backends.is_empty() {
        return;
    }
    let promises = |tls: &UpstreamTls| [!tls.pins.is_empty(), tls.certificate.is_some()];
    let own = service.health.tls.as_ref().map_or([false; 2], promises);
    let keys = [("tls.pins", "health.tls.pins"), ("tls.certificate", "health.tls.certificate")];
    for ((key, probes), (given, own)) in
        keys.into_iter().zip(promises(&service.tls).into_iter().zip(own))
    {
        if !given && !own {
            continue;
        }
        let key = if given { key } else { probes };
        let message = format!("{} needs TLS, and no backend of this service is https", quoted(key));
        let advice = "write `https://` in the URLs, or remove the key";
        section.report().error(&section.place_of(&[key]), Complaint::new(message).advice(advice));
    }
}

/// Nobody would ever be promoted.
pub(crate) fn promoted(section: &Section<'_>, service: &Service) {
    if service.policy.required_role != Some(Role::Active) || !promote(&service.gates) {
        return;
    }
    let message = "`required_role: active` keeps requests from whoever is not active yet, and such a one is to be promoted: nobody ever would be";
    let advice = "write `required_role: off`: the gates see to the role";
    let place = section.place_of(&["health.required_role"]);
    section.report().error(&place, Complaint::new(message).advice(advice));
}

/// A gate that waits for a role that nobody can have always fails, and a job for standbys in one never
/// runs.
pub(crate) fn roles(section: &Section<'_>, service: &Service, jobs: &[At<Job>]) {
    // What could not be read may be the probe that tells.
    if section.report().errors() > 0 {
        return;
    }
    let untold = |role: Role, place: &Place| {
        if tells(&service.health.probes, role) {
            return;
        }
        let message = format!("no probe tells the role {}", quoted(role_name(role)));
        let advice = "give an `http` probe a `role` that does";
        section.report().error(place, Complaint::new(message).advice(advice));
    };
    let places = ["switchover", "failback", "failover"]
        .map(|direction| format!("gates.{direction}.verify.role"));
    let Gates { failover, failback, switchover } = &service.gates;
    // One that is left out is as the next of these.
    for (list, places) in
        [(failover, &places[2..]), (failback, &places[1..]), (switchover, &places[..])]
    {
        for gate in list {
            match gate.action {
                GateAction::Role(role) => untold(role, &section.place_of(places)),
                GateAction::Call(_) => {}
            }
        }
    }
    for job in jobs {
        match job.value.to {
            JobTarget::Standbys { role: Some(role) } => untold(role, &job.place),
            JobTarget::Standbys { role: None } | JobTarget::Active => {}
        }
    }
}

/// Checks between sections.
pub(crate) fn whole(report: &Report<'_>, draft: &Draft) {
    sockets(report, draft);
    redirects(report, draft);
    routes(report, draft);
    loops(report, draft);
    memory(report, draft);
    witnesses(report, draft);
    notified(report, draft);
    logs::together(report, draft);
}

/// Services that somebody is to be told of.
fn notified(report: &Report<'_>, draft: &Draft) {
    let names: Vec<&str> = draft.services.iter().map(|draft| &*draft.service.name).collect();
    for service in draft.notify.iter().flat_map(|notifier| &notifier.services) {
        unknown_service(report, &names, &service.value, &service.place);
    }
}

fn unknown_service(report: &Report<'_>, names: &[&str], name: &str, place: &Place) {
    if names.contains(&name) {
        return;
    }
    let advice = match closest(name, names.iter().copied()) {
        Some(name) => format!("did you mean {}?", quoted(name)),
        None => format!("the services are: {}", names.join(", ")),
    };
    let message = format!("there is no service {}", quoted(name));
    report.error(place, Complaint::new(message).advice(advice));
}

/// What a restart undoes.
fn memory(report: &Report<'_>, draft: &Draft) {
    // What could not be read may be the folder.
    if report.errors() > 0 {
        return;
    }
    for service in &draft.services {
        let lints = lint::memory(&service.service, draft.state_dir.as_deref());
        for (lint, place) in lints.into_iter().zip([&service.failback, &service.gates]) {
            let Some(lint) = lint else { continue };
            report.warning(place, Complaint::new(lint.message).advice(lint.advice));
        }
    }
}

/// Witnesses that are none. Said also when something else is wrong: it needs nothing else.
fn witnesses(report: &Report<'_>, draft: &Draft) {
    let services = || draft.services.iter().map(|draft| &draft.service);
    for At { value, place } in &draft.witnesses {
        if let Some(lint) = lint::witness(value, services()) {
            report.warning(place, Complaint::new(lint.message).advice(lint.advice));
        }
    }
}

fn sockets(report: &Report<'_>, draft: &Draft) {
    // An address names its listener, so it stands once, also with port 0.
    let same = |a: &ListenAddress, b: &ListenAddress| a == b || overlap(a, b);
    for (index, listener) in draft.listeners.iter().enumerate() {
        let address = &listener.value.address;
        let earlier =
            draft.listeners[..index].iter().find(|other| same(&other.value.address, address));
        if let Some(other) = earlier {
            let (taken, line) = (&other.value.address, other.place.mark.line);
            let (message, advice) = if taken == address {
                (format!("{address} is already a listener (line {line})"), "remove one of the two")
            } else {
                (
                    format!("{address} and {taken} (line {line}) would take each other's clients"),
                    "a listener on every address covers the others with its port",
                )
            };
            report.error(&listener.place, Complaint::new(message).advice(advice));
        }
    }
    for taken in admin_listens(draft) {
        let clash = |listener: &&At<Listener>| overlap(&listener.value.address, &taken);
        if let Some(listener) = draft.listeners.iter().find(clash) {
            let address = &listener.value.address;
            let (message, advice) = match taken {
                ListenAddress::Tcp(_) => (
                    format!("{address} is taken by the admin listener ({taken})"),
                    "use another port here, or another `admin.address`",
                ),
                ListenAddress::Unix(_) => (
                    format!("{address} is taken by the admin socket"),
                    "use another path here, or another `admin.socket`",
                ),
            };
            report.error(&listener.place, Complaint::new(message).advice(advice));
        }
    }
}

/// Where operators and Prometheus ask, as far as that is known before the start.
fn admin_listens(draft: &Draft) -> Vec<ListenAddress> {
    let Admin { address, socket, .. } = &draft.admin.value;
    let socket = match socket {
        AdminSocket::Path(path) => Some(ListenAddress::Unix(path.as_path().into())),
        AdminSocket::Auto | AdminSocket::Off => None,
    };
    address.map(ListenAddress::from).into_iter().chain(socket).collect()
}

/// Redirects that would lead to a listener in the clear, and redirects to nowhere.
fn redirects(report: &Report<'_>, draft: &Draft) {
    for listener in &draft.listeners {
        let Some(redirect) = listener.value.redirect_https else { continue };
        let Some(own) = listener.value.address.tcp() else { continue };
        let there = SocketAddr::new(own.ip(), redirect.port).into();
        let listens = |tls: bool| {
            draft.listeners.iter().any(|listener| {
                listener.value.tls.is_some() == tls && overlap(&listener.value.address, &there)
            })
        };
        if listens(false) && !listens(true) {
            let message = format!(
                "{} redirects to https on port {}, where a listener without TLS is",
                listener.value.address, redirect.port
            );
            let advice = "give `redirect_https` the `port` of a listener with `tls`";
            report.error(&listener.place, Complaint::new(message).advice(advice));
        }
    }
    // What could not be read may be the listener with TLS.
    if report.errors() > 0 {
        return;
    }
    let listeners: Vec<&Listener> =
        draft.listeners.iter().map(|listener| &listener.value).collect();
    for (index, lint) in lint::listeners(&listeners) {
        let complaint = Complaint::new(lint.message).advice(lint.advice);
        report.warning(&draft.listeners[index].place, complaint);
    }
}

fn routes(report: &Report<'_>, draft: &Draft) {
    let names: Vec<&str> = draft.services.iter().map(|draft| &*draft.service.name).collect();
    let mut seen = HashMap::new();
    for route in &draft.routes {
        if let Some(service) = &route.value.service {
            unknown_service(report, &names, &service.value, &service.place);
        }
        let Some((host, path)) = &route.value.pattern else { continue };
        let line = route.place.mark.line;
        match seen.entry((host, path)) {
            Entry::Vacant(place) => {
                place.insert(line);
            }
            Entry::Occupied(first) => {
                let (host, path) = (quoted(&show_host(host)), quoted(path));
                let first = first.get();
                let message =
                    format!("host {host} with path {path} already has a route on line {first}");
                let advice = "this one would never be used: remove one of the two";
                report.error(&route.place, Complaint::new(message).advice(advice));
            }
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
    let wanted: Option<Vec<&str>> = draft
        .routes
        .iter()
        .map(|route| route.value.service.as_ref().map(|service| service.value.as_str()))
        .collect();
    // A route that could not be read may be the one for any service.
    let Some(wanted) = wanted else { return };
    for unused in draft.services.iter().filter(|draft| !wanted.contains(&&*draft.service.name)) {
        let message = format!("no route leads to the service {}", quoted(&unused.service.name));
        let advice = "add a route, or remove the service";
        report.warning(&unused.place, Complaint::new(message).advice(advice));
    }
}

fn loops(report: &Report<'_>, draft: &Draft) {
    let own = draft.listeners.iter().map(|listener| listener.value.address.clone());
    let own: Vec<ListenAddress> = own.chain(admin_listens(draft)).collect();
    for backend in draft.services.iter().flat_map(|service| &service.backends) {
        if let Some(address) = own.iter().find(|address| leads_to(&backend.backend.url, address)) {
            let message =
                format!("{} is this program itself: it listens on {address}", backend.backend.url);
            report.error(
                &backend.url,
                Complaint::new(message).advice("requests would go round in circles"),
            );
        }
    }
}
