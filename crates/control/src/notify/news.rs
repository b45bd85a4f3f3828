//! An event as those are told who follow it from afar, and which of them somebody should look at.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::model::Notifier;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::Entry;

/// The kinds that somebody should look at: what moves the traffic, what keeps it from moving, what
/// makes the next failover doubtful, and the end of each. Of gates and jobs only those that did not succeed.
pub(super) const DEFAULT: [&str; 23] = [
    "active_changed",
    "barred",
    "called_off",
    "cut_off",
    "dual_active",
    "dual_active_cleared",
    "file_refused",
    "fresh",
    "gate_ended",
    "gate_in_doubt",
    "health_changed",
    "job_ended",
    "locked",
    "no_verdict",
    "not_told_of",
    "reconnected",
    "reload_failed",
    "stale",
    "standby_not_ready",
    "standby_ready",
    "state",
    "unlocked",
    "verdicts_again",
];

/// The kind of what only tries a notifier.
const TRIAL: &str = "test";

/// An event, read back from what was kept of it.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) kind: Arc<str>,
    pub(crate) service: Option<Arc<str>>,
    /// For people.
    pub(crate) text: Arc<str>,
    /// As it was kept.
    pub(crate) json: Arc<str>,
    /// All its fields.
    pub(crate) fields: Value,
}

impl News {
    /// `None`: it is no event of ours.
    pub(crate) fn read(entry: &Entry) -> Option<Self> {
        #[derive(Deserialize)]
        struct Known {
            at_seconds: f64,
            kind: Arc<str>,
            service: Option<Arc<str>>,
            text: Arc<str>,
        }
        let fields: Value = serde_json::from_str(&entry.json).ok()?;
        let Known { at_seconds, kind, service, text } = Known::deserialize(&fields).ok()?;
        let since = Duration::try_from_secs_f64(at_seconds).ok()?;
        let at = UNIX_EPOCH.checked_add(since)?;
        let (number, json) = (entry.number, entry.json.clone());
        Some(Self { number, at, kind, service, text, json, fields })
    }

    /// One that has not happened, to see whether it is told.
    pub(super) fn trial(notifier: &str, who: &str, at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = format!("a test of the notifier {notifier}, asked for by {who}");
        let fields = json!({
            "number": 0,
            "at_seconds": since.as_secs_f64(),
            "service": null,
            "kind": TRIAL,
            "text": text,
        });
        let json = fields.to_string().into();
        Self { number: 0, at, kind: TRIAL.into(), service: None, text: text.into(), json, fields }
    }

    /// A field that is a text; empty: there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    /// What tells this event from every other, also after a restart: whoever gets it twice can tell.
    pub(crate) fn id(&self) -> String {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("understudy-{}-{}", self.number, since.as_millis())
    }

    /// Whether it says that `name` was not told of something.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        &*self.kind == "not_told_of" && self.field("notifier") == name
    }

    /// Whether this notifier tells it. One is never told by the notifier that it is about: that would
    /// have no end.
    pub(crate) fn concerns(&self, notifier: &Notifier, also: impl Fn(&Self) -> bool) -> bool {
        let Notifier { name, events, services, .. } = notifier;
        let is_of_service = services.is_empty()
            || self.service.as_ref().is_some_and(|service| services.contains(service));
        let is_wanted = if events.is_empty() {
            self.should_be_seen() || also(self)
        } else {
            events.contains(&self.kind)
        };
        is_of_service && is_wanted && !self.is_about(name)
    }

    fn should_be_seen(&self) -> bool {
        DEFAULT.contains(&&*self.kind)
            && match &*self.kind {
                "gate_ended" => self.field("outcome") != "done",
                "job_ended" => !matches!(self.field("outcome"), "done" | "cancelled"),
                "health_changed" => matches!(self.field("health"), "up" | "down"),
                _ => true,
            }
    }
}
