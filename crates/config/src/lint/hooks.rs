//! Warnings about gates, jobs and notifications.

use std::time::Duration;

use routing::failover::{self, Need, OnFailure};

use super::Lint;
use crate::gates::gate_name;
use crate::kinds::{secs, show_duration};
use crate::model::{
    Action, At, Channel, Gate, GateAction, Job, MailTls, Notifier, Schedule, Service,
};
use crate::notify::{hook_host, is_here, travels_in_the_clear};
use crate::times::gates_take;

/// Longer than this an operator does not wait for a move.
const LONG_WAIT: Duration = secs(300);

/// Every warning about one gate by itself; the keys are below the gate.
pub(crate) fn gate(gate: &Gate) -> Vec<Lint> {
    let mut lints = Vec::new();
    let about_the_heir = match gate.rule.gate {
        failover::Gate::Fence | failover::Gate::Demote => false,
        failover::Gate::Sync | failover::Gate::Promote | failover::Gate::Verify => true,
    };
    match &gate.action {
        GateAction::Call(Action::Http(request)) => {
            if about_the_heir && request.at == At::From {
                lints.push(Lint {
                    keys: &["http.url"],
                    message: "{from}/ is the old active, and at the start there is none: the gate would then fail".to_owned(),
                    advice: "write the path alone for the new active, or `need: if_reachable`",
                });
            }
            lints.extend(login_in_the_clear(request));
        }
        GateAction::Call(Action::Exec(_)) => {}
        GateAction::Role(_) if gate.tries.retries > 0 => lints.push(Lint {
            keys: &["retries"],
            message: format!(
                "`retries: {}` has no effect with `role`: it is looked for until the deadline",
                gate.tries.retries
            ),
            advice: "raise `deadline` instead, or remove it",
        }),
        GateAction::Role(_) => {}
    }
    lints
}

/// What others on the way could read.
fn login_in_the_clear(request: &crate::model::HttpAction) -> Option<Lint> {
    let At::Elsewhere { url, .. } = &request.at else { return None };
    (travels_in_the_clear(url) && !request.headers.is_empty()).then(|| Lint {
        keys: &["http.url"],
        message: format!(
            "the fields of this request travel to {} in the clear, with what is secret in them",
            url.host()
        ),
        advice: "write `https://`",
    })
}

/// Where a list of gates and one of its gates may stand, the likeliest first.
struct Places {
    list: &'static [&'static str],
    fence: &'static [&'static str],
    verify: &'static [&'static str],
}

const FAILOVER: Places = Places {
    list: &["gates.failover", "gates"],
    fence: &["gates.failover.fence"],
    verify: &["gates.failover.verify.deadline", "gates.failover.verify"],
};
const FAILBACK: Places = Places {
    list: &["gates.failback", "gates"],
    fence: &["gates.failback.fence"],
    verify: &["gates.failback.verify.deadline", "gates.failback.verify"],
};
const SWITCHOVER: Places = Places {
    list: &["gates.switchover", "gates"],
    fence: &["gates.switchover.fence"],
    verify: &["gates.switchover.verify.deadline", "gates.switchover.verify"],
};

/// Every warning about the gates of a service together.
pub(super) fn gates(service: &Service, lints: &mut Vec<Lint>) {
    let gates = &service.gates;
    if service.policy.gates.is_empty() {
        return;
    }
    list(service, "failover", &gates.failover, &FAILOVER, lints);
    // What is as the list before it has been said there.
    if gates.failback != gates.failover {
        list(service, "failback", &gates.failback, &FAILBACK, lints);
    }
    if gates.switchover != gates.failback {
        list(service, "switchover", &gates.switchover, &SWITCHOVER, lints);
    }
    let promotes = |list: &[Gate]| find(list, failover::Gate::Promote).is_some();
    if !promotes(&gates.failover) && (promotes(&gates.failback) || promotes(&gates.switchover)) {
        lints.push(Lint {
            keys: &["gates.failover", "gates"],
            message: "nothing promotes a standby at a failover: it gets the traffic as it is"
                .to_owned(),
            advice: "give `gates.failover` a `promote`, too",
        });
    }
    if service.policy.exclusive.is_none() {
        lints.push(Lint {
            keys: &["exclusive"],
            message: "`exclusive: false`: requests may still be at the old active while gates run"
                .to_owned(),
            advice: "remove it: with `gates` moves are exclusive",
        });
    }
}

fn find(list: &[Gate], which: failover::Gate) -> Option<&Gate> {
    list.iter().find(|gate| gate.rule.gate == which)
}

