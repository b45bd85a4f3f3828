//! One service: its backends and its policy, key by key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use routing::failover::{AllDown, Exclusive, Policy};

use crate::address::parse_url;
use crate::choice::{flag, off_or, word};
use crate::epoch::parse_epoch_header;
use crate::failback::{FailbackDraft, failback};
use crate::jobs::jobs;
use crate::kinds::{count, duration, ms, parse_name, secs, size, small_count, text};
use crate::model::{
    Backend, BackendAddress, BackendUrl, FailbackWindow, Gates, Hold, ProxyVersion, Replay, Role,
    Service, UpstreamConnections, UpstreamProtocol, UpstreamTimeouts, UpstreamTls,
};
use crate::probe::{HealthDraft, health};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Place, Report};
use crate::streams::streams;
use crate::witness::readiness;
use crate::{check, defaults, gates, lint, tls};

/// A service whose parts are valid; it may lack backends when those could not be read.
#[derive(Debug)]
pub(crate) struct DraftService {
    pub(crate) service: Service,
    pub(crate) place: Place,
    pub(crate) backends: Vec<DraftBackend>,
    /// Where `failback` stands.
    pub(crate) failback: Place,
    /// Where `gates` stands.
    pub(crate) gates: Place,
}

/// A backend and where its parts stand.
#[derive(Debug)]
pub(crate) struct DraftBackend {
    pub(crate) backend: Backend,
    pub(crate) name: Place,
    pub(crate) url: Place,
}

pub(crate) fn service(name: At<&str>, value: &mut Value<'_>, base: &Path) -> Option<DraftService> {
    if let Err(complaint) = parse_name(name.value) {
        value.report().error(&name.place, complaint);
    }
    Some(value.section(|section| keys(name, section, base)))
}

fn keys(name: At<&str>, section: &mut Section<'_>, base: &Path) -> DraftService {
    let errors = section.report().errors();
    let backends = section
        .required(
            "backends",
            "In the order of priority: the first is the primary, the others are standbys",
            |value| value.list("a list of backends", 1, backend),
        )
        .unwrap_or_default();
    check::backends(section, &backends);
    let protocol = section.or(
        "protocol",
        "Which HTTP is spoken with backends: `http1`, `http2`, or `auto` (over TLS what the backend chooses, in the clear HTTP/1.1)",
        defaults::PROTOCOL,
        word(PROTOCOLS),
    );
    let proxy_protocol = section.or(
        "proxy_protocol",
        "The PROXY header that connections to backends begin with: `off`, `v1` or `v2`",
        defaults::PROXY_PROTOCOL,
        word(PROXY_VERSIONS),
    );
    let tls = section.section("tls", "How `https` backends are verified", |section| {
        tls::upstream(section, base, &UpstreamTls::default())
    });
    let HealthDraft { health, rise, fall, required_role, role_given } =
        section.section("health", "How every backend of the service is probed", |section| {
            health(section, base, &tls)
        });
    let gates = gates(section, base);
    // Whoever is to be promoted is not active yet.
    let required_role = required_role.filter(|_| role_given || !gates::promote(&gates));
    let (policy, failback_window) = policy(section, rise, fall, required_role, &gates);
    let jobs = section
        .optional(
            "jobs",
            "What is done on a schedule, from the active to standbys, by name",
            |value| jobs(value, base),
        )
        .unwrap_or_default();
    let readiness = section.section(
        "readiness",
        "What a standby must show, beside being eligible, to be called ready for a failover",
        readiness,
    );
    let verify = section.or(
        "verify",
        "How long a move that an operator ordered is watched: a target that gives no good answer by then is left again; `0s`: not at all",
        defaults::VERIFY,
        duration(Duration::ZERO..=secs(3600)),
    );
    let epoch_header = section.or(
        "epoch_header",
        "The field that tells backends the epoch, on requests and probes, or `off`; what clients send under this name is dropped",
        defaults::EPOCH_HEADER,
        text("the name of a field", parse_epoch_header),
    );
    let access_log = section.or(
        "access_log",
        "Whether its requests are in the access log, if there is one",
        defaults::SERVICE_LOG,
        flag,
    );
    let hold = section.section("hold", "Bounds on requests that wait for an active", hold);
    let replay = section.section("replay", "Bounds on sending a request again", replay);
    let timeouts = section.section("timeouts", "Bounds on what a backend may take", timeouts);
    let connections = section.section("connections", "Connections kept for reuse", connections);
    let streams = section.section(
        "streams",
        "What becomes of WebSockets, server-sent events, gRPC streams and long bodies at the old active",
        streams,
    );
    let service = Service {
        name: Arc::from(name.value),
        backends: backends.iter().map(|draft| draft.backend.clone()).collect(),
        protocol,
        proxy_protocol,
        tls,
        health,
        readiness,
        policy,
        gates,
        jobs: jobs.iter().map(|job| job.value.clone()).collect(),
        failback_window,
        verify,
        epoch_header,
        access_log,
        hold,
        replay,
        timeouts,
        connections,
        streams,
    };
    check::protection(section, &service);
    check::exclusive(section, &service);
    check::epoch_header(section, &service);
    check::promoted(section, &service);
    check::roles(section, &service, &jobs);
    // What stands in for a value that could not be read deserves no warning.
    if section.report().errors() == errors {
        for lint in lint::service(&service) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
        for (index, lint) in lint::probes(&service.health) {
            let places = lint.keys.iter().flat_map(|key| check::places(index, key));
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(&places.collect::<Vec<_>>()), complaint);
        }
    }
    let (failback, gates) = (section.place("failback"), section.place("gates"));
    DraftService { service, place: name.place, backends, failback, gates }
}

