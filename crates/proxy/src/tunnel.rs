//! After a 101: bytes in both directions until one side has ended both.
//!
//! Knows nothing of what is in them.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::upstream::exchange::Connection;
use crate::flight::Flight;
use crate::service::Service;
use crate::worker::Counted;

/// How long the second side may take to end after the first.
const FOLLOW_WITHIN: Duration = Duration::from_secs(10);

/// Relays between the client (once the 101 has been sent) and the backend on `connection`. The
/// tunnel belongs to the worker's runtime and ends with it; `flight` counts it until then.
pub(crate) fn start(
    client: OnUpgrade,
    connection: Box<Connection>,
    service: Rc<Service>,
    client_counted: Option<Rc<Counted>>,
    flight: Flight,
) {
    tokio::task::spawn_local(async move {
        let _counted = (Open::new(service), flight, client_counted);
        let (backend, early) = connection.into_stream();
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        // What the backend sent right behind its 101.
        if client.write_all(&early).await.is_err() {
            return;
        }
        relay(client, backend).await;
    });
}

/// Relays until both sides have ended, or one has and the other does not follow.
async fn relay(client: impl AsyncRead + AsyncWrite, backend: impl AsyncRead + AsyncWrite) {
    let (client_reads, client_writes) = tokio::io::split(client);
    let (backend_reads, backend_writes) = tokio::io::split(backend);
    let mut upwards = pin!(pass_on(client_reads, backend_writes));
    let mut downwards = pin!(pass_on(backend_reads, client_writes));
    tokio::select! {
        () = &mut upwards => { let _ = timeout(FOLLOW_WITHIN, downwards).await; }
        () = &mut downwards => { let _ = timeout(FOLLOW_WITHIN, upwards).await; }
    }
}

/// One direction. Ends by end-of-file or error on either side; there is nobody left to tell.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // It flushes whenever there is nothing to read, which a TLS stream needs.
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Counts an open tunnel.
struct Open(Rc<Service>);

impl Open {
    fn new(service: Rc<Service>) -> Self {
        service.cells.streams.inc();
        Self(service)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.cells.streams.dec();
    }
}
