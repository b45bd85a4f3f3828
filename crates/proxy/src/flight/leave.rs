//! What becomes of requests at a backend that the traffic leaves.

use std::rc::Rc;
use std::time::Instant;

use config::model::StreamPolicy;

use super::{Entry, Flights, Phase, Signal, Turn};
use crate::downstream::client::Protocol;
use crate::recorder::Recording;
use crate::service::Service;
use crate::upstream::backend::Backend;

impl Flights {
    /// Tells requests of `service` that are at a backend other than `active` that it has been left.
    /// Those still connecting always turn away; those that wait for a response head do so when
    /// their backend was given up on. Without an active, they are held. What is under way ends as
    /// `policy` says, one after the other. Returns how many responses and tunnels were under way.
    pub(crate) fn abandon_others(
        &self,
        service: &Rc<Service>,
        active: Option<&Rc<Backend>>,
        policy: StreamPolicy,
    ) -> usize {
        let mut under_way = Vec::new();
        let mut streams = 0;
        for (key, entry) in self.entries.borrow().iter() {
            if !Rc::ptr_eq(&entry.service, service) {
                continue;
            }
            let backend = entry.backend.borrow();
            let is_left = |at: &&Rc<Backend>| active.is_none_or(|active| !Rc::ptr_eq(at, active));
            let Some(backend) = backend.as_ref().filter(is_left) else {
                // The traffic may be back where it left: then there is nothing to end.
                entry.stays();
                entry.is_tagged.set(false);
                continue;
            };
            // Only a hold concerns those that are at a standby on purpose.
            if entry.is_tagged.get() && !service.is_holding() {
                continue;
            }
            match entry.phase.get() {
                Phase::Connecting => entry.leave_signal(Signal::Abandon),
                Phase::Awaiting if backend.abandoned.get() => entry.leave_signal(Signal::Abandon),
                Phase::Awaiting => {
                    // Has it sent anything? If not, it turns away.
                    entry.wake();
                    if !entry.is_ending.get() {
                        streams += usize::from(entry.uploading.get());
                        under_way.push(key);
                    }
                }
                // What an earlier move has left behind ends as it said.
                Phase::Relaying | Phase::Tunnel if entry.is_ending.get() => {}
                Phase::Relaying | Phase::Tunnel => {
                    streams += 1;
                    under_way.push(key);
                }
                Phase::Held | Phase::Settling => {}
            }
        }
        self.close_later(&under_way, policy);
        streams
    }

    /// Spreads the ends of requests as `policy` says.
    fn close_later(&self, keys: &[usize], policy: StreamPolicy) {
        let StreamPolicy::Close { deadline, window } = policy else { return };
        let entries = self.entries.borrow();
        let from = Instant::now() + deadline;
        let count = keys.len() as f64;
        for (place, key) in keys.iter().enumerate() {
            let entry = &entries[*key];
            entry.close_at.set(Some(from + window.mul_f64(place as f64 / count)));
            entry.is_ending.set(true);
        }
    }

    /// Whether a request of `service` is at any of its backends.
    pub(crate) fn is_any_at_backend(&self, service: &Rc<Service>) -> bool {
        self.entries.borrow().iter().any(|(_, entry)| entry.is_at_backend_of(service))
    }

    /// Ends what is under way at backends of `service` and would not end by itself: tunnels, and
    /// responses that may be silent for long.
    pub(crate) fn end_endless(&self, service: &Rc<Service>) {
        for (_, entry) in self.entries.borrow().iter() {
            if !entry.is_at_backend_of(service) {
                continue;
            }
            match entry.phase.get() {
                Phase::Relaying if entry.is_stream.get() => entry.close(),
                Phase::Tunnel => entry.close(),
                Phase::Relaying
                | Phase::Held
                | Phase::Connecting
                | Phase::Awaiting
                | Phase::Settling => {}
            }
        }
    }

    /// Takes every request of `service` from its backend, whatever becomes of it: how many.
    pub(crate) fn cut(&self, service: &Rc<Service>) -> usize {
        let entries = self.entries.borrow();
        let at_backend = entries.iter().filter(|(_, entry)| entry.is_at_backend_of(service));
        let cut = at_backend.inspect(|(_, entry)| match entry.phase.get() {
            Phase::Connecting => entry.leave_signal(Signal::Abandon),
            Phase::Awaiting | Phase::Relaying => entry.close(),
            Phase::Settling => entry.leave_signal(Signal::Close),
            Phase::Tunnel => {
                // No goodbye any more.
                entry.is_cut.set(true);
                entry.wake();
            }
            Phase::Held => {}
        });
        cut.count()
    }

    /// Cuts what has been cut and is not gone: of HTTP/1.1 with its client's connection. It may have moved
    /// on just then, and not be looked at again because its client takes nothing.
    pub(crate) fn cut_hard(&self, service: &Rc<Service>) {
        for (_, entry) in self.entries.borrow().iter() {
            if !entry.is_at_backend_of(service) {
                continue;
            }
            match entry.client.protocol() {
                Protocol::Http1 => {
                    entry.note(Recording::cut);
                    entry.client.cut();
                }
                Protocol::Http2 => entry.leave_signal(Signal::Close),
            }
        }
    }
}

impl Entry {
    fn is_at_backend_of(&self, service: &Rc<Service>) -> bool {
        self.phase.get() != Phase::Held
            && self.backend.borrow().is_some()
            && Rc::ptr_eq(&self.service, service)
    }

    /// Nothing makes it leave its backend.
    pub(super) fn stays(&self) {
        self.close_at.set(None);
        self.is_ending.set(false);
    }

    /// The traffic has left its backend long enough.
    pub(super) fn close(&self) {
        match (self.phase.get(), self.turn.get()) {
            (Phase::Awaiting, _) => {
                if self.uploading.get() {
                    self.service.cells.streams_closed.inc();
                }
                self.leave_signal(Signal::Close);
            }
            (Phase::Relaying, Turn::Downstream) if self.client.protocol() == Protocol::Http1 => {
                self.service.cells.streams_closed.inc();
                self.note(Recording::cut);
                self.client.cut();
            }
            (Phase::Relaying | Phase::Tunnel, _) => self.leave_signal(Signal::Close),
            (Phase::Held | Phase::Connecting | Phase::Settling, _) => {}
        }
    }
}
