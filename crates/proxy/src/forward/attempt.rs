//! One attempt of a request at one backend: a connection, the request out, the response head in.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use connect::{ConnectError, Origin};

use super::Job;
use crate::answer::Failure;
use crate::flight::{Phase, Signal};
use crate::lost::{Lost, symptom};
use crate::spec::Symptom;
use crate::upstream::ResponseHead;
use crate::upstream::backend::{Backend, Wanted};
use crate::upstream::exchange::{Broken, Exchange};

impl Job {
    /// What connection this request needs.
    pub(super) fn wanted(&self, backend: &Backend) -> Wanted {
        let (is_tls, is_private) = backend.kind_of_way();
        let offer = Wanted::offer(self.spec.protocol, is_tls, self.head.switch.is_some());
        Wanted {
            offer,
            origin: if is_private { self.client.known.origin } else { Origin::Local },
            is_private,
            most_streams: self.spec.connections.streams,
            limit: self.spec.timeouts.connect,
        }
    }

    /// A new connection to `backend`. When it takes none, that is a reason for suspicion, and no
    /// more.
    pub(super) async fn connect(
        &self,
        backend: &Rc<Backend>,
        wanted: &Wanted,
        since: Instant,
    ) -> Result<Result<Exchange, Lost>, Failure> {
        self.flight.enter(Phase::Connecting, Some(backend), since);
        // Boxed: a rare path should not make every request's future larger.
        let mut opening = pin!(Box::pin(backend.open(wanted)));
        let opened = poll_fn(|context| match opening.as_mut().poll(context) {
            Poll::Ready(opened) => Poll::Ready(Ok(opened)),
            Poll::Pending => match self.flight.signal() {
                Signal::Abandon => Poll::Ready(Err(Lost::Unsent)),
                Signal::Expired => Poll::Ready(Err(Lost::Failed(Failure::GatewayTimeout))),
                Signal::None | Signal::Close => Poll::Pending,
            },
        })
        .await;
        match opened {
            Err(lost) => Ok(Err(lost)),
            Ok(Ok(Some(exchange))) => {
                backend.cells.connects.inc();
                Ok(Ok(exchange))
            }
            Ok(Ok(None)) => Ok(Err(Lost::Joined)),
            Ok(Err(ConnectError::Exhausted(_))) => Err(Failure::Exhausted),
            Ok(Err(error)) => {
                backend.cells.connect_failures.inc();
                if let Some(symptom) = symptom(&error) {
                    self.service.suspect(backend, symptom);
                }
                Ok(Err(Lost::Unsent))
            }
        }
    }

    /// Sends the request, if `backend` is still active, and awaits the response head.
    pub(super) async fn attempt(
        &self,
        exchange: &mut Exchange,
        backend: &Rc<Backend>,
        since: Instant,
        repeats: u32,
    ) -> Result<ResponseHead, Lost> {
        self.flight.enter(Phase::Awaiting, Some(backend), since);
        if !exchange.may_switch(&self.head) {
            return Err(Lost::Failed(Failure::NotImplemented));
        }
        let (client, source) = (&self.client.known, self.source.as_ref());
        let (epoch, stamp) = (self.service.epoch(), self.service.stamp());
        let stamp = stamp.as_deref();
        if !backend.with_url(|url| exchange.begin(&self.head, client, url, source, stamp)) {
            return Err(Lost::Failed(Failure::NotImplemented));
        }
        let mut outcome = poll_fn(|context| {
            // Until the first byte has left, the traffic may move elsewhere, or the epoch change: opening
            // a connection takes time, and so may a full socket.
            if exchange.has_sent_nothing() && !self.may_send(backend, epoch) {
                exchange.turn_away();
                return Poll::Ready(Err(Lost::Again));
            }
            let head = exchange.poll_head(context, &self.head, |interim| {
                self.reply.send_interim(interim, &self.client, &self.head);
            });
            if let Some(source) = &self.source {
                source.report(&self.flight);
            }
            match head {
                Poll::Pending => match self.body_lost() {
                    Some(lost) => Poll::Ready(Err(lost)),
                    None => self.heed_signal(),
                },
                Poll::Ready(outcome) => {
                    Poll::Ready(outcome.map_err(|broken| self.lost(&broken, backend)))
                }
            }
        })
        .await;
        match &outcome {
            Err(Lost::Again) => return outcome,
            Err(Lost::Unsent | Lost::Refused) => {}
            _ => {
                backend.cells.attempts.inc();
                if exchange.is_used() {
                    backend.cells.reuses.inc();
                }
                if repeats > 0 {
                    self.service.cells.replayed.inc();
                }
            }
        }
        if let Ok(response) = &mut outcome {
            self.service.answered(backend, epoch, response.status);
            if let Some(name) = &self.spec.drain_header {
                let now = self.flight.now();
                self.service.heed_drain(backend, epoch, &mut response.headers, name, now);
            }
        }
        if matches!(outcome, Err(Lost::Unsent | Lost::Broken)) {
            backend.distrust();
            self.service.suspect(backend, Symptom::Reset);
        }
        outcome
    }

