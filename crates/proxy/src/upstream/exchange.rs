//! One exchange with a backend, over either version of HTTP: a request out, a response in.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use config::model::BackendUrl;
use http_body::Frame;

use crate::body::Source;
use crate::downstream::client::Known;
use crate::head::Head;
use crate::stamp::Stamp;
use crate::upstream::ResponseHead;
use crate::upstream::h1::{self, Framing, Malformed};
use crate::upstream::http2;

/// One exchange, driven by the request that holds it. Dropping it in the middle tells the backend:
/// its connection is closed, or its stream reset.
#[derive(Debug)]
pub(crate) enum Exchange {
    Http1(Box<h1::Connection>),
    Http2(Box<http2::Stream>),
}

/// Why no response, or only part of one, came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The backend had closed the idle connection, or sent something on it unasked. Nothing was
    /// sent.
    #[error("the connection was closed while idle")]
    Stale,
    /// Nothing was sent.
    #[error("the request was not taken")]
    Unsent,
    /// The backend says that it has not acted on the request (RFC 9113 8.7).
    #[error("the backend takes no more requests at the moment")]
    Refused,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(io::Error),
    /// The backend gave the request up.
    #[error("the backend reset the stream: {0}")]
    Reset(h2::Reason),
    /// The response cannot be understood in one way only.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Exchange {
    /// Begins an exchange; whether the request can be said to this backend.
    /// [`poll_head`](Self::poll_head) sends it.
    pub(crate) fn begin(
        &mut self,
        head: &Head,
        client: &Known,
        url: &BackendUrl,
        source: Option<&Rc<Source>>,
        stamp: Option<&Stamp>,
    ) -> bool {
        match self {
            Self::Http1(connection) => {
                let framing = source.map_or(Framing::None, |source| source.framing());
                connection.begin(
                    |out| head.write(out, framing, client, url, stamp),
                    source.cloned(),
                    framing,
                );
            }
            Self::Http2(stream) => {
                let framing = source.map_or(Framing::None, |source| source.framing());
                let Some(request) = head.request(client, url, framing, stamp) else { return false };
                stream.begin(request, source.cloned());
            }
        }
        true
    }

    /// Sends what there is to send until the response head is there. `interim` is given every 1xx
    /// before it, except 101, which is final (RFC 9110 15.2).
    ///
    /// # Errors
    /// See [`Broken`].
    pub(crate) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        head: &Head,
        interim: impl FnMut(&ResponseHead),
    ) -> Poll<Result<ResponseHead, Broken>> {
        match self {
            Self::Http1(connection) => connection.poll_head(context, head.method(), interim),
            Self::Http2(stream) => stream.poll_head(context, interim),
        }
    }

    /// The next part of the response body; meanwhile goes on sending the request's. `None` at the
    /// end.
    pub(crate) fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self {
            Self::Http1(connection) => connection.poll_body(context),
            Self::Http2(stream) => stream.poll_body(context),
        }
    }

    /// Goes on sending the request's body.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => connection.poll_send(context),
            Self::Http2(stream) => stream.poll_send(context),
        }
    }

    /// Turns away before anything was sent, because the traffic has.
    pub(crate) fn turn_away(&mut self) {
        match self {
            // Nobody else uses it, and it is closed.
            Self::Http1(_) => {}
            Self::Http2(stream) => stream.turn_away(),
        }
    }

    /// Whether the backend can switch as asked, if anything is asked. Over HTTP/2 it has to say so
    /// first, and there is only WebSocket.
    pub(crate) fn may_switch(&self, head: &Head) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(stream) => head.switch_over_http2().is_none() || stream.may_connect(),
        }
    }

    /// Whether nothing of the response body is to come.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.body().is_done(),
            Self::Http2(stream) => stream.is_done(),
        }
    }

    /// How many bytes of the response body are to come, when that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) => connection.body().remaining(),
            Self::Http2(stream) => stream.remaining(),
        }
    }

    /// Whether the connection has served an exchange before this one.
    pub(crate) fn is_used(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_used(),
            Self::Http2(stream) => stream.is_used(),
        }
    }

    /// Whether not a single byte of the request has left.
    pub(crate) fn has_sent_nothing(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.has_sent_nothing(),
            Self::Http2(stream) => stream.has_sent_nothing(),
        }
    }
}
