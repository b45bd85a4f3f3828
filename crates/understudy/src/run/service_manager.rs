//! What a service manager is told (`NOTIFY_SOCKET`, `WATCHDOG_USEC`); nothing without one.

use std::time::Duration;

use control::{Control, Reloading};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// This process serves. After a takeover the manager learns that it is the main one now.
pub(super) fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

/// This process lets its requests finish and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The config file is read again: with `Type=notify-reload` the manager waits until that is over.
pub(super) fn reloading(what: Reloading) {
    match what {
        Reloading::Begins => match NotifyState::monotonic_usec_now() {
            // Without the time, to which it must belong, it would be taken for a failure.
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("no clock to tell the service manager: {error}"),
        },
        // Also when the new config was refused: the old one serves on.
        Reloading::Ended => tell(&[NotifyState::Ready]),
    }
}

/// Tells a watchdog that all is well for as long as it is: while every driver decides and every worker
/// forwards. Ends at once without a watchdog, else with whoever waits for it.
pub(super) async fn keep_watchdog(control: Control) {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return;
    };
    let (every, within) = rhythm(patience);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_well = true;
    loop {
        ticks.tick().await;
        match control.pulse(within).await {
            Ok(()) => {
                if !is_well {
                    tracing::info!("everything answers again");
                }
                is_well = true;
                tell(&[NotifyState::Watchdog]);
            }
            Err(stuck) => {
                is_well = false;
                tracing::error!(
                    "{stuck}: the watchdog of the service manager is not told that all is well, and \
                     may end this process"
                );
            }
        }
    }
}

/// How often to look, and how long to wait for answers, so that one that comes in time is told in time.
fn rhythm(patience: Duration) -> (Duration, Duration) {
    (patience / 4, patience / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager does not hear us: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_good_answer_is_told_before_the_watchdog_loses_patience() {
        let patience = Duration::from_secs(30);
        let (every, within) = rhythm(patience);
        assert!(every + within < patience);
    }
}
