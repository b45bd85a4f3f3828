//! A program that is run to ask after a backend, and what its end means.
//!
//! It gets no shell, no input, and of our environment only `PATH`. Neither it nor what it starts
//! outlives the probe, unless that leaves its process group on purpose.

use std::path::Path;
use std::process::ExitStatus;

use config::model::{BackendAddress, ExecProbe, ExitRule, Wish};
use hooks::{NotStarted, Program, filled, how};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Answer, Excuse};
use crate::prober::Subject;
use crate::report::{Cause, Doubt, Outcome};
use crate::transcript::Transcript;
pub use programs::Programs;
pub(crate) use programs::Queue;

mod programs;

/// Runs the program of the probe `name`, telling it the service's `epoch`. Waits in
/// `queue` for its turn, which lasts until the program is gone. Ends at `deadline` at the latest, and kills the program and
/// its whole process group then, or when it is dropped.
pub(crate) async fn run(
    probe: &ExecProbe,
    name: &str,
    subject: &Subject,
    epoch: u64,
    queue: Queue<'_>,
    deadline: Instant,
    transcript: &mut Transcript,
) -> Answer {
    let time = deadline.saturating_duration_since(Instant::now());
    let Ok(Some(permit)) = timeout_at(deadline, queue.turn()).await else {
        return Outcome::Inconclusive(Doubt::Busy).into();
    };
    let began = Instant::now();
    let left = deadline.saturating_duration_since(began);
    let told = told(name, subject, epoch, left.as_micros().div_ceil(1000));
    transcript.note(|| starting(probe, &told));
    let to_run = to_run(probe, &told);
    let started = timeout_at(deadline, to_run.start(permit)).await;
    let mut process = match started {
        Ok(Ok(process)) => process,
        Ok(Err(why)) => return not_started(why).into(),
        // That is slow for want of memory, or of the disk that the program is on.
        Err(_) => {
            let words = format!("{} was not started in time", program(probe));
            return Outcome::Inconclusive(Doubt::Program(words)).into();
        }
    };
    let ended = process.ended(deadline).await;
    transcript.body(process.written());
    transcript.note(|| {
        let took = began.elapsed().as_secs_f64() * 1e3;
        match &ended {
            Some(Ok(status)) => format!("{} after {took:.2} ms", how(*status)),
            Some(Err(error)) => format!("lost after {took:.2} ms: {error}"),
            None => format!("killed after {took:.2} ms, at its deadline"),
        }
    });
    match ended {
        Some(Ok(status)) => judge(&probe.exit, status, &process.first_line()),
        Some(Err(error)) => {
            Outcome::Inconclusive(Doubt::Program(format!("its end was not seen: {error}"))).into()
        }
        // It might have been in time, had it not waited for others.
        None if left < time / 2 => Outcome::Inconclusive(Doubt::Busy).into(),
        None => Outcome::Fail(Cause::Timeout).into(),
    }
}

/// What a program is told beside `PATH` and what is configured: the name of the variable, its
/// placeholder in arguments if it has one, and its value.
fn told(name: &str, subject: &Subject, epoch: u64, timeout_ms: u128) -> [Told; 8] {
    let url = &subject.destination.url;
    let port = match &url.address {
        BackendAddress::Tcp { port, .. } => port.to_string(),
        BackendAddress::Unix(_) => String::new(),
    };
    let told = |variable, placeholder, value| Told { variable, placeholder, value };
    [
        told("UNDERSTUDY_SERVICE", Some("service"), subject.service.to_string()),
        told("UNDERSTUDY_BACKEND", Some("backend"), subject.backend.to_string()),
        told("UNDERSTUDY_URL", Some("url"), url.to_string()),
        told("UNDERSTUDY_HOST", Some("host"), url.host().to_owned()),
        told("UNDERSTUDY_PORT", Some("port"), port),
        told("UNDERSTUDY_EPOCH", None, epoch.to_string()),
        told("UNDERSTUDY_PROBE", None, name.to_owned()),
        told("UNDERSTUDY_TIMEOUT_MS", Some("timeout_ms"), timeout_ms.to_string()),
    ]
}

#[derive(Debug)]
struct Told {
    variable: &'static str,
    placeholder: Option<&'static str>,
    value: String,
}

fn to_run<'a>(probe: &'a ExecProbe, told: &'a [Told]) -> Program<'a> {
    let values: Vec<_> =
        told.iter().filter_map(|told| Some((told.placeholder?, told.value.clone()))).collect();
    let ours = told.iter().map(|told| (told.variable.into(), (&*told.value).into()));
    let configured =
        probe.environment.iter().map(|(name, value)| ((&**name).into(), (&**value).into()));
    Program {
        command: probe.command.iter().map(|argument| filled(argument, &values)).collect(),
        environment: ours.chain(configured).collect(),
        directory: probe.directory.as_deref().unwrap_or(Path::new("/")),
        output_bytes: probe.output_bytes,
    }
}

