//! A scheduler that executes jobs while they are enabled. Two of them with jobs enabled execute
//! everything twice: that is what the balancer's gates must prevent.
//!
//! An order carries the epoch of its move. With `--fencing` one of an older epoch is refused, also when
//! it was under way for a long time; and one whose key came before is not carried out again.

use std::io;
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
use crate::scheduler_state::{Carried, Order, Saved, Trouble};
use crate::server::{Answer, Asked, answer, run as run_here, serve, unknown};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Where it remembers over its lives whether its jobs are enabled.
    #[arg(long)]
    state: PathBuf,
    /// Whether its jobs are enabled in its first life.
    #[arg(long)]
    enabled: bool,
    /// It begins every life but the first with its jobs disabled.
    #[arg(long)]
    disabled_at_start: bool,
    /// Orders of an older epoch than the last are refused.
    #[arg(long)]
    fencing: bool,
    /// A file that says which orders to delay or to refuse; read at each order. Its form is that of
    /// `Trouble`.
    #[arg(long)]
    trouble: Option<PathBuf>,
    /// How often it executes its job.
    #[arg(long, default_value_t = 20)]
    tick_ms: u64,
    /// The name of its job.
    #[arg(long, default_value = "report")]
    job: String,
}

struct Scheduler {
    name: String,
    journal: Journal,
    saved: Saved,
    fencing: bool,
    trouble: Option<PathBuf>,
    tick: Duration,
    job: String,
}

pub(crate) fn run(arguments: &Arguments) -> io::Result<()> {
    let saved = Saved::read(&arguments.state, arguments.enabled, arguments.disabled_at_start)?;
    let scheduler = Rc::new(Scheduler {
        name: arguments.common.name.clone(),
        journal: arguments.common.journal()?,
        saved,
        fencing: arguments.fencing,
        trouble: arguments.trouble.clone(),
        tick: Duration::from_millis(arguments.tick_ms.max(1)),
        job: arguments.job.clone(),
    });
    scheduler.journal.note("started", json!({ "enabled": scheduler.saved.is_enabled() }));
    let ours = Rc::clone(&scheduler);
    run_here(async move {
        // As long as the process.
        spawn_local(async move { ours.execute().await });
        serve(arguments.common.listen, None, move |asked| {
            let scheduler = Rc::clone(&scheduler);
            async move { scheduler.answer(asked).await }
        })
        .await
    })
}

impl Scheduler {
    /// Executes the job at each tick for which jobs are enabled. Ticks have the same numbers at all
    /// schedulers, and the one in which jobs are enabled belongs to whoever had it before.
    async fn execute(&self) {
        let tick_ns = u64::try_from(self.tick.as_nanos()).unwrap_or(u64::MAX);
        let mut last = now_ns() / tick_ns;
        loop {
            let left_ns = tick_ns - now_ns() % tick_ns;
            sleep(Duration::from_nanos(left_ns)).await;
            let now = now_ns() / tick_ns;
            let since = self.saved.enabled_since_ns().map(|since| since / tick_ns);
            if now > last && since.is_some_and(|since| now > since) {
                self.journal.note("executed", json!({ "job": self.job, "tick": now }));
            }
            last = now;
        }
    }

    async fn answer(self: &Rc<Self>, asked: Asked) -> Answer {
        let enabled = self.saved.is_enabled();
        let mut reply = match asked.what() {
            ("GET", "/ping") => answer(StatusCode::OK, "alive\n"),
            ("GET", "/api/jobs") => {
                let epoch = self.saved.epoch();
                answer(StatusCode::OK, json!({ "enabled": enabled, "epoch": epoch }).to_string())
            }
            ("GET", "/api/jobs/enabled") if enabled => answer(StatusCode::OK, "enabled\n"),
            ("GET", "/api/jobs/enabled") => answer(StatusCode::CONFLICT, "disabled\n"),
            ("POST", "/api/jobs/enable") => self.order(Order::Enable, &asked).await,
            ("POST", "/api/jobs/disable") => self.order(Order::Disable, &asked).await,
            ("POST", "/api/import") => self.order(Order::Import, &asked).await,
            ("POST", "/api/export") => self.order(Order::Export, &asked).await,
            (_, "/work") => {
                let epoch = asked.field("x-understudy-epoch");
                let more = json!({ "epoch": epoch, "enabled": enabled });
                self.journal.note("worked", more);
                answer(StatusCode::OK, "work\n")
            }
            _ => unknown(),
        };
        let role = if enabled { "active" } else { "standby" };
        reply.headers_mut().insert("x-role", http::HeaderValue::from_static(role));
        if let Ok(name) = self.name.parse() {
            reply.headers_mut().insert("x-origin", name);
        }
        reply
    }

    /// An order is carried out also when whoever gave it has gone.
    async fn order(self: &Rc<Self>, order: Order, asked: &Asked) -> Answer {
        let epoch = asked.field("x-understudy-epoch").and_then(|epoch| epoch.parse().ok());
        let key = asked.field("idempotency-key").map(str::to_owned);
        let gate = asked.field("x-understudy-gate").map(str::to_owned);
        let more = json!({ "order": order.word(), "epoch": epoch, "key": key, "gate": gate });
        let ours = Rc::clone(self);
        let carried = spawn_local(async move {
            ours.journal.note("received", more.clone());
            let trouble = Trouble::of(ours.trouble.as_deref(), order);
            sleep(trouble.before()).await;
            let carried = if trouble.fails() {
                Carried::Failed
            } else {
                ours.saved.carry_out(order, epoch.filter(|_| ours.fencing), key.as_deref())
            };
            ours.journal.note(carried.word(), more.clone());
            sleep(trouble.after()).await;
            ours.journal.note("answered", more);
            carried
        });
        match carried.await {
            Ok(Carried::Done) => answer(StatusCode::OK, "done\n"),
            Ok(Carried::Before) => answer(StatusCode::OK, "done before\n"),
            Ok(Carried::TooOld) => answer(StatusCode::CONFLICT, "of an older epoch\n"),
            Ok(Carried::Failed) => answer(StatusCode::SERVICE_UNAVAILABLE, "told to fail\n"),
            Err(_) => {
                self.journal.note("panicked", Value::Null);
                answer(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }
}
