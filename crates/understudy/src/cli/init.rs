//! The flags of `init`.

use std::path::PathBuf;

use clap::Args;

/// `init`.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Init {
    /// Which recipe; --list names them.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe: Option<String>,
    /// A backend: its URL, with a name before it (`web-1=http://10.0.0.1:8080`) or without. The first
    /// is the primary, the next ones are standbys.
    #[arg(long = "backend", value_name = "[NAME=]URL")]
    pub(crate) backends: Vec<String>,
    /// Where to accept clients [default: as the recipe has it].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// The name that clients use [default: any, or as the recipe has it].
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// The path that probes ask for [default: as the recipe has it].
    #[arg(long, value_name = "PATH")]
    pub(crate) health_path: Option<String>,
    /// The folder in which decisions survive a restart [default: as the recipe has it].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state_dir: Option<String>,
    /// Where to write; `-` prints.
    #[arg(short = 'o', long = "output", value_name = "FILE", default_value = "understudy.yaml")]
    pub(crate) output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Name the recipes and say what each is for.
    #[arg(long, exclusive = true)]
    pub(crate) list: bool,
    /// Ask for what no flag says, also when standard input is no terminal: one answer a line.
    #[arg(long)]
    pub(crate) ask: bool,
}

const USAGE: &str = "understudy init [OPTIONS]
       understudy init --recipe NAME --backend [NAME=]URL --backend [NAME=]URL [OPTIONS]
       understudy init --list";

impl Init {
    /// Whether no flag says what to write: then a person at a terminal is asked.
    pub(crate) fn says_nothing(&self) -> bool {
        let Self { recipe, backends, listen, host, health_path, state_dir, .. } = self;
        let given = [recipe, listen, host, health_path, state_dir];
        backends.is_empty() && given.iter().all(|value| value.is_none())
    }
}
