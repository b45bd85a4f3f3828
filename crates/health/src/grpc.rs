//! The gRPC health protocol (`grpc.health.v1.Health/Check`), over HTTP/2 whatever the traffic speaks.
//!
//! Two messages of one field each are all there is to it, so there is no gRPC library here.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use config::model::{GrpcProbe, Scheme};
use connect::{Connector, Offer, Origin, Stream};
use h2::RecvStream;
use hooks::http::Broken;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, uri};
use prost::Message as _;
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::http::{broken, cause};
use crate::prober::Subject;
use crate::report::{Cause, Outcome};
use crate::transcript::Transcript;
use status::Status;

mod status;

const PATH: &str = "/grpc.health.v1.Health/Check";

/// Most bytes of fields in an answer.
const MOST_HEADER_BYTES: u32 = 64 * 1024;

/// Most bytes of an answer. Two are enough; whoever adds fields of his own has room.
const MOST_BODY_BYTES: usize = 4096;

/// What precedes a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Asks for the health of the probe's service, on a fresh connection. Ends at `deadline` at the latest.
pub(crate) async fn run(
    probe: &GrpcProbe,
    subject: &Subject,
    connector: &Connector,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let mut certificate_expires = None;
    transcript.note(|| format!("connecting to {}", subject.destination.url));
    let attempt = async {
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = match connector.connect(Offer::Http2, Origin::Local, left).await {
            Ok(connected) => connected.stream,
            Err(error) => return crate::probe::failure(&error),
        };
        certificate_expires = stream.certificate_expires();
        match check(stream, probe, subject, deadline, transcript).await {
            Ok(()) => Outcome::Pass.into(),
            Err(cause) => Outcome::Fail(cause).into(),
        }
    };
    let answer: Result<Answer, _> = timeout_at(deadline, attempt).await;
    let answer = answer.unwrap_or_else(|_| Outcome::Fail(Cause::Timeout).into());
    Answer { certificate_expires, ..answer }
}

async fn check(
    stream: Stream,
    probe: &GrpcProbe,
    subject: &Subject,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Result<(), Cause> {
    let left = deadline.saturating_duration_since(Instant::now());
    let request = request(subject, left)?;
    transcript.sent(&request, &HeaderMap::new(), "HTTP/2");
    transcript.note(|| match &*probe.service {
        "" => "asking for the health of the whole server".to_owned(),
        service => format!("asking for the health of {service}"),
    });
    let message = framed(&probe.service.to_string());
    let answered = exchange(stream, request, message, transcript).await;
    let answered = answered.map_err(|error| cause(&Broken::of_http2(&error)))?;
    let health = answered.health(&probe.service)?;
    transcript.note(|| format!("it is {}", word(health)));
    match health {
        SERVING => Ok(()),
        _ => Err(Cause::Grpc(match &*probe.service {
            "" => word(health).into_owned(),
            service => format!("the service {service} is {}", word(health)),
        })),
    }
}

/// What a request looks like: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn request(subject: &Subject, left: Duration) -> Result<Request<()>, Cause> {
    let url = &subject.destination.url;
    let scheme = match url.scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    };
    let address = Uri::builder().scheme(scheme).authority(url.authority()).path_and_query(PATH);
    let address =
        address.build().map_err(|error| Cause::Broken(format!("the host's name: {error}")))?;
    let mut request = Request::post(address).body(()).map_err(|error| broken(&error))?;
    // At most eight digits (a day).
    let timeout = format!("{}m", left.as_millis().clamp(1, 99_999_999));
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("understudy-health"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Ok(timeout) = HeaderValue::try_from(timeout) {
        headers.insert("grpc-timeout", timeout);
    }
    Ok(request)
}

/// The message that asks: `HealthCheckRequest` has one field, a string of number 1, as has
/// `google.protobuf.StringValue`, which prost takes a `String` for.
fn framed(service: &String) -> Bytes {
    let length = service.encoded_len();
    let mut message = BytesMut::with_capacity(PREFIX_BYTES + length);
    message.put_u8(0);
    message.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.put_slice(&service.encode_to_vec());
    message.freeze()
}

/// A complete answer.
#[derive(Debug)]
struct Answered {
    head: Response<()>,
    body: BytesMut,
    /// Whether more came than is read.
    is_long: bool,
    trailers: Option<HeaderMap>,
}

