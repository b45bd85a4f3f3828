//! How long detection and recovery take at worst, computed from a policy.

use std::time::Duration;

use routing::failover::Policy;

use crate::model::{Gate, GateAction, Health, Level, Probe, ProbeKind, Tries};

/// A request that waits for less than this never looks stalled.
const LEAST_STALL: Duration = Duration::from_millis(250);
/// Pauses between tries grow no further.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many rounds of one backend may run at a time: what the prober keeps to.
const ROUNDS_AT_A_TIME: std::ops::RangeInclusive<usize> = 3..=16;

/// Worst cases of one service. Jitter and network time are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// From the first refused request to the decision to leave a dead active.
    pub(crate) dead: Duration,
    /// The same when no request comes: only the ordinary probes look.
    pub(crate) dead_without_traffic: Duration,
    /// From the moment an active hangs to the decision to leave it, while requests come; the time it
    /// takes for nearly all of its answers comes on top.
    pub(crate) hung: Duration,
    /// The same when no request comes, from the moment it hangs.
    pub(crate) hung_without_traffic: Duration,
    /// From the moment that all packets to and from an active are dropped, when no request comes.
    pub(crate) blackholed_without_traffic: Duration,
    /// The same for an active that only the probes of level alive need to miss.
    pub(crate) alive_without_traffic: Option<Duration>,
    /// From the moment that something goes wrong which only a probe with an interval of its own sees.
    pub(crate) seldom: Option<Duration>,
    /// How long a request waits until it looks stalled, beyond the time it takes for nearly all.
    pub(crate) stall: Duration,
    /// From the moment a backend works again until it is up.
    pub(crate) up_again: Duration,
}

impl Times {
    pub(crate) fn new(health: &Health, policy: &Policy) -> Self {
        let Health { interval, confirm_interval, stall_after, .. } = *health;
        let always = |probe: &&Probe| probe.interval.is_none();
        let shows = |probe: &Probe| !matches!(probe.kind, ProbeKind::Agent(_));
        let longest = |probes: &mut dyn Iterator<Item = &Probe>| {
            probes.map(|probe| probe.timeout.unwrap_or(health.timeout)).max()
        };
        // When no probe is asked in every round, the pass of each may still stand.
        let unasked = if health.probes.iter().filter(always).any(shows) {
            Duration::ZERO
        } else {
            health.probes.iter().filter_map(|probe| probe.interval).min().unwrap_or_default()
        };
        let timeout = longest(&mut health.probes.iter().filter(always))
            .or_else(|| longest(&mut health.probes.iter()))
            .unwrap_or(health.timeout);
        let burst = confirm_interval * (policy.fall - 1);
        let confirmed = |timeout| {
            // Without traffic the first round must time out before there is anything to confirm.
            let failed = failed(health, policy.fall, timeout);
            interval + timeout + if policy.fall > 1 { failed } else { Duration::ZERO }
        };
        let alive = |probe: &&Probe| probe.level == Level::Alive && probe.interval.is_none();
        let seldom = |probe: &Probe| {
            Some(probe.interval? + confirmed(probe.timeout.unwrap_or(health.timeout).max(timeout)))
        };
        let stall = stall_after.max(LEAST_STALL);
        let without_traffic = unasked + confirmed(timeout);
        Self {
            dead: unasked + burst,
            dead_without_traffic: unasked + interval + burst,
            hung: unasked + stall + failed(health, policy.fall, timeout),
            hung_without_traffic: without_traffic,
            blackholed_without_traffic: without_traffic,
            alive_without_traffic: longest(&mut health.probes.iter().filter(alive)).map(confirmed),
            seldom: health.probes.iter().filter_map(seldom).max(),
            stall,
            up_again: interval + confirm_interval * (policy.rise - 1),
        }
    }
}

/// How long all of these may take, one after the other, with every try and every pause.
pub(crate) fn gates_take(gates: &[Gate]) -> Duration {
    let one = |gate: &Gate| {
        let Tries { deadline, retries, back_off } = gate.tries;
        let tries = match gate.action {
            GateAction::Role(_) => 0,
            GateAction::Call(_) => retries,
        };
        let pauses =
            (0..tries).map(|n| back_off.saturating_mul(2_u32.saturating_pow(n)).min(LONGEST_PAUSE));
        deadline * (tries + 1) + pauses.sum::<Duration>()
    };
    gates.iter().map(one).sum()
}

