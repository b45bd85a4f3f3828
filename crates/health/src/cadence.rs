//! Says when the next probe of a backend begins. Pure: reads no clock, starts nothing.
//!
//! | situation | the next probe begins |
//! |---|---|
//! | settled | `interval` (give or take a tenth) after the last one began |
//! | in doubt | `confirm_interval` after the last one began, whether that has ended or not |
//! | suspected | at once, if the last one began at least half a `confirm_interval` before; then as in doubt |
//! | as many running as may | when one of them has ended |
//!
//! **A suspicion ends** when a probe that began after it has ended with a pass or a failure. The
//! failure need not keep the burst going: control learns of it and says that the backend is in
//! doubt, if it is. Being told that nothing is in doubt does *not* end a suspicion, because that may
//! be the answer to a probe from before it, and the suspicion would be lost.
//!
//! **A suspicion is worth as many probes as may run at a time**, then it is over without a result,
//! for example while we have no sockets left. So no burst is endless: whoever wants more probes
//! has to suspect again, and even then two never begin closer than half a `confirm_interval`.

use std::time::{Duration, Instant};

use config::model::ProbeKind;

/// No backend sees more probes of ours at a time, however hopeless it is.
const MOST_AT_A_TIME: u32 = 16;
/// However long the `confirm_interval`, one lost probe does not keep the next from beginning.
const FEWEST_AT_A_TIME: u32 = 3;

/// When the probes of one backend begin.
#[derive(Debug)]
pub(crate) struct Cadence {
    interval: Duration,
    confirm_interval: Duration,
    /// How many probes may run at a time: those that begin within one timeout while in doubt, so
    /// that a backend that does not answer is confirmed dead without a pause.
    limit: usize,
    first: Instant,
    last: Option<Last>,
    in_doubt: bool,
    suspicion: Option<Suspicion>,
}

#[derive(Debug)]
struct Last {
    began: Instant,
    /// From it to the next one while settled.
    pause: Duration,
}

#[derive(Debug)]
struct Suspicion {
    since: Instant,
    /// How many more probes it is worth.
    left: usize,
}

impl Cadence {
    /// The first probe begins at `first`.
    pub(crate) fn new(health: &config::model::Health, first: Instant) -> Self {
        let confirm_nanos = health.confirm_interval.as_nanos().max(1);
        let timeouts = health.probes.iter().filter_map(|probe| probe.timeout);
        let longest = timeouts.fold(health.timeout, Duration::max);
        let in_a_timeout = longest.as_nanos().div_ceil(confirm_nanos);
        let limit = u32::try_from(in_a_timeout).unwrap_or(u32::MAX);
        let limit = limit.clamp(FEWEST_AT_A_TIME, MOST_AT_A_TIME) as usize;
        let programs = health.probes.iter().filter_map(|probe| match &probe.kind {
            ProbeKind::Exec(exec) => Some(exec.at_a_time),
            ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Agent(_) => {
                None
            }
        });
        Self {
            interval: health.interval,
            confirm_interval: health.confirm_interval,
            limit: programs.fold(limit, usize::min).max(1),
            first,
            last: None,
            in_doubt: false,
            suspicion: None,
        }
    }

    /// Whether the next verdicts could change the health.
    pub(crate) fn set_in_doubt(&mut self, in_doubt: bool) {
        self.in_doubt = in_doubt;
    }

    /// Live traffic had trouble at `at`.
    pub(crate) fn suspect(&mut self, at: Instant) {
        self.suspicion = Some(Suspicion { since: at, left: self.limit });
    }

    /// A probe began at `at`. `jitter`, from -1 to 1, moves the next one by up to a tenth of the
    /// interval, so that many probers do not fall into step.
    pub(crate) fn began(&mut self, at: Instant, jitter: f64) {
        let pause = self.interval.mul_f64(1.0 + 0.1 * jitter.clamp(-1.0, 1.0));
        self.last = Some(Last { began: at, pause });
        if let Some(suspicion) = &mut self.suspicion
            && at >= suspicion.since
        {
            suspicion.left -= 1;
            if suspicion.left == 0 {
                self.suspicion = None;
            }
        }
    }

