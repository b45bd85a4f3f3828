//! Gates that are programs, and a balancer that is killed in the middle of each: what may run twice is run
//! again by the next life, and of everything else an operator has to say how it ended.

use std::collections::BTreeSet;
use std::fs;

use benches::condition::wait_for;
use benches::script;
use benches::understudy::Understudy;
use standins::Standin;

use crate::house::{House, backends};
use crate::stage::{PATIENCE, alone};

const GATES: [&str; 3] = ["fence", "promote", "verify"];

/// Two schedulers, as anybody would do, and a program for all gates. It notes what it is called for, and
/// ends when it may.
struct Desk {
    house: House,
    pair: [Standin; 2],
    balancer: Option<Understudy>,
}

impl Desk {
    fn new(idempotent: bool) -> Self {
        let house = House::among_others();
        let here = house.path().display();
        let text = format!(
            "#!/bin/sh\ncd {here}\necho \"$UNDERSTUDY_GATE $UNDERSTUDY_BACKEND $UNDERSTUDY_ID\" >> log\n\
             while [ -e \"wait-$UNDERSTUDY_GATE\" ]; do sleep 0.02; done\n"
        );
        script::write(&house.file("gate.sh"), &text);
        let start = |name: &str| {
            let state = house.file(&format!("{name}.state"));
            house.standin("scheduler", name, &format!("--state {}", state.display()))
        };
        let pair = ["a", "b"].map(start);
        let gates: String = GATES
            .iter()
            .map(|gate| {
                format!(
                    "        {gate}: {{ exec: {{ command: [\"{here}/gate.sh\"] }}, deadline: 20s, \
                     idempotent: {idempotent} }}\n"
                )
            })
            .collect();
        let balancer = house.open(&format!(
            "services:\n  web:\n    backends:\n{}    health: {{ http: {{ path: /ping }}, interval: 100ms, \
             confirm_interval: 20ms, rise: 2, fall: 2 }}\n    failback: manual\n    \
             hold: {{ timeout: 2m }}\n    gates:\n      failover:\n{gates}",
            backends("http", &[&pair[0], &pair[1]])
        ));
        balancer.wait_active("a");
        house.done("wait --healthy b --timeout 20s");
        Self { house, pair, balancer: Some(balancer) }
    }

    /// What was called: gate, backend and the run's id.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.house.file("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until this gate has been called so often in all.
    fn wait_called(&self, gate: &str, count: usize) {
        wait_for(PATIENCE, &format!("{gate} is called"), || {
            let log = self.log();
            let called = log.iter().filter(|line| line.starts_with(gate)).count();
            if called >= count { Ok(()) } else { Err(log) }
        });
    }

    /// Kills `a`, and the balancer while this gate runs on the way to `b`, and starts it again. The program
    /// goes on, and ends.
    fn killed_in(&mut self, gate: &str) {
        let wait = self.house.file(&format!("wait-{gate}"));
        fs::write(&wait, "").expect("a file");
        self.pair[0].process.kill();
        self.wait_called(gate, 1);
        self.balancer.take().expect("it runs").process.kill();
        fs::remove_file(wait).expect("it was there");
        self.balancer = Some(self.house.open_again());
    }

    fn balancer(&self) -> &Understudy {
        self.balancer.as_ref().expect("it runs")
    }
}

#[test]
fn a_program_that_may_not_run_twice_does_not_and_the_service_waits_for_a_word() {
    let _alone = alone();
    for gate in GATES {
        let mut desk = Desk::new(false);
        desk.killed_in(gate);
        desk.balancer().wait_service("the gate is in doubt", |service| {
            service["gate"]["in_doubt"] == true && service["gate"]["gate"] == gate
        });
        let said = desk.house.cli("status").out;
        assert!(said.contains("in doubt") && said.contains(gate), "{said}");
        assert_eq!(desk.balancer().active(), None, "{gate}");
        desk.house.done("gate done --reason looked");
        desk.house.done("wait --active b --timeout 20s");
        // After a restart the move is planned anew, under another epoch: what the heir has not passed to
        // its end then comes again, with another id.
        let called = desk.log();
        let of_it = called.iter().filter(|line| line.starts_with(gate)).count();
        assert!(of_it == 1 || gate == "promote", "killed in {gate}: {called:?}");
        assert_eq!(distinct(&called), called.len(), "killed in {gate}: {called:?}");
        assert!(called.last().is_some_and(|last| last.starts_with("verify")), "{called:?}");
    }
}

#[test]
fn a_program_that_may_run_twice_is_run_again_under_the_same_id() {
    let _alone = alone();
    for gate in GATES {
        let mut desk = Desk::new(true);
        desk.killed_in(gate);
        desk.house.done("wait --active b --timeout 20s");
        let called = desk.log();
        let first = called.iter().find(|line| line.starts_with(gate)).expect("it was called");
        let again = called.iter().filter(|line| *line == first).count();
        assert_eq!(again, 2, "killed in {gate}: {called:?}");
        assert_eq!(distinct(&called), called.len() - 1, "killed in {gate}: {called:?}");
        assert!(called.last().is_some_and(|last| last.starts_with("verify")), "{called:?}");
    }
}

/// How many different runs there were.
fn distinct(called: &[String]) -> usize {
    called.iter().collect::<BTreeSet<_>>().len()
}