/// From the first of so many rounds to the end of the last, when each takes `timeout` to fail.
fn failed(health: &Health, rounds: u32, timeout: Duration) -> Duration {
    let confirm_nanos = health.confirm_interval.as_nanos().max(1);
    let timeouts = health.probes.iter().filter_map(|probe| probe.timeout);
    let longest = timeouts.fold(health.timeout, Duration::max);
    let in_a_timeout = usize::try_from(longest.as_nanos().div_ceil(confirm_nanos));
    let most = in_a_timeout
        .unwrap_or(usize::MAX)
        .clamp(*ROUNDS_AT_A_TIME.start(), *ROUNDS_AT_A_TIME.end());
    let programs = health.probes.iter().filter_map(|probe| match &probe.kind {
        ProbeKind::Exec(exec) => Some(exec.at_a_time),
        ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Agent(_) => None,
    });
    let most = programs.fold(most, usize::min).max(1);
    let mut ends: Vec<Duration> = Vec::new();
    let mut begins = Duration::ZERO;
    for round in 0..rounds as usize {
        // It waits for the one that makes room.
        let room = round.checked_sub(most).and_then(|earlier| ends.get(earlier));
        begins = begins.max(room.copied().unwrap_or_default());
        ends.push(begins + timeout);
        begins += health.confirm_interval;
    }
    ends.last().copied().unwrap_or_default()
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
            dead: ms(200),
            dead_without_traffic: ms(1200),
            hung: ms(1700),
            hung_without_traffic: ms(3200),
            blackholed_without_traffic: ms(3200),
            alive_without_traffic: None,
            seldom: None,
            stall: ms(500),
            up_again: ms(1100),
        };
        assert_eq!(Times::new(&service.health, &service.policy), expected);
    }

    const fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn times(health: &str) -> Times {
        let text = TEXT.replace("backends", &format!("health: {{ {health} }}, backends"));
        let config = crate::load("test", &text, std::path::Path::new("")).unwrap().config;
        Times::new(&config.services[0].health, &config.services[0].policy)
    }

    #[test]
    fn one_failed_probe_needs_no_confirming() {
        let times = times("fall: 1, rise: 1");
        assert_eq!((times.dead, times.up_again), (Duration::ZERO, ms(1000)));
        assert_eq!(times.hung_without_traffic, ms(2000));
    }

    #[test]
    fn nothing_looks_stalled_too_soon() {
        assert_eq!(times("stall_after: 10ms").hung, ms(250 + 200 + 1000));
        assert_eq!(times("stall_after: 300ms").hung, ms(300 + 200 + 1000));
    }

    #[test]
    fn the_slowest_probe_of_every_round_counts() {
        let times = times(
            "probes: [ { name: a, tcp: {}, level: alive, timeout: 300ms }, { name: b, http: {}, timeout: 2s },
              { name: c, http: {}, interval: 10s, timeout: 5s } ]",
        );
        assert_eq!((times.dead, times.dead_without_traffic), (ms(200), ms(1200)));
        assert_eq!(times.hung, ms(500 + 200 + 2000));
        assert_eq!(times.hung_without_traffic, ms(1000 + 2000 + 200 + 2000));
        assert_eq!(times.alive_without_traffic, Some(ms(1000 + 300 + 200 + 300)));
        assert_eq!(times.seldom, Some(ms(10_000 + 1000 + 5000 + 200 + 5000)));
    }

    #[test]
    fn the_longest_timeout_says_how_many_rounds_run_at_a_time() {
        // Of 200 ms alone it were 3: the fourth round would wait for the first.
        let own =
            times("timeout: 200ms, fall: 5, probes: [ { name: a, http: {}, timeout: 900ms } ]");
        assert_eq!(own.hung, ms(500 + 400 + 900));
        let all = times("timeout: 200ms, fall: 5, http: {}");
        assert_eq!(all.hung, ms(500 + 400 + 200));
    }

    #[test]
    fn a_pass_that_stands_delays_everything() {
        let times = times(
            "probes: [ { name: a, http: {}, interval: 20s }, { name: b, tcp: {}, interval: 5s } ]",
        );
        assert_eq!((times.dead, times.dead_without_traffic), (ms(5200), ms(6200)));
    }

    #[test]
    fn programs_wait_for_one_another() {
        // Two at a time: the third begins when the first has timed out.
        assert_eq!(times("exec: { command: [ a ] }").hung, ms(500 + 1000 + 1000));
        assert_eq!(times("exec: { command: [ a ], at_a_time: 1 }").hung, ms(500 + 3000));
        assert_eq!(times("exec: { command: [ a ], at_a_time: 3 }").hung, ms(500 + 200 + 1000));
    }
}
