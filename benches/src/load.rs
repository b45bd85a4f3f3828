//! An open-loop load generator: every request leaves at its scheduled time, whatever became of the
//! others, and its latency counts from that time.
//!
//! A generator that waits for answers before it sends stops asking exactly when the service hangs, and
//! reports a pause of a second as one slow request. This one does not. It never sends a request twice.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use crate::journal::now_ns;
use crate::report::{Report, Sample};

/// The most connections open at once; a request that finds none free fails.
const CONNECTIONS: usize = 4096;

/// What to send, and how fast.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom to ask.
    pub target: SocketAddr,
    /// Requests per second (at least 1).
    pub rate: u32,
    /// What to ask.
    pub requests: Requests,
    /// How long a request may take, from its scheduled time; then it has failed.
    pub patience: Duration,
}

impl Plan {
    /// `GET /`, `rate` times a second, with 30 s of patience.
    #[must_use]
    pub fn gets(target: SocketAddr, rate: u32) -> Self {
        let requests = Requests::Gets { path: String::from("/") };
        Self { target, rate, requests, patience: Duration::from_secs(30) }
    }

    /// Orders with unique ids and bodies, `rate` times a second, with 30 s of patience. The backend
    /// takes `work` between recording an order and answering.
    #[must_use]
    pub fn orders(target: SocketAddr, rate: u32, work: Duration) -> Self {
        let requests = Requests::Orders { work };
        Self { target, rate, requests, patience: Duration::from_secs(30) }
    }
}

/// What to ask.
#[derive(Clone, Debug)]
pub enum Requests {
    /// The same GET every time.
    Gets {
        /// Path and query.
        path: String,
    },
    /// `POST /orders/<number>` with [`order`] as its body.
    Orders {
        /// What the origin takes between recording an order and answering.
        work: Duration,
    },
    /// The same POST without a body every time; it must not be repeated.
    Posts {
        /// Path and query.
        path: String,
    },
    /// The same GET every time, each on a connection of its own.
    Fresh {
        /// Path and query.
        path: String,
    },
    /// By turns `GET /slow/<number>` and an order, each with 5 to 80 ms of work at the origin, most
    /// with little.
    Mixed,
}

impl Requests {
    fn build(&self, index: u64, target: SocketAddr) -> Result<Request<Full<Bytes>>, http::Error> {
        let host = target.to_string();
        match self {
            Self::Gets { path } => {
                Request::get(path.as_str()).header(HOST, host).body(Full::default())
            }
            Self::Posts { path } => {
                Request::post(path.as_str()).header(HOST, host).body(Full::default())
            }
            Self::Fresh { path } => Request::get(path.as_str())
                .header(HOST, host)
                .header(CONNECTION, "close")
                .body(Full::default()),
            Self::Orders { work } => Self::order(index, *work, host),
            Self::Mixed if index.is_multiple_of(2) => {
                Request::get(format!("/slow/{index}?ms={}", mixed_work(index).as_millis()))
                    .header(HOST, host)
                    .body(Full::default())
            }
            Self::Mixed => Self::order(index, mixed_work(index), host),
        }
    }

    fn order(
        index: u64,
        work: Duration,
        host: String,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::builder()
            .method(Method::POST)
            .uri(format!("/orders/{index}?ms={}", work.as_millis()))
            .header(HOST, host)
            .header(CONTENT_TYPE, "text/plain")
            .body(Full::from(order(index)))
    }
}

/// A quarter of the requests take up to 80 ms, the others up to 20 ms.
fn mixed_work(index: u64) -> Duration {
    let spread = if index % 8 < 2 { 76 } else { 16 };
    Duration::from_millis(5 + index.wrapping_mul(2_654_435_761) / 8 % spread)
}

/// The body of an order: no two are alike.
#[must_use]
pub fn order(number: u64) -> String {
    format!("order {number}: {}", "one more book; ".repeat(4 + (number % 13) as usize))
}

/// A load that is running, on a thread of its own so that the test's own work does not delay it.
#[derive(Debug)]
pub struct Load {
    thread: Option<thread::JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    begun: Instant,
    begun_ns: u64,
    stop: AtomicBool,
    samples: Mutex<Vec<Sample>>,
}

