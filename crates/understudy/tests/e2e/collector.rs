//! A small collector of spans: takes OTLP by HTTP and by gRPC on one port, and remembers them.
//!
//! What it is sent it reads with the messages that OpenTelemetry itself generates.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use benches::condition::wait_for;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as SpanStatus};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};

use crate::stage::PATIENCE;

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    /// Says that it cannot now.
    Refuses,
    /// Says nothing.
    Hangs,
}

/// A running collector. Its thread ends with the tests.
pub(crate) struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Told>,
    requests: usize,
    /// The field `Authorization` of the last request.
    login: Option<HeaderValue>,
}

/// A span that was sent.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) span: Span,
    /// What sent it.
    pub(crate) resource: Vec<KeyValue>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { name, trace_id, span_id, parent_span_id, attributes, .. } = &self.span;
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let said = attributes.iter().map(|pair| format!("{}={:?}", pair.key, text_of(pair)));
        let said = said.collect::<Vec<_>>().join(" ");
        let (trace, span, parent) = (hex(trace_id), hex(span_id), hex(parent_span_id));
        write!(f, "{name} {trace}/{span} of {parent}: {said}")
    }
}

fn text_of(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(real)) => real.to_string(),
        other => format!("{other:?}"),
    }
}

impl Told {
    /// What is said of it under this name; empty: nothing.
    pub(crate) fn said(&self, key: &str) -> String {
        let found = self.span.attributes.iter().find(|pair| pair.key == key);
        found.map(text_of).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> SpanKind {
        self.span.kind()
    }

    pub(crate) fn is_error(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == SpanStatus::Error)
    }

    /// Whether it lies within `other`, in time and in the tree.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let (inner, outer) = (&self.span, &other.span);
        inner.parent_span_id == outer.span_id
            && inner.trace_id == outer.trace_id
            && inner.start_time_unix_nano >= outer.start_time_unix_nano
            && inner.end_time_unix_nano <= outer.end_time_unix_nano
            && inner.start_time_unix_nano <= inner.end_time_unix_nano
    }

    /// What is said of whoever sent it.
    pub(crate) fn sender(&self, key: &str) -> String {
        self.resource.iter().find(|pair| pair.key == key).map(text_of).unwrap_or_default()
    }
}

impl Collector {
    pub(crate) fn start(mood: Mood) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeps = Arc::clone(&kept);
        let (send, address) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                send.send(listener.local_addr().expect("an address")).expect("somebody waits");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(connection(stream, mood, Arc::clone(&keeps)));
                }
            });
        });
        Self { address: address.recv().expect("an address"), kept }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.locked(|kept| kept.requests)
    }

    pub(crate) fn login(&self) -> Option<HeaderValue> {
        self.locked(|kept| kept.login.clone())
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Told> {
        self.locked(|kept| kept.spans.clone())
    }

    /// Waits until there are spans in which `look` finds something.
    pub(crate) fn wait<T>(&self, what: &str, look: impl Fn(&[Told]) -> Option<T>) -> T {
        wait_for(PATIENCE, what, || {
            let spans = self.spans();
            look(&spans).ok_or(spans)
        })
    }

    fn locked<T>(&self, read: impl FnOnce(&Kept) -> T) -> T {
        read(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves HTTP/1.1, or HTTP/2 where that is what is spoken.
async fn connection(stream: TcpStream, mood: Mood, kept: Arc<Mutex<Kept>>) {
    let mut first = [0; 3];
    // Who has sent nothing yet is waited for; who leaves has no request.
    if stream.peek(&mut first).await.is_err() {
        return;
    }
    if first == *b"PRI" {
        return http2(stream, mood, kept).await;
    }
    let answer = service_fn(|request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let is_ours = head.uri.path() == "/v1/traces"
                && head.headers["content-type"] == "application/x-protobuf";
            let status = if is_ours { take(mood, &kept, &head.headers, &body).await } else { 404 };
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            Ok::<_, Infallible>(response)
        }
    });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

async fn http2(stream: TcpStream, mood: Mood, kept: Arc<Mutex<Kept>>) {
    const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let kept = Arc::clone(&kept);
        tokio::spawn(async move {
            let (head, mut content) = request.into_parts();
            let mut body = BytesMut::new();
            while let Some(Ok(data)) = content.data().await {
                body.extend_from_slice(&data);
                let _ = content.flow_control().release_capacity(data.len());
            }
            let is_ours = head.uri.path() == EXPORT
                && head.headers["content-type"] == "application/grpc"
                && head.headers["te"] == "trailers"
                && body.first() == Some(&0);
            let message = body.split_off(body.len().min(5));
            let taken =
                if is_ours { take(mood, &kept, &head.headers, &message).await } else { 404 };
            let code = match taken {
                200 => "0",
                503 => "14",
                _ => "12",
            };
            let response = Response::builder().header("content-type", "application/grpc");
            let Ok(mut body) = respond.send_response(response.body(()).expect("a head"), false)
            else {
                return;
            };
            // An empty message, then how it ended.
            let _ = body.send_data(Bytes::from_static(&[0; 5]), false);
            let status = HeaderValue::from_static(code);
            let _ = body.send_trailers(HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                status,
            )]));
        });
    }
}

/// Keeps the spans of a message, or does as its mood is. Says by which status of HTTP.
async fn take(mood: Mood, kept: &Mutex<Kept>, headers: &HeaderMap, message: &[u8]) -> u16 {
    {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests += 1;
        kept.login = headers.get("authorization").cloned();
        if mood == Mood::Takes {
            let Ok(read) = ExportTraceServiceRequest::decode(message) else { return 400 };
            for of_resource in read.resource_spans {
                let resource = of_resource.resource.unwrap_or_default().attributes;
                let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                kept.spans.extend(spans.map(|span| Told { span, resource: resource.clone() }));
            }
        }
    }
    match mood {
        Mood::Takes => 200,
        Mood::Refuses => 503,
        Mood::Hangs => std::future::pending().await,
    }
}
