//! The real binary between real clients and real backends that are killed, stopped, told to be ill and
//! revived. One test runs at a time, because most of them measure time.

mod access_log;
mod admin;
mod admin_client;
mod agent;
mod app;
#[path = "../h1/backend.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/1.1, which use more of it")]
mod backend;
mod both_down;
mod claims;
#[path = "../h1/client.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/1.1, which use more of it")]
mod client;
mod collector;
mod cut_off;
mod descriptors;
mod desk;
mod drain;
mod dual_active;
mod exclusive;
mod gates;
mod hang;
mod health_grpc;
mod hostile;
mod house;
mod hygiene;
mod island;
mod kill;
mod license_manager;
mod log_files;
mod network;
mod operator;
mod orders;
mod pause;
mod pool;
mod probes;
mod programs;
mod prometheus;
mod query_server;
mod readiness;
mod reload;
mod restart;
mod revival;
mod scheduler;
mod self_promotion;
mod service_manager;
mod sick;
mod signals;
mod slow;
mod stage;
mod takeover;
mod tls;
mod traces;
mod twins;
mod upgrade;
