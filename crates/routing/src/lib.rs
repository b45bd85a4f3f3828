//! Where does this request go?
//!
//! [`failover`] decides which backend of a service is active; [`table`] decides which service a
//! host and path belong to. Both are pure: no I/O, no clock, no async.

pub mod failover;
pub mod table;
