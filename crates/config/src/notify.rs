//! Who is told what happened: the key `notify`.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderName, Method};

use crate::action::{
    HOOK, MOST_OUTPUT, Purpose, exec, headers, own_tls, parse_elsewhere, parse_path, unused_tls,
};
use crate::address::parse_host;
use crate::choice::word;
use crate::kinds::{count, duration, ms, parse_name, secs, text};
use crate::model::{
    At as Asked, BackendUrl, Channel, HttpAction, Mail, MailTls, Notifier, Scheme, Secret,
    SecretUrl, StatusSet,
};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};
use crate::secret::{given, secret};
use crate::suggest::closest;
use crate::tls::file;
use crate::{defaults, lint};

/// Every kind of event, as `understudy events` names them.
pub const EVENT_KINDS: &[&str] = &[
    "active_changed",
    "called_off",
    "verified",
    "drill_began",
    "drill_ended",
    "ordered",
    "state",
    "streams_settled",
    "health_changed",
    "admin_changed",
    "claim_changed",
    "dual_active",
    "dual_active_cleared",
    "standby_ready",
    "standby_not_ready",
    "no_verdict",
    "verdicts_again",
    "cut_off",
    "reconnected",
    "gate_ended",
    "gate_in_doubt",
    "barred",
    "job_ended",
    "stale",
    "fresh",
    "not_told_of",
    "locked",
    "unlocked",
    "reloaded",
    "files_loaded",
    "file_refused",
    "reload_failed",
];

/// Where Alertmanager takes alerts, below the URL it is at.
pub(crate) const ALERTS: &str = "/api/v2/alerts";

/// A notifier, and where the services that it names stand.
#[derive(Debug)]
pub(crate) struct DraftNotifier {
    pub(crate) notifier: Notifier,
    pub(crate) services: Vec<At<Arc<str>>>,
}

pub(crate) fn notify(value: &mut Value<'_>, base: &Path) -> Option<Vec<DraftNotifier>> {
    value.named("notifiers by name", 0, |name, value| {
        if let Err(complaint) = parse_name(name.value) {
            value.report().error(&name.place, complaint);
        }
        value.keys(|section| notifier(name.value, section, base))?
    })
}

