//! The running load balancer, from real probes to real answers, without the binary around it.

mod certificates;
mod file;
mod harness;
mod moves;
mod operator;
mod reload;
mod streams;
mod tls;
