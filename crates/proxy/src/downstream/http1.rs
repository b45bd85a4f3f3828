//! HTTP/1.1 with a client: hyper parses and frames, `forward` answers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use futures_util::FutureExt as _;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::body::ResponseBody;
use crate::downstream::client::Client;
use crate::downstream::incoming::Incoming;
use crate::downstream::reply::{Reply, Upgrade};
use crate::downstream::socket::ClientSocket;
use crate::forward::forward;
use crate::worker::Worker;

/// hyper's own limit; naming another one costs an allocation per request.
const HYPER_MAX_HEADERS: usize = 100;

/// Serves requests until the client leaves, misbehaves, or is to leave.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    socket: ClientSocket,
) -> Result<(), hyper::Error> {
    let mut builder = http1::Builder::new();
    client.listener.limits(|limits| {
        builder
            .half_close(limits.half_close)
            .max_header_size(limits.header_bytes)
            .max_buf_size((limits.header_bytes * 2).max(64 * 1024))
            .header_read_timeout(None);
        if limits.headers != HYPER_MAX_HEADERS {
            builder.max_headers(limits.headers);
        }
    });
    let service = service_fn(|request| answer(Rc::clone(worker), Rc::clone(client), request));
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(socket), service).with_upgrades());
    let mut leaving = false;
    let ended = poll_fn(|context| {
        client.woken_by(context.waker());
        // One that is only to leave does so with its next answer: closed in between, it would lose the
        // request that is on its way.
        if !leaving && worker.is_to_close(client) {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = ended.as_ref()
        && error.is_parse()
    {
        client.listener.cells.bad_requests.inc();
        worker.recorder.unreadable(client, answered(error));
    }
    ended
}

/// How hyper has answered a request that it cannot read; HTTP/2 on a listener for HTTP/1.1 not at all. Its
/// 414, for a target of more than 64 KiB, cannot be told from its 431.
fn answered(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_version_h2() {
        None
    } else if error.is_parse_too_large() {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        Some(StatusCode::BAD_REQUEST)
    }
}

/// Not `async`: the future of every request is moved a few times before it runs, and one around
/// another would double it.
fn answer(
    worker: Rc<Worker>,
    client: Rc<Client>,
    mut request: Request<hyper::body::Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
    let upgrade = request
        .headers()
        .contains_key(UPGRADE)
        .then(|| Box::new(Upgrade::Http1(hyper::upgrade::on(&mut request))));
    let (parts, body) = request.into_parts();
    let body = (!body.is_end_stream()).then_some(Incoming::Http1(body));
    forward(worker, client, parts, body, Reply::Http1 { upgrade }).map(Ok)
}
