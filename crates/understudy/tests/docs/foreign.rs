//! The configs of other programs in the pages on migration are real, and speak of the same servers as ours.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::queries::{find, may_run};
use crate::text::{Block, blocks, files_below, read, set};

/// How each page calls the configs of the program that it is about.
const PAGES: &[(&str, &str)] = &[
    ("docs/migration/nginx.md", "nginx"),
    ("docs/migration/haproxy.md", "haproxy"),
    ("docs/migration/traefik.md", "traefik"),
    ("docs/migration/caddy.md", "caddyfile"),
    ("docs/migration/keepalived.md", "keepalived"),
];

#[test]
fn every_page_on_migration_is_looked_at() {
    let mut pages = files_below("docs/migration", "md");
    pages.remove("docs/migration/README.md");
    assert_eq!(pages, set(&PAGES.iter().map(|(page, _)| *page).collect::<Vec<_>>()));
}

#[test]
fn both_sides_name_the_same_servers_and_the_same_primary() {
    for (page, language) in PAGES {
        let text = read(page);
        let theirs = theirs(page, &text, language);
        let ours = blocks(page, &text, "yaml");
        let ours: Vec<_> = ours.iter().filter(|block| block.mark.is_none()).collect();
        assert!(!theirs.is_empty() && !ours.is_empty(), "{page} shows one side only");
        let of = |blocks: &[&Block]| {
            let all = blocks.iter().map(|block| servers(&block.text));
            all.filter(|servers| !servers.is_empty()).collect::<BTreeSet<_>>()
        };
        let theirs: Vec<_> = theirs.iter().collect();
        assert_eq!(of(&theirs), of(&ours), "{page}");
    }
}

#[test]
fn another_server_would_be_found() {
    let nginx = "server 10.0.0.1:8080;\nserver 10.0.0.2:8080 backup; # 10.0.0.9:1\n";
    assert_eq!(servers(nginx), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    let keepalived = "real_server 10.0.0.1 8080 {\n}\nsorry_server 10.0.0.2 8080\n";
    assert_eq!(servers(keepalived), servers(nginx));
    let ours = "backends: [http://10.0.0.2:8080, http://10.0.0.1:8080] # the other way round";
    assert_ne!(servers(ours), servers(nginx));
}

#[test]
fn nginx_takes_its_configs() {
    if !may_run("nginx") {
        return;
    }
    let page = "docs/migration/nginx.md";
    for block in blocks(page, &read(page), "nginx") {
        assert_eq!(nginx_says(&block.text), None, "{block}");
    }
    assert!(nginx_says("upstream a { server 10.0.0.1:8080 backups; }").is_some());
}

#[test]
fn haproxy_takes_its_configs() {
    if !may_run("haproxy") {
        return;
    }
    let page = "docs/migration/haproxy.md";
    for block in blocks(page, &read(page), "haproxy") {
        assert_eq!(haproxy_says(&block.text), None, "{block}");
    }
    assert!(haproxy_says("backend a\n  server b 10.0.0.1:8080 backups\n").is_some());
}

#[test]
fn caddy_takes_its_configs() {
    if !may_run("caddy") {
        return;
    }
    let page = "docs/migration/caddy.md";
    for block in blocks(page, &read(page), "caddyfile") {
        assert_eq!(caddy_says(&block.text), None, "{block}");
    }
    assert!(
        caddy_says(":80 {\n\treverse_proxy 10.0.0.1:80 {\n\t\tlb_politics first\n\t}\n}\n")
            .is_some()
    );
}

#[test]
fn keepalived_takes_its_configs() {
    if !may_run("keepalived") {
        return;
    }
    let page = "docs/migration/keepalived.md";
    for block in blocks(page, &read(page), "keepalived") {
        assert_eq!(keepalived_says(&block.text), None, "{block}");
    }
    let wrong = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n noprempt\n}\n";
    assert!(keepalived_says(wrong).is_some());
}

/// Blocks of Traefik are YAML and marked; the others have a language of their own.
fn theirs(page: &str, text: &str, language: &str) -> Vec<Block> {
    if language != "traefik" {
        return blocks(page, text, language);
    }
    let yaml = blocks(page, text, "yaml");
    yaml.into_iter().filter(|block| block.mark.as_deref() == Some("of Traefik")).collect()
}

/// The addresses of servers, in order, without comments: `10.0.0.1:8080`, or `10.0.0.1 8080` of keepalived.
fn servers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("");
        let of_keepalived = ["real_server ", "sorry_server "];
        let line = of_keepalived
            .iter()
            .find_map(|word| Some(line.split_once(word)?.1.replacen(' ', ":", 1)))
            .unwrap_or_else(|| line.to_owned());
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ':');
        for word in line.split(|c| !is_part(c)) {
            let word = word.trim_matches(':');
            let Some((host, port)) = word.split_once(':') else { continue };
            let is_server = host.starts_with("10.0.0.") && port.parse::<u16>().is_ok();
            if is_server && !found.contains(&word.to_owned()) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// What `nginx -t` has against a piece of the section `http`.
fn nginx_says(text: &str) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path().display();
    // A test opens the sockets, so they are ones that nobody else has.
    let text = text.replace("listen 8080", &format!("listen unix:{at}/http.sock"));
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places: String =
        kinds.iter().map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).collect();
    let whole = format!(
        "pid {at}/pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}}}\n"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, whole).expect("it is written");
    said(Command::new(find("nginx")?).arg("-t").arg("-p").arg(folder.path()).arg("-c").arg(file))
}

/// What `haproxy -c` has against a whole config, warnings included.
fn haproxy_says(text: &str) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).expect("it is written");
    said(Command::new(find("haproxy")?).args(["-c", "-dW", "-f"]).arg(Path::new(&file)))
}

/// What Caddy has against a Caddyfile, before it is run.
fn caddy_says(text: &str) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("Caddyfile");
    std::fs::write(&file, text).expect("it is written");
    let mut caddy = Command::new(find("caddy")?);
    said(caddy.args(["adapt", "--adapter", "caddyfile", "--config"]).arg(&file))
}

/// What keepalived has against a config, but that this machine lacks its network. How it ends says nothing:
/// it sends itself a signal.
fn keepalived_says(text: &str) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let [file, log] = ["keepalived.conf", "log"].map(|name| folder.path().join(name));
    std::fs::write(&file, text).expect("it is written");
    let mut keepalived = Command::new("timeout");
    // Not to us as well.
    keepalived
        .process_group(0)
        .arg("20")
        .arg(find("keepalived")?)
        .arg(format!("--config-test={}", log.display()))
        .arg("-f")
        .arg(&file);
    keepalived.output().expect("it runs");
    let words = std::fs::read_to_string(&log).expect("a log");
    let of_the_network = |line: &str| {
        (line.contains("interface eth0") && line.contains("doesn't exist"))
            || line == "Non-existent interface specified in configuration"
    };
    let of_the_text: Vec<_> = words.lines().filter(|line| !of_the_network(line)).collect();
    (!of_the_text.is_empty()).then(|| of_the_text.join("\n"))
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(words)
}