    /// A probe that had begun at `began` ended with a pass or a failure.
    pub(crate) fn concluded(&mut self, began: Instant) {
        if self.suspicion.as_ref().is_some_and(|suspicion| began >= suspicion.since) {
            self.suspicion = None;
        }
    }

    /// When the next probe begins, a moment in the past meaning now; `None`: not before one of the
    /// `running` ones has ended.
    pub(crate) fn next(&self, running: usize) -> Option<Instant> {
        if running >= self.limit {
            return None;
        }
        let suspected = self.suspicion.as_ref().map(|suspicion| suspicion.since);
        let Some(last) = &self.last else {
            return Some(suspected.map_or(self.first, |since| since.min(self.first)));
        };
        let settled = last.began + last.pause;
        let confirming = settled.min(last.began + self.confirm_interval);
        Some(match suspected {
            Some(since) if since >= last.began + self.confirm_interval / 2 => since.min(confirming),
            Some(_) => confirming,
            None if self.in_doubt => confirming,
            None => settled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::model::{ExecProbe, ExitRule, Health, Level, Probe, TcpProbe};

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Interval 1 s, timeout 1 s, confirm 100 ms: at most 10 at a time.
    fn cadence(first: Instant) -> Cadence {
        Cadence::new(&health(ms(1000), ms(100)), first)
    }

    fn health(timeout: Duration, confirm_interval: Duration) -> Health {
        let probe = Probe {
            name: "tcp".into(),
            level: Level::Ready,
            kind: ProbeKind::Tcp(TcpProbe::default()),
            interval: None,
            timeout: None,
        };
        Health {
            probes: vec![probe],
            quorum: None,
            tls: None,
            interval: ms(1000),
            timeout,
            confirm_interval,
            stall_after: ms(500),
            errors: None,
        }
    }

    #[test]
    fn no_more_rounds_at_a_time_than_their_programs_may() {
        let start = Instant::now();
        for (programs, limit) in [(&[2][..], 2), (&[5, 1], 1), (&[100], 10)] {
            let mut health = health(ms(1000), ms(100));
            for at_a_time in programs {
                let exec = ExecProbe {
                    command: vec!["true".into()],
                    environment: Vec::new(),
                    directory: None,
                    output_bytes: 0,
                    exit: ExitRule { pass: vec![0], drain: Vec::new(), inconclusive: Vec::new() },
                    at_a_time: *at_a_time,
                };
                let kind = ProbeKind::Exec(exec);
                health.probes.push(Probe { kind, ..health.probes[0].clone() });
            }
            let cadence = Cadence::new(&health, start);
            assert!(cadence.next(limit - 1).is_some());
            assert_eq!(cadence.next(limit), None, "{programs:?}");
        }
    }

    #[test]
    fn the_longest_timeout_of_a_probe_counts() {
        let start = Instant::now();
        let mut health = health(ms(300), ms(100));
        health.probes[0].timeout = Some(ms(700));
        let cadence = Cadence::new(&health, start);
        assert!(cadence.next(6).is_some());
        assert_eq!(cadence.next(7), None);
    }

    #[test]
    fn settled_probes_come_every_interval_with_jitter() {
        let start = Instant::now();
        let mut cadence = cadence(start + ms(7));
        assert_eq!(cadence.next(0), Some(start + ms(7)));
        for (jitter, pause) in [(0.0, 1000), (1.0, 1100), (-1.0, 900), (5.0, 1100)] {
            cadence.began(start, jitter);
            assert_eq!(cadence.next(0), Some(start + ms(pause)));
            assert_eq!(cadence.next(1), Some(start + ms(pause)), "they wait for nobody");
        }
    }

    #[test]
    fn doubt_shortens_the_pause_and_its_end_lengthens_it() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.began(start, 0.0);
        cadence.set_in_doubt(true);
        assert_eq!(cadence.next(1), Some(start + ms(100)));
        cadence.began(start + ms(100), 0.0);
        assert_eq!(cadence.next(2), Some(start + ms(200)), "though two are running");
        cadence.set_in_doubt(false);
        assert_eq!(cadence.next(2), Some(start + ms(1100)));
    }

    #[test]
    fn a_late_start_is_not_made_up_for() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.set_in_doubt(true);
        cadence.began(start + ms(950), 0.0);
        assert_eq!(cadence.next(0), Some(start + ms(1050)));
    }

    #[test]
    fn the_confirm_interval_never_slows_down() {
        let start = Instant::now();
        let mut cadence = Cadence::new(&health(ms(1000), ms(5000)), start);
        cadence.set_in_doubt(true);
        cadence.began(start, 0.0);
        assert_eq!(cadence.next(0), Some(start + ms(1000)));
    }

    #[test]
    fn as_many_run_as_begin_within_a_timeout() {
        for (timeout, confirm, limit) in
            [(1000, 100, 10), (1000, 300, 4), (100, 1000, 3), (10_000, 10, 16), (1000, 0, 16)]
        {
            let start = Instant::now();
            let mut cadence = Cadence::new(&health(ms(timeout), ms(confirm)), start);
            assert!(cadence.next(limit - 1).is_some());
            assert_eq!(cadence.next(limit), None);
            cadence.suspect(start);
            assert_eq!(cadence.next(limit), None, "not even for a suspicion");
        }
    }

    #[test]
    fn a_suspicion_starts_a_probe_at_once() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.began(start, 0.0);
        cadence.suspect(start + ms(430));
        assert!(cadence.next(0) <= Some(start + ms(430)));
        cadence.began(start + ms(431), 0.0);
        assert_eq!(cadence.next(1), Some(start + ms(531)), "then it goes on confirming");
    }