async fn exchange(
    stream: Stream,
    request: Request<()>,
    message: Bytes,
    transcript: &mut Transcript,
) -> Result<Answered, h2::Error> {
    let mut settings = h2::client::Builder::new();
    settings.enable_push(false).max_header_list_size(MOST_HEADER_BYTES);
    let (sender, connection) = settings.handshake::<_, Bytes>(stream).await?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async move {
        let (response, mut body) = sender.ready().await?.send_request(request, false)?;
        // Whoever answers without reading the question has reset it by now.
        let sent = body.send_data(message, true);
        let response = match response.await {
            Ok(response) => response,
            Err(error) => return Err(sent.err().unwrap_or(error)),
        };
        transcript.received(&response);
        let (head, body) = response.into_parts();
        read(Response::from_parts(head, ()), body).await
    });
    let answered = tokio::select! {
        biased;
        answer = &mut answer => answer?,
        // What made the connection end is told to whoever waits for the answer.
        _ = &mut connection => return answer.await,
    };
    // It says goodbye if that can be done at once.
    poll_fn(|context| Poll::Ready(connection.as_mut().poll(context).is_ready())).await;
    Ok(answered)
}

async fn read(head: Response<()>, mut stream: RecvStream) -> Result<Answered, h2::Error> {
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        if body.len() + data.len() > MOST_BODY_BYTES {
            return Ok(Answered { head, body, is_long: true, trailers: None });
        }
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    let trailers = stream.trailers().await?;
    Ok(Answered { head, body, is_long: false, trailers })
}

/// `HealthCheckResponse.ServingStatus`.
const SERVING: i32 = 1;

fn word(health: i32) -> std::borrow::Cow<'static, str> {
    match health {
        0 => "UNKNOWN".into(),
        SERVING => "SERVING".into(),
        2 => "NOT_SERVING".into(),
        3 => "SERVICE_UNKNOWN".into(),
        other => format!("in a state without a name ({other})").into(),
    }
}

impl Answered {
    /// What it says of `service`.
    fn health(&self, service: &str) -> Result<i32, Cause> {
        if self.head.status() != StatusCode::OK {
            return Err(Cause::Status(self.head.status().as_u16()));
        }
        let kind = self.head.headers().get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        if !kind.starts_with(b"application/grpc") {
            let kind = status::clean(&String::from_utf8_lossy(kind));
            return Err(Cause::Grpc(format!(
                "the answer is not gRPC: its content-type is `{kind}`"
            )));
        }
        if self.is_long {
            let words = format!("the answer is longer than {MOST_BODY_BYTES} bytes");
            return Err(Cause::Grpc(words));
        }
        // An answer without a message has its status in front.
        let status = self.trailers.as_ref().and_then(Status::read);
        match status.or_else(|| Status::read(self.head.headers())) {
            Some(status) if status.is_ok() => self.message().map_err(Cause::Grpc),
            Some(status) => Err(Cause::Grpc(status.words(service))),
            None => Err(Cause::Grpc("the answer ends without a status (`grpc-status`)".to_owned())),
        }
    }

    /// `HealthCheckResponse` has one field, an enumeration of number 1, which looks as that of
    /// `google.protobuf.Int32Value` does, which prost takes an `i32` for.
    fn message(&self) -> Result<i32, String> {
        let Some((prefix, message)) = self.body.split_first_chunk::<PREFIX_BYTES>() else {
            return Err("there is no message in the answer".to_owned());
        };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err("the answer is compressed, which nobody asked for".to_owned());
        }
        if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
            return Err("the answer is not one whole message".to_owned());
        }
        i32::decode(message).map_err(|error| format!("the answer cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &[u8]) -> Answered {
        let head = Response::builder()
            .header(CONTENT_TYPE, "application/grpc+proto")
            .header("grpc-status", "0")
            .body(())
            .unwrap();
        Answered { head, body: body.into(), is_long: false, trailers: None }
    }

    #[test]
    fn a_question_is_framed() {
        assert_eq!(&framed(&String::new())[..], [0, 0, 0, 0, 0]);
        assert_eq!(&framed(&"ab".to_owned())[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }

    #[test]
    fn answers_are_read_or_said_to_be_wrong() {
        for (body, expected) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Ok(SERVING)),
            (&[0, 0, 0, 0, 2, 8, 2], Ok(2)),
            (&[0, 0, 0, 0, 0], Ok(0)),
            // A field that we do not know, then the one that we do.
            (&[0, 0, 0, 0, 5, 0x12, 1, b'x', 8, 1], Ok(SERVING)),
            (&[], Err("no message")),
            (&[0, 0, 0, 0], Err("no message")),
            (&[1, 0, 0, 0, 2, 8, 1], Err("compressed")),
            (&[0, 0, 0, 0, 3, 8, 1], Err("whole")),
            (&[0, 0, 0, 0, 1, 8, 1], Err("whole")),
            (&[0, 0, 0, 0, 1, 8], Err("cannot be read")),
            (&[0, 0, 0, 0, 2, 0x0a, 9], Err("cannot be read")),
        ] {
            match (answered(body).health(""), expected) {
                (Ok(health), Ok(expected)) => assert_eq!(health, expected, "{body:?}"),
                (Err(Cause::Grpc(words)), Err(expected)) => {
                    assert!(words.contains(expected), "{body:?}: {words}");
                }
                (health, expected) => panic!("{body:?}: {health:?}, not {expected:?}"),
            }
        }
    }
}
