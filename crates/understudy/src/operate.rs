//! The commands that ask a running load balancer: which service, what is asked, what is printed, and
//! what the exit code says.

mod drill;
mod events;
mod explain;
mod healthy;
mod incidents;
mod job;
mod moves;
mod notify;
mod probe;
mod settings;
mod status;
mod token;
mod wait;

use std::process::ExitCode;

use admin::wire::{Backend, Done, Service, Status};
use http::StatusCode;

use crate::cli::{Healthy, Notify, Order, Place};
use crate::client::{AskError, Client, segment};
use crate::files::{Failure, print};
use crate::show::printable;

pub(crate) use token::token;

/// Carries out a command.
pub(crate) fn run(order: &Order) -> Result<ExitCode, Failure> {
    let client = Client::find(order.place())?;
    block_on(async {
        match order {
            Order::Switchover(args) => moves::switchover(&client, args).await,
            Order::Failback(args) => moves::failback(&client, args).await,
            Order::Pin(args) => settings::change(&client, args, "pin").await,
            Order::Unpin(args) => settings::change(&client, args, "unpin").await,
            Order::Lock(args) => settings::change(&client, args, "lock").await,
            Order::Unlock(args) => settings::change(&client, args, "unlock").await,
            Order::Drain(args) => settings::set_admin(&client, args, "drain").await,
            Order::Maintenance(args) => settings::set_admin(&client, args, "maintenance").await,
            Order::Ready(args) => settings::set_admin(&client, args, "ready").await,
            Order::Wait(args) => wait::wait(&client, args).await,
            Order::Status(args) => status::status(&client, args).await,
            Order::Active(args) => status::active(&client, args).await,
            Order::Events(args) => events::events(&client, args).await,
            Order::Incidents(args) => incidents::incidents(&client, args).await,
            Order::Drill(args) => drill::drill(&client, args).await,
            Order::Gate(args) => settings::gate(&client, args).await,
            Order::Probe(args) => probe::probe(&client, args).await,
            Order::Notify(Notify::Test(args)) => notify::test(&client, args).await,
            Order::Job(args) => job::job(&client, &args.command).await,
            Order::Reload(args) => settings::reload(&client, args).await,
        }
    })
}

/// `healthy`.
pub(crate) fn healthy(args: &Healthy) -> Result<ExitCode, Failure> {
    let client = Client::find(&args.place)?;
    block_on(healthy::healthy(&client, args))
}

/// `explain --live`.
pub(crate) fn explain(service: Option<&str>, place: &Place) -> Result<ExitCode, Failure> {
    let client = Client::find(place)?;
    block_on(explain::live(&client, service))
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}

/// The service that is meant: the one given, or the only one there is.
async fn service_named(client: &Client, given: Option<&str>) -> Result<String, Failure> {
    match given {
        Some(name) => Ok(name.to_owned()),
        None => Ok(service_in(&client.get("status").await?, None)?.name.clone()),
    }
}

/// The same in a status that was asked for already.
fn service_in<'a>(status: &'a Status, given: Option<&str>) -> Result<&'a Service, Failure> {
    let names = || status.services.iter().map(|service| service.name.clone());
    match (given, status.services.as_slice()) {
        (Some(name), _) => status.service(name).ok_or_else(|| unknown("service", name, names())),
        (None, [one]) => Ok(one),
        (None, _) => Err(Failure::Config(format!(
            "understudy: which service? There are {}: name one",
            names().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// A backend of a service by its name.
fn backend_in<'a>(service: &'a Service, name: &str) -> Result<&'a Backend, Failure> {
    let names = service.backends.iter().map(|backend| backend.name.clone());
    let found = service.backends.iter().find(|backend| backend.name == name);
    found.ok_or_else(|| unknown("backend", name, names))
}

/// An answer about a service; where it is that there is no such thing, what there is instead.
async fn known<T>(
    client: &Client,
    service: &str,
    backend: Option<&str>,
    answer: Result<T, AskError>,
) -> Result<T, Failure> {
    let error = match answer {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    if matches!(&error, AskError::Problem { status, .. } if *status == StatusCode::NOT_FOUND)
        && let Ok(status) = client.get::<Status>("status").await
    {
        let found = service_in(&status, Some(service))?;
        if let Some(backend) = backend {
            backend_in(found, backend)?;
        }
    }
    Err(error.into())
}

/// A service of which nothing is known: it is there all the same, or the name is a mistake. One that
/// was removed is still in the records, so they are asked first.
async fn check_name(client: &Client, name: Option<&str>) -> Result<(), Failure> {
    if name.is_some() {
        service_in(&client.get("status").await?, name)?;
    }
    Ok(())
}

/// The path of a service below the API, and what is below it.
fn service_path(service: &str, rest: &str) -> String {
    format!("services/{}/{rest}", segment(service))
}

/// Says in one line what has been done to a service.
fn done(service: &str, done: &Done) -> Result<ExitCode, Failure> {
    print(&format!("{service}: {}", printable(&done.text)))
}

/// What was asked for does not exist: names what there is.
fn unknown(what: &str, name: &str, known: impl Iterator<Item = String>) -> Failure {
    let known: Vec<String> = known.collect();
    Failure::Config(format!(
        "understudy: there is no {what} {name:?}; there are {}",
        known.join(", ")
    ))
}

/// Reads what a stream says.
fn parse<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| {
        AskError::Foreign(anyhow::anyhow!("the stream says what cannot be read: {error}")).into()
    })
}