fn notifier(name: &str, section: &mut Section<'_>, base: &Path) -> Option<DraftNotifier> {
    let errors = section.report().errors();
    let channel = channel(section, base);
    section
        .exactly_one(&["webhook", "slack", "alertmanager", "exec", "mail"], "how somebody is told");
    let events = section
        .optional(
            "events",
            "Which kinds of events, as `understudy events` names them; left out: all that somebody should look at",
            |value| value.list("a list of kinds of events", 1, event),
        )
        .unwrap_or_default();
    let services = section
        .optional(
            "services",
            "Of which services; left out: of all, and what concerns no service",
            |value| {
                value.list("a list of services", 1, |value| {
                    let name = text("the name of a service", parse_name)(value)?;
                    Some(At { value: Arc::<str>::from(name), place: value.place().clone() })
                })
            },
        )
        .unwrap_or_default();
    let deadline = section.or(
        "deadline",
        "How long one try may take",
        defaults::NOTIFY_DEADLINE,
        duration(ms(10)..=secs(300)),
    );
    let give_up_after = section.or(
        "give_up_after",
        "Until when it is tried again and again; then the event is dropped, and counted",
        defaults::NOTIFY_GIVE_UP,
        duration(secs(1)..=secs(30 * 24 * 3600)),
    );
    let notifier = Notifier {
        name: Arc::from(name),
        events,
        services: services.iter().map(|service| service.value.clone()).collect(),
        channel: channel?,
        deadline,
        give_up_after,
    };
    if section.report().errors() == errors {
        for lint in lint::notifier(&notifier) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    Some(DraftNotifier { notifier, services })
}

fn event(value: &mut Value<'_>) -> Option<Arc<str>> {
    let schema = serde_json::json!({ "enum": EVENT_KINDS });
    crate::kinds::text_like("a kind of event", schema, |text| {
        if EVENT_KINDS.contains(&text) {
            return Ok(Arc::from(text));
        }
        let complaint = Complaint::new(format!("there is no kind of event {}", quoted(text)));
        Err(complaint.advice(match closest(text, EVENT_KINDS.iter().copied()) {
            Some(kind) => format!("did you mean {}?", quoted(kind)),
            None => format!("the kinds are: {}", EVENT_KINDS.join(", ")),
        }))
    })(value)
}

fn channel(section: &mut Section<'_>, base: &Path) -> Option<Channel> {
    let webhook = section.optional("webhook", "A request with the event as JSON", |value| {
        value.keys(|section| webhook(section, base))?
    });
    let slack =
        section.optional("slack", "A request as Slack, Mattermost and others take it", |value| {
            value.keys(|section| slack(section, base))?
        });
    let alertmanager =
        section.optional("alertmanager", "Alerts as Alertmanager takes them", |value| {
            value.keys(|section| alertmanager(section, base))?
        });
    let exec = section.optional(
        "exec",
        "A program that gets the event as JSON in `UNDERSTUDY_EVENT`",
        |value| value.keys(|section| exec(section, base, Purpose::Event))?,
    );
    let mail =
        section.optional("mail", "A mail", |value| value.keys(|section| mail(section, base))?);
    let channels = [webhook, slack, alertmanager, exec.map(Channel::Exec), mail];
    channels.into_iter().flatten().next()
}

fn webhook(section: &mut Section<'_>, base: &Path) -> Option<Channel> {
    let url = section.required("url", "Where to", text("a URL", parse_hook));
    let headers = headers(section, base);
    section.secret("key");
    let key = section.optional(
        "key",
        "The key of its signature (HMAC-SHA256), a text, `{ file: PATH }` or `{ env: NAME }`; without it requests are not signed",
        secret(base, "a key", given),
    );
    let request = request(section, base, url, headers)?;
    Some(Channel::Webhook { request, key })
}

fn alertmanager(section: &mut Section<'_>, base: &Path) -> Option<Channel> {
    let url = section.required(
        "url",
        "Where it is, for example `http://alertmanager:9093`; alerts go to `/api/v2/alerts` below that",
        text("a URL", parse_hook),
    );
    let headers = headers(section, base);
    let url = url.map(|(at, path)| {
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(ALERTS).unwrap_or(path);
        (at, format!("{path}{ALERTS}"))
    });
    Some(Channel::Alertmanager(request(section, base, url, headers)?))
}

/// A request that somebody is told by.
fn request(
    section: &mut Section<'_>,
    base: &Path,
    url: Option<(BackendUrl, String)>,
    headers: Vec<(HeaderName, Secret)>,
) -> Option<HttpAction> {
    let own = own_tls(section, base, "How the server is verified when the URL is `https`");
    let (url, path) = url?;
    unused_tls(section, &url, own.is_some());
    Some(HttpAction {
        method: Method::POST,
        at: Asked::Elsewhere { url, tls: own.unwrap_or_default() },
        path: path.into(),
        headers,
        body: "".into(),
        status: StatusSet(vec![200..=299]),
        output_bytes: KEPT,
    })
}

/// As much of an answer as says what is wrong.
const KEPT: usize = 4 << 10;
const _: () = assert!(KEPT <= MOST_OUTPUT, "what a config may say");

fn parse_hook(text: &str) -> Result<(BackendUrl, String), Complaint> {
    let (url, path) = parse_elsewhere(text, HOOK)?;
    Purpose::Event.judge(&path)?;
    parse_path(&path)?;
    Ok((url, path))
}

fn slack(section: &mut Section<'_>, base: &Path) -> Option<Channel> {
    section.secret("url");
    let url = section.required(
        "url",
        "The URL of the hook, which is a secret: a text, `{ file: PATH }` or `{ env: NAME }`",
        secret(base, "a URL", |text| parse_hook(text).map(drop)),
    );
    let tls = own_tls(section, base, "How its host is verified when the URL is `https`");
    let url = url?;
    if let Secret::Plain(text) = &url
        && let Ok((url, _)) = parse_hook(text)
    {
        unused_tls(section, &url, tls.is_some());
    }
    Some(Channel::Slack(SecretUrl { url, tls: tls.unwrap_or_default() }))
}

const MAIL_TLS: &[(&str, MailTls)] =
    &[("wrapped", MailTls::Wrapped), ("starttls", MailTls::StartTls), ("off", MailTls::Off)];

/// How its author says how the connection is protected.
pub(crate) fn mail_tls_name(tls: MailTls) -> &'static str {
    MAIL_TLS.iter().find(|(_, other)| *other == tls).map_or("", |(name, _)| name)
}

