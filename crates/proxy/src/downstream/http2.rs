//! HTTP/2 with a client: a task per stream, flow control end to end, and floods ended.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, DATE, EXPECT, UPGRADE};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::body::{Cut, ResponseBody};
use crate::downstream::client::Client;
use crate::downstream::conversation::PREFACE;
use crate::downstream::incoming::Incoming;
use crate::downstream::reply::{Reply, Upgrade};
use crate::downstream::socket::ClientSocket;
use crate::forward::forward;
use crate::worker::Worker;

/// Bytes a client may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes kept for one stream of a client that takes them slowly.
const SEND_BUFFER: usize = 64 * 1024;

/// Requests that a client may give up, beyond those it lets finish, before it is taken for an attack
/// (CVE-2023-44487). A page that is left may give up a hundred.
const MOST_RESETS: u32 = 200;

/// Bytes by which small frames that wait may fall short of 256 each, in all: the messages of gRPC
/// streams that are held are small, and there may be thousands.
const SMALL_FRAMES: usize = 4 * 1024 * 1024;

/// The same for streams that we had to reset because of what the client did on them.
const MOST_ERRORS: usize = 128;

/// Serves requests until the client leaves, misbehaves, or is to leave.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    mut socket: ClientSocket,
) -> Result<(), h2::Error> {
    let mut builder = h2::server::Builder::new();
    let header_timeout = client.listener.limits(|limits| {
        builder
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        limits.header_timeout
    });
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MOST_ERRORS))
        .data_frame_budget(SMALL_FRAMES)
        .enable_connect_protocol();
    let begun = timeout(header_timeout, async {
        match begins_with_settings(&mut socket).await {
            true => builder.handshake(socket).await.map(Some),
            false => Ok(None),
        }
    });
    // A client that says nothing is let go without a word.
    let Ok(Some(mut connection)) = begun.await.unwrap_or(Ok(None)) else { return Ok(()) };
    client.listener.cells.http2.inc();
    let resets = Rc::new(Resets::default());
    let (mut leaving, mut flooded) = (false, false);
    poll_fn(|context| {
        client.woken_by(context.waker());
        loop {
            if !leaving && (worker.is_draining() || client.is_leaving()) {
                leaving = true;
                connection.graceful_shutdown();
            }
            if !flooded && resets.are_too_many() {
                flooded = true;
                client.listener.cells.floods.inc();
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            match ready!(connection.poll_accept(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    // So many, or such, that the parser itself has had enough.
                    let is_flood = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
                    if is_flood && error.is_library() {
                        client.listener.cells.floods.inc();
                    }
                    return Poll::Ready(Err(error));
                }
                Some(Ok((request, respond))) => {
                    let (worker, client) = (Rc::clone(worker), Rc::clone(client));
                    let resets = Rc::clone(&resets);
                    tokio::task::spawn_local(answer(worker, client, request, respond, resets));
                }
            }
        }
    })
    .await
}

/// Whether what follows the 24 bytes of the preface is a SETTINGS frame, as it must (RFC 9113 3.4). The
/// client is told if not.
async fn begins_with_settings(socket: &mut ClientSocket) -> bool {
    const HEAD: usize = 9;
    const SETTINGS: u8 = 4;
    let mut early = BytesMut::zeroed(PREFACE.len() + HEAD);
    if socket.read_exact(&mut early).await.is_err() {
        return false;
    }
    let frame = &early[PREFACE.len()..];
    let is_acknowledgement = frame[4] & 1 == 1;
    let is_right = frame[3] == SETTINGS && !is_acknowledgement && early.starts_with(PREFACE);
    if is_right {
        socket.give_back(early);
    } else {
        // Our own settings, then GOAWAY with PROTOCOL_ERROR.
        let goodbye = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        let _ = socket.write_all(goodbye).await;
        let _ = socket.shutdown().await;
    }
    is_right
}

/// How many requests a client has given up.
#[derive(Debug, Default)]
struct Resets(Cell<u32>);

impl Resets {
    fn given_up(&self, client: &Client) {
        self.0.set(self.0.get() + 1);
        if self.are_too_many() {
            client.wake();
        }
    }

