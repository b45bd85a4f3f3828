//! The section `traces`, back to YAML.

use super::hooks::{named, own_tls};
use super::{line, quote};
use crate::kinds::show_duration;
use crate::model::{Otlp, OtlpProtocol, Traces};
use crate::traces::{parent_name, protocol_name};

/// Every key.
pub(super) fn write_traces(out: &mut String, traces: Option<&Traces>) {
    let Some(Traces { otlp, sample, parent, service_name }) = traces else {
        line(out, format_args!("traces: off"));
        return;
    };
    line(out, format_args!("traces:"));
    if let Some(otlp) = otlp {
        line(out, format_args!("  otlp:"));
        for key in otlp_keys(otlp) {
            line(out, format_args!("    {key}"));
        }
    }
    line(out, format_args!("  sample: {sample}\n  parent: {}", parent_name(*parent)));
    line(out, format_args!("  service_name: {}", quote(service_name)));
}

fn otlp_keys(otlp: &Otlp) -> Vec<String> {
    let Otlp { url, path, tls, protocol, headers, timeout } = otlp;
    let path = match protocol {
        OtlpProtocol::Http => path.as_str(),
        OtlpProtocol::Grpc => "",
    };
    let mut keys = vec![
        format!("endpoint: {}", quote(&format!("{url}{path}"))),
        format!("protocol: {}", protocol_name(*protocol)),
    ];
    keys.extend(named("headers", headers.iter().map(|(name, value)| (name.as_str(), value))));
    keys.extend(own_tls(tls));
    keys.push(format!("timeout: {}", show_duration(*timeout)));
    keys
}
