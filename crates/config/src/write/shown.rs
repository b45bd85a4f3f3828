//! A config as it may be shown to whoever may read: the same YAML, without what is or may be secret.
//!
//! References to secrets stay, as they say where and not what. Of programs that are run the arguments
//! go, of URLs that are asked what follows the `?`, of those that are no backend's the whole path: that
//! is where people put passwords.

use std::sync::Arc;

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::to_yaml;
use crate::model::{
    Action, At, Channel, Config, ExecAction, GateAction, HttpAction, ProbeKind, Secret, Service,
};

/// Stands where something is not shown.
const HIDDEN: &str = "(not shown)";

/// The effective config with every default filled in, for people to read: what is or may be secret is
/// replaced. It cannot be loaded.
#[must_use]
pub fn to_shown_yaml(config: &Config) -> String {
    let mut shown = config.clone();
    shown.services.iter_mut().for_each(hide_in_service);
    for notifier in &mut shown.notify {
        match &mut notifier.channel {
            Channel::Exec(exec) => hide_in_exec(exec),
            Channel::Webhook { request, key } => {
                hide_in_request(request);
                key.iter_mut().for_each(hide);
            }
            Channel::Slack(slack) => hide(&mut slack.url),
            Channel::Alertmanager(request) => hide_in_request(request),
            Channel::Mail(mail) => mail.login.iter_mut().for_each(|(_, secret)| hide(secret)),
        }
    }
    if let Some(otlp) = shown.traces.as_mut().and_then(|traces| traces.otlp.as_mut()) {
        otlp.headers.iter_mut().for_each(|(_, secret)| hide(secret));
    }
    for token in &mut shown.admin.tokens {
        HIDDEN.clone_into(&mut token.hash);
    }
    to_yaml(&shown)
}

fn hide_in_service(service: &mut Service) {
    for probe in &mut service.health.probes {
        match &mut probe.kind {
            ProbeKind::Http(http) => {
                http.path = without_query(&http.path);
                let hidden = HeaderValue::from_static(HIDDEN);
                http.headers.values_mut().for_each(|value| *value = hidden.clone());
                hide_text(&mut http.body);
            }
            ProbeKind::Tcp(tcp) => {
                if !tcp.send.is_empty() {
                    tcp.send = HIDDEN.as_bytes().to_vec();
                }
            }
            ProbeKind::Grpc(_) => {}
            ProbeKind::Exec(exec) => {
                hide_arguments(&mut exec.command);
                exec.environment.iter_mut().for_each(|(_, value)| hide_text(value));
            }
            ProbeKind::Agent(agent) => hide_text(&mut agent.send),
        }
    }
    let gates = &mut service.gates;
    for gate in [&mut gates.failover, &mut gates.failback, &mut gates.switchover] {
        for gate in gate {
            match &mut gate.action {
                GateAction::Call(action) => hide_in_action(action),
                GateAction::Role(_) => {}
            }
        }
    }
    service.jobs.iter_mut().for_each(|job| hide_in_action(&mut job.action));
}

fn hide_in_action(action: &mut Action) {
    match action {
        Action::Exec(exec) => hide_in_exec(exec),
        Action::Http(request) => hide_in_request(request),
    }
}

fn hide_in_exec(exec: &mut ExecAction) {
    hide_arguments(&mut exec.command);
    exec.environment.iter_mut().for_each(|(_, secret)| hide(secret));
}

fn hide_in_request(request: &mut HttpAction) {
    // A backend's paths are no secret; elsewhere they may be, as those of chats are.
    if matches!(request.at, At::Elsewhere { .. }) {
        hide_path(request);
    }
    if let Some((path, _)) = request.path.split_once('?') {
        request.path = format!("{path}?{HIDDEN}").into();
    }
    request.headers.iter_mut().for_each(|(_, secret)| hide(secret));
    hide_text(&mut request.body);
}

