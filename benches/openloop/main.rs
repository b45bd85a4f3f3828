//! openloop: the load generator as a program, for the comparisons. Prints one JSON object.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use benches::load::{Load, Plan, Requests};
use clap::{Parser, ValueEnum};

/// Sends requests at a fixed rate and measures each from the time it was due.
#[derive(Debug, Parser)]
struct Arguments {
    /// Whom to ask.
    #[arg(long)]
    target: SocketAddr,
    /// Requests per second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// What to send.
    #[arg(long, value_enum, default_value_t = Kind::Get)]
    kind: Kind,
    /// Path and query of a GET.
    #[arg(long, default_value = "/")]
    path: String,
    /// How many milliseconds the backend takes between recording an order and answering.
    #[arg(long, default_value_t = 0)]
    work_ms: u64,
    /// How many seconds a request may take.
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Get,
    Order,
}

fn main() {
    let arguments = Arguments::parse();
    let requests = match arguments.kind {
        Kind::Get => Requests::Gets { path: arguments.path },
        Kind::Order => Requests::Orders { work: Duration::from_millis(arguments.work_ms) },
    };
    let load = Load::start(Plan {
        target: arguments.target,
        rate: arguments.rate,
        requests,
        patience: Duration::from_secs_f64(arguments.patience),
    });
    thread::sleep(Duration::from_secs_f64(arguments.seconds));
    println!("{}", load.finish());
}
