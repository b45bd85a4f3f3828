//! Where operators and Prometheus reach us: the admin address and the Unix socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use admin::{Endpoint, Settings, Socket, SocketError, Token};
use anyhow::anyhow;
use config::model::{Access, Admin, AdminSocket, Config};
use control::{BuildError, Control, Inherited, Offer};

use crate::files::Failure;
use crate::socket::default_socket;

/// What is open towards operators, before anything is answered.
pub(super) struct Doors {
    tcp: Option<TcpListener>,
    tls: Option<std::sync::Arc<control::ServerConfig>>,
    unix: Option<Socket>,
    settings: Settings,
}

impl Doors {
    /// Opens what the config asks for, or takes it from a predecessor.
    pub(super) fn open(config: &Config, inherited: &mut Inherited) -> Result<Self, Failure> {
        let Admin { address, socket, tokens, .. } = &config.admin;
        let tls = control::admin_tls(config).map_err(control::StartError::from)?;
        let tcp = address.map(|address| bind(address, inherited)).transpose()?;
        let unix = open_socket(socket, inherited)?;
        let token = |token: &config::model::Token| {
            let access = match token.access {
                Access::Read => admin::Access::Read,
                Access::Write => admin::Access::Write,
            };
            Token::new(&token.name, access, &token.hash)
        };
        let tokens = tokens.iter().map(token).collect::<Result<Vec<_>, _>>();
        let tokens = tokens.map_err(|error| Failure::Config(format!("understudy: {error}")))?;
        Ok(Self { tcp, tls, unix, settings: Settings { tokens } })
    }

    /// Operators meet this process from now on, not the one before it.
    pub(super) fn take_over(&mut self) {
        if let Some(unix) = &mut self.unix
            && let Err(error) = unix.take_over()
        {
            tracing::error!("no Unix socket for commands: {}", with_source(&error));
            self.unix = None;
        }
    }

    /// Where they are, for people.
    pub(super) fn addresses(&self) -> io::Result<Vec<String>> {
        let tcp = self.tcp.as_ref().map(|tcp| tcp.local_addr().map(|address| address.to_string()));
        let unix = self.unix.as_ref().map(|unix| Ok(format!("unix:{}", unix.path().display())));
        tcp.into_iter().chain(unix).collect()
    }

    /// Offers everything to a successor. Without a Unix socket nobody can take over.
    pub(super) fn offer(&self, control: &Control) -> Option<Offer> {
        let path = takeover_socket(self.unix.as_ref()?.path());
        let tcp = self.tcp.as_ref().and_then(|tcp| {
            let address = tcp.local_addr().ok()?.to_string();
            Some((address, OwnedFd::from(tcp.try_clone().ok()?)))
        });
        match control::offer(&path, control.clone(), tcp.into_iter().collect()) {
            Ok(offer) => Some(offer),
            Err(error) => {
                let path = path.display();
                tracing::warn!("nobody can take over from this process: {path}: {error}");
                None
            }
        }
    }

    /// Answers until `stop`.
    pub(super) async fn serve(
        self,
        control: Control,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let tcp = self.tcp.map(|tcp| match self.tls {
            Some(tls) => Endpoint::Tls(tcp, tls),
            None => Endpoint::Tcp(tcp),
        });
        let unix = self.unix.map(Endpoint::Unix);
        let endpoints = tcp.into_iter().chain(unix).collect();
        admin::serve(endpoints, self.settings, control, stop).await
    }
}

/// Where a successor asks, beside the socket of operators.
pub(super) fn takeover_socket(socket: &Path) -> PathBuf {
    socket.with_extension("takeover")
}

/// Where the Unix socket is, if there is one.
pub(super) fn socket_path(socket: &AdminSocket) -> Option<PathBuf> {
    match socket {
        AdminSocket::Off => None,
        AdminSocket::Auto => Some(default_socket()),
        AdminSocket::Path(path) => Some(path.clone()),
    }
}

fn bind(address: SocketAddr, inherited: &mut Inherited) -> Result<TcpListener, Failure> {
    if let Some(socket) = inherited.take_admin(&address.to_string()) {
        return Ok(TcpListener::from(socket));
    }
    TcpListener::bind(address).map_err(|error| {
        let error = BuildError::Bind { address: address.into(), why: error };
        Failure::Other(anyhow!("{error} (for `admin`)"))
    })
}

/// At the usual path another process may be first: then this one does without, and says so. At a path
/// that somebody chose that is a failure.
fn open_socket(socket: &AdminSocket, inherited: &Inherited) -> Result<Option<Socket>, Failure> {
    let Some(path) = socket_path(socket) else { return Ok(None) };
    let open = if inherited.is_takeover() { Socket::beside } else { Socket::bind };
    match open(&path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if *socket == AdminSocket::Auto => {
            tracing::warn!("no Unix socket for commands: {}", with_advice(&error));
            Ok(None)
        }
        Err(error) => Err(Failure::Other(anyhow::Error::from(error).context("`admin.socket`"))),
    }
}

/// Why there is no socket at the usual path, and what to do about it.
fn with_advice(error: &SocketError) -> String {
    let why = with_source(error);
    match error {
        // It says so itself.
        SocketError::Taken { .. } => why,
        SocketError::NotASocket { .. }
        | SocketError::OpenFolder { .. }
        | SocketError::Io { .. } => format!("{why}; `admin.socket` names another path"),
    }
}

fn with_source(error: &SocketError) -> String {
    match std::error::Error::source(error) {
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_a_socket_is_said_once() {
        let path = PathBuf::from("/run/understudy/admin.sock");
        for error in [
            SocketError::Taken { path: path.clone() },
            SocketError::NotASocket { path: path.clone() },
            SocketError::OpenFolder { folder: "/run/understudy".into() },
            SocketError::Io { path, why: io::ErrorKind::PermissionDenied.into() },
        ] {
            let said = with_advice(&error);
            assert_eq!(said.matches("`admin.socket`").count(), 1, "{said}");
        }
    }
}
