//! Query servers: queries that take long are cut by nobody, a server that shuts down says so itself, and
//! one that is alive but answers no query gets none. Queries here take 8 s, and half a minute once.

use std::fs;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use benches::condition::wait_for;
use benches::fetch::{Answer, get};
use benches::load::{Load, Plan, Requests};
use benches::script;
use benches::understudy::Understudy;
use standins::Standin;

use crate::house::{House, backends, wait_noted};
use crate::stage::{
    PATIENCE, assert_none_failed, backend_in, standins_binary, wait_served, wait_wish,
};

/// Two servers and the balancer, which asks each of them whether it is alive.
struct Pair {
    understudy: Understudy,
    a: Standin,
    b: Standin,
    // Last: the next test begins when all the others are gone.
    house: House,
}

impl Pair {
    /// Each is asked a query by the ping program, too.
    fn with_ping() -> Self {
        Self::within(House::new(), &ping(), "")
    }

    /// With these probes beside the one that sees that they are alive, and these lines more for the
    /// service.
    fn within(house: House, probes: &str, more: &str) -> Self {
        let start = |name| house.standin("query-server", name, "");
        let (a, b) = (start("a"), start("b"));
        let understudy = house.open(&format!(
            "services:\n  queries:\n    backends:\n{}    health:\n      probes:\n        \
             - {{ name: alive, level: alive, http: {{ path: /alive, status: 200 }} }}{probes}\n      \
             interval: 100ms\n      confirm_interval: 20ms\n      rise: 2\n      fall: 2\n    \
             failback: manual\n    hold: {{ timeout: 30s }}\n{more}",
            backends("http", &[&a, &b])
        ));
        house.done("wait --active a --timeout 20s");
        house.done("wait --healthy b --timeout 20s");
        Self { understudy, a, b, house }
    }

    fn load(&self) -> Load {
        let target = self.understudy.address();
        let requests = Requests::Gets { path: String::from("/query?seconds=0") };
        Load::start(Plan { requests, ..Plan::gets(target, 50) })
    }

    /// Queries that take so long, through the balancer; they run at `a`. Half of them answer row by row.
    fn long_queries(&self, seconds: u32) -> Vec<JoinHandle<Answer>> {
        let target = self.understudy.address();
        let begin = |number: usize| {
            let rows = if number.is_multiple_of(2) { "" } else { "&rows=1" };
            let path = format!("/query?id=long-{number}&seconds={seconds}{rows}");
            thread::spawn(move || get(target, &path).expect("an answer"))
        };
        let queries: Vec<_> = (0..4).map(begin).collect();
        self.understudy.wait_service("they run", |_| long(&self.a, "began") == queries.len());
        queries
    }

    /// They were answered in full, by `a`.
    fn assert_answered(&self, queries: Vec<JoinHandle<Answer>>) {
        let count = queries.len();
        for query in queries {
            let answer = query.join().expect("no panic");
            assert_eq!((answer.status, answer.header("x-origin")), (200, Some("a")), "{answer:?}");
            assert!(answer.text().contains("done"), "{answer:?}");
        }
        assert_eq!((long(&self.a, "done"), long(&self.a, "cut")), (count, 0));
        assert_eq!(long(&self.b, "began"), 0, "a query was sent twice");
    }
}

/// The probe that asks a query, by the ping program.
fn ping() -> String {
    let program = standins_binary();
    format!(
        "\n        - {{ name: ping, level: ready, timeout: 5s, exec: {{ command: [\"{}\", ping, \
         --timeout-ms, \"{{timeout_ms}}\", \"{{host}}:{{port}}\"] }} }}",
        program.display()
    )
}

/// How many long queries it noted this of.
fn long(server: &Standin, what: &str) -> usize {
    let noted = server.noted(what);
    noted.iter().filter(|note| note.text("id").starts_with("long-")).count()
}

/// What runs at a failed server is cut soon; what runs at one that is drained must not be.
const SOON: &str = "    streams: { failover: { drain: { deadline: 1s, window: 1s } } }\n";

#[test]
fn an_operator_drains_a_server_and_no_query_is_cut() {
    let pair = Pair::within(House::new(), &ping(), SOON);
    let load = pair.load();
    wait_served(&load, "a", 50);
    let queries = pair.long_queries(8);
    pair.house.done("drain a");
    wait_served(&load, "b", 50);
    assert!(queries.iter().all(|query| !query.is_finished()), "they are over already");
    pair.house.done("wait --drained a --timeout 30s");
    pair.assert_answered(queries);
    assert_none_failed(&load.finish());
}

/// Half a minute: longer than whatever else there is of timeouts but the patience of a planned move.
#[test]
fn a_server_that_shuts_down_says_so_and_half_a_minute_of_query_is_not_cut() {
    let mut pair = Pair::within(House::new(), READY, SOON);
    let load = pair.load();
    wait_served(&load, "a", 50);
    let queries = pair.long_queries(30);
    assert_eq!(pair.a.ask("POST", "/shutdown").status, 202);
    wait_wish(&pair.understudy, "a", "drain");
    wait_served(&load, "b", 50);
    pair.assert_answered(queries);
    assert_eq!(pair.a.process.wait_exit(Duration::from_secs(30)).code(), Some(0));
    pair.understudy.wait_health("a", "down");
    pair.a.revive();
    pair.house.done("wait --healthy a --timeout 20s");
    pair.house.done("failback");
    wait_served(&load, "a", 50);
    let report = load.finish();
    eprintln!("safe shut-down: {report}");
    assert_none_failed(&report);
}

