//! Judges what two schedulers wrote down. Knows nothing of the balancer but what it must never do.

use std::collections::{BTreeMap, BTreeSet};

use standins::journal::Note;

use super::plan::Plan;

/// How long two may both have jobs enabled after one came back so by itself.
const BOUND_NS: u64 = 10_000_000_000;
/// From one tick to the next; the default of the stand-in.
const TICK_NS: u64 = 20_000_000;

/// That a scheduler was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) name: String,
    pub(crate) at_ns: u64,
}

/// What a schedule left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Of both, in any order.
    pub(crate) notes: Vec<Note>,
    pub(crate) deaths: Vec<Death>,
    /// How often the balancer was killed.
    pub(crate) kills: usize,
    /// How often an operator said that a gate be run again.
    pub(crate) agains: usize,
}

/// A time in which a scheduler's jobs were enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    begun_ns: u64,
    ended_ns: u64,
    /// Whether we enabled them; else it came to life so.
    by_us: bool,
}

impl Record {
    /// The first thing that must not be.
    pub(crate) fn judge(mut self, plan: &Plan) -> Result<(), String> {
        self.notes.sort_by_key(|note| note.at_ns);
        let names: BTreeSet<_> = self.notes.iter().map(|note| note.by.clone()).collect();
        let names: Vec<_> = names.into_iter().collect();
        let [a, b] = names.as_slice() else { return Err(format!("not two: {names:?}")) };
        let (of_a, of_b) = (self.enabled(a), self.enabled(b));
        self.none_enabled_beside_another(a, &of_b)?;
        self.none_enabled_beside_another(b, &of_a)?;
        let tolerated = overlaps(&of_a, &of_b)?;
        self.no_tick_twice(a, b, &tolerated)?;
        self.no_gate_twice(plan)?;
        self.epochs_have_one_backend()
    }

