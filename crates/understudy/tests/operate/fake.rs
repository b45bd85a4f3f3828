//! An admin API that answers what a test says, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Far more than anything here takes, so that only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the client sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Asked {
    /// `GET /api/v1/status`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What to answer.
pub(crate) enum Answer {
    /// A status, a content type and a body.
    Plain(u16, &'static str, String),
    /// Server-sent events; then the connection ends, or stays.
    Events { text: String, stays: bool },
    /// Nothing: the connection ends.
    Nothing,
}

pub(crate) fn json(value: &Value) -> Answer {
    Answer::Plain(200, "application/json", value.to_string())
}

pub(crate) fn problem(status: u16, title: &str, detail: &str) -> Answer {
    let problem = serde_json::json!({
        "type": "urn:understudy:problem:test", "title": title, "status": status, "detail": detail,
    });
    Answer::Plain(status, "application/problem+json", problem.to_string())
}

/// Server-sent events as text.
pub(crate) fn sse(event: &str, id: Option<u64>, data: &Value) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}data: {data}\n\n")
}

type Handler = dyn Fn(&Asked, usize) -> Answer + Send + Sync;

/// A fake at a Unix socket, or at a port with or without TLS. Ends with the test.
pub(crate) struct Fake {
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Handler>,
    folder: tempfile::TempDir,
}

impl Fake {
    /// `handler` is given what was asked, and how often this was asked before.
    pub(crate) fn new(handler: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { asked: Arc::default(), handler: Arc::new(handler), folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Answers at a Unix socket, the same one each time.
    pub(crate) fn at_socket(&self) -> PathBuf {
        let path = self.folder.path().join("admin.sock");
        if path.exists() {
            return path;
        }
        let listener = UnixListener::bind(&path).expect("a socket");
        let (handler, asked) = (self.handler.clone(), self.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, asked) = (handler.clone(), asked.clone());
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                thread::spawn(move || drop(serve(stream, &*handler, &asked)));
            }
        });
        path
    }

    /// Answers at a port.
    pub(crate) fn at_port(&self, tls: Option<Arc<ServerConfig>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (handler, asked) = (self.handler.clone(), self.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, asked, tls) = (handler.clone(), asked.clone(), tls.clone());
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                thread::spawn(move || match tls {
                    None => drop(serve(stream, &*handler, &asked)),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).expect("a connection");
                        drop(serve(StreamOwned::new(connection, stream), &*handler, &asked));
                    }
                });
            }
        });
        address
    }

    /// Runs a command against it, at its Unix socket.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = understudy(args);
        command.arg("--socket").arg(self.at_socket());
        outcome(command)
    }

    /// Every request so far, as `METHOD path`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked.lock().expect("asked").iter().map(Asked::line).collect()
    }

    /// The last request with this method.
    pub(crate) fn last(&self, method: &str) -> Asked {
        let asked = self.asked.lock().expect("asked");
        asked.iter().rfind(|asked| asked.method == method).expect("asked").clone()
    }
}

fn serve(
    mut stream: impl Read + Write,
    handler: &Handler,
    all: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let asked = read(&mut stream)?;
    let before = {
        let mut all = all.lock().expect("asked");
        let before = all.iter().filter(|other| other.line() == asked.line()).count();
        all.push(asked.clone());
        before
    };
    match handler(&asked, before) {
        Answer::Plain(status, kind, body) => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            )?;
            stream.flush()
        }
        Answer::Events { text, stays } => {
            write!(
                stream,
                "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{text}"
            )?;
            stream.flush()?;
            // Ends when the client does.
            if stays { stream.read(&mut [0]).map(drop) } else { Ok(()) }
        }
        Answer::Nothing => Ok(()),
    }
}

fn read(stream: &mut impl Read) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("UTF-8");
    let mut lines = head.lines();
    let mut line = lines.next().expect("a request line").split(' ').map(str::to_owned);
    let (method, path) = (line.next().expect("a method"), line.next().expect("a path"));
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields: BTreeMap<_, _> =
        fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = fields.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
    Ok(Asked { method, path, fields, body })
}

/// A command that sees nothing of this machine's environment that it would obey.
pub(crate) fn understudy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
    command.args(args).stdin(Stdio::null());
    for name in
        ["UNDERSTUDY_SOCKET", "UNDERSTUDY_URL", "UNDERSTUDY_TOKEN", "RUST_LOG", "XDG_RUNTIME_DIR"]
    {
        command.env_remove(name);
    }
    command.env("TZ", "UTC");
    command
}

/// Runs to the end: exit code, standard output, standard error.
pub(crate) fn outcome(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}
