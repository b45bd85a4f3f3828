//! Listeners back to YAML.

use std::path::Path;

use ipnet::IpNet;

use super::{line, or_off, quote};
use crate::kinds::{show_duration, show_size};
use crate::model::{
    CertificateFiles, ClientAuth, ClientAuthMode, DownstreamLimits, DownstreamTls, Hsts, Listener,
    RedirectHttps, TlsPolicy,
};

pub(super) fn write_listener(out: &mut String, listener: &Listener) {
    line(out, format_args!("  - address: {}", quote(&listener.address.to_string())));
    if let Some(tls) = &listener.tls {
        write_tls(out, tls);
    }
    line(out, format_args!("    http2: {}\n    h2c: {}", listener.http2, listener.h2c));
    let redirect = match listener.redirect_https {
        None => "false".to_owned(),
        Some(RedirectHttps { port, status }) => format!("{{ port: {port}, status: {status} }}"),
    };
    line(out, format_args!("    redirect_https: {redirect}"));
    let hsts = or_off(listener.hsts, |Hsts { max_age, subdomains, preload }| {
        let max_age = show_duration(max_age);
        format!("{{ max_age: {max_age}, subdomains: {subdomains}, preload: {preload} }}")
    });
    line(out, format_args!("    hsts: {hsts}"));
    line(out, format_args!("    trusted_proxies: {}", networks(&listener.trusted_proxies)));
    line(out, format_args!("    proxy_protocol: {}", networks(&listener.proxy_protocol)));
    line(out, format_args!("    half_close: {}", listener.limits.half_close));
    write_limits(out, &listener.limits);
}

fn write_tls(out: &mut String, tls: &DownstreamTls) {
    line(out, format_args!("    tls:\n      certificates:"));
    for files in &tls.certificates {
        line(out, format_args!("        - {}", certificate(files)));
    }
    let policy = match tls.policy {
        TlsPolicy::Modern => "modern",
        TlsPolicy::Intermediate => "intermediate",
    };
    line(out, format_args!("      policy: {policy}"));
    let Some(ClientAuth { ca, mode, crl }) = &tls.client_auth else { return };
    let mode = match mode {
        ClientAuthMode::Required => "required",
        ClientAuthMode::Optional => "optional",
    };
    let crl: Vec<String> = crl.iter().map(|path| file(path)).collect();
    let (ca, crl) = (file(ca), crl.join(", "));
    line(out, format_args!("      client_auth: {{ ca: {ca}, mode: {mode}, crl: [{crl}] }}"));
}

fn write_limits(out: &mut String, limits: &DownstreamLimits) {
    line(out, format_args!("    limits:"));
    line(out, format_args!("      connections: {}", limits.connections));
    line(out, format_args!("      connections_per_client: {}", limits.connections_per_client));
    line(out, format_args!("      handshake_timeout: {}", show_duration(limits.handshake_timeout)));
    line(out, format_args!("      header_timeout: {}", show_duration(limits.header_timeout)));
    line(out, format_args!("      idle_timeout: {}", show_duration(limits.idle_timeout)));
    line(out, format_args!("      body_timeout: {}", show_duration(limits.body_timeout)));
    line(out, format_args!("      body_progress: {}", show_size(limits.body_progress)));
    line(out, format_args!("      header_bytes: {}", show_size(limits.header_bytes)));
    line(out, format_args!("      headers: {}", limits.headers));
    line(out, format_args!("      uri_bytes: {}", show_size(limits.uri_bytes)));
    let body_bytes = or_off(limits.body_bytes, |bytes| show_size(bytes as usize));
    line(out, format_args!("      body_bytes: {body_bytes}"));
    line(out, format_args!("      streams: {}", limits.streams));
    let requests = or_off(limits.requests, |requests| requests.to_string());
    line(out, format_args!("      requests: {requests}"));
    let connection_age = or_off(limits.connection_age, show_duration);
    line(out, format_args!("      connection_age: {connection_age}"));
}

/// The two files of a certificate as keys on one line.
pub(super) fn certificate(files: &CertificateFiles) -> String {
    format!("{{ cert: {}, key: {} }}", file(&files.cert), file(&files.key))
}

/// The name of a file, in quotes.
pub(super) fn file(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

fn networks(networks: &[IpNet]) -> String {
    let networks: Vec<String> =
        networks.iter().map(|network| quote(&network.to_string())).collect();
    format!("[{}]", networks.join(", "))
}
