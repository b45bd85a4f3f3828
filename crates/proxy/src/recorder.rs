//! What a request meets, written down as it goes, for the access log and for traces.
//!
//! A recording lives in its request's entry of the in-flight table, and ends with it: however a request
//! ends, nothing has to remember to say so. Without a log and without traces there is none.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use access::{End, Outcome, Pen, Record, Step, TraceContext, Tracer, What};
use connect::Origin;
use http::header::{HOST, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use metrics::cells::Blame;
use smallvec::SmallVec;

use crate::answer::Failure;
use crate::body::{Cut, ResponseBody, Source};
use crate::downstream::client::Client;
use crate::lost::Lost;
use crate::service::Service;
use crate::spec::Snapshot;
use crate::upstream::backend::Backend;

/// Most bytes kept of a field or target. Longer ones are likely to be nobody's loss.
const MOST_TEXT: usize = 2048;

/// Makes a worker's recordings and hands over those that are finished.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pen: RefCell<Option<Pen>>,
    tracer: RefCell<Option<Tracer>>,
    is_on: Cell<bool>,
    /// What has not ended is cut off by us.
    is_stopping: Cell<bool>,
}

/// The record of a request under way.
#[derive(Debug)]
pub(crate) struct Recording {
    record: Record,
    begun: Instant,
    /// The last step goes on.
    is_open: bool,
    /// How it ended, once that is known; else its client left.
    end: Option<End>,
    source: Option<Rc<Source>>,
    /// The epoch at which it began to wait.
    held_at: u64,
    /// It is for the access log, if there is one.
    is_logged: bool,
}

// === impl Recorder ===

impl Recorder {
    /// Takes over who wants records. What is under way goes on as it began.
    pub(crate) fn configure(&self, snapshot: &Snapshot) {
        self.is_on.set(snapshot.tracer.is_some() || snapshot.log.is_some());
        let mut pen = self.pen.borrow_mut();
        match &snapshot.log {
            Some(log) if pen.as_ref().is_some_and(|pen| pen.is_for(log)) => {}
            // The old one hands over what it has when it is dropped.
            log => *pen = log.as_ref().map(|log| Pen::new(Arc::clone(log))),
        }
        self.tracer.borrow_mut().clone_from(&snapshot.tracer);
    }

    /// Lines wait no longer than from one sweep to the next.
    pub(crate) fn sweep(&self) {
        if let Some(pen) = self.pen.borrow_mut().as_mut() {
            pen.hand_over();
        }
    }

    /// A request that nobody can read was answered with `status`, or not at all.
    pub(crate) fn unreadable(&self, client: &Client, status: Option<StatusCode>) {
        if let Some(pen) = self.pen.borrow_mut().as_mut() {
            pen.write(&Record {
                method: Method::from_bytes(b"-").unwrap_or_default(),
                target: "-".into(),
                status,
                end: if status.is_some() { End::Complete } else { End::Cut },
                blame: Some(Blame::Downstream),
                ..unread(client, &HeaderMap::new())
            });
        }
    }

    /// The worker ends, and with it what has not ended.
    pub(crate) fn stop(&self) {
        self.is_stopping.set(true);
    }

    /// The recording of a request that has come; `None` when nobody wants it.
    pub(crate) fn begin(
        &self,
        client: &Client,
        parts: &Parts,
        begun: Instant,
        trace: Option<TraceContext>,
    ) -> Option<Box<Recording>> {
        if !self.is_on.get() || !self.is_wanted(trace) {
            return None;
        }
        let mut recording = Box::new(Recording::new(client, parts, begun));
        recording.record.trace = trace;
        Some(recording)
    }

    /// Whether anybody wants to hear of a request in this trace: a log of all, a tracer of sampled ones.
    fn is_wanted(&self, trace: Option<TraceContext>) -> bool {
        let is_traced = trace.is_some_and(|trace| trace.is_sampled);
        self.pen.borrow().is_some() || (is_traced && self.tracer.borrow().is_some())
    }

    /// Hands over a recording that has come to its end.
    pub(crate) fn take(&self, recording: Box<Recording>) {
        let cut = if self.is_stopping.get() { Some(End::Cut) } else { None };
        let is_logged = recording.is_logged;
        let record = recording.finish(cut);
        if let Some(pen) = self.pen.borrow_mut().as_mut().filter(|_| is_logged) {
            pen.write(&record);
        }
        let tracer = self.tracer.borrow();
        if let Some(tracer) = tracer.as_ref()
            && record.trace.is_some_and(|trace| trace.is_sampled)
        {
            tracer.hand(Box::new(record));
        }
    }
}

// === impl Recording ===

impl Recording {
    fn new(client: &Client, parts: &Parts, begun: Instant) -> Self {
        let host = match parts.uri.authority() {
            Some(authority) => host(authority.as_str()).into(),
            None => match parts.headers.get(&HOST) {
                Some(value) => host(&String::from_utf8_lossy(value.as_bytes())).into(),
                None => Box::default(),
            },
        };
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        Self {
            begun,
            is_open: false,
            end: None,
            source: None,
            held_at: 0,
            is_logged: true,
            record: Record {
                version: parts.version,
                method: parts.method.clone(),
                host,
                target: shortened(target).into(),
                referer: text(&parts.headers, &REFERER),
                user_agent: text(&parts.headers, &USER_AGENT),
                ..unread(client, &parts.headers)
            },
        }
    }

