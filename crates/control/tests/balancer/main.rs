//! The running load balancer, from real probes to real answers, without the binary around it.

mod file;
mod harness;
mod moves;
mod reload;
