//! One client connection from its acceptance to its end: who it is, what it speaks, and its
//! requests.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use config::model::Scheme;
use connect::{Origin, Socket, keep_alive};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::downstream::client::{Client, Known, Protocol};
use crate::downstream::listener::Listener;
use crate::downstream::proxy_header::{self, Proxied, ProxyHeaderError};
use crate::downstream::socket::{ClientSocket, Transport};
use crate::downstream::{ClientCertificate, Identity, contains, http1, http2};
use crate::spec::ListenerSpec;
use crate::worker::{Counted, OneOfClient, Worker};

/// What an HTTP/2 connection begins with (RFC 9113 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error(transparent)]
    ProxyHeader(#[from] ProxyHeaderError),
    #[error("too many connections of this client")]
    TooMany,
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the handshake took too long")]
    TooSlow,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error(transparent)]
    Http2(h2::Error),
}

/// A client that has said who it is and what it speaks.
struct Greeted {
    origin: Origin,
    transport: Transport,
    protocol: Protocol,
    one_of_client: Option<OneOfClient>,
}

/// Serves one client until it leaves, misbehaves, or we close.
pub(crate) async fn converse(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    socket: Socket,
    peer: Option<SocketAddr>,
    mut counted: Counted,
) {
    if let Socket::Tcp(stream) = &socket {
        // Without it, the last packet of an answer may wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        keep_alive(stream);
    }
    let spec = listener.spec();
    let greeted = timeout(spec.limits.handshake_timeout, greet(&worker, &spec, socket, peer)).await;
    let greeted = match greeted.unwrap_or(Err(Unfit::TooSlow)) {
        Ok(greeted) => greeted,
        Err(unfit) => {
            match unfit {
                Unfit::TooMany => listener.cells.over_client_limit.inc(),
                Unfit::ProxyHeader(_) | Unfit::Tls(_) | Unfit::TooSlow => {
                    listener.cells.handshake_failures.inc();
                }
            }
            tracing::debug!(listener = %listener.address, ?peer, %unfit, "connection refused");
            return;
        }
    };
    let Greeted { origin, transport, protocol, one_of_client } = greeted;
    counted.one_of_client = one_of_client;
    let is_tls = matches!(transport, Transport::Tls(_));
    let certificate = match &transport {
        Transport::Tls(stream) => {
            stream.get_ref().1.peer_certificates().and_then(ClientCertificate::new)
        }
        Transport::Plain(_) => None,
    };
    let mut socket = ClientSocket::new(transport, worker.clock());
    let (peer, port) = match origin {
        Origin::Local => (None, None),
        Origin::Client { source, destination } => (Some(source.ip()), Some(destination.port())),
    };
    let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
    let identity = Identity::new(peer, scheme, port, &spec.trusted_proxies);
    let trusted = Arc::clone(&spec.trusted_proxies);
    let known = Known { identity, certificate, origin, trusted };
    let client = Client::new(known, counted, Rc::clone(&listener), socket.state());
    let _enrolled = worker.enrol(&client);
    let protocol = if spec.h2c && !is_tls {
        let Some(found) = sniff(&worker, &client, &mut socket).await else { return };
        found
    } else {
        protocol
    };
    if protocol == Protocol::Http2 {
        client.speaks_http2();
    }
    let ended = match protocol {
        Protocol::Http1 => http1::serve(&worker, &client, socket).await.map_err(Ended::Http1),
        Protocol::Http2 => http2::serve(&worker, &client, socket).await.map_err(Ended::Http2),
    };
    if let Err(error) = ended {
        tracing::debug!(client = client.known.identity.address(), %error, "connection ended");
    }
}

/// Hears who the client is and agrees on how to talk.
async fn greet(
    worker: &Rc<Worker>,
    spec: &ListenerSpec,
    mut socket: Socket,
    peer: Option<SocketAddr>,
) -> Result<Greeted, Unfit> {
    let origin = origin(spec, &mut socket, peer).await?;
    let one_of_client = match origin {
        Origin::Client { source, .. } if !contains(&spec.trusted_proxies, source.ip()) => {
            let most = spec.limits.connections_per_client;
            let one = worker.one_of_client(&spec.address, source.ip().to_canonical(), most);
            Some(one.ok_or(Unfit::TooMany)?)
        }
        Origin::Client { .. } | Origin::Local => None,
    };
    let Some(config) = &spec.tls else {
        let (transport, protocol) = (Transport::Plain(socket), Protocol::Http1);
        return Ok(Greeted { origin, transport, protocol, one_of_client });
    };
    let stream = TlsAcceptor::from(config.clone()).accept(socket).await.map_err(Unfit::Tls)?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let transport = Transport::Tls(Box::new(stream));
    Ok(Greeted { origin, transport, protocol, one_of_client })
}

/// On whose behalf the connection is made, by its PROXY header if its sender must begin with one.
async fn origin(
    spec: &ListenerSpec,
    socket: &mut Socket,
    peer: Option<SocketAddr>,
) -> Result<Origin, ProxyHeaderError> {
    let own = match (&*socket, peer) {
        (Socket::Tcp(stream), Some(source)) => {
            let destination = stream.local_addr().unwrap_or(source);
            Origin::Client { source: canonical(source), destination: canonical(destination) }
        }
        (Socket::Tcp(_) | Socket::Unix(_), _) => Origin::Local,
    };
    if !peer.is_some_and(|peer| contains(&spec.proxy_protocol, peer.ip())) {
        return Ok(own);
    }
    Ok(match proxy_header::read(socket).await? {
        Proxied::Local => own,
        Proxied::From { source, destination } => Origin::Client { source, destination },
    })
}

/// Whether an HTTP/2 preface comes; reads as little as tells. `None` when it is to leave first.
async fn sniff(worker: &Worker, client: &Client, socket: &mut ClientSocket) -> Option<Protocol> {
    let mut early = BytesMut::with_capacity(PREFACE.len());
    let mut rest = [0; PREFACE.len()];
    let protocol = loop {
        if early.len() == PREFACE.len() {
            break Protocol::Http2;
        }
        let mut reading = pin!(socket.read(&mut rest[..PREFACE.len() - early.len()]));
        let read = poll_fn(|context| {
            client.woken_by(context.waker());
            // One that is only to leave is heard once more.
            if worker.is_to_close(client) {
                return Poll::Ready(None);
            }
            reading.as_mut().poll(context).map(Result::ok)
        })
        .await?;
        early.extend_from_slice(&rest[..read]);
        if read == 0 || !PREFACE.starts_with(&early) {
            break Protocol::Http1;
        }
    };
    socket.give_back(early);
    Some(protocol)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
