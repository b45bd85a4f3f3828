//! Where the load balancer is that a command is for: the arguments only.

use std::path::{Path, PathBuf};

use clap::Args;

/// Where to ask. Without any of these: the environment, else the socket where `run` opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Which load balancer")]
pub(crate) struct Place {
    /// The Unix socket of the load balancer, on this machine [env: UNDERSTUDY_SOCKET].
    #[arg(long, value_name = "PATH", conflicts_with_all = ["config", "url"])]
    pub(crate) socket: Option<PathBuf>,
    /// The config file that it runs from: its `admin.socket` is asked.
    #[arg(short = 'c', long = "config", value_name = "FILE", conflicts_with = "url")]
    pub(crate) config: Option<PathBuf>,
    /// Its admin address, `http://` or `https://` [env: UNDERSTUDY_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The file with the token for --url: the token alone, its first line is used [env: UNDERSTUDY_TOKEN, the token itself]. There is no flag
    /// for the token itself: everybody on the machine could see it in the list of processes.
    #[arg(long, value_name = "PATH")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates of the authorities that vouch for --url, as PEM [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl Place {
    /// Whether nothing was said.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The config file, if nothing else was said.
    pub(crate) fn only_config(&self) -> Option<&Path> {
        let config = self.config.as_deref()?;
        let rest = Self { config: None, ..self.clone() };
        rest.is_default().then_some(config)
    }
}
