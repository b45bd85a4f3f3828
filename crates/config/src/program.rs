//! Programs that we run: their arguments, their folder, their variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::kinds::{free_text, text};
use crate::problem::quoted;
use crate::reader::Value;
use crate::report::Complaint;

/// What begins with this is ours to set.
const OURS: &str = "UNDERSTUDY_";

/// Program and arguments. `known` says what is wrong with one as it is.
pub(crate) fn command(
    known: impl Fn(&str) -> Result<(), Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<Vec<Arc<str>>> {
    move |value| {
        value.list("a program and its arguments", 1, |value| {
            let program = value.place().path.ends_with("command[0]");
            free_text("a text", |text| {
                if program && text.is_empty() {
                    let complaint = Complaint::new("expected a program, found empty text");
                    return Err(complaint.advice("write its path, or a name that `PATH` has"));
                }
                known(text)?;
                without_nul(text).map(Arc::from)
            })(value)
        })
    }
}

fn without_nul(text: &str) -> Result<&str, Complaint> {
    if text.contains('\0') {
        return Err(Complaint::new(format!(
            "{} has a NUL character, where text ends",
            quoted(text)
        )));
    }
    Ok(text)
}

/// A working directory, relative to `base`.
pub(crate) fn folder(base: &Path) -> impl Fn(&mut Value<'_>) -> Option<PathBuf> {
    text("a folder", |text| without_nul(text).map(|folder| base.join(folder)))
}

/// A program with a `/` in its name is a file, and relative to `base` like every other. `None` for no
/// command at all.
pub(crate) fn located(mut command: Vec<Arc<str>>, base: &Path) -> Option<Vec<Arc<str>>> {
    let program = command.first_mut()?;
    if program.contains('/') {
        *program = Arc::from(base.join(&**program).to_string_lossy());
    }
    Some(command)
}

/// Variables by name; `content` reads a value.
pub(crate) fn environment<T>(
    value: &mut Value<'_>,
    content: impl Fn(&mut Value<'_>) -> Option<T>,
) -> Option<Vec<(Arc<str>, T)>> {
    value.named("variables by name", 0, |name, value| {
        let content = content(value);
        let complaint = misnamed(name.value).or_else(|| {
            name.value.starts_with(OURS).then(|| {
                let complaint = Complaint::new(format!("{} is set by us", quoted(name.value)));
                complaint.advice(format!("use a name that does not begin with `{OURS}`"))
            })
        });
        if let Some(complaint) = complaint {
            value.report().error(&name.place, complaint);
            return None;
        }
        Some((Arc::from(name.value), content?))
    })
}

/// The value of a variable, which is not repeated: it may be a secret.
pub(crate) fn parse_variable(text: &str) -> Result<Arc<str>, Complaint> {
    if text.contains('\0') {
        return Err(Complaint::new("this text has a NUL character, where it would end"));
    }
    Ok(Arc::from(text))
}

/// What is wrong with the name of a variable.
pub(crate) fn misnamed(name: &str) -> Option<Complaint> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let complaint = Complaint::new(format!("{} is not the name of a variable", quoted(name)));
    Some(complaint.advice("use letters, digits and `_`"))
}
