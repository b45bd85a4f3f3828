//! One of two license managers. Both grant from one database, over TLS with a certificate of their own.
//!
//! While it starts, everything but the connection fails; a client that starts takes it a moment.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};
use standins::journal::Journal;
use tokio::task::spawn_local;
use tokio::time::{sleep, sleep_until};

use crate::server::{Answer, Asked, answer, run as run_here, serve, unknown};
use crate::{Common, tls};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Its certificate, a PEM file; made if it is missing, with the key beside it.
    #[arg(long)]
    certificate: PathBuf,
    /// The database that both share.
    #[arg(long)]
    store: PathBuf,
    /// How long it starts.
    #[arg(long, default_value_t = 0)]
    starting_ms: u64,
    /// How long it works on the request of a client that starts.
    #[arg(long, default_value_t = 200)]
    start_up_ms: u64,
}

struct Manager {
    name: String,
    journal: Journal,
    store: PathBuf,
    ready_at: Instant,
    start_up: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let manager = Rc::new(Manager {
        name: arguments.common.name.clone(),
        journal: arguments.common.journal()?,
        store: arguments.store.clone(),
        ready_at: Instant::now() + Duration::from_millis(arguments.starting_ms),
        start_up: Duration::from_millis(arguments.start_up_ms),
    });
    manager.journal.note("started", Value::Null);
    let tls = tls::acceptor(&arguments.certificate)?;
    let ours = Rc::clone(&manager);
    run_here(async move {
        spawn_local(async move {
            sleep_until(ours.ready_at.into()).await;
            ours.journal.note("ready", Value::Null);
        });
        serve(arguments.common.listen, Some(tls), move |asked| {
            let manager = Rc::clone(&manager);
            async move { manager.answer(asked).await }
        })
        .await
    })
}

impl Manager {
    async fn answer(&self, asked: Asked) -> Answer {
        if Instant::now() < self.ready_at {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "starting\n");
        }
        match asked.what() {
            ("GET", "/pingLicenseManager") => answer(StatusCode::OK, "OK\n"),
            ("POST", "/license/renew") => self.grant("renewed", asked.value("client")),
            ("POST", "/license/start") => {
                sleep(self.start_up).await;
                self.grant("let start", asked.value("client"))
            }
            // The tool on the same host that is nobody's business but the administrators'.
            (_, "/admin") => {
                self.journal.note("administered", Value::Null);
                answer(StatusCode::OK, "the administration tool\n")
            }
            _ => unknown(),
        }
    }

    fn grant(&self, what: &str, client: &str) -> Answer {
        match grant(&self.store, client, &self.name) {
            Ok(number) => {
                self.journal.note(what, json!({ "client": client, "number": number }));
                let body = json!({ "client": client, "number": number, "by": self.name });
                let mut granted = answer(StatusCode::OK, body.to_string());
                if let Ok(name) = self.name.parse() {
                    granted.headers_mut().insert("x-origin", name);
                }
                granted
            }
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// Enters the grant into the database; its number there.
fn grant(store: &Path, client: &str, by: &str) -> io::Result<u64> {
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(store)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut all: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({ "grants": 0 }));
    let number = all["grants"].as_u64().unwrap_or_default() + 1;
    all["grants"] = number.into();
    all["clients"][client] = by.into();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(all.to_string().as_bytes())?;
    Ok(number)
}
