//! Distributed traces in words, without what is secret.

use super::listeners::warning;
use crate::lint;
use crate::model::{Config, OtlpProtocol, ParentTrust};

/// Lines with line breaks; none when traces are off.
pub(super) fn traces(config: &Config) -> String {
    let Some(traces) = &config.traces else { return String::new() };
    let whose = match traces.parent {
        ParentTrust::Trust => "of any client",
        ParentTrust::Ignore => "of trusted proxies only",
    };
    let mut text = format!(
        "Requests take part in traces ({whose}); of those that begin here a share of {} is followed.\n",
        traces.sample
    );
    text.push_str(&match &traces.otlp {
        None => "No spans are sent anywhere.\n".to_owned(),
        Some(otlp) => {
            let way = match otlp.protocol {
                OtlpProtocol::Http => "HTTP",
                OtlpProtocol::Grpc => "gRPC",
            };
            format!("Spans are sent to {} by {way}, as {}.\n", otlp.url, traces.service_name)
        }
    });
    for lint in lint::traces(traces) {
        text.push_str(&format!("{}\n", warning(&lint)));
    }
    text
}
