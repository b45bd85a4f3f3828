//! The addresses behind a backend's name, looked up again every few seconds.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long addresses are used before the name is looked up again.
const ADDRESSES_HOLD: Duration = Duration::from_secs(5);

/// The addresses of a backend that is named. One look-up at a time: each blocks a thread, for as
/// long as the name servers like, and cannot be cancelled.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Option<(Vec<SocketAddr>, Instant)>>);

impl Names {
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.0.lock().await;
        if let Some((addresses, since)) = &*known
            && since.elapsed() < ADDRESSES_HOLD
        {
            return Ok(addresses.clone());
        }
        let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        *known = Some((addresses.clone(), Instant::now()));
        Ok(addresses)
    }

    /// None of them took a connection: they may be old.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
