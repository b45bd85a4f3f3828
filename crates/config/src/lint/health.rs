//! Warnings about probes, about what backends say of themselves, and about witnesses.

use std::time::Duration;

use super::Lint;
use crate::kinds::show_duration;
use crate::model::{BackendAddress, Health, Probe, ProbeKind, Role, Service, StatusSet, Witness};
use crate::probe::role_name;
use crate::problem::quoted;
use crate::statuses::show_statuses;

/// A probe that may take this long finds a hung backend too late for any client.
const LONG_PROBE: Duration = Duration::from_secs(30);
/// Intervals a probe may last before it no longer fits them.
const INTERVALS_PER_TIMEOUT: u32 = 10;
/// What a standby that promotes itself often takes.
const PROMOTION: Duration = Duration::from_secs(20);
/// What is replaced in the arguments of a program.
const REPLACED: [&str; 6] = ["url", "host", "port", "service", "backend", "timeout_ms"];

pub(super) fn health(service: &Service, lints: &mut Vec<Lint>) {
    let health = &service.health;
    let (interval, timeout) = (show_duration(health.interval), show_duration(health.timeout));
    let inherited = health.probes.iter().any(|probe| probe.timeout.is_none());
    if inherited && too_long(health.timeout, health.interval) {
        lints.push(Lint {
            keys: &["health.timeout", "health.interval"],
            message: format!("a timeout of {timeout} is long for a probe every {interval}"),
            advice: LONG_ADVICE,
        });
    }
    if health.confirm_interval > health.interval {
        let confirm = show_duration(health.confirm_interval);
        lints.push(Lint {
            keys: &["health.confirm_interval", "health.interval"],
            message: format!("confirming every {confirm} is slower than probing every {interval}"),
            advice: "confirm several times in one interval, for example every 100ms",
        });
    }
    if service.policy.fall == 1 {
        lints.push(Lint {
            keys: &["health.fall"],
            message: "a single failed probe takes a backend down".to_owned(),
            advice: "one lost packet would move the service: use 2 or more",
        });
    }
}

const LONG_ADVICE: &str =
    "a hung backend is found only after the timeout: about as long as the interval is usual";

fn too_long(timeout: Duration, interval: Duration) -> bool {
    timeout > LONG_PROBE || timeout > interval * INTERVALS_PER_TIMEOUT
}

/// Requests wait while a standby makes itself the active.
pub(super) fn roles(service: &Service, lints: &mut Vec<Lint>) {
    let Some(role @ Role::Active) = service.policy.required_role else { return };
    if service.hold.timeout >= PROMOTION {
        return;
    }
    lints.push(Lint {
        keys: &["hold.timeout", "health.required_role", "health"],
        message: format!(
            "requests wait {} for a backend in role {}, and standbys that promote themselves often take {}",
            show_duration(service.hold.timeout),
            quoted(role_name(role)),
            show_duration(PROMOTION)
        ),
        advice: "raise `hold.timeout`: requests would get 503 before the standby is active",
    });
}

/// Every warning about one of the probes: its index, and what is said about it. The keys are below
/// the probe.
pub(crate) fn probes(health: &Health) -> Vec<(usize, Lint)> {
    let mut lints = Vec::new();
    for (index, probe) in health.probes.iter().enumerate() {
        let mut add = |lint| lints.push((index, lint));
        let interval = probe.interval.unwrap_or(health.interval);
        if let Some(own) = probe.timeout.filter(|own| too_long(*own, interval)) {
            let (own, interval) = (show_duration(own), show_duration(interval));
            add(Lint {
                keys: &["timeout"],
                message: format!("a timeout of {own} is long for a probe every {interval}"),
                advice: LONG_ADVICE,
            });
        }
        match &probe.kind {
            ProbeKind::Http(http) => drains(&http.drain.status).into_iter().for_each(&mut add),
            ProbeKind::Exec(exec) => {
                let timeout = probe.timeout.unwrap_or(health.timeout);
                let at_a_time = u32::try_from(exec.at_a_time).unwrap_or(u32::MAX);
                if timeout > interval.saturating_mul(at_a_time) {
                    add(Lint {
                        keys: &["exec.at_a_time", "exec"],
                        message: format!(
                            "a program that takes {} cannot be run every {}: at most {at_a_time} at a time",
                            show_duration(timeout),
                            show_duration(interval)
                        ),
                        advice: "rounds would wait for one another: lower its `timeout`, or give it a longer `interval`",
                    });
                }
                unreplaced(&exec.command).into_iter().for_each(&mut add);
            }
            ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Agent(_) => {}
        }
    }
    lints
}

/// Answers of a server that is well ask for nothing.
fn drains(status: &StatusSet) -> Option<Lint> {
    let usual: Vec<_> = status.0.iter().filter(|range| *range.start() < 400).cloned().collect();
    (!usual.is_empty()).then(|| Lint {
        keys: &["http.drain.status"],
        message: format!(
            "every answer with {} drains the backend",
            quoted(&show_statuses(&StatusSet(usual)))
        ),
        advice: "a server that is well answers so: 404 or 503 is usual",
    })
}

/// A word in braces that nothing is put in place of.
fn unreplaced(command: &[std::sync::Arc<str>]) -> Option<Lint> {
    let words = command.iter().flat_map(|argument| argument.split('{').skip(1));
    let words = words.filter_map(|rest| rest.split_once('}').map(|(word, _)| word));
    let plain =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let unknown = words.filter(plain).find(|word| !REPLACED.contains(word))?;
    Some(Lint {
        keys: &["exec.command"],
        message: format!("nothing is put in place of {}", quoted(&format!("{{{unknown}}}"))),
        advice: "what is replaced: `{url}`, `{host}`, `{port}`, `{service}`, `{backend}`, `{timeout_ms}`",
    })
}

/// Whether the probe speaks TLS to an `https` backend.
pub(super) fn speaks_tls(probe: &Probe) -> bool {
    match &probe.kind {
        ProbeKind::Http(_) | ProbeKind::Grpc(_) => true,
        ProbeKind::Tcp(tcp) => !tcp.send.is_empty() || tcp.expect.is_some(),
        ProbeKind::Exec(_) | ProbeKind::Agent(_) => false,
    }
}

/// A witness that says nothing about the network.
pub(crate) fn witness<'a>(
    witness: &Witness,
    services: impl IntoIterator<Item = &'a Service>,
) -> Option<Lint> {
    let address = witness.host.parse::<std::net::IpAddr>();
    if *witness.host == *"localhost" || address.is_ok_and(|address| address.is_loopback()) {
        return Some(Lint {
            keys: &["witnesses"],
            message: format!(
                "{} is this machine: it answers even when we are cut off",
                quoted(&witness.to_string())
            ),
            advice: "name what is on the way to the backends: a gateway, a name server",
        });
    }
    let backends = services.into_iter().flat_map(|service| &service.backends);
    let same = backends.into_iter().find(|backend| match &backend.url.address {
        BackendAddress::Tcp { host, .. } => *host == witness.host,
        BackendAddress::Unix(_) => false,
    })?;
    Some(Lint {
        keys: &["witnesses"],
        message: format!(
            "{} is on the machine of a backend ({}): when that fails, it looks as if we were cut off",
            quoted(&witness.to_string()),
            same.name
        ),
        advice: "name what does not fail with a backend: a gateway, a name server",
    })
}