fn hide_path(request: &mut HttpAction) {
    request.path = format!("/{HIDDEN}").into();
}

fn hide_arguments(command: &mut Vec<Arc<str>>) {
    if command.len() > 1 {
        command.truncate(1);
        command.push(HIDDEN.into());
    }
}

fn hide(secret: &mut Secret) {
    match secret {
        Secret::Plain(text) => *text = HIDDEN.into(),
        Secret::File(_) | Secret::Variable(_) => {}
    }
}

fn hide_text(text: &mut Arc<str>) {
    if !text.is_empty() {
        *text = HIDDEN.into();
    }
}

fn without_query(path: &PathAndQuery) -> PathAndQuery {
    // What stands before the `?` was part of a path, so it is one.
    path.query().and_then(|_| path.path().parse().ok()).unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = r#"
listeners: [{ address: "127.0.0.1:8080" }]
services:
  web:
    backends:
      - { name: a, url: "http://127.0.0.1:9001" }
      - { name: b, url: "http://127.0.0.1:9002" }
    health:
      probes:
        - name: page
          http: { path: "/health?key=hush1", headers: { X-Key: hush2 }, body: hush3, method: POST }
        - name: port
          tcp: { send: hush4 }
        - name: script
          exec: { command: [/bin/check, --password, hush5], environment: { KEY: hush6 } }
        - name: helper
          agent: { port: 9999, send: hush7 }
    gates:
      failover:
        fence:
          exec: { command: [/bin/fence, hush8], environment: { KEY: hush9 } }
          idempotent: true
        promote:
          http: { url: "{to}/promote?key=hush10", headers: { X-Key: hush11 }, body: hush12 }
          idempotent: true
    jobs:
      copy:
        exec: { command: [/bin/copy, hush13], environment: { A: { file: /etc/kept-a }, B: { env: KEPT_B } } }
        every: 1h
      call:
        http: { url: "https://jobs.example/hush24" }
        every: 1h
notify:
  hook: { webhook: { url: "https://hooks.example/hush14", key: hush15, headers: { X-Key: hush16 } } }
  chat: { slack: { url: "https://chat.example/hush17" } }
  program: { exec: { command: [/bin/tell, hush18], environment: { KEY: hush19 } } }
  alerts: { alertmanager: { url: "https://alerts.example/hush20", headers: { X-Key: hush21 } } }
  post: { mail: { host: mail.example, user: me, password: hush22, from: a@b.example, to: [c@d.example] } }
traces:
  otlp: { endpoint: "https://collector.example:4318", headers: { Authorization: hush23 } }
admin:
  address: "127.0.0.1:9900"
  tokens:
    - name: me
      access: write
      hash: "$argon2id$v=19$m=19456,t=2,p=1$fCmZ/a/lkyU81lSvTfrXFA$J6Cus/7pIy+K8iEfnuSRxbEL7LVWO/web5NCfsvI/ik"
"#;

    #[test]
    fn what_is_or_may_be_secret_is_not_shown_and_everything_else_is() {
        let loaded =
            crate::load("test.yaml", TEXT, Path::new("")).unwrap_or_else(|e| panic!("{e}"));
        let whole = to_yaml(&loaded.config);
        for number in 1..=24 {
            let secret = format!("hush{number}");
            assert!(whole.contains(&secret), "the test hides nothing called {secret}: {whole}");
        }
        let shown = to_shown_yaml(&loaded.config);
        assert!(!shown.contains("hush"), "{shown}");
        assert!(!shown.contains("argon2"), "{shown}");
        for kept in [
            "http://127.0.0.1:9001",
            "/health",
            "/bin/check",
            "/etc/kept-a",
            "KEPT_B",
            "{to}/promote",
            "hooks.example",
            "mail.example",
            "collector.example",
            "jobs.example",
            "fall: ",
            "hold_down: ",
        ] {
            assert!(shown.contains(kept), "{kept} is missing: {shown}");
        }
    }
}
