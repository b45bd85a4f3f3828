//! How backends are probed: the section `health`.

use std::path::Path;

use crate::choice::{off_or, word};
use crate::defaults;
use crate::kinds::{count, duration, ms, secs, small_count};
use crate::model::{
    ErrorRule, Health, HttpProbe, Level, Probe, ProbeKind, Role, StatusSet, UpstreamTls,
};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{Complaint, Report};
use crate::statuses::{show_statuses, statuses};
use crate::tls;

mod claim;
mod exec;
mod expect;
mod http;
mod list;
mod pattern;
mod plain;

pub(crate) use claim::role_name;
use list::probes;

/// What the only probe is called when it is not in a list.
pub(crate) const ONLY: &str = "probe";

/// Health with what belongs to the policy.
#[derive(Debug)]
pub(crate) struct HealthDraft {
    pub(crate) health: Health,
    pub(crate) rise: u32,
    pub(crate) fall: u32,
    pub(crate) required_role: Option<Role>,
    /// Whether its author said so.
    pub(crate) role_given: bool,
}

/// `traffic` is how the backends are verified otherwise.
pub(crate) fn health(section: &mut Section<'_>, base: &Path, traffic: &UpstreamTls) -> HealthDraft {
    let errors = section.report().errors();
    let probes = asked(section, base);
    let interval = section.or(
        "interval",
        "From one round of probes to the next when nothing is in doubt",
        defaults::INTERVAL,
        duration(ms(10)..=secs(3600)),
    );
    let sound = section.report().errors() == errors;
    let quorum = section.or(
        "quorum",
        "How many of the probes of level `ready` that are no agents must pass, or `off` for all",
        defaults::QUORUM,
        off_or("`off` or a number of probes", count(1..=MOST_PROBES)),
    );
    let required_role = required_role(section, &probes);
    if sound {
        list::together(section, &probes, interval, quorum);
        told(section, &probes, required_role);
    }
    let tls = section.optional(
        "tls",
        "How probes verify `https` backends, where that differs from the service's `tls`",
        |value| Some(value.section(|section| tls::upstream(section, base, traffic))),
    );
    let health = Health {
        probes,
        quorum,
        tls: tls.filter(|tls| tls != traffic),
        interval,
        timeout: section.or(
            "timeout",
            "The total deadline of one probe: resolve, connect, TLS, send, receive",
            defaults::PROBE_TIMEOUT,
            timeout(),
        ),
        confirm_interval: section.or(
            "confirm_interval",
            "From one round to the next while a change is being confirmed; such rounds may overlap",
            defaults::CONFIRM_INTERVAL,
            duration(ms(1)..=secs(3600)),
        ),
        stall_after: section.or(
            "stall_after",
            "A request that waits so much longer than the backend's recent 99th percentile, and 250ms at least, asks for confirming probes",
            defaults::STALL_AFTER,
            duration(ms(10)..=secs(3600)),
        ),
        errors: error_rule(section),
    };
    let (rise, fall) = thresholds(section);
    let role_given = section.has("required_role");
    HealthDraft { health, rise, fall, required_role, role_given }
}

/// Most probes of one backend: each is a connection or a program in every round.
const MOST_PROBES: usize = 16;

/// The deadline of a probe.
fn timeout() -> impl Fn(&mut Value<'_>) -> Option<std::time::Duration> {
    duration(ms(10)..=secs(300))
}

/// What is asked: one probe by its own key, or a list.
fn asked(section: &mut Section<'_>, base: &Path) -> Vec<Probe> {
    section.at_most_one(&["http", "tcp", "grpc", "exec", "probes"]);
    let http = section.section(
        "http",
        "Probe with an HTTP request, over the scheme of the backend's URL",
        http::http_probe,
    );
    let other = [
        section.optional(
            "tcp",
            "Probe with a TCP connection, and perhaps a few bytes each way: `tcp: {}`",
            |value| Some(ProbeKind::Tcp(value.section(plain::tcp_probe))),
        ),
        section.optional(
            "grpc",
            "Probe with the gRPC health protocol, over HTTP/2: `grpc: {}`",
            |value| Some(ProbeKind::Grpc(value.section(plain::grpc_probe))),
        ),
        section.optional("exec", "Probe with a program", |value| {
            value.keys(|section| exec::exec_probe(section, base))?.map(ProbeKind::Exec)
        }),
    ];
    let several = section.optional(
        "probes",
        "Several probes, asked together, instead of `http`, `tcp`, `grpc` or `exec`",
        |value| probes(value, base),
    );
    let kind = other.into_iter().flatten().next();
    several.unwrap_or_else(|| {
        let kind = kind.unwrap_or(ProbeKind::Http(http));
        vec![Probe { name: ONLY.into(), level: Level::Ready, kind, interval: None, timeout: None }]
    })
}

