//! The running load balancer, from real probes to real answers, without the binary around it.

mod certificates;
mod file;
mod gates;
mod harness;
mod jobs;
mod moves;
mod notify;
mod operator;
mod readiness;
mod reload;
mod streams;
mod tls;
