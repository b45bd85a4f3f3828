//! A light open-loop load: requests leave by the clock, whether or not earlier ones were answered.
//!
//! Never sends a request twice, and counts each answer. Latency runs from the moment a request was
//! due, so waiting for a connection is part of it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::backend::{ID_FIELD, SERVED_BY_FIELD};
use super::tally::{Answer, Figures, Tally};

/// Requests per second: 200 GETs and 20 POSTs.
pub(super) const RATE: u32 = 220;
/// Every so many requests, one is a POST.
const POST_EVERY: u64 = 11;
/// Connections to the balancer. Few enough for a process that may have 1,024 files open: a request
/// needs up to six, because both sides of the balancer are in this process.
const CONNECTIONS: usize = 128;
/// Requests that wait for a connection. More than this is no light load any more: they fail.
const WAITING: usize = 4096;
/// How long a request may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection idle for longer is not used again: the other side may be about to close it.
const IDLE: Duration = Duration::from_secs(10);
/// When we were stopped ourselves for longer than this, the requests missed are not made up for.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A load that runs until stopped or dropped.
#[derive(Debug)]
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts to send requests to `service`. `backends` are the names that may answer.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub(super) fn start(service: SocketAddr, backends: [&'static str; 2]) -> io::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::new(Instant::now(), backends)));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Arc::new(Client {
            service,
            tally: Arc::clone(&tally),
            idle: Mutex::default(),
            permits: Semaphore::new(CONNECTIONS),
            connections: Mutex::default(),
        });
        let thread = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || runtime.block_on(send_by_the_clock(client, stopped)))?;
        Ok(Self { tally, stop: Some(stop), thread: Some(thread) })
    }

    /// What was counted so far.
    pub(super) fn figures(&self) -> Figures {
        lock(&self.tally).figures(Instant::now())
    }

    /// Forgets the longest gap so far: a new stretch of the play begins.
    pub(super) fn begin_stretch(&self) {
        lock(&self.tally).begin_stretch();
    }

    /// Sends nothing more, waits up to `patience` for the answers still to come, and returns the
    /// last figures.
    pub(super) fn stop(mut self, patience: Duration) -> Figures {
        self.end(patience);
        self.figures()
    }

    fn end(&mut self, patience: Duration) {
        if let Some(stop) = self.stop.take() {
            // The thread is gone only if it panicked; then there is nothing to stop.
            let _ = stop.send(patience);
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: one request each time one is due.
async fn send_by_the_clock(client: Arc<Client>, mut stopped: oneshot::Receiver<Duration>) {
    let gap = Duration::from_secs(1) / RATE;
    let mut due = Instant::now();
    let mut number = 0;
    let mut requests = JoinSet::new();
    let patience = loop {
        tokio::select! {
            patience = &mut stopped => break patience.unwrap_or_default(),
            () = tokio::time::sleep_until(due.into()) => {}
        }
        while requests.try_join_next().is_some() {}
        number += 1;
        lock(&client.tally).sent();
        if requests.len() < CONNECTIONS + WAITING {
            requests.spawn(Arc::clone(&client).carry_out(number, due));
        } else {
            lock(&client.tally).failed(Instant::now(), "too many requests are waiting".into());
        }
        due += gap;
        if due.elapsed() > CATCH_UP {
            due = Instant::now();
        }
    };
    let deadline = tokio::time::sleep(patience);
    tokio::pin!(deadline);
    while !requests.is_empty() {
        tokio::select! {
            _ = requests.join_next() => {}
            () = &mut deadline => break,
        }
    }
    lock(&client.tally).unanswered(requests.len());
    requests.shutdown().await;
}

type Sender = SendRequest<Full<Bytes>>;

/// Keep-alive connections to the balancer.
struct Client {
    service: SocketAddr,
    tally: Arc<Mutex<Tally>>,
    /// Connections without a request, the one used last on top, with when that was.
    idle: Mutex<Vec<(Instant, Sender)>>,
    permits: Semaphore,
    /// What moves the bytes of each connection; ends with the client.
    connections: Mutex<JoinSet<()>>,
}

impl Client {
    /// Sends one request and counts how it ends.
    async fn carry_out(self: Arc<Self>, number: u64, due: Instant) {
        let outcome = match tokio::time::timeout(PATIENCE, self.exchange(number)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let now = Instant::now();
        let method = if is_post(number) { "POST" } else { "GET" };
        match outcome {
            Ok(backend) => {
                let answer = Answer { backend, latency: now - due, post: is_post(number) };
                lock(&self.tally).answered(now, &answer);
            }
            Err(why) => lock(&self.tally).failed(now, format!("{method}: {why}")),
        }
    }

    /// The name of the backend that answered well, or what went wrong.
    async fn exchange(&self, number: u64) -> Result<String, String> {
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let mut sender = match self.idle_connection() {
            Some(sender) => sender,
            None => self.connect().await.map_err(|error| error.to_string())?,
        };
        let response =
            sender.send_request(self.request(number)).await.map_err(|error| error.to_string())?;
        let backend = read(response).await?;
        lock(&self.idle).push((Instant::now(), sender));
        Ok(backend)
    }

    fn idle_connection(&self) -> Option<Sender> {
        let mut idle = lock(&self.idle);
        while let Some((since, sender)) = idle.pop() {
            if since.elapsed() > IDLE {
                // Those below are older still.
                idle.clear();
            } else if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.service).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut connections = lock(&self.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // What goes wrong here, the request on this connection hears as well.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        let host = http::HeaderValue::from_str(&self.service.to_string());
        request.headers_mut().extend(host.ok().map(|host| (HOST, host)));
        if is_post(number) {
            *request.method_mut() = Method::POST;
            *request.body_mut() = Full::from(format!(r#"{{"order":{number}}}"#));
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            request.headers_mut().insert(ID_FIELD, number.into());
            // Allows the balancer to send it again when it was cut off without an answer.
            request.headers_mut().insert("idempotency-key", number.into());
        }
        request
    }
}

fn is_post(number: u64) -> bool {
    number.is_multiple_of(POST_EVERY)
}

/// Reads an answer to its end, so that its connection can be used again.
async fn read(response: Response<Incoming>) -> Result<String, String> {
    let (head, body) = response.into_parts();
    Limited::new(body, 64 * 1024).collect().await.map_err(|error| error.to_string())?;
    if head.status != StatusCode::OK {
        return Err(head.status.to_string());
    }
    let backend = head.headers.get(SERVED_BY_FIELD).and_then(|name| name.to_str().ok());
    Ok(backend.ok_or("an answer from nobody we know")?.to_owned())
}

#[cfg(test)]
mod tests;
