//! One driver per service: feeds the decision, tells the workers, keeps the records, reloads.
//!
//! Only control decides, and it decides nothing itself: `routing::failover` does. What is here
//! carries verdicts in and effects out, in the right order.

mod blueprint;
mod board;
mod command;
mod driver;
mod events;
mod evidence;
mod forwarders;
mod handle;
mod ids;
mod incident;
mod jobs;
mod logs;
mod notify;
mod readiness;
mod reload;
mod rounds;
mod state;
mod status;
mod streams;
mod supervisor;
mod takeover;
mod tls;
mod traces;
mod watch;

pub use blueprint::{BuildError, Checked, admin_tls, check};
pub use command::{
    Command, CommandError, Done, JobRun, JobShown, JobTurn, Moved, Operator, Preview, ProbeShown,
};
pub use events::{Event, Kind};
pub use handle::{
    Control, HistoryQuery, ListeningOn, ReloadError, Reloaded, Source, StartError, Stuck,
};
pub use notify::NotifierTest;
pub use reload::{Follow, Reloading, follow};
pub use rounds::{Round, Rounds};
pub use status::{
    BackendStatus, CheckStatus, Drift, DrillStatus, DualActive, FailbackStatus, GateStatus,
    JobBackend, JobStatus, LastProbe, Load, ProcessStatus, Readiness, Scheduled, ServiceStatus,
    Since, Status, Switching, Until, admin_word, health_word, level_word, reason_word, role_word,
    wish_word,
};
// What a status, a command and the admin side are made of.
pub use config::model::Level;
pub use routing::failover::{AdminState, Health, Reason, Refusal, Role, Settlement, Verdict, Wish};
pub use rustls::ServerConfig;
pub use takeover::{Inherited, Offer, Scope, TakeoverError, ask, offer};
pub use tls::{Certificate, TlsError, TlsProblem, Usage};
pub use traces::Ways;
