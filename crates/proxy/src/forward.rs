//! The life of a request, top to bottom: admit, route, choose, send, hold and replay, relay.
//!
//! One active: a request is sent only to the backend that is active at the moment of sending, and
//! nothing here chooses another. Nothing lost: what was never sent, or may be repeated, waits for
//! the next active. Never twice: what may have been carried out and is not safe to repeat is not
//! sent again; its client is told so.

mod attempt;

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use metrics::cells::Blame;

use crate::answer::{Failure, Kind};
use crate::body::{Bounds, ResponseBody, Source};
use crate::downstream::client::Client;
use crate::downstream::incoming::Incoming;
use crate::downstream::reply::{Reply, Upgrade};
use crate::edge::{admit, finish};
use crate::flight::{Flight, Phase};
use crate::head::{Head, goes_on};
use crate::hold::{Hold, Refused};
use crate::lost::{Lost, MOST_STALE, REFUSED_PAUSE};
use crate::service::Service;
use crate::spec::{ServiceSpec, Symptom};
use crate::switch::Switch;
use crate::tunnel;
use crate::upstream::ResponseHead;
use crate::upstream::backend::Backend;
use crate::upstream::exchange::Exchange;
use crate::worker::Worker;

/// Answers one request of `client`: `parts` and `body` as they came, `reply` the way back.
pub(crate) async fn forward(
    worker: Rc<Worker>,
    client: Rc<Client>,
    parts: Parts,
    body: Option<Incoming>,
    mut reply: Reply,
) -> Response<ResponseBody> {
    let begun = Instant::now();
    client.begin();
    let listener = client.listener.spec();
    let trace = worker.trace(&client, &parts.headers);
    let context = trace.as_ref().map(|trace| trace.context);
    let recording = worker.recorder.begin(&client, &parts, begun, context);
    let (mut head, service) = match admit(&worker, &client, &listener, parts) {
        Ok(admitted) => admitted,
        Err(answer) => {
            if let Some(mut recording) = recording {
                recording.answered_at_the_edge(&answer);
                worker.recorder.take(recording);
            }
            client.idle();
            return finish(*answer, &client, &listener);
        }
    };

    head.trace = trace;
    let waker = reply.waker();
    let recording = recording.and_then(|recording| recording.at(&service));
    let (at, by) = (Rc::clone(&service), Rc::clone(&client));
    let flight = worker.flights.begin(at, by, waker, begun, recording);
    let spec = service.spec();
    let deadline = head.deadline(begun, spec.timeouts.request);
    flight.end_by(deadline);
    // Only where calls can come through at all: their word alone should not buy anybody time.
    let is_call = head.is_grpc() && service.speaks_http2();
    if is_call {
        flight.is_stream();
    }
    let bounds = Bounds {
        replay: spec.replay.buffer,
        most: listener.limits.body_bytes,
        progress: if is_call { 0 } else { listener.limits.body_progress },
    };
    let source = body.map(|body| Source::new(body, head.length(), bounds, service.stamp()));
    let mut unanswered = Unanswered { service: Rc::clone(&service), is_answered: false };
    let is_grpc = head.is_grpc();
    let upgrade = reply.take_upgrade();
    let asked_by = Rc::clone(&client);
    let tagged = service.tags.backend_for(&head);
    let is_tagged = tagged.is_some();
    if is_tagged {
        flight.is_tagged();
    }
    flight.note(|recording| recording.begins(source.as_ref(), is_tagged));
    let job = Job { head, tagged, source, service, spec, client, flight, reply, begun };

    let mut answered_at = None;
    let response = match job.deliver().await {
        Ok(delivered) => {
            answered_at = Some(delivered.at);
            job.relay(delivered, upgrade)
        }
        Err(failure) => {
            job.log(failure);
            Err(job.fails(failure))
        }
    };
    unanswered.is_answered = true;
    let cells = &unanswered.service.cells;
    let response = response.unwrap_or_else(|failure| {
        cells.fail(failure.blame());
        failure.response(Kind::new(is_grpc, deadline))
    });
    let class = usize::from(response.status().as_u16() / 100).clamp(1, 5) - 1;
    if is_tagged {
        cells.drill_requests[class].inc();
    } else {
        cells.requests[class].inc();
        // The clock has been read once for both latencies.
        cells.latency.observe(answered_at.unwrap_or_else(Instant::now) - begun);
    }
    finish(response, &asked_by, &listener)
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
    /// The standby that it goes to on purpose.
    tagged: Option<Rc<Backend>>,
    /// The request body; `None` when there is none.
    source: Option<Rc<Source>>,
    service: Rc<Service>,
    spec: Rc<ServiceSpec>,
    client: Rc<Client>,
    flight: Flight,
    reply: Reply,
    begun: Instant,
}

/// A backend has answered; the body is still to come.
struct Delivered {
    response: ResponseHead,
    exchange: Exchange,
    backend: Rc<Backend>,
    /// When.
    at: Instant,
}

