//! standins: applications that the balancer must serve, as small as they can be.
//!
//! Each mode does what its product promises where that matters for a move, and notes what it did.

mod cluster_member;
mod license_manager;
mod query_client;
mod query_server;
mod scheduler;
mod scheduler_state;
mod server;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser};
use standins::journal::Journal;

/// Stands in for an application.
#[derive(Debug, Parser)]
enum Mode {
    /// One of two license managers with a database in common.
    LicenseManager(license_manager::Arguments),
    /// A query server that can shut down without cutting queries.
    QueryServer(query_server::Arguments),
    /// Asks a query server whether it works: exit code 0 or 1.
    Ping(query_client::Ping),
    /// Copies a query server's metadata to a file.
    Export(query_client::Export),
    /// Copies a file to a query server's metadata.
    Import(query_client::Import),
    /// A member of a group whose standbys promote themselves.
    ClusterMember(cluster_member::Arguments),
    /// A scheduler that executes jobs while they are enabled.
    Scheduler(scheduler::Arguments),
}

/// What every server of ours has.
#[derive(Debug, Args)]
struct Common {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Where to listen; port 0 lets the system choose. Printed as `listening on ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to write down what happens.
    #[arg(long)]
    journal: PathBuf,
}

impl Common {
    fn journal(&self) -> io::Result<Journal> {
        Journal::open(&self.journal, &self.name)
    }
}

fn main() -> io::Result<ExitCode> {
    let done = |result: io::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match Mode::parse() {
        Mode::LicenseManager(arguments) => done(license_manager::run(&arguments)),
        Mode::QueryServer(arguments) => done(query_server::run(&arguments)),
        Mode::Ping(arguments) => Ok(query_client::ping(&arguments)),
        Mode::Export(arguments) => done(query_client::export(&arguments)),
        Mode::Import(arguments) => done(query_client::import(&arguments)),
        Mode::ClusterMember(arguments) => done(cluster_member::run(&arguments)),
        Mode::Scheduler(arguments) => done(scheduler::run(&arguments)),
    }
}
