//! What is run or asked beside the traffic: the sections `exec` and `http` of gates, jobs and
//! notifications, and how often it is tried.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, uri::PathAndQuery};

use crate::address::parse_url;
use crate::choice::word;
use crate::fields::{fields, parse_field_value};
use crate::kinds::{duration, ms, secret_text, secs, size, small_count, text};
use crate::model::{
    At, BackendUrl, ExecAction, HttpAction, Scheme, Secret, StatusSet, Tries, UpstreamTls,
};
use crate::problem::quoted;
use crate::program::{command, environment, folder, located, parse_variable};
use crate::reader::Section;
use crate::report::Complaint;
use crate::secret::secret;
use crate::statuses::statuses;
use crate::{defaults, tls};

/// More would only be kept to be thrown away.
pub(crate) const MOST_OUTPUT: usize = 1 << 20;
/// Who fails more often than this does not succeed.
const MOST_RETRIES: u32 = 100;

/// What it is for, hence what is known when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A gate.
    Gate,
    /// A job.
    Job,
    /// Somebody is told of an event, which holds all there is to know.
    Event,
}

impl Purpose {
    /// What is replaced, without its braces.
    fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Gate => &[
                "service", "gate", "reason", "epoch", "from", "to", "backend", "from_url",
                "to_url", "url", "host", "port",
            ],
            Self::Job => &[
                "service", "job", "epoch", "from", "to", "backend", "from_url", "to_url", "url",
                "host", "port",
            ],
            Self::Event => &[],
        }
    }

    /// A word in braces that nothing is put in place of.
    pub(crate) fn judge(self, text: &str) -> Result<(), Complaint> {
        let known = self.placeholders();
        let Some(unknown) = placeholders(text).find(|word| !known.contains(word)) else {
            return Ok(());
        };
        let message = format!("nothing is put in place of {{{unknown}}}");
        let list: Vec<String> = known.iter().map(|word| format!("`{{{word}}}`")).collect();
        let advice = match self {
            Self::Gate | Self::Job => format!("what is replaced: {}", list.join(", ")),
            Self::Event => "a program finds the event in `UNDERSTUDY_EVENT`".to_owned(),
        };
        Err(Complaint::new(message).advice(advice))
    }
}

/// The words in braces.
pub(crate) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('{').skip(1);
    let words = words.filter_map(|rest| rest.split_once('}').map(|(word, _)| word));
    words
        .filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// A program. `None` when its command could not be read. File names are relative to `base`.
pub(crate) fn exec(section: &mut Section<'_>, base: &Path, purpose: Purpose) -> Option<ExecAction> {
    section.secret("environment");
    let command = section.required(
        "command",
        match purpose {
            Purpose::Gate | Purpose::Job => {
                "Program and arguments, no shell; `{service}`, `{epoch}`, `{from}`, `{to}`, `{backend}`, `{url}` and others are replaced"
            }
            Purpose::Event => "Program and arguments, no shell",
        },
        command(|text| purpose.judge(text)),
    );
    let environment = section
        .optional("environment", "Its environment, beside `PATH` and `UNDERSTUDY_*`", |value| {
            let judge = |text: &str| parse_variable(text).map(drop);
            environment(value, secret(base, "a text", judge))
        })
        .unwrap_or_default();
    let directory: PathBuf = section.or(
        "directory",
        "Its working directory, relative to the folder of the config",
        defaults::EXEC_DIRECTORY,
        folder(base),
    );
    let output_bytes = section.or(
        "output_bytes",
        "Most bytes of its output that are kept",
        defaults::ACTION_OUTPUT,
        size(0..=MOST_OUTPUT),
    );
    let command = located(command?, base)?;
    let directory = (directory != Path::new("/")).then_some(directory);
    Some(ExecAction { command, environment, directory, output_bytes })
}

const METHODS: &[(&str, Method)] = &[
    ("GET", Method::GET),
    ("HEAD", Method::HEAD),
    ("OPTIONS", Method::OPTIONS),
    ("POST", Method::POST),
    ("PUT", Method::PUT),
    ("PATCH", Method::PATCH),
    ("DELETE", Method::DELETE),
];

/// A request of a gate or a job. `None` when its URL could not be read.
pub(crate) fn http(section: &mut Section<'_>, base: &Path, purpose: Purpose) -> Option<HttpAction> {
    section.secret("body");
    let url = section.required(
        "url",
        "A path at the backend that it is about, `{from}/path`, `{to}/path`, or the URL of another server; the same is replaced as in the arguments of a program",
        text("a path or a URL", |text| parse_request(text, purpose)),
    );
    let method = section.or("method", "The request method", defaults::ACTION_METHOD, word(METHODS));
    let headers = headers(section, base);
    let body = section.or(
        "body",
        "The body of the request; the same is replaced; empty: none",
        defaults::ACTION_BODY,
        secret_text("a body", |text| purpose.judge(text).map(|()| Arc::from(text))),
    );
    let status: StatusSet = section.or(
        "status",
        "Which answers are a success: a status, a range `200-299`, or a list of both",
        defaults::ACTION_STATUS,
        statuses(1),
    );
    let own = own_tls(
        section,
        base,
        "How the other server is verified when its URL is `https`; requests to backends are verified as the traffic is",
    );
    let output_bytes = section.or(
        "output_bytes",
        "Most bytes of the answer's body that are kept",
        defaults::ACTION_OUTPUT,
        size(0..=MOST_OUTPUT),
    );
    let (at, path) = url?;
    let at = match (at, own) {
        (At::Elsewhere { url, .. }, own) => {
            unused_tls(section, &url, own.is_some());
            At::Elsewhere { url, tls: own.unwrap_or_default() }
        }
        (at @ (At::Backend | At::From | At::To), None) => at,
        (at @ (At::Backend | At::From | At::To), Some(_)) => {
            let complaint = Complaint::new("a request to a backend has no `tls` of its own")
                .advice("it is verified by the `tls` of the service: remove the key");
            section.report().error(&section.key_place("tls"), complaint);
            at
        }
    };
    Some(HttpAction { method, at, path, headers, body, status, output_bytes })
}

