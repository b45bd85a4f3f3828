//! What a service manager is told (`NOTIFY_SOCKET`); nothing without one.

use sd_notify::NotifyState;

/// This process serves. After a takeover the manager learns that it is the main one now.
pub(super) fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
}

/// This process lets its requests finish and ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager does not hear us: {error}");
    }
}
