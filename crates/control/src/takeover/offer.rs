//! The running process offers itself to a successor.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::link::{Link, MOST_SOCKETS};
use super::{FromNew, FromOld, READY_WITHIN};
use crate::handle::Control;

/// How long a successor may take to say what it wants.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// How long a successor waits for the end of the process before us, below what it waits for us to stand
/// aside. It could only reach us: moves would pass over what that process still has.
const ALONE_WITHIN: Duration = Duration::from_secs(45);

/// Somebody may take over at this path, until this is dropped.
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    /// The same listener, so that a drop can end the thread that waits at it.
    listener: UnixListener,
    inode: u64,
}

/// Offers to hand over to whoever asks at `path` and is our own user or root. `admin` are the sockets
/// of the admin side, by their addresses.
///
/// # Errors
/// When there can be no socket at `path`.
pub fn offer(path: &Path, control: Control, admin: Vec<(String, OwnedFd)>) -> io::Result<Offer> {
    use std::os::unix::fs::MetadataExt as _;
    // Bound beside and moved there: whoever was there is replaced in one step, and nobody meets it
    // with other permissions.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    let inode = fs::metadata(path)?.ino();
    let waiting = listener.try_clone()?;
    let runtime = Handle::current();
    let admin = Arc::new(admin);
    thread::Builder::new().name("takeover".into()).spawn(move || {
        while let Ok((stream, _)) = waiting.accept() {
            match hand_over(stream, &control, &admin, &runtime) {
                Ok(()) => return,
                Err(error) => tracing::warn!("not taken over: {error}"),
            }
        }
    })?;
    Ok(Offer { path: path.to_owned(), listener, inode })
}

impl Drop for Offer {
    fn drop(&mut self) {
        use std::os::unix::fs::MetadataExt as _;
        if fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // Nobody is left to tell.
            let _ = fs::remove_file(&self.path);
        }
        // Wakes the thread, whose next accept fails.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
    }
}

/// Everything a successor needs, and then what it says. Returns once it has taken over and our
/// requests are done; with an error nothing has changed.
fn hand_over(
    stream: UnixStream,
    control: &Control,
    admin: &[(String, OwnedFd)],
    runtime: &Handle,
) -> io::Result<()> {
    let link = Link::new(stream)?;
    link.check_peer()?;
    let (hello, _) = link.receive::<FromNew>(Some(HELLO_WITHIN))?;
    let FromNew::Hello { version, pid, scope } = hello else {
        return Err(io::Error::other("a successor should say hello first"));
    };
    tracing::info!(pid, %version, "another process wants to take over");
    let alone = runtime.block_on(async { timeout(ALONE_WITHIN, control.until_alone()).await });
    let aside = match alone {
        Ok(()) => runtime.block_on(control.stand_aside(scope)),
        Err(_) => Err("the process before it still has requests: try again when it is gone".into()),
    };
    let aside = match aside {
        Ok(aside) => aside,
        Err(why) => {
            link.send(&FromOld::Refused { why: why.clone() }, &[])?;
            return Err(io::Error::other(why));
        }
    };
    let given = give(&link, &aside, admin);
    // Sockets that only we hold would go on taking connections that nobody accepts.
    drop(aside);
    if let Err(error) = given.and_then(|()| await_ready(&link, control, runtime)) {
        // It must not serve any more; one that is gone does not hear it.
        let _ = link.send(&FromOld::Refused { why: error.to_string() }, &[]);
        link.close();
        runtime.block_on(control.step_back_in());
        return Err(error);
    }
    tracing::info!(pid, "taken over: finishing what is under way");
    control.succeeded();
    // It says what becomes of our requests until we are gone.
    while let Ok((message, _)) = link.receive::<FromNew>(None) {
        obey(&link, message, control, runtime);
    }
    Ok(())
}

/// What a process that stands aside gives away.
pub(crate) struct Aside {
    /// Listening sockets by the configured address.
    pub(crate) listeners: Vec<(String, Vec<OwnedFd>)>,
    pub(crate) services: std::collections::BTreeMap<String, crate::state::SavedService>,
}

fn give(link: &Link, aside: &Aside, admin: &[(String, OwnedFd)]) -> io::Result<()> {
    for (configured, sockets) in &aside.listeners {
        for some in sockets.chunks(MOST_SOCKETS) {
            let some: Vec<_> = some.iter().map(|socket| socket.as_fd()).collect();
            link.send(&FromOld::Listener { configured: configured.clone() }, &some)?;
        }
    }
    for (address, socket) in admin {
        link.send(&FromOld::Admin { address: address.clone() }, &[socket.as_fd()])?;
    }
    link.send(&FromOld::Aside { services: aside.services.clone() }, &[])
}

/// Until the successor is ready, it may already say where the traffic goes. With our word it is in
/// charge, and there is no way back.
fn await_ready(link: &Link, control: &Control, runtime: &Handle) -> io::Result<()> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the successor is not ready in time",
            ));
        }
        let (message, _) = link.receive::<FromNew>(Some(left))?;
        match message {
            FromNew::Ready => return link.send(&FromOld::Go, &[]),
            FromNew::Hello { .. } => {}
            message @ FromNew::Order { .. } => obey(link, message, control, runtime),
        }
    }
}

/// Carries out an order and says so, without waiting for it: a drain takes its time.
fn obey(link: &Link, message: FromNew, control: &Control, runtime: &Handle) {
    let FromNew::Order { number, service, said } = message else { return };
    let (control, link) = (control.clone(), link.try_clone());
    runtime.spawn(async move {
        let count = control.obey(&service, said).await;
        if let Ok(link) = link {
            // Without an answer the successor knows that something is wrong.
            let _ = link.send(&FromOld::Acknowledged { number, count }, &[]);
        }
    });
}
