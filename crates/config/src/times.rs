//! How long detection and recovery take at worst, computed from a policy.

use std::time::Duration;

use routing::failover::Policy;

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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "listeners: [ ':1' ]\nservices: { web: { backends: [ http://10.0.0.1, http://10.0.0.2 ] } }";

    #[test]
    fn with_default_settings() {
        let config = crate::load("test", TEXT, std::path::Path::new("")).unwrap().config;
        let service = &config.services[0];
        let expected = Times {
            dead: Duration::from_millis(200),
            dead_without_traffic: Duration::from_millis(1200),
            hung: Duration::from_millis(1450),
            hung_without_traffic: Duration::from_millis(3200),
            up_again: Duration::from_millis(1100),
        };
        assert_eq!(Times::new(&service.health, &service.policy), expected);
    }

    #[test]
    fn one_failed_probe_needs_no_confirming() {
        let text = TEXT.replace("backends", "health: { fall: 1, rise: 1 }, backends");
        let config = crate::load("test", &text, std::path::Path::new("")).unwrap().config;
        let service = &config.services[0];
        let times = Times::new(&service.health, &service.policy);
        assert_eq!(times.dead, Duration::ZERO);
        assert_eq!(times.hung_without_traffic, Duration::from_secs(2));
        assert_eq!(times.up_again, Duration::from_secs(1));
    }
}
