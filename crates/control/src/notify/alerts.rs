//! What an event is to Alertmanager: a condition that begins or ends, or news for a while. Pure.
//!
//! Alertmanager forgets what fires when it restarts, and nobody tells it again: rules on our metrics
//! are for what must not be overlooked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::model::{Channel, Notifier};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::news::News;

/// A condition is told when it begins and when it ends; without an end Alertmanager would end it
/// after minutes.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long something is news.
const NEWS_FOR: Duration = Duration::from_secs(5 * 60);

/// The first backend of each service.
pub(crate) type Primaries = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Clone, Copy)]
enum State {
    Begins,
    Ends,
    News,
}

struct Alert {
    name: &'static str,
    severity: &'static str,
    /// Which fields tell this condition from others of its kind, beside the service.
    labels: &'static [&'static str],
    state: State,
}

const fn alert(
    name: &'static str,
    severity: &'static str,
    labels: &'static [&'static str],
    state: State,
) -> Alert {
    Alert { name, severity, labels, state }
}

/// Whether this tells Alertmanager of the end of something that it may have been told of. A gate that
/// is done is nothing to look at, but ends the doubt about it.
pub(super) fn resolves(notifier: &Notifier, news: &News) -> bool {
    match notifier.channel {
        Channel::Alertmanager(_) => &*news.kind == "gate_ended",
        Channel::Exec(_) | Channel::Webhook { .. } | Channel::Slack(_) | Channel::Mail(_) => false,
    }
}

fn alerts(news: &News, primaries: &Primaries) -> Vec<Alert> {
    let backend: &[&str] = &["backend"];
    match &*news.kind {
        "active_changed" => moved(news, primaries),
        "locked" => vec![alert("UnderstudyLocked", "warning", &[], State::Begins)],
        "unlocked" => vec![alert("UnderstudyLocked", "warning", &[], State::Ends)],
        "dual_active" => vec![alert("UnderstudyDualActive", "critical", &[], State::Begins)],
        "dual_active_cleared" => vec![alert("UnderstudyDualActive", "critical", &[], State::Ends)],
        "gate_in_doubt" => vec![alert("UnderstudyGateInDoubt", "critical", &[], State::Begins)],
        "gate_ended" => {
            let ends = alert("UnderstudyGateInDoubt", "critical", &[], State::Ends);
            let failed =
                alert("UnderstudyGateFailed", "warning", &["gate", "backend"], State::News);
            let is_done = news.field("outcome") == "done";
            [Some(ends), (!is_done).then_some(failed)].into_iter().flatten().collect()
        }
        "standby_not_ready" => {
            vec![alert("UnderstudyStandbyNotReady", "warning", backend, State::Begins)]
        }
        "standby_ready" => {
            vec![alert("UnderstudyStandbyNotReady", "warning", backend, State::Ends)]
        }
        "no_verdict" => vec![alert("UnderstudyUndecided", "critical", backend, State::Begins)],
        "verdicts_again" => vec![alert("UnderstudyUndecided", "critical", backend, State::Ends)],
        "stale" => vec![alert("UnderstudyJobStale", "warning", &["backend", "job"], State::Begins)],
        "fresh" => vec![alert("UnderstudyJobStale", "warning", &["backend", "job"], State::Ends)],
        "cut_off" => vec![alert("UnderstudyCutOff", "critical", &[], State::Begins)],
        "reconnected" => vec![alert("UnderstudyCutOff", "critical", &[], State::Ends)],
        "health_changed" => {
            let state = match news.field("health") {
                "down" => State::Begins,
                _ => State::Ends,
            };
            vec![alert("UnderstudyBackendDown", "warning", backend, state)]
        }
        "barred" => vec![alert("UnderstudyBackendBarred", "warning", backend, State::News)],
        "called_off" => vec![alert("UnderstudyMoveCalledOff", "warning", &[], State::News)],
        "job_ended" => {
            vec![alert("UnderstudyJobFailed", "warning", &["backend", "job"], State::News)]
        }
        "reload_failed" => vec![alert("UnderstudyReloadFailed", "warning", &[], State::News)],
        "file_refused" => vec![alert("UnderstudyFileRefused", "warning", &["file"], State::News)],
        "not_told_of" => vec![alert("UnderstudyNotToldOf", "warning", &["notifier"], State::News)],
        _ => vec![alert("UnderstudyEvent", "info", &["kind"], State::News)],
    }
}

fn moved(news: &News, primaries: &Primaries) -> Vec<Alert> {
    let nobody = |state| alert("UnderstudyNoActive", "critical", &[], state);
    let standby = |state| alert("UnderstudyOnStandby", "warning", &[], state);
    let to = news.field("to");
    if to.is_empty() {
        return vec![nobody(State::Begins), standby(State::Ends)];
    }
    let service = news.service.as_deref().unwrap_or_default();
    let is_primary = primaries.get(service).is_none_or(|primary| **primary == *to);
    vec![
        nobody(State::Ends),
        standby(if is_primary { State::Ends } else { State::Begins }),
        // Nothing moves while there is any.
        alert("UnderstudyGateInDoubt", "critical", &[], State::Ends),
        alert("UnderstudyActiveChanged", "info", &["to"], State::News),
    ]
}

