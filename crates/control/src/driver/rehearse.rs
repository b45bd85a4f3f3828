//! Connects to a standby exactly as the traffic would, where its probes go another way.
//!
//! Name, connection, PROXY header and TLS handshake; nothing is asked. What comes of it is for the
//! readiness of the standby only: it is no verdict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use config::model::{ProbeKind, UpstreamProtocol};
use connect::{ConnectError, Connector, Destination, Offer, Origin, Tls};
use rustls::client::Resumption;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::blueprint::BackendPlan;
use crate::readiness::Way;

/// From one connection to the next.
const EVERY: Duration = Duration::from_secs(10);

/// The same after one that failed: the second in a row counts.
const AGAIN: Duration = Duration::from_secs(1);

/// A standby that is connected to now and then, until dropped.
#[derive(Debug)]
pub(super) struct Rehearsal {
    found: Arc<Mutex<Found>>,
    task: JoinHandle<()>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) way: Way,
    /// When the certificate that was shown expires.
    pub(super) certificate_expires: Option<SystemTime>,
    /// Failures in a row.
    failures: u32,
}

impl Default for Found {
    fn default() -> Self {
        Self { way: Way::Untried, certificate_expires: None, failures: 0 }
    }
}

/// Whether the probes of a backend do not show that the way of its traffic is open.
pub(super) fn is_needed(plan: &BackendPlan) -> bool {
    let goes_it = plan.subject.health.probes.iter().any(|probe| match &probe.kind {
        ProbeKind::Http(_) | ProbeKind::Grpc(_) => true,
        ProbeKind::Tcp(_) | ProbeKind::Exec(_) | ProbeKind::Agent(_) => false,
    });
    !goes_it || !plan.destination.same_as(&plan.subject.destination)
}

impl Rehearsal {
    /// Begins within a second, so that many do not begin at once.
    pub(super) fn start(plan: &BackendPlan) -> Self {
        let found = Arc::<Mutex<Found>>::default();
        let limit = plan.subject.health.timeout;
        let (way, offer) = (unacquainted(&plan.destination), offer(plan.subject.protocol));
        let task = tokio::spawn(rehearse(way, offer, limit, found.clone()));
        Self { found, task }
    }

    /// What came of the last connections.
    pub(super) fn found(&self) -> Found {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn rehearse(
    destination: Destination,
    offer: Offer,
    limit: Duration,
    found: Arc<Mutex<Found>>,
) {
    let connector = Connector::new(destination);
    sleep(AGAIN.mul_f64(fastrand::f64())).await;
    loop {
        let connected = connector.connect(offer, Origin::Local, limit).await;
        let result = connected.map(|connected| connected.stream.certificate_expires());
        let pause = {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.note(result);
            if found.failures == 1 { AGAIN } else { EVERY }
        };
        // Where all begin at once they do not stay together.
        sleep(pause.mul_f64(0.9 + fastrand::f64() / 5.0)).await;
    }
}

impl Found {
    /// The probes go the way of the traffic.
    pub(super) fn probed(certificate_expires: Option<SystemTime>) -> Self {
        Self { way: Way::Probed, certificate_expires, failures: 0 }
    }

    fn note(&mut self, result: Result<Option<SystemTime>, ConnectError>) {
        match result {
            Ok(expires) => {
                *self = Self { way: Way::Open, certificate_expires: expires, failures: 0 };
            }
            // That says nothing of the standby.
            Err(ConnectError::Exhausted(_)) => {}
            Err(
                error @ (ConnectError::Refused(_)
                | ConnectError::Resolve(_)
                | ConnectError::Tls(_)
                | ConnectError::Timeout(_)),
            ) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures > 1 {
                    self.way = Way::Closed(error.to_string().into());
                    self.certificate_expires = None;
                }
            }
        }
    }
}

/// What the traffic offers.
fn offer(protocol: UpstreamProtocol) -> Offer {
    match protocol {
        UpstreamProtocol::Auto => Offer::Both,
        UpstreamProtocol::Http1 => Offer::Http1,
        UpstreamProtocol::Http2 => Offer::Http2,
    }
}

/// The same way, without resuming TLS sessions: a backend that knows us shows its certificate no more
/// (RFC 8446 section 2.2).
fn unacquainted(destination: &Destination) -> Destination {
    let mut destination = destination.clone();
    if let Some(Tls { config, .. }) = &mut destination.tls {
        Arc::make_mut(config).resumption = Resumption::disabled();
    }
    destination
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_second_failure_in_a_row_counts_and_one_connection_takes_it_back() {
        let mut found = Found::default();
        let refused = || Err(ConnectError::Refused(io::Error::other("no")));
        found.note(refused());
        assert_eq!(found.way, Way::Untried);
        found.note(Err(ConnectError::Exhausted(io::Error::other("no sockets"))));
        assert_eq!(found.failures, 1, "our own trouble is not the standby's");
        found.note(refused());
        assert_eq!(found.way, Way::Closed("cannot connect: no".into()));
        found.note(Ok(Some(SystemTime::UNIX_EPOCH)));
        assert_eq!(found.way, Way::Open);
        assert_eq!(found.certificate_expires, Some(SystemTime::UNIX_EPOCH));
        found.note(refused());
        assert_eq!(found.way, Way::Open, "one that is lost is no news");
        assert_eq!(found.certificate_expires, Some(SystemTime::UNIX_EPOCH));
    }
}
