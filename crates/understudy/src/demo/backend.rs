//! A small backend to put behind the balancer, and the ways to break it.
//!
//! Each backend is a thread, and each life of it is a runtime: dropping the runtime cuts every
//! connection and closes the port, as the death of a process does; not polling it freezes every
//! connection while the kernel still accepts new ones, as a stopped process does.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::journal::{Journal, Tone};
use super::ledger::Ledger;

/// Names the POST that a request carries, so that the ledger can tell a repeat.
pub(super) const ID_FIELD: &str = "x-demo-id";
/// Names the backend that answered.
pub(super) const SERVED_BY_FIELD: &str = "x-served-by";
/// What probes ask for.
pub(super) const HEALTH_PATH: &str = "/healthz";

const MAX_CONNECTIONS: usize = 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Ports to choose from: outside the range from which systems take the source ports of connections,
/// so that nobody sits on the port of a dead backend when it comes back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many of them are tried.
const PORT_TRIES: usize = 64;
/// Waiting orders; a person cannot press keys faster than a backend takes them.
const MAX_ORDERS: usize = 16;

/// How a backend is doing, by our own doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Answers everything.
    Well,
    /// Answers everything, but says 503 to probes.
    Unwell,
    /// Accepts and never answers.
    Hung,
    /// The port is closed and every connection is cut.
    Dead,
}

/// A backend that runs until dropped.
#[derive(Debug)]
pub(super) struct Backend {
    /// Its name.
    pub(super) name: &'static str,
    /// Where it listens; the same after a revival.
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    orders: Option<mpsc::Sender<Condition>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    ledger: Arc<Ledger>,
    served: AtomicU64,
    condition: Mutex<Condition>,
}

impl Backend {
    /// Starts a backend on a free loopback port. Executed POSTs are written
    /// into `ledger`; a revival that fails is written into `journal`.
    ///
    /// # Errors
    /// When the port or the thread cannot be had.
    pub(super) fn start(
        name: &'static str,
        ledger: Arc<Ledger>,
        journal: Arc<Journal>,
    ) -> io::Result<Self> {
        let shared = Shared::new(name, ledger);
        let started = Life::start_somewhere(&shared)?;
        Self::go_on(shared, started, journal)
    }

    /// The same at an address that somebody chose.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn start_at(address: SocketAddr, name: &'static str) -> io::Result<Self> {
        let shared = Shared::new(name, Arc::new(Ledger::new()));
        let life = Life::start(address, Arc::clone(&shared))?;
        let address = life.listener.local_addr()?;
        Self::go_on(shared, (address, life), Arc::new(Journal::new(Instant::now())))
    }

    fn go_on(
        shared: Arc<Shared>,
        (address, life): (SocketAddr, Life),
        journal: Arc<Journal>,
    ) -> io::Result<Self> {
        let name = shared.name;
        let (orders, inbox) = mpsc::channel(MAX_ORDERS);
        let thread = std::thread::Builder::new().name(format!("backend-{name}")).spawn({
            let shared = Arc::clone(&shared);
            move || live(address, life, inbox, &shared, &journal)
        })?;
        Ok(Self { name, address, shared, orders: Some(orders), thread: Some(thread) })
    }

    /// Makes it so, soon. An order too many is dropped.
    pub(super) fn order(&self, condition: Condition) {
        if let Some(orders) = &self.orders {
            // Full: whoever presses keys that fast loses one. Closed: the thread has panicked,
            // and the hook has said so.
            let _ = orders.try_send(condition);
        }
    }

    /// How it is doing.
    pub(super) fn condition(&self) -> Condition {
        self.shared.condition()
    }

    /// Requests answered so far, probes not counted.
    pub(super) fn served(&self) -> u64 {
        self.shared.served.load(Relaxed)
    }
}

impl Shared {
    fn new(name: &'static str, ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            name,
            ledger,
            served: AtomicU64::new(0),
            condition: Mutex::new(Condition::Well),
        })
    }

    fn condition(&self) -> Condition {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_condition(&self, condition: Condition) {
        *self.condition.lock().unwrap_or_else(PoisonError::into_inner) = condition;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the hook.
            let _ = thread.join();
        }
    }
}

