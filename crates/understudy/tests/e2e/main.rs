//! The real binary between real clients and real backends that are killed, stopped, told to be ill and
//! revived. One test runs at a time, because most of them measure time.

mod admin;
mod admin_client;
mod app;
#[path = "../h1/backend.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/1.1, which use more of it")]
mod backend;
mod both_down;
#[path = "../h1/client.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/1.1, which use more of it")]
mod client;
mod descriptors;
mod exclusive;
mod hang;
mod hygiene;
mod kill;
mod network;
mod operator;
mod orders;
mod pause;
mod pool;
mod reload;
mod restart;
mod revival;
mod sick;
mod signals;
mod stage;
mod takeover;
mod tls;
mod twins;
mod upgrade;
