//! Where operators and Prometheus ask, who may do what, and what a restart remembers, in words.

use crate::lint;
use crate::model::{Access, Admin, AdminSocket, Config};

use super::listeners::warning;

/// Lines with line breaks.
pub(super) fn admin(config: &Config) -> String {
    let Admin { address, socket, tls, .. } = &config.admin;
    let mut text = String::new();
    match (address, tls) {
        (None, _) => text.push_str("No address answers with metrics and status.\n"),
        (Some(address), tls) => {
            let way = if tls.is_some() { ", over TLS" } else { "" };
            let who = may(&config.admin);
            text.push_str(&format!("Metrics and status are on {address}{way}. {who}\n"));
        }
    }
    text.push_str(&match socket {
        AdminSocket::Auto => {
            "Commands come over the admin socket at its usual place, from whoever may open it.\n"
                .to_owned()
        }
        AdminSocket::Off => "There is no admin socket.\n".to_owned(),
        AdminSocket::Path(path) => {
            format!("Commands come over {}, from whoever may open it.\n", path.display())
        }
    });
    text.push_str(&match &config.state_dir {
        Some(folder) => format!("Decisions survive a restart in {}.\n", folder.display()),
        None => "Decisions live in memory: a restart forgets them.\n".to_owned(),
    });
    for lint in lint::admin(&config.admin) {
        text.push_str(&format!("{}\n", warning(&lint)));
    }
    text
}

/// Who may read and write at the address.
fn may(admin: &Admin) -> String {
    if admin.tokens.is_empty() {
        return "Whoever reaches it may read, nobody may write.".to_owned();
    }
    let names = |wanted: &[Access]| {
        let tokens = admin.tokens.iter().filter(|token| wanted.contains(&token.access));
        tokens.map(|token| token.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let readers = names(&[Access::Read, Access::Write]);
    let writers = names(&[Access::Write]);
    if writers.is_empty() {
        format!("To read takes a token ({readers}); nobody may write.")
    } else {
        format!("To read takes a token ({readers}), to write too ({writers}).")
    }
}
