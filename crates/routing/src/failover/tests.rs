//! The proof of the rules: scenarios in text, and a seeded simulation against a second opinion.
//!
//! Uses nothing but `std` and names the module under test by relative path only, because
//! `tests/mutations.rs` compiles this folder again for every deliberate break of a rule.

mod claim_scenarios;
mod gate_scenarios;
mod scenarios;
mod script;
mod second_opinion;
mod simulation;