    /// It is answered without asking anybody.
    pub(crate) fn answered_at_the_edge(&mut self, answer: &Response<ResponseBody>) {
        let status = answer.status();
        // What is not a redirect, nor the answer to OPTIONS, is a refusal, also in gRPC's words.
        if !status.is_redirection() && status != StatusCode::NO_CONTENT {
            self.record.blame = Some(Blame::Downstream);
        }
        if let ResponseBody::Text(words) = answer.body()
            && self.record.method != Method::HEAD
        {
            self.record.sent = words.len() as u64;
        }
        self.answer(status);
        self.complete();
    }

    /// It is for `service`. `None` when nobody wants a record of that.
    pub(crate) fn at(mut self: Box<Self>, service: &Service) -> Option<Box<Self>> {
        let spec = service.spec();
        self.record.service = Some(Arc::clone(&spec.name));
        self.is_logged = spec.is_logged;
        let is_traced = self.record.trace.is_some_and(|trace| trace.is_sampled);
        (self.is_logged || is_traced).then_some(self)
    }

    /// Its body comes from `source`.
    pub(crate) fn begins(&mut self, source: Option<&Rc<Source>>, is_drill: bool) {
        self.source = source.cloned();
        self.record.is_drill = is_drill;
    }

    /// It waits since `began`, when the service was at `epoch`.
    pub(crate) fn held_from(&mut self, began: Instant, epoch: u64) {
        self.held_at = epoch;
        let after = began.saturating_duration_since(self.begun);
        self.step(Step { after, took: Duration::ZERO, what: What::Hold });
    }

    /// It waits no longer; the service is at `epoch`.
    pub(crate) fn held(&mut self, epoch: u64) {
        if let Some(trace) = self.record.trace.as_mut().filter(|_| epoch != self.held_at) {
            trace.waited_for = Some(epoch);
        }
        self.close(Instant::now());
    }

    /// Which attempt is under way, from 0.
    pub(crate) fn attempt_number(&self) -> usize {
        self.record.attempts().saturating_sub(1)
    }

    /// `backend` is about to be asked. One to which nothing got before goes on being tried.
    pub(crate) fn attempt(&mut self, backend: &Backend, service: &Service) {
        let (name, now_under) = (Arc::clone(&backend.spec().name), service.epoch());
        if let Some(Step { what: What::Attempt { backend, epoch, outcome, .. }, .. }) =
            self.record.steps.last()
            && *outcome == Outcome::Unsent
            && *backend == name
            && *epoch == now_under
        {
            self.is_open = true;
            return;
        }
        self.step(Step {
            after: self.begun.elapsed(),
            took: Duration::ZERO,
            what: What::Attempt {
                backend: name,
                epoch: now_under,
                connected_after: None,
                // Until more is known.
                outcome: Outcome::Unsent,
            },
        });
    }

    /// A connection was opened for it, or could not be.
    pub(crate) fn connected(&mut self, now: Instant, is_open: bool) {
        if let Some(Step { after, what: What::Attempt { connected_after, .. }, .. }) =
            self.record.steps.last_mut().filter(|_| is_open)
        {
            *connected_after = Some((now - self.begun).saturating_sub(*after));
        }
    }

    /// A response head with `status` has come.
    pub(crate) fn answered(&mut self, status: StatusCode, at: Instant) {
        self.ends(Outcome::Answered(status), at);
        self.record.answered_after = Some(at - self.begun);
    }

    /// The attempt brought no response head.
    pub(crate) fn lost(&mut self, lost: &Lost) {
        let outcome = match lost {
            Lost::Again | Lost::Joined | Lost::Refused | Lost::Unsent => Outcome::Unsent,
            Lost::Broken => Outcome::Broken,
            Lost::Abandoned => Outcome::Abandoned,
            Lost::Failed(failure) => match failure {
                Failure::GatewayTimeout | Failure::Overdue => Outcome::Expired,
                Failure::NobodyActive | Failure::HoldFull | Failure::Exhausted => Outcome::Unsent,
                Failure::BadGateway | Failure::BadAnswer => Outcome::Broken,
                Failure::BadRequest(_)
                | Failure::MethodNotAllowed
                | Failure::ExpectationFailed
                | Failure::RequestTimeout
                | Failure::ClientGone
                | Failure::NotFound
                | Failure::UriTooLong
                | Failure::HeadersTooLarge
                | Failure::ContentTooLarge
                | Failure::NotImplemented => Outcome::Client,
            },
        };
        self.ends(outcome, Instant::now());
    }

    /// Its client gets a response with this status.
    pub(crate) fn answer(&mut self, status: StatusCode) {
        self.record.status = Some(status);
        self.record.answered_after.get_or_insert_with(|| self.begun.elapsed());
    }

