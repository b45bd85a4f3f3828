//! The little HTTP/1.1 server that all stand-ins share. One thread; the requests of a connection one
//! after the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// A value of the query; empty if there is none.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A field, if it is there and text.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Method and path, for a `match`.
    pub(crate) fn what(&self) -> (&str, &str) {
        (self.method.as_str(), &self.path)
    }
}

/// An answer.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// An answer with this text.
pub(crate) fn answer(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// One for a path that means nothing here.
pub(crate) fn unknown() -> Answer {
    answer(StatusCode::NOT_FOUND, "no such thing\n")
}

/// Runs `all` on a runtime of its own, on this thread.
pub(crate) fn run(all: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, all)
}

/// Listens, says where, and answers for ever.
pub(crate) async fn serve<H, F>(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Asked) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    let listener = listen(address)?;
    println!("listening on {}", listener.local_addr()?);
    let handler = Rc::new(handler);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or the client has gone already: the next one may do better.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, handler) = (tls.clone(), Rc::clone(&handler));
        spawn_local(async move {
            match tls {
                None => connection(stream, handler).await,
                // A client that does not trust us says so and goes.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, handler).await;
                    }
                }
            }
        });
    }
}

/// With room for many connections that nobody accepts yet, as a server that hangs has them.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// Serves one connection until it ends; its errors are the client's business.
async fn connection<H, F>(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, handler: Rc<H>)
where
    H: Fn(Asked) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    let service = service_fn(move |request| {
        let handler = Rc::clone(&handler);
        async move { Ok::<_, hyper::Error>(handler(read(request).await?).await) }
    });
    let served =
        http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    let _ = served.await;
}

async fn read(request: Request<Incoming>) -> hyper::Result<Asked> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().split('&');
    let query = query.filter_map(|pair| pair.split_once('='));
    Ok(Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}