const ROLES: &[(&str, Option<Role>)] =
    &[("active", Some(Role::Active)), ("standby", Some(Role::Standby)), ("off", None)];

/// Who asks for roles means to send requests to the active one.
fn required_role(section: &mut Section<'_>, probes: &[Probe]) -> Option<Role> {
    let told = probes.iter().filter_map(http_of).any(|http| http.role.is_some());
    let given = section.optional(
        "required_role",
        "The role a backend must have to get requests: `active`, `standby` or `off`; `active` when a probe tells roles and no gate promotes, else `off`",
        word(ROLES),
    );
    given.unwrap_or_else(|| told.then_some(Role::Active))
}

fn http_of(probe: &Probe) -> Option<&HttpProbe> {
    match &probe.kind {
        ProbeKind::Http(http) => Some(http),
        ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Exec(_) | ProbeKind::Agent(_) => None,
    }
}

/// Whether a backend could be found in this role.
pub(crate) fn tells(probes: &[Probe], role: Role) -> bool {
    let rules = probes.iter().filter_map(http_of).filter_map(|http| http.role.as_ref());
    rules.flat_map(|rule| &rule.values).any(|(_, other)| *other == role)
}

/// A role that nobody can have keeps everybody from requests.
fn told(section: &Section<'_>, probes: &[Probe], required: Option<Role>) {
    let Some(required) = required else { return };
    if tells(probes, required) {
        return;
    }
    let role = quoted(role_name(required));
    let message = format!("backends must be {role} to get requests, and no probe tells that role");
    let place = section.place_of(&["required_role", "http.role", "probes", "http"]);
    let advice = "give an `http` probe a `role` that does, or write `required_role: off`";
    section.report().error(&place, Complaint::new(message).advice(advice));
}

const ERRORS_EXPECTED: &str = "`off` or keys such as `{ count: 10, within: 1s }`";

fn error_rule(section: &mut Section<'_>) -> Option<ErrorRule> {
    let given = section.optional(
        "errors",
        "So many answers of a kind to live traffic ask for confirming probes: `off`, or its keys",
        off_or(ERRORS_EXPECTED, |value| Some(value.section(error_keys))),
    );
    given.unwrap_or_else(|| {
        let report = Report::new("", "");
        Some(Value::root(&report, None).section(error_keys))
    })
}

fn error_keys(section: &mut Section<'_>) -> ErrorRule {
    let status = section.or(
        "status",
        "Which answers: a status, a range, or a list of both, from 500 on",
        defaults::ERROR_STATUS,
        statuses(1),
    );
    if status.0.iter().any(|range| *range.start() < 500) {
        let range =
            StatusSet(status.0.iter().filter(|range| *range.start() < 500).cloned().collect());
        let message =
            format!("answers with {} are no errors of a backend", quoted(&show_statuses(&range)));
        let advice = "a client can cause them at will: write statuses from 500 on";
        section.report().error(&section.place("status"), Complaint::new(message).advice(advice));
    }
    ErrorRule {
        status,
        count: section.or(
            "count",
            "How many of them, over all workers",
            defaults::ERROR_COUNT,
            small_count(1..=1_000_000),
        ),
        within: section.or(
            "within",
            "Within how long",
            defaults::ERROR_WITHIN,
            duration(ms(10)..=secs(3600)),
        ),
    }
}

fn thresholds(section: &mut Section<'_>) -> (u32, u32) {
    let rise = section.or(
        "rise",
        "Consecutive passed rounds that bring a backend up",
        defaults::RISE,
        small_count(1..=100),
    );
    let fall = section.or(
        "fall",
        "Consecutive failed rounds that take a backend down",
        defaults::FALL,
        small_count(1..=100),
    );
    (rise, fall)
}
