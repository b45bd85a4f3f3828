//! What must happen in the applications before the traffic moves: the key `gates` of a service.

use std::path::Path;

use routing::failover::{self, GateRule, GateRules, Need, OnFailure};

use crate::action::{Purpose, exec, http, tries};
use crate::choice::{flag, word};
use crate::kinds::secs;
use crate::model::{Action, Gate, GateAction, Gates, Role};
use crate::reader::{Section, Value};
use crate::report::Complaint;
use crate::{defaults, lint};

/// The gates in the order in which they run: key, meaning, which.
const GATES: [(&str, &str, failover::Gate); 5] = [
    (
        "fence",
        "Makes a backend harmless that may still hold the active role, whether it cooperates or not",
        failover::Gate::Fence,
    ),
    ("demote", "Has the old active give up the role", failover::Gate::Demote),
    ("sync", "Brings the new active up to date", failover::Gate::Sync),
    ("promote", "Has the new active take the role", failover::Gate::Promote),
    ("verify", "Sees that the new active has taken it", failover::Gate::Verify),
];

const NEEDS: &[(&str, Need)] = &[
    ("required", Need::Required),
    ("if_reachable", Need::IfReachable),
    ("best_effort", Need::BestEffort),
];

const ON_FAILURE: &[(&str, OnFailure)] = &[
    ("abort", OnFailure::Abort),
    ("continue", OnFailure::Continue),
    ("next_standby", OnFailure::NextStandby),
];

/// Roles that can be waited or asked for.
pub(crate) const ROLES: &[(&str, Role)] = &[("active", Role::Active), ("standby", Role::Standby)];

/// The key of a gate.
pub(crate) fn gate_name(gate: failover::Gate) -> &'static str {
    GATES.iter().find(|(_, _, other)| *other == gate).map_or("", |(name, _, _)| name)
}

/// How its author says whether it must succeed.
pub(crate) fn need_name(need: Need) -> &'static str {
    NEEDS.iter().find(|(_, other)| *other == need).map_or("", |(name, _)| name)
}

/// How its author says what becomes of the move when it does not.
pub(crate) fn on_failure_name(on_failure: OnFailure) -> &'static str {
    ON_FAILURE.iter().find(|(_, other)| *other == on_failure).map_or("", |(name, _)| name)
}

/// A direction that is left out is as the one before it.
pub(crate) fn gates(section: &mut Section<'_>, base: &Path) -> Gates {
    let mut read = |key, about| {
        section.optional(key, about, |value| value.keys(|section| list(section, base)))
    };
    let failover = read("failover", "Before a standby serves because the active failed");
    let failback = read(
        "failback",
        "Before the primary serves again by itself; left out: as `failover`; `{}`: none",
    );
    let switchover = read(
        "switchover",
        "Before a backend serves because an operator says so; left out: as `failback`; `{}`: none",
    );
    let failover = failover.unwrap_or_default();
    let failback = failback.unwrap_or_else(|| failover.clone());
    let switchover = switchover.unwrap_or_else(|| failback.clone());
    Gates { failover, failback, switchover }
}

fn list(section: &mut Section<'_>, base: &Path) -> Vec<Gate> {
    let gates = GATES.iter().map(|(key, about, which)| {
        section.optional(key, about, |value: &mut Value<'_>| {
            value.keys(|section| gate(section, *which, base))?
        })
    });
    gates.collect::<Vec<_>>().into_iter().flatten().collect()
}

fn gate(section: &mut Section<'_>, which: failover::Gate, base: &Path) -> Option<Gate> {
    let errors = section.report().errors();
    let call = call(section, base, Purpose::Gate);
    let role = match which {
        failover::Gate::Verify => {
            section.exactly_one(&["exec", "http", "role"], "what the gate does");
            section.optional(
                "role",
                "Probes the new active until it claims this role: `active` or `standby`",
                word(ROLES),
            )
        }
        failover::Gate::Fence
        | failover::Gate::Demote
        | failover::Gate::Sync
        | failover::Gate::Promote => {
            section.refuse("role", || {
                let complaint = Complaint::new("to look for a role changes nothing");
                complaint.advice("`role` is for the gate `verify`; here give `exec` or `http`")
            });
            section.exactly_one(&["exec", "http"], "what the gate does");
            None
        }
    };
    let need = section.or(
        "need",
        "Whether it must succeed: `required`, `if_reachable` (unless nothing could be reached) or `best_effort`",
        defaults::GATE_NEED,
        word(NEEDS),
    );
    let on_failure = section.or(
        "on_failure",
        "What if it must and does not: `abort` (lock the service), `continue`, or `next_standby`",
        defaults::GATE_ON_FAILURE,
        word(ON_FAILURE),
    );
    let tries = tries(section, defaults::GATE_DEADLINE, secs(3600), defaults::GATE_BACK_OFF);
    let idempotent = section.or(
        "idempotent",
        "Whether it may run twice: then it is run again when nobody knows how it ended, else an operator must say",
        defaults::IDEMPOTENT,
        flag,
    );
    let action = match (call, role) {
        (Some(call), _) => GateAction::Call(call),
        (None, Some(role)) => GateAction::Role(role),
        (None, None) => return None,
    };
    // To look twice does no harm.
    let idempotent = idempotent || matches!(action, GateAction::Role(_));
    let rule = GateRule { gate: which, need, on_failure, idempotent };
    let gate = Gate { rule, action, tries };
    if section.report().errors() == errors {
        for lint in lint::gate(&gate) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    Some(gate)
}

/// The keys `exec` and `http`.
pub(crate) fn call(section: &mut Section<'_>, base: &Path, purpose: Purpose) -> Option<Action> {
    let exec = section.optional("exec", "Runs a program; exit code 0 is success", |value| {
        value.keys(|section| exec(section, base, purpose))?
    });
    let http = section.optional("http", "Sends a request", |value| {
        value.keys(|section| http(section, base, purpose))?
    });
    exec.map(Action::Exec).or(http.map(Action::Http))
}

/// Whether a failover promotes somebody.
pub(crate) fn promote(gates: &Gates) -> bool {
    gates.failover.iter().any(|gate| gate.rule.gate == failover::Gate::Promote)
}

/// The rules of the gates alone.
pub(crate) fn rules(gates: &Gates) -> GateRules {
    let rules = |gates: &[Gate]| gates.iter().map(|gate| gate.rule).collect();
    GateRules {
        failover: rules(&gates.failover),
        failback: rules(&gates.failback),
        switchover: rules(&gates.switchover),
    }
}
