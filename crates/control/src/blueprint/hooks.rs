//! Gates, jobs and their actions, ready to be run.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::hooks::{Call, Party};
use config::model::{
    Action, At, Channel, Config, Gate, GateAction, Gates, HttpAction, Job, Notifier, Role, Secret,
    Service, Tries,
};
use connect::{Destination, KnownNames};
use routing::failover::{self, Direction, GateRule};

use super::build::Shared;
use super::{BackendPlan, Settings};
use crate::notify::{PlannedNotifier, Primaries, Way};
use crate::status::gate_word;

/// The gates of one service, by direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannedGates {
    failover: Vec<PlannedGate>,
    failback: Vec<PlannedGate>,
    switchover: Vec<PlannedGate>,
}

impl PlannedGates {
    /// The gate of that name in one direction.
    pub(crate) fn find(&self, direction: Direction, gate: failover::Gate) -> Option<&PlannedGate> {
        let gates = match direction {
            Direction::Failover => &self.failover,
            Direction::Failback => &self.failback,
            Direction::Switchover => &self.switchover,
        };
        gates.iter().find(|planned| planned.rule.gate == gate)
    }

    fn all(&self) -> impl Iterator<Item = &PlannedGate> {
        [&self.failover, &self.failback, &self.switchover].into_iter().flatten()
    }
}

/// Whether two calls that are configured alike go the same way, with the same TLS settings.
fn same_way(new: &Call, old: &Call) -> bool {
    match (new, old) {
        (Call::Http { elsewhere: Some(new), .. }, Call::Http { elsewhere: Some(old), .. }) => {
            new.same_as(old)
        }
        (Call::Http { .. } | Call::Exec(_), Call::Http { .. } | Call::Exec(_)) => true,
    }
}

/// Whether the hooks of one service go the same way as those of another that is configured alike.
pub(super) fn same_hooks(new: &Settings, old: &Settings) -> bool {
    let same_job = |(new, old): (&PlannedJob, &PlannedJob)| same_way(&new.call, &old.call);
    let same_gate = |(new, old): (&PlannedGate, &PlannedGate)| match (&new.action, &old.action) {
        (PlannedAction::Call(new), PlannedAction::Call(old)) => same_way(new, old),
        (PlannedAction::Call(_) | PlannedAction::Role(_), _) => true,
    };
    new.jobs.iter().zip(&old.jobs).all(same_job)
        && new.gates.all().zip(old.gates.all()).all(same_gate)
}

/// A gate that can be run.
#[derive(Clone, Debug)]
pub(crate) struct PlannedGate {
    pub(crate) rule: GateRule,
    pub(crate) action: PlannedAction,
    pub(crate) tries: Tries,
}

/// What a gate does, ready to be done.
#[derive(Clone, Debug)]
pub(crate) enum PlannedAction {
    Call(Box<Call>),
    /// Probe the backend until it claims this role.
    Role(Role),
}

/// A job that can be run.
#[derive(Clone, Debug)]
pub(crate) struct PlannedJob {
    pub(crate) job: Job,
    pub(crate) call: Call,
}

/// What hooks will lack that can be looked for now: programs, files and variables with secrets. Each
/// is said once, with the first that needs it.
pub(super) fn lacking(config: &Config) -> Vec<String> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut note = |place: String, what: Vec<String>| {
        what.into_iter().for_each(|what| needs.entry(what).or_default().push(place.clone()));
    };
    for service in &config.services {
        let name = &service.name;
        let Gates { failover, failback, switchover } = &service.gates;
        let lists = [("failover", failover), ("failback", failback), ("switchover", switchover)];
        for (direction, gates) in lists {
            for gate in gates {
                let GateAction::Call(action) = &gate.action else { continue };
                let word = gate_word(gate.rule.gate);
                let place = format!("services.{name}.gates.{direction}.{word}");
                note(place, ::hooks::lacking(action));
            }
        }
        for job in &service.jobs {
            note(format!("services.{name}.jobs.{}", job.name), ::hooks::lacking(&job.action));
        }
    }
    for notifier in &config.notify {
        note(format!("notify.{}", notifier.name), lacking_of_channel(&notifier.channel));
    }
    if let Some(otlp) = config.traces.as_ref().and_then(|traces| traces.otlp.as_ref()) {
        let secrets = otlp.headers.iter().filter_map(|(_, secret)| ::hooks::lacking_secret(secret));
        note("traces.otlp.headers".to_owned(), secrets.collect());
    }
    let said = needs.into_iter().map(|(what, places)| match places.as_slice() {
        [first, others @ ..] if !others.is_empty() => {
            format!("{first} and {} more: {what}", others.len())
        }
        places => format!("{}: {what}", places.concat()),
    });
    said.collect()
}

fn lacking_of_channel(channel: &Channel) -> Vec<String> {
    let secret = |secret: Option<&Secret>| secret.and_then(::hooks::lacking_secret);
    match channel {
        Channel::Exec(exec) => ::hooks::lacking_exec(exec),
        Channel::Webhook { request, key } => {
            let mut what = ::hooks::lacking_http(request);
            what.extend(secret(key.as_ref()));
            what
        }
        Channel::Slack(slack) => secret(Some(&slack.url)).into_iter().collect(),
        Channel::Alertmanager(request) => ::hooks::lacking_http(request),
        Channel::Mail(mail) => {
            secret(mail.login.as_ref().map(|(_, password)| password)).into_iter().collect()
        }
    }
}

