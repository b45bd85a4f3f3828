//! The life of a request, top to bottom: admit, route, choose, send, hold and replay, relay.
//!
//! One active: a request is sent only to the backend that is active at the moment of sending, and
//! nothing here chooses another. Nothing lost: what was never sent, or may be repeated, waits for
//! the next active. Never twice: what may have been carried out and is not safe to repeat is not
//! sent again; its client is told so.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::header::UPGRADE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use metrics::cells::Blame;

use crate::answer::Failure;
use crate::backend::Backend;
use crate::body::{ResponseBody, Source};
use crate::client::Client;
use crate::connect::{ConnectError, connect};
use crate::exchange::{Broken, Connection};
use crate::flight::{Flight, Phase, Signal};
use crate::h1::{self, Framing};
use crate::head::Head;
use crate::hold::{Hold, Refused};
use crate::service::Service;
use crate::spec::{ServiceSpec, Symptom};
use crate::tunnel;
use crate::worker::Worker;

/// Answers one request of `client`.
pub(crate) async fn forward(
    worker: Rc<Worker>,
    client: Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let begun = Instant::now();
    client.begin();
    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (parts, incoming) = request.into_parts();

    let admitted = Head::admit(parts).and_then(|head| {
        let service = worker.route(head.host(), head.path()).ok_or(Failure::NotFound)?;
        Ok((head, service))
    });
    let (head, service) = match admitted {
        Ok(admitted) => admitted,
        Err(failure) => {
            client.listener.cells.unrouted.inc();
            client.idle();
            return Ok(failure.response());
        }
    };

    let flight = worker.flights.begin(Rc::clone(&service), Rc::clone(&client), begun);
    let spec = service.spec();
    let source = (!incoming.is_end_stream()).then(|| Source::new(incoming, spec.replay.buffer));
    let mut unanswered = Unanswered { service: Rc::clone(&service), is_answered: false };
    let job = Job { head, source, service, spec, client, flight, begun };

    let response = match job.deliver().await {
        Ok(delivered) => job.relay(delivered, upgrade),
        Err(failure) => Err(failure),
    };
    unanswered.is_answered = true;
    let cells = &unanswered.service.cells;
    let response = response.unwrap_or_else(|failure| {
        cells.fail(failure.blame());
        failure.response()
    });
    let class = usize::from(response.status().as_u16() / 100).clamp(1, 5) - 1;
    cells.requests[class].inc();
    cells.latency.observe(begun.elapsed());
    Ok(response)
}

/// A request whose client has not been answered. It is dropped that way when the client leaves.
struct Unanswered {
    service: Rc<Service>,
    is_answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered {
            self.service.cells.fail(Blame::Downstream);
        }
    }
}

/// One request and all that belongs to it.
struct Job {
    head: Head,
    /// The request body; `None` when there is none.
    source: Option<Rc<Source>>,
    service: Rc<Service>,
    spec: Rc<ServiceSpec>,
    client: Rc<Client>,
    flight: Flight,
    begun: Instant,
}

/// A backend has answered; the body is still to come.
struct Delivered {
    response: h1::Head,
    connection: Box<Connection>,
    backend: Rc<Backend>,
}

/// Why an attempt brought no response head.
enum Lost {
    /// Nothing was sent and nothing is wrong: the connection had been closed while idle, or the
    /// traffic has just moved.
    Again,
    /// The backend cannot have seen the request.
    Unsent,
    /// The backend's answer cannot be understood in one way only.
    Malformed,
    /// The connection broke after the request, or part of it, was sent.
    Broken,
    /// The backend was left while it was silent.
    Abandoned,
    /// The backend was silent for too long.
    Expired,
    /// The client did not send what it announced.
    ClientStalled,
    /// The client's body broke off, or is not what it was announced to be.
    BodyBroken,
}

