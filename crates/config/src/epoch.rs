//! The field that tells backends the epoch: which names it may have.

use http::HeaderName;

use crate::choice::{means_off, say_off};
use crate::problem::quoted;
use crate::report::Complaint;

/// What a request cannot do without, or what says something about it that a number must not replace
/// (RFC 9110, 7235, 6265). The client's own fields of that name would be dropped.
const NEEDED: [&str; 17] = [
    "accept",
    "authorization",
    "cache-control",
    "cookie",
    "date",
    "from",
    "idempotency-key",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    "x-request-id",
];

/// Fields about one connection (RFC 9110 7.6.1), which are not passed on.
const OF_CONNECTIONS: [&str; 11] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

/// Fields that say who the client is, and what they begin with. What we write there, and what we keep
/// clients from writing there.
const OURS: [&str; 5] = ["client-cert", "client-cert-chain", "forwarded", "host", "x-real-ip"];
const OUR_FAMILIES: [&str; 2] = ["x-forwarded-", "x-client-cert-"];

/// Families of fields that requests need.
const NEEDED_FAMILIES: [&str; 7] =
    ["accept-", "access-control-", "content-", "grpc-", "if-", "proxy-", "sec-"];

/// `off`, or the name of a field that no request needs for something else.
pub(crate) fn parse_epoch_header(text: &str) -> Result<Option<HeaderName>, Complaint> {
    let shown = quoted(text);
    let advice = "use a name of its own, for example `X-Understudy-Epoch`, or `off`";
    let bad = |message: String| Err(Complaint::new(message).advice(advice));
    match text {
        "off" => return Ok(None),
        text if means_off(text) => return Err(say_off("`off` or the name of a field", text)),
        _ => {}
    }
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return bad(format!("{shown} is not the name of a header field"));
    };
    // To many applications `_` and `-` are the same.
    let plain = name.as_str().replace('_', "-");
    let plain = plain.as_str();
    let begins = |families: &[&str]| families.iter().any(|family| plain.starts_with(family));
    if OF_CONNECTIONS.contains(&plain) {
        return bad(format!("{shown} is a field of the connection, and never passed on"));
    }
    if OURS.contains(&plain) || begins(&OUR_FAMILIES) {
        return bad(format!("backends get another thing under the name {shown}"));
    }
    if NEEDED.contains(&plain) || begins(&NEEDED_FAMILIES) {
        return bad(format!("requests need {shown} for something else"));
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_its_own_are_fine() {
        for good in ["X-Understudy-Epoch", "x_epoch", "Fencing-Token", "x-forwarder", "hosts"] {
            let name = parse_epoch_header(good).unwrap_or_else(|why| panic!("{why:?}"));
            assert_eq!(name.map(|name| name.as_str().to_owned()), Some(good.to_lowercase()));
        }
        assert_eq!(parse_epoch_header("off"), Ok(None));
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for bad in [
            "",
            "a b",
            "ü",
            "x:",
            "Connection",
            "keep-alive",
            "TE",
            "Host",
            "forwarded",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "X-Real-IP",
            "Client-Cert",
            "X-Client-Cert-Subject",
            "Cookie",
            "content-type",
            "Content_Length",
            "If-Match",
            "grpc-timeout",
            "Authorization",
            "none",
            "false",
        ] {
            assert!(parse_epoch_header(bad).is_err(), "{bad}");
        }
    }
}
