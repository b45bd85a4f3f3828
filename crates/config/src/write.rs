//! A config back to YAML: the flags of a command line, and an effective config with every default
//! filled in. What is written here is read by [`crate::load`].

use std::fmt::Write as _;

use routing::failover::{AllDown, Exclusive, Failback, LockRule, Policy};

use crate::address::show_host;
use crate::kinds::{show_duration, show_size};
use crate::model::{
    Config, FailbackWindow, ProxyVersion, Service, StreamPolicy, Trust, UpstreamProtocol,
    UpstreamTls, Workers,
};
use crate::pin::show_pin;
use crate::probe::role_name;

mod admin;
mod health;
mod hooks;
mod listener;
mod logs;
mod shown;
mod traces;

use admin::write_admin;
use health::{write_health, write_readiness, write_witnesses};
use hooks::{write_gates, write_jobs, write_notifiers};
use listener::{certificate, file, write_listener};
use logs::write_logs;
pub use shown::to_shown_yaml;
use traces::write_traces;

/// What can be said on the command line in place of a file: one service, each value as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Addresses to listen on.
    pub listen: Vec<String>,
    /// The URL of the primary.
    pub primary: String,
    /// The URLs of the standbys, in the order of priority.
    pub standby: Vec<String>,
    /// The path of the HTTP probe.
    pub health_path: Option<String>,
    /// The hold-down, for example `30s`.
    pub failback_after: Option<String>,
    /// The address of the admin listener, or `off`.
    pub admin: Option<String>,
    /// The folder that decisions survive restarts in, or `off`.
    pub state_dir: Option<String>,
    /// How many workers: `auto` or a number.
    pub workers: Option<String>,
}

impl Flags {
    /// The flags as a config file, for [`crate::load`] to judge; wrong values stay wrong.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        if let Some(workers) = &self.workers {
            line(&mut out, format_args!("workers: {}", number_or_quoted(workers)));
        }
        line(&mut out, format_args!("listeners:"));
        for address in &self.listen {
            line(&mut out, format_args!("  - {}", quote(address)));
        }
        line(&mut out, format_args!("services:\n  default:\n    backends:"));
        for url in std::iter::once(&self.primary).chain(&self.standby) {
            line(&mut out, format_args!("      - {}", quote(url)));
        }
        if let Some(path) = &self.health_path {
            line(&mut out, format_args!("    health:\n      http:\n        path: {}", quote(path)));
        }
        if let Some(after) = &self.failback_after {
            line(
                &mut out,
                format_args!("    failback:\n      auto:\n        hold_down: {}", quote(after)),
            );
        }
        if let Some(folder) = &self.state_dir {
            line(&mut out, format_args!("state_dir: {}", quote(folder)));
        }
        match self.admin.as_deref() {
            None => {}
            Some("off") => line(&mut out, format_args!("admin: off")),
            Some(address) => line(&mut out, format_args!("admin:\n  address: {}", quote(address))),
        }
        out
    }
}

/// The effective config with every default filled in. Loading it with an empty base gives `config`
/// again: file names in it are already resolved.
#[must_use]
pub fn to_yaml(config: &Config) -> String {
    let mut out = String::new();
    match config.workers {
        Workers::Auto => line(&mut out, format_args!("workers: auto")),
        Workers::Count(count) => line(&mut out, format_args!("workers: {count}")),
    }
    line(&mut out, format_args!("listeners:"));
    for listener in &config.listeners {
        write_listener(&mut out, listener);
    }
    if !config.routes.is_empty() {
        line(&mut out, format_args!("routes:"));
    }
    for route in &config.routes {
        let (host, path) = (quote(&show_host(&route.host)), quote(&route.path));
        let service = config.services.get(route.service).map_or("", |service| &*service.name);
        let service = quote(service);
        line(&mut out, format_args!("  - {{ host: {host}, path: {path}, service: {service} }}"));
    }
    line(&mut out, format_args!("services:"));
    for service in &config.services {
        write_service(&mut out, service);
    }
    line(&mut out, format_args!("state_dir: {}", or_off(config.state_dir.as_deref(), file)));
    write_witnesses(&mut out, &config.witnesses);
    write_notifiers(&mut out, &config.notify);
    write_logs(&mut out, config);
    write_traces(&mut out, config.traces.as_ref());
    write_admin(&mut out, &config.admin);
    line(&mut out, format_args!("shutdown_timeout: {}", show_duration(config.shutdown_timeout)));
    out
}

