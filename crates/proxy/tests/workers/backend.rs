//! Scripted backends: plain sockets that do exactly what a test says, and note what reaches them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::rig::{PATIENCE, until};

/// What becomes of the connection after a request.
pub(crate) enum Then {
    /// It takes another request.
    Next,
    /// It is closed.
    Close,
}

/// One request at a backend, its head read and its body still to come.
pub(crate) struct Exchange {
    /// How many requests came before this one, over all connections.
    pub(crate) index: usize,
    /// The head, with its empty line.
    pub(crate) head: String,
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Exchange {
    /// The next request on `stream`, if there is one.
    fn next(stream: &TcpStream, input: Vec<u8>) -> Option<Self> {
        let stream = stream.try_clone().ok()?;
        let mut exchange = Self { index: 0, head: String::new(), stream, input };
        exchange.head = exchange.take_through(b"\r\n\r\n")?;
        Some(exchange)
    }

    fn fill(&mut self) -> Option<()> {
        let mut space = [0; 16 * 1024];
        let read = self.stream.read(&mut space).ok().filter(|read| *read > 0)?;
        self.input.extend_from_slice(&space[..read]);
        Some(())
    }

    fn take_through(&mut self, end: &[u8]) -> Option<String> {
        loop {
            let found = self.input.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let taken: Vec<u8> = self.input.drain(..at + end.len()).collect();
                return String::from_utf8(taken).ok();
            }
            self.fill()?;
        }
    }

    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.input.len() < bytes {
            self.fill()?;
        }
        Some(self.input.drain(..bytes).collect())
    }

    /// The whole body; `None` when the connection ends before it does.
    pub(crate) fn body(&mut self) -> Option<Vec<u8>> {
        if let Some(length) = self.field("content-length") {
            return self.take(length.parse().expect("a length"));
        }
        let mut body = Vec::new();
        if self.field("transfer-encoding").is_some() {
            loop {
                let line = self.take_through(b"\r\n")?;
                let size = usize::from_str_radix(line.trim(), 16).expect("a size");
                let chunk = self.take(size + 2)?;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(body)
    }

    /// Reads on until the proxy closes the connection.
    pub(crate) fn body_until_closed(&mut self) {
        while self.fill().is_some() {}
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // The proxy may have gone; then the test sees it at its own end.
        let _ = self.stream.write_all(bytes);
    }

    /// A complete answer.
    pub(crate) fn answer(&mut self, text: &str) -> Then {
        let length = text.len();
        self.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}").as_bytes());
        Then::Next
    }
}

/// What reached a backend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Journal {
    /// The first lines of the requests that arrived, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// A request has arrived.
    pub(crate) fn note(&self, request: String) {
        self.0.lock().unwrap().push(request);
    }

    /// A connection has been accepted: how many were before it.
    pub(crate) fn note_accepted(&self) -> usize {
        self.1.fetch_add(1, SeqCst)
    }

    pub(crate) fn note_closed(&self) {
        self.2.fetch_add(1, SeqCst);
    }

    /// Connections accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.1.load(SeqCst)
    }

    /// Connections closed by us or by the proxy.
    pub(crate) fn closed(&self) -> usize {
        self.2.load(SeqCst)
    }

    pub(crate) fn await_requests(&self, count: usize) {
        until(&format!("{count} requests at the backend"), || self.count() >= count);
    }
}

/// A backend, until it is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    stop: Arc<AtomicBool>,
}

impl Backend {
    /// Serves every request with `script`, one thread per connection.
    pub(crate) fn start(script: impl Fn(&mut Exchange) -> Then + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        script: impl Fn(&mut Exchange) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().unwrap();
        let (journal, stop) = (Journal::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopped, script) = (journal.clone(), Arc::clone(&stop), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(SeqCst) {
                    return;
                }
                let (stream, noted, script) = (stream.unwrap(), noted.clone(), Arc::clone(&script));
                noted.1.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    converse(&stream, &noted, &*script);
                    drop(stream);
                    noted.2.fetch_add(1, SeqCst);
                });
            }
        });
        Self { address, journal, stop }
    }

    /// Answers every request with `name`.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |exchange| match exchange.body() {
            Some(_) => exchange.answer(name),
            None => Then::Close,
        })
    }

    /// Reads whole requests and never answers; ends with the proxy's end.
    pub(crate) fn silent() -> Self {
        Self::start(|exchange| {
            exchange.body_until_closed();
            Then::Close
        })
    }
}

