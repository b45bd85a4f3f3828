//! Distributed traces.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::PathAndQuery;

use super::{BackendUrl, Secret, UpstreamTls};

/// How requests take part in distributed traces (W3C Trace Context).
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Where spans are sent; `None`: nowhere.
    pub otlp: Option<Otlp>,
    /// Which share of the traces that begin here is sampled: 0 to 1.
    pub sample: f64,
    /// Whether clients that are no trusted proxies may bring a trace with them.
    pub parent: ParentTrust,
    /// What traces call us.
    pub service_name: Arc<str>,
}

/// A collector of spans (OpenTelemetry Protocol 1.x).
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Where it is.
    pub url: BackendUrl,
    /// The whole path of requests to it.
    pub path: PathAndQuery,
    /// How it is verified when its URL is `https`.
    pub tls: UpstreamTls,
    /// How spans are sent.
    pub protocol: OtlpProtocol,
    /// Further fields of requests to it.
    pub headers: Vec<(HeaderName, Secret)>,
    /// How long one try may take.
    pub timeout: Duration,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf in a POST.
    Http,
    /// A call of gRPC.
    Grpc,
}

/// Whether to believe a `traceparent` of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentTrust {
    /// Of everybody.
    Trust,
    /// Of trusted proxies only.
    Ignore,
}
