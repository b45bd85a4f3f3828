//! `notify test`: has a notifier tell something that has not happened.

use std::process::ExitCode;

use admin::wire::NotifierTest;
use admin::wire::request::Reason;

use crate::cli::NotifyTest;
use crate::client::{Client, MOVE_WITHIN, segment};
use crate::files::{Failure, print};
use crate::show::{Progress, printable};

/// `notify test`.
pub(super) async fn test(client: &Client, args: &NotifyTest) -> Result<ExitCode, Failure> {
    let name = &args.notifier;
    let path = format!("notifiers/{}/test", segment(name));
    let reason = Reason { reason: args.why.reason.clone() };
    let asked = client.post(&path, &reason, MOVE_WITHIN);
    let test: NotifierTest = Progress::during(&format!("telling {name}"), asked).await?;
    let taken = if test.told { "told" } else { "not told" };
    print(&format!("{name}: {taken}: {}", printable(&test.answer)))?;
    Ok(if test.told { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
