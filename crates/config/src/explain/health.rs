//! What is heard of backends, and what follows from it and when, in words.

use std::time::Duration;

use super::verified;
use crate::kinds::show_duration;
use crate::model::{
    ErrorRule, Expect, Health, HttpProbe, JsonRule, JsonTest, Level, Probe, ProbeKind, Readiness,
    Role, RoleRule, RoleSource, Service, Witness,
};
use crate::probe::role_name;
use crate::problem::quoted;
use crate::statuses::show_statuses;
use crate::times::Times;

/// What is asked, how often, and what must pass.
pub(super) fn probes(service: &Service) -> String {
    let health = &service.health;
    let (interval, timeout) = (show_duration(health.interval), show_duration(health.timeout));
    let tls = health
        .tls
        .as_ref()
        .map_or_else(String::new, |tls| format!(" For probes:{}", verified(tls)));
    if let [only] = health.probes.as_slice() {
        let timeout = only.timeout.map_or(timeout, show_duration);
        let seldom = seldom(only);
        let what = what(&only.kind);
        return format!(
            "Each is probed every {interval} with {what}{seldom}; no answer within {timeout} is a failure.{tls}"
        );
    }
    let list = health.probes.iter().map(|probe| {
        let level = match probe.level {
            Level::Alive => "alive",
            Level::Ready => "ready",
        };
        let within = show_duration(probe.timeout.unwrap_or(health.timeout));
        let (name, what, seldom) = (&probe.name, what(&probe.kind), seldom(probe));
        format!("\n    {name} ({level}): {what}, answered within {within}{seldom}")
    });
    format!(
        "Each is probed every {interval} with {} probes at once; {}.{tls}{}",
        health.probes.len(),
        needed(health),
        list.collect::<String>()
    )
}

fn seldom(probe: &Probe) -> String {
    let text = |own| format!(", once it has passed not again for {}", show_duration(own));
    probe.interval.map_or_else(String::new, text)
}

/// What must pass.
fn needed(health: &Health) -> String {
    let alive = health.probes.iter().filter(|probe| probe.level == Level::Alive).count();
    let ready = health.probes.iter().filter(|probe| probe.votes()).count();
    match (health.quorum, alive, ready) {
        (Some(quorum), alive, ready) if quorum < ready => {
            let first = if alive == 0 { "" } else { "those of level alive must pass, and " };
            format!("{first}{quorum} of the {ready} of level ready must pass")
        }
        (Some(_) | None, _, _) => "all must pass".to_owned(),
    }
}

/// One probe.
fn what(kind: &ProbeKind) -> String {
    match kind {
        ProbeKind::Http(http) => {
            let mut conditions = vec![format!("status {}", show_statuses(&http.status))];
            conditions.extend(expected(&http.expect));
            if http.redirects > 0 {
                conditions.push(format!("up to {} redirects on the way", http.redirects));
            }
            format!("{} {} ({})", http.method, http.path, conditions.join("; "))
        }
        ProbeKind::Tcp(tcp) => match (tcp.send.is_empty(), &tcp.expect) {
            (true, None) => "a TCP connection".to_owned(),
            (false, None) => format!("a TCP connection and {} bytes", tcp.send.len()),
            (_, Some(expect)) => {
                format!("a TCP connection and an answer that matches {}", quoted(expect.0.as_str()))
            }
        },
        ProbeKind::Grpc(grpc) if grpc.service.is_empty() => "the gRPC health protocol".to_owned(),
        ProbeKind::Grpc(grpc) => {
            format!("the gRPC health protocol, asked for {}", quoted(&grpc.service))
        }
        // Arguments may be secrets.
        ProbeKind::Exec(exec) => {
            format!("the program {}", quoted(exec.command.first().map_or("", |program| program)))
        }
        ProbeKind::Agent(agent) => match &agent.host {
            Some(host) => format!("its agent at {host}, port {}", agent.port),
            None => format!("its agent at port {}", agent.port),
        },
    }
}

