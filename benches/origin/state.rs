//! What the origin was told, and what it has seen.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use benches::journal::{Entry, now_ns};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The most different paths, and epochs, that are counted one by one.
const KINDS: usize = 1000;
/// What it can be told.
const KEYS: &str =
    "health, health_text, health_drip_ms, health_field, status, field, delay_ms, refuse_ms";

/// Everything one origin knows.
#[derive(Debug)]
pub(crate) struct State {
    /// For `x-origin`.
    pub(crate) name: HeaderValue,
    /// The answer to `GET /`.
    pub(crate) body: Bytes,
    /// What it was told.
    pub(crate) control: Control,
    journal: Option<File>,
    spans: Option<File>,
    refuse: Notify,
    requests: Cell<u64>,
    probes: Cell<u64>,
    connections: Cell<u64>,
    paths: RefCell<BTreeMap<String, u64>>,
    epochs: RefCell<BTreeMap<String, u64>>,
}

/// A field's name and value.
pub(crate) type Field = (HeaderName, HeaderValue);

/// What it was told.
#[derive(Debug)]
pub(crate) struct Control {
    /// What `/healthz` answers.
    pub(crate) health: Cell<StatusCode>,
    /// The body of that.
    pub(crate) health_text: RefCell<Bytes>,
    /// How long each byte of that body takes; zero: it comes at once.
    pub(crate) health_drip: Cell<Duration>,
    /// A field of that answer.
    pub(crate) health_field: RefCell<Option<Field>>,
    /// A field of the answers of all other paths.
    pub(crate) field: RefCell<Option<Field>>,
    /// What all other paths answer, if not what they are for.
    pub(crate) status: Cell<Option<StatusCode>>,
    /// How long the traffic waits before anything else; not the health path.
    pub(crate) delay: Cell<Duration>,
    /// For how long nobody listens, the next time the accept loop looks.
    refuse: Cell<Duration>,
}

impl State {
    pub(crate) fn new(
        name: &str,
        body: usize,
        journal: Option<&Path>,
        spans: Option<&Path>,
    ) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let (journal, spans) = (journal.map(open).transpose()?, spans.map(open).transpose()?);
        Ok(Self {
            name: HeaderValue::from_str(name).map_err(io::Error::other)?,
            body: Bytes::from(vec![b'.'; body]),
            control: Control {
                health: Cell::new(StatusCode::OK),
                health_text: RefCell::new(Bytes::from_static(b"health\n")),
                health_drip: Cell::new(Duration::ZERO),
                health_field: RefCell::default(),
                field: RefCell::default(),
                status: Cell::new(None),
                delay: Cell::new(Duration::ZERO),
                refuse: Cell::new(Duration::ZERO),
            },
            journal,
            spans,
            refuse: Notify::new(),
            requests: Cell::new(0),
            probes: Cell::new(0),
            connections: Cell::new(0),
            paths: RefCell::default(),
            epochs: RefCell::default(),
        })
    }

    /// Counts an accepted connection.
    pub(crate) fn connection(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// Counts a probe.
    pub(crate) fn probe(&self) {
        self.probes.set(self.probes.get() + 1);
    }

    /// Counts a request of the traffic by the first segment of its path.
    pub(crate) fn request(&self, path: &str, headers: &HeaderMap) {
        self.requests.set(self.requests.get() + 1);
        count(&mut self.paths.borrow_mut(), path);
        if let Some(epoch) = headers.get("x-understudy-epoch") {
            count(&mut self.epochs.borrow_mut(), &String::from_utf8_lossy(epoch.as_bytes()));
        }
    }

    /// Records a request. When this has returned, the record outlives the process: it is in the
    /// system's hands.
    pub(crate) fn record(
        &self,
        method: &Method,
        path: &str,
        id: &str,
        body: Option<u64>,
    ) -> io::Result<()> {
        let Some(mut journal) = self.journal.as_ref() else { return Ok(()) };
        let entry = Entry {
            at_ns: now_ns(),
            origin: self.name.to_str().map_err(io::Error::other)?.to_owned(),
            method: method.to_string(),
            path: path.to_owned(),
            id: id.to_owned(),
            body,
        };
        // One call, so that no line is torn and none mixes with another.
        journal.write_all(format!("{entry}\n").as_bytes())
    }

    /// Records that a request is here, until what is returned is dropped.
    pub(crate) fn span(&self, path: &str, headers: &HeaderMap) -> io::Result<Option<Stay<'_>>> {
        let Some(mut spans) = self.spans.as_ref() else { return Ok(None) };
        let (process, number) = (std::process::id(), self.requests.get());
        let name = self.name.to_str().map_err(io::Error::other)?;
        let epoch = headers.get("x-understudy-epoch").and_then(|epoch| epoch.to_str().ok());
        let (epoch, at_ns) = (epoch.unwrap_or("-"), now_ns());
        let line = format!("{at_ns} begin {process} {number} {name} {epoch} {path}\n");
        spans.write_all(line.as_bytes())?;
        Ok(Some(Stay { spans, process, number }))
    }

    /// Waits until somebody asks for a time in which nobody listens.
    pub(crate) async fn refusal(&self) -> Duration {
        self.refuse.notified().await;
        self.control.refuse.get()
    }

    /// Changes one setting; says what is wrong with it otherwise.
    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |what: &dyn std::fmt::Display| format!("{key}={value}: {what}");
        let number = || value.parse::<u64>().map_err(|error| wrong(&error));
        let status = || value.parse::<StatusCode>().map_err(|error| wrong(&error));
        let field = || -> Result<Option<Field>, String> {
            let Some((name, value)) = value.split_once(':') else { return Ok(None) };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(&error))?;
            let value = HeaderValue::from_str(value.trim()).map_err(|error| wrong(&error))?;
            Ok(Some((name, value)))
        };
        match key {
            "health" => self.control.health.set(status()?),
            "health_text" => {
                *self.control.health_text.borrow_mut() = Bytes::from(value.as_bytes().to_vec());
            }
            "health_drip_ms" => self.control.health_drip.set(Duration::from_millis(number()?)),
            "health_field" => *self.control.health_field.borrow_mut() = field()?,
            "field" => *self.control.field.borrow_mut() = field()?,
            "status" if value == "normal" => self.control.status.set(None),
            "status" => self.control.status.set(Some(status()?)),
            "delay_ms" => self.control.delay.set(Duration::from_millis(number()?)),
            "refuse_ms" => {
                self.control.refuse.set(Duration::from_millis(number()?));
                self.refuse.notify_one();
            }
            _ => return Err(wrong(&format!("unknown; there are {KEYS}"))),
        }
        Ok(())
    }

    /// What it has seen.
    pub(crate) fn stats(&self) -> Value {
        json!({
            "name": self.name.to_str().unwrap_or_default(),
            "requests": self.requests.get(),
            "probes": self.probes.get(),
            "connections": self.connections.get(),
            "paths": *self.paths.borrow(),
            "epochs": *self.epochs.borrow(),
        })
    }
}

/// A request that is here.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    spans: &'a File,
    process: u32,
    number: u64,
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let line = format!("{} end {} {}\n", now_ns(), self.process, self.number);
        // Without its end the span looks as if the process had died, which the tests notice.
        let _ = self.spans.write_all(line.as_bytes());
    }
}

/// Counts `key`, or `other` when there are too many different ones.
fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    if let Some(known) = counts.get_mut(key) {
        *known += 1;
        return;
    }
    let key = if counts.len() < KINDS { key } else { "other" };
    *counts.entry(key.to_owned()).or_default() += 1;
}
