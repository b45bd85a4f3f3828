//! The command line.

mod init;
mod orders;
mod packaged;
mod place;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub(crate) use init::Init;
pub(crate) use orders::{
    Active, Change, Drill, Events, Failback, Gate, GateEnd, Incidents, JobCommand, JobList,
    JobRunArgs, JobShow, Notify, NotifyTest, Order, Probe, Reload, SetAdmin, Status, Switchover,
    Wait, WaitFor,
};
pub(crate) use packaged::{Completions, DemoBackend, Healthy, Man};
pub(crate) use place::Place;
pub(crate) use values::When;

use values::duration;

/// An active-passive HTTP load balancer: all traffic to the primary, to a standby when the primary
/// fails, and back when it has recovered.
#[derive(Debug, Parser)]
#[command(name = "understudy", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the load balancer, from a file or from flags.
    Run(Run),
    /// Write a config file: a recipe with your addresses, from flags or from a few answers.
    Init(Init),
    /// Say everything that is wrong with a config file.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say in words what a config file makes the load balancer do, or when the running one fails back.
    Explain(Explain),
    /// Print the JSON Schema of config files, for editors.
    Schema,
    /// Start two backends, the load balancer and a load, to watch and to break.
    Demo {
        /// Play a script for this long, for example 20s, and exit 0 only if no request failed.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        play_for: Option<Duration>,
    },
    /// Make a token for the admin API, and the lines of the config that let it in.
    Token(Token),
    #[command(flatten)]
    Order(Order),
    /// Say by the exit code whether the running load balancer works: 0 when it does, else 1.
    ///
    /// For containers and scripts. It works while all that decides and forwards in it answers, however its backends are.
    Healthy(Healthy),
    /// Run one of the demo's backends alone, to try the load balancer with.
    DemoBackend(DemoBackend),
    /// Print manual pages, or write them all into a folder.
    Man(Man),
    /// Print what a shell needs to complete commands and flags.
    Completions(Completions),
}

impl Cli {
    /// Reads the arguments, the name of the program first.
    ///
    /// # Errors
    /// When they make no sense, or ask for help.
    pub(crate) fn read(
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(args)?;
        match &cli.command {
            Command::Run(run) if !run.says_what() => Err(nothing_to_run()),
            Command::Explain(explain) if explain.what().is_none() => Err(nothing_to_explain()),
            Command::Run(_)
            | Command::Init(_)
            | Command::Check { .. }
            | Command::Explain(_)
            | Command::Schema
            | Command::Demo { .. }
            | Command::Token(_)
            | Command::Order(_)
            | Command::Healthy(_)
            | Command::DemoBackend(_)
            | Command::Man(_)
            | Command::Completions(_) => Ok(cli),
        }
    }
}

/// Which config file: named by itself or by the flag that `run` has.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ConfigFile {
    /// The config file; `-` reads standard input.
    #[arg(value_name = "FILE")]
    alone: Option<PathBuf>,
    /// The same.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    flag: Option<PathBuf>,
}

impl ConfigFile {
    pub(crate) fn path(&self) -> &Path {
        self.alone.as_ref().or(self.flag.as_ref()).expect("one of them is required")
    }
}

/// A config file, or with `--live` a service of the running load balancer.
#[derive(Debug, Args)]
#[command(override_usage = EXPLAIN_USAGE)]
pub(crate) struct Explain {
    /// The config file; `-` reads standard input. With --live, the service [default: all of them].
    #[arg(value_name = "FILE|SERVICE")]
    alone: Option<String>,
    /// Ask the running load balancer when each service would fail back, and why not now.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    place: Place,
}

const EXPLAIN_USAGE: &str = "understudy explain FILE
       understudy explain --live [SERVICE] [OPTIONS]";

/// What `explain` is about.
#[derive(Debug)]
pub(crate) enum Explained<'a> {
    File(&'a Path),
    Live { service: Option<&'a str>, place: &'a Place },
}

impl Explain {
    /// `None`: nothing, or two files.
    pub(crate) fn what(&self) -> Option<Explained<'_>> {
        if self.live {
            return Some(Explained::Live { service: self.alone.as_deref(), place: &self.place });
        }
        match (&self.alone, self.place.only_config()) {
            (Some(file), None) if self.place.is_default() => Some(Explained::File(Path::new(file))),
            (None, Some(file)) => Some(Explained::File(file)),
            (Some(_) | None, Some(_) | None) => None,
        }
    }
}

fn nothing_to_explain() -> clap::Error {
    complain("explain", "one config file, by itself or after -c; or --live")
}

