//! The document: what a config consists of, key by key. Listeners and services have their own files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use routing::table::HostPattern;
use serde_json::json;

use crate::address::{parse_host_pattern, parse_route_path};
use crate::admin::{admin, default_admin};
use crate::choice::{means_off, say_off};
use crate::defaults;
use crate::kinds::{duration, parse_count, parse_name, secs, text};
use crate::listener::listener;
use crate::logs::{access_log, event_log};
use crate::model::{AccessLog, Admin, EventLog, Listener, Traces, Witness, Workers};
use crate::notify::{DraftNotifier, notify};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};
use crate::service::{DraftService, service};
use crate::traces::traces;
use crate::witness::witnesses;
use crate::yaml::{Scalar, ScalarKind};

/// A config whose parts are valid and not yet checked against each other.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) workers: Workers,
    pub(crate) listeners: Vec<At<Listener>>,
    pub(crate) routes: Vec<At<DraftRoute>>,
    pub(crate) services: Vec<DraftService>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) witnesses: Vec<At<Witness>>,
    pub(crate) notify: Vec<DraftNotifier>,
    pub(crate) access_log: Option<At<AccessLog>>,
    pub(crate) event_log: Option<At<EventLog>>,
    pub(crate) traces: Option<Traces>,
    pub(crate) admin: At<Admin>,
    pub(crate) shutdown_timeout: Duration,
}

/// A route that names its service.
#[derive(Debug)]
pub(crate) struct DraftRoute {
    /// Host and path prefix; `None` when one of them could not be read.
    pub(crate) pattern: Option<(HostPattern, String)>,
    /// `None` when it could not be read.
    pub(crate) service: Option<At<String>>,
}

/// Most workers: more threads than any machine has cores are a slip of the finger.
const MAX_WORKERS: usize = 1024;

/// The whole document.
pub(crate) fn document(section: &mut Section<'_>, base: &Path) -> Draft {
    section.allow_extensions();
    Draft {
        workers: section.or(
            "workers",
            "How many worker threads forward requests: `auto` (one per core) or a number",
            defaults::WORKERS,
            workers,
        ),
        listeners: section
            .required("listeners", "Where clients connect, at least one, for example `listeners: [ 0.0.0.0:8080 ]`", |value| {
                value.list("a list of listeners", 1, |value| listener(value, base))
            })
            .unwrap_or_default(),
        routes: section
            .optional("routes", "Which host and path lead to which service; may be left out while there is one service", |value| {
                value.list("a list of routes", 0, |value| Some(value.section(route)))
            })
            .unwrap_or_default(),
        services: section
            .required("services", "Services by name, at least one: ordered backends with one policy, for example `services: { web: { backends: [ http://10.0.0.1:8080, http://10.0.0.2:8080 ] } }`", |value| {
                value.named("services by name", 1, |name, value| service(name, value, base))
            })
            .unwrap_or_default(),
        state_dir: section.or(
            "state_dir",
            "A folder in which decisions, events and incidents survive restarts, or `off`; relative to the folder of the config",
            defaults::STATE_DIR,
            state_dir(base),
        ),
        witnesses: section
            .optional(
                "witnesses",
                "Addresses that should answer from here, host and port; when none of them does, failed probes mean that it is we who are cut off",
                witnesses,
            )
            .unwrap_or_default(),
        notify: section
            .optional("notify", "Who is told what happened, by name", |value| notify(value, base))
            .unwrap_or_default(),
        access_log: section
            .optional("access_log", "A line for each request: `off`, or its keys", |value| {
                access_log(value, base)
            })
            .flatten(),
        event_log: section
            .optional("event_log", "A line of JSON for each event: `off`, or its keys", |value| {
                event_log(value, base)
            })
            .flatten(),
        traces: section
            .optional(
                "traces",
                "Distributed traces: `off` (as when left out), or its keys",
                |value| traces(value, base),
            )
            .flatten(),
        admin: section
            .optional("admin", "Where operators and Prometheus ask: `off`, or its keys", |value| {
                admin(value, base)
            })
            .unwrap_or_else(|| default_admin(base)),
        shutdown_timeout: section.or(
            "shutdown_timeout",
            "How long running requests may take to finish after a termination signal",
            defaults::SHUTDOWN_TIMEOUT,
            duration(Duration::ZERO..=secs(24 * 3600)),
        ),
    }
}

fn workers(value: &mut Value<'_>) -> Option<Workers> {
    let schema = || {
        json!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 1, "maximum": MAX_WORKERS },
        ] })
    };
    value.scalar("`auto` or a number", schema, |scalar| {
        if *scalar == (Scalar { text: "auto".to_owned(), kind: ScalarKind::Text }) {
            return Ok(Workers::Auto);
        }
        match parse_count(scalar) {
            Ok(number) if (1..=MAX_WORKERS).contains(&number) => Ok(Workers::Count(number)),
            Ok(_) | Err(_) => {
                let message = format!("{} is not a number of workers", quoted(&scalar.text));
                Err(Complaint::new(message)
                    .advice(format!("write `auto` or a number from 1 to {MAX_WORKERS}")))
            }
        }
    })
}

fn route(section: &mut Section<'_>) -> At<DraftRoute> {
    let errors = section.report().errors();
    let host = section.optional(
        "host",
        "`app.example.com`, `*.example.com` for every name below, or `*` (or nothing) for every host",
        text("a host", parse_host_pattern),
    );
    let path = section.or(
        "path",
        "A path and everything below it",
        defaults::ROUTE_PATH,
        text("a path", parse_route_path),
    );
    let sound = section.report().errors() == errors;
    let pattern = sound.then(|| (host.unwrap_or(HostPattern::Any), path));
    let service = section.required(
        "service",
        "The name of a service",
        text("the name of a service", parse_name),
    );
    let service = service.map(|value| At { value, place: section.place("service") });
    let place = if section.has("host") { section.place("host") } else { section.place("path") };
    At { value: DraftRoute { pattern, service }, place }
}

/// The outer option: whether it could be read; the inner one: whether there is one.
fn state_dir(base: &Path) -> impl Fn(&mut Value<'_>) -> Option<Option<PathBuf>> {
    text("`off` or a folder", |text| match text {
        "off" => Ok(None),
        text if means_off(text) => Err(say_off("`off` or a folder", text)),
        folder => Ok(Some(base.join(folder))),
    })
}
