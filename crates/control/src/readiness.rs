//! Whether a failover to a standby would work now, and if not, why. Pure.
//!
//! Judges what is confirmed, so it does not change with every probe that is lost. It is for people and
//! alerts: no decision looks at it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::model::Readiness as Rules;
use routing::failover::{AdminState, Health, Role, Wish};

use crate::status::Readiness;

/// What is known of a standby.
#[derive(Clone, Debug)]
pub(crate) struct Standby<'a> {
    pub(crate) health: Health,
    pub(crate) admin: AdminState,
    pub(crate) role: Option<Role>,
    pub(crate) wish: Option<Wish>,
    /// Why its last conclusive probe failed, if it did.
    pub(crate) failing: Option<&'a str>,
    /// For how long it has been without a verdict, and why, if that is long.
    pub(crate) undecided: Option<(Duration, Arc<str>)>,
    /// When the certificate expires that it shows to the traffic.
    pub(crate) certificate_expires: Option<SystemTime>,
    /// The way of the traffic to it.
    pub(crate) way: Way,
    /// By how many milliseconds its clock is ahead of ours.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// When it last served, or was drilled.
    pub(crate) served: Option<SystemTime>,
    /// It may not become active, because a gate of a move to it failed.
    pub(crate) is_barred: bool,
    /// What jobs have not done for it for too long, in sentences.
    pub(crate) lags: Vec<String>,
}

/// Whether a connection as the traffic makes it comes about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// The probes go it.
    #[default]
    Probed,
    /// It has not been tried yet.
    Untried,
    /// It does.
    Open,
    /// It does not, and did not at the try before, for this reason.
    Closed(Arc<str>),
}

/// What holds for all standbys of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) rules: &'a Rules,
    /// The role that a backend must claim to be eligible.
    pub(crate) required_role: Option<Role>,
    /// Automatic moves are frozen, because two backends claim the active role.
    pub(crate) is_frozen: bool,
    /// Nobody knows how a gate ended.
    pub(crate) is_in_doubt: bool,
}

/// What is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) readiness: Readiness,
    /// Whether enough is known to say so.
    pub(crate) is_known: bool,
}

/// Judges a standby as of `now`.
pub(crate) fn judge(standby: &Standby<'_>, terms: Terms<'_>, now: SystemTime) -> Judged {
    let mut reasons = Vec::new();
    reasons.extend(health(standby));
    if let Some((time, why)) = &standby.undecided {
        reasons.push(format!("its probes have told nothing for {}: {why}", Span(*time)));
    }
    reasons.extend(wishes(standby));
    let role = role(standby, terms.required_role);
    let notes: Vec<String> = match role {
        Suits::Yes => Vec::new(),
        Suits::Promotes => vec!["it promotes itself".to_owned()],
        Suits::No(why) => {
            reasons.push(why);
            Vec::new()
        }
    };
    if terms.is_frozen {
        reasons.push("two backends claim the active role: no automatic moves".to_owned());
    }
    if standby.is_barred {
        reasons.push("a gate of a move to it failed: it is barred until `unlock`".to_owned());
    }
    if terms.is_in_doubt {
        reasons.push("nobody knows how a gate ended: `gate`".to_owned());
    }
    match &standby.way {
        Way::Probed | Way::Open => {}
        Way::Untried => reasons.push("the way of the traffic has not been tried yet".to_owned()),
        Way::Closed(why) => reasons.push(format!("the way of the traffic fails: {why}")),
    }
    reasons.extend(certificate(standby, terms.rules, now));
    reasons.extend(clock(standby, terms.rules));
    reasons.extend(last_drill(standby, terms.rules, now));
    reasons.extend(standby.lags.iter().cloned());
    let is_known = standby.health != Health::Unknown && standby.way != Way::Untried;
    let is_ready = reasons.is_empty();
    let readiness = Readiness { is_ready, reasons: reasons.into(), notes: notes.into() };
    Judged { readiness, is_known }
}

