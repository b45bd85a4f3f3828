//! A member of a group of servers of which one is active. The standbys watch its lease, and one of them
//! promotes itself when it has not been renewed for a while. Nobody else has a say in it.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};
use standins::journal::{Journal, now_ns};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::Common;
use crate::server::{Answer, Asked, answer, run as run_here, serve, unknown};

/// From one look at the lease to the next.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The lease that all share.
    #[arg(long)]
    lease: PathBuf,
    /// How long the lease has to be old before a standby promotes itself.
    #[arg(long, default_value_t = 5000)]
    promote_after_ms: u64,
    /// How long the promotion takes.
    #[arg(long, default_value_t = 500)]
    promoting_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Active,
    Standby,
    Promoting,
}

struct Member {
    name: String,
    journal: Journal,
    lease: PathBuf,
    promote_after: Duration,
    promoting: Duration,
    role: Cell<Role>,
    renewed_ns: Cell<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let member = Rc::new(Member {
        name: arguments.common.name.clone(),
        journal: arguments.common.journal()?,
        lease: arguments.lease.clone(),
        promote_after: Duration::from_millis(arguments.promote_after_ms),
        promoting: Duration::from_millis(arguments.promoting_ms),
        role: Cell::new(Role::Standby),
        renewed_ns: Cell::new(0),
    });
    member.journal.note("started", Value::Null);
    let ours = Rc::clone(&member);
    run_here(async move {
        // As long as the process.
        spawn_local(async move { ours.watch().await });
        serve(arguments.common.listen, None, move |asked| {
            let member = Rc::clone(&member);
            async move { member.answer(&asked) }
        })
        .await
    })
}

impl Member {
    /// Renews the lease, or waits for its turn.
    async fn watch(&self) {
        loop {
            match (self.take(), self.role()) {
                (Ok(true), Role::Standby) => {
                    self.become_(Role::Promoting);
                    // Renewed meanwhile, so that no other begins the same.
                    let until_ns = now_ns() + nanos(self.promoting);
                    while now_ns() < until_ns && self.take().unwrap_or(false) {
                        sleep(LOOK).await;
                    }
                    let still = self.take().unwrap_or(false);
                    self.become_(if still { Role::Active } else { Role::Standby });
                }
                (Ok(true), Role::Active | Role::Promoting) | (Ok(false), Role::Standby) => {}
                (Ok(false), Role::Active | Role::Promoting) => self.become_(Role::Standby),
                (Err(error), _) => self.journal.note("no lease", json!(error.to_string())),
            }
            sleep(LOOK).await;
        }
    }

    /// Renews the lease if it is ours, or so old that it is anybody's. The first is for who asks first.
    fn take(&self) -> io::Result<bool> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.lease)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let now = now_ns();
        if let Some((holder, renewed)) = text.split_once(' ') {
            let age_ns = now.saturating_sub(renewed.parse().unwrap_or(0));
            if holder != self.name && age_ns < nanos(self.promote_after) {
                return Ok(false);
            }
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(format!("{} {now}", self.name).as_bytes())?;
        self.renewed_ns.set(now);
        Ok(true)
    }

    /// What it is: also when it has just been woken after a long sleep and has not looked yet.
    fn role(&self) -> Role {
        let is_fresh = now_ns() - self.renewed_ns.get() < nanos(self.promote_after);
        if is_fresh || self.role.get() == Role::Standby { self.role.get() } else { Role::Standby }
    }

    fn become_(&self, role: Role) {
        self.role.set(role);
        self.journal.note(word(role), Value::Null);
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let role = self.role();
        match asked.what() {
            ("GET", "/status") => {
                let text = match role {
                    Role::Active => "serving",
                    Role::Standby => "Monitoring the status of the active server",
                    Role::Promoting => "taking over",
                };
                let body = json!({ "role": word(role), "text": text, "name": self.name });
                answer(StatusCode::OK, body.to_string())
            }
            ("GET", "/") => {
                let mut reply = match role {
                    Role::Active => answer(StatusCode::OK, "work\n"),
                    Role::Standby | Role::Promoting => {
                        self.journal.note("asked too soon", json!({ "role": word(role) }));
                        answer(StatusCode::SERVICE_UNAVAILABLE, "not the active\n")
                    }
                };
                if let Ok(name) = self.name.parse() {
                    reply.headers_mut().insert("x-origin", name);
                }
                reply
            }
            ("GET", "/lease") => answer(StatusCode::OK, fs::read(&self.lease).unwrap_or_default()),
            _ => unknown(),
        }
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Standby => "standby",
        Role::Promoting => "promoting",
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
