//! The first good answer of a new active: from traffic, or from a probe where there is none.

use std::time::{Duration, Instant};

use health::{Outcome as ProbeOutcome, Report};
use proxy::Answered;
use routing::failover::{BackendId, Input, Reason};

use super::Driver;
use super::moves::{LOOKED_AFTER, Move};
use crate::incident::{Outcome, Step};

/// From the first good answer to the last count of what the move cost.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long traffic has to show itself before a passed probe speaks for a backend that is watched.
const TRAFFIC_FIRST: Duration = Duration::from_millis(200);

/// What a new active has said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Requests have been answered, and with errors only.
    has_erred: bool,
    /// When the first probe since the move passed.
    passed: Option<Instant>,
}

impl Driver {
    /// Traffic has got its first answer since a move, or its first error.
    pub(super) async fn answered_traffic(&mut self, answered: Answered) {
        if answered.is_good {
            return self.answered(answered.epoch, answered.at).await;
        }
        let latest = self.latest.as_mut();
        if let Some(latest) = latest.filter(|l| l.incident.epoch == Some(answered.epoch)) {
            latest.heard.has_erred = true;
        }
    }

    /// The new active has given a good answer.
    async fn answered(&mut self, epoch: u64, at: Instant) {
        self.step(Input::Answered { epoch }).await;
        let Some(Move { incident, look_at, .. }) = &mut self.latest else { return };
        if incident.epoch != Some(epoch) || !incident.mark(Step::FirstAnswer, at) {
            return;
        }
        *look_at = Instant::now() + AFTERMATH;
        if incident.outcome == Outcome::Moved {
            incident.outcome = Outcome::Verified;
        }
        let recovery = incident.took(Step::FirstSign, Step::FirstAnswer);
        if let Some(recovery) = recovery.filter(|_| incident.reason == Reason::Failover) {
            self.board.metrics().failover(&self.name, "answer", recovery);
        }
        self.store_record();
    }

    /// A passed probe of the new active may count as its first good answer when it began after the
    /// move.
    pub(super) async fn answered_by_probe(&mut self, backend: BackendId, report: &Report) {
        let status = self.failover.status();
        let is_new = status.active == Some(backend) && report.started >= self.since;
        if is_new
            && report.outcome == ProbeOutcome::Pass
            && let Some(latest) = &mut self.latest
            && latest.incident.epoch == Some(status.epoch)
        {
            latest.heard.passed.get_or_insert(report.started + report.took);
            self.count_probe().await;
        }
    }

    /// Counts a probe as the first good answer once it speaks for the new active.
    pub(super) async fn count_probe(&mut self) {
        if self.probe_counts_at().is_none_or(|at| Instant::now() < at) {
            return;
        }
        let epoch = self.failover.status().epoch;
        if let Some(passed) = self.latest.as_ref().and_then(|latest| latest.heard.passed) {
            self.answered(epoch, passed).await;
        }
    }

    /// When a probe that has passed counts; `None` while none has, and when it never will. An order is
    /// there to be taken back: what clients get says more of the backend than its health page, so
    /// traffic is heard first. Requests may take long, so it is not waited for to the end.
    pub(super) fn probe_counts_at(&self) -> Option<Instant> {
        let Move { incident, heard, .. } = self.latest.as_ref()?;
        let passed = heard.passed.filter(|_| incident.when(Step::FirstAnswer).is_none())?;
        let status = self.failover.status();
        let Some(verifying) = status.verifying else { return Some(passed) };
        if heard.has_erred {
            return None;
        }
        let half = verifying.until.saturating_duration_since(self.since) / 2;
        let half = half.min(LOOKED_AFTER / 2);
        let active = status.active.map(|active| self.name(active));
        let at = self.board.metrics().at_backends(&self.name);
        let is_asked = at.iter().any(|(name, count)| Some(name) == active.as_ref() && *count > 0);
        Some(self.since + if is_asked { half } else { half.min(TRAFFIC_FIRST) })
    }
}