/// What the thread does with its life.
enum State {
    Serving(Life),
    Frozen(Life),
    Dead,
}

/// The thread: takes orders until there is nobody left to give any.
fn live(
    address: SocketAddr,
    first: Life,
    mut orders: mpsc::Receiver<Condition>,
    shared: &Arc<Shared>,
    journal: &Journal,
) {
    let mut state = State::Serving(first);
    loop {
        let order = match &mut state {
            State::Serving(life) => life.serve(&mut orders),
            State::Frozen(_) | State::Dead => orders.blocking_recv(),
        };
        let Some(wanted) = order else { return };
        state = match (state, wanted) {
            (State::Serving(_) | State::Frozen(_) | State::Dead, Condition::Dead)
            | (State::Dead, Condition::Hung) => State::Dead,
            (State::Serving(life) | State::Frozen(life), Condition::Hung) => State::Frozen(life),
            (State::Serving(life), Condition::Well | Condition::Unwell) => State::Serving(life),
            // A frozen one is restarted, not thawed: what it had read by then has been given up
            // on, and must not be executed now.
            (old @ (State::Frozen(_) | State::Dead), Condition::Well | Condition::Unwell) => {
                drop(old);
                Life::start(address, Arc::clone(shared)).map_or_else(
                    |error| {
                        journal.note(Tone::Bad, format!("{} cannot start: {error}", shared.name));
                        State::Dead
                    },
                    State::Serving,
                )
            }
        };
        shared.set_condition(match state {
            State::Serving(_) => wanted,
            State::Frozen(_) => Condition::Hung,
            State::Dead => Condition::Dead,
        });
    }
}

/// From a start to a death. The order of the fields is the order in which they are dropped.
struct Life {
    connections: JoinSet<()>,
    listener: TcpListener,
    runtime: Runtime,
    shared: Arc<Shared>,
}

impl Life {
    fn start_somewhere(shared: &Arc<Shared>) -> io::Result<(SocketAddr, Self)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS)));
            match Self::start(address, Arc::clone(shared)) {
                Ok(life) => return Ok((address, life)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn start(address: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _guard = runtime.enter();
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // The connections of the last life linger in TIME_WAIT and must not keep the port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(1024)?
        };
        Ok(Self { connections: JoinSet::new(), listener, runtime, shared })
    }

    /// Serves until the next order; `None` when nobody gives orders any more. In between two calls
    /// nothing of this life moves.
    fn serve(&mut self, orders: &mut mpsc::Receiver<Condition>) -> Option<Condition> {
        let Self { connections, listener, runtime, shared } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    order = orders.recv() => return order,
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                        match accepted {
                            Ok((stream, _)) => {
                                connections.spawn(talk(stream, Arc::clone(shared)));
                            }
                            // Most likely out of file descriptors: that passes.
                            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    }
                }
            }
        })
    }
}

async fn talk(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for one another; without it they are only slower.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| answer(request, &shared));
    // A client that breaks off is its own affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(300))
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.uri().path() == HEALTH_PATH {
        return Ok(if shared.condition() == Condition::Unwell {
            respond(StatusCode::SERVICE_UNAVAILABLE, shared.name, "unwell\n".into())
        } else {
            respond(StatusCode::OK, shared.name, "well\n".into())
        });
    }
    let (head, body) = request.into_parts();
    if Limited::new(body, MAX_BODY_BYTES).collect().await.is_err() {
        return Ok(respond(StatusCode::BAD_REQUEST, shared.name, "no body to use\n".into()));
    }
    // From here to the answer nothing is awaited: an execution and its answer are one step.
    if head.method == Method::POST
        && let Some(id) = head.headers.get(ID_FIELD).and_then(id)
    {
        shared.ledger.execute(id);
    }
    let served = shared.served.fetch_add(1, Relaxed) + 1;
    let text = serde_json::json!({
        "backend": shared.name,
        "served": served,
        "method": head.method.as_str(),
        "path": head.uri.path(),
    });
    let mut response = respond(StatusCode::OK, shared.name, format!("{text}\n"));
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn id(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

fn respond(status: StatusCode, name: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(SERVED_BY_FIELD, HeaderValue::from_static(name));
    response
}

#[cfg(test)]
mod tests;