/// What a new token is for.
#[derive(Clone, Debug, Args)]
pub(crate) struct Token {
    /// What it is called in the config and in the audit.
    #[arg(long, value_name = "NAME", default_value = "ops")]
    pub(crate) name: String,
    /// What it may do.
    #[arg(long, value_enum, default_value_t = Access::Write)]
    pub(crate) access: Access,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Access {
    /// See everything, change nothing.
    Read,
    /// Everything.
    Write,
}

/// What to run: a file, or what the flags say.
#[derive(Debug, Args)]
#[command(override_usage = RUN_USAGE)]
pub(crate) struct Run {
    /// The config file; `-` reads standard input. Reloaded when it changes, and on SIGHUP.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Print the config as YAML and exit.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// What to log, for example `debug` or `control=debug,info`; RUST_LOG otherwise.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Take over from the running process without losing a request, if there is one. It is asked at
    /// its Unix socket (`admin.socket`); SIGUSR2 to it does the same.
    #[arg(long)]
    pub(crate) takeover: bool,
}

const RUN_USAGE: &str = "understudy run -c FILE [OPTIONS]
       understudy run --listen ADDRESS --primary URL [OPTIONS]";

impl Run {
    fn says_what(&self) -> bool {
        let flags = !self.flags.listen.is_empty() && self.flags.primary.is_some();
        self.file.is_some() || flags
    }
}

/// clap would name the two flags only, as if there were no files.
fn nothing_to_run() -> clap::Error {
    complain("run", "nothing to run: give -c FILE, or --listen and --primary")
}

fn complain(command: &str, message: &str) -> clap::Error {
    let mut cli = Cli::command();
    match cli.find_subcommand_mut(command) {
        Some(command) => command.error(ErrorKind::MissingRequiredArgument, message),
        None => cli.error(ErrorKind::MissingRequiredArgument, message),
    }
}

/// A config without a file, for one service.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where to accept clients; may be given several times.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "file")]
    pub(crate) listen: Vec<String>,
    /// The URL of the primary.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(crate) primary: Option<String>,
    /// The URL of a standby; may be given several times, in priority order.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(crate) standby: Vec<String>,
    /// The path that probes ask for [default: /].
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    pub(crate) health_path: Option<String>,
    /// How long the primary must be well before it gets the traffic back [default: 30s].
    #[arg(long, value_name = "DURATION", conflicts_with = "file")]
    pub(crate) failback_after: Option<String>,
    /// Where to answer /metrics, /status, /livez and /readyz [default: 127.0.0.1:9900].
    #[arg(long, value_name = "ADDRESS", conflicts_with = "file")]
    pub(crate) admin: Option<String>,
    /// The folder in which decisions survive a restart [default: none].
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    pub(crate) state_dir: Option<String>,
    /// How many threads forward requests [default: one per core].
    #[arg(long, value_name = "COUNT", conflicts_with = "file")]
    pub(crate) workers: Option<String>,
}

impl Flags {
    /// The same as a config file says it.
    pub(crate) fn to_yaml(&self) -> String {
        let flags = config::Flags {
            listen: self.listen.clone(),
            primary: self.primary.clone().unwrap_or_default(),
            standby: self.standby.clone(),
            health_path: self.health_path.clone(),
            failback_after: self.failback_after.clone(),
            admin: self.admin.clone(),
            state_dir: self.state_dir.clone(),
            workers: self.workers.clone(),
        };
        flags.to_yaml()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Cli, clap::Error> {
        Cli::read(["understudy"].into_iter().chain(args.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_excludes_the_flags_and_one_of_them_is_needed() {
        assert!(parse("run -c a.yaml").is_ok());
        assert!(parse("run --listen 127.0.0.1:0 --primary http://127.0.0.1:1").is_ok());
        for too_little in ["run", "run --listen 127.0.0.1:0", "run --primary http://127.0.0.1:1"] {
            let error = parse(too_little).expect_err(too_little).to_string();
            assert!(error.contains("give -c FILE, or --listen and --primary"), "{error}");
            assert!(error.contains("understudy run -c FILE"), "{error}");
        }
        for flag in [
            "--listen 127.0.0.1:0",
            "--primary http://a",
            "--standby http://b",
            "--health-path /x",
            "--failback-after 1s",
            "--admin 127.0.0.1:0",
            "--workers 1",
        ] {
            assert!(parse(&format!("run -c a.yaml {flag}")).is_err(), "{flag}");
        }
    }

    #[test]
    fn a_file_is_named_with_or_without_the_flag_but_once() {
        for command in ["check", "explain"] {
            for file in ["a.yaml", "-c a.yaml", "--config a.yaml", "--config=a.yaml"] {
                match parse(&format!("{command} {file}")).expect(file).command {
                    Command::Check { config } => assert_eq!(config.path(), Path::new("a.yaml")),
                    Command::Explain(explain) => match explain.what() {
                        Some(Explained::File(path)) => assert_eq!(path, Path::new("a.yaml")),
                        other => panic!("{other:?}"),
                    },
                    parsed => panic!("{command} {file} is {parsed:?}"),
                }
            }
            for wrong in ["", "a.yaml b.yaml", "a.yaml -c b.yaml", "-c a.yaml -c b.yaml"] {
                assert!(parse(&format!("{command} {wrong}")).is_err(), "{command} {wrong}");
            }
        }
    }

    #[test]
    fn what_runs_is_explained_with_or_without_a_service() {
        for (args, expected) in [("", None), (" web", Some("web")), (" web -c a.yaml", Some("web"))]
        {
            let parsed = parse(&format!("explain --live{args}")).expect(args).command;
            let Command::Explain(explain) = parsed else { panic!("{parsed:?}") };
            match explain.what() {
                Some(Explained::Live { service, .. }) => assert_eq!(service, expected),
                other => panic!("{other:?}"),
            }
        }
        assert!(
            parse("explain a.yaml --socket /x").is_err(),
            "a file is not asked for at a socket"
        );
    }

    #[test]
    fn a_play_has_a_duration_with_a_unit() {
        assert!(parse("demo --for 20s").is_ok());
        for bad in ["20", "abc", "-20s"] {
            let error = parse(&format!("demo --for={bad}")).expect_err(bad).to_string();
            assert!(error.contains("--for <DURATION>': write `20s` or `1m30s`"), "{error}");
        }
    }
}
