//! `token`: a new token, and the lines of the config that let it in. Asks nobody.

use std::process::ExitCode;

use crate::cli::{Access, Token};
use crate::files::{Failure, print};

/// `token`.
pub(crate) fn token(args: &Token) -> Result<ExitCode, Failure> {
    let new = admin::token().map_err(|error| Failure::Other(error.into()))?;
    print(&shown(args, &new.secret, &new.hash)?)
}

/// The token comes first and alone on its line, so that `head -1` has it.
fn shown(args: &Token, token: &str, hash: &str) -> Result<String, Failure> {
    let name = &args.name;
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 100 || !name.chars().all(is_safe) {
        return Err(Failure::Config(
            "understudy: --name: letters, digits, `-`, `_` and `.` only, at most 100".to_owned(),
        ));
    }
    let access = match args.access {
        Access::Read => "read",
        Access::Write => "write",
    };
    Ok(format!(
        "{token}\n\n\
         # Keep it: it is shown this once. Clients take it from UNDERSTUDY_TOKEN or --token-file.\n\
         # The config has only its hash:\n\
         admin:\n  tokens:\n    - {{ name: \"{name}\", access: {access}, hash: \"{hash}\" }}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_gets_the_hash_and_not_the_token() {
        let args = Token { name: "ops".to_owned(), access: Access::Read };
        let text = shown(&args, "understudy_secret", "$argon2id$x").expect("a good name");
        assert_eq!(text.lines().next(), Some("understudy_secret"));
        assert_eq!(text.matches("secret").count(), 1);
        assert!(text.ends_with(
            "admin:\n  tokens:\n    - { name: \"ops\", access: read, hash: \"$argon2id$x\" }\n"
        ));
        for bad in ["", "a b", "a\"b", "a\nb", &"x".repeat(101)] {
            let args = Token { name: bad.to_owned(), ..args.clone() };
            assert!(shown(&args, "t", "h").is_err(), "{bad}");
        }
    }
}
