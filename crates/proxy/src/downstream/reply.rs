//! The way back to the client of one request: what goes before the response, and what may follow a
//! switch of protocols.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio::sync::oneshot;

use crate::downstream::client::Client;
use crate::head::Head;
use crate::upstream::ResponseHead;

/// The way back to the client of one request.
#[derive(Debug)]
pub(crate) enum Reply {
    Http1 {
        upgrade: Option<Box<Upgrade>>,
    },
    Http2 {
        upgrade: Option<Box<Upgrade>>,
        respond: Rc<RefCell<SendResponse<Bytes>>>,
        /// Wakes the task of this request.
        waker: Waker,
    },
}

/// A client that may switch protocols.
#[derive(Debug)]
pub(crate) enum Upgrade {
    /// After a 101 (RFC 9110 7.8).
    Http1(OnUpgrade),
    /// By an extended CONNECT (RFC 8441): what the client sends, and, once the response has begun,
    /// where to send to.
    Http2 { receive: RecvStream, send: oneshot::Receiver<SendStream<Bytes>> },
}

impl Reply {
    /// Who wakes the request; `None`: who wakes its connection.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2 { waker, .. } => Some(waker.clone()),
        }
    }

    pub(crate) fn take_upgrade(&mut self) -> Option<Box<Upgrade>> {
        match self {
            Self::Http1 { upgrade } | Self::Http2 { upgrade, .. } => upgrade.take(),
        }
    }

    /// Sends an interim response (RFC 9110 15.2) before the final one. A 100 is not passed on: we
    /// answer `Expect` ourselves.
    pub(crate) fn send_interim(&self, interim: &ResponseHead, client: &Client, request: &Head) {
        if interim.status == StatusCode::CONTINUE {
            return;
        }
        match self {
            Self::Http1 { .. } => client.send_interim(interim, request),
            Self::Http2 { respond, .. } => {
                let mut response = Response::new(());
                *response.status_mut() = interim.status;
                *response.headers_mut() = interim.headers.clone();
                // A client that is gone will be noticed.
                let _ = respond.borrow_mut().send_informational(response);
            }
        }
    }
}
