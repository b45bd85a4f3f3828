//! What was there before this process: the one that runs already, or sockets of the service manager.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::anyhow;
use config::model::{Config, ListenAddress};
use control::{Inherited, Scope};
use listenfd::ListenFd;

use super::doors::{socket_path, takeover_socket};
use crate::files::Failure;

/// Whether to take over from the running process.
pub(super) enum Wish {
    /// Begin anew.
    Fresh,
    /// From the one that offers itself there; begin anew when nobody does.
    TakeOver(std::path::PathBuf),
}

impl Wish {
    pub(super) fn of(takeover: bool, config: &Config) -> Result<Self, Failure> {
        if !takeover {
            return Ok(Self::Fresh);
        }
        let path = socket_path(&config.admin.socket).ok_or_else(|| {
            Failure::Config(
                "understudy: --takeover asks the running process at its Unix socket, and \
                 `admin.socket` is off"
                    .to_owned(),
            )
        })?;
        Ok(Self::TakeOver(takeover_socket(&path)))
    }

    /// Gets what there is.
    pub(super) fn inherit(self, config: &Config) -> Result<Inherited, Failure> {
        if let Self::TakeOver(path) = self {
            match control::ask(&path, Scope::of(config))
                .map_err(|error| Failure::Other(error.into()))?
            {
                Some(inherited) => return Ok(inherited),
                None => {
                    tracing::info!(
                        "nobody to take over from at {}: beginning anew",
                        path.display()
                    );
                }
            }
        }
        from_service_manager(config)
    }
}

/// Sockets that systemd has bound for us (`LISTEN_FDS`): each must be one of a listener's.
fn from_service_manager(config: &Config) -> Result<Inherited, Failure> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for place in 0..passed.len() {
        let (bound, socket) = take(&mut passed, place)?;
        let listener =
            config.listeners.iter().find(|listener| stands_for(&listener.address, &bound));
        let listener = listener.ok_or_else(|| {
            Failure::Other(anyhow!(
                "the service manager has passed a socket on {bound}, which is no listener of the \
                 config: add it under `listeners`, or remove it from the socket unit"
            ))
        })?;
        sockets.push((listener.address.to_string(), socket));
    }
    Ok(Inherited::sockets(sockets))
}

fn take(passed: &mut ListenFd, place: usize) -> Result<(ListenAddress, OwnedFd), Failure> {
    let wrong = || {
        Failure::Other(anyhow!(
            "socket {place} of the service manager is not a listening TCP or Unix stream socket"
        ))
    };
    if let Ok(Some(tcp)) = passed.take_tcp_listener(place) {
        let bound = tcp.local_addr().map_err(|_| wrong())?;
        return Ok((bound.into(), tcp.into()));
    }
    let unix = passed.take_unix_listener(place).ok().flatten().ok_or_else(wrong)?;
    let bound = unix.local_addr().map_err(|_| wrong())?;
    let path = bound.as_pathname().ok_or_else(wrong)?;
    Ok((ListenAddress::Unix(path.into()), unix.into()))
}

/// Whether a socket that is bound to `bound` is what a listener at `configured` wants: systemd's
/// `ListenStream=8080` is `[::]:8080`, for IPv4 as well.
fn stands_for(configured: &ListenAddress, bound: &ListenAddress) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    match (configured.tcp(), bound.tcp()) {
        (Some(a), Some(b)) => a == b || (any(a) && any(b) && a.port() == b.port()),
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => configured == bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_all_addresses_stands_for_a_listener_of_all_addresses() {
        let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
        assert!(stands_for(&tcp("0.0.0.0:80"), &tcp("[::]:80")));
        assert!(stands_for(&tcp("127.0.0.1:80"), &tcp("127.0.0.1:80")));
        assert!(!stands_for(&tcp("127.0.0.1:80"), &tcp("[::]:80")));
        assert!(!stands_for(&tcp("0.0.0.0:80"), &tcp("0.0.0.0:81")));
        let unix = |path: &str| ListenAddress::Unix(std::path::Path::new(path).into());
        assert!(stands_for(&unix("/run/a"), &unix("/run/a")));
        assert!(!stands_for(&unix("/run/a"), &tcp("0.0.0.0:80")));
    }
}