impl Job {
    /// Sends the request to whoever is active until somebody answers, within the limits on holding
    /// and repeating.
    async fn deliver(&self) -> Result<Delivered, Failure> {
        let mut hold = Hold::default();
        let (mut repeats, mut stale) = (0, 0);
        let mut since = self.begun;
        loop {
            let moment = self.service.moment();
            let Some(backend) = self.whom()? else {
                self.wait(hold.wait(&self.service, &self.flight, None, self.kept_bytes())).await?;
                since = Instant::now();
                continue;
            };
            let wanted = self.wanted(&backend);
            self.flight.note(|recording| {
                recording.attempt(&backend, &self.service);
                if let Some(trace) = &self.head.trace {
                    trace.attempts(recording.attempt_number());
                }
            });
            let exchange = match backend.take(&wanted) {
                Some(exchange) => Ok(exchange),
                None => {
                    let opened = self.connect(&backend, &wanted, since).await?;
                    since = Instant::now();
                    self.flight.note(|recording| recording.connected(since, opened.is_ok()));
                    opened
                }
            };
            let lost = match exchange {
                Ok(mut exchange) => {
                    match self.attempt(&mut exchange, &backend, since, repeats).await {
                        Ok(response) => {
                            let at = Instant::now();
                            backend.latency.count(self.flight.waited(at));
                            self.flight.note(|recording| recording.answered(response.status, at));
                            return Ok(Delivered { response, exchange, backend, at });
                        }
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            self.flight.note(|recording| recording.lost(&lost));
            match lost {
                // What has been passed on and not kept cannot be passed on again: whoever is next would
                // get a body without its beginning.
                Lost::Joined | Lost::Again | Lost::Refused | Lost::Unsent if self.is_spent() => {
                    return Err(Failure::BadGateway);
                }
                Lost::Joined => continue,
                Lost::Again if stale < MOST_STALE => {
                    stale += 1;
                    if stale == MOST_STALE / 2 {
                        // The others are likely to be no better.
                        backend.purge();
                    }
                    continue;
                }
                Lost::Refused if stale < MOST_STALE => {
                    stale += 1;
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
                Lost::Again | Lost::Refused => {
                    self.service.suspect(&backend, Symptom::Reset);
                }
                Lost::Unsent => {}
                Lost::Broken | Lost::Abandoned => {
                    repeats += 1;
                    if repeats > self.spec.replay.attempts || !self.may_repeat() {
                        return Err(Failure::BadGateway);
                    }
                }
                Lost::Failed(failure) => return Err(failure),
            }
            if self.tagged.is_some() {
                return Err(Failure::NobodyActive);
            }
            let failed = Some((&backend, moment));
            self.wait(hold.wait(&self.service, &self.flight, failed, self.kept_bytes())).await?;
            since = Instant::now();
        }
    }

    /// Who is to be asked now; `None` while there is nobody. A tagged request waits for nobody.
    fn whom(&self) -> Result<Option<Rc<Backend>>, Failure> {
        match &self.tagged {
            None => Ok(self.service.active()),
            Some(tagged) if self.service.may_send_tagged(tagged) => Ok(Some(Rc::clone(tagged))),
            Some(_) => Err(Failure::NobodyActive),
        }
    }

    /// Hands a backend's answer to the client.
    fn relay(
        self,
        delivered: Delivered,
        upgrade: Option<Box<Upgrade>>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let Delivered { response, exchange, backend, at: _ } = delivered;
        if let Some(source) = &self.source {
            source.forget();
            source.watch_end(&self.flight);
        }
        let ResponseHead { status, reason, mut headers } = response;
        let switch = match exchange {
            Exchange::Http1(_) => self.head.switch.as_ref(),
            Exchange::Http2(_) => self.head.switch_over_http2(),
        };
        if let Some(switch) = switch.filter(|_| Switch::is_accepted(&exchange, status)) {
            let upgrade = upgrade.ok_or_else(|| self.fails(Failure::BadGateway))?;
            let status = switch.consent(&exchange, &upgrade, status, &mut headers);
            let status = status.ok_or_else(|| self.fails(Failure::BadGateway))?;
            self.flight.note(|recording| recording.answer(status));
            self.flight.proceed(Phase::Tunnel);
            let is_websocket = switch.is_websocket();
            let mut response = Response::new(ResponseBody::Tunnel);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            tunnel::start(*upgrade, exchange, is_websocket, self.service, self.flight);
            return Ok(response);
        }
        // Only what was asked for: a 101 out of the blue would turn the rest into a tunnel. And to a
        // client that asked by CONNECT, any success means that it has one (RFC 9113 8.5).
        let asked = self.head.switch.as_ref();
        let means_switch = asked.is_some_and(Switch::is_connect) && status.is_success();
        if status == StatusCode::SWITCHING_PROTOCOLS || means_switch {
            return Err(self.fails(Failure::BadGateway));
        }
        if status == StatusCode::UPGRADE_REQUIRED && headers.contains_key(UPGRADE) {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        self.flight.note(|recording| recording.answer(status));
        self.flight.proceed(Phase::Relaying);
        if goes_on(&headers) {
            self.flight.is_stream();
        }
        let is_grpc = self.head.is_grpc();
        let body = ResponseBody::relay(exchange, backend, self.service, self.flight, is_grpc);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }

    /// Notes that its client is answered by us.
    fn fails(&self, failure: Failure) -> Failure {
        let told = failure.told(self.head.kind(None));
        self.flight.note(|recording| recording.failed(failure, told));
        failure
    }

    /// Says who was not served, and why.
    fn log(&self, failure: Failure) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let client = self.head.client(&self.client.known);
        let (service, method, path) = (&self.spec.name, self.head.method(), self.head.path());
        tracing::debug!(%service, %client, %method, path, ?failure, "request failed");
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
            Refused::Overdue => Failure::Overdue,
            Refused::ClientGone => Failure::ClientGone,
        })
    }

    /// Whether part of the body is gone, so that nobody can be given all of it any more.
    fn is_spent(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is_spent())
    }

    fn kept_bytes(&self) -> usize {
        self.source.as_ref().map_or(0, |source| source.kept_bytes())
    }
}
