//! The commands that ask a running load balancer: the real binary against an admin API that answers
//! what the test says. What is sent, what is printed, which exit code.

mod fake;
mod orders;
mod places;
mod streams;
mod views;

use serde_json::{Value, json};

/// A service `web` on `active`, with the backends `a` (the primary) and `b`.
fn service(active: Option<&str>) -> Value {
    let backend = |name: &str| {
        json!({
            "name": name, "url": format!("http://{name}:80"), "health": "up", "admin": "ready",
            "active": active == Some(name), "eligible_for_seconds": 60.0, "in_flight": 0,
            "last_probe": { "outcome": "pass", "took_ms": 0.8, "ago_seconds": 1.0 },
        })
    };
    json!({
        "name": "web", "active": active, "epoch": 7, "since_seconds": 60.0,
        "on_primary": active == Some("a"), "pinned": false, "locked": false,
        "hold_down_seconds": 30.0, "flaps": 0, "failback_due_in_seconds": null, "failback": null,
        "switching": null, "verifying_for_seconds": null, "drill": null, "scheduled": null,
        "drift": [], "load": { "in_flight": 3, "held": 0 },
        "backends": [backend("a"), backend("b")],
        "added_by_a_newer_version": true,
    })
}

fn status_of(services: &[Value]) -> Value {
    let process =
        json!({ "state_dir": null, "state_problem": null, "drift": [], "predecessor": false });
    json!({ "services": services, "process": process })
}

/// The status with that one service.
fn status(active: Option<&str>) -> Value {
    status_of(&[service(active)])
}

fn done(text: &str) -> Value {
    json!({ "text": text, "moved": null })
}
