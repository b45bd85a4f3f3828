//! Each stand-in keeps the promises that the scenarios build on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use benches::condition::wait_for;
use benches::fetch;
use standins::Standin;
use standins::journal::now_ns;

const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_standins"))
}

fn start(folder: &Path, kind: &str, name: &str, arguments: &str) -> Standin {
    Standin::start(program(), folder, kind, name, arguments)
}

/// Waits until it has noted this so often.
fn wait_noted(standin: &Standin, what: &str, count: usize) {
    wait_for(PATIENCE, &format!("{what} {count} times"), || {
        let noted = standin.noted(what).len();
        if noted >= count { Ok(()) } else { Err(standin.notes()) }
    });
}

mod scheduler {
    use super::*;

    fn pair(folder: &Path, more: &str) -> [Standin; 2] {
        ["a", "b"].map(|name| {
            let enabled = if name == "a" { "--enabled" } else { "" };
            let state = folder.join(format!("{name}.state"));
            let arguments = format!("--state {} {enabled} {more}", state.display());
            start(folder, "scheduler", name, &arguments)
        })
    }

    fn order(at: &Standin, what: &str, epoch: u64, key: &str) -> u16 {
        let epoch = epoch.to_string();
        let fields = [("x-understudy-epoch", epoch.as_str()), ("idempotency-key", key)];
        let path = format!("/api/jobs/{what}");
        fetch::request(at.address(), "POST", &path, &fields, b"").expect("an answer").status
    }

    fn ticks(of: &Standin) -> BTreeSet<u64> {
        let executed = of.noted("executed");
        let ticks: BTreeSet<_> = executed.iter().filter_map(|note| note.number("tick")).collect();
        assert_eq!(ticks.len(), executed.len(), "a tick was executed twice");
        ticks
    }

    #[test]
    fn who_is_handed_the_jobs_executes_no_tick_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = pair(folder.path(), "--fencing");
        let pair = [&a, &b];
        let mut epoch = 1;
        for turn in 0..10 {
            let (from, to) = (pair[turn % 2], pair[1 - turn % 2]);
            wait_noted(from, "executed", 2 * (turn / 2 + 1));
            for (at, what) in [(from, "disable"), (to, "enable")] {
                epoch += 1;
                assert_eq!(order(at, what, epoch, &format!("key-{epoch}")), 200);
            }
        }
        assert_eq!(ticks(&a).intersection(&ticks(&b)).count(), 0);
        assert_eq!((a.noted("carried out").len(), b.noted("carried out").len()), (10, 10));
    }

    #[test]
    fn an_order_is_carried_out_once_and_an_old_one_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, mut b] = pair(folder.path(), "--fencing");
        assert_eq!((order(&b, "enable", 5, "five"), order(&b, "enable", 5, "five")), (200, 200));
        assert_eq!(order(&b, "disable", 4, "four"), 409);
        assert_eq!(b.noted("received").len(), 3);
        assert_eq!(b.noted("carried out").len(), 1);
        // That outlives it, and so do the jobs.
        b.revive();
        assert_eq!((order(&b, "disable", 4, "four"), order(&b, "enable", 5, "five")), (409, 200));
        assert_eq!(b.noted("carried out").len(), 1);
        assert_eq!(b.ask("GET", "/api/jobs/enabled").status, 200);
        // An import enables all jobs, on whichever of the two it is.
        assert_eq!(order(&a, "disable", 6, "six"), 200);
        assert_eq!(a.ask("GET", "/api/jobs/enabled").status, 409);
        assert_eq!(a.ask("POST", "/api/import").status, 200);
        assert_eq!(a.ask("GET", "/api/jobs/enabled").status, 200);
    }

    #[test]
    fn it_may_begin_each_further_life_with_its_jobs_disabled() {
        let folder = tempfile::tempdir().expect("a folder");
        let [_, mut b] = pair(folder.path(), "--disabled-at-start");
        assert_eq!(order(&b, "enable", 1, "one"), 200);
        b.revive();
        assert_eq!(b.ask("GET", "/api/jobs/enabled").status, 409);
    }

    #[test]
    fn trouble_is_as_ordered_and_an_order_survives_who_gave_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let trouble = folder.path().join("trouble");
        let [a, b] = pair(folder.path(), &format!("--fencing --trouble {}", trouble.display()));
        fs::write(&trouble, r#"{"disable": {"fails": 2}}"#).expect("a file");
        let tries = [(); 3].map(|()| order(&a, "disable", 2, "two"));
        assert_eq!((tries, a.noted("failed").len()), ([503, 503, 200], 2));
        fs::write(&trouble, r#"{"enable": {"before_ms": 300, "after_ms": 60000}}"#)
            .expect("a file");
        let body = "POST /api/jobs/enable HTTP/1.1\r\nhost: b\r\ncontent-length: 0\r\n\r\n";
        let mut stream = std::net::TcpStream::connect(b.address()).expect("a connection");
        std::io::Write::write_all(&mut stream, body.as_bytes()).expect("sent");
        wait_noted(&b, "received", 1);
        drop(stream);
        wait_noted(&b, "carried out", 1);
        assert!(b.noted("answered").is_empty());
        // One that was under way for so long that another came first is too old.
        let slow = r#"{"enable": {"before_ms": 2000}}"#;
        fs::write(&trouble, slow).expect("a file");
        thread::scope(|scope| {
            let late = scope.spawn(|| order(&a, "enable", 3, "three"));
            wait_for(PATIENCE, "it is there", || {
                if a.noted("received").len() == 4 { Ok(()) } else { Err(a.notes()) }
            });
            assert_eq!(order(&a, "disable", 4, "four"), 200);
            assert_eq!(late.join().expect("no panic"), 409);
        });
    }
}

