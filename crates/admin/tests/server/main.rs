//! The admin server as operators, Prometheus, an orchestrator and a web page with bad intentions meet
//! it: a real server in front of a real balancer with real backends.

mod access;
mod dashboard;
mod document;
mod lab;
mod orders;
mod pages;
mod read;
mod sockets;
mod stream;