impl Job {
    /// Sends the request to whoever is active until somebody answers, within the limits on holding
    /// and repeating.
    async fn deliver(&self) -> Result<Delivered, Failure> {
        let mut hold = Hold::default();
        let mut repeats = 0;
        let mut since = self.begun;
        loop {
            let moment = self.service.moment();
            let Some(backend) = self.service.active() else {
                self.wait(hold.wait(&self.service, &self.flight, None, self.kept_bytes())).await?;
                since = Instant::now();
                continue;
            };
            let connection = match backend.take_idle() {
                Some(connection) => Some(connection),
                None => {
                    let opened = self.connect(&backend, since).await?;
                    since = Instant::now();
                    opened
                }
            };
            let lost = match connection {
                Some(mut connection) => {
                    match self.attempt(&mut connection, &backend, since, repeats).await {
                        Ok(response) => return Ok(Delivered { response, connection, backend }),
                        Err(lost) => lost,
                    }
                }
                None => Lost::Unsent,
            };
            match lost {
                Lost::Again => continue,
                Lost::Unsent => {}
                Lost::Broken | Lost::Abandoned => {
                    repeats += 1;
                    if repeats > self.spec.replay.attempts || !self.may_repeat() {
                        return Err(Failure::BadGateway);
                    }
                }
                Lost::Malformed => return Err(Failure::BadGateway),
                Lost::Expired => return Err(Failure::GatewayTimeout),
                Lost::ClientStalled => return Err(Failure::RequestTimeout),
                Lost::BodyBroken => {
                    return Err(Failure::BadRequest("the body is malformed or broke off"));
                }
            }
            let failed = Some((&backend, moment));
            self.wait(hold.wait(&self.service, &self.flight, failed, self.kept_bytes())).await?;
            since = Instant::now();
        }
    }