    fn of<'a>(&'a self, name: &'a str, what: &'a str) -> impl Iterator<Item = &'a Note> {
        self.notes.iter().filter(move |note| note.by == name && note.what == what)
    }

    fn enabled(&self, name: &str) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut open: Option<Span> = None;
        let mut end = |open: &mut Option<Span>, at_ns: u64| {
            if let Some(span) = open.take() {
                spans.push(Span { ended_ns: at_ns.max(span.begun_ns), ..span });
            }
        };
        for note in self.notes.iter().filter(|note| note.by == name) {
            let begin = |by_us| Span { begun_ns: note.at_ns, ended_ns: u64::MAX, by_us };
            match (note.what.as_str(), note.text("order")) {
                ("started", _) => {
                    let deaths = self.deaths.iter().filter(|death| death.name == name);
                    let died = deaths.map(|death| death.at_ns).filter(|at| *at < note.at_ns).max();
                    end(&mut open, died.unwrap_or(note.at_ns));
                    if note.more["enabled"] == true {
                        open = Some(begin(false));
                    }
                }
                ("carried out", "enable" | "import") if open.is_none() => open = Some(begin(true)),
                ("carried out", "disable") => end(&mut open, note.at_ns),
                _ => {}
            }
        }
        // Who is dead at the end has no jobs enabled.
        let deaths = self.deaths.iter().filter(|death| death.name == name);
        let last = deaths.map(|death| death.at_ns).max();
        let ends = open.as_ref().and_then(|open| last.filter(|at| *at > open.begun_ns));
        end(&mut open, ends.unwrap_or(u64::MAX));
        spans
    }

    /// No order of ours enables the jobs of `name` at an instant at which those of the other are enabled.
    fn none_enabled_beside_another(&self, name: &str, others: &[Span]) -> Result<(), String> {
        for note in self.of(name, "carried out").filter(|note| note.text("order") == "enable") {
            let beside =
                others.iter().find(|span| (span.begun_ns..span.ended_ns).contains(&note.at_ns));
            if let Some(span) = beside {
                return Err(format!("both have jobs enabled: {note:?} beside {span:?}"));
            }
        }
        Ok(())
    }

    fn no_tick_twice(&self, a: &str, b: &str, tolerated: &[(u64, u64)]) -> Result<(), String> {
        let ticks = |name: &str| -> Result<BTreeSet<u64>, String> {
            let mut ticks = BTreeSet::new();
            for note in self.of(name, "executed") {
                if !ticks.insert(note.number("tick").unwrap_or_default()) {
                    return Err(format!("executed twice: {note:?}"));
                }
            }
            Ok(ticks)
        };
        let (of_a, of_b) = (ticks(a)?, ticks(b)?);
        let both = of_a.intersection(&of_b).find(|tick| {
            let at_ns = **tick * TICK_NS;
            let within =
                |(from, to): &(u64, u64)| at_ns + 2 * TICK_NS > *from && at_ns < *to + 2 * TICK_NS;
            !tolerated.iter().any(within)
        });
        both.map_or(Ok(()), |tick| Err(format!("both executed tick {tick}")))
    }

    /// A gate has one key in its epoch; and what may have been done is not asked for again, unless that
    /// does no harm or somebody said so.
    fn no_gate_twice(&self, plan: &Plan) -> Result<(), String> {
        let mut keys: BTreeMap<(u64, &str, &str), &str> = BTreeMap::new();
        let mut receipts: BTreeMap<&str, usize> = BTreeMap::new();
        for note in &self.notes {
            let key = note.text("key");
            if key.is_empty() {
                continue;
            }
            match note.what.as_str() {
                "received" => {
                    let gate =
                        (note.number("epoch").unwrap_or_default(), note.text("gate"), &*note.by);
                    if *keys.entry(gate).or_insert(key) != key {
                        return Err(format!("{gate:?} with another key: {note:?}"));
                    }
                    *receipts.entry(key).or_default() += 1;
                }
                // It says that it has done nothing.
                "failed" | "too old" => *receipts.entry(key).or_default() -= 1,
                _ => {}
            }
        }
        // The first try and the second, in each life of the balancer.
        let most = match plan.idempotent {
            true => 2 * (1 + self.kills + self.agains),
            false => 1 + self.agains,
        };
        match receipts.iter().find(|(_, count)| **count > most) {
            None => Ok(()),
            Some((key, count)) => Err(format!("{key} was received {count} times, not {most}")),
        }
    }

    /// What clients sent: an epoch belongs to one of the two.
    fn epochs_have_one_backend(&self) -> Result<(), String> {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for note in self.notes.iter().filter(|note| note.what == "worked") {
            let epoch = note.text("epoch");
            if *owners.entry(epoch).or_insert(&note.by) != note.by {
                return Err(format!("epoch {epoch} at both: {note:?}"));
            }
        }
        Ok(())
    }
}

/// When both had jobs enabled because one came back so by itself: not for long.
fn overlaps(of_a: &[Span], of_b: &[Span]) -> Result<Vec<(u64, u64)>, String> {
    let mut tolerated = Vec::new();
    for (a, b) in of_a.iter().flat_map(|a| of_b.iter().map(move |b| (a, b))) {
        let (from, to) = (a.begun_ns.max(b.begun_ns), a.ended_ns.min(b.ended_ns));
        if from >= to {
            continue;
        }
        let later = if a.begun_ns > b.begun_ns { a } else { b };
        if later.by_us || to - from > BOUND_NS {
            return Err(format!("both had jobs enabled: {a:?} and {b:?}"));
        }
        tolerated.push((from, to));
    }
    Ok(tolerated)
}

mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MS: u64 = 1_000_000;

    fn note(at_ms: u64, by: &str, what: &str, more: Value) -> Note {
        Note { at_ns: at_ms * MS, by: by.into(), process: 1, what: what.into(), more }
    }

    fn order(at_ms: u64, by: &str, what: &str, order: &str, key: &str) -> Note {
        let more = json!({ "order": order, "key": key, "epoch": 3, "gate": order });
        note(at_ms, by, what, more)
    }

    fn started(at_ms: u64, by: &str, enabled: bool) -> Note {
        note(at_ms, by, "started", json!({ "enabled": enabled }))
    }

    fn tick(at_ms: u64, by: &str) -> Note {
        note(at_ms, by, "executed", json!({ "tick": at_ms / 20 }))
    }

    fn judge(notes: &[Note], deaths: &[(&str, u64)], idempotent: bool) -> Result<(), String> {
        let plan = Plan { idempotent, ..Plan::new(1, true) };
        let death = |(name, at_ms): &(&str, u64)| Death { name: (*name).into(), at_ns: at_ms * MS };
        let deaths = deaths.iter().map(death).collect();
        Record { notes: notes.to_vec(), deaths, ..Record::default() }.judge(&plan)
    }

    /// Both start, `a` enabled; it is fenced and `b` promoted, with these notes more.
    fn handed_over(more: &[Note]) -> Vec<Note> {
        let mut notes = vec![
            started(1, "a", true),
            started(2, "b", false),
            tick(40, "a"),
            order(50, "a", "received", "disable", "k1"),
            order(51, "a", "carried out", "disable", "k1"),
            order(52, "b", "received", "enable", "k2"),
            order(53, "b", "carried out", "enable", "k2"),
            tick(80, "b"),
        ];
        notes.extend_from_slice(more);
        notes
    }

    #[test]
    fn made_up_violations_are_found() {
        assert_eq!(judge(&handed_over(&[]), &[], false), Ok(()));
        let again = order(60, "a", "carried out", "enable", "k3");
        assert!(judge(&handed_over(&[again]), &[], false).is_err(), "enabled beside b");
        assert!(judge(&handed_over(&[tick(80, "a")]), &[], false).is_err(), "a tick at both");
        assert!(judge(&handed_over(&[tick(40, "a")]), &[], false).is_err(), "a tick twice");
        let twice = order(60, "b", "received", "enable", "k2");
        assert!(judge(&handed_over(std::slice::from_ref(&twice)), &[], false).is_err(), "twice");
        assert_eq!(judge(&handed_over(std::slice::from_ref(&twice)), &[], true), Ok(()));
        let often: Vec<_> = (0..2).map(|_| twice.clone()).collect();
        assert!(judge(&handed_over(&often), &[], true).is_err(), "more often than it is tried");
        let refused = [order(61, "b", "failed", "enable", "k2"), twice];
        assert_eq!(judge(&handed_over(&refused), &[], false), Ok(()));
        let other = order(60, "b", "received", "enable", "k9");
        assert!(judge(&handed_over(&[other]), &[], true).is_err(), "another key for the same");
        let worked = |by| note(90, by, "worked", json!({ "epoch": "3" }));
        assert!(judge(&handed_over(&[worked("a"), worked("b")]), &[], true).is_err(), "an epoch");
    }

    #[test]
    fn who_comes_back_by_itself_is_no_ones_fault_but_must_not_stay() {
        let dead = |more: &[Note]| {
            let mut notes = vec![
                started(1, "a", true),
                started(2, "b", false),
                order(53, "b", "carried out", "enable", "k2"),
            ];
            notes.extend_from_slice(more);
            notes
        };
        assert!(judge(&dead(&[]), &[], true).is_err(), "a is at work");
        assert_eq!(judge(&dead(&[]), &[("a", 40)], true), Ok(()));
        assert!(judge(&dead(&[]), &[("a", 54)], true).is_err(), "it died too late");
        let back = [
            started(100, "a", true),
            tick(140, "a"),
            tick(140, "b"),
            order(200, "a", "carried out", "disable", "k3"),
        ];
        assert_eq!(judge(&dead(&back), &[("a", 40)], true), Ok(()));
        assert!(judge(&dead(&back[..3]), &[("a", 40)], true).is_err(), "it stays enabled");
        let late = order(20_000, "a", "carried out", "disable", "k3");
        assert!(judge(&dead(&[back[0].clone(), late]), &[("a", 40)], true).is_err(), "too late");
        let after = [tick(400, "a"), tick(400, "b")];
        assert!(judge(&dead(&[&back[..], &after].concat()), &[("a", 40)], true).is_err());
    }
}
