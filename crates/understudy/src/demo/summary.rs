//! What came of a scripted play, in words, and whether it was as it must be.

use std::fmt::Write as _;
use std::time::Duration;

use super::stage::{Counts, NAMES};
use super::text::{count, short};

/// What happened. Times are since the start of the demo.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// When the primary was killed.
    pub(super) killed: Option<Duration>,
    /// When the probes said that it is down.
    pub(super) down: Option<Duration>,
    /// When the traffic moved to the standby.
    pub(super) failover: Option<Switch>,
    /// The longest time without a success from the kill to the revival: from, to.
    pub(super) failover_gap: Option<(Duration, Duration)>,
    /// When the primary was revived.
    pub(super) revived: Option<Duration>,
    /// When the probes said that it is up.
    pub(super) up: Option<Duration>,
    /// When the traffic moved back.
    pub(super) failback: Option<Switch>,
    /// The longest time without a success from the revival to the end: from, to.
    pub(super) failback_gap: Option<(Duration, Duration)>,
    /// Changes of the active that nobody asked for.
    pub(super) surprises: Vec<String>,
    /// Whether somebody ended it early.
    pub(super) interrupted: bool,
    /// What was counted in all.
    pub(super) counts: Counts,
}

/// A change of the active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switch {
    /// When.
    pub(super) at: Duration,
    /// Its number.
    pub(super) epoch: u64,
    /// From the first sign of trouble to the last worker's acknowledgement.
    pub(super) took: Option<Duration>,
}

impl Record {
    /// What is not as it must be; empty when all is well.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.interrupted {
            problems.push("the play was interrupted".to_owned());
        }
        if self.counts.figures.failed > 0 {
            let last = self.counts.figures.last_failure.as_deref().unwrap_or("no reason known");
            let failed = count(self.counts.figures.failed);
            problems.push(format!("{failed} of the requests failed, the last with: {last}"));
        }
        if self.counts.figures.unanswered > 0 {
            let unanswered = count(self.counts.figures.unanswered);
            problems.push(format!("{unanswered} of the requests were never answered"));
        }
        if self.counts.figures.answered == 0 {
            problems.push("no request was answered".to_owned());
        }
        if self.counts.twice > 0 {
            problems.push(format!("{} of the POSTs were executed twice", count(self.counts.twice)));
        }
        if self.counts.executed < self.counts.figures.posts {
            let lost = self.counts.figures.posts - self.counts.executed;
            problems.push(format!("{} of the POSTs were answered, never executed", count(lost)));
        }
        if self.failover.is_none() {
            problems.push("there was no failover".to_owned());
        }
        if self.failback.is_none() {
            problems.push("there was no failback".to_owned());
        }
        problems.extend(self.surprises.iter().map(|event| format!("nobody asked for: {event}")));
        problems
    }

    /// The summary, as lines that end with a line break.
    pub(super) fn to_text(&self) -> String {
        let figures = &self.counts.figures;
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<12}{value}");
        };
        line("requests", format!("{}, failed {}", count(figures.sent), count(figures.failed)));
        let posts = [figures.posts, self.counts.executed, self.counts.twice].map(count);
        line(
            "POSTs",
            format!("{} answered, {} executed, {} of them twice", posts[0], posts[1], posts[2]),
        );
        line(
            "held",
            format!(
                "{} requests, replayed {}",
                count(self.counts.held),
                count(self.counts.replayed)
            ),
        );
        let [primary, standby] = NAMES;
        line("failover", format!("{primary} -> {standby}  {}", gap_words(self.failover_gap)));
        line("", self.failover_phases());
        line("failback", format!("{standby} -> {primary}  {}", gap_words(self.failback_gap)));
        line("", self.failback_phases());
        text
    }

    fn failover_phases(&self) -> String {
        let sign = self.failover.and_then(|switch| Some(switch.at.saturating_sub(switch.took?)));
        let answers = self.failover_gap.map(|(_, to)| to);
        phases(
            self.killed,
            &[
                ("first sign", sign),
                ("down", self.down),
                ("switched", self.failover.map(|switch| switch.at)),
                ("answering", answers),
            ],
        )
    }

    fn failback_phases(&self) -> String {
        let switched = self.failback.map(|switch| switch.at);
        phases(self.revived, &[("up", self.up), ("switched", switched)])
    }
}

