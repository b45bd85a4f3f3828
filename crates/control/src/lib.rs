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
mod reload;
mod state;
mod status;
mod streams;
mod supervisor;
mod takeover;
mod tls;
mod watch;

pub use blueprint::{BuildError, Checked, admin_tls, check};
pub use command::{Command, CommandError, Done, Moved, Operator, Preview, ProbeShown};
pub use events::{Event, Kind};
pub use handle::{Control, HistoryQuery, ListeningOn, ReloadError, Reloaded, Source, StartError};
pub use reload::{Follow, follow};
pub use status::{
    BackendStatus, Drift, DrillStatus, FailbackStatus, LastProbe, Load, ProcessStatus, Scheduled,
    ServiceStatus, Since, Status, Switching, Until, admin_word, health_word, reason_word,
};
// What a status, a command and the admin side are made of.
pub use routing::failover::{AdminState, Health, Reason, Refusal};
pub use rustls::ServerConfig;
pub use takeover::{Inherited, Offer, Scope, TakeoverError, ask, offer};
pub use tls::{Certificate, TlsError, TlsProblem, Usage};