/// The key `tls` of a request to another server.
pub(crate) fn own_tls(
    section: &mut Section<'_>,
    base: &Path,
    about: &'static str,
) -> Option<UpstreamTls> {
    section.optional("tls", about, |value| {
        Some(value.section(|section| tls::upstream(section, base, &UpstreamTls::default())))
    })
}

pub(crate) fn unused_tls(section: &Section<'_>, url: &BackendUrl, given: bool) {
    if given && url.scheme == Scheme::Http {
        let complaint = Complaint::new("`tls` has no effect: the URL is not https")
            .advice("write `https://` in the URL, or remove `tls`");
        section.report().error(&section.key_place("tls"), complaint);
    }
}

/// The key `headers`, with what we write ourselves refused.
pub(crate) fn headers(section: &mut Section<'_>, base: &Path) -> Vec<(HeaderName, Secret)> {
    let ours = |field: &HeaderName| {
        let text = field.as_str();
        let ours = ["host", "idempotency-key", "user-agent"].contains(&text);
        (ours || text.starts_with("x-understudy-"))
            .then(|| Complaint::new(format!("{} is written by us", quoted(text))))
    };
    let content = secret(base, "a header value", |text| parse_field_value(text).map(drop));
    section.secret("headers");
    section
        .optional(
            "headers",
            "Further header fields by name, each a text, `{ file: PATH }` or `{ env: NAME }`",
            |value| fields(value, "a request of ours", ours, &content),
        )
        .unwrap_or_default()
}

/// Whom a request is for, and its path.
fn parse_request(text: &str, purpose: Purpose) -> Result<(At, Arc<str>), Complaint> {
    let (at, path) = if let Some(path) = text.strip_prefix("{from}/") {
        (At::From, format!("/{path}"))
    } else if let Some(path) = text.strip_prefix("{to}/") {
        (At::To, format!("/{path}"))
    } else if text.starts_with('/') {
        (At::Backend, text.to_owned())
    } else {
        let (url, path) = parse_elsewhere(text, HOOK)?;
        (At::Elsewhere { url, tls: UpstreamTls::default() }, path)
    };
    purpose.judge(&path)?;
    parse_path(&path)?;
    Ok((at, path.into()))
}

/// How the URL of a hook may look.
pub(crate) const HOOK: &str = "https://hooks.example.com/path";

/// A server and a path; `/` when none is given. Does not repeat the text: it may be a secret.
/// `example` shows how it may look.
pub(crate) fn parse_elsewhere(
    text: &str,
    example: &str,
) -> Result<(BackendUrl, String), Complaint> {
    let bad =
        || Complaint::new("this is not a URL").advice(format!("write for example `{example}`"));
    let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(length);
    if authority.contains('@') {
        let complaint = Complaint::new("this URL has a user or password in it");
        return Err(complaint.advice("give an `Authorization` field among the `headers`"));
    }
    let url = parse_url(&format!("{scheme}://{authority}")).map_err(|_| bad())?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((url, path))
}

/// Judges a path with a query by what it is once words are put in place.
pub(crate) fn parse_path(path: &str) -> Result<(), Complaint> {
    let bad = || Complaint::new("this is not the path of a request");
    if path.contains('#') {
        return Err(bad().advice("remove the `#` and what follows"));
    }
    let mut filled = path.to_owned();
    for word in placeholders(path) {
        filled = filled.replace(&format!("{{{word}}}"), "x");
    }
    let fits = filled.parse::<PathAndQuery>().is_ok() && !filled.contains(['{', '}', '"']);
    fits.then_some(()).ok_or_else(|| {
        bad().advice("encode spaces and other special characters, for example as `%20`")
    })
}

/// How often it is tried; `deadline` and `back_off` are the defaults.
pub(crate) fn tries(
    section: &mut Section<'_>,
    deadline: &'static str,
    longest: Duration,
    back_off: &'static str,
) -> Tries {
    Tries {
        deadline: section.or(
            "deadline",
            "How long one try may take; then the program and its process group are killed, or the connection is closed",
            deadline,
            duration(ms(10)..=longest),
        ),
        retries: section.or(
            "retries",
            "How often it is tried again; what may have been done only when it is idempotent, or said that it failed",
            defaults::ACTION_RETRIES,
            small_count(0..=MOST_RETRIES),
        ),
        back_off: section.or(
            "back_off",
            "The pause before the second try, doubled for each further one, up to a minute",
            back_off,
            duration(ms(1)..=secs(60)),
        ),
    }
}
