//! `pin`, `unpin`, `lock`, `unlock`, `drain`, `maintenance`, `ready`, `reload`: one request each.

use std::process::ExitCode;

use admin::wire::request::Reason;
use admin::wire::{Done, Reloaded};

use super::{done, service_named, service_path};
use crate::cli::{Change, Reload, SetAdmin};
use crate::client::{Client, MOVE_WITHIN, SOON, segment};
use crate::files::{Failure, print};
use crate::show::printable;

/// Has a service `pin`, and so on.
pub(super) async fn change(
    client: &Client,
    args: &Change,
    what: &str,
) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.service.as_deref()).await?;
    let reason = Reason { reason: args.why.reason.clone() };
    let answer: Done = client.post(&service_path(&service, what), &reason, SOON).await?;
    done(&service, &answer)
}

/// Sets a backend to `drain`, and so on.
pub(super) async fn set_admin(
    client: &Client,
    args: &SetAdmin,
    to: &str,
) -> Result<ExitCode, Failure> {
    let service = service_named(client, args.backend.service.as_deref()).await?;
    let rest = format!("backends/{}/{to}", segment(&args.backend.backend));
    let reason = Reason { reason: args.why.reason.clone() };
    let answer: Done = client.post(&service_path(&service, &rest), &reason, SOON).await?;
    done(&service, &answer)
}

/// Has the config file read again.
pub(super) async fn reload(client: &Client, args: &Reload) -> Result<ExitCode, Failure> {
    let reason = Reason { reason: args.why.reason.clone() };
    let reloaded: Reloaded = client.post("reload", &reason, MOVE_WITHIN).await?;
    for warning in &reloaded.warnings {
        eprintln!("warning: {}", printable(warning));
    }
    match &reloaded.changes {
        Some(changes) => print(&format!("reloaded: {}", printable(changes))),
        None => print("reloaded: the file says what is in force already"),
    }
}
