//! Backends that say how they are by `grpc.health.v1`, over HTTP/2 in the clear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{Scene, backend_in, wait_verdicts};

const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;
/// Not of the protocol: there is no such service.
const UNIMPLEMENTED: u8 = 200;

/// Speaks HTTP/2 only, and says what it is told to say. Its thread ends with the tests.
struct Server {
    address: SocketAddr,
    says: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let (says, asked) = (Arc::new(AtomicU8::new(SERVING)), Arc::new(AtomicUsize::new(0)));
        let (ours, count) = (Arc::clone(&says), Arc::clone(&asked));
        let (send, address) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                send.send(listener.local_addr().expect("an address")).expect("somebody waits");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(connection(stream, Arc::clone(&ours), Arc::clone(&count)));
                }
            });
        });
        let address = address.recv().expect("an address");
        Self { address, says, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn connection(stream: TcpStream, says: Arc<AtomicU8>, asked: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let status = says.load(SeqCst);
        let wanted = request.uri().path() == "/grpc.health.v1.Health/Check";
        asked.fetch_add(usize::from(wanted), SeqCst);
        let head = Response::builder().header("content-type", "application/grpc");
        if !wanted || status == UNIMPLEMENTED {
            let head = head.header("grpc-status", "12").header("grpc-message", "no such method");
            // Who asked may be gone.
            let _ = respond.send_response(head.body(()).expect("a head"), true);
            continue;
        }
        let Ok(mut body) = respond.send_response(head.body(()).expect("a head"), false) else {
            continue;
        };
        // A message of two bytes that is not compressed: field 1, a number.
        let _ = body.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]), false);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = body.send_trailers(trailers);
    }
}

#[test]
fn a_server_that_does_not_serve_is_left() {
    let (a, b) = (Server::start(), Server::start());
    let service = "protocol: http2\nhealth:\n  grpc: { service: licences }\n  interval: 100ms\n  \
                   confirm_interval: 20ms\n  rise: 2\n  fall: 3\n\
                   failback: { auto: { hold_down: 50ms } }";
    let scene = Scene::new(&[("a", a.url()), ("b", b.url())], service);
    let understudy = &scene.understudy;
    understudy.wait_active("a");
    understudy.wait_health("b", "up");
    // 7 is no status of the protocol.
    for (says, word) in [(NOT_SERVING, "NOT_SERVING"), (UNIMPLEMENTED, "health service"), (7, "7")]
    {
        a.says.store(says, SeqCst);
        understudy.wait_active("b");
        assert_eq!(understudy.health("a"), "down", "{says}");
        let last = backend_in(&understudy.service(), "a")["last_probe"].to_string();
        assert!(last.contains(word), "{word}? {last}");
        wait_verdicts(understudy, "b", "pass", 2);
        a.says.store(SERVING, SeqCst);
        understudy.wait_active("a");
    }
    assert!(a.asked.load(SeqCst) > 10 && b.asked.load(SeqCst) > 10);
}
