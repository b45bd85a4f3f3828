//! Where operators and Prometheus ask, and who may: the section `admin`.

use std::path::Path;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params};

use crate::address::parse_listen;
use crate::choice::{means_off, say_off, word};
use crate::kinds::{parse_name, text};
use crate::model::{Access, Admin, AdminSocket, Token};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint, Report};
use crate::suggest::closest;
use crate::unix::parse_path_from;
use crate::{check, defaults, lint, tls};

/// A token and where its name stands.
pub(crate) type DraftToken = At<Token>;

const OFF: &[(&str, ())] = &[("off", ())];

/// `off`, or its keys.
pub(crate) fn admin(value: &mut Value<'_>, base: &Path) -> Option<At<Admin>> {
    value.either(
        |value| {
            word(OFF)(value)?;
            let nothing =
                Admin { address: None, socket: AdminSocket::Off, tls: None, tokens: Vec::new() };
            Some(At { value: nothing, place: value.place().clone() })
        },
        |value| Some(value.section(|section| keys(section, base))),
    )
}

/// Without the section.
pub(crate) fn default_admin(base: &Path) -> At<Admin> {
    let report = Report::new("", "");
    Value::root(&report, None).section(|section| keys(section, base))
}

fn keys(section: &mut Section<'_>, base: &Path) -> At<Admin> {
    let errors = section.report().errors();
    let address = section.or(
        "address",
        "IP address and port, or `off`; beyond loopback it needs `tls` and `tokens`",
        defaults::ADMIN_ADDRESS,
        text("an address to listen on", |text| match text {
            "off" => Ok(None),
            text if means_off(text) => Err(say_off("`off` or an address to listen on", text)),
            text => parse_listen(text).map(Some),
        }),
    );
    let socket = section.or(
        "socket",
        "The Unix socket of the command line tool: `auto` (root: `/run/understudy/admin.sock`), `off`, or a path, relative to the folder of the config",
        defaults::ADMIN_SOCKET,
        text("`auto`, `off` or a path", |text| parse_socket(text, base)),
    );
    let tls = section.optional("tls", "TLS at `address`; in the clear without it", |value| {
        value.keys(|section| tls::certificate(section, base))?
    });
    let tokens: Vec<DraftToken> = section
        .optional(
            "tokens",
            "Who may do what at `address`; without any everybody may read",
            |value| value.list("a list of tokens", 0, |value| value.section(token)),
        )
        .unwrap_or_default();
    let place = section.place("address");
    check::tokens(section, &tokens);
    let tokens = tokens.into_iter().map(|token| token.value).collect();
    let admin = Admin { address, socket, tls, tokens };
    // What could not be read may be what is missing.
    if section.report().errors() == errors {
        check::admin(section, &admin);
        for lint in lint::admin(&admin) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    At { value: admin, place }
}

fn parse_socket(text: &str, base: &Path) -> Result<AdminSocket, Complaint> {
    match text {
        "auto" => return Ok(AdminSocket::Auto),
        "off" => return Ok(AdminSocket::Off),
        text if means_off(text) => return Err(say_off("`auto`, `off` or a path", text)),
        _ => {}
    }
    // A file of that name is nobody's wish.
    if !text.contains(['/', '.'])
        && let Some(word) = closest(text, ["auto", "off"])
    {
        let message = format!("expected `auto`, `off` or a path, found {}", quoted(text));
        return Err(Complaint::new(message).advice(format!("did you mean {}?", quoted(word))));
    }
    parse_path_from(text, base).map(AdminSocket::Path)
}

const ACCESS: &[(&str, Access)] = &[("read", Access::Read), ("write", Access::Write)];

fn token(section: &mut Section<'_>) -> Option<DraftToken> {
    let name = section.required(
        "name",
        "What the journal calls whoever shows it",
        text("a name", parse_name),
    );
    let access = section.required(
        "access",
        "`read` (metrics, status, events, incidents) or `write` (that, and commands)",
        word(ACCESS),
    );
    let hash = section.required(
        "hash",
        "The Argon2 hash of the secret, as `understudy token` prints it",
        |value| {
            // It may be the secret itself, by mistake.
            value.report().conceal(value.place());
            text("the Argon2 hash of a token", parse_hash)(value)
        },
    );
    let place = section.place("name");
    Some(At { value: Token { name: name?, access: access?, hash: hash? }, place })
}

/// Says nothing of what it was given: that may be the secret itself.
fn parse_hash(text: &str) -> Result<String, Complaint> {
    let advice = "`understudy token` makes a secret and its hash; write the hash here, in quotes";
    let bad = |message| Err(Complaint::new(message).advice(advice));
    let Ok(hash) = PasswordHash::new(text) else {
        return bad("this is not the hash of a token");
    };
    if Algorithm::try_from(hash.algorithm.as_str()).is_err() {
        return bad("this hash is not one of Argon2");
    }
    if Params::try_from(&hash).is_err() || hash.salt.is_none() || hash.hash.is_none() {
        return bad("this hash of Argon2 is not complete");
    }
    Ok(text.to_owned())
}
