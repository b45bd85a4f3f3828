//! What an operator asks for. A move is only noted here; the rules begin it.

use std::mem;
use std::time::Duration;

use super::resume::Resuming;
use super::{BackendId, Command, Effect, Failover, Reason, Refusal};

/// A move that an operator ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) to: BackendId,
    pub(super) reason: Reason,
    /// How long it is watched afterwards.
    pub(super) verify: Duration,
}

impl Failover {
    /// Whether a move is ordered that has not been made, nor come to nothing.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Does what the operator asks; a move is only noted.
    pub(super) fn obey(&mut self, command: Command, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        match command {
            Command::Switchover { to, verify } => {
                self.may_be_ordered(to)?;
                self.give_order(Order { to, reason: Reason::Switchover, verify }, out)?;
            }
            Command::Failback { verify } => {
                let to = self.failback_by_order()?;
                self.give_order(Order { to, reason: Reason::Failback, verify }, out)?;
            }
            Command::Pin => {
                if self.switching.under_way.is_some() || self.order.is_some() {
                    return Err(Refusal::Switching);
                }
                self.eligible(self.active.ok_or(Refusal::NothingActive)?)?;
                self.pinned = true;
            }
            Command::Unpin => {
                self.pinned = false;
                self.resuming = self.resuming.map(Resuming::unpinned);
            }
            Command::Lock => {
                self.verifying = None;
                self.lock(out);
            }
            Command::Unlock => self.unlock(out),
            Command::SetAdmin(id, admin) => {
                let backend = self.backends.iter_mut().find(|b| b.id == id);
                let backend = backend.ok_or(Refusal::UnknownBackend)?;
                if backend.set_admin(self.now, admin, &self.policy) {
                    out.push(Effect::AdminChanged { backend: id, admin });
                }
            }
            Command::Drill { length } => self.begin_drill(length, out)?,
            Command::EndDrill if self.drill.is_none() => return Err(Refusal::NoDrill),
            Command::EndDrill => self.end_drill(true, out),
            Command::SettleGate(settlement) => self.settle_gate(settlement, out)?,
        }
        Ok(())
    }

    /// Takes the place of an earlier order and of a drill, and lifts the bar. One to stay ends whatever
    /// would move the service.
    fn give_order(&mut self, order: Order, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.gate_in_doubt() && Some(order.to) != self.active {
            return Err(Refusal::InDoubt);
        }
        self.backends.iter_mut().filter(|b| b.id == order.to).for_each(|b| b.barred = false);
        self.end_drill(true, out);
        self.drilled = None;
        self.order = Some(order).filter(|order| Some(order.to) != self.active);
        if self.order.is_none() {
            self.verifying = None;
            self.pinned = order.reason == Reason::Switchover;
        }
        Ok(())
    }

    /// Whether an order may move the service there. It overrules a failed gate, but not its age.
    pub(super) fn may_be_ordered(&self, to: BackendId) -> Result<(), Refusal> {
        self.eligible(to)?;
        if self.is_too_old(to) { Err(Refusal::NotEligible) } else { Ok(()) }
    }

    pub(super) fn lock(&mut self, out: &mut Vec<Effect>) {
        if !mem::replace(&mut self.locked, true) {
            out.push(Effect::Locked);
        }
    }

    fn unlock(&mut self, out: &mut Vec<Effect>) {
        self.backends.iter_mut().for_each(|b| b.barred = false);
        if mem::take(&mut self.locked) {
            self.flaps = 0;
            self.recent.clear();
            out.push(Effect::Unlocked);
        }
        self.accept_two_actives(out);
    }
}