fn gap_words(gap: Option<(Duration, Duration)>) -> String {
    gap.map_or("not measured".into(), |(from, to)| {
        format!("longest gap without a success {}", short(to.saturating_sub(from)))
    })
}

/// When each thing happened after the first.
fn phases(zero: Option<Duration>, phases: &[(&str, Option<Duration>)]) -> String {
    let Some(zero) = zero else { return "did not come to it".to_owned() };
    let words: Vec<String> = phases
        .iter()
        .map(|(name, at)| match at {
            Some(at) => format!("{name} +{}", short(at.saturating_sub(zero))),
            None => format!("{name} never"),
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tally::Figures;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn good() -> Record {
        Record {
            killed: Some(MS * 5000),
            down: Some(MS * 5208),
            failover: Some(Switch { at: MS * 5209, epoch: 2, took: Some(MS * 207) }),
            failover_gap: Some((MS * 4998, MS * 5212)),
            revived: Some(MS * 10_000),
            up: Some(MS * 11_030),
            failback: Some(Switch { at: MS * 14_031, epoch: 3, took: None }),
            failback_gap: Some((MS * 14_028, MS * 14_034)),
            counts: Counts {
                figures: Figures { sent: 4400, answered: 4400, posts: 400, ..Figures::default() },
                executed: 400,
                twice: 0,
                held: 46,
                replayed: 1,
            },
            ..Record::default()
        }
    }

    #[test]
    fn a_good_play_has_no_problems_and_tells_its_figures() {
        assert_eq!(good().problems(), Vec::<String>::new());
        let expected = "  requests    4,400, failed 0
  POSTs       400 answered, 400 executed, 0 of them twice
  held        46 requests, replayed 1
  failover    a -> b  longest gap without a success 214 ms
              first sign +2.0 ms, down +208 ms, switched +209 ms, answering +212 ms
  failback    b -> a  longest gap without a success 6.0 ms
              up +1.03 s, switched +4.03 s
";
        assert_eq!(good().to_text(), expected);
    }

    #[test]
    fn each_thing_that_must_not_be_is_a_problem_of_its_own() {
        let problem = |change: fn(&mut Record)| {
            let mut record = good();
            change(&mut record);
            record.problems()
        };
        let failed = problem(|record| {
            record.counts.figures.failed = 2;
            record.counts.figures.last_failure = Some("POST: 502 Bad Gateway".into());
        });
        assert_eq!(failed, ["2 of the requests failed, the last with: POST: 502 Bad Gateway"]);
        let unanswered = problem(|record| record.counts.figures.unanswered = 3);
        assert_eq!(unanswered, ["3 of the requests were never answered"]);
        let twice = problem(|record| record.counts.twice = 1);
        assert_eq!(twice, ["1 of the POSTs were executed twice"]);
        let lost = problem(|record| record.counts.executed = 399);
        assert_eq!(lost, ["1 of the POSTs were answered, never executed"]);
        assert_eq!(problem(|record| record.failover = None), ["there was no failover"]);
        assert_eq!(problem(|record| record.failback = None), ["there was no failback"]);
        assert_eq!(problem(|record| record.interrupted = true), ["the play was interrupted"]);
        let surprise = problem(|record| record.surprises.push("demo: failover: a -> b".into()));
        assert_eq!(surprise, ["nobody asked for: demo: failover: a -> b"]);
    }

    #[test]
    fn a_play_where_nothing_happened_has_every_problem_and_still_a_summary() {
        let record = Record::default();
        assert_eq!(
            record.problems(),
            ["no request was answered", "there was no failover", "there was no failback"]
        );
        assert!(record.to_text().contains("did not come to it"));
    }
}
