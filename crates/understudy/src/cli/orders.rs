//! The commands that ask a running load balancer: the arguments only.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::place::Place;
use super::values::{At, BackendName, TagField, drill_length, duration};

/// What to ask of the running load balancer.
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Move a service to a backend, watch the move, and go back if it does not work out.
    ///
    /// The service then stays there (pinned) until `unpin` or `failback`. Under a lock this move and its return still happen.
    Switchover(Switchover),
    /// Move a service back to its first eligible backend now.
    Failback(Failback),
    /// Stay on the active while it is eligible: no failback.
    Pin(Change),
    /// End the pin.
    Unpin(Change),
    /// No automatic move at all, not even a failover, until unlocked.
    ///
    /// A move that is ordered, and its return if it does not work out, still happen.
    Lock(Change),
    /// Allow automatic moves again.
    Unlock(Change),
    /// Give a backend no new requests; those that run may finish.
    Drain(SetAdmin),
    /// Take a backend out of use: no requests at all.
    Maintenance(SetAdmin),
    /// Put a backend back into service.
    Ready(SetAdmin),
    /// Wait until something holds. Exit code 0 when it does, 3 when it did not in time.
    Wait(Wait),
    /// Show how every service stands. Exit code 0: on the primary, 10: on a standby, 20: nobody active.
    Status(Status),
    /// Print the name of the active, for scripts. Exit code 20 when there is none.
    Active(Active),
    /// Show what happened.
    Events(Events),
    /// Show the moves of the traffic: why, how long, what became of the requests.
    Incidents(Incidents),
    /// Treat the active as failed for a while, return by itself, and report the measured times.
    Drill(Drill),
    /// Say how the gate ended of which nobody knows, so that the service moves on.
    ///
    /// A gate is in doubt when this process ended in the middle of it, and running it twice could do harm. Look at the application first.
    Gate(Gate),
    /// Show the last probe of a backend, or probe it now. Exit code 0 when it passed.
    Probe(Probe),
    /// Try who is told what happened.
    #[command(subcommand)]
    Notify(Notify),
    /// Run a job of a service now, or show how jobs stand.
    Job(Job),
    /// Read the config file again; like a SIGHUP, but the answer says how it went.
    Reload(Reload),
}

impl Order {
    /// Which load balancer it is for.
    pub(crate) fn place(&self) -> &Place {
        match self {
            Self::Switchover(args) => &args.place,
            Self::Failback(args) => &args.place,
            Self::Pin(args) | Self::Unpin(args) | Self::Lock(args) | Self::Unlock(args) => {
                &args.place
            }
            Self::Drain(args) | Self::Maintenance(args) | Self::Ready(args) => &args.place,
            Self::Wait(args) => &args.place,
            Self::Status(args) => &args.place,
            Self::Active(args) => &args.place,
            Self::Events(args) => &args.place,
            Self::Incidents(args) => &args.place,
            Self::Drill(args) => &args.place,
            Self::Gate(args) => &args.place,
            Self::Probe(args) => &args.place,
            Self::Notify(Notify::Test(args)) => &args.place,
            Self::Job(args) => args.command.place(),
            Self::Reload(args) => &args.place,
        }
    }
}

/// `switchover`.
#[derive(Debug, Args)]
pub(crate) struct Switchover {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    /// The backend to move to.
    #[arg(long, value_name = "BACKEND", required_unless_present = "cancel")]
    pub(crate) to: Option<String>,
    /// Say what would happen and what stands in its way; change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Later: `02:30` (the next one, local time), `+10m`, or a date and time such as
    /// `2026-03-29T02:30:00+02:00`.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<At>,
    /// How long the move is watched and taken back if the backend does not work out; `0s`: not at
    /// all [default: as configured].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) verify: Option<Duration>,
    /// Forget the move that is to come.
    #[arg(long, conflicts_with_all = ["to", "dry_run", "at", "verify"])]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `failback`.
#[derive(Debug, Args)]
pub(crate) struct Failback {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    /// Say what would happen and what stands in its way; change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long the move is watched and taken back if the backend does not work out; `0s`: not at
    /// all [default: as configured].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) verify: Option<Duration>,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Why something is changed; kept with the event.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Why; kept with the record of the change.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `pin`, `unpin`, `lock`, `unlock`.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `drain`, `maintenance`, `ready`.
#[derive(Debug, Args)]
pub(crate) struct SetAdmin {
    /// The backend; its service may be left out while there is only one.
    #[arg(value_name = "[SERVICE/]BACKEND")]
    pub(crate) backend: BackendName,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `wait`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["drained", "active", "healthy"]))]