/// Arguments and the configured environment may hold secrets.
fn starting(probe: &ExecProbe, told: &[Told]) -> String {
    let mut text = format!("running {}", program(probe));
    match probe.command.len() {
        0 | 1 => {}
        2 => text.push_str(" with an argument"),
        more => text.push_str(&format!(" with {} arguments", more - 1)),
    }
    for Told { variable, value, .. } in told {
        text.push_str(&format!(" {variable}={value}"));
    }
    text
}

fn program(probe: &ExecProbe) -> &str {
    probe.command.first().map_or("", |program| program)
}

/// What it means that there is no program to judge.
fn not_started(why: NotStarted) -> Outcome {
    match why {
        NotStarted::Exhausted(words) => Outcome::Inconclusive(Doubt::Exhausted(words)),
        NotStarted::BeingWritten(words) => Outcome::Inconclusive(Doubt::Program(words)),
        NotStarted::Impossible(words) => Outcome::Fail(Cause::Program(words)),
    }
}

/// What an end means.
fn judge(rule: &ExitRule, status: ExitStatus, first_line: &str) -> Answer {
    let words = || match first_line {
        "" => how(status).into_owned(),
        line => format!("{}: {line}", how(status)),
    };
    let is_in = |codes: &[u8]| {
        status.code().is_some_and(|code| codes.iter().any(|listed| i32::from(*listed) == code))
    };
    if is_in(&rule.drain) {
        Answer { wish: Some(Wish::Drain), ..Outcome::Pass.into() }
    } else if is_in(&rule.pass) {
        // One that could ask for a drain and does not takes back what it asked for before.
        let wish = (!rule.drain.is_empty()).then_some(Wish::Serve);
        Answer { wish, ..Outcome::Pass.into() }
    } else if is_in(&rule.inconclusive) {
        Outcome::Inconclusive(Doubt::Program(words())).into()
    } else {
        let answer = Answer::failed(Cause::Program(words()));
        // It has most likely asked over the network, with a deadline of its own, and what stalls us
        // stalls it as well.
        Answer { excuse: Excuse { network: true, delay: true }, ..answer }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn probe() -> ExecProbe {
        ExecProbe {
            command: vec!["/opt/ping".into(), "--password=hunter2".into()],
            environment: vec![("PING_LOGIN".into(), "hunter2".into())],
            directory: None,
            output_bytes: 64,
            exit: ExitRule { pass: vec![0, 1], drain: vec![4], inconclusive: vec![75] },
            at_a_time: 1,
        }
    }

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn exit_codes_mean_what_the_rule_says() {
        let rule = probe().exit;
        let judged = |status| judge(&rule, status, "why");
        for code in [0, 1] {
            let answer = judged(exited(code));
            assert_eq!((answer.outcome, answer.wish), (Outcome::Pass, Some(Wish::Serve)));
        }
        let answer = judged(exited(4));
        assert_eq!((answer.outcome, answer.wish), (Outcome::Pass, Some(Wish::Drain)));
        for (status, outcome) in [
            (exited(75), Outcome::Inconclusive(Doubt::Program("exit code 75: why".to_owned()))),
            (exited(2), Outcome::Fail(Cause::Program("exit code 2: why".to_owned()))),
            (
                ExitStatus::from_raw(11),
                Outcome::Fail(Cause::Program("killed by signal 11 (SIGSEGV): why".to_owned())),
            ),
        ] {
            assert_eq!(judged(status).outcome, outcome);
        }
    }

    #[test]
    fn a_program_that_cannot_ask_for_a_drain_says_nothing_on_it() {
        let rule = ExitRule { drain: Vec::new(), ..probe().exit };
        assert_eq!(judge(&rule, exited(0), ""), Outcome::Pass.into());
        let failed = judge(&rule, exited(4), "");
        assert_eq!(failed.outcome, Outcome::Fail(Cause::Program("exit code 4".to_owned())));
        assert_eq!(failed.wish, None);
        assert!(failed.excuse.network, "it may be that we are cut off");
        assert!(failed.excuse.delay, "or that it was stalled with us");
    }

    #[test]
    fn what_we_lack_says_nothing_of_the_backend() {
        let words = || "/opt/ping: why".to_owned();
        for (why, outcome) in [
            (NotStarted::Exhausted(words()), Outcome::Inconclusive(Doubt::Exhausted(words()))),
            (NotStarted::BeingWritten(words()), Outcome::Inconclusive(Doubt::Program(words()))),
            (NotStarted::Impossible(words()), Outcome::Fail(Cause::Program(words()))),
        ] {
            assert_eq!(not_started(why), outcome);
        }
    }

    #[test]
    fn what_is_shown_of_a_start_has_no_secrets() {
        let told =
            Told { variable: "UNDERSTUDY_PORT", placeholder: Some("port"), value: "80".to_owned() };
        let shown = starting(&probe(), &[told]);
        assert_eq!(shown, "running /opt/ping with an argument UNDERSTUDY_PORT=80");
    }
}
