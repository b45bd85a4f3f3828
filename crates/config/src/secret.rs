//! Texts that are never shown: written in the config, or where to find them.

use std::path::Path;
use std::sync::Arc;

use crate::kinds::{secret_text, text};
use crate::model::Secret;
use crate::program::misnamed;
use crate::reader::{Section, Value};
use crate::report::Complaint;
use crate::tls::file;

/// A text, `{ file: PATH }` or `{ env: NAME }`. `judge` says what is wrong with one that is written in
/// the config, without repeating it. File names are relative to `base`.
pub(crate) fn secret(
    base: &Path,
    expected: &'static str,
    judge: impl Fn(&str) -> Result<(), Complaint>,
) -> impl Fn(&mut Value<'_>) -> Option<Secret> {
    let plain = secret_text(expected, move |text| {
        judge(text)?;
        Ok(Secret::Plain(Arc::from(text)))
    });
    move |value| {
        value.report().conceal(value.place());
        value.either(|value| plain(value), |value| value.keys(|section| reference(section, base))?)
    }
}

/// What must not be empty, such as a password.
pub(crate) fn given(text: &str) -> Result<(), Complaint> {
    if text.is_empty() { Err(Complaint::new("this secret is empty")) } else { Ok(()) }
}

fn reference(section: &mut Section<'_>, base: &Path) -> Option<Secret> {
    // Who misspells a key may have written the secret behind it.
    section.conceal();
    let path = section.optional(
        "file",
        "A file with it, read whenever it is needed, relative to the folder of the config; a line break at its end is not part of it",
        file(base),
    );
    let variable = section.optional(
        "env",
        "An environment variable of this process with it",
        text("the name of a variable", |text| misnamed(text).map_or(Ok(Arc::from(text)), Err)),
    );
    section.exactly_one(&["file", "env"], "the place of the secret");
    match (path, variable) {
        (Some(path), _) => Some(Secret::File(path)),
        (None, Some(variable)) => Some(Secret::Variable(variable)),
        (None, None) => None,
    }
}
