//! A new process takes over from the running one, without a request lost.
//!
//! Over a Unix socket that only our user may open, the old process hands over its listening sockets
//! and what it has decided, and decides nothing more. The new one checks every backend and says that
//! it is ready. The old one says go: from then on the new one is in charge, accepts on the same
//! sockets, and the old one finishes what it has. Until it is gone it does with that what the new one
//! says: hold, release, activate. So "one active" holds for both together.
//!
//! Until it has said go the old one may go on as after a restart, and the new one then must end.

mod link;
mod offer;
mod predecessor;
mod scope;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config::model::ListenAddress;
use serde::{Deserialize, Serialize};

use self::link::Link;
pub(crate) use self::offer::Aside;
pub use self::offer::{Offer, offer};
pub(crate) use self::predecessor::Predecessor;
pub use self::scope::Scope;
use crate::forwarders::Said;
use crate::state::SavedService;

/// How long the running process may take to stand aside: a move may be under way.
const ASIDE_WITHIN: Duration = Duration::from_secs(60);

/// How long a new process may take until it is ready; it waits for its first verdicts.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What a new process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromNew {
    /// It wants to take over, and will serve this.
    Hello { version: String, pid: u32, scope: Scope },
    /// It could accept now.
    Ready,
    /// What is to become of requests that the old process still has.
    Order { number: u64, service: Arc<str>, said: Said },
}

/// What an old process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromOld {
    /// The sockets of a listener, by its configured address; there may be several messages for one.
    Listener { configured: String },
    /// A socket of the admin side, by its address.
    Admin { address: String },
    /// That was all; this is what was decided.
    Aside { services: BTreeMap<String, SavedService> },
    /// It will not stand aside, or goes on itself.
    Refused { why: String },
    /// The new one is in charge.
    Go,
    /// An order was carried out, with how many requests it had to do; `None`: not by everybody.
    Acknowledged { number: u64, count: Option<usize> },
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The running process does not answer as it should.
    #[error("the running process does not hand over: {0}")]
    Link(#[from] io::Error),
    /// It says why not.
    #[error("the running process does not hand over: {0}")]
    Refused(String),
}

/// What was there before this process: sockets that are bound already, and decisions.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Listening sockets by the configured address; of systemd's by the address that they are bound
    /// to.
    pub(crate) listeners: Vec<(String, Vec<OwnedFd>)>,
    /// Sockets of the admin side, by their address.
    pub(crate) admin: Vec<(String, OwnedFd)>,
    /// Whether files of Unix sockets are ours to remove from now on: systemd's are not.
    pub(crate) owns_files: bool,
    /// What the running process has decided.
    pub(crate) services: BTreeMap<String, SavedService>,
    /// The running process.
    link: Option<Link>,
}

impl Inherited {
    /// Sockets that somebody else has bound, systemd for example, each with the address it is bound to.
    #[must_use]
    pub fn sockets(sockets: Vec<(String, OwnedFd)>) -> Self {
        let listeners = sockets.into_iter().map(|(address, socket)| (address, vec![socket]));
        Self { listeners: listeners.collect(), ..Self::default() }
    }

    /// Takes the sockets of a listener out: by its configured address, or by one that they are bound to
    /// and that it stands for.
    pub(crate) fn take_listener(&mut self, configured: &ListenAddress) -> Option<Vec<OwnedFd>> {
        let configured = configured.to_string();
        let mut sockets = Vec::new();
        for (_, some) in self.listeners.extract_if(.., |(address, _)| *address == configured) {
            sockets.extend(some);
        }
        Some(sockets).filter(|sockets| !sockets.is_empty())
    }

    /// Takes a socket of the admin side out, by its address.
    #[must_use]
    pub fn take_admin(&mut self, address: &str) -> Option<OwnedFd> {
        let place = self.admin.iter().position(|(known, _)| known == address)?;
        Some(self.admin.swap_remove(place).1)
    }

    /// Whether there is a running process to take over from.
    #[must_use]
    pub fn is_takeover(&self) -> bool {
        self.link.is_some()
    }

    pub(crate) fn take_predecessor(&mut self) -> io::Result<Option<Predecessor>> {
        self.link.take().map(Predecessor::new).transpose()
    }
}

/// Asks the process that offers itself at `path` to hand over to one that will serve `scope`. `None`:
/// nobody does.
///
/// # Errors
/// When somebody does, and does not hand over. It then goes on as before.
pub fn ask(path: &Path, scope: Scope) -> Result<Option<Inherited>, TakeoverError> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Ok(None),
            _ => return Err(error.into()),
        },
    };
    let link = Link::new(stream)?;
    link.check_peer()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    link.send(&FromNew::Hello { version, pid: std::process::id(), scope }, &[])?;
    let mut inherited = Inherited::default();
    loop {
        let (message, sockets) = link.receive::<FromOld>(Some(ASIDE_WITHIN))?;
        match message {
            FromOld::Listener { configured } => {
                match inherited.listeners.iter_mut().find(|(known, _)| *known == configured) {
                    Some((_, known)) => known.extend(sockets),
                    None => inherited.listeners.push((configured, sockets)),
                }
            }
            FromOld::Admin { address } => {
                inherited.admin.extend(sockets.into_iter().map(|socket| (address.clone(), socket)));
            }
            FromOld::Aside { services } => {
                inherited.services = services;
                inherited.owns_files = true;
                inherited.link = Some(link);
                return Ok(Some(inherited));
            }
            FromOld::Refused { why } => return Err(TakeoverError::Refused(why)),
            FromOld::Acknowledged { .. } | FromOld::Go => {
                return Err(TakeoverError::Refused("it answers what nobody asked".to_owned()));
            }
        }
    }
}
