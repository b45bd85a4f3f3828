//! A mail server that writes down what it is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::model::{Channel, Mail, MailTls, Secret};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::Way;
use super::super::channel::{Delivery, tell};
use super::super::news::News;
use super::news;
use super::telling::{by, planned};

/// What was said to it, line by line; `(TLS)` where that began.
type Said = Arc<Mutex<Vec<String>>>;

/// What the server does.
#[derive(Clone, Copy)]
struct Manners {
    wrapped: bool,
    offers_starttls: bool,
    /// What it answers to the mail itself.
    verdict: &'static str,
}

const POLITE: Manners = Manners { wrapped: false, offers_starttls: false, verdict: "250 taken" };

struct Server {
    address: SocketAddr,
    said: Said,
    ca: PathBuf,
    _folder: TempDir,
}

impl Server {
    async fn start(manners: Manners) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, certificate.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Said::default();
        let hears = Arc::clone(&said);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, said) = (acceptor.clone(), Arc::clone(&hears));
                tokio::spawn(async move {
                    let stream = if manners.wrapped {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        said.lock().unwrap().push("(TLS)".to_owned());
                        talk(stream, &said, manners, true).await;
                        return;
                    } else {
                        talk(stream, &said, manners, true).await
                    };
                    let Some(stream) = stream else { return };
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    said.lock().unwrap().push("(TLS)".to_owned());
                    let manners = Manners { offers_starttls: false, ..manners };
                    talk(stream, &said, manners, false).await;
                });
            }
        });
        Self { address, said, ca, _folder: folder }
    }

    fn settings(&self, tls: MailTls) -> Mail {
        Mail {
            host: "127.0.0.1".into(),
            port: self.address.port(),
            tls,
            ca: Some(self.ca.clone()),
            login: None,
            from: "Understudy <lb@example.com>".into(),
            to: vec!["ops@example.com".into(), "Boss <boss@example.com>".into()],
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

/// Talks until the mail is taken; gives the stream back when TLS shall begin on it.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    said: &Said,
    manners: Manners,
    greets: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    let mut is_mail = false;
    if greets {
        stream.write_all(b"220 here\r\n").await.ok()?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        said.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap() {
            "." => {
                is_mail = false;
                manners.verdict
            }
            _ if is_mail => continue,
            "EHLO" if manners.offers_starttls => "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN",
            "EHLO" => "250-here\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go\r\n").await.ok()?;
                return Some(stream.into_inner());
            }
            "AUTH" if line == "AUTH PLAIN AG1lAGh1bnRlcjI=" => "235 welcome",
            "AUTH" => "535 no",
            "DATA" => {
                is_mail = true;
                "354 go on"
            }
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

async fn tell_by(settings: Mail, news: &News) -> Delivery {
    tell(&planned(by("mail", Channel::Mail(settings)), Way::Other), news).await
}

#[tokio::test]
async fn a_mail_says_what_happened_to_everybody() {
    let server = Server::start(POLITE).await;
    let mut news = news(7, "locked", json!({}));
    news.text = "web: locked: \"ü\"\r\nBcc: all@example.com\r\n\r\nbody".into();
    let told = Delivery::Told("answered 250: taken".to_owned());
    assert_eq!(tell_by(server.settings(MailTls::Off), &news).await, told);
    let said = server.said();
    let has = |line: &str| said.iter().any(|said| said == line);
    for line in [
        "MAIL FROM:<lb@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<boss@example.com>",
        "From: Understudy <lb@example.com>",
        "Message-ID: <understudy-7-1767323045000@example.com>",
        "Date: Fri, 02 Jan 2026 03:04:05 +0000",
        "service: web",
        "time: 2026-01-02T03:04:05Z",
    ] {
        assert!(has(line), "{line} is not in {said:#?}");
    }
    let head: Vec<_> = said.iter().skip_while(|line| *line != "DATA").collect();
    let head: Vec<_> = head.into_iter().take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line.starts_with("Subject: ")), "{head:?}");
    assert!(!head.iter().any(|line| line.starts_with("Bcc")), "{head:?}");
}

#[tokio::test]
async fn tls_begins_where_it_should() {
    let starttls = Manners { offers_starttls: true, ..POLITE };
    let wrapped = Manners { wrapped: true, ..POLITE };
    for (manners, tls, before) in [(starttls, MailTls::StartTls, 2), (wrapped, MailTls::Wrapped, 0)]
    {
        let server = Server::start(manners).await;
        let mut settings = server.settings(tls);
        settings.login = Some(("me".into(), Secret::Plain("hunter2".into())));
        let told = tell_by(settings.clone(), &news(1, "locked", json!({}))).await;
        assert!(matches!(told, Delivery::Told(_)), "{told:?}: {:?}", server.said());
        let began = server.said().iter().position(|line| line == "(TLS)");
        assert_eq!(began, Some(before), "{:?}", server.said());

        // By whom the certificate is not issued, it is not told.
        let other = Server::start(POLITE).await;
        settings.ca = Some(other.ca.clone());
        let told = tell_by(settings, &news(1, "locked", json!({}))).await;
        assert!(matches!(told, Delivery::Again(_)), "{told:?}");
    }
}

#[tokio::test]
async fn without_the_tls_that_is_asked_for_nothing_is_told() {
    let server = Server::start(POLITE).await;
    let told = tell_by(server.settings(MailTls::StartTls), &news(1, "locked", json!({}))).await;
    assert!(matches!(told, Delivery::Again(_)), "{told:?}");
    assert!(!server.said().iter().any(|line| line.starts_with("MAIL")), "{:?}", server.said());
}

#[tokio::test]
async fn what_the_server_says_decides_whether_it_is_sent_again() {
    let news = news(1, "locked", json!({}));
    let refuses = Manners { verdict: "554 spam", ..POLITE };
    let server = Server::start(refuses).await;
    let told = tell_by(server.settings(MailTls::Off), &news).await;
    assert!(matches!(&told, Delivery::Refused(why) if why.contains("554")), "{told:?}");

    let server = Server::start(Manners { verdict: "451 later", ..POLITE }).await;
    let told = tell_by(server.settings(MailTls::Off), &news).await;
    assert!(matches!(&told, Delivery::Again(why) if why.contains("451")), "{told:?}");

    let server = Server::start(POLITE).await;
    let mut settings = server.settings(MailTls::Off);
    settings.login = Some(("me".into(), Secret::Plain("wrong-password".into())));
    let told = tell_by(settings, &news).await;
    assert!(matches!(&told, Delivery::Again(why) if !why.contains("wrong")), "{told:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(POLITE).await;
    let mut settings = server.settings(MailTls::Off);
    settings.port = silent.local_addr().unwrap().port();
    let mut notifier = by("mail", Channel::Mail(settings));
    notifier.deadline = Duration::from_millis(200);
    let told = tell(&planned(notifier, Way::Other), &news(1, "locked", json!({}))).await;
    assert!(matches!(told, Delivery::Again(_)), "{told:?}");
}
