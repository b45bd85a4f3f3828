//! The sections `access_log` and `event_log`, back to YAML.

use super::{line, quote};
use crate::kinds::show_size;
use crate::logs::{show_format, show_to};
use crate::model::{Config, LogTo, Rotate};

/// Every key.
pub(super) fn write_logs(out: &mut String, config: &Config) {
    match &config.access_log {
        None => line(out, format_args!("access_log: off")),
        Some(log) => {
            line(out, format_args!("access_log:"));
            write_to(out, &log.to);
            line(out, format_args!("  format: {}", quote(&show_format(&log.format))));
            let query = if log.query { "keep" } else { "drop" };
            line(out, format_args!("  sample: {:?}\n  query: {query}", log.sample));
        }
    }
    match &config.event_log {
        None => line(out, format_args!("event_log: off")),
        Some(log) => {
            line(out, format_args!("event_log:"));
            write_to(out, &log.to);
        }
    }
}

fn write_to(out: &mut String, to: &LogTo) {
    line(out, format_args!("  to: {}", quote(&show_to(to))));
    let rotate = match to {
        LogTo::File { rotate: Some(Rotate { size, keep }), .. } => {
            format!("{{ size: {}, keep: {keep} }}", show_size(*size))
        }
        LogTo::File { rotate: None, .. }
        | LogTo::Stdout
        | LogTo::SyslogUnix(_)
        | LogTo::SyslogUdp(_) => "off".to_owned(),
    };
    line(out, format_args!("  rotate: {rotate}"));
}
