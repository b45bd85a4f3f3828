//! One probe from its start to its outcome, under one deadline for everything it does.

use config::model::{Probe, Scheme};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::connect::Destination;
use crate::http;
use crate::prober::{Subject, Tls};
use crate::report::{Cause, Outcome};

/// Probes once, on a fresh connection. Ends at `deadline` at the latest.
pub(crate) async fn run(
    subject: &Subject,
    destination: &Destination,
    deadline: Instant,
) -> Outcome {
    match timeout_at(deadline, attempt(subject, destination, deadline)).await {
        Ok(Ok(outcome) | Err(outcome)) => outcome,
        Err(_) => Outcome::Fail(Cause::Timeout),
    }
}

async fn attempt(
    subject: &Subject,
    destination: &Destination,
    deadline: Instant,
) -> Result<Outcome, Outcome> {
    let stream = destination.connect(deadline).await?;
    let probe = match &subject.health.probe {
        Probe::Http(probe) => probe,
        Probe::Tcp => return Ok(Outcome::Pass),
    };
    let tls = match (subject.url.scheme, &subject.tls) {
        (Scheme::Http, _) => return Ok(http::ask(stream, &subject.url, probe).await),
        (Scheme::Https, Some(tls)) => tls,
        (Scheme::Https, None) => return Err(tls_failure("no settings for https")),
    };
    let Tls { config, server_name } = tls.clone();
    let stream = TlsConnector::from(config).connect(server_name, stream).await;
    let stream = stream.map_err(|error| tls_failure(&error.to_string()))?;
    Ok(http::ask(stream, &subject.url, probe).await)
}

fn tls_failure(why: &str) -> Outcome {
    Outcome::Fail(Cause::Tls(why.to_owned()))
}