fn mail(section: &mut Section<'_>, base: &Path) -> Option<Channel> {
    let host = section.required("host", "The server that takes it", text("a host", parse_host));
    let tls = section.or(
        "tls",
        "How the connection is protected: `wrapped` (from the start), `starttls`, or `off`",
        defaults::MAIL_TLS,
        word(MAIL_TLS),
    );
    let port = section.optional(
        "port",
        "Its port; left out: 465 with `wrapped`, 587 with `starttls`, 25 with `off`",
        |value| count(1..=65_535)(value).and_then(|port| u16::try_from(port).ok()),
    );
    let ca = section.optional(
        "ca",
        "A PEM file with the only authorities to trust; the system's without it",
        file(base),
    );
    if section.has("ca") && tls == MailTls::Off {
        let complaint = Complaint::new("`ca` has no effect: `tls` is off");
        let complaint = complaint.advice("write `tls: wrapped` or `tls: starttls`, or remove `ca`");
        section.report().error(&section.key_place("ca"), complaint);
    }
    let user = section.optional(
        "user",
        "The name to log in with",
        text("a name", |text| Ok(Arc::from(text))),
    );
    section.secret("password");
    let password = section.optional(
        "password",
        "The password to log in with: a text, `{ file: PATH }` or `{ env: NAME }`",
        secret(base, "a password", given),
    );
    for (key, other) in [("user", "password"), ("password", "user")] {
        if section.has(key) && !section.has(other) {
            let complaint = Complaint::new(format!("`{key}` without `{other}`"));
            let complaint = complaint.advice("to log in takes both; without both it is not tried");
            section.report().error(&section.key_place(key), complaint);
        }
    }
    let from = section.required("from", "The sender's address", text("an address", parse_address));
    let to = section.required("to", "The addresses of those who get it", |value| {
        value.list("a list of addresses", 1, text("an address", parse_address))
    });
    let usual = match tls {
        MailTls::Wrapped => 465,
        MailTls::StartTls => 587,
        MailTls::Off => 25,
    };
    let mail = Mail {
        host: host?,
        port: port.unwrap_or(usual),
        tls,
        ca,
        login: user.zip(password),
        from: from?,
        to: to?,
    };
    Some(Channel::Mail(mail))
}

/// The plain form: what is before and after one `@`. Names and comments belong to people's programs.
fn parse_address(text: &str) -> Result<Arc<str>, Complaint> {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c);
    let sound = text.split_once('@').is_some_and(|(before, after)| {
        let local = !before.is_empty()
            && before.len() <= 64
            && !before.starts_with('.')
            && !before.ends_with('.')
            && !before.contains("..")
            && before.chars().all(plain);
        local && !after.contains(':') && parse_host(after).is_ok()
    });
    if sound {
        return Ok(Arc::from(text));
    }
    let complaint = Complaint::new(format!("{} is not a mail address", quoted(text)));
    Err(complaint.advice("write it alone, for example `ops@example.com`"))
}

/// Whether others could listen on the way there.
pub(crate) fn travels_in_the_clear(url: &BackendUrl) -> bool {
    url.scheme == Scheme::Http && !is_here(url.host())
}

/// Whether this is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The host of a URL that is written in the config; nothing else of it, it is a secret.
pub(crate) fn hook_host(url: &Secret) -> Option<BackendUrl> {
    match url {
        Secret::Plain(text) => parse_hook(text).ok().map(|(url, _)| url),
        Secret::File(_) | Secret::Variable(_) => None,
    }
}
