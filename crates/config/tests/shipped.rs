//! The configs we ship: they load, they validate against the schema, and full.yaml is complete.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::model::Config;
use config::{Loaded, explain, load, schema, to_yaml};
use serde_json::Value as Json;

/// Of nothing that anybody knows.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$pU3KGCUwux1tEyze1iN7Lg$2R4/ch/LGXEXRJTWSTydXDRgvjEgHmn+2qDu6LmZf1w";

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(configs().join(name)).unwrap()
}

fn loaded(name: &str, text: &str) -> Loaded {
    load(name, text, Path::new("/etc/understudy")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every shipped YAML file, relative to `configs`.
fn shipped() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["", "recipes"] {
        for entry in std::fs::read_dir(configs().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".yaml") {
                names.push(Path::new(folder).join(name).to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

/// A document as an editor's validator sees it: `off` is text since YAML 1.2.
fn json(text: &str) -> Json {
    let options = serde_yaml::options! { strict_booleans: true };
    serde_yaml::from_str_with_options(text, options).unwrap()
}

fn record(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, actual, "{}: record anew with UPDATE_GOLDEN=1", path.display());
}

/// What an editor would show for this text.
fn schema_errors(text: &str) -> Vec<String> {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let show =
        |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    validator.iter_errors(&json(text)).map(show).collect()
}

#[test]
fn shipped_configs_load_without_a_warning_and_validate() {
    for name in shipped() {
        let text = read(&name);
        let loaded = loaded(&name, &text);
        assert_eq!(loaded.warnings, [], "{name}");
        let explained = explain(&loaded.config);
        assert!(!explained.is_empty() && !explained.contains("warning"), "{name}: {explained}");
        assert_eq!(schema_errors(&text), [""; 0], "{name}");
    }
}

#[test]
fn shipped_configs_tell_editors_where_the_schema_is() {
    for name in shipped() {
        let text = read(&name);
        let first = text.lines().next().unwrap();
        let hint = first.strip_prefix("# yaml-language-server: $schema=");
        let file = configs().join(&name).parent().unwrap().join(hint.unwrap_or("missing"));
        assert!(file.ends_with("schema.json") && file.exists(), "{name}: {}", file.display());
    }
}

#[test]
fn the_shipped_schema_is_the_schema() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    record(&configs().join("schema.json"), &format!("{text}\n"));
}

#[test]
fn the_schema_is_a_schema_and_describes_every_key() {
    assert!(jsonschema::meta::is_valid(&schema()));
    fn walk(path: &str, schema: &Json) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let about = below["description"].as_str().unwrap_or_default();
            assert!(about.len() > 5, "{path} has no description");
            assert!(!about.ends_with('.'), "{path}: {about}");
            walk(&path, below);
        }
        let below = [&schema["items"], &schema["additionalProperties"]];
        for below in below.into_iter().filter(|below| below.is_object()) {
            walk(path, below);
        }
        for below in schema["anyOf"].as_array().into_iter().flatten() {
            walk(path, below);
        }
    }
    walk("", &schema());
}

/// Key paths of the schema; names chosen by the user become `*`.
fn schema_keys(path: &str, schema: &Json, keys: &mut BTreeSet<String>) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        keys.insert(path.clone());
        schema_keys(&path, below, keys);
    }
    schema_keys_below(path, schema, keys);
}

fn schema_keys_below(path: &str, schema: &Json, keys: &mut BTreeSet<String>) {
    if schema["items"].is_object() {
        schema_keys(path, &schema["items"], keys);
    }
    if schema["additionalProperties"].is_object() {
        schema_keys(&format!("{path}.*"), &schema["additionalProperties"], keys);
    }
    for below in schema["anyOf"].as_array().into_iter().flatten() {
        schema_keys(path, below, keys);
    }
}

