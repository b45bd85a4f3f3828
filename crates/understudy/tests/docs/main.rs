//! The documents say what is there: pages, links, tables, examples, commands and the code map.
//!
//! Each rule is a function over text, so that a made-up mistake shows that it would be found. It does
//! not judge the words.

mod book;
mod code_map;
mod commands;
mod configs;
mod foreign;
mod links;
mod pictures;
mod queries;
mod reference;
mod text;
