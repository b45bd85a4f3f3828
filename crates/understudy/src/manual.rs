//! `man` and `completions`: what a package installs beside the program, written from its own definition.

mod config_page;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Page;

use crate::cli::{Cli, Completions, Man};
use crate::files::{Failure, print};

/// The command that stands for the config file where pages are asked for.
const CONFIG: &str = "understudy.yaml";

/// `man`.
pub(crate) fn man(args: &Man) -> Result<ExitCode, Failure> {
    if let Some(folder) = &args.out {
        let written = write_all(folder)
            .with_context(|| format!("cannot write manual pages into {}", folder.display()))
            .map_err(Failure::Other)?;
        return print(&format!("{written} pages in {}", folder.display()));
    }
    if args.command == [CONFIG] {
        return print(&config_page::render(&config::schema()));
    }
    let mut page = Vec::new();
    Page::new(command(&args.command)?).render(&mut page)?;
    print(&String::from_utf8_lossy(&page))
}

/// `completions`.
pub(crate) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "understudy", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// The definition with all that clap adds, names of pages such as `understudy-job-run` among it.
fn definition() -> Command {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    cli
}

/// The command of these words, one below the other.
fn command(words: &[String]) -> Result<Command, Failure> {
    let mut found = definition();
    for word in words {
        found = found.find_subcommand(word).cloned().ok_or_else(|| {
            Failure::Config(format!(
                "understudy: there is no command {:?}; `understudy help` lists them, and {CONFIG} is \
                 the page of the config file",
                words.join(" ")
            ))
        })?;
    }
    Ok(found)
}

/// Writes one page for each command and one for the config file. Returns how many.
fn write_all(folder: &Path) -> anyhow::Result<usize> {
    fs::create_dir_all(folder)?;
    let mut left = vec![definition()];
    let mut written = 0;
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned());
        Page::new(command).generate_to(folder)?;
        written += 1;
    }
    let page = folder.join(format!("{CONFIG}.5"));
    let mut file = fs::File::create(page)?;
    file.write_all(config_page::render(&config::schema()).as_bytes())?;
    Ok(written + 1)
}
