//! Workers on a loopback listener.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use config::model::{
    BackendUrl, DownstreamLimits, ErrorRule, Hold, Replay, Scheme, StreamPolicy,
    UpstreamConnections, UpstreamProtocol, UpstreamTimeouts,
};
use connect::Destination;
use http::{HeaderName, HeaderValue};
use metrics::Metrics;
use proxy::{
    Answered, BackendSpec, Bound, Drain, Held, Leave, ListenerSpec, Notice, ServiceId, ServiceSpec,
    Snapshot, Suspicion, Tag, Workers, bind,
};
use routing::failover::BackendId;
use routing::table::Table;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

pub(crate) use super::client::{Answer, Client, served};

/// How long a test waits for what must happen. Much longer than it ever takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What a test can choose; every limit is far away at first.
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) hold: Hold,
    pub(crate) replay: Replay,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) stall_after: Duration,
    pub(crate) errors: Option<ErrorRule>,
    pub(crate) drain_header: Option<HeaderName>,
    pub(crate) limits: DownstreamLimits,
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) streams: StreamPolicy,
    pub(crate) connections: UpstreamConnections,
    pub(crate) epoch_header: Option<HeaderName>,
    /// How many notices wait for control.
    pub(crate) notices: usize,
    pub(crate) log: Option<Arc<access::Log>>,
}

impl Default for Plan {
    fn default() -> Self {
        let far = 6 * PATIENCE;
        Self {
            workers: 1,
            hold: Hold { timeout: far, requests: 1000, bytes: 16 << 20 },
            replay: Replay { buffer: 64 << 10, attempts: 1, settle: far },
            timeouts: UpstreamTimeouts {
                connect: far,
                response: far,
                idle: far,
                stream_idle: far,
                request: None,
            },
            stall_after: far,
            errors: None,
            drain_header: None,
            limits: DownstreamLimits {
                connections: 1000,
                header_timeout: far,
                idle_timeout: far,
                body_timeout: far,
                header_bytes: 16 << 10,
                headers: 100,
                connections_per_client: 1000,
                handshake_timeout: far,
                body_progress: 0,
                uri_bytes: 8 << 10,
                body_bytes: None,
                streams: 100,
                requests: None,
                connection_age: None,
                half_close: false,
            },
            protocol: UpstreamProtocol::Auto,
            streams: StreamPolicy::Keep,
            connections: UpstreamConnections { idle: 100, idle_timeout: far, streams: 100 },
            epoch_header: None,
            notices: 1024,
            log: None,
        }
    }
}

impl Plan {
    /// With backends that speak HTTP/2 in the clear.
    pub(crate) fn http2() -> Self {
        Self { protocol: UpstreamProtocol::Http2, ..Self::default() }
    }
}

/// A backend at `address`, in the clear.
pub(crate) fn destination(address: SocketAddr) -> Destination {
    let url = BackendUrl::tcp(Scheme::Http, &address.ip().to_string(), address.port());
    Destination { url, tls: None, proxy_protocol: None, names: connect::KnownNames::default() }
}

const SERVICE: ServiceId = ServiceId(7);

/// Workers with one listener and one service, whose backends are numbered from 1.
pub(crate) struct Rig {
    runtime: Runtime,
    workers: Option<Arc<Workers>>,
    pub(crate) notices: mpsc::Receiver<Notice>,
    metrics: Arc<Metrics>,
    pub(crate) snapshot: Snapshot,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    epoch: u64,
    /// What becomes of streams at a move.
    pub(crate) streams: StreamPolicy,
}

