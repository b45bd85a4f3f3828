//! The sections `health` and `readiness` and the witnesses, back to YAML.

use super::listener::file;
use super::{line, or_off, quote, tls};
use crate::kinds::{show_duration, show_size};
use crate::model::{
    AgentProbe, ErrorRule, ExecProbe, Expect, GrpcProbe, Health, HttpProbe, JsonRule, JsonTest,
    Level, Probe, ProbeKind, Readiness, Role, RoleRule, RoleSource, StatusSet, TcpProbe, Witness,
};
use crate::probe::{ONLY, role_name};
use crate::statuses::show_statuses;

/// Every key but those that belong to the policy, which come last in the section.
pub(super) fn write_health(out: &mut String, health: &Health) {
    line(out, format_args!("    health:"));
    if let Some(probes) = &health.tls {
        line(out, format_args!("      tls: {}", tls(probes)));
    }
    match health.probes.as_slice() {
        [only] if stands_alone(only) => write_kind(out, "      ", &only.kind),
        probes => {
            line(out, format_args!("      probes:"));
            for probe in probes {
                write_probe(out, probe);
            }
        }
    }
    let quorum = or_off(health.quorum, |quorum| quorum.to_string());
    line(out, format_args!("      quorum: {quorum}"));
    line(out, format_args!("      interval: {}", show_duration(health.interval)));
    line(out, format_args!("      timeout: {}", show_duration(health.timeout)));
    line(out, format_args!("      confirm_interval: {}", show_duration(health.confirm_interval)));
    line(out, format_args!("      stall_after: {}", show_duration(health.stall_after)));
    let errors = or_off(health.errors.as_ref(), |ErrorRule { status, count, within }| {
        let (status, within) = (statuses(status), show_duration(*within));
        format!("{{ status: {status}, count: {count}, within: {within} }}")
    });
    line(out, format_args!("      errors: {errors}"));
}

pub(super) fn write_readiness(out: &mut String, readiness: &Readiness) {
    let Readiness { certificate, clock_skew, last_drill } = *readiness;
    let certificate = show_duration(certificate);
    let (skew, drill) = (or_off(clock_skew, show_duration), or_off(last_drill, show_duration));
    line(
        out,
        format_args!(
            "    readiness: {{ certificate: {certificate}, clock_skew: {skew}, last_drill: {drill} }}"
        ),
    );
}

pub(super) fn write_witnesses(out: &mut String, witnesses: &[Witness]) {
    let shown: Vec<String> = witnesses.iter().map(|witness| quote(&witness.to_string())).collect();
    line(out, format_args!("witnesses: [{}]", shown.join(", ")));
}

/// Whether it can be written by its own key, without a list.
fn stands_alone(probe: &Probe) -> bool {
    let Probe { name, level, kind, interval, timeout } = probe;
    let listed = matches!(kind, ProbeKind::Agent(_)) || *level == Level::Alive;
    **name == *ONLY && !listed && interval.is_none() && timeout.is_none()
}

fn write_probe(out: &mut String, probe: &Probe) {
    let level = match probe.level {
        Level::Alive => "alive",
        Level::Ready => "ready",
    };
    let name = quote(&probe.name);
    line(out, format_args!("        - name: {name}\n          level: {level}"));
    if let Some(interval) = probe.interval {
        line(out, format_args!("          interval: {}", show_duration(interval)));
    }
    if let Some(timeout) = probe.timeout {
        line(out, format_args!("          timeout: {}", show_duration(timeout)));
    }
    write_kind(out, "          ", &probe.kind);
}

fn write_kind(out: &mut String, indent: &str, kind: &ProbeKind) {
    let (key, keys) = match kind {
        ProbeKind::Http(http) => ("http", http_keys(http)),
        ProbeKind::Tcp(TcpProbe { send, expect }) => {
            let send = format!("send: {}", quote(&String::from_utf8_lossy(send)));
            let expect =
                expect.as_ref().map(|expect| format!("expect: {}", quote(expect.0.as_str())));
            ("tcp", std::iter::once(send).chain(expect).collect())
        }
        ProbeKind::Grpc(GrpcProbe { service }) => {
            ("grpc", vec![format!("service: {}", quote(service))])
        }
        ProbeKind::Exec(exec) => ("exec", exec_keys(exec)),
        ProbeKind::Agent(AgentProbe { host, port, send }) => {
            let host = host.as_ref().map(|host| format!("host: {}", quote(host)));
            let further = [format!("port: {port}"), format!("send: {}", quote(send))];
            ("agent", host.into_iter().chain(further).collect())
        }
    };
    line(out, format_args!("{indent}{key}:"));
    for key in keys {
        line(out, format_args!("{indent}  {key}"));
    }
}

