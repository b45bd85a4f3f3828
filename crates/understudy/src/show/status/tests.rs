//! What `status` shows, text for text.

use admin::wire::{Check, DualActive, Failback, LastProbe, Load, Role, Scheduled, Switching};

use super::*;

/// A service `web` on its primary `a`, with a standby `b`, where all is well.
pub(crate) fn service() -> Service {
    let probe = LastProbe {
        outcome: "pass".to_owned(),
        took_ms: 0.834,
        ago_seconds: 0.42,
        alive: true,
        checks: Vec::new(),
    };
    let backend = |name: &str, active, in_flight| Backend {
        name: name.to_owned(),
        url: format!("http://10.0.0.{in_flight}:8080"),
        health: Health::Up,
        admin: AdminState::Ready,
        active,
        eligible_for_seconds: Some(3720.0),
        in_flight,
        role: None,
        wish: None,
        clock_ahead_seconds: None,
        last_probe: Some(probe.clone()),
        last_verdict_ago_seconds: Some(0.42),
        undecided: None,
        standing: None,
        barred: false,
        readiness: None,
    };
    Service {
        jobs: Vec::new(),
        name: "web".to_owned(),
        active: Some("a".to_owned()),
        epoch: 7,
        since_seconds: 3720.0,
        on_primary: true,
        pinned: false,
        locked: false,
        hold_down_seconds: Some(30.0),
        flaps: 0,
        dual_active: None,
        failback_due_in_seconds: None,
        failback: None,
        switching: None,
        gates: None,
        gate: None,
        verifying_for_seconds: None,
        drill: None,
        scheduled: None,
        drift: Vec::new(),
        load: Load { in_flight: 12, ..Load::default() },
        backends: vec![backend("a", true, 12), backend("standby", false, 0)],
    }
}

/// The same after a failover: `a` is down, and `standby` serves.
fn failed_over() -> Service {
    let mut service = Service {
        active: Some("standby".to_owned()),
        epoch: 8,
        since_seconds: 42.0,
        on_primary: false,
        failback: Some(Failback {
            to: "a".to_owned(),
            due_in_seconds: Some(11.2),
            waits_for: Vec::new(),
        }),
        ..service()
    };
    service.backends[0].active = false;
    service.backends[1].active = true;
    service
}

fn operator(why: &str) -> Operator {
    Operator {
        who: "alice".to_owned(),
        from: "unix socket, pid 17".to_owned(),
        why: why.to_owned(),
    }
}

fn view() -> View {
    View { colour: Colour::Never, zone: TimeZone::UTC, age: 0.0 }
}

fn shown(service: &Service) -> String {
    render(&[service], &kept(), &view())
}

fn lines(service: &Service) -> Vec<String> {
    shown(service).lines().map(str::to_owned).collect()
}

#[test]
fn on_the_primary() {
    let expected = "\
web: a is active (primary) for 1 h 2 min, epoch 7, 12 in flight
  * a        http://10.0.0.12:8080  up  ready  12 in flight  pass, 0.83 ms, 0.4 s ago
    standby  http://10.0.0.0:8080   up  ready  0 in flight   pass, 0.83 ms, 0.4 s ago
";
    assert_eq!(shown(&service()), expected);
}

#[test]
fn on_a_standby_with_the_countdown() {
    let expected = "\
web: standby is active (standby) for 42 s, epoch 8, 12 in flight
  back to a in 12 s
    a        http://10.0.0.12:8080  up  ready  12 in flight  pass, 0.83 ms, 0.4 s ago
  * standby  http://10.0.0.0:8080   up  ready  0 in flight   pass, 0.83 ms, 0.4 s ago
";
    assert_eq!(shown(&failed_over()), expected);
    let later = View { age: 5.0, ..view() };
    let later = render(&[&failed_over()], &kept(), &later);
    assert!(later.starts_with("web: standby is active (standby) for 47 s"), "{later}");
    assert!(later.contains("\n  back to a in 7 s\n"), "{later}");
    assert!(later.contains(", 5.4 s ago\n"), "{later}");
}

#[test]
fn why_it_does_not_go_back() {
    let waiting = |due, waits_for: &[&str]| {
        let waits_for = waits_for.iter().map(ToString::to_string).collect();
        let failback = Failback { to: "a".to_owned(), due_in_seconds: due, waits_for };
        lines(&Service { failback: Some(failback), ..failed_over() })[1].clone()
    };
    assert_eq!(waiting(None, &["a is down"]), "  not back to a now: a is down");
    assert_eq!(
        waiting(None, &["it is pinned", "it is locked"]),
        "  not back to a now: it is pinned; it is locked"
    );
    assert_eq!(
        waiting(Some(9.0), &["3 more passes"]),
        "  back to a in 9 s at the earliest: 3 more passes"
    );
    assert_eq!(waiting(None, &[]), "  not back to a by itself");
}

