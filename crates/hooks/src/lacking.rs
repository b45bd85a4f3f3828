//! What a hook will lack when it is run: looked for beforehand, so that nobody learns of it in a move.
//!
//! Looks only; what is there now may be gone by then, and the other way round.

use std::env;
use std::path::{Path, PathBuf};

use config::model::{Action, ExecAction, HttpAction, Secret};
use rustix::fs::{Access, access};

use crate::process::USUAL_PATH;

/// What an action lacks, each in words that say what to do.
#[must_use]
pub fn lacking(action: &Action) -> Vec<String> {
    match action {
        Action::Exec(exec) => lacking_exec(exec),
        Action::Http(http) => lacking_http(http),
    }
}

/// The same of a program.
#[must_use]
pub fn lacking_exec(exec: &ExecAction) -> Vec<String> {
    let program = exec.command.first().and_then(|program| lacking_program(program));
    let secrets = exec.environment.iter().filter_map(|(_, secret)| lacking_secret(secret));
    program.into_iter().chain(secrets).collect()
}

/// The same of a request.
#[must_use]
pub fn lacking_http(http: &HttpAction) -> Vec<String> {
    http.headers.iter().filter_map(|(_, secret)| lacking_secret(secret)).collect()
}

/// The same of a secret.
#[must_use]
pub fn lacking_secret(secret: &Secret) -> Option<String> {
    match secret {
        Secret::Plain(_) => None,
        Secret::Variable(name) => match env::var_os(&**name) {
            Some(text) if !text.is_empty() => None,
            Some(_) | None => Some(format!("the environment variable {name} is not set here")),
        },
        Secret::File(path) => {
            let error = access(path, Access::READ_OK).err()?;
            Some(format!("the file {} cannot be read: {error}", path.display()))
        }
    }
}

/// A name with a placeholder in it cannot be looked for.
fn lacking_program(program: &str) -> Option<String> {
    if program.contains('{') {
        return None;
    }
    if program.contains('/') {
        let error = access(program, Access::EXEC_OK).err()?;
        return Some(format!("the program {program} cannot be run: {error}"));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    let is_there = |folder: PathBuf| is_program(&folder.join(program));
    let found = env::split_paths(&path).any(is_there);
    (!found).then(|| format!("the program {program} is in no folder of PATH"))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(program: &str, secret: Secret) -> Action {
        Action::Exec(ExecAction {
            command: vec![program.into()],
            environment: vec![("TOKEN".into(), secret)],
            directory: None,
            output_bytes: 0,
        })
    }

    #[test]
    fn what_is_there_is_not_lacking() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for program in ["/bin/sh", "sh", "/opt/{backend}"] {
            let action = exec(program, Secret::File(file.path().to_owned()));
            assert_eq!(lacking(&action), Vec::<String>::new(), "{program}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (program, secret, expected) in [
            (
                "/no/such/program",
                Secret::Plain("x".into()),
                "the program /no/such/program cannot be run: No such file or directory (os error 2)",
            ),
            (
                "no-such-program",
                Secret::Plain("x".into()),
                "the program no-such-program is in no folder of PATH",
            ),
            (
                "sh",
                Secret::File("/no/such/token".into()),
                "the file /no/such/token cannot be read: No such file or directory (os error 2)",
            ),
            (
                "sh",
                Secret::Variable("UNDERSTUDY_NO_SUCH_VARIABLE".into()),
                "the environment variable UNDERSTUDY_NO_SUCH_VARIABLE is not set here",
            ),
        ] {
            assert_eq!(lacking(&exec(program, secret)), [expected]);
        }
    }
}