/// Key paths of a document, in the same notation.
fn document_keys(path: &str, document: &Json, keys: &mut BTreeSet<String>) {
    for item in document.as_array().into_iter().flatten() {
        document_keys(path, item, keys);
    }
    for (key, below) in document.as_object().into_iter().flatten() {
        if path.is_empty() && key.starts_with("x-") {
            continue;
        }
        let names = [".headers", ".environment", ".jobs"];
        let free = [".services", ".notify"].contains(&path)
            || names.iter().any(|name| path.ends_with(name));
        let path = if free { format!("{path}.*") } else { format!("{path}.{key}") };
        if !free {
            keys.insert(path.clone());
        }
        document_keys(&path, below, keys);
    }
}

/// The key with `*` for the gate and its direction.
fn any_gate(key: &str) -> String {
    let Some((before, behind)) = key.split_once(".gates.") else { return key.to_owned() };
    let steps = behind.splitn(3, '.').collect::<Vec<_>>();
    match steps.as_slice() {
        [_, gate] => format!("{before}.gates.*.{gate}"),
        [_, _, below] => format!("{before}.gates.*.*.{below}"),
        _ => key.to_owned(),
    }
}

#[test]
fn full_yaml_has_every_key_of_the_schema() {
    let (mut known, mut shown) = (BTreeSet::new(), BTreeSet::new());
    schema_keys("", &schema(), &mut known);
    document_keys("", &json(&read("full.yaml")), &mut shown);
    assert!(known.len() > 60, "the walk must find keys: {known:?}");
    // Every gate has the keys of any other, but `role`; one of each kind is shown. And `tls` of the only
    // collector cannot show both ways of trust.
    let alike = |keys: BTreeSet<String>| {
        keys.into_iter().map(|key| any_gate(&key)).collect::<BTreeSet<String>>()
    };
    shown.insert(".traces.otlp.tls.insecure".to_owned());
    let (known, shown) = (alike(known), alike(shown));
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "not shown: {missing:#?}");
    assert!(shown.is_subset(&known));
}

