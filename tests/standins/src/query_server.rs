//! A query server: long queries, a shut-down that cuts none of them, and metadata that is copied.
//!
//! That it is alive and that it answers queries are two things, as in the product.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use standins::journal::Journal;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::Common;
use crate::server::{Answer, Asked, answer, run as run_here, serve, unknown};

/// What asks for a drain, in every answer while it shuts down.
const DRAIN: &str = "understudy-drain";
/// From one row of a streamed answer to the next.
const ROW: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// `user:password`, wanted of every query.
    #[arg(long)]
    login: Option<String>,
    /// The version of the metadata that it starts with.
    #[arg(long, default_value_t = 1)]
    metadata: u64,
    /// How long it takes new queries when it was told to shut down and says so, until whoever watches
    /// has seen that; then it refuses them.
    #[arg(long, default_value_t = 3000)]
    notice_ms: u64,
}

struct Server {
    name: String,
    journal: Journal,
    /// What a query has to say in `authorization`.
    login: Option<String>,
    notice: Duration,
    running: Cell<u64>,
    /// It was told to shut down.
    ends: Cell<bool>,
    /// And takes no new queries any more.
    refuses: Cell<bool>,
    /// Told so: it is alive, and answers no query.
    sick: Cell<bool>,
    metadata: Cell<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let login = arguments.login.as_ref();
    let server = Rc::new(Server {
        name: arguments.common.name.clone(),
        journal: arguments.common.journal()?,
        login: login.map(|login| format!("Basic {}", STANDARD.encode(login))),
        notice: Duration::from_millis(arguments.notice_ms),
        running: Cell::new(0),
        ends: Cell::new(false),
        refuses: Cell::new(false),
        sick: Cell::new(false),
        metadata: Cell::new(arguments.metadata),
    });
    server.journal.note("started", json!({ "metadata": arguments.metadata }));
    run_here(serve(arguments.common.listen, None, move |asked| {
        let server = Rc::clone(&server);
        async move {
            let mut answer = server.answer(asked).await;
            let headers = answer.headers_mut();
            if let Ok(name) = server.name.parse() {
                headers.insert("x-origin", name);
            }
            if server.ends.get() {
                headers.insert(DRAIN, http::HeaderValue::from_static("1"));
            }
            answer
        }
    }))
}

impl Server {
    async fn answer(self: &Rc<Self>, asked: Asked) -> Answer {
        match asked.what() {
            ("GET", "/alive") => answer(StatusCode::OK, "alive\n"),
            ("GET", "/query") => self.query(&asked).await,
            ("POST", "/shutdown") => {
                self.shut_down();
                answer(StatusCode::ACCEPTED, "when the queries are done\n")
            }
            ("POST", "/sick") => {
                self.sick.set(asked.value("so") != "no");
                answer(StatusCode::NO_CONTENT, "")
            }
            ("GET", "/metadata") => {
                let version = self.metadata.get();
                self.journal.note("exported", json!({ "version": version }));
                answer(StatusCode::OK, json!({ "version": version, "of": self.name }).to_string())
            }
            ("POST", "/metadata") => self.import(&asked),
            ("POST", "/metadata/change") => {
                self.metadata.set(self.metadata.get() + 1);
                answer(StatusCode::OK, json!({ "version": self.metadata.get() }).to_string())
            }
            _ => unknown(),
        }
    }

    async fn query(self: &Rc<Self>, asked: &Asked) -> Answer {
        if self.login.is_some() && self.login.as_deref() != asked.field("authorization") {
            return answer(StatusCode::UNAUTHORIZED, "who are you?\n");
        }
        if self.sick.get() {
            return answer(StatusCode::INTERNAL_SERVER_ERROR, "the engine does not answer\n");
        }
        if self.refuses.get() {
            self.journal.note("refused", Value::Null);
            return answer(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
        }
        let takes = Duration::from_secs_f64(asked.value("seconds").parse().unwrap_or(0.0));
        let mut running = Running::begin(Rc::clone(self), asked.value("id"));
        if asked.value("rows").is_empty() {
            sleep(takes).await;
            running.done = true;
            return answer(StatusCode::OK, "done\n");
        }
        self.rows(takes, running)
    }

    /// An answer that comes row by row. It is done when the last row has been taken.
    fn rows(&self, takes: Duration, running: Running) -> Answer {
        let until = Instant::now() + takes;
        // On a task of its own, as the query is `!Send` and an answer's body is not.
        let (say, rows) = tokio::sync::mpsc::channel::<Bytes>(1);
        spawn_local(async move {
            let mut running = running;
            while Instant::now() < until {
                sleep(ROW).await;
                if say.send(Bytes::from_static(b"a row\n")).await.is_err() {
                    return;
                }
            }
            running.done = say.send(Bytes::from_static(b"done\n")).await.is_ok();
        });
        let rows = stream::unfold(rows, |mut rows| async move {
            let row = rows.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(row)), rows))
        });
        Answer::new(StreamBody::new(rows).boxed_unsync())
    }

    fn shut_down(self: &Rc<Self>) {
        if self.ends.replace(true) {
            return;
        }
        self.journal.note("shutting down", json!({ "running": self.running.get() }));
        let server = Rc::clone(self);
        spawn_local(async move {
            sleep(server.notice).await;
            server.refuses.set(true);
            while server.running.get() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
            // What is done is on its way out.
            sleep(Duration::from_millis(100)).await;
            server.journal.note("ended", Value::Null);
            std::process::exit(0);
        });
    }

    fn import(&self, asked: &Asked) -> Answer {
        let copy: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let Some(version) = copy["version"].as_u64() else {
            return answer(StatusCode::BAD_REQUEST, "no metadata\n");
        };
        self.metadata.set(version);
        self.journal.note("imported", json!({ "version": version, "from": copy["of"] }));
        answer(StatusCode::OK, "imported\n")
    }
}

/// A query, from its begin to its end: `done`, or `cut` when nobody waited for it.
struct Running {
    server: Rc<Server>,
    id: String,
    done: bool,
}

impl Running {
    fn begin(server: Rc<Server>, id: &str) -> Self {
        server.running.set(server.running.get() + 1);
        server.journal.note("began", json!({ "id": id }));
        Self { server, id: id.to_owned(), done: false }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self { server, id, done } = self;
        server.running.set(server.running.get() - 1);
        server.journal.note(if *done { "done" } else { "cut" }, json!({ "id": id }));
    }
}
