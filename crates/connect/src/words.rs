//! What went wrong in TLS, in words for people.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The same error in words for people, if it is one of TLS.
pub(crate) fn in_words(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(tls) => io::Error::new(error.kind(), tls_words(tls)),
        None => error,
    }
}

fn tls_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate_words(error),
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "what the backend sent is not TLS".to_owned(),
        Error::NoCertificatesPresented => "the backend showed no certificate".to_owned(),
        Error::PeerIncompatible(why) => {
            format!("the backend has nothing in common with us: {why:?}")
        }
        // The words of a verifier of our own.
        Error::General(words) => words.clone(),
        // Rare, and nothing that an operator could set right.
        other => other.to_string(),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let seconds = time.as_secs().saturating_sub(not_after.as_secs());
            format!("the certificate expired {} ago", span(seconds))
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            let seconds = not_before.as_secs().saturating_sub(time.as_secs());
            format!("the certificate is not valid yet, only in {}", span(seconds))
        }
        CertificateError::Revoked => "the certificate has been revoked".to_owned(),
        CertificateError::UnknownIssuer => {
            "the certificate is not from an authority that is trusted (unknown issuer)".to_owned()
        }
        CertificateError::BadSignature => {
            "the certificate's signature is wrong, or it belongs to another key".to_owned()
        }
        CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            if presented.is_empty() {
                return format!("the certificate names nobody, so not `{expected}` either");
            }
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!("the certificate is for {}, not for `{expected}`", names.join(", "))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not meant for servers".to_owned()
        }
        // Rare, or a verifier's own words.
        other => format!("the certificate is not accepted: {other}"),
    }
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the backend wants a certificate of us, and we have none".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            format!("the backend does not accept our certificate, or the lack of one ({alert:?})")
        }
        AlertDescription::ProtocolVersion => {
            "the backend speaks no version of TLS that we do".to_owned()
        }
        AlertDescription::HandshakeFailure => {
            "the backend has nothing in common with us, or wants a certificate of us \
             (HandshakeFailure)"
                .to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "the backend speaks no version of HTTP that was offered (ALPN)".to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "the backend does not go by the name that was asked for (SNI)".to_owned()
        }
        other => format!("the backend refused: {other:?}"),
    }
}

/// The largest whole unit will do.
fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400.. => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// `a.example` of `DnsName("a.example")`.
fn bare(presented: &str) -> String {
    let inner = presented.split_once('(').map_or(presented, |(_, inner)| inner);
    let inner = inner.strip_suffix(')').unwrap_or(inner);
    format!("`{}`", inner.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "1 minute"),
            (7_200, "2 hours"),
            (90_000, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(span(seconds), words);
        }
    }

    #[test]
    fn the_words_are_for_people() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expected = || ServerName::try_from("b.example").unwrap();
        let presented = vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        for (error, words) in [
            (
                CertificateError::ExpiredContext { time: at(200_000), not_after: at(1) }.into(),
                "the certificate expired 2 days ago",
            ),
            (
                CertificateError::NotValidYetContext { time: at(1), not_before: at(4_000) }.into(),
                "the certificate is not valid yet, only in 1 hour",
            ),
            (
                CertificateError::NotValidForNameContext { expected: expected(), presented }.into(),
                "the certificate is for `a.example`, `10.0.0.1`, not for `b.example`",
            ),
            (Error::General("the key is not pinned".to_owned()), "the key is not pinned"),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                "the backend refused: InternalError",
            ),
        ] {
            assert_eq!(tls_words(&error), words);
        }
    }
}
