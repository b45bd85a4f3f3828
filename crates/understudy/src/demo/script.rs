//! The play without a person: steady, kill the primary, revive it, wait for the failback, end.
//! Prints each thing as it happens.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use control::{Event, Kind};
use routing::failover::{Health, Reason};

use super::backend::Condition;
use super::journal::Tone;
use super::stage::{NAMES, Stage};
use super::summary::{Record, Switch};
use super::tally::Gap;
use super::text::{clock, count, short};

/// Less would not leave a recovered primary enough time to be trusted again.
pub(super) const SHORTEST: Duration = Duration::from_secs(10);
/// How long a failback that is late is waited for at the end: the machine may be slow.
const OVERTIME: Duration = Duration::from_secs(5);
/// How long the last answers may take.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(20);

/// When what is done, counted from the start of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// When the primary is killed.
    pub(super) kill: Duration,
    /// When it is revived.
    pub(super) revive: Duration,
    /// When the play ends.
    pub(super) end: Duration,
    /// How long the primary must have been well before it gets the traffic back.
    pub(super) hold_down: Duration,
}

impl Plan {
    /// A play of this length.
    ///
    /// # Errors
    /// When it is too short to show a failover and a failback.
    pub(super) fn new(length: Duration) -> anyhow::Result<Self> {
        if length < SHORTEST {
            anyhow::bail!(
                "--for {}: a failover and a failback need {} at least",
                super::text::long(length),
                super::text::long(SHORTEST)
            );
        }
        Ok(Self {
            kill: length / 4,
            revive: length / 2,
            end: length,
            hold_down: (length * 3 / 20).min(Duration::from_secs(3)),
        })
    }
}

/// Plays the plan to its end, or until `interrupted` becomes true, and returns what came of it.
///
/// # Errors
/// When nothing can be printed any more.
pub(super) fn play(
    mut stage: Stage,
    plan: &Plan,
    interrupted: &AtomicBool,
    out: &mut impl Write,
) -> io::Result<Record> {
    let mut record = Record::default();
    let mut printer = Printer::new(plan.end / 8);
    let started = Instant::now();
    while !interrupted.load(Relaxed) {
        let now = started.elapsed();
        for (at, event) in stage.catch_up() {
            note(&mut record, at, &event);
        }
        if record.killed.is_none() && now >= plan.kill {
            record.killed = Some(stage.journal().started().elapsed());
            stage.load().begin_stretch();
            stage.order(0, Condition::Dead);
        }
        if record.revived.is_none() && now >= plan.revive {
            record.failover_gap = gap(&stage);
            record.revived = Some(stage.journal().started().elapsed());
            stage.load().begin_stretch();
            stage.order(0, Condition::Well);
        }
        printer.print(&stage, out)?;
        let done = record.failback.is_some() || now >= plan.end + OVERTIME;
        if now >= plan.end && done {
            break;
        }
        std::thread::sleep(STEP);
    }
    record.interrupted = interrupted.load(Relaxed);
    record.failback_gap = record.revived.and_then(|_| gap(&stage));
    record.counts = stage.close(LAST_ANSWERS);
    Ok(record)
}

/// The longest time without a success, as from and to since the start.
fn gap(stage: &Stage) -> Option<(Duration, Duration)> {
    let Gap { from, length } = stage.load().figures().longest_gap?;
    let from = from.saturating_duration_since(stage.journal().started());
    Some((from, from + length))
}

