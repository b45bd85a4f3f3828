//! Backends in the test's own process whose every path answers as the test says, on plain sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::backend::{Backend, Seen};

/// A backend with a name, which it says in `x-origin`.
pub(crate) struct Desk {
    backend: Backend,
    answers: Arc<Mutex<BTreeMap<String, Reply>>>,
}

/// What a path answers.
#[derive(Clone)]
struct Reply {
    status: u16,
    body: String,
    after: Duration,
}

impl Desk {
    /// Every path answers 200.
    pub(crate) fn open(name: &'static str) -> Self {
        let answers: Arc<Mutex<BTreeMap<String, Reply>>> = Arc::default();
        let ours = Arc::clone(&answers);
        let backend = Backend::start(move |connection| {
            while let Some(request) = connection.request() {
                let path = path(&request);
                let plain = Reply { status: 200, body: String::from("ok"), after: Duration::ZERO };
                let reply = ours.lock().expect("no panic").get(&path).cloned().unwrap_or(plain);
                // As long as asked for: it is what the test is about.
                thread::sleep(reply.after);
                let answer = format!(
                    "HTTP/1.1 {} As Told\r\nx-origin: {name}\r\ncontent-length: {}\r\n\r\n{}",
                    reply.status,
                    reply.body.len(),
                    reply.body
                );
                if !connection.write(answer.as_bytes()) {
                    return;
                }
            }
        });
        Self { backend, answers }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.backend.address())
    }

    /// From now on this path answers so.
    pub(crate) fn set(&self, path: &str, status: u16, body: &str) {
        self.put(path, Reply { status, body: body.to_owned(), after: Duration::ZERO });
    }

    /// From now on this path answers 200, but after this time.
    pub(crate) fn set_slow(&self, path: &str, after: Duration) {
        self.put(path, Reply { status: 200, body: String::from("late"), after });
    }

    /// How many requests for this path have come.
    pub(crate) fn asked(&self, wanted: &str) -> usize {
        self.backend.seen().iter().filter(|seen| path(seen) == wanted).count()
    }

    fn put(&self, path: &str, reply: Reply) {
        self.answers.lock().expect("no panic").insert(path.to_owned(), reply);
    }
}

fn path(request: &Seen) -> String {
    request.line().split(' ').nth(1).unwrap_or_default().to_owned()
}
