//! Telling by mail (RFC 5321), through a server that takes it on.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use config::model::{Mail, MailTls};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::time::{Instant, timeout_at};

use super::bodies;
use super::channel::Delivery;
use super::news::News;

/// Hands the mail to the server, once. Ends at `deadline` at the latest.
pub(super) async fn send(settings: &Mail, news: &News, deadline: Instant) -> Delivery {
    let message = match message(settings, news) {
        Ok(message) => message,
        Err(words) => return Delivery::Again(words),
    };
    let sent = async {
        let transport = transport(settings, deadline).await.map_err(Delivery::Again)?;
        transport.send(message).await.map_err(|error| judge(&error))
    };
    match timeout_at(deadline, sent).await {
        Ok(Ok(answer)) => {
            let said = answer.message().collect::<Vec<_>>().join(" ");
            Delivery::Told(hooks::with_first_line(&format!("answered {}", answer.code()), &said))
        }
        Ok(Err(delivery)) => delivery,
        Err(_) => Delivery::Again("the mail server did not take it in time".to_owned()),
    }
}

/// A server that says no for good (5yz) says it again.
fn judge(error: &smtp::Error) -> Delivery {
    let mut words = error.to_string();
    if let Some(source) = error.source().map(ToString::to_string)
        && !words.contains(&source)
    {
        words = format!("{words}: {source}");
    }
    let words = hooks::first_line(&words);
    // A login that is wrong now may be right when its file has changed.
    let is_about_login = error.status().is_some_and(|code| matches!(u16::from(code), 530..=539));
    if error.is_permanent() && !is_about_login {
        Delivery::Refused(words)
    } else {
        Delivery::Again(words)
    }
}

fn message(settings: &Mail, news: &News) -> Result<Message, String> {
    let mailbox = |address: &Arc<str>| {
        let mailbox: Result<Mailbox, _> = address.parse();
        mailbox.map_err(|error| format!("{address} is no address: {error}"))
    };
    let domain = settings.from.rsplit('@').next().unwrap_or("understudy");
    let domain = domain.trim_end_matches('>');
    let mut message = Message::builder()
        .from(mailbox(&settings.from)?)
        .message_id(Some(format!("<{}@{domain}>", news.id())))
        .date(news.at)
        .subject(bodies::subject(news))
        .header(ContentType::TEXT_PLAIN);
    for address in &settings.to {
        message = message.to(mailbox(address)?);
    }
    message.body(bodies::mail(news)).map_err(|error| format!("the mail cannot be written: {error}"))
}

async fn transport(
    settings: &Mail,
    deadline: Instant,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = match settings.tls {
        MailTls::Wrapped => Tls::Wrapper(parameters(settings).await?),
        MailTls::StartTls => Tls::Required(parameters(settings).await?),
        MailTls::Off => Tls::None,
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*settings.host)
        .port(settings.port)
        .tls(tls)
        .timeout(Some(left));
    if let Some((user, password)) = &settings.login {
        let password = hooks::reveal(password, deadline).await?;
        transport = transport.credentials(Credentials::new(user.to_string(), password.to_string()));
    }
    Ok(transport.build())
}

/// Reads the system's certificates, or the given ones, on a thread that may wait for files.
async fn parameters(settings: &Mail) -> Result<TlsParameters, String> {
    let (host, ca) = (settings.host.to_string(), settings.ca.clone());
    let built = tokio::task::spawn_blocking(move || {
        let builder = TlsParameters::builder(host);
        let builder = match ca {
            Some(ca) => {
                let authority = authority(&ca)?;
                builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
            }
            None => builder,
        };
        builder.build().map_err(|error| format!("cannot set up TLS: {error}"))
    });
    built.await.unwrap_or_else(|_| Err("cannot set up TLS".to_owned()))
}

fn authority(file: &Path) -> Result<Certificate, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{} cannot be used: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(&error))?;
    Certificate::from_pem(&pem).map_err(|error| failed(&error))
}
