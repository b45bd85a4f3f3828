//! Suspicions: what live traffic asks control to have probed. No traffic ever moves by them, and no
//! other request waits for them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Service;
use crate::signs::is_due;
use crate::spec::{Notice, Suspicion, Symptom};
use crate::upstream::backend::Backend;
use crate::upstream::h1::Malformed;

/// No wait below this is suspicious, however fast the backend is otherwise.
const SHORTEST_STALL: Duration = Duration::from_millis(250);

/// What is usual for a backend never counts for more. A client that has one of a hundred requests take
/// half a minute would else switch stalls off for everybody; for one whose answers do take longer a
/// suspicion costs a few probes, once a second at most, and moves no traffic.
const LONGEST_USUAL: Duration = Duration::from_secs(5);

/// From one complaint to the next.
const COMPLAIN_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Service {
    /// Asks control for probes of `backend`, once a second at most. Whether it was told now.
    pub(crate) fn suspect(&self, backend: &Backend, symptom: Symptom) -> bool {
        backend.cells.suspicions[symptom as usize].inc();
        backend.signs.symptom.set(Some(symptom));
        let is_due = backend.signs.is_due(symptom, Instant::now());
        if is_due {
            self.tell(backend, symptom);
        }
        is_due
    }

    /// A request still waits for the verdict on `backend`. Its suspicion may have been lost on the
    /// way, when control had too much to do, or have come too soon after another; so it is repeated
    /// once a second.
    pub(crate) fn suspect_again(&self, backend: &Backend, now: Instant) {
        if let Some(symptom) = backend.signs.symptom.get()
            && backend.signs.is_due(symptom, now)
        {
            self.tell(backend, symptom);
        }
    }

    /// Whether a request that has `waited` for its response head hangs, by what is usual for `backend`.
    pub(crate) fn is_stalled(&self, backend: &Backend, waited: Duration, now: Instant) -> bool {
        let margin = self.spec.borrow().stall_after;
        // Most wait for less, whatever is usual.
        waited > SHORTEST_STALL.max(margin)
            && waited > stalls_after(backend.latency.p99(now), margin)
    }

    /// The sweep has seen all requests: those that hang make `backend` suspicious.
    pub(super) fn suspect_stalls(&self, backend: &Backend, now: Instant) {
        let is_settled = !backend.signs.suspected.get();
        if backend.signs.stalls.is_due(now, is_settled) {
            backend.cells.suspicions[Symptom::Stalled as usize].inc();
            self.tell(backend, Symptom::Stalled);
        }
    }

    /// `backend` has answered a request that was begun under `epoch` with an error: too many are
    /// suspicious.
    #[cold]
    pub(super) fn count_error(&self, backend: &Rc<Backend>, epoch: u64, status: StatusCode) {
        let spec = self.spec.borrow();
        let Some(rule) = &spec.errors else { return };
        if !rule.status.contains(status.as_u16()) || !self.may_send(backend, epoch) {
            return;
        }
        let (now, signs) = (Instant::now(), &backend.signs);
        let most = self.share.of(rule.count as usize);
        if signs.errors.count(now, rule.within, most) && signs.is_due(Symptom::Errors, now) {
            signs.errors.forget();
            backend.cells.suspicions[Symptom::Errors as usize].inc();
            self.tell(backend, Symptom::Errors);
        }
    }

    /// Takes the field called `name` out of an answer of `backend` to a request that was begun under
    /// `epoch`: the active asks by it for a drain. `now` may be the time of the last sweep.
    pub(crate) fn heed_drain(
        &self,
        backend: &Rc<Backend>,
        epoch: u64,
        headers: &mut HeaderMap,
        name: &HeaderName,
        now: Instant,
    ) {
        // One look-up in an answer without it.
        if !headers.contains_key(name) {
            return;
        }
        let asks = headers.get_all(name).iter().any(asks_for_drain);
        headers.remove(name);
        if asks && self.may_send(backend, epoch) && backend.signs.is_due(Symptom::Drain, now) {
            backend.cells.suspicions[Symptom::Drain as usize].inc();
            self.tell(backend, Symptom::Drain);
        }
    }

    /// Tells the operator, once a second at most, that what `backend` answers cannot be passed on.
    pub(crate) fn complain(&self, backend: &Backend, malformed: &Malformed) {
        if is_due(&backend.complained_at, Instant::now(), COMPLAIN_AGAIN_AFTER) {
            let (service, backend) = (&self.spec.borrow().name, &backend.spec().name);
            tracing::warn!(%service, %backend, %malformed, "cannot pass on what a backend answers");
        }
    }

    fn tell(&self, backend: &Backend, symptom: Symptom) {
        let suspicion = Suspicion { service: self.id, backend: backend.id, symptom };
        let notice = Notice::Suspicion(suspicion);
        backend.signs.suspected.set(self.notices.try_send(notice).is_ok());
    }
}

/// How long a request may wait for its response head where `usual` is enough for nearly all.
fn stalls_after(usual: Duration, margin: Duration) -> Duration {
    SHORTEST_STALL.max(usual.min(LONGEST_USUAL).saturating_add(margin))
}

/// Whether a field's value asks for a drain: it is there and does not say no.
fn asks_for_drain(value: &HeaderValue) -> bool {
    let value = value.as_bytes().trim_ascii();
    let says_no: [&[u8]; 4] = [b"0", b"false", b"no", b"off"];
    !says_no.iter().any(|no| value.eq_ignore_ascii_case(no))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_request_stalls_beyond_what_is_usual_and_never_too_soon() {
        assert_eq!(stalls_after(ms(20), ms(500)), ms(520));
        assert_eq!(stalls_after(ms(2000), ms(500)), ms(2500));
        assert_eq!(stalls_after(ms(0), ms(10)), SHORTEST_STALL);
        assert_eq!(stalls_after(Duration::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_client_cannot_make_slow_answers_usual_for_everybody() {
        let (latency, now) = (Latency::new(), Instant::now());
        for request in 0..1000 {
            let took = if request % 50 == 0 { ms(30_000) } else { ms(10) };
            latency.count(took);
        }
        assert!(latency.p99(now) > ms(29_000), "two of a hundred make up the 99th percentile");
        assert!(stalls_after(latency.p99(now), ms(500)) <= ms(5500));
    }
}