fn write_service(out: &mut String, service: &Service) {
    let Service { health, policy, hold, replay, timeouts, connections, .. } = service;
    line(out, format_args!("  {}:\n    backends:", quote(&service.name)));
    for backend in &service.backends {
        let (name, url) = (quote(&backend.name), quote(&backend.url.to_string()));
        line(out, format_args!("      - {{ name: {name}, url: {url} }}"));
    }
    let protocol = match service.protocol {
        UpstreamProtocol::Auto => "auto",
        UpstreamProtocol::Http1 => "http1",
        UpstreamProtocol::Http2 => "http2",
    };
    let proxy_protocol = match service.proxy_protocol {
        None => "off",
        Some(ProxyVersion::V1) => "v1",
        Some(ProxyVersion::V2) => "v2",
    };
    line(out, format_args!("    protocol: {protocol}\n    proxy_protocol: {proxy_protocol}"));
    line(out, format_args!("    tls: {}", tls(&service.tls)));
    write_health(out, health);
    write_policy(out, policy, service.failback_window.as_ref());
    write_gates(out, &service.gates);
    write_jobs(out, &service.jobs);
    write_readiness(out, &service.readiness);
    let epoch_header = or_off(service.epoch_header.as_ref(), |name| quote(name.as_str()));
    line(out, format_args!("    epoch_header: {epoch_header}"));
    line(out, format_args!("    access_log: {}", service.access_log));
    line(out, format_args!("    verify: {}", show_duration(service.verify)));
    let (timeout, bytes) = (show_duration(hold.timeout), show_size(hold.bytes));
    let requests = hold.requests;
    line(
        out,
        format_args!("    hold: {{ timeout: {timeout}, requests: {requests}, bytes: {bytes} }}"),
    );
    let (buffer, settle) = (show_size(replay.buffer), show_duration(replay.settle));
    let attempts = replay.attempts;
    line(
        out,
        format_args!("    replay: {{ buffer: {buffer}, attempts: {attempts}, settle: {settle} }}"),
    );
    let (connect, response) = (show_duration(timeouts.connect), show_duration(timeouts.response));
    line(out, format_args!("    timeouts:\n      connect: {connect}\n      response: {response}"));
    line(out, format_args!("      idle: {}", show_duration(timeouts.idle)));
    line(out, format_args!("      stream_idle: {}", show_duration(timeouts.stream_idle)));
    line(out, format_args!("      request: {}", or_off(timeouts.request, show_duration)));
    let (idle, timeout) = (connections.idle, show_duration(connections.idle_timeout));
    let streams = connections.streams;
    line(
        out,
        format_args!(
            "    connections: {{ idle: {idle}, idle_timeout: {timeout}, streams: {streams} }}"
        ),
    );
    line(out, format_args!("    streams:"));
    line(out, format_args!("      failover: {}", stream_policy(service.streams.failover)));
    line(out, format_args!("      failback: {}", stream_policy(service.streams.failback)));
}

/// The numbers of `health` that belong to the policy, and when the active changes.
fn write_policy(out: &mut String, policy: &Policy, window: Option<&FailbackWindow>) {
    line(out, format_args!("      rise: {}\n      fall: {}", policy.rise, policy.fall));
    let role = or_off(policy.required_role, |role| role_name(role).to_owned());
    line(out, format_args!("      required_role: {role}"));
    match policy.failback {
        Failback::Manual => line(out, format_args!("    failback: manual")),
        Failback::Never => line(out, format_args!("    failback: never")),
        Failback::Auto(conditions) => {
            let damping = &policy.damping;
            line(out, format_args!("    failback:\n      auto:"));
            line(out, format_args!("        hold_down: {}", show_duration(conditions.hold_down)));
            line(out, format_args!("        passes: {}", conditions.passes));
            let in_flight = or_off(conditions.in_flight_below, |below| below.to_string());
            line(out, format_args!("        in_flight_below: {in_flight}"));
            line(out, format_args!("        window: {}", or_off(window, show_window)));
            line(out, format_args!("        damping_window: {}", show_duration(damping.window)));
            line(out, format_args!("        hold_down_cap: {}", show_duration(damping.cap)));
            let lock = or_off(policy.lock, |LockRule { switches, within }| {
                format!("{{ switches: {switches}, within: {} }}", show_duration(within))
            });
            line(out, format_args!("        lock_after: {lock}"));
        }
    }
    let exclusive = policy.exclusive.map_or_else(
        || "false".to_owned(),
        |Exclusive { drain }| format!("{{ drain: {} }}", show_duration(drain)),
    );
    line(out, format_args!("    exclusive: {exclusive}"));
    let all_down = match policy.all_down {
        AllDown::Reject => "reject",
        AllDown::KeepLast => "keep_last",
    };
    line(out, format_args!("    all_down: {all_down}"));
    line(out, format_args!("    startup_grace: {}", show_duration(policy.startup_grace)));
}

fn show_window(window: &FailbackWindow) -> String {
    let (cron, zone) = (quote(window.cron()), quote(window.time_zone()));
    format!("{{ cron: {cron}, length: {}, time_zone: {zone} }}", show_duration(window.length()))
}

fn stream_policy(policy: StreamPolicy) -> String {
    match policy {
        StreamPolicy::Keep => "keep".to_owned(),
        StreamPolicy::Close { deadline, window } => {
            let (deadline, window) = (show_duration(deadline), show_duration(window));
            format!("{{ drain: {{ deadline: {deadline}, window: {window} }} }}")
        }
    }
}

/// Every key that says something; those of probes must say also what they do not inherit.
fn tls(tls: &UpstreamTls) -> String {
    let trust = match &tls.trust {
        Trust::System => "insecure: false".to_owned(),
        Trust::Ca(path) => format!("ca: {}", file(path)),
        Trust::Insecure => "insecure: true".to_owned(),
    };
    let server_name = tls.server_name.as_ref().map(|name| format!("server_name: {}", quote(name)));
    let verify_name = tls.verify_name.as_ref().map(|name| format!("verify_name: {}", quote(name)));
    let certificate =
        tls.certificate.as_ref().map(|files| format!("certificate: {}", certificate(files)));
    let pins: Vec<String> = tls.pins.iter().map(|pin| quote(&show_pin(pin))).collect();
    let pins = format!("pins: [{}]", pins.join(", "));
    let keys = [Some(trust), server_name, verify_name, certificate, Some(pins)];
    format!("{{ {} }}", keys.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// `off`, or a value as a user would write it.
fn or_off<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "off".to_owned(), show)
}

/// A double-quoted YAML scalar, which is a JSON string without the characters YAML finds
/// unprintable.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn number_or_quoted(text: &str) -> String {
    if text.parse::<u32>().is_ok() { text.to_owned() } else { quote(text) }
}
