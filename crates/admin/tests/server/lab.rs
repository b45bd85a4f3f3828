//! A balancer with an admin server on every kind of endpoint, and a client.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admin::{Access, Endpoint, Settings, Socket, Token};
use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use axum::body::Bytes;
use axum::http::{HeaderMap, Request, StatusCode};
use control::{Control, Source};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Far more than anything here takes, so that only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// May read.
pub(crate) const READER: &str = "understudy_reader";
/// May write.
pub(crate) const WRITER: &str = "understudy_writer";

/// Where a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Plain TCP on loopback.
    Tcp,
    Tls,
    Unix,
}

/// The server on all three ways.
pub(crate) struct Lab {
    pub(crate) control: Control,
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) socket: PathBuf,
    connector: TlsConnector,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    /// With the socket in it.
    _folder: tempfile::TempDir,
    backends: JoinHandle<()>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: String,
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) text: String,
}

/// With the least work that Argon2 allows.
pub(crate) fn hash(secret: &str) -> String {
    let params = Params::new(8, 1, 1, None).expect("good parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_with_salt(secret.as_bytes(), b"salt salt").expect("a hash").to_string()
}

pub(crate) fn tokens() -> Vec<Token> {
    let token = |name, access, secret| Token::new(name, access, &hash(secret)).expect("a hash");
    vec![token("watcher", Access::Read, READER), token("ops", Access::Write, WRITER)]
}

/// A server without tokens, in front of the backends a and b.
pub(crate) async fn open() -> Lab {
    Lab::start(Vec::new(), Source::default(), "").await
}

/// A server with the two tokens.
pub(crate) async fn guarded() -> Lab {
    Lab::start(tokens(), Source::default(), "").await
}

impl Lab {
    pub(crate) async fn start(tokens: Vec<Token>, source: Source, more: &str) -> Self {
        let (backends, text) = config(more).await;
        Self::run(tokens, source, backends, &text).await
    }

    pub(crate) async fn run(
        tokens: Vec<Token>,
        source: Source,
        backends: JoinHandle<()>,
        text: &str,
    ) -> Self {
        let config =
            config::load("test.yaml", text, &PathBuf::new()).expect("a good config").config;
        let control =
            Control::start(config, source, control::Inherited::default()).await.expect("it starts");
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (tcp, tls) = (bind(), bind());
        let (tcp_address, tls_address) =
            (tcp.local_addr().expect("an address"), tls.local_addr().expect("an address"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.sock");
        let socket = Socket::bind(&path).expect("a socket");
        let (server, connector) = tls_settings();
        let endpoints =
            vec![Endpoint::Tcp(tcp), Endpoint::Tls(tls, server), Endpoint::Unix(socket)];
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let settings = Settings { tokens };
        let serving = tokio::spawn(admin::serve(endpoints, settings, control.clone(), stopped));
        Self {
            control,
            tcp: tcp_address,
            tls: tls_address,
            socket: path,
            connector,
            stop: Some(stop),
            serving,
            _folder: folder,
            backends,
        }
    }

    /// Has the server stop.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// The end of the server.
    pub(crate) async fn stopped(&mut self) -> std::io::Result<()> {
        (&mut self.serving).await.expect("no panic")
    }

    /// Waits until a is active and b could be.
    pub(crate) async fn settle(&self) {
        let mut changes = self.control.subscribe();
        let settled = changes.wait_for(|status| {
            status.service("web").is_some_and(|web| {
                web.active.as_deref() == Some("a")
                    && web.backends.iter().all(|b| b.health == control::Health::Up)
            })
        });
        assert!(timeout(PATIENCE, settled).await.is_ok_and(|settled| settled.is_ok()));
    }

    pub(crate) async fn stream(&self, way: Way) -> Box<dyn Stream> {
        match way {
            Way::Tcp => Box::new(TcpStream::connect(self.tcp).await.expect("a connection")),
            Way::Tls => {
                let stream = TcpStream::connect(self.tls).await.expect("a connection");
                let name = ServerName::try_from("localhost").expect("a name");
                Box::new(self.connector.connect(name, stream).await.expect("a handshake"))
            }
            Way::Unix => Box::new(UnixStream::connect(&self.socket).await.expect("a connection")),
        }
    }

    pub(crate) async fn send(&self, way: Way, call: &Call) -> Answer {
        let answer = async {
            let response = self.begin(way, call).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            let text = String::from_utf8(body.to_vec()).expect("text");
            Answer { status: head.status, fields: head.headers, text }
        };
        timeout(PATIENCE, answer).await.expect("an answer in time")
    }

    /// The head of the answer, with the body to come.
    pub(crate) async fn begin(
        &self,
        way: Way,
        call: &Call,
    ) -> hyper::Response<hyper::body::Incoming> {
        let io = TokioIo::new(self.stream(way).await);
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        // Ends with the answer, or with the runtime of the test.
        drop(tokio::spawn(connection));
        let mut request = Request::builder().method(&*call.method).uri(&*call.path);
        if !call.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("Host", "localhost");
        }
        for (name, value) in &call.fields {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(call.body.clone()));
        let request = request.body(body).expect("a good request");
        sender.send_request(request).await.expect("an answer")
    }

    /// Reads from the socket, where everything is allowed.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Way::Unix, &Call::new("GET", path)).await
    }

    /// Orders something over the socket.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Way::Unix, &Call::json("POST", path, body)).await
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.backends.abort();
    }
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn json(method: &str, path: &str, body: &str) -> Self {
        Self::new(method, path).with("Content-Type", "application/json").body(body)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The last word of the problem's type, after it was made sure that it is a whole problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.field("content-type"), "application/problem+json", "{}", self.text);
        let problem: admin::wire::Problem = serde_json::from_str(&self.text).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16());
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
        let word = problem.kind.strip_prefix("urn:understudy:problem:").expect("our URN");
        word.to_owned()
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A config for the service `web` with the backends a and b, which are up; `more` are further keys of
/// the service.
pub(crate) async fn config(more: &str) -> (JoinHandle<()>, String) {
    let bind = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (a, b) = (bind().await, bind().await);
    let url = |listener: &tokio::net::TcpListener| {
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let text = format!(
        "workers: 1\nlisteners: [{{ address: \"127.0.0.1:0\" }}]\nservices:\n  web:\n    \
         health: {{ http: {{ path: / }}, interval: 50ms }}\n    backends:\n      \
         - {{ name: a, url: \"{}\" }}\n      - {{ name: b, url: \"{}\" }}\n{more}",
        url(&a),
        url(&b)
    );
    let backends = async {
        tokio::join!(answer(a), answer(b));
    };
    (tokio::spawn(backends), text)
}

/// One request per connection: nothing to keep alive, nothing to be surprised by.
async fn answer(listener: tokio::net::TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            // A probe that has its answer may be gone already.
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

pub(crate) fn tls_settings() -> (Arc<ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("one");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificate = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a good certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}
