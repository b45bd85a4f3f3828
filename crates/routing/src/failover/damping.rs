//! What repeated failovers do: they lengthen the hold-down, and in the end lock the service.
//!
//! **A flap** is a backend that goes down, and is left, within the damping window after a failback to
//! it. Each one in a row doubles the hold-down. A failback that outlives the window ends the row; so
//! does an unlock. A drill neither begins nor ends anything here.
//!
//! **The lock rule** counts failovers and failbacks to somebody that nobody ordered.

use std::time::{Duration, Instant};

use super::{BackendId, Effect, Failback, Failover, Health, Reason, after};

impl Failover {
    /// The hold-down in force; `None` when the service does not fail back by itself.
    pub(super) fn hold_down(&self) -> Option<Duration> {
        let hold_down = match self.policy.failback {
            Failback::Auto(conditions) => conditions.hold_down,
            Failback::Manual | Failback::Never => return None,
        };
        let factor = 1_u32.checked_shl(self.flaps).unwrap_or(u32::MAX);
        // A cap below the hold-down turns the doubling off; it never shortens anything.
        Some(hold_down.saturating_mul(factor).min(self.policy.damping.cap.max(hold_down)))
    }

    /// `left` is who served before the move.
    pub(super) fn count_flap(
        &mut self,
        left: Option<BackendId>,
        to: Option<BackendId>,
        reason: Reason,
    ) {
        if reason == Reason::Drill || (to.is_some() && to == left) {
            return;
        }
        // Leaving because the operator drains it is no flap.
        let fell = left.and_then(|id| self.backend(id)).is_some_and(|b| b.health == Health::Down);
        let failed_back = self.failed_back.take().is_some_and(|(id, _)| Some(id) == left);
        if failed_back && fell {
            self.flaps = self.flaps.saturating_add(1);
        }
        self.failed_back = to.filter(|_| reason == Reason::Failback).map(|to| (to, self.now));
    }

    /// Counts an automatic move; locks the service when that is one too many.
    pub(super) fn count_switch(&mut self, out: &mut Vec<Effect>) {
        let Some(rule) = self.policy.lock else { return };
        self.recent.push(self.now);
        self.trim_recent();
        if self.recent_switches() >= rule.switches.max(1) as usize {
            self.lock(out);
        }
    }

    /// How many moves count against the lock rule now.
    pub(super) fn recent_switches(&self) -> usize {
        self.recent.len()
    }

    /// Ends the row of flaps once a failback has outlived the damping window, and forgets the moves
    /// that count no longer.
    pub(super) fn settle(&mut self) {
        let (now, window) = (self.now, self.policy.damping.window);
        if self.failed_back.is_some_and(|(_, at)| now >= after(at, window)) {
            self.failed_back = None;
            self.flaps = 0;
        }
        self.trim_recent();
    }

    /// Keeps no more than the lock rule needs.
    fn trim_recent(&mut self) {
        let Some(rule) = self.policy.lock else { return self.recent.clear() };
        let (now, most) = (self.now, rule.switches.max(1) as usize);
        self.recent.retain(|&at| now < after(at, rule.within));
        self.recent.drain(..self.recent.len().saturating_sub(most));
    }

    /// When the hold-down falls back to its base.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        let (_, since) = self.failed_back.filter(|_| self.flaps > 0)?;
        Some(after(since, self.policy.damping.window))
    }
}
