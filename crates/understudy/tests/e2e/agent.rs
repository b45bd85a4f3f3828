//! An agent beside a backend, as HAProxy's `agent-check` knows it: one line per connection.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// It answers until this is dropped.
pub(crate) struct Agent {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    line: Mutex<String>,
    asked: AtomicU64,
    stop: AtomicBool,
}

impl Agent {
    /// Says this, without the line end, until it is told to say something else.
    pub(crate) fn start(line: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a mode");
        let shared = Arc::new(Shared { line: Mutex::new(line.to_owned()), ..Shared::default() });
        let ours = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !ours.stop.load(SeqCst) {
                let Ok((mut stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let line = ours.line.lock().expect("no panic").clone();
                // Who asked may be gone.
                let _ = stream.write_all(format!("{line}\n").as_bytes());
                ours.asked.fetch_add(1, SeqCst);
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn say(&self, line: &str) {
        line.clone_into(&mut self.shared.line.lock().expect("no panic"));
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.shared.asked.load(SeqCst)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}
