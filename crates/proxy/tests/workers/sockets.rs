//! Unix sockets on both sides, and PROXY headers to backends.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::{fs, process, thread};

use config::model::{BackendAddress, BackendUrl, ListenAddress, ProxyVersion, Scheme};
use connect::Destination;
use proxy::{Leave, bind};

use crate::backend::Backend;
use crate::http2::Http2Client;
use crate::rig::{PATIENCE, Plan, Rig, destination, served};

/// A path of this test alone; removed with this.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("workers-{}-{}", process::id(), COUNT.fetch_add(1, SeqCst));
        Self(std::env::temp_dir().join(name))
    }

    fn address(&self) -> ListenAddress {
        ListenAddress::Unix(self.0.as_path().into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Backend 1 is at `destination`.
fn active_at(plan: Plan, destination: Destination) -> Rig {
    let nowhere = crate::backend::free_address();
    let mut rig = Rig::start(plan, &[nowhere]);
    let mut service = (*rig.snapshot.services[0]).clone();
    service.backends[0].destination = destination;
    rig.snapshot.services[0] = Arc::new(service);
    rig.configure(Vec::new());
    rig.activate(1, Leave::Finish);
    rig
}

#[test]
fn a_backend_at_a_unix_socket() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.0).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heads = Vec::new();
        for _ in 0..2 {
            heads.push(head(&mut stream));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nu").unwrap();
        }
        heads
    });
    let address = BackendAddress::Unix(place.0.as_path().into());
    let url = BackendUrl { scheme: Scheme::Http, address };
    let rig = active_at(
        Plan::default(),
        Destination { url, tls: None, proxy_protocol: None, names: connect::KnownNames::default() },
    );
    let mut client = rig.client();
    assert_eq!(served(&client.get("/1")), "u");
    assert_eq!(served(&client.get("/2")), "u");
    let heads = serving.join().unwrap();
    assert!(heads[1].starts_with("GET /2 HTTP/1.1\r\n"), "on the same connection: {heads:?}");
    rig.at_rest();
}

/// Reads up to an empty line.
fn head(stream: &mut impl Read) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_listener_at_a_unix_socket() {
    let place = Place::new();
    // Left behind by a process that was killed.
    drop(UnixListener::bind(&place.0).unwrap());
    assert!(place.0.exists());
    let a = Backend::named("a");
    let plan = Plan { workers: 2, ..Plan::default() };
    let mut rig = Rig::active(plan, &[a.address]);
    let bound = bind(&place.address(), 2).expect("a stale socket is replaced");
    let mut spec = rig.snapshot.listeners[0].clone();
    spec.address = place.address();
    rig.snapshot.listeners.push(spec);
    rig.configure(vec![bound]);
    for _ in 0..10 {
        let mut stream = UnixStream::connect(&place.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\na"), "{answer}");
    }
    // Somebody listens: that is us.
    let error = bind(&place.address(), 1).expect_err("in use");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(UnixStream::connect(&place.0).is_ok(), "and goes on listening");
    rig.snapshot.listeners.pop();
    rig.configure(Vec::new());
    crate::rig::until("the file to be removed", || !place.0.exists());
}

/// Each request has a connection of its own, which says whose it is.
#[test]
fn a_proxy_header_for_every_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            thread::spawn(move || {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let said = head(&mut stream);
                if tell.send(said).is_err() {
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\np");
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                assert_eq!(rest, b"", "a second request on a connection of one client");
            });
        }
    });
    let to = Destination { proxy_protocol: Some(ProxyVersion::V1), ..destination(address) };
    let rig = active_at(Plan::default(), to);
    let port = rig.address.port();
    let mut client = rig.client();
    let own = client.stream.local_addr().unwrap().port();
    for path in ["/1", "/2"] {
        assert_eq!(served(&client.get(path)), "p");
        let said = told.recv_timeout(PATIENCE).expect("a request");
        let expected =
            format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {port}\r\nGET {path} HTTP/1.1\r\n");
        assert!(said.starts_with(&expected), "{said}");
    }
    let mut other = Http2Client::connect(rig.address);
    assert_eq!(other.get("/3").served(), "p");
    let said = told.recv_timeout(PATIENCE).expect("a request");
    let (line, rest) = said.split_once("\r\n").unwrap();
    assert!(
        line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ") && line.ends_with(&format!(" {port}"))
    );
    assert!(!line.contains(&format!(" {own} ")), "another client: {line}");
    assert!(rest.starts_with("GET /3 HTTP/1.1\r\n"), "{rest}");
    assert_eq!(rig.metric("upstream_connections_opened_total"), 3.0);
    assert_eq!(rig.metric("upstream_connections_reused_total"), 0.0);
    rig.at_rest();
}

#[test]
fn a_file_in_the_place_of_a_socket_is_left_alone() {
    let place = Place::new();
    fs::write(&place.0, "precious").unwrap();
    bind(&place.address(), 1).expect_err("it is somebody's file");
    assert_eq!(fs::read_to_string(&place.0).unwrap(), "precious");
}
