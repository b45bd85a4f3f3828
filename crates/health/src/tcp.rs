//! A TCP connection that is accepted, and perhaps a few bytes each way.

use config::model::{Pattern, Scheme, TcpProbe};
use connect::{ConnectError, Connector, Offer, Origin, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answer, Excuse};
use crate::report::{Cause, Outcome};
use crate::transcript::Transcript;
use crate::words::excerpt;

/// What is expected must come within so much.
const MOST_BYTES: usize = 64 * 1024;

/// Asks once. The certificate, if one was shown, is told whatever the outcome.
///
/// # Errors
/// No connection came about.
pub(crate) async fn run(
    probe: &TcpProbe,
    connector: &Connector,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Result<Answer, ConnectError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if probe.send.is_empty() && probe.expect.is_none() {
        // Whatever is spoken there.
        connector.reach(left).await?;
        transcript.note(|| "connected".to_owned());
        return Ok(Outcome::Pass.into());
    }
    let mut stream = connector.connect(Offer::Nothing, Origin::Local, left).await?.stream;
    let over = match connector.destination().url.scheme {
        Scheme::Http => "connected",
        Scheme::Https => "connected, over TLS",
    };
    transcript.note(|| over.to_owned());
    let certificate_expires = stream.certificate_expires();
    let answer = talk(probe, &mut stream, deadline, transcript).await;
    Ok(Answer { certificate_expires, ..answer })
}

async fn talk(
    probe: &TcpProbe,
    stream: &mut Stream,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let sent = async {
        stream.write_all(&probe.send).await?;
        stream.flush().await
    };
    match timeout_at(deadline, sent).await {
        Ok(Ok(())) => transcript.note(|| format!("sent {} bytes", probe.send.len())),
        Ok(Err(error)) => return Answer::failed(crate::http::broken(&error)),
        Err(_) => return Answer::failed(Cause::Timeout),
    }
    match &probe.expect {
        None => Outcome::Pass.into(),
        Some(pattern) => listen(pattern, stream, deadline, transcript).await,
    }
}

async fn listen(
    pattern: &Pattern,
    stream: &mut Stream,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let mut came = Vec::new();
    let mut some = [0; 4096];
    loop {
        let room = some.len().min(MOST_BYTES - came.len());
        let read = timeout_at(deadline, stream.read(&mut some[..room])).await;
        match read {
            Ok(Ok(count)) => {
                transcript.body(&some[..count]);
                came.extend_from_slice(&some[..count]);
                if pattern.0.is_match(&came) {
                    return Outcome::Pass.into();
                }
                if count == 0 || came.len() == MOST_BYTES {
                    return Answer::failed(unexpected(pattern, &came));
                }
            }
            Ok(Err(error)) => return Answer::failed(crate::http::broken(&error)),
            Err(_) if came.is_empty() => return Answer::failed(Cause::Timeout),
            // It does answer, but the rest may have been there, unread.
            Err(_) => {
                let excuse = Excuse { delay: true, network: false };
                return Answer { excuse, ..Answer::failed(unexpected(pattern, &came)) };
            }
        }
    }
}

fn unexpected(pattern: &Pattern, came: &[u8]) -> Cause {
    let pattern = pattern.0.as_str();
    Cause::Unexpected(format!("expected what matches \"{pattern}\", {}", excerpt(came)))
}
