//! YAML text to a validated model, or every problem in it at once.
//!
//! Pure: it reads no file, no environment and no clock.

pub mod model;
