//! Two backends on one thread, which therefore knows in which order requests reached the two.
//!
//! Of two processes neither knows when the other one's request was there: each reads its own when the
//! system gives it a turn.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use benches::condition::wait_for;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::stage::PATIENCE;

/// The names of the two.
pub(crate) const NAMES: [&str; 2] = ["a", "b"];

/// A request that reached a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The backend's place in [`NAMES`].
    pub(crate) backend: usize,
    /// What the balancer said in `x-understudy-epoch`.
    pub(crate) epoch: u64,
    /// Its target.
    pub(crate) target: String,
}

/// Both of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Twins {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    addresses: [SocketAddr; 2],
    ill: [AtomicBool; 2],
    /// Wished for, and so.
    dead: [AtomicBool; 2],
    is_dead: [AtomicBool; 2],
    stop: AtomicBool,
    starts: Mutex<Vec<Start>>,
}

impl Twins {
    pub(crate) fn start() -> Self {
        let listeners = NAMES.map(|_| listen("127.0.0.1:0".parse().expect("an address")));
        let shared = Arc::new(Shared {
            addresses: [0, 1].map(|place: usize| listeners[place].local_addr().expect("bound")),
            ill: Default::default(),
            dead: Default::default(),
            is_dead: Default::default(),
            stop: AtomicBool::new(false),
            starts: Mutex::default(),
        });
        let ours = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let [a, b] = listeners;
            let mut server =
                Server { shared: ours, listeners: [Some(a), Some(b)], open: Vec::new() };
            while !server.shared.stop.load(Relaxed) {
                server.turn();
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Names and URLs.
    pub(crate) fn backends(&self) -> [(&'static str, String); 2] {
        [0, 1].map(|place| (NAMES[place], format!("http://{}", self.shared.addresses[place])))
    }

    /// The health endpoint says so from now on; requests are answered all the same.
    pub(crate) fn set_ill(&self, backend: usize, ill: bool) {
        self.shared.ill[backend].store(ill, Relaxed);
    }

    /// Ends a backend as the system ends the sockets of a killed process, or begins it again.
    pub(crate) fn set_dead(&self, backend: usize, dead: bool) {
        self.shared.dead[backend].store(dead, Relaxed);
        wait_for(PATIENCE, "the server obeys", || {
            let is_dead = self.shared.is_dead[backend].load(Relaxed);
            if is_dead == dead { Ok(()) } else { Err(()) }
        });
    }

    /// The requests in the order in which they came, but probes.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.shared.starts.lock().expect("no panic").clone()
    }
}

impl Drop for Twins {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server panicked");
        }
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).expect("bind");
    listener.set_nonblocking(true).expect("a mode");
    listener
}

struct Server {
    shared: Arc<Shared>,
    listeners: [Option<TcpListener>; 2],
    open: Vec<Connection>,
}

struct Connection {
    backend: usize,
    stream: TcpStream,
    received: Vec<u8>,
    /// Answers and when they are due.
    answers: VecDeque<(Instant, Vec<u8>)>,
    /// Where the body of the last request ends in what is received.
    body_left: usize,
    closed: bool,
}

impl Server {
    /// Waits for something, and takes all that there is.
    fn turn(&mut self) {
        self.live_and_die();
        let due = self.open.iter().filter_map(|c| c.answers.front()).map(|(at, _)| *at).min();
        let wait = due.map_or(5, |at| at.saturating_duration_since(Instant::now()).as_millis());
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.min(5) as i64 * 1_000_000 };
        let mut waiting: Vec<PollFd<'_>> = self.listeners.iter().flatten().map(readable).collect();
        waiting.extend(self.open.iter().map(|connection| readable(&connection.stream)));
        poll(&mut waiting, Some(&wait)).expect("poll");
        self.take_all();
        for connection in &mut self.open {
            connection.answer();
        }
        self.open.retain(|connection| !connection.closed);
    }

    /// What one turn finds came at the same time, as far as anybody knows, and may have come in the
    /// order of the epochs. What a later turn finds at another backend came later: therefore this looks
    /// at the other one again after each look that found a request.
    fn take_all(&mut self) {
        let mut found = Vec::new();
        for backend in [0, 1] {
            self.take(backend, &mut found);
        }
        let mut looked_after = None;
        while let Some(newest) = found.iter().max_by_key(|start: &&Start| start.epoch).cloned()
            && looked_after != Some(newest.epoch)
        {
            looked_after = Some(newest.epoch);
            self.take(1 - newest.backend, &mut found);
        }
        found.sort_by_key(|start| start.epoch);
        self.shared.starts.lock().expect("no panic").extend(found);
    }

    /// Everything that has come to one of them.
    fn take(&mut self, backend: usize, found: &mut Vec<Start>) {
        if let Some(listener) = &self.listeners[backend] {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).expect("a mode");
                stream.set_nodelay(true).expect("an option");
                self.open.push(Connection {
                    backend,
                    stream,
                    received: Vec::new(),
                    answers: VecDeque::new(),
                    body_left: 0,
                    closed: false,
                });
            }
        }
        let ill = self.shared.ill[backend].load(Relaxed);
        for connection in self.open.iter_mut().filter(|open| open.backend == backend) {
            connection.read();
            while let Some(start) = connection.next_request(ill) {
                if start.target != "/healthz" {
                    found.push(start);
                }
            }
        }
    }

    fn live_and_die(&mut self) {
        for backend in [0, 1] {
            let dead = self.shared.dead[backend].load(Relaxed);
            if dead && self.listeners[backend].take().is_some() {
                self.open.retain(|open| open.backend != backend);
            } else if !dead && self.listeners[backend].is_none() {
                self.listeners[backend] = Some(listen(self.shared.addresses[backend]));
            }
            self.shared.is_dead[backend].store(dead, Relaxed);
        }
    }
}

fn readable(socket: &impl std::os::fd::AsFd) -> PollFd<'_> {
    PollFd::new(socket, PollFlags::IN)
}

impl Connection {
    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(size) => {
                    self.received.extend_from_slice(&buffer[..size]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.closed = true,
            }
            return;
        }
    }

    /// The next request whose head is there. Its answer is due when its body should be there as well.
    fn next_request(&mut self, ill: bool) -> Option<Start> {
        let body = self.body_left.min(self.received.len());
        self.received.drain(..body);
        self.body_left -= body;
        let end = self.received.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(self.received.drain(..end + 4).collect()).expect("text");
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim())
        };
        self.body_left =
            field("content-length").map_or(0, |length| length.parse().expect("length"));
        let target = head.split(' ').nth(1).expect("a target").to_owned();
        let work = target.split_once("ms=").map_or(0, |(_, ms)| ms.parse().expect("a time"));
        let status = if target == "/healthz" && ill { "503 Ill" } else { "200 OK" };
        let name = NAMES[self.backend];
        let answer =
            format!("HTTP/1.1 {status}\r\nx-origin: {name}\r\ncontent-length: 3\r\n\r\nok\n");
        self.answers.push_back((Instant::now() + Duration::from_millis(work), answer.into()));
        let epoch = field("x-understudy-epoch").map_or(0, |epoch| epoch.parse().expect("a number"));
        Some(Start { backend: self.backend, epoch, target })
    }

    fn answer(&mut self) {
        let now = Instant::now();
        while self.answers.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, answer)) = self.answers.pop_front() else { return };
            self.closed |= self.stream.write_all(&answer).is_err();
        }
    }
}
