//! The flags of the commands that packages and containers need.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::Shell;

use super::place::Place;
use super::values::duration;

/// `healthy`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Healthy {
    /// Ask whether clients are served as well as they can be, not only whether the process works.
    #[arg(long)]
    pub(crate) ready: bool,
    /// How long the answer may take.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "8s")]
    pub(crate) within: Duration,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `man`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Man {
    /// Write all pages into this folder, which is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Print the page of this command, for example `switchover` or `job run` [default: the first page].
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(crate) command: Vec<String>,
}

/// `completions`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `demo-backend`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoBackend {
    /// Where to answer.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    pub(crate) listen: SocketAddr,
    /// Who to say that it is: letters, digits, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME", default_value = "a", value_parser = name)]
    pub(crate) name: String,
}

/// Goes into a field of every answer.
fn name(text: &str) -> Result<String, &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(is_fit) {
        return Err("write 1 to 64 letters, digits, `-`, `_` and `.`");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_of_a_backend_is_fit_for_a_field() {
        assert_eq!(name("web-1_b.x").as_deref(), Ok("web-1_b.x"));
        for bad in ["", "a b", "a\nb", "\u{fc}", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