fn expected(expect: &Expect) -> Vec<String> {
    let Expect { text, regex, headers, json } = expect;
    let texts = text.iter().map(|text| format!("the body contains {}", quoted(text)));
    let patterns =
        regex.iter().map(|pattern| format!("the body matches {}", quoted(pattern.0.as_str())));
    let fields = headers
        .iter()
        .map(|(name, pattern)| format!("{name} matches {}", quoted(pattern.0.as_str())));
    let rules = json.iter().map(|JsonRule { pointer, is }| {
        let test = match is {
            JsonTest::Exists => "is there".to_owned(),
            JsonTest::Equals(value) => format!("is {}", quoted(&value.to_string())),
            JsonTest::Not(value) => format!("is not {}", quoted(&value.to_string())),
            JsonTest::Below(number) => format!("is below {number}"),
            JsonTest::Above(number) => format!("is above {number}"),
            JsonTest::Matches(pattern) => format!("matches {}", quoted(pattern.0.as_str())),
        };
        format!("{} in its JSON {test}", quoted(pointer))
    });
    texts.chain(patterns).chain(fields).chain(rules).collect()
}

/// What backends say of themselves, and what that does.
pub(super) fn claims(service: &Service) -> Option<String> {
    let mut sentences: Vec<String> = Vec::new();
    let several = service.health.probes.len() > 1;
    for probe in &service.health.probes {
        let by = |what: &str| {
            if several {
                format!("By {} a backend {what}", probe.name)
            } else {
                format!("A backend {what}")
            }
        };
        match &probe.kind {
            ProbeKind::Http(http) => {
                sentences.extend(http.role.as_ref().map(|rule| by(&told(rule))));
                sentences.extend(asks(http).map(|how| by(&format!("asks for a drain with {how}."))));
            }
            ProbeKind::Exec(exec) if !exec.exit.drain.is_empty() => {
                let codes: Vec<String> = exec.exit.drain.iter().map(u8::to_string).collect();
                sentences.push(by(&format!("asks for a drain with exit code {}.", codes.join(", "))));
            }
            ProbeKind::Agent(_) => sentences.push(by(
                "may be called down, draining or in maintenance by its agent; one that is silent changes nothing.",
            )),
            ProbeKind::Exec(_) | ProbeKind::Tcp(_) | ProbeKind::Grpc(_) => {}
        }
    }
    sentences.extend(roles(service).map(str::to_owned));
    (!sentences.is_empty()).then(|| sentences.join("\n  "))
}

fn told(rule: &RoleRule) -> String {
    let by = match &rule.by {
        RoleSource::Status => "the status".to_owned(),
        RoleSource::Header(name) => format!("the field {name}"),
        RoleSource::Pointer(pointer) => format!("{} in its JSON", quoted(pointer)),
    };
    let values = rule
        .values
        .iter()
        .map(|(value, role)| format!("{} is {}", quoted(value), role_name(*role)));
    format!("tells its role by {by}: {}.", values.collect::<Vec<_>>().join(", "))
}

/// How an answer asks for a drain.
fn asks(http: &HttpProbe) -> Option<String> {
    let field = http.drain.header.as_ref().map(|name| format!("the field {name}"));
    let status = (!http.drain.status.0.is_empty())
        .then(|| format!("status {}", show_statuses(&http.drain.status)));
    let ways: Vec<String> = field.into_iter().chain(status).collect();
    (!ways.is_empty()).then(|| ways.join(", or "))
}

/// What roles do.
fn roles(service: &Service) -> Option<&'static str> {
    match service.policy.required_role {
        Some(Role::Standby) => Some("Only one in role standby gets requests."),
        Some(Role::Active | Role::Promoting | Role::Fenced) => Some(
            "Only one in role active gets requests; while none is, also while one is promoting itself, requests wait. Two in role active at once stop automatic moves until only one is, or an operator unlocks the service.",
        ),
        None => {
            let tells = |probe: &Probe| match &probe.kind {
                ProbeKind::Http(http) => http.role.is_some(),
                ProbeKind::Tcp(_)
                | ProbeKind::Grpc(_)
                | ProbeKind::Exec(_)
                | ProbeKind::Agent(_) => false,
            };
            service.health.probes.iter().any(tells).then_some(
                "One in role promoting or fenced gets no requests. Two in role active at once stop automatic moves until only one is, or an operator unlocks the service.",
            )
        }
    }
}

