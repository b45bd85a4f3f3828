//! What is wrong with a config, shown the way rustc shows it.

use std::fmt;

use crate::yaml::Mark;

/// Lines longer than this are shown in part.
const SNIPPET_WIDTH: usize = 100;
/// Values longer than this are quoted in part.
const QUOTE_WIDTH: usize = 60;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// The config can be used, but probably does not do what its author wants.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem of a config and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// The line of the offending token, from 1.
    pub line: u32,
    /// The column of the offending token, from 1, in characters.
    pub column: u32,
    /// The key path, for example `services.web.health.interval`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// The line and the token in it; `None` when the file has no such line.
    pub snippet: Option<Snippet>,
}

/// A line of the file and a token in it, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line, or the part of it around the token, with tabs and control characters replaced.
    pub text: String,
    /// Where the token begins in `text`, from 0, in characters.
    pub start: usize,
    /// How many characters the token has, at least 1.
    pub width: usize,
}

impl Problem {
    /// Place and message without snippet and advice, on one line: `u.yaml:25:9: unknown key`.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        format!("{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl fmt::Display for Problem {
    /// Several lines, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = " ".repeat(self.line.to_string().len());
        write!(f, "{}: {}", self.severity, self.message)?;
        write!(f, "\n{gutter} --> {}:{}:{}", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        if let Some(Snippet { text, start, width }) = &self.snippet {
            let (indent, carets) = (" ".repeat(*start), "^".repeat(*width));
            write!(f, "\n{gutter} |\n{} | {text}\n{gutter} | {indent}{carets}", self.line)?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\n{gutter} = help: {advice}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a config, errors and warnings, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// At least one, and at least one of them an error.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Cuts the token at `mark` out of `source`.
pub(crate) fn snippet(source: &str, mark: Mark) -> Option<Snippet> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let line: Vec<char> = source
        .lines()
        .nth(mark.line as usize - 1)?
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.is_empty() {
        return None;
    }
    let start = (mark.column as usize - 1).min(line.len());
    let skipped =
        if line.len() <= SNIPPET_WIDTH { 0 } else { start.saturating_sub(SNIPPET_WIDTH / 2) };
    let text: String = line.iter().skip(skipped).take(SNIPPET_WIDTH).collect();
    let left = text.chars().count().saturating_sub(start - skipped);
    let width = (mark.width as usize).clamp(1, left.max(1));
    Some(Snippet { text: text.trim_end().to_owned(), start: start - skipped, width })
}

/// `text` between backticks, shortened, and harmless for a terminal.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTE_WIDTH)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(QUOTE_WIDTH).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