fn list(
    service: &Service,
    direction: &str,
    gates: &[Gate],
    places: &Places,
    lints: &mut Vec<Lint>,
) {
    let (fence, demote) = (find(gates, failover::Gate::Fence), find(gates, failover::Gate::Demote));
    if find(gates, failover::Gate::Promote).is_some() {
        match fence.or(demote) {
            None => lints.push(Lint {
                keys: places.list,
                message: format!("at a {direction} nothing makes the old active harmless before another is promoted: two may be active"),
                advice: "add a `fence`, or a `demote` where the old active is well",
            }),
            Some(gate) => lints.extend(half_a_fence(gate, fence.and(demote).is_some(), direction, places)),
        }
    }
    let take = gates_take(gates);
    let timeout = service.hold.timeout;
    if take > timeout {
        lints.push(Lint {
            keys: places.list,
            message: format!(
                "the gates of a {direction} may take {}, and requests wait for {} only: then they get 503",
                show_duration(take),
                show_duration(timeout)
            ),
            advice: "raise `hold.timeout`, or lower `deadline` and `retries` of the gates",
        });
    }
    let interval = service.health.interval;
    let verify = find(gates, failover::Gate::Verify);
    let role = verify.filter(|gate| match gate.action {
        GateAction::Role(_) => true,
        GateAction::Call(_) => false,
    });
    if let Some(gate) = role.filter(|gate| gate.tries.deadline < interval) {
        lints.push(Lint {
            keys: places.verify,
            message: format!(
                "the role is looked for {} long, and probes come every {}",
                show_duration(gate.tries.deadline),
                show_duration(interval)
            ),
            advice: "raise `deadline`, or lower `health.interval`",
        });
    }
}

/// A gate that makes the old active harmless, unless it does not.
fn half_a_fence(gate: &Gate, both: bool, direction: &str, places: &Places) -> Option<Lint> {
    let word = match (gate.rule.need, gate.rule.on_failure) {
        (Need::BestEffort, _) => "need: best_effort",
        (_, OnFailure::Continue) => "on_failure: continue",
        (_, OnFailure::Abort | OnFailure::NextStandby) => return None,
    };
    let name = gate_name(gate.rule.gate);
    // The one after it may do it.
    (!both).then(|| Lint {
        keys: if gate.rule.gate == failover::Gate::Fence { places.fence } else { places.list },
        message: format!("a {direction} goes on when `{name}` fails (`{word}`): two may be active"),
        advice: "write `need: if_reachable` and `on_failure: abort`, unless two do no harm",
    })
}

/// Every warning about one job; the keys are below it.
pub(crate) fn job(job: &Job) -> Vec<Lint> {
    let mut lints = Vec::new();
    match job.schedule {
        Schedule::Every(every) if job.tries.deadline > every => lints.push(Lint {
            keys: &["deadline", "every"],
            message: format!(
                "one run may take {}, and the next is due after {}",
                show_duration(job.tries.deadline),
                show_duration(every)
            ),
            advice: "runs never overlap: lower `deadline`, or raise `every`",
        }),
        Schedule::Every(_) | Schedule::Cron(_) | Schedule::Never => {}
    }
    if let (Schedule::Every(every), Some(max_age)) = (&job.schedule, job.max_age)
        && max_age.age < *every
    {
        lints.push(Lint {
            keys: &["max_age.age", "max_age"],
            message: format!(
                "standbys are stale after {}, and the job runs every {}",
                show_duration(max_age.age),
                show_duration(*every)
            ),
            advice: "make `max_age` a few times `every`: one run may fail",
        });
    }
    if job.move_waits > LONG_WAIT {
        lints.push(Lint {
            keys: &["move_waits"],
            message: format!("a planned move waits {} for this job", show_duration(job.move_waits)),
            advice: "an operator would think that nothing happens: 30s is usual",
        });
    }
    if let Action::Http(request) = &job.action {
        lints.extend(login_in_the_clear(request));
    }
    lints
}

/// Every warning about one notifier; the keys are below it.
pub(crate) fn notifier(notifier: &Notifier) -> Vec<Lint> {
    let (keys, host): (&'static [&'static str], _) = match &notifier.channel {
        Channel::Exec(_) => return Vec::new(),
        Channel::Webhook { request, .. } => (&["webhook.url"], in_the_clear(&request.at)),
        Channel::Alertmanager(request) if request.headers.is_empty() => return Vec::new(),
        Channel::Alertmanager(request) => (&["alertmanager.url"], in_the_clear(&request.at)),
        Channel::Slack(slack) => {
            let url = hook_host(&slack.url).filter(travels_in_the_clear);
            (&["slack.url"], url.map(|url| url.host().to_owned()))
        }
        Channel::Mail(mail) => {
            let clear = mail.tls == MailTls::Off && mail.login.is_some() && !is_here(&mail.host);
            return clear
                .then(|| Lint {
                    keys: &["mail.tls", "mail"],
                    message: format!("the password travels to {} in the clear", mail.host),
                    advice: "write `tls: starttls` or `tls: wrapped`",
                })
                .into_iter()
                .collect();
        }
    };
    let lint = host.map(|host| Lint {
        keys,
        message: format!(
            "what happens travels to {host} in the clear: others can read it, and send more of it"
        ),
        advice: "write `https://`",
    });
    lint.into_iter().collect()
}

fn in_the_clear(at: &At) -> Option<String> {
    match at {
        At::Elsewhere { url, .. } => travels_in_the_clear(url).then(|| url.host().to_owned()),
        At::Backend | At::From | At::To => None,
    }
}
