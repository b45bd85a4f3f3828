//! The admin side of a config: where operators and Prometheus ask, and who may do what there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::CertificateFiles;

/// Where operators and Prometheus ask, and who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// IP address and port; `None`: no port. Loopback, unless there are `tls` and at least one token.
    pub address: Option<SocketAddr>,
    /// The Unix socket; whoever may open it may do everything.
    pub socket: AdminSocket,
    /// TLS at `address`; `None` in the clear.
    pub tls: Option<CertificateFiles>,
    /// Who may do what at `address`. Names are unique. Empty: everybody may read and nobody may
    /// write.
    pub tokens: Vec<Token>,
}

/// The Unix socket of the command line tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminSocket {
    /// `/run/understudy/admin.sock` for root, else `$XDG_RUNTIME_DIR/understudy/admin.sock`, else
    /// `/tmp/understudy-UID/admin.sock`.
    Auto,
    /// None.
    Off,
    /// At this absolute path.
    Path(PathBuf),
}

/// A secret that somebody shows at the admin listener, by its hash only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the journal of commands calls whoever shows it.
    pub name: String,
    /// What they may do.
    pub access: Access,
    /// The hash of the secret: an Argon2 PHC string whose parameters Argon2 accepts.
    pub hash: String,
}

/// Without the hash: it would end up in logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Metrics, status, events and incidents.
    Read,
    /// That, and commands.
    Write,
}
