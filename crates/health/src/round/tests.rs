use std::sync::Arc;

use config::model::{AgentProbe, ExecProbe, ExitRule, ProbeKind, Role, TcpProbe, Wish};

use super::*;
use crate::answer::Excuse;
use crate::report::Cause;

fn probe(name: &str, level: Level) -> Probe {
    let kind = ProbeKind::Tcp(TcpProbe::default());
    Probe { name: name.into(), level, kind, interval: None, timeout: None }
}

fn health(probes: Vec<Probe>) -> Health {
    let second = Duration::from_secs(1);
    Health {
        probes,
        quorum: None,
        tls: None,
        interval: second,
        timeout: second,
        confirm_interval: second / 10,
        stall_after: second,
        errors: None,
    }
}

fn round(answers: Vec<Option<Answer>>) -> Round {
    let part = |answer: Option<Answer>| match answer {
        Some(answer) => {
            Part::Ended(Ended { answer, heard: Heard::default(), took: Duration::ZERO })
        }
        None => Part::Pending,
    };
    let parts = answers.into_iter().map(part).collect();
    Round { started: Instant::now(), took: Duration::ZERO, parts, cut_off: CutOff::No }
}

fn fail(cause: Cause) -> Option<Answer> {
    Some(Answer::failed(cause))
}

fn pass() -> Answer {
    Outcome::Pass.into()
}

#[test]
fn a_failure_names_its_probe_where_there_are_several() {
    let one = health(vec![probe("query", Level::Ready)]);
    let report = round(vec![fail(Cause::Status(503))]).report(1, &one, Late::No);
    assert_eq!(report.outcome, Outcome::Fail(Cause::Status(503)));
    assert_eq!(report.blamed, None, "there is no other");

    let two = health(vec![probe("port", Level::Alive), probe("query", Level::Ready)]);
    let report = round(vec![Some(pass()), fail(Cause::Status(503))]).report(1, &two, Late::No);
    assert_eq!(report.outcome, Outcome::Fail(Cause::Status(503)));
    assert_eq!(report.blamed.as_deref(), Some("query"));
    let names: Vec<_> = report.checks.iter().map(|check| Arc::clone(&check.name)).collect();
    assert_eq!(names, ["port".into(), Arc::<str>::from("query")]);
    assert_eq!(report.checks[1].outcome, Outcome::Fail(Cause::Status(503)), "as it was");
}

#[test]
fn it_is_alive_as_long_as_it_answers_or_its_alive_probes_pass() {
    use Level::{Alive, Ready};
    for (levels, answers, expected) in [
        (&[Ready][..], vec![fail(Cause::Timeout)], false),
        (&[Ready], vec![fail(Cause::Status(503))], true),
        (&[Ready], vec![Some(pass())], true),
        (&[Ready, Ready], vec![fail(Cause::Timeout), fail(Cause::Status(503))], true),
        (&[Ready, Ready], vec![fail(Cause::Timeout), Some(pass())], false),
        (&[Alive, Ready], vec![Some(pass()), fail(Cause::Timeout)], true),
        (&[Alive, Ready], vec![fail(Cause::Status(500)), None], false),
        (&[Alive, Ready], vec![fail(Cause::Timeout), fail(Cause::Status(503))], false),
    ] {
        let health = health(levels.iter().map(|level| probe("x", *level)).collect());
        let report = round(answers).report(1, &health, Late::No);
        assert_eq!(report.is_alive, expected, "{:?}", report.checks);
    }
}

#[test]
fn what_a_program_or_an_agent_says_does_not_show_that_it_answers() {
    let exec = ExecProbe {
        command: vec!["true".into()],
        environment: Vec::new(),
        directory: None,
        output_bytes: 0,
        exit: ExitRule { pass: vec![0], drain: Vec::new(), inconclusive: Vec::new() },
        at_a_time: 1,
    };
    let program = || Probe { kind: ProbeKind::Exec(exec.clone()), ..probe("script", Level::Ready) };
    let failed = || fail(Cause::Program("exit 1".to_owned()));
    let alive = |probes, answers| {
        let report = round(answers).report(1, &health(probes), Late::No);
        assert!(matches!(report.outcome, Outcome::Fail(_)), "{:?}", report.outcome);
        report.is_alive
    };
    let http = || probe("port", Level::Ready);
    assert!(!alive(vec![program()], vec![failed()]));
    assert!(alive(vec![program(), http()], vec![failed(), Some(pass())]), "it has just answered");
    assert!(!alive(vec![program(), http()], vec![failed(), None]));
    assert!(!alive(vec![program(), http()], vec![Some(pass()), fail(Cause::Timeout)]));
    assert!(!Cause::Agent("down".to_owned()).answers());
}

