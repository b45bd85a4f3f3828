//! Orders: requests that must not be executed twice, recorded before they are answered.

use std::io;
use std::time::Duration;

use benches::journal::fingerprint;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::answer::number;
use crate::body::{Body, full};
use crate::state::State;

/// The most bytes of an order.
const LIMIT: usize = 16 * 1024 * 1024;

/// Records the order, takes `?ms=` for the work, and answers 201.
///
/// An order whose body does not arrive whole is not recorded: nothing was executed.
pub(crate) async fn order(
    state: &State,
    id: &str,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let work = Duration::from_millis(number(&head.uri, "ms").unwrap_or(0));
    let body = Limited::new(body, LIMIT).collect().await.map_err(io::Error::other)?.to_bytes();
    state.record(&head.method, head.uri.path(), id, Some(fingerprint(&body)))?;
    tokio::time::sleep(work).await;
    let mut response = Response::new(full(format!("order {id} recorded\n")));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