#[test]
fn nobody_active() {
    let mut service = failed_over();
    service.active = None;
    service.failback = None;
    service.load = Load { in_flight: 17, held: 17, ..Load::default() };
    for backend in &mut service.backends {
        backend.active = false;
        backend.health = Health::Down;
    }
    service.backends[0].last_probe = Some(LastProbe {
        outcome: "connection\nrefused\x1b[2J".to_owned(),
        took_ms: 1200.0,
        ago_seconds: 2.0,
        alive: false,
        checks: Vec::new(),
    });
    service.backends[1].health = Health::Unknown;
    service.backends[1].last_probe = None;
    let expected = "\
web: nobody is active for 42 s, epoch 8, 17 in flight, 17 held
    a        http://10.0.0.12:8080  down     ready  12 in flight  connection refused?[2J, 1.2 s, 2 s ago
    standby  http://10.0.0.0:8080   unknown  ready  0 in flight   not probed yet
";
    assert_eq!(shown(&service), expected);
}

#[test]
fn what_operators_did() {
    let mut service = failed_over();
    service.pinned = true;
    service.locked = true;
    service.backends[0].admin = AdminState::Maintenance;
    service.scheduled = Some(Scheduled {
        to: "a".to_owned(),
        at: "2026-11-28T01:30:00Z".parse().expect("a time"),
        in_seconds: 7800.0,
        by: operator(""),
    });
    service.drift = vec![Drift {
        what: "admin state of a".to_owned(),
        file: "ready".to_owned(),
        now: "maintenance".to_owned(),
        since: "2026-11-27T23:20:00Z".parse().expect("a time"),
        since_seconds: 600.0,
        by: operator("disk swap"),
    }];
    let expected = "\
web: standby is active (standby) for 42 s, epoch 8, 12 in flight
  locked: no automatic moves, not even a failover, until `unlock`
  pinned: stays where it is while that is eligible, until `unpin`
  back to a in 12 s
  scheduled: to a at 2026-11-28 01:30:00 +00:00, in 2 h 10 min, by alice
  differs from the file: admin state of a: maintenance (file: ready), for 10 min, by alice: \"disk swap\"
    a        http://10.0.0.12:8080  up  maintenance  12 in flight  pass, 0.83 ms, 0.4 s ago
  * standby  http://10.0.0.0:8080   up  ready        0 in flight   pass, 0.83 ms, 0.4 s ago
";
    assert_eq!(shown(&service), expected);
}

#[test]
fn what_is_under_way() {
    let drill = |tag: Option<&str>| {
        let tag = tag.map(str::to_owned);
        Some(admin::wire::Drill { backend: "a".to_owned(), tag, ends_in_seconds: 24.6 })
    };
    let moving = Service {
        switching: Some(Switching {
            to: "a".to_owned(),
            reason: "switchover".to_owned(),
            since_seconds: 0.3,
        }),
        verifying_for_seconds: Some(8.0),
        drill: drill(None),
        ..failed_over()
    };
    assert_eq!(
        lines(&moving)[1..4],
        [
            "  moving to a (switchover) for 0.3 s",
            "  watched for 8 s more; taken back if it does not work out",
            "  drill: a is treated as failed for 25 s more",
        ]
    );
    let tagged = Service { drill: drill(Some("x-drill: 1")), ..service() };
    assert_eq!(lines(&tagged)[1], "  drill: requests with x-drill: 1 go to a for 25 s more");
}

#[test]
fn several_services_and_the_process() {
    let process = Process {
        state_dir: Some("/var/lib/understudy".to_owned()),
        state_problem: Some("read-only: decisions are kept in memory".to_owned()),
        drift: vec!["workers: 4 in the file, 2 running".to_owned()],
        predecessor: true,
        ..Process::default()
    };
    let api = Service { name: "api".to_owned(), ..service() };
    let text = render(&[&service(), &api], &process, &view());
    let (first, rest) = text.split_once("\n\n").expect("an empty line");
    let (second, about) = rest.split_once("\n\n").expect("an empty line");
    assert_eq!(format!("{first}\n"), shown(&service()));
    assert_eq!(format!("{second}\n"), shown(&api));
    let expected = "\
state: read-only: decisions are kept in memory
differs from the file: workers: 4 in the file, 2 running
the process before this one still finishes its requests
";
    assert_eq!(about, expected);
}

