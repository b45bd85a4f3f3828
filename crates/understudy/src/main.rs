//! `understudy`: an active-passive HTTP load balancer.
//!
//! Parses the arguments and hands over. Exit codes: 0; 2 for a wrong use or a wrong config; 3 for what
//! the running load balancer refused; 1 for everything else. `status` and `active` also have 10, on a
//! standby, and 20, nobody active.

mod cli;
mod client;
mod demo;
mod files;
mod init;
mod logs;
mod manual;
mod operate;
mod run;
mod show;
mod socket;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Explained};
use crate::files::Failure;

/// Every request allocates a handful of small, short-lived pieces on one thread, which is what this
/// allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Init(args) => init::init(&args),
        Command::Check { config } => files::check(&config),
        Command::Explain(explain) => match explain.what() {
            Some(Explained::File(file)) => files::explain(file),
            Some(Explained::Live { service, place }) => operate::explain(service, place),
            None => unreachable!("the arguments were checked"),
        },
        Command::Schema => files::schema(),
        Command::Demo { play_for } => demo::run(play_for).map_err(Failure::Other),
        Command::Token(token) => operate::token(&token),
        Command::Order(order) => operate::run(&order),
        Command::Healthy(healthy) => operate::healthy(&healthy),
        Command::DemoBackend(backend) => demo::backend(&backend).map_err(Failure::Other),
        Command::Man(man) => manual::man(&man),
        Command::Completions(completions) => manual::completions(&completions),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("{failure}");
        failure.exit_code()
    })
}
