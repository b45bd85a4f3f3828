//! One probe from its start to its outcome, under one deadline for everything it does.

use std::time::SystemTime;

use config::model::{Probe, Scheme, UpstreamProtocol};
use connect::{ConnectError, Connected, Connector, Offer, Origin};
use tokio::time::{Instant, timeout_at};

use crate::http::{self, Question, Version};
use crate::prober::Subject;
use crate::report::{Cause, Outcome};
use crate::transcript::Transcript;

/// What a probe found out.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) outcome: Outcome,
    /// When the certificate that the backend showed stops being valid, whatever the outcome.
    pub(crate) certificate_expires: Option<SystemTime>,
}

/// Probes once, on a fresh connection, telling the service's `epoch` if there is a field for it. Ends
/// at `deadline` at the latest.
pub(crate) async fn run(
    subject: &Subject,
    connector: &Connector,
    epoch: u64,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Found {
    let mut certificate_expires = None;
    let began = Instant::now();
    let url = &subject.destination.url;
    transcript.note(|| format!("connecting to {url}"));
    let attempt = async {
        match &subject.health.probe {
            Probe::Http(probe) => {
                let connected = open(subject, connector, deadline).await?;
                certificate_expires = connected.stream.certificate_expires();
                transcript.note(|| opened(began, certificate_expires));
                let epoch = subject.epoch_header.as_ref().map(|name| (name, epoch));
                let question = Question { url, probe, epoch };
                Ok(ask(subject, connected, question, transcript).await)
            }
            Probe::Tcp => {
                connector.reach(left(deadline)).await?;
                transcript.note(|| opened(began, None));
                Ok(Outcome::Pass)
            }
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

fn opened(began: Instant, certificate_expires: Option<SystemTime>) -> String {
    let took = began.elapsed().as_secs_f64() * 1e3;
    let certificate = certificate_expires.and_then(|expires| {
        let left = expires.duration_since(SystemTime::now()).ok()?;
        Some(format!(", its certificate is valid for {} days", left.as_secs() / (24 * 60 * 60)))
    });
    format!("connected after {took:.2} ms{}", certificate.unwrap_or_default())
}

async fn ask(
    subject: &Subject,
    connected: Connected,
    question: Question<'_>,
    transcript: &mut Transcript,
) -> Outcome {
    let version = match (question.url.scheme, subject.protocol) {
        (Scheme::Https, _) if connected.is_http2 => Version::Http2,
        (Scheme::Http, UpstreamProtocol::Http2) => Version::Http2,
        (Scheme::Https, _) => Version::Http1,
        (Scheme::Http, UpstreamProtocol::Auto | UpstreamProtocol::Http1) => Version::Http1,
    };
    http::ask(connected, version, question, transcript).await
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
