//! One probe from its start to its answer, under one deadline for everything it does.

use std::io;
use std::sync::Arc;

use config::model::{AgentProbe, BackendAddress, BackendUrl, Health, Probe, ProbeKind, Scheme};
use connect::{ConnectError, Connector, Destination};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::agent::Heard;
use crate::answer::{Answer, Excuse};
use crate::exec::{Programs, Queue};
use crate::prober::Subject;
use crate::report::{Cause, Doubt, Outcome};
use crate::transcript::Transcript;
use crate::{agent, exec, grpc, http, tcp};

/// The ways to a backend and to the agents beside it.
#[derive(Debug)]
pub(crate) struct Ways {
    backend: Connector,
    /// Of each probe, if it is an agent.
    agents: Vec<Option<Connector>>,
    /// Of each probe: one permit for each program that it may run.
    programs: Vec<Arc<Semaphore>>,
}

impl Ways {
    /// To the backend over `destination`.
    pub(crate) fn new(destination: Destination, health: &Health) -> Self {
        let host = match &destination.url.address {
            BackendAddress::Tcp { host, .. } => host.to_string(),
            // Its agent is on this host, too.
            BackendAddress::Unix(_) => "localhost".to_owned(),
        };
        let agents = health.probes.iter().map(|probe| match &probe.kind {
            ProbeKind::Agent(agent) => Some(way_to(agent, &host)),
            ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Exec(_) => {
                None
            }
        });
        let programs = health.probes.iter().map(|probe| match &probe.kind {
            ProbeKind::Exec(exec) => Arc::new(Semaphore::new(exec.at_a_time)),
            ProbeKind::Http(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) | ProbeKind::Agent(_) => {
                Arc::new(Semaphore::new(0))
            }
        });
        Self {
            agents: agents.collect(),
            programs: programs.collect(),
            backend: Connector::new(destination),
        }
    }
}

fn way_to(agent: &AgentProbe, host_of_backend: &str) -> Connector {
    let host = agent.host.as_deref().unwrap_or(host_of_backend);
    let url = BackendUrl::tcp(Scheme::Http, host, agent.port);
    Connector::new(Destination {
        url,
        tls: None,
        proxy_protocol: None,
        names: connect::KnownNames::default(),
    })
}

/// What every probe of a round is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) ways: &'a Ways,
    /// Told to the backend if there is a field for it.
    pub(crate) epoch: u64,
    /// The programs that may run, over all backends.
    pub(crate) programs: &'a Programs,
}

/// Runs the probe of that number once, on a fresh connection. Ends at `deadline` at the latest. What
/// an agent says is added to `heard`.
pub(crate) async fn run(
    number: usize,
    context: Context<'_>,
    heard: &mut Heard,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let Context { subject, ways, epoch, programs } = context;
    let Probe { name, kind, .. } = &subject.health.probes[number];
    let backend = &ways.backend;
    // Boxed, so that a round is as large as the probes that it runs and not as the largest kind.
    let mut answer = match kind {
        ProbeKind::Http(probe) => {
            let mut certificate = None;
            let asked = Box::pin(http::run(
                probe,
                context,
                backend,
                deadline,
                &mut certificate,
                transcript,
            ));
            let answer = in_time(deadline, asked).await;
            Answer { certificate_expires: certificate, ..answer }
        }
        ProbeKind::Tcp(probe) => {
            transcript.note(|| format!("connecting to {}", subject.destination.url));
            in_time(deadline, Box::pin(tcp::run(probe, backend, deadline, transcript))).await
        }
        ProbeKind::Grpc(probe) => {
            Box::pin(grpc::run(probe, subject, backend, deadline, transcript)).await
        }
        ProbeKind::Exec(probe) => {
            let queue = Queue { own: &ways.programs[number], programs };
            Box::pin(exec::run(probe, name, subject, epoch, queue, deadline, transcript)).await
        }
        ProbeKind::Agent(probe) => match &ways.agents[number] {
            Some(way) => Box::pin(agent::run(probe, way, heard, deadline, transcript)).await,
            None => Outcome::Inconclusive(Doubt::Silent).into(),
        },
    };
    if let BackendAddress::Unix(_) = subject.destination.url.address {
        answer.excuse.network = false;
    }
    answer
}

async fn in_time(
    deadline: Instant,
    asked: impl Future<Output = Result<Answer, ConnectError>>,
) -> Answer {
    match timeout_at(deadline, asked).await {
        Ok(asked) => asked.unwrap_or_else(|error| failure(&error)),
        Err(_) => Answer::failed(Cause::Timeout),
    }
}

/// What it means that no connection came about.
pub(crate) fn failure(error: &ConnectError) -> Answer {
    match error {
        ConnectError::Refused(error) => {
            let answer = Answer::failed(Cause::Refused(error.to_string()));
            // Somebody is there and said so.
            let is_active = matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            );
            Answer { excuse: Excuse { network: !is_active, ..answer.excuse }, ..answer }
        }
        ConnectError::Resolve(error) => Answer::failed(Cause::Resolve(error.to_string())),
        ConnectError::Tls(error) => Answer::failed(Cause::Tls(error.to_string())),
        ConnectError::Timeout(_) => Answer::failed(Cause::Timeout),
        ConnectError::Exhausted(error) => {
            tracing::warn!(%error, "no means to probe");
            Outcome::Inconclusive(Doubt::Exhausted(error.to_string())).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_we_lack_says_nothing_of_the_backend() {
        let lack = io::Error::other("127.0.0.1:1: too many open files");
        let doubt = Doubt::Exhausted("127.0.0.1:1: too many open files".to_owned());
        assert_eq!(failure(&ConnectError::Exhausted(lack)).outcome, Outcome::Inconclusive(doubt));
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
            assert_eq!(failure(&error).outcome, Outcome::Fail(cause));
        }
    }

    #[test]
    fn who_refuses_is_there_and_who_cannot_be_reached_may_be() {
        for (kind, network) in [
            (io::ErrorKind::ConnectionRefused, false),
            (io::ErrorKind::ConnectionReset, false),
            (io::ErrorKind::HostUnreachable, true),
            (io::ErrorKind::NetworkUnreachable, true),
            (io::ErrorKind::TimedOut, true),
        ] {
            let answer = failure(&ConnectError::Refused(kind.into()));
            assert_eq!(answer.excuse, Excuse { delay: false, network }, "{kind}");
        }
        let silent = failure(&ConnectError::Timeout(Duration::ZERO));
        assert_eq!(silent.excuse, Excuse { delay: true, network: true });
    }
}
