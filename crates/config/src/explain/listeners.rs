//! Listeners in words: what is spoken there, and who is believed.

use ipnet::IpNet;

use crate::kinds::show_duration;
use crate::lint::{self, Lint};
use crate::model::{
    ClientAuth, ClientAuthMode, DownstreamTls, Hsts, Listener, RedirectHttps, TlsPolicy,
};

/// A paragraph for each listener, with warnings about dangerous values.
pub(super) fn listeners(listeners: &[Listener]) -> Vec<String> {
    let all: Vec<&Listener> = listeners.iter().collect();
    let together = lint::listeners(&all);
    let paragraph = |(index, listener): (usize, &Listener)| {
        let own = lint::listener(listener);
        let common = together.iter().filter(|(about, _)| *about == index).map(|(_, lint)| lint);
        let warnings: Vec<String> = own.iter().chain(common).map(warning).collect();
        format!("{}\n{}", listener.address, sentences(listener, &warnings))
    };
    listeners.iter().enumerate().map(paragraph).collect()
}

fn sentences(listener: &Listener, warnings: &[String]) -> String {
    let spoken = match (&listener.tls, listener.http2, listener.h2c) {
        (Some(_), true, _) => "Clients speak HTTP/2 or HTTP/1.1 over TLS",
        (Some(_), false, _) => "Clients speak HTTP/1.1 over TLS",
        (None, _, true) => "Clients speak HTTP/1.1 or HTTP/2 (prior knowledge) in the clear",
        (None, _, false) => "Clients speak HTTP/1.1 in the clear",
    };
    let mut lines = vec![match &listener.tls {
        Some(tls) => format!("{spoken} {}.", secured(tls)),
        None => format!("{spoken}."),
    }];
    lines.extend(listener.tls.as_ref().and_then(|tls| tls.client_auth.as_ref()).map(authenticated));
    lines.extend(listener.redirect_https.map(|RedirectHttps { port, status }| {
        format!("Every request is redirected to https on port {port} ({status}).")
    }));
    lines.extend(listener.hsts.map(|Hsts { max_age, subdomains, preload }| {
        let below = if subdomains { ", for names below too" } else { "" };
        let lists = if preload { "; the site asks to be in their lists" } else { "" };
        let max_age = show_duration(max_age);
        format!("Browsers are told to come back over TLS only, for {max_age}{below}{lists} (HSTS).")
    }));
    if !listener.proxy_protocol.is_empty() {
        let networks = list(&listener.proxy_protocol);
        lines.push(format!(
            "A connection from {networks} must begin with a PROXY header, which says who the client is; no other may."
        ));
    }
    // A redirect asks no backend.
    if listener.redirect_https.is_none() {
        lines.push(believed(&listener.trusted_proxies));
    }
    let lines = lines.iter().chain(warnings);
    lines.map(|line| format!("  {line}\n")).collect()
}

fn secured(tls: &DownstreamTls) -> String {
    let versions = match tls.policy {
        TlsPolicy::Modern => "1.3",
        TlsPolicy::Intermediate => "1.2 and 1.3",
    };
    let files: Vec<String> =
        tls.certificates.iter().map(|files| files.cert.display().to_string()).collect();
    match files.as_slice() {
        [first, _, ..] => format!(
            "{versions}; the certificate is chosen by the name they ask for from {}; without one it is {first}",
            files.join(", ")
        ),
        [] | [_] => format!("{versions}; the certificate is {}", files.concat()),
    }
}

fn authenticated(ClientAuth { ca, mode, crl }: &ClientAuth) -> String {
    let ca = ca.display();
    let revoked = match crl.len() {
        0 => "",
        1 => " and not on its revocation list",
        _ => " and not on its revocation lists",
    };
    match mode {
        ClientAuthMode::Required => {
            format!("They must show a certificate issued by {ca}{revoked}.")
        }
        ClientAuthMode::Optional => {
            format!("They may show a certificate; it must be issued by {ca}{revoked}.")
        }
    }
}

fn believed(trusted: &[IpNet]) -> String {
    if trusted.is_empty() {
        return "No client is believed: X-Forwarded-* and Forwarded are dropped.".to_owned();
    }
    let networks = list(trusted);
    format!("X-Forwarded-* and Forwarded are believed from {networks}, and dropped from others.")
}

fn list(networks: &[IpNet]) -> String {
    let networks: Vec<String> = networks.iter().map(shown).collect();
    networks.join(", ")
}

/// An address alone stands for itself.
fn shown(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// A warning as a line of a paragraph.
pub(super) fn warning(lint: &Lint) -> String {
    format!("Warning: {}.\n    help: {}", lint.message, lint.advice)
}
