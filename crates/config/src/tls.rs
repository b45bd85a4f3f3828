//! TLS on both sides: the section `tls` of a listener, of a service, and of a service's probes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::address::parse_server_name;
use crate::choice::{flag, word};
use crate::kinds::{text, text_like};
use crate::model::{
    CertificateFiles, ClientAuth, ClientAuthMode, DownstreamTls, TlsPolicy, Trust, UpstreamTls,
};
use crate::pin::{PATTERN, parse_pin};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Report};
use crate::{check, defaults};

const POLICIES: &[(&str, TlsPolicy)] =
    &[("intermediate", TlsPolicy::Intermediate), ("modern", TlsPolicy::Modern)];

/// TLS towards clients; `None` when its certificates could not be read.
pub(crate) fn downstream(section: &mut Section<'_>, base: &Path) -> Option<DownstreamTls> {
    let certificates = section.required(
        "certificates",
        "Certificates with their keys: `[{ cert: a.pem, key: a.key }]`; chosen by the name the client asks for (SNI), the first is the default",
        |value| {
            value.list("a list of certificates", 1, |value| {
                value.section(|section| {
                    let files = certificate(section, base);
                    files.map(|value| At { value, place: section.place("cert") })
                })
            })
        },
    );
    let certificates = certificates.unwrap_or_default();
    repeated(section.report(), &certificates);
    let policy = section.or(
        "policy",
        "`intermediate` is TLS 1.2 and 1.3, `modern` is TLS 1.3 only",
        defaults::TLS_POLICY,
        word(POLICIES),
    );
    let client_auth =
        section.optional("client_auth", "How clients show who they are by certificates", |value| {
            value.section(|section| client_auth(section, base))
        });
    let certificates: Vec<CertificateFiles> = certificates.into_iter().map(|at| at.value).collect();
    let readable = !certificates.is_empty();
    readable.then_some(DownstreamTls { certificates, policy, client_auth })
}

fn repeated(report: &Report<'_>, certificates: &[At<CertificateFiles>]) {
    let mut seen = HashMap::new();
    for certificate in certificates {
        let (file, place) = (&certificate.value.cert, &certificate.place);
        if let Some(line) = seen.insert(file, place.mark.line) {
            let file = quoted(&file.to_string_lossy());
            let message = format!("{file} is already a certificate (line {line})");
            report.error(place, Complaint::new(message).advice("remove one of the two"));
        }
    }
}

fn client_auth(section: &mut Section<'_>, base: &Path) -> Option<ClientAuth> {
    const MODES: &[(&str, ClientAuthMode)] =
        &[("required", ClientAuthMode::Required), ("optional", ClientAuthMode::Optional)];
    let ca = section.required(
        "ca",
        "A PEM file with the authorities that issue certificates of clients",
        file(base),
    );
    let mode = section.or(
        "mode",
        "`required`: no handshake without a certificate; `optional`: a client may do without",
        defaults::CLIENT_AUTH_MODE,
        word(MODES),
    );
    let crl = section
        .optional(
            "crl",
            "PEM files with revocation lists; with any, every authority must have one",
            |value| value.list("a list of files", 0, file(base)),
        )
        .unwrap_or_default();
    Some(ClientAuth { ca: ca?, mode, crl })
}

/// TLS towards backends. What is not said is as `inherited` has it.
pub(crate) fn upstream(
    section: &mut Section<'_>,
    base: &Path,
    inherited: &UpstreamTls,
) -> UpstreamTls {
    let ca = section.optional(
        "ca",
        "A PEM file with the only authorities to trust, relative to the folder of the config; the system's without it",
        file(base),
    );
    let insecure =
        section.optional("insecure", "Trust anybody: certificates are not verified at all", flag);
    section.at_most_one(&["ca", "insecure"]);
    let server_name = section.optional(
        "server_name",
        "The name to ask for (SNI) and to verify, when it is not the host of the URL",
        text("a host name", parse_server_name),
    );
    let verify_name = section.optional(
        "verify_name",
        "The name to verify, when it is not the one asked for",
        text("a host name", parse_server_name),
    );
    let certificate = section.optional(
        "certificate",
        "What we show to a backend that wants to know who we are",
        |value| value.section(|section| certificate(section, base)),
    );
    let pin_schema = json!({ "type": "string", "pattern": PATTERN });
    let pins = section.optional(
        "pins",
        "Digests of the public keys that a backend may have, `sha256//` and Base64; any key that is trusted without them",
        |value| value.list("a list of pins", 0, text_like("a pin", pin_schema, parse_pin)),
    );
    let trust = match (ca, insecure) {
        (_, Some(true)) => Trust::Insecure,
        (Some(file), _) => Trust::Ca(file),
        (None, Some(false)) => Trust::System,
        (None, None) => inherited.trust.clone(),
    };
    check::verified(section, &trust, verify_name.as_deref());
    UpstreamTls {
        trust,
        server_name: server_name.or_else(|| inherited.server_name.clone()),
        verify_name: verify_name.or_else(|| inherited.verify_name.clone()),
        certificate: certificate.or_else(|| inherited.certificate.clone()),
        pins: pins.unwrap_or_else(|| inherited.pins.clone()),
    }
}

pub(crate) fn certificate(section: &mut Section<'_>, base: &Path) -> Option<CertificateFiles> {
    let cert =
        section.required("cert", "A PEM file with the certificate, then its chain", file(base));
    let key = section.required("key", "A PEM file with its private key", file(base));
    Some(CertificateFiles { cert: cert?, key: key? })
}

/// The name of a file, relative to the folder of the config.
pub(crate) fn file(base: &Path) -> impl Fn(&mut Value<'_>) -> Option<PathBuf> {
    text("a file name", |text| Ok(base.join(text)))
}