pub(crate) struct Wait {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    /// Until this backend is not the active and has no requests; without a name, until only the
    /// active has some.
    #[arg(long, value_name = "BACKEND", num_args = 0..=1)]
    drained: Option<Option<String>>,
    /// Until this backend has the traffic.
    #[arg(long, value_name = "BACKEND")]
    active: Option<String>,
    /// Until this backend is up.
    #[arg(long, value_name = "BACKEND")]
    healthy: Option<String>,
    /// How long to wait at most.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1m")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// Nothing runs on this backend, or with `None` on any but the active.
    Drained(Option<String>),
    /// This backend has the traffic.
    Active(String),
    /// This backend is up.
    Healthy(String),
}

impl Wait {
    /// What for.
    pub(crate) fn what(&self) -> WaitFor {
        match (&self.drained, &self.active, &self.healthy) {
            (_, Some(backend), _) => WaitFor::Active(backend.clone()),
            (_, _, Some(backend)) => WaitFor::Healthy(backend.clone()),
            (drained, None, None) => WaitFor::Drained(drained.clone().flatten()),
        }
    }
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The service [default: all of them].
    pub(crate) service: Option<String>,
    /// Show it again whenever something changes, until interrupted.
    #[arg(long)]
    pub(crate) watch: bool,
    /// As JSON; with --watch one line per change.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `active`.
#[derive(Debug, Args)]
pub(crate) struct Active {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The service [default: all of them].
    pub(crate) service: Option<String>,
    /// Go on with what happens from now on, until interrupted.
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// One JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many at most, the latest.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Only those after this number.
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<u64>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `incidents`.
#[derive(Debug, Args)]
pub(crate) struct Incidents {
    /// The incident to show in full [default: a list].
    #[arg(conflicts_with_all = ["service", "limit"])]
    pub(crate) id: Option<u64>,
    /// Only those of this service.
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// How many at most, the latest.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `drill`.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    /// How long, from 1 s to 24 h.
    #[arg(long = "for", value_name = "DURATION", value_parser = drill_length, required_unless_present = "stop")]
    pub(crate) length: Option<Duration>,
    /// Leave all other traffic where it is, and send only requests with this field to a standby.
    #[arg(long, value_name = "NAME[: VALUE]")]
    pub(crate) tagged: Option<TagField>,
    /// The standby that gets the tagged requests [default: the first eligible one].
    #[arg(long, value_name = "BACKEND", requires = "tagged")]
    pub(crate) to: Option<String>,
    /// End the drill now.
    #[arg(long, conflicts_with_all = ["length", "tagged", "to"])]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `gate`.
#[derive(Debug, Args)]
pub(crate) struct Gate {
    /// It did what it should, it did not, or run it once more.
    #[arg(value_enum)]
    pub(crate) ended: GateEnd,
    /// The service; may be left out while there is only one.
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GateEnd {
    /// It did what it should.
    Done,
    /// It did not.
    Failed,
    /// Run it once more.
    Again,
}

/// `probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The backend; its service may be left out while there is only one.
    #[arg(value_name = "[SERVICE/]BACKEND")]
    pub(crate) backend: BackendName,
    /// Probe once now; the verdict counts for nothing.
    #[arg(long)]
    pub(crate) now: bool,
    /// Show the whole exchange.
    #[arg(long, short = 'v', requires = "now")]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `notify`.
#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// Have a notifier tell something that has not happened, and show the answer. Exit code 0 when it
    /// was taken.
    Test(NotifyTest),
}

/// `notify test`.
#[derive(Debug, Args)]
pub(crate) struct NotifyTest {
    /// The notifier, by its name in the config.
    pub(crate) notifier: String,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `job`.
#[derive(Debug, Args)]
pub(crate) struct Job {
    #[command(subcommand)]
    pub(crate) command: JobCommand,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Run a job now, as soon as no other runs. Exit code 0 when it succeeded.
    Run(JobRunArgs),
    /// List the jobs: when they run, when they last succeeded for whom.
    List(JobList),
    /// Show a job and its latest runs, with what they wrote.
    Show(JobShow),
}

impl JobCommand {
    fn place(&self) -> &Place {
        match self {
            Self::Run(args) => &args.place,
            Self::List(args) => &args.place,
            Self::Show(args) => &args.place,
        }
    }
}

/// `job run`.
#[derive(Debug, Args)]
pub(crate) struct JobRunArgs {
    /// The job; its service may be left out while there is only one.
    #[arg(value_name = "[SERVICE/]JOB")]
    pub(crate) job: BackendName,
    /// Do not wait until it has ended.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `job list`.
#[derive(Debug, Args)]
pub(crate) struct JobList {
    /// The service [default: all of them].
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `job show`.
#[derive(Debug, Args)]
pub(crate) struct JobShow {
    /// The job; its service may be left out while there is only one.
    #[arg(value_name = "[SERVICE/]JOB")]
    pub(crate) job: BackendName,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) why: Why,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[cfg(test)]
mod tests;