/// The body of a request to `/api/v2/alerts`.
pub(super) fn body(news: &News, primaries: &Primaries, now: SystemTime) -> Value {
    let alerts = alerts(news, primaries);
    let alerts = alerts.into_iter().map(|Alert { name, severity, labels, state }| {
        let mut all = BTreeMap::from([("alertname", name), ("severity", severity)]);
        all.extend(news.service.as_deref().map(|service| ("service", service)));
        let fields = labels.iter().map(|label| match *label {
            // The new active is the backend that this is about.
            "to" => ("backend", news.field("to")),
            label => (label, news.field(label)),
        });
        // Alertmanager takes an empty label for none.
        all.extend(fields.filter(|(_, value)| !value.is_empty()));
        let ends = match state {
            State::Begins => news.at + LONGEST,
            State::Ends => news.at,
            // However late it is told.
            State::News => now.max(news.at) + NEWS_FOR,
        };
        json!({
            "labels": all,
            "annotations": { "summary": *news.text },
            "startsAt": time(news.at),
            "endsAt": time(ends),
        })
    });
    alerts.collect()
}

/// RFC 3339.
fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::news;
    use super::*;

    /// Name, labels but for severity and service, and whether it still fires a minute later.
    fn told(kind: &str, fields: Value) -> Vec<(String, String, bool)> {
        let news = news(7, kind, fields);
        let primaries = Primaries::from([("web".into(), "a".into())]);
        let body = body(&news, &primaries, news.at);
        let minute_later = time(news.at + Duration::from_secs(60));
        let alerts = body.as_array().unwrap().iter().map(|alert| {
            let mut labels: BTreeMap<String, String> =
                serde_json::from_value(alert["labels"].clone()).unwrap();
            assert_eq!(labels.remove("service").as_deref(), Some("web"));
            assert!(labels.remove("severity").is_some());
            assert_eq!(alert["annotations"]["summary"], "web: words");
            let name = labels.remove("alertname").unwrap();
            let labels: Vec<_> =
                labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (name, labels.join(","), alert["endsAt"].as_str().unwrap() > minute_later.as_str())
        });
        alerts.collect()
    }

    fn is(name: &str, labels: &str, fires: bool) -> (String, String, bool) {
        (name.to_owned(), labels.to_owned(), fires)
    }

    #[test]
    fn a_condition_begins_and_ends_with_the_same_labels() {
        let a = || json!({ "backend": "a" });
        let job = || json!({ "backend": "a", "job": "sync" });
        for (begins, ends, name, labels, fields) in [
            ("locked", "unlocked", "UnderstudyLocked", "", json!({})),
            ("dual_active", "dual_active_cleared", "UnderstudyDualActive", "", json!({})),
            ("standby_not_ready", "standby_ready", "UnderstudyStandbyNotReady", "backend=a", a()),
            ("no_verdict", "verdicts_again", "UnderstudyUndecided", "backend=a", a()),
            ("stale", "fresh", "UnderstudyJobStale", "backend=a,job=sync", job()),
            ("cut_off", "reconnected", "UnderstudyCutOff", "", json!({})),
        ] {
            assert_eq!(told(begins, fields.clone()), [is(name, labels, true)]);
            assert_eq!(told(ends, fields), [is(name, labels, false)]);
        }
        let health = |health| told("health_changed", json!({ "backend": "b", "health": health }));
        assert_eq!(health("down"), [is("UnderstudyBackendDown", "backend=b", true)]);
        assert_eq!(health("up"), [is("UnderstudyBackendDown", "backend=b", false)]);
    }

    #[test]
    fn a_move_says_who_is_active_now() {
        let to = |to: Value| told("active_changed", json!({ "from": "x", "to": to }));
        assert_eq!(
            to(Value::Null),
            [is("UnderstudyNoActive", "", true), is("UnderstudyOnStandby", "", false)]
        );
        for (name, is_standby) in [("a", false), ("b", true)] {
            assert_eq!(
                to(name.into()),
                [
                    is("UnderstudyNoActive", "", false),
                    is("UnderstudyOnStandby", "", is_standby),
                    is("UnderstudyGateInDoubt", "", false),
                    is("UnderstudyActiveChanged", &format!("backend={name}"), true),
                ]
            );
        }
    }

    #[test]
    fn the_doubt_about_a_gate_ends_with_it() {
        let fields = |outcome| json!({ "gate": "fence", "backend": "a", "outcome": outcome });
        let doubt = |fires| is("UnderstudyGateInDoubt", "", fires);
        assert_eq!(told("gate_in_doubt", fields("")), [doubt(true)]);
        assert_eq!(told("gate_ended", fields("done")), [doubt(false)]);
        let failed = is("UnderstudyGateFailed", "backend=a,gate=fence", true);
        assert_eq!(told("gate_ended", fields("failed")), [doubt(false), failed]);
    }

    #[test]
    fn whatever_else_happens_is_news_for_a_while() {
        assert_eq!(told("ordered", json!({})), [is("UnderstudyEvent", "kind=ordered", true)]);
        let news = news(1, "barred", json!({ "backend": "b" }));
        let late = news.at + Duration::from_secs(3600);
        let body = body(&news, &Primaries::new(), late);
        assert_eq!(body[0]["startsAt"], "2026-01-02T03:04:05Z");
        assert_eq!(body[0]["endsAt"], "2026-01-02T04:09:05Z");
    }
}