/// Notes the first of each thing that the summary tells.
fn note(record: &mut Record, at: Duration, event: &Event) {
    match &event.kind {
        Kind::HealthChanged { backend, health, .. } if **backend == *NAMES[0] => match health {
            Health::Down if record.killed.is_some() => {
                record.down.get_or_insert(at);
            }
            Health::Up if record.revived.is_some() => {
                record.up.get_or_insert(at);
            }
            Health::Up | Health::Down | Health::Unknown => {}
        },
        Kind::ActiveChanged { from, to, reason, epoch, took, .. } => {
            let from_to = (from.as_deref(), to.as_deref());
            let switch = Switch { at, epoch: *epoch, took: *took };
            let [primary, standby] = NAMES.map(Some);
            if record.killed.is_some()
                && *reason == Reason::Failover
                && from_to == (primary, standby)
            {
                record.failover.get_or_insert(switch);
            } else if record.revived.is_some()
                && *reason == Reason::Failback
                && from_to == (standby, primary)
            {
                record.failback.get_or_insert(switch);
            } else if *reason != Reason::Startup {
                record.surprises.push(event.to_string());
            }
        }
        Kind::HealthChanged { .. }
        | Kind::CalledOff { .. }
        | Kind::Verified { .. }
        | Kind::DrillBegan { .. }
        | Kind::DrillEnded { .. }
        | Kind::Ordered { .. }
        | Kind::State { .. }
        | Kind::StreamsSettled { .. }
        | Kind::ClaimChanged { .. }
        | Kind::DualActive { .. }
        | Kind::DualActiveCleared { .. }
        | Kind::StandbyReady { .. }
        | Kind::StandbyNotReady { .. }
        | Kind::NoVerdict { .. }
        | Kind::VerdictsAgain { .. }
        | Kind::GateEnded { .. }
        | Kind::GateInDoubt { .. }
        | Kind::Barred { .. }
        | Kind::JobEnded { .. }
        | Kind::Stale { .. }
        | Kind::Fresh { .. }
        | Kind::NotToldOf { .. }
        | Kind::CutOff { .. }
        | Kind::Reconnected { .. }
        | Kind::AdminChanged { .. }
        | Kind::Locked { .. }
        | Kind::Unlocked
        | Kind::Reloaded { .. }
        | Kind::FilesLoaded { .. }
        | Kind::FileRefused { .. }
        | Kind::ReloadFailed { .. } => {}
    }
}

/// Prints the journal as it grows, and now and then how things stand.
struct Printer {
    next_entry: u64,
    every: Duration,
    next_figures: Duration,
}

impl Printer {
    fn new(every: Duration) -> Self {
        Self { next_entry: 0, every, next_figures: every }
    }

    fn print(&mut self, stage: &Stage, out: &mut impl Write) -> io::Result<()> {
        for entry in stage.journal().since(self.next_entry) {
            self.next_entry = entry.number + 1;
            let sign = match entry.tone {
                Tone::Plain => ' ',
                Tone::Good => '+',
                Tone::Bad => '-',
                Tone::Moved => '>',
                Tone::Done => '*',
            };
            writeln!(out, "{}  {sign} {}", clock(entry.at), entry.text)?;
        }
        let now = stage.journal().started().elapsed();
        if now >= self.next_figures {
            self.next_figures = now + self.every;
            let figures = stage.load().figures();
            let p99 = figures.p99.map_or("-".into(), short);
            writeln!(
                out,
                "{}    {} active, {:.0} requests/s, p99 {p99}, {} so far, {} failed",
                clock(now),
                stage.active().map_or("nobody", |active| NAMES[active]),
                figures.rate,
                count(figures.answered),
                count(figures.failed),
            )?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_leaves_time_for_the_failback() {
        for seconds in [10, 20, 60, 3600] {
            let plan = Plan::new(Duration::from_secs(seconds)).expect("long enough");
            assert!(plan.kill < plan.revive && plan.revive < plan.end, "{plan:?}");
            // Two passes a second bring it up at the latest, then the hold-down runs.
            let back = plan.revive + Duration::from_secs(2) + plan.hold_down;
            assert!(back <= plan.end, "{plan:?}");
        }
    }

    #[test]
    fn a_play_too_short_is_refused_with_the_least_length() {
        let error = Plan::new(Duration::from_millis(9_999)).expect_err("too short");
        assert_eq!(error.to_string(), "--for 9 s: a failover and a failback need 10 s at least");
    }

    #[test]
    fn only_the_switches_asked_for_are_noted_and_others_are_surprises() {
        let moved = |number, from: Option<&str>, to: Option<&str>, reason| Event {
            number,
            at: std::time::SystemTime::now(),
            service: None,
            kind: Kind::ActiveChanged {
                from: from.map(Into::into),
                to: to.map(Into::into),
                reason,
                epoch: number,
                evidence: "".into(),
                took: None,
                streams: 0,
                incident: None,
            },
        };
        let second = Duration::from_secs(1);
        let mut record = Record::default();
        note(&mut record, second, &moved(1, None, Some("a"), Reason::Startup));
        assert_eq!(record, Record::default(), "the start is no switch");

        let early = moved(2, Some("a"), Some("b"), Reason::Failover);
        note(&mut record, second, &early);
        assert_eq!((record.failover, record.surprises.len()), (None, 1), "nobody was killed yet");

        record.killed = Some(second);
        note(&mut record, second * 2, &early);
        assert_eq!(record.failover.map(|switch| switch.at), Some(second * 2));
        record.revived = Some(second * 3);
        note(&mut record, second * 4, &moved(3, Some("b"), Some("a"), Reason::Failback));
        assert_eq!(record.failback.map(|switch| switch.epoch), Some(3));
    }
}
