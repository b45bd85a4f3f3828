//! Probes that speak no HTTP/1.1: the sections `tcp`, `grpc` and `agent`.

use std::sync::Arc;

use super::expect::pattern;
use crate::address::parse_host;
use crate::defaults;
use crate::kinds::{count, free_text, secret_text, text};
use crate::model::{AgentProbe, GrpcProbe, TcpProbe};
use crate::problem::quoted;
use crate::reader::Section;
use crate::report::Complaint;

pub(super) fn tcp_probe(section: &mut Section<'_>) -> TcpProbe {
    section.secret("send");
    TcpProbe {
        send: section.or(
            "send",
            "What is sent once the connection is accepted, over TLS to `https` backends; empty: nothing",
            defaults::TCP_SEND,
            secret_text("text to send", |text| Ok(text.as_bytes().to_vec())),
        ),
        expect: section.optional(
            "expect",
            "A regular expression over bytes that what comes back must match, within its first 64KiB",
            pattern,
        ),
    }
}

pub(super) fn grpc_probe(section: &mut Section<'_>) -> GrpcProbe {
    GrpcProbe {
        service: section.or(
            "service",
            "The name of the gRPC service that is asked for; empty: the server as a whole",
            defaults::GRPC_SERVICE,
            free_text("the name of a gRPC service", parse_grpc_service),
        ),
    }
}

/// `package.Service`, as in a path (there a `/` ends it).
fn parse_grpc_service(text: &str) -> Result<Arc<str>, Complaint> {
    if text.chars().any(|c| c == '/' || c.is_whitespace() || c.is_control()) {
        let message = format!("{} is not the name of a gRPC service", quoted(text));
        return Err(Complaint::new(message).advice("write for example `shop.v1.Orders`"));
    }
    Ok(text.into())
}

/// `None` when its port could not be read.
pub(super) fn agent_probe(section: &mut Section<'_>) -> Option<AgentProbe> {
    section.secret("send");
    let port = section.required("port", "Its port", count(1..=65535));
    let host = section.optional(
        "host",
        "Its host, when it is not that of the backend",
        text("a host", parse_host),
    );
    let send = section.or(
        "send",
        "What it is sent first, usually a line; empty: nothing",
        defaults::AGENT_SEND,
        secret_text("text to send", |text| Ok(Arc::from(text))),
    );
    Some(AgentProbe { host, port: port.and_then(|port| u16::try_from(port).ok())?, send })
}