impl Rig {
    /// Nobody is active yet.
    pub(crate) fn start(plan: Plan, backends: &[SocketAddr]) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
        let bound = bind(&any, plan.workers).unwrap();
        Self::start_on(bound, plan, backends)
    }

    /// The same on sockets that are bound already.
    pub(crate) fn start_on(bound: Bound, plan: Plan, backends: &[SocketAddr]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let metrics = Metrics::new();
        let (sender, notices) = mpsc::channel(plan.notices);
        let workers = Workers::start(plan.workers, Arc::clone(&metrics), sender).unwrap();
        let configured = bound.configured.clone();
        let address = bound.local.tcp().unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        let backends = (1..).zip(backends).map(|(id, address)| BackendSpec {
            id: BackendId(id),
            name: format!("b{id}").into(),
            destination: destination(*address),
        });
        let service = ServiceSpec {
            id: SERVICE,
            name: "s".into(),
            backends: backends.collect(),
            hold: plan.hold,
            replay: plan.replay,
            timeouts: plan.timeouts,
            connections: plan.connections,
            protocol: plan.protocol,
            stall_after: plan.stall_after,
            errors: plan.errors,
            drain_header: plan.drain_header,
            epoch_header: plan.epoch_header,
            is_logged: true,
        };
        let snapshot = Snapshot {
            table: Table::new([], Some(0)),
            services: vec![Arc::new(service)],
            listeners: vec![ListenerSpec {
                address: configured,
                tls: None,
                h2c: true,
                redirect_https: None,
                hsts: None,
                trusted_proxies: [].into(),
                proxy_protocol: [].into(),
                limits: plan.limits,
            }],
            log: plan.log,
            tracer: None,
            trace: None,
        };
        let workers = Some(Arc::new(workers));
        let rig = Self {
            runtime,
            workers,
            notices,
            metrics,
            snapshot,
            address,
            epoch: 0,
            streams: plan.streams,
        };
        rig.configure(vec![bound]);
        rig
    }

    /// With backend 1 active.
    pub(crate) fn active(plan: Plan, backends: &[SocketAddr]) -> Self {
        let mut rig = Self::start(plan, backends);
        rig.activate(1, Leave::Finish);
        rig
    }

    fn workers(&self) -> &Workers {
        self.workers.as_ref().expect("not shut down")
    }

    pub(crate) fn configure(&self, bound: Vec<Bound>) {
        let snapshot = Arc::new(self.snapshot.clone());
        self.runtime.block_on(self.workers().configure(snapshot, bound)).unwrap();
    }

    pub(crate) fn remove_listener(&mut self) {
        self.snapshot.listeners.clear();
        self.configure(Vec::new());
    }

    pub(crate) fn activate(&mut self, backend: u32, leave: Leave) {
        self.order(Some(BackendId(backend)), leave);
    }

    pub(crate) fn deactivate(&mut self, leave: Leave) {
        self.order(None, leave);
    }

    fn order(&mut self, active: Option<BackendId>, leave: Leave) {
        self.epoch += 1;
        let order = self.workers().activate(SERVICE, self.epoch, active, leave, self.streams);
        self.runtime.block_on(order).unwrap();
    }

    /// A probe of `backend` has passed.
    pub(crate) fn clear(&self, backend: u32) {
        self.runtime.block_on(self.workers().cleared(SERVICE, BackendId(backend))).unwrap();
    }

    fn notice(&mut self) -> Notice {
        let next = async { tokio::time::timeout(PATIENCE, self.notices.recv()).await };
        self.runtime.block_on(next).expect("a notice in time").unwrap()
    }

    /// The next suspicion.
    #[track_caller]
    pub(crate) fn suspicion(&mut self) -> Suspicion {
        loop {
            if let Notice::Suspicion(suspicion) = self.notice() {
                assert_eq!(suspicion.service, SERVICE);
                return suspicion;
            }
        }
    }

    /// The next word of a first good answer.
    #[track_caller]
    pub(crate) fn answered(&mut self) -> Answered {
        loop {
            if let Notice::Answered(answered) = self.notice() {
                assert_eq!(answered.service, SERVICE);
                return answered;
            }
        }
    }

    /// Suspicions that are there already.
    pub(crate) fn suspicions(&mut self) -> usize {
        let notices = std::iter::from_fn(|| self.notices.try_recv().ok());
        notices.filter(|notice| matches!(notice, Notice::Suspicion(_))).count()
    }

    /// Words of first good answers that are there already.
    pub(crate) fn answers(&mut self) -> Vec<Answered> {
        let notices = std::iter::from_fn(|| self.notices.try_recv().ok());
        let answers = notices.filter_map(|notice| match notice {
            Notice::Answered(answered) => Some(answered),
            Notice::Suspicion(_) => None,
        });
        answers.collect()
    }

    /// Holds on another thread. Whatever is ordered after this comes after it.
    pub(crate) fn start_hold(&self, drain: Option<Drain>) -> thread::JoinHandle<Held> {
        let workers = Arc::clone(self.workers.as_ref().expect("not shut down"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let holding = thread::spawn(move || {
            let mut holding = pin!(workers.hold(SERVICE, drain));
            let held = poll_fn(|context| {
                let polled = holding.as_mut().poll(context);
                let _ = tell.send(());
                polled
            });
            runtime.block_on(held).unwrap()
        });
        told.recv().unwrap();
        // An order without effect, acknowledged after it.
        self.clear(0);
        holding
    }

    pub(crate) fn hold(&self, drain: Option<Drain>) -> Held {
        self.runtime.block_on(self.workers().hold(SERVICE, drain)).unwrap()
    }

    /// Requests with this field go to `backend`; an empty value stands for any.
    pub(crate) fn tag(&self, name: &'static str, value: &'static str, backend: u32) {
        let tag = Tag {
            header: HeaderName::from_static(name),
            value: (!value.is_empty()).then(|| HeaderValue::from_static(value)),
            backend: BackendId(backend),
        };
        self.runtime.block_on(self.workers().tag(SERVICE, Some(tag))).unwrap();
    }

    pub(crate) fn untag(&self) {
        self.runtime.block_on(self.workers().tag(SERVICE, None)).unwrap();
    }

    pub(crate) fn release(&self) {
        self.runtime.block_on(self.workers().release(SERVICE)).unwrap();
    }

    /// Drains on another thread; the result is how many requests were not finished.
    pub(crate) fn drain(&self, timeout: Duration) -> thread::JoinHandle<usize> {
        let workers = Arc::clone(self.workers.as_ref().expect("not shut down"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        thread::spawn(move || runtime.block_on(workers.drain(timeout)))
    }

    /// Leaves the sockets to a successor, and ends: how many requests were not finished.
    pub(crate) fn retire(mut self, linger: Duration, timeout: Duration) -> usize {
        let workers = self.workers.take().and_then(Arc::into_inner).expect("nobody else");
        self.runtime.block_on(async {
            let unfinished = workers.retire(linger, timeout).await;
            workers.stop().await;
            unfinished
        })
    }

    pub(crate) fn shut_down(&mut self, timeout: Duration) -> usize {
        let workers = self.workers.take().expect("not shut down");
        let workers = Arc::into_inner(workers).expect("nobody drains");
        self.runtime.block_on(async {
            let unfinished = workers.drain(timeout).await;
            workers.stop().await;
            unfinished
        })
    }

    /// A metric of the service or the listener, without its prefix: `requests_waiting`, or
    /// `requests_failed_total upstream` for one with a label more. Sums what differs otherwise.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (name, label) = name.split_once(' ').unwrap_or((name, ""));
        let encoded = self.metrics.encode();
        let found: Vec<f64> = encoded
            .lines()
            .filter_map(|line| line.strip_prefix("understudy_")?.strip_prefix(name))
            .filter(|rest| rest.starts_with('{'))
            .filter(|rest| label.is_empty() || rest.contains(&format!("\"{label}\"")))
            .map(|rest| rest.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(!found.is_empty(), "no metric {name} {label} in:\n{encoded}");
        found.iter().sum()
    }

    #[track_caller]
    pub(crate) fn await_metric(&self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name) != value {
            let is = self.metric(name);
            assert!(Instant::now() < deadline, "{name} should become {value}, is {is}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Nothing is counted as going on any more.
    #[track_caller]
    pub(crate) fn at_rest(&self) {
        for name in ["requests_in_flight", "requests_waiting", "requests_held_bytes"] {
            self.await_metric(name, 0.0);
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(workers) = self.workers.take().and_then(Arc::into_inner) {
            self.runtime.block_on(workers.stop());
        }
    }
}