/// When an active that fails is left. Scripts find the times by the words before them.
pub(super) fn leaving(service: &Service) -> String {
    let health = &service.health;
    let times = Times::new(health, &service.policy);
    let about = |time: Duration| {
        if time.is_zero() {
            "at once".to_owned()
        } else {
            format!("after about {}", show_duration(time))
        }
    };
    let fall = match service.policy.fall {
        1 => "1 failed probe".to_owned(),
        fall => {
            let apart = show_duration(health.confirm_interval);
            format!("{fall} failed probes, {apart} apart")
        }
    };
    let mut text = format!(
        "A killed active is left {} ({fall}, from the first refused request on), without traffic after at most {}.\n  \
         A hung one is left {} ({} beyond its usual answer time until a request looks stalled, then the same probes until they time out), without traffic after at most {}.\n  \
         A blackholed one, to which all packets are lost, is left as a hung one, without traffic after at most {}.",
        about(times.dead),
        show_duration(times.dead_without_traffic),
        about(times.hung),
        show_duration(times.stall),
        show_duration(times.hung_without_traffic),
        show_duration(times.blackholed_without_traffic),
    );
    let alive = named(health, |probe| probe.level == Level::Alive && probe.interval.is_none());
    if let Some(time) = times.alive_without_traffic {
        let time = show_duration(time);
        text.push_str(&format!(
            "\n  One that is not alive ({alive} fails) is left without traffic after at most {time}; what it was working on is lost."
        ));
    }
    if let Some(time) = times.seldom {
        let (time, seldom) = (show_duration(time), named(health, |probe| probe.interval.is_some()));
        text.push_str(&format!("\n  What only {seldom} can see shows after at most {time}."));
    }
    format!("{text}\n  {}", suspicion(health))
}

fn named(health: &Health, of: impl Fn(&&Probe) -> bool) -> String {
    let names: Vec<&str> = health.probes.iter().filter(of).map(|probe| &*probe.name).collect();
    names.join(" or ")
}

fn suspicion(health: &Health) -> String {
    let errors = health.errors.as_ref().map_or_else(String::new, |rule| {
        let ErrorRule { status, count, within } = rule;
        let (status, within) = (show_statuses(status), show_duration(*within));
        let answers = if *count == 1 { "answer" } else { "answers" };
        format!(", and {count} {answers} with status {status} within {within},")
    });
    format!(
        "Requests that are refused, cut off or stalled{errors} ask for probes at once; only probes move the service."
    )
}

/// What makes a standby ready.
pub(super) fn ready(service: &Service) -> Option<String> {
    let Readiness { certificate, clock_skew, last_drill } = service.readiness;
    let https =
        service.backends.iter().any(|backend| backend.url.scheme == crate::model::Scheme::Https);
    let certificate = (https && !certificate.is_zero())
        .then(|| format!("its certificate is valid for {} more", show_duration(certificate)));
    let clock =
        clock_skew.map(|skew| format!("its clock is within {} of ours", show_duration(skew)));
    let drill = last_drill
        .map(|drill| format!("it was drilled or has served within {}", show_duration(drill)));
    let further: Vec<String> = [certificate, clock, drill].into_iter().flatten().collect();
    let further: String = further.iter().map(|what| format!(", and {what}")).collect();
    (service.backends.len() > 1).then(|| {
        format!("A standby is called ready for a failover while it passes its probes{further}.")
    })
}

/// Who says whether it is we who are cut off.
pub(super) fn witnesses(witnesses: &[Witness]) -> String {
    let names: Vec<String> = witnesses.iter().map(Witness::to_string).collect();
    match names.as_slice() {
        [] => "There are no witnesses: when this program is cut off itself, its probes fail.\n"
            .to_owned(),
        [only] => format!(
            "While {only} does not answer either, failed probes mean nothing: then it is this program that is cut off.\n"
        ),
        several => format!(
            "While none of {} answers, failed probes mean nothing: then it is this program that is cut off.\n",
            several.join(", ")
        ),
    }
}
