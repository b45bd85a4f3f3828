//! The license managers' promises, over TLS as they insist.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use benches::condition::wait_for;
use standins::Standin;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn start(folder: &Path, name: &str, more: &str) -> Standin {
    let (certificate, store) = (folder.join(format!("{name}.pem")), folder.join("store"));
    let arguments =
        format!("--certificate {} --store {} {more}", certificate.display(), store.display());
    let program = Path::new(env!("CARGO_BIN_EXE_standins"));
    Standin::start(program, folder, "license-manager", name, &arguments)
}

/// The status and the body, from whoever shows this certificate.
fn ask(at: &Standin, trusted: &Path, method: &str, path: &str) -> (u16, String) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let stream = TcpStream::connect(at.address()).expect("it listens");
    let mut stream = StreamOwned::new(connection, stream);
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

#[test]
fn both_grant_from_one_database_and_say_when_they_are_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut a = start(folder.path(), "a", "--starting-ms 3000");
    let b = start(folder.path(), "b", "");
    let (of_a, of_b) = (folder.path().join("a.pem"), folder.path().join("b.pem"));
    assert_eq!(ask(&a, &of_a, "GET", "/pingLicenseManager").0, 503);
    assert_eq!(ask(&a, &of_a, "POST", "/license/renew?client=x").0, 503);
    wait_for(Duration::from_secs(20), "it has started", || {
        let answer = ask(&a, &of_a, "GET", "/pingLicenseManager");
        if answer.0 == 200 { Ok(()) } else { Err(answer) }
    });
    // At the same time, so that they have to wait for each other.
    thread::scope(|scope| {
        for (at, trusted) in [(&a, &of_a), (&b, &of_b)] {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(ask(at, trusted, "POST", "/license/renew?client=x").0, 200);
                }
            });
        }
    });
    let (status, body) = ask(&b, &of_b, "POST", "/license/start?client=y");
    assert_eq!(status, 200);
    assert!(body.contains("\"number\":101"), "grants were lost: {body}");
    assert_eq!((a.noted("renewed").len(), b.noted("renewed").len()), (50, 50));
    assert_eq!(b.noted("let start")[0].text("client"), "y");
    // Its certificate is its own, and the same in each life.
    a.revive();
    assert_eq!(ask(&a, &of_a, "GET", "/pingLicenseManager").0, 503);
}