fn gates(section: &mut Section<'_>, base: &Path) -> Gates {
    let about = "What must happen in the applications before the traffic moves";
    let gates =
        section.optional("gates", about, |value| value.keys(|section| gates::gates(section, base)));
    gates.unwrap_or_default()
}

const PROTOCOLS: &[(&str, UpstreamProtocol)] = &[
    ("auto", UpstreamProtocol::Auto),
    ("http1", UpstreamProtocol::Http1),
    ("http2", UpstreamProtocol::Http2),
];

const PROXY_VERSIONS: &[(&str, Option<ProxyVersion>)] =
    &[("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))];

const ALL_DOWN: &[(&str, AllDown)] =
    &[("reject", AllDown::Reject), ("keep_last", AllDown::KeepLast)];

fn policy(
    section: &mut Section<'_>,
    rise: u32,
    fall: u32,
    required_role: Option<Role>,
    gates: &Gates,
) -> (Policy, Option<FailbackWindow>) {
    let FailbackDraft { failback, window, damping, lock } = section.or(
        "failback",
        "How a recovered primary gets the service back: `auto`, `manual`, `never`, or the keys of `auto`",
        defaults::FAILBACK,
        failback,
    );
    let policy = Policy {
        required_role,
        rise,
        fall,
        failback,
        damping,
        lock,
        exclusive: strict(section, gates),
        all_down: section.or(
            "all_down",
            "When no backend is eligible: `reject` (hold, then 503) or `keep_last` (go on sending to the last active)",
            defaults::ALL_DOWN,
            word(ALL_DOWN),
        ),
        startup_grace: section.or(
            "startup_grace",
            "How long, from the start, a standby waits for the first verdict on the primary; a primary that fails its first probe, for example by refusing the connection, ends the wait, and a standby that is up serves. So where this program may start before its backends a standby may win by milliseconds: start the backends first, or let `failback` bring the primary back",
            defaults::STARTUP_GRACE,
            duration(Duration::ZERO..=secs(3600)),
        ),
        gates: gates::rules(gates),
    };
    (policy, window)
}

/// Applications that have gates have one active, so moves are strict unless the operator says otherwise.
fn strict(section: &mut Section<'_>, gates: &Gates) -> Option<Exclusive> {
    let given = section.or(
        "exclusive",
        "Whether no two backends ever work on requests at once, at a cost to those that wait: `true`, `false`, or its keys; with `gates` `true` when left out",
        defaults::EXCLUSIVE,
        exclusive,
    );
    if section.has("exclusive") || gates::rules(gates).is_empty() {
        return given;
    }
    let report = Report::new("", "");
    Some(Value::root(&report, None).section(exclusive_keys))
}

/// The outer option: whether it could be read; the inner one: whether moves are strict.
fn exclusive(value: &mut Value<'_>) -> Option<Option<Exclusive>> {
    value.either(
        |value| {
            let report = Report::new("", "");
            let plain = Value::root(&report, None).section(exclusive_keys);
            flag(value).map(|on| on.then_some(plain))
        },
        |value| value.keys(exclusive_keys).map(Some),
    )
}

fn exclusive_keys(section: &mut Section<'_>) -> Exclusive {
    Exclusive {
        drain: section.or(
            "drain",
            "How long requests at the old active may take; then they are cut. Below `hold.timeout`",
            defaults::EXCLUSIVE_DRAIN,
            duration(Duration::ZERO..=secs(3600)),
        ),
    }
}

fn backend(value: &mut Value<'_>) -> Option<DraftBackend> {
    value.either(
        |value| {
            let url = backend_url(value)?;
            let place = value.place().clone();
            let name = derived_name(value.report(), &place, &url)?;
            let backend = Backend { name: Arc::from(name), url };
            Some(DraftBackend { backend, name: place.clone(), url: place })
        },
        |value| {
            value.section(|section| {
                let name = section.optional(
                    "name",
                    "What messages and metrics call it; host and port, or the file of the socket, when left out",
                    text("a name", parse_name),
                );
                let url = section.required(
                    "url",
                    "Where it is, for example `http://10.0.0.1:8080` or `unix:/run/app.sock`; no path of a request",
                    backend_url,
                )?;
                let (url_place, name_place) = (section.place("url"), section.place("name"));
                let (name, place) = if section.has("name") {
                    // A name that could not be read is an error already.
                    (name.unwrap_or_else(|| url.place()), name_place)
                } else {
                    (derived_name(section.report(), &url_place, &url)?, url_place.clone())
                };
                let backend = Backend { name: Arc::from(name), url };
                Some(DraftBackend { backend, name: place, url: url_place })
            })
        },
    )
}

/// The name of a backend that is given none: host and port, or the file of a socket.
fn derived_name(report: &Report<'_>, place: &Place, url: &BackendUrl) -> Option<String> {
    let path = match &url.address {
        BackendAddress::Tcp { .. } => return Some(url.place()),
        BackendAddress::Unix(path) => path,
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let named = parse_name(&file);
    if named.is_err() {
        let message = format!("the file of {} cannot name the backend", quoted(&url.place()));
        let advice = "give it a name: `{ name: ..., url: ... }`";
        report.error(place, Complaint::new(message).advice(advice));
    }
    named.ok()
}

fn backend_url(value: &mut Value<'_>) -> Option<BackendUrl> {
    text("the URL of a backend", parse_url)(value)
}

fn hold(section: &mut Section<'_>) -> Hold {
    Hold {
        timeout: section.or(
            "timeout",
            "How long one request may wait; then 503",
            defaults::HOLD_TIMEOUT,
            duration(Duration::ZERO..=secs(3600)),
        ),
        requests: section.or(
            "requests",
            "How many requests may wait, over all workers; one more is answered 503 at once",
            defaults::HOLD_REQUESTS,
            count(0..=1_000_000),
        ),
        bytes: section.or(
            "bytes",
            "How many bytes of bodies they may keep, over all workers",
            defaults::HOLD_BYTES,
            size(0..=64 << 30),
        ),
    }
}

fn replay(section: &mut Section<'_>) -> Replay {
    Replay {
        buffer: section.or(
            "buffer",
            "A body up to this size can be sent again; a larger one passes through and cannot",
            defaults::REPLAY_BUFFER,
            size(0..=64 << 20),
        ),
        attempts: section.or(
            "attempts",
            "How often one request that may have reached a backend is sent again",
            defaults::REPLAY_ATTEMPTS,
            small_count(0..=10),
        ),
        settle: section.or(
            "settle",
            "At a failover from a hung backend, how long a request that is not safe to repeat may still wait for it; then 504",
            defaults::SETTLE,
            duration(Duration::ZERO..=secs(3600)),
        ),
    }
}

fn timeouts(section: &mut Section<'_>) -> UpstreamTimeouts {
    UpstreamTimeouts {
        connect: section.or(
            "connect",
            "TCP and TLS handshakes together",
            defaults::CONNECT,
            duration(ms(10)..=secs(300)),
        ),
        response: section.or(
            "response",
            "From the request sent to the head of the response; then 504",
            defaults::RESPONSE,
            duration(ms(10)..=secs(24 * 3600)),
        ),
        idle: section.or(
            "idle",
            "How long the body of a response may make no progress",
            defaults::BODY_IDLE,
            duration(ms(10)..=secs(24 * 3600)),
        ),
        stream_idle: section.or(
            "stream_idle",
            "How long a stream (WebSocket, server-sent events, gRPC) may be silent",
            defaults::STREAM_IDLE,
            duration(ms(10)..=secs(30 * 24 * 3600)),
        ),
        request: section.or(
            "request",
            "From the head of a request to the end of its response, or `off`; then 504, or the response is cut",
            defaults::REQUEST,
            off_or("`off` or a duration such as `5m`", duration(ms(10)..=secs(30 * 24 * 3600))),
        ),
    }
}

fn connections(section: &mut Section<'_>) -> UpstreamConnections {
    UpstreamConnections {
        idle: section.or(
            "idle",
            "How many idle connections are kept per backend and worker",
            defaults::IDLE_CONNECTIONS,
            count(0..=10_000),
        ),
        idle_timeout: section.or(
            "idle_timeout",
            "How long one is kept idle; must be below the keep-alive of the backend",
            defaults::IDLE_CONNECTION_TIMEOUT,
            duration(ms(1)..=secs(3600)),
        ),
        streams: section.or(
            "streams",
            "Most streams on one HTTP/2 connection to a backend; further ones open another",
            defaults::UPSTREAM_STREAMS,
            count(1..=10_000),
        ),
    }
}