    /// A new connection to `backend`; `None` when it takes none. That is a reason for suspicion, and
    /// no more.
    async fn connect(
        &self,
        backend: &Rc<Backend>,
        since: Instant,
    ) -> Result<Option<Box<Connection>>, Failure> {
        self.flight.enter(Phase::Connecting, Some(backend), since);
        // Boxed: a rare path should not make every request's future larger.
        let mut opening = pin!(Box::pin(connect(backend, self.spec.timeouts.connect)));
        let opened = poll_fn(|context| match opening.as_mut().poll(context) {
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
            Poll::Pending if self.flight.signal() == Signal::Abandon => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        match opened {
            None => Ok(None),
            Some(Ok(stream)) => {
                backend.cells.connects.inc();
                Ok(Some(Connection::new(stream)))
            }
            Some(Err(ConnectError::Exhausted(_))) => Err(Failure::Exhausted),
            Some(Err(error)) => {
                backend.cells.connect_failures.inc();
                if let Some(symptom) = error.symptom() {
                    self.service.suspect(backend, symptom);
                }
                Ok(None)
            }
        }
    }

    /// Sends the request on `connection`, if `backend` is still active, and awaits the response head.
    async fn attempt(
        &self,
        connection: &mut Box<Connection>,
        backend: &Rc<Backend>,
        since: Instant,
        repeats: u32,
    ) -> Result<h1::Head, Lost> {
        self.flight.enter(Phase::Awaiting, Some(backend), since);
        let framing = self.source.as_ref().map_or(Framing::None, |source| source.framing());
        let authority = || authority(&backend.spec().url);
        connection.begin(
            |out| self.head.write(out, framing, &self.client.identity, authority),
            self.source.clone(),
            framing,
        );
        let outcome = poll_fn(|context| {
            // Until the first byte has left, the traffic may move elsewhere: opening a connection
            // takes time, and so may a full socket.
            if connection.has_sent_nothing() && !self.service.is_active(backend) {
                return Poll::Ready(Err(Lost::Again));
            }
            let head = connection.poll_head(context, self.head.method(), |interim| {
                self.client.send_interim(interim, &self.head);
            });
            if let Some(source) = &self.source {
                source.report(&self.flight);
            }
            match head {
                Poll::Pending if self.is_body_broken() => Poll::Ready(Err(Lost::BodyBroken)),
                Poll::Ready(outcome) => {
                    Poll::Ready(outcome.map_err(|broken| self.lost(&broken, backend)))
                }
                Poll::Pending => self.heed_signal(),
            }
        })
        .await;
        match &outcome {
            Err(Lost::Again) => return outcome,
            Err(Lost::Unsent) => {}
            _ => {
                backend.cells.attempts.inc();
                if connection.is_used() {
                    backend.cells.reuses.inc();
                }
                if repeats > 0 {
                    self.service.cells.replayed.inc();
                }
            }
        }
        if matches!(outcome, Err(Lost::Unsent | Lost::Broken)) {
            // The other idle connections are likely to go the same way, one attempt each.
            backend.purge();
            self.service.suspect(backend, Symptom::Reset);
        }
        outcome
    }

    /// What a broken exchange means for the request.
    fn lost(&self, broken: &Broken, backend: &Backend) -> Lost {
        tracing::debug!(backend = %backend.spec().name, %broken, "exchange broke");
        if self.is_body_broken() {
            return Lost::BodyBroken;
        }
        match broken {
            Broken::Stale => Lost::Again,
            Broken::Unsent => Lost::Unsent,
            Broken::Io(_) => Lost::Broken,
            Broken::Malformed(_) => Lost::Malformed,
        }
    }

    /// What the sweep or an order of control has to say to a request that awaits its response head.
    fn heed_signal(&self) -> Poll<Result<h1::Head, Lost>> {
        match self.flight.signal() {
            Signal::None => Poll::Pending,
            Signal::Expired if self.flight.awaits_client() => Poll::Ready(Err(Lost::ClientStalled)),
            Signal::Expired => Poll::Ready(Err(Lost::Expired)),
            Signal::Abandon if self.may_repeat() => Poll::Ready(Err(Lost::Abandoned)),
            Signal::Abandon => {
                // It may be carried out over there even now. All that is left is to wait a little.
                self.flight.proceed(Phase::Settling);
                Poll::Pending
            }
        }
    }

    /// Hands a backend's answer to the client.
    fn relay(
        self,
        delivered: Delivered,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let Delivered { response, connection, backend } = delivered;
        if let Some(source) = &self.source {
            source.forget();
        }
        let h1::Head { status, reason, headers, .. } = response;
        let body = if status == StatusCode::SWITCHING_PROTOCOLS {
            // Only what was asked for: a 101 out of the blue would turn the rest into a tunnel.
            let Some((upgrade, _)) = upgrade.zip(self.head.upgrade.as_ref()) else {
                return Err(Failure::BadGateway);
            };
            self.flight.proceed(Phase::Tunnel);
            let counted = self.client.keep_counted();
            tunnel::start(upgrade, connection, self.service, counted, self.flight);
            ResponseBody::Done
        } else {
            self.flight.proceed(Phase::Relaying);
            ResponseBody::relay(connection, backend, self.service, self.flight)
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }

    async fn wait(
        &self,
        waiting: impl Future<Output = Result<(), Refused>>,
    ) -> Result<(), Failure> {
        Box::pin(waiting).await.map_err(|refused| match refused {
            Refused::Full => {
                self.service.cells.hold_overflows.inc();
                Failure::HoldFull
            }
            Refused::Expired => {
                self.service.cells.hold_timeouts.inc();
                Failure::NobodyActive
            }
            Refused::ClientGone => Failure::ClientGone,
        })
    }

    /// Whether the request can be sent again without doing anything twice, and is still complete.
    fn may_repeat(&self) -> bool {
        self.head.repeatable && self.source.as_ref().is_none_or(|source| source.is_whole())
    }

    /// Whether the client's body ended before its end.
    fn is_body_broken(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is_broken())
    }

    fn kept_bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.kept_bytes())
    }
}

/// What to call a backend when the client named no host.
fn authority(url: &config::model::BackendUrl) -> HeaderValue {
    let host = &url.host;
    let text = if host.contains(':') {
        format!("[{host}]:{}", url.port)
    } else {
        format!("{host}:{}", url.port)
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("backend"))
}