    #[test]
    fn a_suspicion_before_the_first_probe_does_not_wait_for_it() {
        let start = Instant::now();
        let mut cadence = cadence(start + ms(500));
        cadence.suspect(start + ms(20));
        assert_eq!(cadence.next(0), Some(start + ms(20)));
    }

    #[test]
    fn a_suspicion_right_after_a_probe_began_waits_for_its_turn() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.began(start, 0.0);
        cadence.suspect(start + ms(49));
        assert_eq!(cadence.next(1), Some(start + ms(100)));
        cadence.suspect(start + ms(50));
        assert_eq!(cadence.next(1), Some(start + ms(50)));
    }

    #[test]
    fn a_suspicion_ends_with_a_probe_that_began_after_it() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.began(start, 0.0);
        cadence.suspect(start + ms(60));
        cadence.concluded(start);
        assert_eq!(cadence.next(0), Some(start + ms(60)), "that one began before it");
        cadence.set_in_doubt(false);
        assert_eq!(cadence.next(0), Some(start + ms(60)), "that may answer an older probe");

        cadence.began(start + ms(60), 0.0);
        assert_eq!(cadence.next(1), Some(start + ms(160)));
        cadence.concluded(start + ms(60));
        assert_eq!(cadence.next(0), Some(start + ms(1060)));
    }

    #[test]
    fn a_newer_suspicion_wants_a_newer_probe() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.suspect(start);
        cadence.began(start, 0.0);
        cadence.suspect(start + ms(70));
        cadence.concluded(start);
        assert_eq!(cadence.next(0), Some(start + ms(70)));
    }

    #[test]
    fn no_burst_is_endless() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        cadence.began(start, 0.0);
        let mut now = start + ms(200);
        cadence.suspect(now);
        let mut burst = 0;
        // Every probe is inconclusive: none ends the suspicion.
        while let Some(due) = cadence.next(0)
            && due <= now + ms(100)
        {
            now = now.max(due);
            cadence.began(now, 0.0);
            burst += 1;
            assert!(burst <= 10);
        }
        assert_eq!(burst, 10);
    }

    #[test]
    fn however_often_suspected_probes_keep_their_distance() {
        let start = Instant::now();
        let mut cadence = cadence(start);
        let mut begun: Vec<Instant> = Vec::new();
        for now in (0..1000).map(|millis| start + ms(millis)) {
            cadence.suspect(now);
            if cadence.next(0).is_some_and(|due| due <= now) {
                cadence.began(now, 0.0);
                cadence.concluded(now);
                begun.push(now);
            }
        }
        assert_eq!(begun.len(), 20);
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= ms(50)));
    }
}