    /// Whether what was begun for `backend` under `epoch` may be sent.
    fn may_send(&self, backend: &Rc<Backend>, epoch: u64) -> bool {
        match &self.tagged {
            None => self.service.may_send(backend, epoch),
            Some(_) => self.service.may_send_tagged(backend) && self.service.epoch() == epoch,
        }
    }

    /// What a broken exchange means for the request.
    fn lost(&self, broken: &Broken, backend: &Backend) -> Lost {
        tracing::debug!(backend = %backend.spec().name, %broken, "exchange broke");
        if let Some(lost) = self.body_lost() {
            return lost;
        }
        match broken {
            Broken::Stale => Lost::Again,
            Broken::Unsent => Lost::Unsent,
            Broken::Refused => Lost::Refused,
            Broken::Io(_) | Broken::Reset(_) => Lost::Broken,
            Broken::Malformed(malformed) => {
                self.service.complain(backend, malformed);
                Lost::Failed(Failure::BadAnswer)
            }
        }
    }

    /// What the sweep or an order of control has to say to a request that awaits its response head.
    fn heed_signal(&self) -> Poll<Result<ResponseHead, Lost>> {
        match self.flight.signal() {
            Signal::None => Poll::Pending,
            // The time it had at a backend that has been left is over.
            Signal::Close if self.may_repeat() => Poll::Ready(Err(Lost::Abandoned)),
            Signal::Close => Poll::Ready(Err(Lost::Failed(Failure::GatewayTimeout))),
            Signal::Expired if self.flight.awaits_client() => {
                Poll::Ready(Err(Lost::Failed(Failure::RequestTimeout)))
            }
            Signal::Expired => Poll::Ready(Err(Lost::Failed(Failure::GatewayTimeout))),
            Signal::Abandon if self.may_repeat() => Poll::Ready(Err(Lost::Abandoned)),
            Signal::Abandon => {
                // It may be carried out over there even now. All that is left is to wait a little.
                self.flight.proceed(Phase::Settling);
                Poll::Pending
            }
        }
    }

    /// Whether the request can be sent again without doing anything twice, and is still complete. What
    /// is to be answered by one standby alone is not.
    pub(super) fn may_repeat(&self) -> bool {
        self.tagged.is_none()
            && self.head.repeatable
            && self.source.as_ref().is_none_or(|source| source.is_whole())
    }

    /// What is wrong with the client's body, if anything.
    fn body_lost(&self) -> Option<Lost> {
        let source = self.source.as_ref()?;
        if source.is_too_large() {
            return Some(Lost::Failed(Failure::ContentTooLarge));
        }
        let broken = Failure::BadRequest("the body is malformed or broke off");
        source.is_broken().then_some(Lost::Failed(broken))
    }
}
