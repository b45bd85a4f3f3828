//! A program that probes: the section `exec`.

use std::path::Path;

use crate::defaults;
use crate::kinds::{count, secret_text, size};
use crate::model::{ExecProbe, ExitRule};
use crate::problem::quoted;
use crate::program::{command, environment, folder, located, parse_variable};
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};

/// More would only be kept to be thrown away.
const MOST_OUTPUT: usize = 1 << 20;
/// More programs for one backend at a time than this are no probe but load.
const MOST_AT_A_TIME: usize = 16;

/// `None` when its command could not be read. File names are relative to `base`.
pub(super) fn exec_probe(section: &mut Section<'_>, base: &Path) -> Option<ExecProbe> {
    section.secret("environment");
    let command = section.required(
        "command",
        "Program and arguments, no shell; `{url}`, `{host}`, `{port}`, `{service}`, `{backend}` and `{timeout_ms}` are replaced",
        command(|_| Ok(())),
    );
    let environment = section
        .optional("environment", "Its environment, beside `PATH` and `UNDERSTUDY_*`", |value| {
            environment(value, secret_text("a text", parse_variable))
        })
        .unwrap_or_default();
    let directory = section.or(
        "directory",
        "Its working directory, relative to the folder of the config",
        defaults::EXEC_DIRECTORY,
        folder(base),
    );
    let output_bytes = section.or(
        "output_bytes",
        "Most bytes of its output that are kept",
        defaults::EXEC_OUTPUT,
        size(0..=MOST_OUTPUT),
    );
    let exit = section.section("exit", "What its exit codes mean; any other fails", exit);
    let at_a_time = section.or(
        "at_a_time",
        "How many may run at a time for one backend",
        defaults::EXEC_AT_A_TIME,
        count(1..=MOST_AT_A_TIME),
    );
    let command = located(command?, base)?;
    let directory = (directory != Path::new("/")).then_some(directory);
    Some(ExecProbe { command, environment, directory, output_bytes, exit, at_a_time })
}

fn exit(section: &mut Section<'_>) -> ExitRule {
    let codes =
        |least| move |value: &mut Value<'_>| value.list("a list of exit codes", least, code);
    let pass = section.or("pass", "It passes", defaults::EXIT_PASS, codes(1));
    let drain = section.or(
        "drain",
        "It passes, and the backend asks for a drain",
        defaults::EXIT_DRAIN,
        codes(0),
    );
    let inconclusive =
        section.or("inconclusive", "It cannot tell", defaults::EXIT_INCONCLUSIVE, codes(0));
    let lists = [("pass", &pass), ("drain", &drain), ("inconclusive", &inconclusive)];
    for (index, (_, list)) in lists.iter().enumerate() {
        for (earlier, other) in &lists[..index] {
            let twice = list.iter().find(|at| other.iter().any(|other| other.value == at.value));
            let Some(At { value: code, place }) = twice else { continue };
            let message = format!("exit code `{code}` is in {} already", quoted(earlier));
            section.report().error(place, Complaint::new(message).advice("a code means one thing"));
        }
    }
    let plain = |codes: Vec<At<u8>>| codes.into_iter().map(|at| at.value).collect();
    ExitRule { pass: plain(pass), drain: plain(drain), inconclusive: plain(inconclusive) }
}

fn code(value: &mut Value<'_>) -> Option<At<u8>> {
    let code = count(0..=255)(value)?;
    Some(At { value: u8::try_from(code).ok()?, place: value.place().clone() })
}
