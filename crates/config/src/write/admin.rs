//! The section `admin`, back to YAML.

use super::listener::{certificate, file};
use super::{line, or_off, quote};
use crate::model::{Access, Admin, AdminSocket, Token};

/// Every key.
pub(super) fn write_admin(out: &mut String, admin: &Admin) {
    let Admin { address, socket, tls, tokens } = admin;
    let address = or_off(*address, |address| quote(&address.to_string()));
    let socket = match socket {
        AdminSocket::Auto => "auto".to_owned(),
        AdminSocket::Off => "off".to_owned(),
        AdminSocket::Path(path) => file(path),
    };
    line(out, format_args!("admin:\n  address: {address}\n  socket: {socket}"));
    if let Some(files) = tls {
        line(out, format_args!("  tls: {}", certificate(files)));
    }
    if !tokens.is_empty() {
        line(out, format_args!("  tokens:"));
    }
    for Token { name, access, hash } in tokens {
        let access = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let (name, hash) = (quote(name), quote(hash));
        line(out, format_args!("    - {{ name: {name}, access: {access}, hash: {hash} }}"));
    }
}