fn converse(stream: &TcpStream, journal: &Journal, script: &dyn Fn(&mut Exchange) -> Then) {
    stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut input = Vec::new();
    while let Some(mut exchange) = Exchange::next(stream, std::mem::take(&mut input)) {
        {
            let mut requests = journal.0.lock().unwrap();
            exchange.index = requests.len();
            requests.push(exchange.head.lines().next().unwrap_or_default().to_owned());
        }
        match script(&mut exchange) {
            Then::Next => input = exchange.input,
            Then::Close => return,
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// An address nobody listens at: not on the host where the backends of other tests are given ports.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap().local_addr().unwrap()
}

/// A host that drops whoever wants to connect: its queue is full, and nobody accepts.
pub(crate) struct Deaf {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Deaf {
    pub(crate) fn start() -> Self {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        // Those that get no answer within this time are not in the queue: it is full.
        let patience = Duration::from_millis(200);
        loop {
            let client = socket();
            let connected = client.connect_timeout(&address.into(), patience).is_ok();
            queued.push(client);
            if !connected {
                break;
            }
            assert!(queued.len() < 100, "a queue without an end");
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

/// Closed until it is opened, once.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, 3 * PATIENCE, |open| !*open).unwrap();
        assert!(*open, "the gate was never opened");
    }
}

/// A backend that can say at any moment what has been sent to it so far: what waits in its sockets
/// counts as arrived.
pub(crate) struct Ledger {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<LedgerState>>,
    stop: Arc<AtomicBool>,
}

struct LedgerState {
    name: &'static str,
    listener: TcpListener,
    connections: Vec<(TcpStream, Vec<u8>)>,
    fenced: bool,
    arrived: usize,
    leaked: usize,
}

impl Ledger {
    pub(crate) fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = LedgerState {
            name,
            listener,
            connections: Vec::new(),
            fenced: true,
            arrived: 0,
            leaked: 0,
        };
        let (state, stop) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let (served, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            while !stopped.load(SeqCst) {
                served.lock().unwrap().serve();
                thread::sleep(Duration::from_micros(200));
            }
        });
        Self { address, state, stop }
    }

    /// Whatever is sent from now on is a leak.
    pub(crate) fn fence(&self) {
        let mut state = self.state.lock().unwrap();
        while state.serve() {}
        state.fenced = true;
    }

    pub(crate) fn unfence(&self) {
        let mut state = self.state.lock().unwrap();
        while state.serve() {}
        state.fenced = false;
    }

    /// Requests that arrived, and those of them that came behind the fence.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.arrived, state.leaked)
    }
}

impl LedgerState {
    /// Takes in and answers everything there is: whether there was anything.
    fn serve(&mut self) -> bool {
        let mut moved = false;
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            self.connections.push((stream, Vec::new()));
            moved = true;
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}", self.name);
        let mut requests = 0;
        self.connections.retain_mut(|(stream, input)| {
            let mut space = [0; 4096];
            loop {
                match stream.read(&mut space) {
                    Ok(0) => return false,
                    Ok(read) => {
                        moved = true;
                        input.extend_from_slice(&space[..read]);
                    }
                    Err(error) => {
                        if error.kind() != std::io::ErrorKind::WouldBlock {
                            return false;
                        }
                        break;
                    }
                }
            }
            while let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
                input.drain(..end + 4);
                requests += 1;
                if stream.write_all(answer.as_bytes()).is_err() {
                    return false;
                }
            }
            true
        });
        self.arrived += requests;
        if self.fenced {
            self.leaked += requests;
        }
        moved
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}
