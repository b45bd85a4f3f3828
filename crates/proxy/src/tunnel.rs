//! After a 101: bytes in both directions until one side has ended both.
//!
//! Knows nothing of what is in them.

use std::rc::Rc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use crate::exchange::Connection;
use crate::flight::Flight;
use crate::service::Service;

/// Bytes buffered per direction.
const BUFFER: usize = 16 * 1024;

/// Relays between the client (once the 101 has been sent) and the backend on `connection`. The
/// tunnel belongs to the worker's runtime and ends with it; `flight` counts it until then.
pub(crate) fn start(
    client: OnUpgrade,
    connection: Box<Connection>,
    service: Rc<Service>,
    flight: Flight,
) {
    tokio::task::spawn_local(async move {
        let _counted = (Open::new(service), flight);
        let (mut backend, early) = connection.into_stream();
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        // What the backend sent right behind its 101.
        if client.write_all(&early).await.is_err() {
            return;
        }
        // Ends by end-of-file or error on either side; there is nobody left to tell.
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER)
            .await;
    });
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