mod cluster_member {
    use super::*;

    fn member(folder: &Path, name: &str) -> Standin {
        let lease = folder.join("lease");
        let arguments =
            format!("--lease {} --promote-after-ms 1500 --promoting-ms 300", lease.display());
        start(folder, "cluster-member", name, &arguments)
    }

    fn role(of: &Standin) -> String {
        let text = of.ask("GET", "/status").text();
        let word = text.split('"').skip_while(|word| *word != "role").nth(2);
        word.unwrap_or_default().to_owned()
    }

    fn wait_role(of: &Standin, wanted: &str) {
        wait_for(PATIENCE, &format!("{} is {wanted}", of.name()), || {
            let is = role(of);
            if is == wanted { Ok(()) } else { Err(is) }
        });
    }

    #[test]
    fn a_standby_promotes_itself_some_time_after_the_active_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut a = member(folder.path(), "a");
        wait_role(&a, "active");
        let b = member(folder.path(), "b");
        wait_role(&b, "standby");
        assert_eq!((a.ask("GET", "/").status, b.ask("GET", "/").status), (200, 503));
        assert_eq!(b.noted("asked too soon").len(), 1);
        let killed_ns = now_ns();
        a.process.kill();
        wait_role(&b, "promoting");
        assert_eq!(b.ask("GET", "/").status, 503);
        wait_role(&b, "active");
        assert_eq!(b.ask("GET", "/").status, 200);
        let after_ns = b.noted("promoting")[0].at_ns - killed_ns;
        assert!(after_ns >= 1_400_000_000, "promoted after {after_ns} ns");
        // Whoever comes back finds that its place is taken.
        a.revive();
        wait_noted(&a, "started", 2);
        assert_eq!((role(&a).as_str(), role(&b).as_str()), ("standby", "active"));
    }

    #[test]
    fn one_that_slept_does_not_think_that_it_is_still_the_active() {
        let folder = tempfile::tempdir().expect("a folder");
        let a = member(folder.path(), "a");
        wait_role(&a, "active");
        let b = member(folder.path(), "b");
        a.process.stop();
        wait_role(&b, "active");
        a.process.resume();
        assert_eq!(role(&a), "standby");
    }
}

mod query_server {
    use super::*;

    fn run(arguments: &str) -> Option<i32> {
        let output = Command::new(program()).args(arguments.split(' ')).output().expect("it runs");
        output.status.code()
    }

    #[test]
    fn a_shut_down_cuts_no_query() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = start(folder.path(), "query-server", "a", "--notice-ms 0");
        let address = server.address();
        let queries = ["/query?id=1&seconds=1.5", "/query?id=2&seconds=1.5&rows=1"];
        let queries =
            queries.map(|query| thread::spawn(move || fetch::get(address, query).expect("done")));
        wait_noted(&server, "began", 2);
        assert_eq!(server.ask("GET", "/alive").header("understudy-drain"), None);
        assert_eq!(server.ask("POST", "/shutdown").status, 202);
        assert_eq!(server.ask("GET", "/alive").header("understudy-drain"), Some("1"));
        wait_for(PATIENCE, "it takes no new queries", || {
            let answer = server.ask("GET", "/query?seconds=0");
            if answer.status == 503 { Ok(()) } else { Err(answer) }
        });
        for query in queries {
            let answer = query.join().expect("no panic");
            assert_eq!(answer.status, 200);
            assert!(answer.text().ends_with("done\n") || answer.text() == "done", "{answer:?}");
        }
        assert_eq!(server.process.wait_exit(PATIENCE).code(), Some(0));
        assert!(server.noted("done").len() >= 2 && server.noted("cut").is_empty());
    }

    #[test]
    fn a_query_that_nobody_waits_for_is_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start(folder.path(), "query-server", "a", "");
        let mut stream = std::net::TcpStream::connect(server.address()).expect("a connection");
        let query = b"GET /query?id=1&seconds=60&rows=1 HTTP/1.1\r\nhost: a\r\n\r\n";
        std::io::Write::write_all(&mut stream, query).expect("sent");
        wait_noted(&server, "began", 1);
        drop(stream);
        wait_noted(&server, "cut", 1);
    }

    #[test]
    fn the_ping_script_finds_what_a_port_check_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = start(folder.path(), "query-server", "a", "--login monitor:secret");
        let ping = |more: &str| run(&format!("ping {more} {}", server.address()));
        assert_eq!(ping("--login monitor:secret --query-seconds 0.01"), Some(0));
        assert_eq!(ping("--login monitor:wrong"), Some(1));
        assert_eq!(ping("--login monitor:secret -q 30 -t 100"), Some(1));
        let _ = server.ask("POST", "/sick");
        assert_eq!(server.ask("GET", "/alive").status, 200);
        assert_eq!(ping("--login monitor:secret"), Some(1));
        let _ = server.ask("POST", "/sick?so=no");
        assert_eq!(ping("--login monitor:secret"), Some(0));
    }

    #[test]
    fn metadata_is_copied_by_the_scripts() {
        let folder = tempfile::tempdir().expect("a folder");
        let a = start(folder.path(), "query-server", "a", "--metadata 7");
        let b = start(folder.path(), "query-server", "b", "");
        let file = folder.path().join("copy");
        let file = file.display();
        assert_eq!(run(&format!("export --from http://{} --to {file}", a.address())), Some(0));
        assert_eq!(run(&format!("import --to http://{} --from {file}", b.address())), Some(0));
        let imported = b.noted("imported");
        assert_eq!((imported[0].number("version"), imported[0].text("from")), (Some(7), "a"));
        assert_eq!(a.noted("exported").len(), 1);
        assert_ne!(run(&format!("import --to http://127.0.0.1:1 --from {file}")), Some(0));
    }
}
