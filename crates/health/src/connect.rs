//! Finds a backend's addresses and opens a TCP connection to one of them.
//!
//! Tells trouble with the backend from trouble of our own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::model::BackendUrl;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::report::{Cause, Outcome};

/// Where a backend is reached.
#[derive(Debug)]
pub(crate) struct Destination {
    host: Arc<str>,
    port: u16,
    /// One look-up at a time, see [`addresses`](Self::addresses).
    lookup: Arc<Semaphore>,
}

impl Destination {
    pub(crate) fn new(url: &BackendUrl) -> Self {
        let lookup = Arc::new(Semaphore::new(1));
        Self { host: Arc::clone(&url.host), port: url.port, lookup }
    }

    /// Opens a connection before `deadline`. Tries the addresses in the resolver's order and gives
    /// each an equal share of the time, so that one that is silent does not hide the next.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<TcpStream, Outcome> {
        let addresses = self.addresses().await?;
        let mut left = addresses.len() as u32;
        let mut outcome = None;
        for address in addresses {
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            left -= 1;
            let attempt = match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure(address, &error),
                Err(_) => Outcome::Fail(Cause::Timeout),
            };
            // An address of a family that this host lacks has no local address to go with it; what
            // another address says counts for more.
            if outcome.is_none() || attempt.is_conclusive() {
                outcome = Some(attempt);
            }
        }
        let none = || Outcome::Fail(Cause::Resolve(format!("{} has no address", self.host)));
        Err(outcome.unwrap_or_else(none))
    }

    /// The addresses of the backend.
    ///
    /// A look-up blocks a thread and cannot be cancelled; it may outlive its probe by far when name
    /// servers do not answer. Probes that begin meanwhile wait for it within their own deadlines,
    /// instead of blocking one thread more each.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Outcome> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let turn = Arc::clone(&self.lookup).acquire_owned().await;
        let (host, port) = (Arc::clone(&self.host), self.port);
        let lookup = tokio::spawn(async move {
            let addresses = lookup_host((&*host, port)).await.map(Iterator::collect);
            drop(turn);
            addresses
        });
        match lookup.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(addresses) => Ok(addresses),
            Err(error) if is_exhaustion(&error) => Err(Outcome::Inconclusive),
            Err(error) => Err(Outcome::Fail(Cause::Resolve(error.to_string()))),
        }
    }
}

fn failure(address: SocketAddr, error: &io::Error) -> Outcome {
    if is_exhaustion(error) {
        tracing::warn!(%address, %error, "no means to probe");
        return Outcome::Inconclusive;
    }
    Outcome::Fail(Cause::Refused(format!("{address}: {error}")))
}

/// Whether we lack what a connection takes: descriptors, ports, memory. That says nothing of the
/// backend.
fn is_exhaustion(error: &io::Error) -> bool {
    // No `ErrorKind` stands for these; the first two numbers are the same on every Unix.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_lack_says_nothing_of_the_backend() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        #[cfg(target_os = "linux")]
        for number in [23, 24, 105, 99, 12] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(failure(address, &error), Outcome::Inconclusive, "{error}");
        }
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::TimedOut,
            io::ErrorKind::PermissionDenied,
        ] {
            let outcome = failure(address, &kind.into());
            assert!(matches!(outcome, Outcome::Fail(Cause::Refused(_))), "{outcome:?}");
        }
    }
}
