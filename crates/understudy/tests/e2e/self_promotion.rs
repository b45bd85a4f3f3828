//! Members that watch each other and promote themselves, five seconds after the active has gone. The
//! balancer does not promote anybody: it waits, and whoever asks waits with it. `claims.rs` has the ways
//! in which backends can say which part they play; here they play it.

use benches::load::{Load, Plan};
use benches::understudy::Understudy;
use standins::Standin;

use crate::house::{House, backends, wait_noted};
use crate::stage::{assert_none_failed, wait_role, wait_served};

/// How long a standby waits; the default of the product is 20 s.
const PROMOTE_AFTER_MS: u64 = 5000;

/// Three members, of which `a` is the active.
struct Group {
    understudy: Understudy,
    a: Standin,
    standbys: [Standin; 2],
    // Last: the next test begins when all the others are gone.
    house: House,
}

impl Group {
    fn new() -> Self {
        let house = House::new();
        let start = |name: &str| {
            let lease = house.file("lease");
            let arguments =
                format!("--lease {} --promote-after-ms {PROMOTE_AFTER_MS}", lease.display());
            house.standin("cluster-member", name, &arguments)
        };
        let a = start("a");
        wait_noted(&a, "active", 1);
        let standbys = ["b", "c"].map(start);
        let [b, c] = &standbys;
        let understudy = house.open(&format!(
            "services:\n  group:\n    backends:\n{}    health:\n      \
             http: {{ path: /status, role: {{ by: {{ pointer: /role }} }} }}\n      \
             interval: 100ms\n      confirm_interval: 20ms\n      rise: 2\n      fall: 2\n    \
             hold: {{ timeout: 30s }}\n",
            backends("http", &[&a, b, c])
        ));
        house.done("wait --active a --timeout 20s");
        wait_role(&understudy, "b", "standby");
        wait_role(&understudy, "c", "standby");
        Self { understudy, a, standbys, house }
    }
}

#[test]
fn requests_wait_until_a_standby_has_promoted_itself_and_none_reaches_one_that_has_not() {
    let mut group = Group::new();
    let understudy = &group.understudy;
    let load = Load::start(Plan::gets(understudy.address(), 100));
    wait_served(&load, "a", 100);
    group.a.process.kill();
    understudy.wait_service("nobody is active", |service| service["active"].is_null());
    // It is one of the two, whoever looks first.
    understudy.wait_service("one has promoted itself", |service| !service["active"].is_null());
    let successor = understudy.active().expect("an active");
    wait_served(&load, &successor, 200);
    let report = load.finish();
    eprintln!("self-promotion: {report}");
    assert_none_failed(&report);
    let served: Vec<_> = report.origins().into_iter().map(|(name, _)| name).collect();
    assert_eq!(served, ["a", &*successor]);
    let refused = understudy.metrics().sum("understudy_requests_rejected_total", &[]);
    assert!(refused == 0.0, "{refused} were refused");
    for standby in &group.standbys {
        assert_eq!(
            standby.noted("asked too soon"),
            [],
            "{} had not promoted itself",
            standby.name()
        );
    }
    assert!(group.house.events("dual_active").is_empty());

    // Whoever comes back is a standby, and stays one: the balancer does not move the service to it.
    group.a.revive();
    wait_role(understudy, "a", "standby");
    assert_eq!(understudy.active(), Some(successor));
    assert_eq!(group.a.noted("asked too soon"), []);
}