    /// One that was let finish makes up for one that was not.
    fn finished(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }

    fn are_too_many(&self) -> bool {
        self.0.get() > MOST_RESETS
    }
}

/// Answers the request of one stream.
async fn answer(
    worker: Rc<Worker>,
    client: Rc<Client>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    resets: Rc<Resets>,
) {
    let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
    let respond = Rc::new(RefCell::new(respond));
    let (parts, receive) = request.into_parts();
    let (mut body, mut upgrade, mut opened) = (None, None, None);
    if parts.method == Method::CONNECT && parts.extensions.get::<Protocol>().is_some() {
        let (opens, send) = oneshot::channel();
        upgrade = Some(Box::new(Upgrade::Http2 { receive, send }));
        opened = Some(opens);
    } else if !receive.is_end_stream() {
        let expects = parts.headers.contains_key(EXPECT).then(|| Rc::clone(&respond));
        body = Some(Incoming::Http2 { stream: receive, expects });
    }
    let reply = Reply::Http2 { upgrade, respond: Rc::clone(&respond), waker };
    let mut forwarding = pin!(forward(worker, Rc::clone(&client), parts, body, reply));
    let response = poll_fn(|context| {
        if respond.borrow_mut().poll_reset(context).is_ready() {
            return Poll::Ready(None);
        }
        forwarding.as_mut().poll(context).map(Some)
    })
    .await;
    let Some(response) = response else { return resets.given_up(&client) };
    let (mut parts, body) = response.into_parts();
    // RFC 9113 8.2.2: what is about a connection has no place here.
    parts.headers.remove(CONNECTION);
    parts.headers.remove(UPGRADE);
    // RFC 9110 6.6.1: one that has none gets the time at which we pass it on. (hyper does it in
    // HTTP/1.1.)
    if !parts.headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        parts.headers.insert(DATE, now);
    }
    let is_tunnel = matches!(body, ResponseBody::Tunnel);
    let is_end = !is_tunnel && body.is_end_stream();
    let sent = respond.borrow_mut().send_response(Response::from_parts(parts, ()), is_end);
    let Ok(mut send) = sent else { return };
    if is_tunnel {
        if let Some(opened) = opened {
            // The tunnel may be gone already; then so is the stream.
            let _ = opened.send(send);
        }
        return;
    }
    if !is_end {
        let mut body = body;
        match poll_fn(|context| poll_relay(&mut send, &mut body, context)).await {
            Ok(()) => {}
            Err(Ended::Cut(cut)) => send.send_reset(cut.reset_reason()),
            Err(Ended::Gone) => return resets.given_up(&client),
        }
    }
    resets.finished();
}

/// Why a response did not reach its end.
enum Ended {
    /// We could not go on.
    Cut(Cut),
    /// The client reset the stream, or is gone.
    Gone,
}

/// Sends `body`, and fetches no more of it than there is room for.
fn poll_relay(
    send: &mut SendStream<Bytes>,
    body: &mut ResponseBody,
    context: &mut Context<'_>,
) -> Poll<Result<(), Ended>> {
    loop {
        if send.poll_reset(context).is_ready() {
            return Poll::Ready(Err(Ended::Gone));
        }
        if send.capacity() == 0 {
            send.reserve_capacity(1);
            match send.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Ended::Gone)),
                Poll::Pending => return body.poll_blocked(context).map_err(Ended::Cut),
            }
        }
        let sent = match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Err(cut)) => return Poll::Ready(Err(Ended::Cut(cut))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if body.is_end_stream() => {
                    return Poll::Ready(send.send_data(data, true).map_err(|_| Ended::Gone));
                }
                Ok(data) => send.send_data(data, false),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(send.send_trailers(trailers).map_err(|_| Ended::Gone));
                }
            },
            None => {
                return Poll::Ready(send.send_data(Bytes::new(), true).map_err(|_| Ended::Gone));
            }
        };
        if sent.is_err() {
            return Poll::Ready(Err(Ended::Gone));
        }
    }
}