#[test]
fn colour_adds_nothing_but_colour() {
    let mut coloured =
        render(&[&failed_over()], &kept(), &View { colour: Colour::Always, ..view() });
    assert!(coloured.contains("\x1b[33mstandby is active (standby)\x1b[0m"), "{coloured}");
    for code in ["1", "2", "32", "33", "1;31", "0"] {
        coloured = coloured.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(coloured, shown(&failed_over()));
}

#[test]
fn a_summary_changes_only_when_something_has() {
    let mut older = failed_over();
    older.since_seconds += 5.0;
    older.load.in_flight += 1;
    assert_eq!(summary(&failed_over()), "web: standby is active (standby), a up, standby up");
    assert_eq!(summary(&older), summary(&failed_over()));
    let mut drained = Service { pinned: true, ..failed_over() };
    drained.backends[0].admin = AdminState::Drain;
    drained.backends[0].health = Health::Down;
    assert_eq!(
        summary(&drained),
        "web: standby is active (standby), pinned, a down in drain, standby up"
    );
}

/// A process that keeps its decisions.
fn kept() -> Process {
    Process { state_dir: Some("/var/lib/understudy".to_owned()), ..Process::default() }
}

#[test]
fn without_a_state_dir_it_says_that_a_restart_forgets() {
    let text = render(&[&service()], &Process::default(), &view());
    assert!(text.ends_with("\n\nno state_dir: decisions are in memory, a restart forgets them\n"));
}

#[test]
fn a_locked_service_without_an_active_says_that_nobody_takes_over() {
    let locked = Service { locked: true, active: None, on_primary: false, ..service() };
    let text = shown(&locked);
    assert!(
        text.contains("locked: nobody takes over by itself; `unlock`, or `switchover"),
        "{text}"
    );
}

fn readiness(reasons: &[&str], notes: &[&str]) -> Option<Readiness> {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let ready = reasons.is_empty();
    Some(Readiness { ready, reasons: owned(reasons), notes: owned(notes) })
}

#[test]
fn whether_a_standby_is_ready_and_why_not() {
    let mut service = service();
    service.backends[1].readiness = readiness(&[], &[]);
    let text = shown(&service);
    assert!(text.ends_with("pass, 0.83 ms, 0.4 s ago  ready to take over\n"), "{text}");
    service.backends[1].readiness = readiness(&[], &["it promotes itself"]);
    let text = shown(&service);
    assert!(text.ends_with("  ready to take over: it promotes itself\n"), "{text}");
    let why = ["its clock is 9 s ahead", "it is fenced"];
    service.backends[1].readiness = readiness(&why, &[]);
    let lines = lines(&service);
    assert_eq!(lines[1], "  standby is not ready: its clock is 9 s ahead; it is fenced");
    assert!(lines[3].ends_with("  not ready to take over"), "{lines:?}");
}

#[test]
fn a_backend_that_has_had_no_verdict_for_long_is_named() {
    let mut service = service();
    service.backends[0].undecided = Some("inconclusive: too many programs run already".to_owned());
    service.backends[0].last_verdict_ago_seconds = Some(12.0);
    let said = "  a: no verdict for 12 s: inconclusive: too many programs run already";
    assert_eq!(lines(&service)[1], said);
    service.backends[0].last_verdict_ago_seconds = None;
    assert!(lines(&service)[1].starts_with("  a: no verdict yet: inconclusive"));
}

#[test]
fn what_backends_say_of_themselves_has_a_column_when_any_says_something() {
    let mut service = service();
    service.backends[0].role = Some(Role::Active);
    service.backends[0].wish = Some(Wish::Drain);
    service.backends[1].role = Some(Role::Active);
    service.dual_active = Some(DualActive {
        backends: vec!["a".to_owned(), "standby".to_owned()],
        since_seconds: 3.0,
        accepted: false,
    });
    let expected = "\
web: a is active (primary) for 1 h 2 min, epoch 7, 12 in flight
  a and standby claim the active role, for 3 s: no automatic moves until that is over, or `unlock`
  * a        http://10.0.0.12:8080  up  ready  active, asks for a drain  12 in flight  pass, 0.83 ms, 0.4 s ago
    standby  http://10.0.0.0:8080   up  ready  active                    0 in flight   pass, 0.83 ms, 0.4 s ago
";
    assert_eq!(shown(&service), expected);
    let said = summary(&service);
    assert!(said.contains(", two claim the active role, "), "{said}");
}

#[test]
fn which_probe_of_several_failed() {
    let mut service = service();
    let check = |name: &str, outcome: &str| Check {
        name: name.to_owned(),
        level: "ready".to_owned(),
        outcome: outcome.to_owned(),
        took_ms: 1.0,
    };
    let probe = service.backends[0].last_probe.as_mut().expect("one");
    probe.checks = vec![check("page", "answered 503")];
    assert_eq!(lines(&service).len(), 3, "one alone is in the row");
    let probe = service.backends[0].last_probe.as_mut().expect("one");
    probe.checks = vec![check("port", "pass"), check("page", "answered 503")];
    assert_eq!(lines(&service)[1], "  a: probe page (ready): answered 503");
}

#[test]
fn whether_we_are_cut_off() {
    let process = Process { witnesses: 2, cut_off_for_seconds: Some(4.0), ..kept() };
    let text = render(&[&service()], &process, &view());
    let said = "\n\ncut off: none of the 2 witnesses answers, for 4 s; every decision holds\n";
    assert!(text.ends_with(said), "{text}");
}
