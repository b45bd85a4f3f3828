//! HTTP/2 by the book: clients of the proxy, and scripted backends that count what they are given.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::backend::Journal;
use super::rig::PATIENCE;

/// Where clients and backends live: a thread of its own.
pub(crate) fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            tell.send(runtime.handle().clone()).unwrap();
            runtime.block_on(std::future::pending::<()>());
        });
        told.recv().unwrap()
    })
}

/// Waits for what must happen.
#[track_caller]
pub(crate) fn wait<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = runtime().block_on(async { timeout(PATIENCE, future).await });
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// An answer as a client sees it, complete.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Whole {
    /// The body of a 200.
    #[track_caller]
    pub(crate) fn served(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        str::from_utf8(&self.body).unwrap()
    }
}

/// A body and its trailers, all room given back.
pub(crate) async fn read(mut body: RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut whole = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        whole.extend_from_slice(&data);
    }
    Ok((whole, body.trailers().await?))
}

/// One request that has been sent.
pub(crate) struct Sent {
    pub(crate) response: ResponseFuture,
    pub(crate) send: SendStream<Bytes>,
}

impl Sent {
    pub(crate) async fn finish(self) -> Result<Whole, h2::Error> {
        let (parts, body) = self.response.await?.into_parts();
        let (body, trailers) = read(body).await?;
        Ok(Whole { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
    }

    /// The whole answer.
    #[track_caller]
    pub(crate) fn whole(self) -> Whole {
        wait("an answer", self.finish()).expect("a complete answer")
    }

    /// How the stream broke.
    #[track_caller]
    pub(crate) fn broken(self) -> h2::Error {
        wait("the end of a stream", self.finish()).expect_err("no complete answer")
    }

    /// The response head, and its body to be read.
    #[track_caller]
    pub(crate) fn head(self) -> (Response<()>, RecvStream) {
        let response = wait("a response head", self.response).expect("a response head");
        let (parts, body) = response.into_parts();
        (Response::from_parts(parts, ()), body)
    }

    /// The client gives up.
    pub(crate) fn cancel(mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

/// A request without a body yet; `fields` as in `name: value`.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(format!("http://h{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A client on one connection. Dropping it closes that.
pub(crate) struct Http2Client {
    sender: SendRequest<Bytes>,
    ended: watch::Receiver<Option<Result<(), String>>>,
    driver: AbortHandle,
}

impl Http2Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &h2::client::Builder::new())
    }

    pub(crate) fn connect_with(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        let (sender, connection) = wait("a connection", async {
            let stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).unwrap();
            builder.handshake(stream).await.expect("a handshake")
        });
        let (tell, ended) = watch::channel(None);
        let driver = runtime().spawn(async move {
            let outcome = connection.await.map_err(|error| error.to_string());
            tell.send_replace(Some(outcome));
        });
        Self { sender, ended, driver: driver.abort_handle() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, request: Request<()>, is_end: bool) -> Sent {
        self.try_send(request, is_end).expect("the connection takes it")
    }

    pub(crate) fn try_send(
        &mut self,
        request: Request<()>,
        is_end: bool,
    ) -> Result<Sent, h2::Error> {
        let mut ready = wait("room for a stream", self.sender.clone().ready())?;
        let (response, send) = ready.send_request(request, is_end)?;
        Ok(Sent { response, send })
    }

    /// Whether the proxy has said that it takes no further streams.
    pub(crate) fn is_sent_away(&self) -> bool {
        wait("an answer to that", self.sender.clone().ready()).is_err()
    }

    #[track_caller]
    pub(crate) fn send_get(&mut self, path: &str) -> Sent {
        self.send(request("GET", path, &[]), true)
    }

    #[track_caller]
    pub(crate) fn send_body(&mut self, method: &str, body: &'static [u8]) -> Sent {
        let mut sent = self.send(request(method, "/body", &[]), false);
        sent.send.send_data(Bytes::from_static(body), true).expect("the stream takes it");
        sent
    }

    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Whole {
        self.send_get(path).whole()
    }

    /// Sends GETs one after the other until the connection, or `until`, ends: the names of those
    /// that answered.
    pub(crate) fn hammer(&self, until: watch::Receiver<bool>) -> JoinHandle<Vec<Whole>> {
        let sender = self.sender.clone();
        runtime().spawn(async move {
            let mut answers = Vec::new();
            while !*until.borrow() {
                let mut ready = sender.clone().ready().await.expect("room for a stream");
                let (response, send) = ready.send_request(request("GET", "/", &[]), true).unwrap();
                answers.push(Sent { response, send }.finish().await.expect("an answer"));
            }
            answers
        })
    }

    /// How the connection ended.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Result<(), String> {
        let ended = wait("the end of the connection", self.ended.wait_for(Option::is_some));
        ended.expect("an end").clone().expect("an end")
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request at a backend.
pub(crate) struct Call {
    pub(crate) request: http::request::Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
    _open: Open,
}

impl Call {
    /// A head of a 200 with these fields; the body is to follow.
    pub(crate) fn head(&mut self, fields: &[(&str, &str)]) -> SendStream<Bytes> {
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        self.respond.send_response(response.body(()).unwrap(), false).expect("a stream")
    }

    /// A whole answer.
    pub(crate) fn answer(mut self, text: &str) {
        // The proxy may have gone; then the test sees it at its own end.
        if let Ok(mut send) = self.respond.send_response(Response::new(()), false) {
            let _ = send.send_data(Bytes::copy_from_slice(text.as_bytes()), true);
        }
    }

    /// The whole request body.
    pub(crate) async fn received(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(Ok(data)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(data.len());
            whole.extend_from_slice(&data);
        }
        whole
    }

    /// Waits until the proxy resets the stream.
    pub(crate) async fn reset(&mut self) -> Result<Reason, h2::Error> {
        std::future::poll_fn(|context| self.respond.poll_reset(context)).await
    }
}

/// How many streams are open, and how many there were at most, on one connection.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    open: AtomicUsize,
    most: AtomicUsize,
}

struct Open(Arc<Gauge>);

impl Open {
    fn new(gauge: &Arc<Gauge>) -> Self {
        let open = gauge.open.fetch_add(1, SeqCst) + 1;
        gauge.most.fetch_max(open, SeqCst);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

/// A backend, until it is dropped.
pub(crate) struct Http2Backend {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    gauges: Arc<Mutex<Vec<Arc<Gauge>>>>,
    acceptor: AbortHandle,
}

impl Http2Backend {
    /// Serves every request with `script`.
    pub(crate) fn start<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(h2::server::Builder::new(), script)
    }

    pub(crate) fn start_with<F>(
        builder: h2::server::Builder,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = wait("a free port", TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (journal, gauges) = (Journal::default(), Arc::new(Mutex::new(Vec::new())));
        let (noted, gauged, script) = (journal.clone(), Arc::clone(&gauges), Arc::new(script));
        let acceptor = runtime().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                noted.note_accepted();
                let gauge = Arc::new(Gauge::default());
                gauged.lock().unwrap().push(Arc::clone(&gauge));
                let serving =
                    serve(builder.clone(), stream, noted.clone(), gauge, Arc::clone(&script));
                tokio::spawn(serving);
            }
        });
        Self { address, journal, gauges, acceptor: acceptor.abort_handle() }
    }

    /// Answers every request with `name`.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |mut call| async move {
            call.received().await;
            call.answer(name);
        })
    }

    /// Most streams at a time on each connection so far.
    pub(crate) fn most_open(&self) -> Vec<usize> {
        self.gauges.lock().unwrap().iter().map(|gauge| gauge.most.load(SeqCst)).collect()
    }

    /// Streams open now, over all connections.
    pub(crate) fn open(&self) -> usize {
        self.gauges.lock().unwrap().iter().map(|gauge| gauge.open.load(SeqCst)).sum()
    }
}

async fn serve<F>(
    builder: h2::server::Builder,
    stream: TcpStream,
    journal: Journal,
    gauge: Arc<Gauge>,
    script: Arc<impl Fn(Call) -> F>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return journal.note_closed();
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (request, body) = request.into_parts();
        journal.note(format!("{} {}", request.method, request.uri.path()));
        tokio::spawn(script(Call { request, body, respond, _open: Open::new(&gauge) }));
    }
    drop(connection);
    journal.note_closed();
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}
