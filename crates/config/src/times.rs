//! How long detection and failback take at worst, computed from a policy.

use std::time::Duration;

use routing::failover::{Failback, Policy};

use crate::model::Health;

/// Worst cases of one service. Jitter and network time are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// From the first refused request to the decision to leave a dead active.
    pub(crate) dead: Duration,
    /// The same when no request comes: only the ordinary probes look.
    pub(crate) dead_without_traffic: Duration,
    /// From the moment an active hangs to the decision to leave it, while requests come.
    pub(crate) hung: Duration,
    /// The same when no request comes.
    pub(crate) hung_without_traffic: Duration,
    /// From the moment a backend works again until it is up.
    pub(crate) up_again: Duration,
    /// From then until it gets the service back; `None` when failback is manual.
    pub(crate) hold_down: Option<Duration>,
}

impl Times {
    pub(crate) fn new(health: &Health, policy: &Policy) -> Self {
        let Health { interval, timeout, confirm_interval, stall_after, .. } = *health;
        // The first of `fall` probes goes out at once, the others follow `confirm_interval` apart
        // without waiting for one another.
        let burst = confirm_interval * (policy.fall - 1);
        // Without traffic the first probe must time out before there is anything to confirm.
        let confirmed = if policy.fall > 1 { burst + timeout } else { Duration::ZERO };
        Self {
            dead: burst,
            dead_without_traffic: interval + burst,
            hung: stall_after + burst + timeout,
            hung_without_traffic: interval + timeout + confirmed,
            up_again: interval + confirm_interval * (policy.rise - 1),
            hold_down: match policy.failback {
                Failback::Auto { hold_down } => Some(hold_down),
                Failback::Manual => None,
            },
        }
    }
}