fn health(standby: &Standby<'_>) -> Option<String> {
    match standby.health {
        Health::Up => None,
        Health::Unknown => Some("it has not been checked yet".to_owned()),
        Health::Down => Some(match standby.failing {
            Some(why) => format!("it is down: {why}"),
            None => "it is down".to_owned(),
        }),
    }
}

/// What the operator and the backend itself wish.
fn wishes(standby: &Standby<'_>) -> Vec<String> {
    let mut wishes = Vec::new();
    match standby.admin {
        AdminState::Ready => {}
        AdminState::Drain => wishes.push("an operator drains it"),
        AdminState::Maintenance => wishes.push("an operator has it in maintenance"),
    }
    match standby.wish {
        None | Some(Wish::Serve) => {}
        Some(Wish::Drain) => wishes.push("it asks for a drain"),
        Some(Wish::Maintenance) => wishes.push("it asks for maintenance"),
    }
    wishes.into_iter().map(str::to_owned).collect()
}

/// Whether its role would let it take over.
enum Suits {
    Yes,
    /// It will be active by itself when it has to be.
    Promotes,
    No(String),
}

fn role(standby: &Standby<'_>, required: Option<Role>) -> Suits {
    // One that is down says nothing, and that is said already.
    if standby.health != Health::Up {
        return Suits::Yes;
    }
    match (standby.role, required) {
        (Some(Role::Promoting), _) => Suits::No("it is still promoting itself".to_owned()),
        (Some(Role::Fenced), _) => Suits::No("it is fenced".to_owned()),
        (Some(Role::Standby), Some(Role::Active)) => Suits::Promotes,
        (None, Some(required)) => {
            let required = crate::status::role_word(required);
            Suits::No(format!("it does not tell its role, and must be {required}"))
        }
        (Some(role), Some(required)) if role != required => {
            let (role, required) =
                (crate::status::role_word(role), crate::status::role_word(required));
            Suits::No(format!("it claims the role {role}, and must be {required}"))
        }
        (Some(Role::Active | Role::Standby), Some(_))
        | (Some(Role::Active | Role::Standby) | None, None) => Suits::Yes,
    }
}

fn certificate(standby: &Standby<'_>, rules: &Rules, now: SystemTime) -> Option<String> {
    let Ok(left) = standby.certificate_expires?.duration_since(now) else {
        return Some("its certificate has expired".to_owned());
    };
    let least = rules.certificate;
    (left < least).then(|| {
        format!("its certificate expires in {}, which is less than {}", Span(left), Span(least))
    })
}

fn clock(standby: &Standby<'_>, rules: &Rules) -> Option<String> {
    let (ahead, most) = (standby.clock_ahead_ms?, rules.clock_skew?);
    let apart = Duration::from_millis(ahead.unsigned_abs());
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    (apart > most).then(|| {
        format!("its clock is {} {way} ours, which is more than {}", Span(apart), Span(most))
    })
}

fn last_drill(standby: &Standby<'_>, rules: &Rules, now: SystemTime) -> Option<String> {
    let within = rules.last_drill?;
    let Some(served) = standby.served else {
        return Some("it has never served nor been drilled, as far as is known".to_owned());
    };
    // A clock that was set back does not make it long ago.
    let ago = now.duration_since(served).unwrap_or_default();
    (ago > within).then(|| {
        format!(
            "it last served, or was drilled, {} ago, which is more than {}",
            Span(ago),
            Span(within)
        )
    })
}

/// A time in the largest units that say it: `3 d 4 h`, `71 h`, `5 s`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 86_400, seconds / 3_600, seconds / 60) {
            (days @ 3.., hours, _) if hours % 24 == 0 => write!(f, "{days} d"),
            (days @ 3.., hours, _) => write!(f, "{days} d {} h", hours % 24),
            (_, hours @ 3.., _) => write!(f, "{hours} h"),
            (_, _, minutes @ 3..) => write!(f, "{minutes} min"),
            _ if self.0.subsec_millis() == 0 => write!(f, "{seconds} s"),
            _ => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests;
