//! Where requests come in and answers go out: what is answered without asking a backend, and what is
//! added to every answer.

use std::rc::Rc;

use http::header::{CONNECTION, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};

use crate::answer::{self, Failure};
use crate::body::ResponseBody;
use crate::downstream::client::{Client, Protocol};
use crate::head::Head;
use crate::service::Service;
use crate::spec::ListenerSpec;
use crate::worker::Worker;

/// Takes over the head and finds its service; else the answer that needs none.
pub(crate) fn admit(
    worker: &Worker,
    client: &Client,
    listener: &ListenerSpec,
    parts: Parts,
) -> Result<(Head, Rc<Service>), Box<Response<ResponseBody>>> {
    let refuse = |failure: Failure, kind| {
        client.listener.cells.unrouted.inc();
        Box::new(failure.response(kind))
    };
    let admitted = Head::admit(parts, &listener.limits);
    let head = admitted.map_err(|(failure, kind)| refuse(failure, kind))?;
    if let Some(redirect) = listener.redirect_https
        && !head.is_https(&client.known)
    {
        if head.host().is_empty() {
            let failure = Failure::BadRequest("no host to redirect to");
            return Err(refuse(failure, head.kind(None)));
        }
        return Err(Box::new(head.redirect(redirect)));
    }
    if head.is_last_hop() {
        return Err(Box::new(answer::options()));
    }
    match worker.route(head.host(), head.path()) {
        Some(service) => Ok((head, service)),
        None => Err(refuse(Failure::NotFound, head.kind(None))),
    }
}

/// Adds what the listener and the connection have to say to any answer.
pub(crate) fn finish(
    mut response: Response<ResponseBody>,
    client: &Client,
    listener: &ListenerSpec,
) -> Response<ResponseBody> {
    // Of HTTP/2 the connection says it itself (GOAWAY).
    let is_last = client.is_leaving() && client.protocol() == Protocol::Http1;
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(hsts) = listener.hsts.as_ref().filter(|_| listener.tls.is_some()) {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    response
}
