//! One probe from its start to its outcome, under one deadline for everything it does.

use config::model::{HttpProbe, Probe};
use connect::{ConnectError, Connector, Offer, Origin};
use tokio::time::{Instant, timeout_at};

use crate::http;
use crate::prober::Subject;
use crate::report::{Cause, Outcome};

/// Probes once, on a fresh connection. Ends at `deadline` at the latest.
pub(crate) async fn run(subject: &Subject, connector: &Connector, deadline: Instant) -> Outcome {
    let attempt = async {
        let limit = deadline.saturating_duration_since(Instant::now());
        match &subject.health.probe {
            Probe::Http(probe) => ask(subject, connector, probe, limit).await,
            Probe::Tcp => connector.reach(limit).await.map(|_| Outcome::Pass),
        }
    };
    match timeout_at(deadline, attempt).await {
        Ok(outcome) => outcome.unwrap_or_else(|error| failure(&error)),
        Err(_) => Outcome::Fail(Cause::Timeout),
    }
}

async fn ask(
    subject: &Subject,
    connector: &Connector,
    probe: &HttpProbe,
    limit: std::time::Duration,
) -> Result<Outcome, ConnectError> {
    let connected = connector.connect(Offer::Http1, Origin::Local, limit).await?;
    Ok(http::ask(connected.stream, &subject.destination.url, probe).await)
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
