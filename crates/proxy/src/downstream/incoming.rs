//! A request body as it comes from a client, over either version of HTTP.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Response, StatusCode};
use http_body::{Body as _, Frame};

/// A request body on its way in.
#[derive(Debug)]
pub(crate) enum Incoming {
    Http1(hyper::body::Incoming),
    Http2 {
        stream: RecvStream,
        /// Where to say 100, once, before waiting for a body that waits for it (RFC 9110 10.1.1).
        expects: Option<Rc<RefCell<SendResponse<Bytes>>>>,
    },
}

/// The client broke off, or sent what it had not announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Incoming {
    /// Whether nothing is to come.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    /// The next piece, or the trailers; `None` at the end.
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(BodyError::Http1),
            Self::Http2 { stream, expects } => {
                let data = stream.poll_data(context);
                if data.is_pending()
                    && let Some(respond) = expects.take()
                {
                    let mut go_on = Response::new(());
                    *go_on.status_mut() = StatusCode::CONTINUE;
                    // A client that is gone will be noticed.
                    let _ = respond.borrow_mut().send_informational(go_on);
                }
                match ready!(data) {
                    Some(Ok(data)) => {
                        // The client may send as much again.
                        let released = stream.flow_control().release_capacity(data.len());
                        return Poll::Ready(Some(match released {
                            Ok(()) => Ok(Frame::data(data)),
                            Err(error) => Err(error.into()),
                        }));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None => {}
                }
                let trailers = ready!(stream.poll_trailers(context));
                Poll::Ready(match trailers {
                    Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                    Err(error) => Some(Err(error.into())),
                })
            }
        }
    }
}
