//! What the tests of notifiers share.

mod alertmanager;
mod mail;
mod telling;

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::news::News;
use crate::state::Entry;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event of the service `web`, at 2026-01-02T03:04:05Z.
pub(super) fn news(number: u64, kind: &str, fields: Value) -> News {
    let at = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    let mut all = json!({
        "number": number,
        "at_seconds": at.duration_since(UNIX_EPOCH).unwrap().as_secs_f64(),
        "service": "web",
        "kind": kind,
        "text": "web: words",
    });
    let fields = fields.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(fields);
    News::read(&Entry { number, json: all.to_string().into() }).unwrap()
}