impl BackendPlan {
    /// How a hook may reach it: the way of the traffic.
    pub(crate) fn party(&self) -> Party {
        Party {
            name: self.name().clone(),
            destination: self.destination.clone(),
            protocol: self.subject.protocol,
        }
    }
}

impl Shared<'_> {
    /// `None`: there is a problem with the TLS settings of one.
    pub(super) fn gates(&mut self, service: &Service) -> Option<PlannedGates> {
        let Gates { failover, failback, switchover } = &service.gates;
        let place = format!("services.{}.gates", service.name);
        let mut list = |direction: &str, gates: &[Gate]| {
            let gates = gates.iter().map(|gate| {
                let action = match &gate.action {
                    GateAction::Role(role) => PlannedAction::Role(*role),
                    GateAction::Call(action) => {
                        let place = format!("{place}.{direction}");
                        PlannedAction::Call(Box::new(self.call(action, &place)?))
                    }
                };
                Some(PlannedGate { rule: gate.rule, action, tries: gate.tries })
            });
            gates.collect::<Option<Vec<_>>>()
        };
        let failover = list("failover", failover);
        let failback = list("failback", failback);
        let switchover = list("switchover", switchover);
        Some(PlannedGates { failover: failover?, failback: failback?, switchover: switchover? })
    }

    /// `None`: there is a problem with the TLS settings of one.
    pub(super) fn jobs(&mut self, service: &Service) -> Option<Vec<PlannedJob>> {
        let jobs = service.jobs.iter().map(|job| {
            let place = format!("services.{}.jobs.{}", service.name, job.name);
            Some(PlannedJob { job: job.clone(), call: self.call(&job.action, &place)? })
        });
        jobs.collect()
    }

    /// An action that the config asks for at `place`. `None`: there is a problem with its TLS settings.
    pub(super) fn call(&mut self, action: &Action, place: &str) -> Option<Call> {
        let request = match action {
            Action::Exec(exec) => return Some(Call::Exec(exec.clone())),
            Action::Http(request) => request.clone(),
        };
        let elsewhere = self.elsewhere(&request, &format!("{place}.http.tls"))?;
        Some(Call::Http { request, elsewhere })
    }

    /// The way to whom a request asks, when that is no backend. The outer `None`: there is a problem
    /// with the TLS settings that the config asks for at `place`.
    fn elsewhere(&mut self, request: &HttpAction, place: &str) -> Option<Option<Destination>> {
        match &request.at {
            At::Backend | At::From | At::To => Some(None),
            At::Elsewhere { url, tls } => {
                let tls = self.tls(tls, url, place)?;
                let (url, names) = (url.clone(), KnownNames::default());
                Some(Some(Destination { url, tls, proxy_protocol: None, names }))
            }
        }
    }

    /// Who is told what happened. `None`: there is a problem with the TLS settings of one.
    pub(super) fn notifiers(&mut self, config: &Config) -> Option<Vec<PlannedNotifier>> {
        let primaries = config.services.iter().filter_map(|service| {
            Some((service.name.clone(), service.backends.first()?.name.clone()))
        });
        let primaries: Arc<Primaries> = Arc::new(primaries.collect());
        let ways: Vec<_> = config.notify.iter().map(|notifier| self.way(notifier)).collect();
        let planned = config.notify.iter().zip(ways).map(|(notifier, way)| {
            let (notifier, primaries) = (notifier.clone(), primaries.clone());
            Some(PlannedNotifier { notifier, way: way?, primaries })
        });
        planned.collect()
    }

    /// The way to the collector of spans, if there is one. The outer `None`: there is a problem with its
    /// TLS settings.
    pub(super) fn collector(&mut self, config: &Config) -> Option<Option<Destination>> {
        let Some(otlp) = config.traces.as_ref().and_then(|traces| traces.otlp.as_ref()) else {
            return Some(None);
        };
        let tls = self.tls(&otlp.tls, &otlp.url, "traces.otlp.tls")?;
        let (url, names) = (otlp.url.clone(), KnownNames::default());
        Some(Some(Destination { url, tls, proxy_protocol: None, names }))
    }

    fn way(&mut self, notifier: &Notifier) -> Option<Way> {
        let place = format!("notify.{}", notifier.name);
        let (request, key) = match &notifier.channel {
            Channel::Exec(_) | Channel::Mail(_) => return Some(Way::Other),
            Channel::Slack(to) => {
                // In the clear nobody needs the system's authorities.
                return Some(match &to.url {
                    Secret::Plain(url) if url.starts_with("http://") => Way::InTheClear,
                    Secret::Plain(_) | Secret::File(_) | Secret::Variable(_) => {
                        Way::Secret(self.tls.client(&to.tls, &format!("{place}.slack.tls"))?)
                    }
                });
            }
            Channel::Webhook { request, .. } => (request, "webhook"),
            Channel::Alertmanager(request) => (request, "alertmanager"),
        };
        let elsewhere = self.elsewhere(request, &format!("{place}.{key}.tls"))?;
        Some(elsewhere.map_or(Way::Other, |destination| Way::To(Box::new(destination))))
    }
}
