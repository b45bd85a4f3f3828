//! A program that runs, and its process group.

use std::fmt::Debug;
use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::runtime::Handle;

use super::output::Output;

/// Kills the group when it is dropped, if the program has not ended before.
#[derive(Debug)]
pub(super) struct Running<P: Debug + Send + 'static> {
    /// The program, unless it has ended, and the permit that it needs.
    leader: Option<(Child, P)>,
    /// Its group bears its number.
    group: Option<Pid>,
}

impl<P: Debug + Send + 'static> Running<P> {
    /// `child` leads a process group.
    pub(super) fn new(child: Child, permit: P) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: Some((child, permit)), group: id.and_then(Pid::from_raw) }
    }

    /// Waits for the program to end, reading its `output` meanwhile; then kills what it left behind in
    /// its group. May be dropped at any time.
    ///
    /// # Errors
    /// If that cannot be seen.
    pub(super) async fn ended(&mut self, output: &mut Output) -> io::Result<ExitStatus> {
        let Some((child, _)) = &mut self.leader else { return Err(io::ErrorKind::NotFound.into()) };
        let status = tokio::select! {
            biased;
            status = child.wait() => status,
            () = output.read() => child.wait().await,
        }?;
        // At once: as long as any process is in the group nobody else gets its number, and in so short
        // a time nobody does anyway.
        self.kill();
        self.leader = None;
        Ok(status)
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // There may be no one left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl<P: Debug + Send + 'static> Drop for Running<P> {
    fn drop(&mut self) {
        self.kill();
        let Some((mut child, permit)) = self.leader.take() else { return };
        // A process that hangs in the kernel, say on a dead file server, is killed only when it comes
        // back. It keeps its permit until then, or they would pile up.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _ = child.wait().await;
                drop(permit);
            });
        }
    }
}
