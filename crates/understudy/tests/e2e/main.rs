//! The real binary between real clients and real backends that are killed, stopped, told to be ill and
//! revived. One test runs at a time, because most of them measure time.

mod admin;
mod both_down;
mod hang;
mod kill;
mod orders;
mod reload;
mod revival;
mod sick;
mod stage;