#[test]
fn a_server_that_is_alive_and_answers_no_query_is_left_but_what_runs_there_goes_on() {
    let pair = Pair::with_ping();
    let queries = pair.long_queries(8);
    assert_eq!(pair.a.ask("POST", "/sick").status, 204);
    assert_eq!(pair.a.ask("GET", "/alive").status, 200);
    pair.understudy.wait_active("b");
    assert!(queries.iter().all(|query| !query.is_finished()), "they are over already");
    let said = pair.house.cli("probe a").out;
    assert!(said.contains("does not answer queries"), "{said}");
    pair.assert_answered(queries);
    assert_eq!(pair.a.ask("POST", "/sick?so=no").status, 204);
    pair.house.done("wait --healthy a --timeout 20s");
    assert_eq!(ask(pair.understudy.address()), (200, Some("b".into())));
    wait_noted(&pair.b, "done", 1);
}

const READY: &str = "\n        - { name: ready, http: { path: /alive, status: 200 } }";

/// With a job that copies metadata from the active to the standby; while there is a file `broken` it
/// fails.
fn copying(max_age: &str) -> Pair {
    let house = House::new();
    let (here, program) = (house.path().display(), standins_binary());
    let program = program.display();
    let text = format!(
        "#!/bin/sh -e\n[ ! -e {here}/broken ]\n\
         {program} export --from \"$UNDERSTUDY_FROM_URL\" --to {here}/copy\n\
         {program} import --from {here}/copy --to \"$UNDERSTUDY_TO_URL\"\n"
    );
    script::write(&house.file("copy.sh"), &text);
    let jobs = format!(
        "    jobs:\n      metadata: {{ exec: {{ command: [\"{here}/copy.sh\"] }}, every: 1s, \
         deadline: 10s, move_waits: 20s, max_age: {max_age} }}\n"
    );
    Pair::within(house, READY, &jobs)
}

/// The version that was imported last, and from whom.
fn copied(server: &Standin) -> Option<(u64, String)> {
    let last = server.noted("imported").pop()?;
    Some((last.number("version")?, last.text("from").to_owned()))
}

fn wait_copied(to: &Standin, version: u64, from: &str) {
    wait_for(PATIENCE, &format!("version {version} of {from} is at {}", to.name()), || {
        let copied = copied(to);
        if copied == Some((version, from.to_owned())) { Ok(()) } else { Err(copied) }
    });
}

#[test]
fn metadata_is_copied_from_the_active_to_the_standby_whoever_is_that() {
    let pair = copying("1m");
    let load = pair.load();
    assert_eq!(pair.a.ask("POST", "/metadata/change").status, 200);
    wait_copied(&pair.b, 2, "a");
    assert!(pair.a.noted("imported").is_empty(), "the active was written to");
    pair.house.done("switchover --to b");
    assert_eq!(pair.b.ask("POST", "/metadata/change").status, 200);
    wait_copied(&pair.a, 3, "b");
    let last_at_b = pair.b.noted("imported").pop().expect("some");
    let first_at_a = pair.a.noted("imported").remove(0);
    assert!(last_at_b.at_ns < first_at_a.at_ns, "both ways at once");
    wait_served(&load, "b", 50);
    assert_none_failed(&load.finish());
}

#[test]
fn a_standby_that_was_not_copied_to_for_long_is_not_ready_and_may_not_serve() {
    let mut pair = copying("{ age: 4s, blocks: true }");
    wait_copied(&pair.b, 1, "a");
    let is_ready = |pair: &Pair| {
        let service = pair.understudy.service();
        backend_in(&service, "b")["readiness"]["ready"] == true
    };
    wait_for(PATIENCE, "b is ready", || if is_ready(&pair) { Ok(()) } else { Err(()) });
    fs::write(pair.house.file("broken"), "").expect("a file");
    let reasons = wait_for(PATIENCE, "b is stale", || {
        let service = pair.understudy.service();
        let readiness = backend_in(&service, "b")["readiness"].clone();
        if readiness["ready"] == false { Ok(readiness.to_string()) } else { Err(readiness) }
    });
    assert!(reasons.contains("metadata"), "{reasons}");
    assert_eq!(pair.house.events("stale").len(), 1);
    // It may not serve with what it knows: requests wait for the primary.
    pair.a.process.kill();
    pair.understudy.wait_service("nobody is active", |service| service["active"].is_null());
    let before = pair.b.noted("began").len();
    let load = pair.load();
    pair.understudy.wait_metric("understudy_requests_waiting", &[], |held| held >= 10.0);
    assert_eq!(pair.b.noted("began").len(), before, "it got a query");
    fs::remove_file(pair.house.file("broken")).expect("it was there");
    pair.a.revive();
    wait_served(&load, "a", 100);
    wait_for(PATIENCE, "b is ready", || if is_ready(&pair) { Ok(()) } else { Err(()) });
    assert_eq!(pair.house.events("fresh").len(), 1);
    assert_none_failed(&load.finish());
}

fn ask(target: SocketAddr) -> (u16, Option<String>) {
    let answer = get(target, "/query?seconds=0").expect("an answer");
    (answer.status, answer.header("x-origin").map(str::to_owned))
}
