//! Several probes of one backend: the list `probes`, and what holds for it as a whole.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{MOST_PROBES, exec, http, plain, timeout};
use crate::choice::word;
use crate::defaults;
use crate::kinds::{duration, ms, parse_name, secs, show_duration, text};
use crate::model::{Level, Probe, ProbeKind};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};

const LEVELS: &[(&str, Level)] = &[("alive", Level::Alive), ("ready", Level::Ready)];

/// Names are unique.
pub(super) fn probes(value: &mut Value<'_>, base: &Path) -> Option<Vec<Probe>> {
    let probes =
        value.list("a list of probes", 1, |value| value.keys(|section| probe(section, base))?)?;
    let report = value.report();
    let mut names = HashMap::new();
    for At { value: probe, place } in &probes {
        if let Some(line) = names.insert(&probe.name, place.mark.line) {
            let message =
                format!("the name {} is already used on line {line}", quoted(&probe.name));
            let complaint = Complaint::new(message).advice("names of probes are unique");
            report.error(place, complaint);
        }
    }
    if let Some(At { place, .. }) = probes.get(MOST_PROBES) {
        let message = format!("a backend has at most {MOST_PROBES} probes");
        let advice =
            "each is a connection or a program, every time: a program can ask several things";
        report.error(place, Complaint::new(message).advice(advice));
    }
    Some(probes.into_iter().map(|at| at.value).collect())
}

fn probe(section: &mut Section<'_>, base: &Path) -> Option<At<Probe>> {
    let name =
        section.required("name", "What messages and metrics call it", text("a name", parse_name));
    let level = section.or(
        "level",
        "What it shows: `alive` (when it fails, what the backend was working on is lost) or `ready` (it may get requests)",
        defaults::LEVEL,
        word(LEVELS),
    );
    let kind = kind(section, base);
    let interval = section.optional(
        "interval",
        "At least so long from one pass of it to the next try, at least `health.interval`; in every round without it",
        duration(ms(10)..=secs(24 * 3600)),
    );
    let timeout =
        section.optional("timeout", "Its deadline, when it is not `health.timeout`", timeout());
    let place = section.place("name");
    let name = Arc::from(name?);
    Some(At { value: Probe { name, level, kind: kind?, interval, timeout }, place })
}

fn kind(section: &mut Section<'_>, base: &Path) -> Option<ProbeKind> {
    section.exactly_one(&["http", "tcp", "grpc", "exec", "agent"], "the kind of the probe");
    let kinds = [
        section.optional("http", "An HTTP request, over the scheme of the backend's URL", |value| {
            Some(ProbeKind::Http(value.section(http::http_probe)))
        }),
        section.optional("tcp", "A TCP connection, and perhaps a few bytes each way", |value| {
            Some(ProbeKind::Tcp(value.section(plain::tcp_probe)))
        }),
        section.optional("grpc", "The gRPC health protocol, over HTTP/2", |value| {
            Some(ProbeKind::Grpc(value.section(plain::grpc_probe)))
        }),
        section.optional("exec", "A program", |value| {
            value.keys(|section| exec::exec_probe(section, base))?.map(ProbeKind::Exec)
        }),
        section.optional(
            "agent",
            "A line of text from an agent beside the backend, as HAProxy's `agent-check` reads it; one that is silent says nothing",
            |value| value.keys(plain::agent_probe)?.map(ProbeKind::Agent),
        ),
    ];
    kinds.into_iter().flatten().next()
}

/// What the probes get wrong together. Only for those that could be read.
pub(super) fn together(
    section: &Section<'_>,
    probes: &[Probe],
    interval: Duration,
    quorum: Option<usize>,
) {
    let complain = |key: &str, message: String, advice: &str| {
        let complaint = Complaint::new(message).advice(advice);
        section.report().error(&section.place_of(&[key]), complaint);
    };
    // An agent that is silent says nothing, so it shows nothing; and its word is no vote.
    let ready = probes.iter().filter(|probe| probe.votes()).count();
    if ready == 0 {
        complain(
            "probes",
            "no probe shows that a backend may get requests".to_owned(),
            "add one of `level: ready` that is no `agent`: an agent alone never fails",
        );
    }
    if let Some(quorum) = quorum.filter(|quorum| *quorum > ready) {
        let probes = if ready == 1 { "probe" } else { "probes" };
        complain(
            "quorum",
            format!("`{quorum}` of {ready} {probes} of level `ready` can never pass"),
            "lower it, or write `off` for all; agents do not count",
        );
    }
    for (index, probe) in probes.iter().enumerate() {
        if let Some(own) = probe.interval.filter(|own| *own < interval) {
            complain(
                &format!("probes[{index}].interval"),
                format!(
                    "{} cannot be asked every {}: probes are asked every {} at most",
                    quoted(&probe.name),
                    show_duration(own),
                    show_duration(interval)
                ),
                "raise it, or lower `health.interval`",
            );
        }
    }
}