    /// We answer it, with this status and this many bytes.
    pub(crate) fn failed(&mut self, failure: Failure, (status, length): (StatusCode, u64)) {
        self.record.blame = Some(failure.blame());
        if failure == Failure::ClientGone {
            return;
        }
        self.record.sent = if self.record.method == Method::HEAD { 0 } else { length };
        self.answer(status);
        self.complete();
    }

    /// So many more bytes went to the client.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.record.sent += bytes;
    }

    /// So many more bytes came from the client.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.record.received += bytes;
    }

    /// The whole response has been passed on, or both sides have ended their tunnel.
    pub(crate) fn complete(&mut self) {
        self.end = Some(End::Complete);
    }

    /// It was ended by us.
    pub(crate) fn cut(&mut self) {
        self.end = Some(End::Cut);
    }

    /// Its backend broke off.
    pub(crate) fn backend_gone(&mut self) {
        self.end = Some(End::BackendGone);
        self.record.blame = Some(Blame::Upstream);
    }

    /// Its client broke off, or did not take what there was for it.
    pub(crate) fn client_gone(&mut self) {
        self.end = Some(End::ClientGone);
        self.record.blame = Some(Blame::Downstream);
    }

    /// Its response ended before its end.
    pub(crate) fn broken_off(&mut self, cut: &Cut) {
        match cut {
            Cut::Broken(_) => self.backend_gone(),
            Cut::NotTaken => self.client_gone(),
            Cut::Idle | Cut::Left => {
                self.cut();
                self.record.blame = matches!(cut, Cut::Idle).then_some(Blame::Upstream);
            }
        }
    }

    fn step(&mut self, step: Step) {
        self.record.steps.push(step);
        self.is_open = true;
    }

    /// The attempt ends with `outcome`.
    fn ends(&mut self, result: Outcome, at: Instant) {
        if let Some(Step { what: What::Attempt { outcome, .. }, .. }) = self.record.steps.last_mut()
        {
            *outcome = result;
        }
        self.close(at);
    }

    fn close(&mut self, at: Instant) {
        if let Some(last) = self.record.steps.last_mut().filter(|_| self.is_open) {
            last.took = (at - self.begun).saturating_sub(last.after);
        }
        self.is_open = false;
    }

    /// The record. What did not come to an end of its own ended as `otherwise`, or its client left.
    fn finish(mut self, otherwise: Option<End>) -> Record {
        let now = Instant::now();
        self.close(now);
        let record = &mut self.record;
        record.took = now - self.begun;
        record.end = self.end.or(otherwise).unwrap_or(End::ClientGone);
        if record.end == End::ClientGone {
            record.blame = Some(Blame::Downstream);
        }
        if let Some(source) = &self.source {
            record.received += source.received();
        }
        self.record
    }
}

/// What is known of a request before it has been read.
fn unread(client: &Client, headers: &HeaderMap) -> Record {
    Record {
        began: SystemTime::now(),
        took: Duration::ZERO,
        answered_after: None,
        listener: Arc::clone(&client.listener.name),
        client: address(client, headers),
        is_tls: client.known.identity.is_tls(),
        version: Version::HTTP_11,
        method: Method::default(),
        host: Box::default(),
        target: Box::default(),
        referer: None,
        user_agent: None,
        service: None,
        status: None,
        received: 0,
        sent: 0,
        steps: SmallVec::new(),
        end: End::ClientGone,
        is_drill: false,
        blame: None,
        trace: None,
    }
}

/// Whose request it is: the client, or whom a trusted proxy names.
fn address(client: &Client, headers: &HeaderMap) -> Option<SocketAddr> {
    if let Some(claims) = client.known.claims(headers) {
        return Some(SocketAddr::new(claims.client(), 0));
    }
    match client.known.origin {
        Origin::Local => None,
        Origin::Client { source, .. } => Some(source),
    }
}

/// The field's text. What is not UTF-8 in it is replaced.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<Box<str>> {
    let value = headers.get(name)?.as_bytes();
    Some(String::from_utf8_lossy(&value[..value.len().min(MOST_TEXT)]).into())
}

/// What of an authority may be shown: no password, and not without end.
fn host(authority: &str) -> &str {
    shortened(authority.rsplit('@').next().unwrap_or_default())
}

fn shortened(target: &str) -> &str {
    let most = (0..=MOST_TEXT.min(target.len())).rev().find(|at| target.is_char_boundary(*at));
    &target[..most.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_host_neither_a_password_nor_more_than_so_much_is_kept() {
        assert_eq!(host("a.example:80"), "a.example:80");
        assert_eq!(host("me:secret@a.example"), "a.example");
        assert_eq!(host("me:s@cret@[::1]:80"), "[::1]:80");
        assert_eq!(host(&"a".repeat(3 * MOST_TEXT)).len(), MOST_TEXT);
        assert_eq!(host(&format!("{}@b", "a".repeat(MOST_TEXT))), "b");
    }
}
