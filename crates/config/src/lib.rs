//! YAML text to a validated model, or every problem in it at once.
//!
//! Pure: it reads no file, no environment and no clock.
//!
//! The way of a config: `yaml` (text to a tree of nodes), `sections`, `listener`, `service`, `probe`,
//! `tls`, `streams`, `gates`, `jobs` and `notify` (the keys, each declared once through `reader`), `check` (what valid parts get wrong together), [`model`].

mod action;
mod address;
mod admin;
mod changes;
mod check;
mod choice;
mod cron;
mod defaults;
mod epoch;
mod explain;
mod failback;
mod fields;
mod gates;
mod jobs;
mod kinds;
mod lint;
mod listener;
mod logs;
pub mod model;
mod network;
mod notify;
mod pin;
mod probe;
mod problem;
mod program;
mod reader;
mod report;
mod secret;
mod sections;
mod service;
mod share;
mod statuses;
mod streams;
mod suggest;
mod times;
mod tls;
mod traces;
mod unix;
mod window;
mod witness;
mod write;
mod yaml;

use std::path::Path;

use serde_json::{Value as Json, json};

pub use crate::changes::changed_keys;
pub use crate::explain::explain;
pub use crate::logs::show_to as show_log_to;
use crate::model::{AdminSocket, Config, Route};
pub use crate::notify::EVENT_KINDS;
pub use crate::problem::{Problem, Problems, Severity, Snippet};
use crate::reader::Value;
use crate::report::{Complaint, Report};
use crate::sections::{Draft, DraftRoute, document};
pub use crate::write::{Flags, to_shown_yaml, to_yaml};

/// A usable config.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What to run.
    pub config: Config,
    /// What its author should look at, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Reads a config. `file` is its name for messages; relative paths in it are taken from `base`.
///
/// # Errors
/// Everything that is wrong with it, when something makes it unusable.
pub fn load(file: &str, text: &str, base: &Path) -> Result<Loaded, Problems> {
    let report = Report::new(file, text);
    let (node, faults) = yaml::parse(text);
    for fault in faults {
        report.fault(fault);
    }
    let draft = node.map(|node| {
        let draft = Value::root(&report, Some(&node)).section(|section| document(section, base));
        check::whole(&report, &draft);
        draft
    });
    let problems = report.finish();
    match draft {
        Some(draft) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config: assemble(draft), warnings: problems })
        }
        Some(_) | None => Err(Problems { problems }),
    }
}

/// Where the command line tool asks, as far as it can be read: also of a config that is wrong elsewhere.
/// What cannot be read is as if it were not there.
#[must_use]
pub fn admin_socket(text: &str, base: &Path) -> AdminSocket {
    let report = Report::new("", text);
    let (node, _) = yaml::parse(text);
    let draft = node
        .map(|node| Value::root(&report, Some(&node)).section(|section| document(section, base)));
    draft.map_or(AdminSocket::Auto, |draft| draft.admin.value.socket)
}

/// What is wrong outside of the text, for example a file that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key that asks for it, for example `listeners[0].tls.ca`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// Shows `findings` about a config that [`load`] takes, each where its key stands, or as far as that
/// is given.
#[must_use]
pub fn locate(file: &str, text: &str, base: &Path, findings: Vec<Finding>) -> Problems {
    let report = Report::new(file, text);
    let (node, _) = yaml::parse(text);
    Value::root(&report, node.as_ref()).section(|section| {
        // Reads it for what is secret and must not be shown.
        document(section, base);
        for Finding { path, message, advice } in findings {
            report.error(&section.place_of(&[path]), Complaint { message, advice });
        }
    });
    let mut problems = report.finish();
    problems.retain(|problem| problem.severity == Severity::Error);
    Problems { problems }
}

/// The JSON Schema (draft 2020-12) of a config, for editors.
#[must_use]
pub fn schema() -> Json {
    let report = Report::describing();
    let mut root = Value::root(&report, None);
    root.section(|section| document(section, Path::new("")));
    let mut schema = root.into_schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Understudy configuration");
    schema
}

/// Turns names of services into indices. Only for a draft without errors.
fn assemble(draft: Draft) -> Config {
    let index = |name: &str| {
        let position = draft.services.iter().position(|draft| *draft.service.name == *name);
        position.expect("routes to unknown services are errors")
    };
    let route = |draft: &DraftRoute| {
        let readable = draft.pattern.clone().zip(draft.service.as_ref());
        let ((host, path), service) = readable.expect("unreadable routes are errors");
        Route { host, path, service: index(&service.value) }
    };
    let routes: Vec<Route> = draft.routes.iter().map(|draft| route(&draft.value)).collect();
    Config {
        workers: draft.workers,
        listeners: draft.listeners.into_iter().map(|listener| listener.value).collect(),
        default_service: routes.is_empty().then_some(0),
        routes,
        services: draft.services.into_iter().map(|draft| draft.service).collect(),
        state_dir: draft.state_dir,
        witnesses: draft.witnesses.into_iter().map(|witness| witness.value).collect(),
        notify: draft.notify.into_iter().map(|draft| draft.notifier).collect(),
        access_log: draft.access_log.map(|log| log.value),
        event_log: draft.event_log.map(|log| log.value),
        traces: draft.traces,
        admin: draft.admin.value,
        shutdown_timeout: draft.shutdown_timeout,
    }
}
