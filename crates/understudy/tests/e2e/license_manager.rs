//! Two license managers, of which the licence allows one at a time: both are updated while clients renew,
//! and a client that starts at a bad moment is let in a little later.

use std::fs;
use std::net::SocketAddr;
use std::thread;

use benches::fetch::{get, request};
use benches::load::{Load, Plan, Requests};
use benches::understudy::Understudy;
use standins::Standin;

use crate::house::{House, backends, wait_noted};
use crate::stage::{assert_none_failed, wait_served};

/// The balancer before `a` and `b`, each with a certificate that it made itself.
struct Pair {
    understudy: Understudy,
    a: Standin,
    b: Standin,
    // Last: the next test begins when all the others are gone.
    house: House,
}

impl Pair {
    /// Each takes a moment to start.
    fn new() -> Self {
        let house = House::new();
        let start = |name: &str| {
            let certificate = house.file(&format!("{name}.pem"));
            let (certificate, store) = (certificate.display(), house.file("store"));
            let arguments = format!(
                "--certificate {certificate} --store {} --starting-ms 500",
                store.display()
            );
            house.standin("license-manager", name, &arguments)
        };
        let (a, b) = (start("a"), start("b"));
        // Whoever is ready first would serve.
        wait_noted(&a, "ready", 1);
        wait_noted(&b, "ready", 1);
        let trusted = ["a.pem", "b.pem"].map(|name| fs::read(house.file(name)).expect("a file"));
        fs::write(house.file("both.pem"), trusted.concat()).expect("a file");
        let understudy = house.open(&format!(
            "routes:\n  - {{ path: /license, service: licences }}\n  \
             - {{ path: /pingLicenseManager, service: licences }}\n\
             services:\n  licences:\n    backends:\n{}    tls: {{ ca: \"{}\" }}\n    \
             health: {{ http: {{ path: /pingLicenseManager, status: 200 }}, interval: 100ms, \
             confirm_interval: 20ms, rise: 2, fall: 2 }}\n    failback: manual\n    \
             hold: {{ timeout: 30s }}\n",
            backends("https", &[&a, &b]),
            house.file("both.pem").display()
        ));
        house.done("wait --active a --timeout 20s");
        house.done("wait --healthy b --timeout 20s");
        Self { understudy, a, b, house }
    }

    fn renewals(&self) -> Load {
        let target = self.understudy.address();
        let requests = Requests::Posts { path: String::from("/license/renew?client=server-1") };
        Load::start(Plan { requests, ..Plan::gets(target, 100) })
    }

    /// How many clients have been let start.
    fn let_start(&self) -> usize {
        self.a.noted("let start").len() + self.b.noted("let start").len()
    }
}

/// Ends it, and starts it again after a while.
fn update(understudy: &Understudy, manager: &mut Standin) {
    manager.process.kill();
    understudy.wait_health(manager.name(), "down");
    manager.revive();
    understudy.wait_health(manager.name(), "up");
}

fn start_up(target: SocketAddr, client: &str) -> (u16, Option<String>) {
    let path = format!("/license/start?client={client}");
    let answer = request(target, "POST", &path, &[], b"").expect("an answer");
    (answer.status, answer.header("x-origin").map(str::to_owned))
}

#[test]
fn both_are_updated_while_clients_renew_and_no_renewal_fails() {
    let mut pair = Pair::new();
    let load = pair.renewals();
    wait_served(&load, "a", 100);
    // The standby first, then the primary, as its users would do it.
    pair.house.done("maintenance b");
    pair.house.done("wait --drained b --timeout 20s");
    update(&pair.understudy, &mut pair.b);
    pair.house.done("ready b");
    assert_eq!(pair.b.noted("renewed"), [], "the standby got traffic");
    pair.house.done("maintenance a");
    pair.house.done("wait --active b --timeout 20s");
    pair.house.done("wait --drained a --timeout 20s");
    update(&pair.understudy, &mut pair.a);
    pair.house.done("ready a");
    wait_served(&load, "b", 100);
    pair.house.done("failback");
    wait_served(&load, "a", 100);
    let report = load.finish();
    eprintln!("rolling update: {report}");
    assert_none_failed(&report);
    let renewed = pair.a.noted("renewed").len() + pair.b.noted("renewed").len();
    assert_eq!(renewed, report.samples.len(), "one was renewed twice, or not at all");
}

#[test]
fn a_client_that_starts_when_the_primary_has_just_died_is_let_in_by_the_other() {
    let mut pair = Pair::new();
    let target = pair.understudy.address();
    assert_eq!(start_up(target, "first"), (200, Some("a".into())));
    pair.a.process.kill();
    assert_eq!(start_up(target, "second"), (200, Some("b".into())));
    assert_eq!(pair.let_start(), 2, "somebody was let start twice");
}

#[test]
fn a_client_that_starts_while_neither_is_there_waits_and_is_let_in_once() {
    let mut pair = Pair::new();
    let target = pair.understudy.address();
    pair.a.process.kill();
    pair.b.process.kill();
    pair.understudy.wait_health("a", "down");
    pair.understudy.wait_health("b", "down");
    let client = thread::spawn(move || start_up(target, "early"));
    pair.understudy.wait_metric("understudy_requests_waiting", &[], |held| held == 1.0);
    pair.b.revive();
    wait_noted(&pair.b, "let start", 1);
    assert_eq!(client.join().expect("no panic"), (200, Some("b".into())));
    assert_eq!(pair.let_start(), 1);
}

#[test]
fn nothing_but_the_license_manager_is_reached() {
    let pair = Pair::new();
    let target = pair.understudy.address();
    for path in ["/admin", "/", "/licenses", "/license/../admin", "/license/..%2fadmin"] {
        let answer = get(target, path).expect("an answer");
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(get(target, "/pingLicenseManager").expect("an answer").status, 200);
    for manager in [&pair.a, &pair.b] {
        assert_eq!(manager.noted("administered"), []);
    }
}
