//! An operator at the Unix socket of the balancer.

use std::io;
use std::path::{Path, PathBuf};

use benches::condition::wait_for;
use benches::fetch::{Answer, request_unix};
use serde_json::{Value, json};

use crate::stage::PATIENCE;

/// Whoever may open the socket.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    socket: PathBuf,
}

impl Operator {
    /// At the socket of a balancer that keeps its things in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { socket: Self::socket_in(folder) }
    }

    /// Where that socket is.
    pub(crate) fn socket_in(folder: &Path) -> PathBuf {
        folder.join("admin.sock")
    }

    /// Orders something of the service `web`: `pin`, `backends/a/drain`.
    ///
    /// An error means that nobody knows what became of it.
    pub(crate) fn order(&self, what: &str, body: &Value) -> io::Result<Answer> {
        self.ask("POST", &format!("/api/v1/services/web/{what}"), &body.to_string())
    }

    /// Orders something without further words; it must be carried out.
    pub(crate) fn have(&self, what: &str) {
        self.must(what, &json!({}));
    }

    /// Orders something; it must be carried out.
    pub(crate) fn must(&self, what: &str, body: &Value) -> Value {
        let answer = self.order(what, body).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.status, 200, "{what} {body}: {}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Moves the service; it must be carried out.
    pub(crate) fn switchover(&self, to: &str) -> Value {
        self.must("switchover", &json!({ "to": to }))
    }

    /// Takes an order back: `drill`, `switchover`.
    pub(crate) fn delete(&self, what: &str) -> io::Result<Answer> {
        self.ask("DELETE", &format!("/api/v1/services/web/{what}"), "")
    }

    /// How the service `web` stands.
    pub(crate) fn service(&self) -> io::Result<Value> {
        let answer = self.ask("GET", "/api/v1/status", "")?;
        let mut status: Value = serde_json::from_slice(&answer.body)?;
        Ok(status["services"][0].take())
    }

    /// What concerns no service.
    pub(crate) fn process(&self) -> Value {
        let answer = self.ask("GET", "/api/v1/status", "").expect("a status");
        let mut status: Value = serde_json::from_slice(&answer.body).expect("JSON");
        status["process"].take()
    }

    /// Waits until the service is as `look` wants it.
    pub(crate) fn wait(&self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        wait_for(PATIENCE, what, || {
            let service = self.service().map_err(|error| Value::from(error.to_string()))?;
            if look(&service) { Ok(service) } else { Err(service) }
        })
    }

    /// Waits until somebody answers.
    pub(crate) fn wait_there(&self) -> Value {
        self.wait("the socket is there", |_| true)
    }

    /// Waits until this backend is the active, and how the service then stands.
    pub(crate) fn wait_active(&self, backend: &str) -> Value {
        self.wait(&format!("{backend} is active"), |service| service["active"] == backend)
    }

    /// Waits until this backend has this health.
    pub(crate) fn wait_health(&self, backend: &str, health: &str) {
        self.wait(&format!("{backend} is {health}"), |service| {
            let mut backends = service["backends"].as_array().into_iter().flatten();
            backends.any(|known| known["name"] == backend && known["health"] == health)
        });
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let json = [("content-type", "application/json")];
        let headers: &[_] = if method == "POST" { &json } else { &[] };
        request_unix(&self.socket, method, path, headers, body.as_bytes())
    }
}
