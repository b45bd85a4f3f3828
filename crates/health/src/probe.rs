//! One probe from its start to its outcome, under one deadline for everything it does.

use std::time::SystemTime;

use config::model::{HttpProbe, Probe, Scheme, UpstreamProtocol};
use connect::{ConnectError, Connected, Connector, Offer, Origin};
use tokio::time::{Instant, timeout_at};

use crate::http::{self, Version};
use crate::prober::Subject;
use crate::report::{Cause, Outcome};

/// What a probe found out.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) outcome: Outcome,
    /// When the certificate that the backend showed stops being valid, whatever the outcome.
    pub(crate) certificate_expires: Option<SystemTime>,
}

/// Probes once, on a fresh connection. Ends at `deadline` at the latest.
pub(crate) async fn run(subject: &Subject, connector: &Connector, deadline: Instant) -> Found {
    let mut certificate_expires = None;
    let attempt = async {
        match &subject.health.probe {
            Probe::Http(probe) => {
                let connected = open(subject, connector, deadline).await?;
                certificate_expires = connected.stream.certificate_expires();
                Ok(ask(subject, connected, probe).await)
            }
            Probe::Tcp => connector.reach(left(deadline)).await.map(|_| Outcome::Pass),
        }
    };
    let outcome = match timeout_at(deadline, attempt).await {
        Ok(outcome) => outcome.unwrap_or_else(|error| failure(&error)),
        Err(_) => Outcome::Fail(Cause::Timeout),
    };
    Found { outcome, certificate_expires }
}

async fn open(
    subject: &Subject,
    connector: &Connector,
    deadline: Instant,
) -> Result<Connected, ConnectError> {
    let offer = match subject.protocol {
        UpstreamProtocol::Auto => Offer::Both,
        UpstreamProtocol::Http1 => Offer::Http1,
        UpstreamProtocol::Http2 => Offer::Http2,
    };
    connector.connect(offer, Origin::Local, left(deadline)).await
}

async fn ask(subject: &Subject, connected: Connected, probe: &HttpProbe) -> Outcome {
    let url = &subject.destination.url;
    let version = match (url.scheme, subject.protocol) {
        (Scheme::Https, _) if connected.is_http2 => Version::Http2,
        (Scheme::Http, UpstreamProtocol::Http2) => Version::Http2,
        (Scheme::Https, _) => Version::Http1,
        (Scheme::Http, UpstreamProtocol::Auto | UpstreamProtocol::Http1) => Version::Http1,
    };
    http::ask(connected, version, url, probe).await
}

fn left(deadline: Instant) -> std::time::Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn failure(error: &ConnectError) -> Outcome {
    match error {
        ConnectError::Refused(error) => Outcome::Fail(Cause::Refused(error.to_string())),
        ConnectError::Resolve(error) => Outcome::Fail(Cause::Resolve(error.to_string())),
        ConnectError::Tls(error) => Outcome::Fail(Cause::Tls(error.to_string())),
        ConnectError::Timeout(_) => Outcome::Fail(Cause::Timeout),
        ConnectError::Exhausted(error) => {
            tracing::warn!(%error, "no means to probe");
            Outcome::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_we_lack_says_nothing_of_the_backend() {
        let lack = io::Error::other("127.0.0.1:1: too many open files");
        assert_eq!(failure(&ConnectError::Exhausted(lack)), Outcome::Inconclusive);
    }

    #[test]
    fn what_the_backend_does_is_a_failure_and_its_words_are_kept() {
        let error = || io::Error::other("127.0.0.1:1: why");
        let why = || "127.0.0.1:1: why".to_owned();
        for (error, cause) in [
            (ConnectError::Refused(error()), Cause::Refused(why())),
            (ConnectError::Resolve(error()), Cause::Resolve(why())),
            (ConnectError::Tls(error()), Cause::Tls(why())),
            (ConnectError::Timeout(Duration::ZERO), Cause::Timeout),
        ] {
            assert_eq!(failure(&error), Outcome::Fail(cause));
        }
    }
}
