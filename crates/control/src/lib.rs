//! One driver per service: feeds the decision, tells the workers, keeps the records, reloads.
//!
//! Only control decides, and it decides nothing itself: `routing::failover` does. What is here
//! carries verdicts in and effects out, in the right order.

mod blueprint;
mod board;
mod driver;
mod events;
mod evidence;
mod handle;
mod ids;
mod reload;
mod status;
mod streams;
mod supervisor;
mod tls;

pub use blueprint::{BuildError, check};
pub use events::{Event, Kind};
pub use handle::{
    Command, CommandError, Control, ListeningOn, ReloadError, Reloaded, Source, StartError,
};
pub use reload::{Follow, follow};
pub use status::{BackendStatus, LastProbe, ServiceStatus, Since, Status, Until};
pub use tls::TlsError;
