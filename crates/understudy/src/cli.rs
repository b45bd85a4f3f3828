//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

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
    /// Say everything that is wrong with a config file.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say in words what a config file makes the load balancer do.
    Explain {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print the JSON Schema of config files, for editors.
    Schema,
    /// Start two backends, the load balancer and a load, to watch and to break.
    Demo {
        /// Play a script for this long, for example 20s, and exit 0 only if no request failed.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        play_for: Option<Duration>,
    },
}

/// Which config file.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The config file; `-` reads standard input.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// What to run: a file, or what the flags say.
#[derive(Debug, Args)]
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
}

/// A config without a file, for one service.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where to accept clients; may be given several times.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "file", conflicts_with = "file")]
    pub(crate) listen: Vec<String>,
    /// The URL of the primary.
    #[arg(long, value_name = "URL", required_unless_present = "file", conflicts_with = "file")]
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
            workers: self.workers.clone(),
        };
        flags.to_yaml()
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    parsed.and_then(|parsed| parsed.try_into().ok()).ok_or("write `20s` or `1m30s`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["understudy"].into_iter().chain(args.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_excludes_the_flags_and_one_of_them_is_needed() {
        assert!(parse("run -c a.yaml").is_ok());
        assert!(parse("run --listen 127.0.0.1:0 --primary http://127.0.0.1:1").is_ok());
        assert!(parse("run").is_err());
        assert!(parse("run --listen 127.0.0.1:0").is_err());
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
    fn a_play_has_a_duration_with_a_unit() {
        assert!(parse("demo --for 20s").is_ok());
        for bad in ["20", "abc", "-20s"] {
            let error = parse(&format!("demo --for={bad}")).expect_err(bad).to_string();
            assert!(error.contains("--for <DURATION>': write `20s` or `1m30s`"), "{error}");
        }
    }
}
