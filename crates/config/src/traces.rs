//! Distributed traces: the section `traces`.

use std::path::Path;
use std::sync::Arc;

use crate::action::{headers, own_tls, parse_elsewhere, unused_tls};
use crate::choice::{off_or, word};
use crate::kinds::{duration, ms, parse_name, secs, text};
use crate::model::{Otlp, OtlpProtocol, ParentTrust, Traces};
use crate::reader::{Section, Value};
use crate::report::Complaint;
use crate::share::share;
use crate::{defaults, lint};

/// Where collectors take spans by HTTP, below their URL (OTLP 1.x).
pub(crate) const SPANS: &str = "/v1/traces";
/// Where they take them by gRPC.
pub(crate) const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

const PROTOCOLS: &[(&str, OtlpProtocol)] =
    &[("http", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];

const PARENTS: &[(&str, ParentTrust)] =
    &[("trust", ParentTrust::Trust), ("ignore", ParentTrust::Ignore)];

/// How its author says how spans travel.
pub(crate) fn protocol_name(protocol: OtlpProtocol) -> &'static str {
    PROTOCOLS.iter().find(|(_, other)| *other == protocol).map_or("", |(name, _)| name)
}

/// How its author says whose word counts.
pub(crate) fn parent_name(parent: ParentTrust) -> &'static str {
    PARENTS.iter().find(|(_, other)| *other == parent).map_or("", |(name, _)| name)
}

pub(crate) fn traces(value: &mut Value<'_>, base: &Path) -> Option<Option<Traces>> {
    off_or("`off` or its keys", |value| value.keys(|section| keys(section, base))?)(value)
}

fn keys(section: &mut Section<'_>, base: &Path) -> Option<Traces> {
    let errors = section.report().errors();
    let otlp = section.optional(
        "otlp",
        "Where spans are sent; without it nothing is sent, and requests still carry their trace to backends",
        |value| value.keys(|section| otlp(section, base))?,
    );
    let sample = section.or(
        "sample",
        "Which share of the traces that begin here is followed; one that began elsewhere is followed when whoever began it does",
        defaults::TRACE_SAMPLE,
        share,
    );
    let parent = section.or(
        "parent",
        "Whether clients that are no trusted proxies may bring a trace with them: `trust`, or `ignore`, then one begins here",
        defaults::TRACE_PARENT,
        word(PARENTS),
    );
    let service_name = section.or(
        "service_name",
        "What traces call us (`service.name`)",
        defaults::TRACE_SERVICE,
        text("a name", |text| parse_name(text).map(Arc::from)),
    );
    let traces = Traces { otlp, sample, parent, service_name };
    if section.report().errors() == errors {
        for lint in lint::traces(&traces) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    Some(traces)
}

/// How the URL of a collector may look.
const COLLECTOR: &str = "http://127.0.0.1:4318";

fn otlp(section: &mut Section<'_>, base: &Path) -> Option<Otlp> {
    let endpoint = section.required(
        "endpoint",
        "The URL of the collector, for example `http://127.0.0.1:4318`; with `protocol: http` `/v1/traces` is added",
        |value| {
            if value.single().is_some_and(|scalar| scalar.text.contains('@')) {
                // Whoever writes `user:password@` should not find it in a log.
                value.report().conceal(value.place());
            }
            text("a URL", |text| parse_elsewhere(text, COLLECTOR))(value)
        },
    );
    let protocol = section.or(
        "protocol",
        "How spans are sent: `http` (protobuf over HTTP/1.1, usually port 4318) or `grpc` (usually port 4317)",
        defaults::OTLP_PROTOCOL,
        word(PROTOCOLS),
    );
    let headers = headers(section, base);
    let own = own_tls(section, base, "How the collector is verified when its URL is `https`");
    let timeout = section.or(
        "timeout",
        "How long one try to send spans may take",
        defaults::OTLP_TIMEOUT,
        duration(ms(10)..=secs(300)),
    );
    let (url, path) = endpoint?;
    unused_tls(section, &url, own.is_some());
    if path.contains(['?', '#']) {
        let complaint = Complaint::new("this URL of a collector has a query")
            .advice("remove the `?` and what follows; secrets belong into `headers`");
        section.report().error(&section.place("endpoint"), complaint);
        return None;
    }
    let path = match protocol {
        OtlpProtocol::Http => {
            let path = path.trim_end_matches('/');
            format!("{}{SPANS}", path.strip_suffix(SPANS).unwrap_or(path))
        }
        OtlpProtocol::Grpc if path == "/" => EXPORT.to_owned(),
        OtlpProtocol::Grpc => {
            let complaint = Complaint::new("this URL has a path, and gRPC takes none")
                .advice("remove it, or write `protocol: http`");
            section.report().error(&section.place("endpoint"), complaint);
            return None;
        }
    };
    let path = path.parse().map_err(|_| {
        let complaint = Complaint::new("this is not the path of a request")
            .advice("encode spaces and other special characters, for example as `%20`");
        section.report().error(&section.place("endpoint"), complaint);
    });
    let (tls, path) = (own.unwrap_or_default(), path.ok()?);
    Some(Otlp { url, path, tls, protocol, headers, timeout })
}
