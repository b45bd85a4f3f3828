//! Runs programs and sends requests beside the traffic: gates, jobs, notifications, exec probes.
//!
//! Decides nothing, and remembers nothing: when, why and whether again is control's business.

mod about;
mod call;
mod ended;
mod exec;
pub mod http;
mod lacking;
mod placeholders;
mod process;
mod request;
mod secret;
mod told;
mod words;

pub use about::{About, Party};
pub use call::{Call, pause, run};
pub use ended::{Ended, Outcome, Tried};
pub use exec::run_program;
pub use lacking::{lacking, lacking_exec, lacking_http, lacking_secret};
pub use placeholders::filled;
pub use process::{NotStarted, Process, Program, how};
pub use request::{Message, Reply, fields, send};
pub use secret::{Hidden, reveal, sounds_secret};
pub use told::Told;
pub use words::{first_line, with_first_line};