#[test]
fn what_may_be_our_own_fault_is_no_failure_and_what_may_not_is() {
    use Level::{Alive, Ready};
    let both = health(vec![probe("port", Alive), probe("query", Ready)]);
    let silent = || fail(Cause::Timeout);
    let report = round(vec![silent(), None]).report(1, &both, Late::Yes);
    assert_eq!(report.outcome, Outcome::Inconclusive(Doubt::Late));
    let mut cut_off = round(vec![silent(), None]);
    cut_off.cut_off = CutOff::Yes;
    let report = cut_off.report(1, &both, Late::No);
    assert_eq!(report.outcome, Outcome::Inconclusive(Doubt::CutOff));

    let mut firm = round(vec![silent(), fail(Cause::Status(503))]);
    firm.cut_off = CutOff::Yes;
    let report = firm.report(1, &both, Late::Yes);
    assert_eq!(report.outcome, Outcome::Fail(Cause::Status(503)));
    assert_eq!(report.blamed.as_deref(), Some("query"));
    let refused = Answer { excuse: Excuse::default(), ..Answer::failed(Cause::Refused("".into())) };
    let mut refused = round(vec![Some(refused), None]);
    refused.cut_off = CutOff::Yes;
    let outcome = refused.report(1, &both, Late::Yes).outcome;
    assert!(matches!(outcome, Outcome::Fail(Cause::Refused(_))), "{outcome:?}");
}

#[test]
fn of_several_claims_the_careful_one_counts_and_that_of_a_failed_probe_does_not() {
    let mut three = health(["a", "b", "c"].map(|name| probe(name, Level::Ready)).into());
    three.quorum = Some(2);
    let claims = |role, wish| Answer { role, wish, ..pass() };
    let fenced = Answer { role: Some(Role::Fenced), ..Answer::failed(Cause::Timeout) };
    let answers = vec![
        Some(claims(Some(Role::Active), Some(Wish::Drain))),
        Some(claims(Some(Role::Standby), Some(Wish::Serve))),
        Some(fenced),
    ];
    let report = round(answers).report(1, &three, Late::No);
    assert_eq!(report.outcome, Outcome::Pass);
    assert_eq!((report.role, report.wish), (Some(Role::Standby), Some(Wish::Drain)));
}

fn agent() -> Probe {
    let agent = AgentProbe { host: None, port: 1, send: "".into() };
    Probe { kind: ProbeKind::Agent(agent), ..probe("agent", Level::Ready) }
}

#[test]
fn an_agent_that_says_nothing_is_no_failure() {
    let silent = || Some(Outcome::Inconclusive(Doubt::Silent).into());
    let two = health(vec![probe("http", Level::Ready), agent()]);
    let report = round(vec![Some(pass()), silent()]).report(1, &two, Late::No);
    assert_eq!(report.outcome, Outcome::Pass);
    let alone = health(vec![agent()]);
    let report = round(vec![silent()]).report(1, &alone, Late::No);
    assert_eq!(report.outcome, Outcome::Inconclusive(Doubt::Silent));
}

#[test]
fn a_silent_agent_still_asks_for_what_it_asked_for() {
    let two = health(vec![probe("http", Level::Ready), agent()]);
    let http = Answer { wish: Some(Wish::Serve), ..pass() };
    let silent = Outcome::Inconclusive(Doubt::Silent);
    let silent = Answer { wish: Some(Wish::Maintenance), ..silent.into() };
    let report = round(vec![Some(http), Some(silent)]).report(1, &two, Late::No);
    assert_eq!((report.outcome, report.wish), (Outcome::Pass, Some(Wish::Maintenance)));
}

#[test]
fn an_agent_has_no_place_in_a_quorum_and_its_down_overrules_it() {
    let mut three = health(vec![probe("a", Level::Ready), probe("b", Level::Ready), agent()]);
    three.quorum = Some(1);
    let failed = || fail(Cause::Status(503));
    let said = |agent, answers: [Option<Answer>; 2]| {
        let answers = answers.into_iter().chain([agent]).collect();
        round(answers).report(1, &three, Late::No).outcome
    };
    let up = said(Some(pass()), [failed(), failed()]);
    assert!(matches!(up, Outcome::Fail(_)), "its word is no vote: {up:?}");
    assert_eq!(said(Some(pass()), [Some(pass()), failed()]), Outcome::Pass);
    let down = said(fail(Cause::Agent("down".to_owned())), [Some(pass()), Some(pass())]);
    assert_eq!(down, Outcome::Fail(Cause::Agent("down".to_owned())));
}
