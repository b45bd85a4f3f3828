//! Values that are allowed and probably not what their author wants.
//!
//! Each says what will happen, not just that a rule is broken. Works on the model, so that a file and
//! an explanation get the same warnings.

use std::time::Duration;

use routing::failover::Failback;

use crate::kinds::{show_duration, show_size};
use crate::model::{Scheme, Service, Trust, UpstreamTls};
use crate::problem::quoted;
use crate::times::Times;

/// One warning.
#[derive(Debug)]
pub(crate) struct Lint {
    /// The keys it is about, the likeliest first, with dots between levels below the service.
    pub(crate) keys: &'static [&'static str],
    pub(crate) message: String,
    pub(crate) advice: &'static str,
}

/// A probe that may take this long finds a hung backend too late for any client.
const LONG_PROBE: Duration = Duration::from_secs(30);
/// Intervals a probe may last before it no longer fits them.
const INTERVALS_PER_TIMEOUT: u32 = 10;

/// Every warning about one service.
pub(crate) fn service(service: &Service) -> Vec<Lint> {
    let mut lints = Vec::new();
    backends(service, &mut lints);
    tls(service, &mut lints);
    health(service, &mut lints);
    failback(service, &mut lints);
    requests(service, &mut lints);
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
    let plain = service.backends.iter().find(|backend| backend.url.scheme == Scheme::Http);
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
    let unset = UpstreamTls::default();
    if service.tls != unset && !https && !service.backends.is_empty() {
        lints.push(Lint {
            keys: &["tls"],
            message: "`tls` has no effect: no backend of this service is https".to_owned(),
            advice: "write `https://` in the URLs, or remove `tls`",
        });
    }
    match service.tls.trust {
        Trust::Insecure => lints.push(Lint {
            keys: &["tls.insecure"],
            message:
                "certificates are not verified: anybody on the way can read and change the traffic"
                    .to_owned(),
            advice: "name the authority that signed them: `ca: file.pem`",
        }),
        Trust::System | Trust::Ca(_) => {}
    }
}

fn health(service: &Service, lints: &mut Vec<Lint>) {
    let health = &service.health;
    let (interval, timeout) = (show_duration(health.interval), show_duration(health.timeout));
    if health.timeout > LONG_PROBE || health.timeout > health.interval * INTERVALS_PER_TIMEOUT {
        lints.push(Lint {
            keys: &["health.timeout", "health.interval"],
            message: format!("a timeout of {timeout} is long for a probe every {interval}"),
            advice: "a hung backend is found only after the timeout: about as long as the interval is usual",
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

fn failback(service: &Service, lints: &mut Vec<Lint>) {
    let (rise, interval) = (service.policy.rise, service.health.interval);
    match service.policy.failback {
        Failback::Auto { hold_down } if hold_down < interval * rise => lints.push(Lint {
            keys: &["failback.auto.hold_down", "health.interval", "health.rise"],
            message: format!(
                "a hold-down of {} is shorter than the {} that `rise` times `interval` take",
                show_duration(hold_down),
                show_duration(interval * rise)
            ),
            advice: "a primary that comes and goes would take the service with it: 30s is usual",
        }),
        Failback::Auto { .. } | Failback::Manual => {}
    }
}

fn requests(service: &Service, lints: &mut Vec<Lint>) {
    let Service { hold, replay, timeouts, health, policy, .. } = service;
    let times = Times::new(health, policy);
    let worst = times.dead.max(times.hung);
    if hold.timeout < worst {
        lints.push(Lint {
            keys: &["hold.timeout", "health.timeout", "health.stall_after", "health.fall"],
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
    if timeouts.response <= health.stall_after {
        lints.push(Lint {
            keys: &["timeouts.response", "health.stall_after"],
            message: format!(
                "requests end after {}, before a stall is suspected after {}",
                show_duration(timeouts.response),
                show_duration(health.stall_after)
            ),
            advice: "lower `health.stall_after`, or raise `timeouts.response`",
        });
    }
}