#[test]
fn full_yaml_stands_at_the_defaults() {
    let full = loaded("full.yaml", &read("full.yaml")).config;
    let bare = loaded(
        "bare",
        "listeners: [ 0.0.0.0:8080 ]
services:
  web:
    backends:
      - { name: web-1, url: http://10.0.0.1:8080 }
      - { name: web-2, url: http://10.0.0.2:8080 }
",
    )
    .config;
    assert_eq!(full.workers, bare.workers);
    assert_eq!(full.listeners[0], bare.listeners[0]);
    assert_eq!(full.services[0], bare.services[0]);
    let reached = |config: &Config| (config.admin.address, config.admin.socket.clone());
    assert_eq!(reached(&full), reached(&bare));
    assert_eq!(full.shutdown_timeout, bare.shutdown_timeout);
    assert_eq!(full.routes[0].path, "/");
    assert_eq!(full.routes[0].host, routing::table::HostPattern::Any);
}

#[test]
fn defaults_in_the_schema_are_those_of_full_yaml() {
    let document = json(&read("full.yaml"));
    let service = &schema()["properties"]["services"]["additionalProperties"];
    let shown = &document["services"]["web"];
    let mut compared = 0;
    let mut compare = |name: &str, schema: &Json, shown: &Json| {
        for (key, below) in schema["properties"].as_object().unwrap() {
            // What is written out as keys is compared by what it means, in the test above.
            let (Some(default), false) = (below.get("default"), shown[key].is_object()) else {
                continue;
            };
            let pairs = [("60s", "1m"), ("75s", "1m15s")];
            let same = *default == shown[key]
                || pairs.iter().any(|(a, b)| default == a && shown[key] == *b);
            assert!(same, "{name}.{key}: {default}");
            compared += 1;
        }
    };
    compare("service", service, shown);
    for section in ["health", "readiness", "hold", "replay", "timeouts", "connections"] {
        compare(section, &service["properties"][section], &shown[section]);
    }
    let health = &service["properties"]["health"]["properties"];
    let http = &health["http"]["properties"];
    compare("http", &health["http"], &shown["health"]["http"]);
    compare("drain", &http["drain"], &shown["health"]["http"]["drain"]);
    compare("errors", &health["errors"]["anyOf"][1], &shown["health"]["errors"]);
    let listener = &schema()["properties"]["listeners"]["items"]["anyOf"][1];
    let shown = &document["listeners"][0];
    compare("listener", listener, shown);
    compare("limits", &listener["properties"]["limits"], &shown["limits"]);
    assert_eq!(compared, 63);
}

#[test]
fn an_effective_config_loads_again_unchanged() {
    let mut texts: Vec<(String, String)> =
        shipped().into_iter().map(|name| (name.clone(), read(&name))).collect();
    let unusual = "workers: 3
listeners: [ { address: '[::1]:0', half_close: true, limits: { header_timeout: 90.5s } } ]
routes: [ { host: '*.Example.com', path: /a, service: one }, { service: 'b:[c]' } ]
services:
  one:
    backends: [ 'https://[::1]', http://B.example.com ]
    tls: { insecure: true, server_name: x.example.com }
    health:
      http:
        method: HEAD
        path: \"/p?q='x'&y=%20\"
        host: 'é:80'
        headers: { X-One: 'a \"b\" \\ c', x-two: '# no: comment' }
        status: [ 204, 300-399 ]
      interval: 1m30s
      confirm_interval: 1.5ms
    failback: { auto: { hold_down: 1h, hold_down_cap: 1h, lock_after: { switches: 4, within: 2h } } }
    all_down: keep_last
    hold: { bytes: 1000000B, timeout: 0s }
    replay: { buffer: 1025B }
  'b:[c]': { backends: [ http://10.0.0.1 ], health: { tcp: {} }, failback: manual }
  never: { backends: [ http://10.0.0.1, http://10.0.0.2 ], failback: never, epoch_header: off, verify: 0s, exclusive: { drain: 1.5s } }
admin: off
";
    let protocols = "listeners:
  - address: unix:/run/ü 'x'.sock
    h2c: true
    limits: { body_bytes: 1000000B, body_progress: 0B, requests: 5, connection_age: off, uri_bytes: 256B }
  - address: ':1'
    tls:
      certificates: [ { cert: a.pem, key: a.key }, { cert: 'b \"c\".pem', key: /k } ]
      policy: modern
      client_auth: { ca: ca.pem, mode: optional, crl: [ one.pem, two.pem ] }
    http2: false
    hsts: { max_age: 9000h, subdomains: true, preload: true }
    trusted_proxies: [ 10.0.0.0/8, 192.0.2.1, '2001:db8::/32' ]
    proxy_protocol: [ '::1' ]
  - { address: ':2', tls: { certificates: [ { cert: a.pem, key: a.key } ], client_auth: { ca: ca.pem } } }
  - { address: ':3', redirect_https: { port: 1, status: 301 } }
  - { address: ':4', redirect_https: true }
services:
  one:
    backends: [ https://a, 'unix:/run/b.sock', { name: c, url: 'unix:/run/c d.sock' } ]
    protocol: http2
    proxy_protocol: v1
    tls:
      ca: ca.pem
      server_name: x
      verify_name: y
      certificate: { cert: a.pem, key: a.key }
      pins: [ sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= ]
    health: { tls: { insecure: false, pins: [] } }
    streams: { failover: close, failback: { drain: { deadline: 1.5s, window: 0s } } }
    timeouts: { request: 5m, stream_idle: 2h }
    connections: { streams: 7 }
  two:
    backends: [ https://a ]
    protocol: http1
    proxy_protocol: v2
    health: { tls: { insecure: true, server_name: x } }
    streams: { failover: keep, failback: { close: { window: 1s } } }
routes: [ { service: one } ]
";
    let probes = "listeners: [ ':1' ]
services:
  http:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health:
      http:
        method: POST
        body: \"a: 'b' # \\u0001\\n\"
        body_bytes: 1000B
        redirects: 5
        expect:
          text: [ 'é \"x\" \\ #', \"\\t\" ]
          regex: '(?-u)^\\xff\\x00[\"a]$'
          headers: { X-B: '^a: b$', x-a: \"\\n\" }
          json:
            - { pointer: '', exists: true }
            - { pointer: /a~1b, equals: null }
            - { pointer: /a, not: 'null' }
            - { pointer: /a, equals: 18446744073709551615 }
            - { pointer: /a, equals: -1.5e300 }
            - { pointer: /a, not: true }
            - { pointer: /a, equals: '' }
            - { pointer: /a, below: 1e300 }
            - { pointer: /a, above: -0.1 }
            - { pointer: /a, matches: '[#\"]' }
        role: { by: { pointer: '' }, active: [ 1, true, 'null', '#' ], standby: [], fenced: active }
        drain: { header: off, status: [ 503, 300-400 ] }
      errors: { status: 503, count: 1, within: 1m }
      required_role: off
      stall_after: 10ms
    readiness: { certificate: 0s, clock_skew: off, last_drill: 720h }
  status:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health:
      http: { role: { by: status, active: 200, standby: [ 201, 429 ] } }
      required_role: standby
      errors: off
  header:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { http: { role: { by: { header: X-Role }, standby: [ idle, warm ] } } }
  tcp:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { tcp: { send: \"\\0\\r\\n\", expect: '.' }, quorum: 1 }
  grpc:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { grpc: { service: a.B } }
  exec:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health:
      exec:
        command: [ bin/ping, '', '{host} \"#\"' ]
        environment: { _b: '', A: \"x: # \\n\" }
        directory: 'a b'
        output_bytes: 0B
        exit: { pass: [ 0, 255 ], drain: [ 3 ], inconclusive: [ 75, 1 ] }
        at_a_time: 16
  several:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health:
      quorum: 2
      probes:
        - { name: 'a:[b]', level: alive, tcp: {}, timeout: 1.5s }
        - { name: b, http: {}, interval: 24h }
        - { name: c, exec: { command: [ ping ], directory: / } }
        - { name: d, grpc: {} }
        - { name: e, agent: { port: 65535 } }
        - { name: f, level: alive, agent: { port: 1, host: '::1', send: \"a\\n\" } }
  alone:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { probes: [ { name: alone, http: {} } ] }
  listed:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { probes: [ { name: probe, http: {}, timeout: 2s } ] }
  plain:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    health: { probes: [ { name: probe, tcp: {} } ] }
routes: [ { service: http } ]
witnesses: [ '[2001:db8::1]:53', gateway:65535 ]
";
    let hooks = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hooks/unusual.yaml"),
    );
    texts.push(("hooks".to_owned(), hooks.unwrap()));
    texts.push(("probes".to_owned(), probes.to_owned()));
    texts.push(("protocols".to_owned(), protocols.to_owned()));
    texts.push(("unusual".to_owned(), unusual.to_owned()));
    let operators = format!(
        "listeners: [ ':1' ]
services:
  one:
    backends: [ http://10.0.0.1 ]
    exclusive: true
    epoch_header: x_Fence
    failback:
      auto:
        passes: 7
        in_flight_below: 1
        window: {{ cron: ' */20  1-3 * * mon,Sat#1 ', length: 90m, time_zone: america/new_york }}
        lock_after: {{ switches: 3, within: 1.5s }}
state_dir: 'state \\ \"x\"'
admin:
  address: '[::1]:0'
  socket: '/run/x \"y\".sock'
  tls: {{ cert: 'a \"b\".pem', key: /k }}
  tokens: [ {{ name: a, access: read, hash: '{HASH}' }}, {{ name: 'b:[c]', access: write, hash: '{HASH}' }} ]
"
    );
    texts.push(("operators".to_owned(), operators));
    texts.push((
        "remote".to_owned(),
        "listeners: [ ':1' ]
services: { web: { backends: [ http://10.0.0.1 ] } }
admin: { address: off, socket: off }
"
        .to_owned(),
    ));
    for (name, text) in texts {
        let first = loaded(&name, &text).config;
        let written = to_yaml(&first);
        let second = load("written", &written, Path::new(""))
            .unwrap_or_else(|problems| panic!("{name}: {problems}\n{written}"));
        assert_eq!(second.config, first, "{name}:\n{written}");
        assert_eq!(schema_errors(&written), [""; 0], "{name}:\n{written}");
    }
}

#[test]
fn explanations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain");
    for name in shipped() {
        let text = explain(&loaded(&name, &read(&name)).config);
        record(&folder.join(name.replace('/', "-")).with_extension("txt"), &text);
    }
    let doubtful = "listeners: [ ':8080' ]
services:
  web:
    backends: [ https://10.0.0.1 ]
    tls: { insecure: true }
    health: { tcp: {}, timeout: 40s, fall: 1, rise: 1 }
    failback: { auto: { hold_down: 0s, lock_after: { switches: 2, within: 90m } } }
    all_down: keep_last
    replay: { attempts: 0 }
admin: off
";
    record(&folder.join("doubtful.txt"), &explain(&loaded("doubtful", doubtful).config));
    let protocols = "listeners:
  - { address: ':8080', h2c: true, trusted_proxies: [ 0.0.0.0/0 ], limits: { body_timeout: 1h } }
  - address: ':80'
    tls:
      certificates: [ { cert: a.pem, key: a.key } ]
      policy: modern
      client_auth: { ca: ca.pem, crl: [ one.pem, two.pem ] }
    http2: false
    hsts: { max_age: 1h, subdomains: true, preload: true }
  - { address: ':8081', redirect_https: true }
services:
  web:
    backends: [ https://10.0.0.1, https://10.0.0.2 ]
    protocol: http2
    proxy_protocol: v1
    tls:
      server_name: a.example.com
      pins: [ sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= ]
      certificate: { cert: a.pem, key: a.key }
    health: { tls: { verify_name: b.example.com, insecure: false, pins: [] } }
    streams: { failover: keep, failback: { close: { window: 0s } } }
    timeouts: { request: 5m }
";
    record(&folder.join("protocols.txt"), &explain(&loaded("protocols", protocols).config));
    let probes = "listeners: [ ':8080' ]
services:
  database:
    backends: [ https://10.0.0.1, https://10.0.0.2 ]
    health:
      quorum: 1
      errors: off
      probes:
        - { name: port, level: alive, tcp: {}, timeout: 500ms }
        - { name: page, http: { path: /role, expect: { text: ok }, role: { by: { header: X-Role } }, drain: { status: 404 } } }
        - { name: query, exec: { command: [ query, secret ], exit: { drain: [ 3 ] } }, interval: 10s, timeout: 5s }
        - { name: agent, agent: { port: 5555, host: 10.0.0.9 } }
    hold: { timeout: 10s }
    readiness: { last_drill: 720h }
  strict:
    backends: [ http://10.0.1.1, http://10.0.1.2 ]
    health:
      http:
        method: POST
        body: secret
        redirects: 2
        expect:
          regex: [ '^ok' ]
          headers: { X-State: '^ready$' }
          json: [ { pointer: /status, equals: UP }, { pointer: /queue, below: 100 }, { pointer: /a, exists: true } ]
        role: { by: status, active: 200, standby: 429, fenced: 423 }
        drain: { header: off, status: [ 200, 503 ] }
      required_role: off
      errors: { status: 503, count: 1, within: 2s }
    readiness: { clock_skew: off }
  text: { backends: [ http://10.0.2.1, http://10.0.2.2 ], health: { tcp: { send: PING, expect: PONG } } }
  sent: { backends: [ http://10.0.3.1, http://10.0.3.2 ], health: { tcp: { send: PING } } }
  grpc: { backends: [ http://10.0.4.1, http://10.0.4.2 ], health: { grpc: { service: a.B } } }
  exec: { backends: [ http://10.0.5.1, http://10.0.5.2 ], health: { exec: { command: [ /bin/x, secret ] } } }
  spare:
    backends: [ http://10.0.6.1, http://10.0.6.2 ]
    health: { http: { role: { by: { pointer: /role } } }, required_role: standby }
routes: [ { service: database }, { path: /1, service: strict }, { path: /2, service: text }, { path: /3, service: sent }, { path: /4, service: grpc }, { path: /5, service: exec }, { path: /6, service: spare } ]
witnesses: [ gateway:443, 127.0.0.1:53 ]
";
    record(&folder.join("probes.txt"), &explain(&loaded("probes", probes).config));
    let operators = format!(
        "listeners: [ ':8080' ]
services:
  at-night:
    backends: [ http://10.0.0.1, http://10.0.0.2 ]
    failback:
      auto:
        hold_down: 0s
        damping_window: 0s
        in_flight_below: 1
        window: {{ cron: '*/30 1-4 1 * *', length: 10m }}
    exclusive: {{ drain: 0s }}
    epoch_header: off
  never: {{ backends: [ http://10.0.1.1, http://10.0.1.2 ], failback: never, verify: 0s }}
  strict: {{ backends: [ http://10.0.2.1, http://10.0.2.2 ], exclusive: {{ drain: 9s }} }}
routes: [ {{ service: at-night }}, {{ path: /n, service: never }}, {{ path: /s, service: strict }} ]
admin: {{ socket: /run/a.sock, tokens: [ {{ name: prometheus, access: read, hash: '{HASH}' }} ] }}
"
    );
    record(&folder.join("operators.txt"), &explain(&loaded("operators", &operators).config));
}

/// Bad configs whose mistake is one of shape, not of meaning: an editor must show it as well.
#[test]
fn the_schema_refuses_mistakes_of_shape() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    for name in [
        "empty-lists",
        "empty-services",
        "null-document",
        "scalar-document",
        "list-document",
        "missing-listeners",
        "missing-services",
        "missing-backends",
        "missing-address",
        "missing-url",
        "missing-route-service",
        "services-list",
        "services-nothing",
        "listeners-text",
        "backends-mapping",
        "section-is-text",
        "value-is-list",
        "unknown-keys",
        "later-keys",
        "extension-below-top",
        "durations",
        "sizes",
        "counts",
        "workers-word",
        "flags",
        "words",
        "failback-manual-keys",
        "failback-flat",
        "http-and-tcp",
        "ca-and-insecure",
        "statuses",
        "networks-not-a-list",
        "tls-without-certificates",
        "tls-certificates",
        "tls-policy",
        "client-auth-without-ca",
        "client-auth",
        "hsts",
        "hsts-false",
        "redirect",
        "http2-flags",
        "limits",
        "limits-off",
        "protocols",
        "pins",
        "pins-not-a-list",
        "upstream-tls",
        "upstream-certificate",
        "probe-tls",
        "streams",
        "streams-both",
        "streams-word",
        "service-timeouts",
        "admin-words",
        "admin-tokens",
        "state-dir-flag",
        "state-dir-list",
        "state-dir-empty",
        "failback-conditions",
        "failback-window",
        "failback-words",
        "lock-after",
        "exclusive",
        "epoch-header",
        "verify",
        "probe-kinds",
        "probe-agent-alone",
        "probes-empty",
        "probes-not-a-list",
        "probe-list-words",
        "quorum-words",
        "quorum-none",
        "required-role-word",
        "role",
        "role-words",
        "role-without-by",
        "role-by-nothing",
        "drain",
        "expect",
        "probe-bounds",
        "exec",
        "exec-empty",
        "exec-no-pass",
        "exec-text",
        "exec-without-command",
        "tcp",
        "errors",
        "errors-words",
        "gates",
        "gate-requests",
        "gate-programs",
        "jobs",
        "notify",
        "notify-mail",
        "readiness",
        "traces",
        "traces-word",
        "witnesses-not-a-list",
    ] {
        let text = std::fs::read_to_string(folder.join(name).with_extension("yaml")).unwrap();
        assert!(!validator.is_valid(&json(&text)), "{name} is valid by the schema");
    }
}
