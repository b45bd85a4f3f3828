//! `healthy`: whether the load balancer works, for containers and scripts.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::Healthy;
use crate::client::Client;
use crate::files::{Failure, print};

pub(super) async fn healthy(client: &Client, args: &Healthy) -> Result<ExitCode, Failure> {
    let path = if args.ready { "/readyz" } else { "/livez" };
    let (status, words) = client.page(path, args.within).await?;
    if status.is_success() {
        return print(&words);
    }
    Err(Failure::Other(anyhow!("{path} says {}: {words}", status.as_u16())))
}
