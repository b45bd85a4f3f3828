//! A backend that follows a script, on plain sockets, and remembers every byte it was sent.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use benches::condition::wait_for;

/// How long a script waits for the proxy, and a test for a script.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A listening backend. Its threads end with their connections.
pub(crate) struct Backend {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    complete: Mutex<Vec<Seen>>,
    failed: AtomicBool,
}

/// A request that arrived whole.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Request line and fields, with their line ends.
    pub(crate) head: String,
    /// The content, without framing.
    pub(crate) body: Vec<u8>,
    /// Every byte of it.
    pub(crate) raw: Vec<u8>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.raw))
    }
}

impl Seen {
    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// All values of a field; the name in any case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

impl Backend {
    /// Starts a backend that runs `script` on each connection. A probe connects and sends nothing: to
    /// a script it is a connection that ends before its first request.
    pub(crate) fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Log::default());
        let (ours, script) = (Arc::clone(&log), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, script) = (Arc::clone(&ours), Arc::clone(&script));
                thread::spawn(move || {
                    let run = || script(&mut Connection::new(stream, Arc::clone(&log)));
                    // The message has been printed; the test learns of it when it ends.
                    if catch_unwind(AssertUnwindSafe(run)).is_err() {
                        log.failed.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, log }
    }

    /// Answers every request with these bytes.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::start(
            move |connection| while connection.request().is_some() && connection.write(answer) {},
        )
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that arrived whole so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().clone()
    }

    /// Those whose request line has `marker`.
    pub(crate) fn seen_with(&self, marker: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.line().contains(marker)).collect()
    }

    /// Waits for a request whose request line has `marker`.
    pub(crate) fn wait_seen(&self, marker: &str) -> Seen {
        wait_for(PATIENCE, &format!("the backend sees {marker}"), || {
            self.seen_with(marker).pop().ok_or_else(|| self.seen())
        })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let failed = self.log.failed.load(Ordering::Relaxed);
        assert!(!failed || thread::panicking(), "a script found what it must not find; see above");
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, in the hands of a script.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    log: Arc<Log>,
}

impl Connection {
    fn new(stream: TcpStream, log: Arc<Log>) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        // Longer than any test: a pooled connection may be idle for as long as its test runs.
        stream.set_read_timeout(Some(PATIENCE * 3)).expect("a timeout");
        Self { stream, received: Vec::new(), log }
    }

    /// Reads one whole request; `None` when the connection ends or what arrives is no request.
    pub(crate) fn request(&mut self) -> Option<Seen> {
        let head = self.head()?;
        let probe = Seen { head: head.clone(), body: Vec::new(), raw: head.clone().into_bytes() };
        let mut raw = head.as_bytes().to_vec();
        let body = if probe.values("transfer-encoding") == ["chunked"] {
            self.chunked(&mut raw)?
        } else {
            let length =
                probe.values("content-length").first().map_or(Some(0), |l| l.parse().ok())?;
            let body = self.take(length)?;
            raw.extend_from_slice(&body);
            body
        };
        let seen = Seen { body, raw, ..probe };
        self.log.lock().push(seen.clone());
        Some(seen)
    }

    /// The same, saying 100 first if the request waits for it.
    pub(crate) fn request_after_100(&mut self) -> Option<Seen> {
        let end = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
        if head.contains("expect: 100-continue") {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.request()
    }

    /// Reads exactly so many bytes, of whatever they are.
    pub(crate) fn take_exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        self.take(size)
    }

    /// Reads a request's head only, and leaves its body in the socket.
    pub(crate) fn head(&mut self) -> Option<String> {
        let end = self.until(b"\r\n\r\n")?;
        let head: Vec<u8> = self.received.drain(..end).collect();
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    fn chunked(&mut self, raw: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.until(b"\r\n")?;
            let line = self.take(end)?;
            let text = std::str::from_utf8(&line[..end - 2]).ok()?;
            let size = usize::from_str_radix(text.split(';').next()?, 16).ok()?;
            raw.extend_from_slice(&line);
            if size == 0 {
                break;
            }
            let data = self.take(size + 2)?;
            if !data.ends_with(b"\r\n") {
                return None;
            }
            raw.extend_from_slice(&data);
            body.extend_from_slice(&data[..size]);
        }
        // Trailer fields, then an empty line.
        loop {
            let end = self.until(b"\r\n")?;
            let line = self.take(end)?;
            raw.extend_from_slice(&line);
            if end == 2 {
                return Some(body);
            }
        }
    }

    /// Reads on until `pattern` has arrived; where it ends.
    fn until(&mut self, pattern: &[u8]) -> Option<usize> {
        loop {
            let found = self.received.windows(pattern.len()).position(|window| window == pattern);
            if let Some(position) = found {
                return Some(position + pattern.len());
            }
            self.more()?;
        }
    }

    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.received.len() < size {
            self.more()?;
        }
        Some(self.received.drain(..size).collect())
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(size) if size > 0 => {
                self.received.extend_from_slice(&buffer[..size]);
                Some(())
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// Sends; false when the other side has gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads until the other side closes; false if it does not.
    pub(crate) fn closed(&mut self) -> bool {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}
