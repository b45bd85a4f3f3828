//! The proxy between raw clients and a scripted backend, and the checks that several tables share.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use benches::process::{Process, free_address, installed};
use benches::understudy::Understudy;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::client::{Client, End, Response};

/// The answer that backends give when it does not matter.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Which proxy is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Understudy,
    Nginx,
}

impl Peer {
    /// As `H1_PEER` says; ours without it.
    pub(crate) fn chosen() -> Self {
        match std::env::var("H1_PEER").as_deref() {
            Err(_) | Ok("understudy") => Self::Understudy,
            Ok("nginx") => Self::Nginx,
            Ok(other) => panic!("H1_PEER={other}: there are understudy and nginx"),
        }
    }
}

/// Settings beyond the defaults, in the words of each proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// Keys of the listener, as YAML in one line each.
    pub(crate) listener: &'static str,
    /// Keys of the service, as YAML in one line each.
    pub(crate) service: &'static str,
    /// Directives of the server.
    pub(crate) nginx: &'static str,
}

/// A running proxy with its backend.
pub(crate) struct Rig {
    pub(crate) backend: Backend,
    address: SocketAddr,
    _proxy: Proxy,
    _folder: TempDir,
}

/// Ends the proxy when dropped.
#[expect(dead_code, reason = "held only to keep the process")]
enum Proxy {
    Understudy(Understudy),
    Nginx(Process),
}

impl Rig {
    pub(crate) fn new(backend: Backend) -> Self {
        Self::with(Settings::default(), backend)
    }

    pub(crate) fn with(settings: Settings, backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (address, proxy) = match Peer::chosen() {
            Peer::Understudy => understudy(&settings, &backend, folder.path()),
            Peer::Nginx => nginx(&settings, &backend, folder.path()),
        };
        Self { backend, address, _proxy: proxy, _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        let bytes = bytes.as_ref();
        self.client().send(bytes).response().unwrap_or_else(|end| {
            panic!("{end:?} instead of an answer to {:?}", String::from_utf8_lossy(bytes))
        })
    }

    /// The proxy refuses these bytes with one of these statuses (or, if 0 is among them, by closing),
    /// closes the connection, and the backend sees no whole request of it.
    pub(crate) fn refuses(&self, name: &str, bytes: impl AsRef<[u8]>, statuses: &[u16]) {
        if let Err(complaint) = self.refusal(bytes.as_ref(), statuses) {
            panic!("{name}: {complaint}");
        }
    }

    /// The same for each row of a table; says of every row what is wrong with it.
    pub(crate) fn refuses_all(
        &self,
        rows: &[Row],
        statuses: &[u16],
        request: impl Fn(&[u8]) -> Vec<u8>,
    ) {
        let complaints: Vec<_> = rows
            .iter()
            .filter(|row| row.applies())
            .filter_map(|row| {
                let complaint = self.refusal(&request(row.bytes), statuses).err()?;
                Some(format!("{}: {complaint}", row.name))
            })
            .collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    fn refusal(&self, bytes: &[u8], statuses: &[u16]) -> Result<(), String> {
        let before = self.backend.seen().len();
        let mut client = self.client();
        match client.send(bytes).response() {
            Ok(answer) if !statuses.contains(&answer.status) => {
                // What followed is a request of its own then; it must not be taken for the next row's.
                let _ = client.response();
                return Err(format!("answered {answer:?}"));
            }
            Ok(answer) if !client.is_closed() => {
                return Err(format!("not closed after {}", answer.status));
            }
            Err(End::Closed) if statuses.contains(&0) => {}
            Err(end) => return Err(format!("{end:?} instead of {statuses:?}")),
            Ok(_) => {}
        }
        match self.backend.seen().split_off(before) {
            seen if seen.is_empty() => Ok(()),
            seen => Err(format!("reached the backend as {seen:?}")),
        }
    }
}

/// A row of a table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What makes this row's request special.
    pub(crate) bytes: &'static [u8],
    pub(crate) nginx: Nginx,
}

/// How nginx (1.22) treats a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nginx {
    /// As the table says.
    Agrees,
    /// Otherwise; the row is for proxies that are stricter.
    Differs,
}

impl Row {
    pub(crate) const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, bytes, nginx: Nginx::Agrees }
    }

    pub(crate) const fn nginx_differs(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, bytes, nginx: Nginx::Differs }
    }

    /// Whether the chosen proxy is meant to do what the table says.
    pub(crate) fn applies(&self) -> bool {
        Peer::chosen() == Peer::Understudy || self.nginx == Nginx::Agrees
    }
}

fn understudy(settings: &Settings, backend: &Backend, folder: &Path) -> (SocketAddr, Proxy) {
    let indented = |text: &str, by: &str| -> String {
        text.lines().map(|line| format!("{by}{line}\n")).collect()
    };
    let text = format!(
        "workers: 1\nlisteners:\n  - address: \"127.0.0.1:0\"\n{}admin: {{ address: \"127.0.0.1:0\" }}\n\
         services:\n  web:\n    backends:\n      - {{ name: a, url: \"http://{}\" }}\n    health: {{ tcp: {{}} }}\n{}",
        indented(settings.listener, "    "),
        backend.address(),
        indented(settings.service, "    "),
    );
    let file = folder.join("understudy.yaml");
    fs::write(&file, text).expect("a config");
    let binary = Path::new(env!("CARGO_BIN_EXE_understudy"));
    let understudy = Understudy::run(binary, &["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    (understudy.address(), Proxy::Understudy(understudy))
}

fn nginx(settings: &Settings, backend: &Backend, folder: &Path) -> (SocketAddr, Proxy) {
    let address = free_address().expect("a port");
    let (at, more, backend) = (folder.display(), settings.nginx, backend.address());
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off;\n\
         client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         upstream service {{ server {backend} max_fails=0; keepalive 16; }}\n\
         map $http_upgrade $with_upgrade {{ websocket upgrade; }}\n\
         map $http_upgrade $upgrade {{ websocket websocket; }}\n\
         server {{ listen {address}; {more}\n\
         proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_http_version 1.1;\n\
         location / {{ proxy_pass http://service; proxy_set_header Host $host;\n\
         proxy_set_header Connection $with_upgrade; proxy_set_header Upgrade $upgrade;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Forwarded \"\";\n\
         proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-Port \"\";\n\
         proxy_set_header X-Forwarded-Prefix \"\"; proxy_set_header Proxy \"\"; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config).expect("a config");
    let nginx = installed("nginx").expect("nginx is installed");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let mut process = Process::start("nginx", command);
    process.wait_listening(address);
    (address, Proxy::Nginx(process))
}