fn http_keys(http: &HttpProbe) -> Vec<String> {
    let text = |bytes: &[u8]| quote(&String::from_utf8_lossy(bytes));
    let mut keys =
        vec![format!("method: {}", http.method), format!("path: {}", quote(http.path.as_str()))];
    keys.extend(http.host.as_ref().map(|host| format!("host: {}", text(host.as_bytes()))));
    if !http.headers.is_empty() {
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            format!("{}: {}", quote(name.as_str()), text(value.as_bytes()))
        };
        let fields: Vec<String> = http.headers.iter().map(field).collect();
        keys.push(format!("headers: {{ {} }}", fields.join(", ")));
    }
    keys.push(format!("body: {}", quote(&http.body)));
    keys.push(format!("status: {}", statuses(&http.status)));
    keys.push(format!("body_bytes: {}", show_size(http.body_bytes)));
    keys.push(format!("redirects: {}", http.redirects));
    keys.extend(expect(&http.expect));
    keys.push(format!("role: {}", or_off(http.role.as_ref(), role)));
    let header = or_off(http.drain.header.as_ref(), |name| quote(name.as_str()));
    let status = statuses(&http.drain.status);
    keys.push(format!("drain: {{ header: {header}, status: {status} }}"));
    keys
}

pub(super) fn statuses(set: &StatusSet) -> String {
    format!("[{}]", show_statuses(set))
}

fn expect(expect: &Expect) -> Option<String> {
    let Expect { text, regex, headers, json } = expect;
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let mut keys = Vec::new();
    if !text.is_empty() {
        keys.push(format!("text: {}", list(text.iter().map(|text| quote(text)).collect())));
    }
    if !regex.is_empty() {
        let patterns = regex.iter().map(|pattern| quote(pattern.0.as_str())).collect();
        keys.push(format!("regex: {}", list(patterns)));
    }
    if !headers.is_empty() {
        let fields = headers.iter().map(|(name, pattern)| {
            format!("{}: {}", quote(name.as_str()), quote(pattern.0.as_str()))
        });
        keys.push(format!("headers: {{ {} }}", fields.collect::<Vec<_>>().join(", ")));
    }
    if !json.is_empty() {
        keys.push(format!("json: {}", list(json.iter().map(json_rule).collect())));
    }
    (!keys.is_empty()).then(|| format!("expect: {{ {} }}", keys.join(", ")))
}

fn json_rule(rule: &JsonRule) -> String {
    let test = match &rule.is {
        JsonTest::Exists => "exists: true".to_owned(),
        JsonTest::Equals(value) => format!("equals: {}", json(value)),
        JsonTest::Not(value) => format!("not: {}", json(value)),
        JsonTest::Below(number) => format!("below: {number:?}"),
        JsonTest::Above(number) => format!("above: {number:?}"),
        JsonTest::Matches(pattern) => format!("matches: {}", quote(pattern.0.as_str())),
    };
    format!("{{ pointer: {}, {test} }}", quote(&rule.pointer))
}

fn json(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quote)
}

fn role(rule: &RoleRule) -> String {
    let by = match &rule.by {
        RoleSource::Status => "status".to_owned(),
        RoleSource::Header(name) => format!("{{ header: {} }}", quote(name.as_str())),
        RoleSource::Pointer(pointer) => format!("{{ pointer: {} }}", quote(pointer)),
    };
    let mut text = format!("{{ by: {by}");
    for role in [Role::Active, Role::Standby, Role::Promoting, Role::Fenced] {
        let values = rule.values.iter().filter(|(_, other)| *other == role);
        let values: Vec<String> = values.map(|(value, _)| quote(value)).collect();
        text.push_str(&format!(", {}: [{}]", role_name(role), values.join(", ")));
    }
    text + " }"
}

fn exec_keys(exec: &ExecProbe) -> Vec<String> {
    let command: Vec<String> = exec.command.iter().map(|argument| quote(argument)).collect();
    let mut keys = vec![format!("command: [{}]", command.join(", "))];
    if !exec.environment.is_empty() {
        let variables = exec.environment.iter();
        let variables = variables.map(|(name, value)| format!("{}: {}", quote(name), quote(value)));
        keys.push(format!("environment: {{ {} }}", variables.collect::<Vec<_>>().join(", ")));
    }
    keys.extend(exec.directory.as_ref().map(|folder| format!("directory: {}", file(folder))));
    keys.push(format!("output_bytes: {}", show_size(exec.output_bytes)));
    let exit = &exec.exit;
    keys.push(format!(
        "exit: {{ pass: {:?}, drain: {:?}, inconclusive: {:?} }}",
        exit.pass, exit.drain, exit.inconclusive
    ));
    keys.push(format!("at_a_time: {}", exec.at_a_time));
    keys
}
