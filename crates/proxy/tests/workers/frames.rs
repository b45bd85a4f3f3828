//! HTTP/2 frame by frame: backends that do exactly what a test says, also what no library would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};

use super::backend::Journal;
use super::rig::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames (RFC 9113 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113 7.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;

/// RFC 9113 6.5.2.
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// What came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A connection with the proxy, which has said hello.
pub(crate) struct Wire {
    /// How many connections came before this one.
    pub(crate) index: usize,
    pub(crate) journal: Journal,
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    fn fill(&mut self) -> Option<()> {
        let mut space = [0; 16 * 1024];
        let read = self.stream.read(&mut space).ok().filter(|read| *read > 0)?;
        self.input.extend_from_slice(&space[..read]);
        Some(())
    }

    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.input.len() < bytes {
            self.fill()?;
        }
        Some(self.input.drain(..bytes).collect())
    }

    /// The next frame, after settings and pings, which are answered; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let head = self.take(9)?;
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff;
            let payload = self.take(length)?;
            match kind {
                SETTINGS | PING => {
                    if flags & ACK == 0 {
                        let echo = if kind == PING { &*payload } else { &[] };
                        self.send(kind, ACK, 0, echo);
                    }
                }
                WINDOW_UPDATE => {}
                _ => {
                    if kind == HEADERS {
                        // RFC 7541 appendix A: the static table has GET at 2 and POST at 3.
                        let method = match payload.iter().find(|byte| matches!(byte, 0x82 | 0x83)) {
                            Some(0x82) => "GET",
                            _ => "POST",
                        };
                        self.journal.note(format!("{method} {stream} on {}", self.index));
                    }
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
        }
    }

    /// The next request's stream, its body read to the end.
    pub(crate) fn request(&mut self) -> Option<u32> {
        let head = loop {
            let frame = self.next()?;
            if frame.kind == HEADERS {
                break frame;
            }
        };
        let mut is_ended = head.ends_stream();
        while !is_ended {
            let frame = self.next()?;
            assert_eq!(frame.stream, head.stream, "one request at a time");
            is_ended = frame.ends_stream();
        }
        Some(head.stream)
    }

    /// Reads so many bytes more.
    pub(crate) fn read_ahead(&mut self, bytes: usize) {
        let until = self.input.len() + bytes;
        while self.input.len() < until && self.fill().is_some() {}
    }

    /// How many bytes have been read that are no whole frame yet.
    pub(crate) fn ahead(&self) -> usize {
        self.input.len()
    }

    /// Reads on until the proxy closes the connection.
    pub(crate) fn until_closed(&mut self) {
        while self.next().is_some() {}
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The proxy may have gone; then the test sees it at its own end.
        let _ = self.stream.write_all(&frame);
    }

    pub(crate) fn settings(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.send(SETTINGS, 0, 0, &payload);
    }

    /// Gives the proxy room on the whole connection.
    pub(crate) fn window_update(&mut self, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes());
    }

    /// `:status: 200`, and perhaps a length.
    pub(crate) fn head(&mut self, stream: u32, length: Option<usize>) {
        let mut block = vec![0x88];
        if let Some(length) = length {
            // RFC 7541 6.2.2: a literal without indexing, its name the 28th of the static table.
            let text = length.to_string();
            block.extend_from_slice(&[0x0f, 28 - 15, u8::try_from(text.len()).unwrap()]);
            block.extend_from_slice(text.as_bytes());
        }
        self.send(HEADERS, END_HEADERS, stream, &block);
    }

    pub(crate) fn last_data(&mut self, stream: u32, bytes: &[u8]) {
        self.send(DATA, END_STREAM, stream, bytes);
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, stream: u32, text: &str) {
        self.head(stream, Some(text.len()));
        self.last_data(stream, text.as_bytes());
    }

    pub(crate) fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Streams above `last` have not been, and will not be, acted on (RFC 9113 6.8).
    pub(crate) fn goaway(&mut self, last: u32, code: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
    }
}

/// A backend of HTTP/2, until it is dropped.
pub(crate) struct FrameBackend {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    stop: Arc<AtomicBool>,
}

impl FrameBackend {
    /// Serves every connection with `script`, one thread each; its end is the connection's.
    pub(crate) fn start(script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        Self::start_with(&[], None, script)
    }

    /// With these settings, and so many bytes of what has not been read kept by the system.
    pub(crate) fn start_with(
        settings: &'static [(u16, u32)],
        buffer: Option<usize>,
        script: impl Fn(&mut Wire) + Send + Sync + 'static,
    ) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        if let Some(bytes) = buffer {
            listener.set_recv_buffer_size(bytes).unwrap();
        }
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listener.listen(128).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let (journal, stop) = (Journal::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopped, script) = (journal.clone(), Arc::clone(&stop), Arc::new(script));
        thread::spawn(move || {
            loop {
                let (stream, _) = listener.accept().unwrap();
                if stopped.load(SeqCst) {
                    return;
                }
                let (noted, script) = (noted.clone(), Arc::clone(&script));
                let index = noted.note_accepted();
                thread::spawn(move || {
                    let stream = TcpStream::from(stream);
                    stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let journal = noted.clone();
                    let mut wire = Wire { index, journal, stream, input: Vec::new() };
                    wire.settings(settings);
                    if wire.take(PREFACE.len()).is_some_and(|preface| preface == PREFACE) {
                        script(&mut wire);
                    }
                    drop(wire);
                    noted.note_closed();
                });
            }
        });
        Self { address, journal, stop }
    }

    /// Answers every request with `name`.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |wire| {
            while let Some(stream) = wire.request() {
                wire.answer(stream, name);
            }
        })
    }
}

impl Drop for FrameBackend {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}