impl Load {
    /// Starts at once.
    ///
    /// # Panics
    ///
    /// When the system gives no thread, or `rate` is 0.
    #[must_use]
    pub fn start(plan: Plan) -> Self {
        assert!(plan.rate > 0, "a rate of 0 is no load");
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            begun_ns: now_ns(),
            stop: AtomicBool::new(false),
            samples: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new().name(String::from("load")).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => LocalSet::new().block_on(&runtime, pace(Rc::new(plan), ours)),
                Err(error) => panic!("no runtime for the load: {error}"),
            }
        });
        let thread = thread.unwrap_or_else(|error| panic!("no thread for the load: {error}"));
        Self { thread: Some(thread), shared }
    }

    /// The requests that have ended so far, in the order of their ends.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.shared.samples().clone()
    }

    /// Time on the load's clock, the one of every [`Sample`].
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.begun.elapsed()
    }

    /// Stops sending, waits for the requests still running, and says what happened.
    ///
    /// # Panics
    ///
    /// When the load's thread panicked.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            panic!("the load's thread panicked");
        }
        let samples = std::mem::take(&mut *self.shared.samples());
        Report::new(self.shared.begun_ns, samples)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A test that failed does not wait for the answers.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Launches every request at its time, then waits for the last.
async fn pace(plan: Rc<Plan>, shared: Arc<Shared>) {
    let connections = Rc::new(Connections::default());
    let mut running = JoinSet::new();
    for index in 0_u64.. {
        let scheduled = Duration::from_nanos(index * 1_000_000_000 / u64::from(plan.rate));
        tokio::time::sleep_until((shared.begun + scheduled).into()).await;
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let (plan, connections, shared) =
            (Rc::clone(&plan), Rc::clone(&connections), Arc::clone(&shared));
        running.spawn_local(async move {
            one(index, scheduled, &plan, connections, &shared).await;
        });
        // Forgets the ended ones, so that the set stays as small as the load.
        while running.try_join_next().is_some() {}
    }
    // Ends: every request has a deadline.
    while running.join_next().await.is_some() {}
}

/// Sends one request and records what became of it.
async fn one(
    index: u64,
    scheduled: Duration,
    plan: &Plan,
    connections: Rc<Connections>,
    shared: &Shared,
) {
    let sent = Cell::new(None);
    let left = (scheduled + plan.patience).saturating_sub(shared.begun.elapsed());
    let exchange = async {
        let mut sender = connections.take(plan.target).await?;
        let request = plan.requests.build(index, plan.target).map_err(failed("build"))?;
        sent.set(Some(shared.begun.elapsed()));
        let response = sender.send_request(request).await.map_err(failed("send"))?;
        let (head, body) = response.into_parts();
        body.collect().await.map_err(failed("body"))?;
        Ok((head, sender))
    };
    let outcome = timeout(left, exchange).await.unwrap_or_else(|_| Err(String::from("no answer")));
    let finished = shared.begun.elapsed();
    let (status, headers, error, sender) = match outcome {
        Ok((head, sender)) => (Some(head.status.as_u16()), head.headers, None, Some(sender)),
        Err(error) => (None, HeaderMap::new(), Some(error), None),
    };
    shared.samples().push(Sample {
        index,
        scheduled,
        sent: sent.get(),
        finished,
        status,
        origin: text(&headers, &HeaderName::from_static("x-origin")),
        retry_after: text(&headers, &RETRY_AFTER),
        error,
    });
    if let Some(sender) = sender {
        connections.give_back(sender).await;
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Says where it failed, with every cause.
fn failed<E: std::error::Error>(stage: &'static str) -> impl Fn(E) -> String {
    move |error| {
        let mut text = format!("{stage}: {error}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        text
    }
}

/// A sender with the mark that its connection is open.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _open: Open,
}

impl Connection {
    async fn send_request(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<http::Response<hyper::body::Incoming>> {
        self.sender.send_request(request).await
    }
}

/// Keep-alive connections; more are opened when all are busy.
#[derive(Default)]
struct Connections {
    idle: RefCell<Vec<Connection>>,
    open: Rc<Cell<usize>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("open", &self.open.get()).finish_non_exhaustive()
    }
}

/// Counts one open connection for as long as it lives.
struct Open(Rc<Cell<usize>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Connections {
    async fn take(&self, target: SocketAddr) -> Result<Connection, String> {
        while let Some(connection) = self.pop() {
            if connection.sender.is_ready() {
                return Ok(connection);
            }
        }
        if self.open.get() >= CONNECTIONS {
            return Err(format!("all {CONNECTIONS} connections are busy"));
        }
        self.open.set(self.open.get() + 1);
        let open = Open(Rc::clone(&self.open));
        let stream = TcpStream::connect(target).await.map_err(failed("connect"))?;
        stream.set_nodelay(true).map_err(failed::<io::Error>("connect"))?;
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed("handshake"))?;
        // Ends when the sender is dropped or the other side closes. Its error is the sender's too.
        tokio::task::spawn_local(async move {
            let _ = driver.await;
        });
        Ok(Connection { sender, _open: open })
    }

    fn pop(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    async fn give_back(&self, mut connection: Connection) {
        // An error means that the other side said `connection: close`.
        if connection.sender.ready().await.is_ok() {
            self.idle.borrow_mut().push(connection);
        }
    }
}
