//! What answers are held against: regular expressions, JSON pointers, names of fields.

use std::sync::Arc;

use http::HeaderName;
use regex::bytes::RegexBuilder;
use regex_syntax::ParserBuilder;
use regex_syntax::ast::Position;

use crate::kinds::show_size;
use crate::model::Pattern;
use crate::problem::quoted;
use crate::report::Complaint;

/// Most memory that one expression may take when it is compiled.
const COMPILED: usize = 1 << 20;

/// A regular expression over bytes.
pub(crate) fn parse_pattern(text: &str) -> Result<Pattern, Complaint> {
    let compiled = RegexBuilder::new(text).size_limit(COMPILED).build();
    let error = match compiled {
        Ok(regex) => return Ok(Pattern(regex)),
        Err(error) => error,
    };
    // The same parser as that of `regex`, for the place of the mistake.
    let parsed = ParserBuilder::new().utf8(false).build().parse(text);
    let (what, at) = match (&parsed, &error) {
        (Err(regex_syntax::Error::Parse(mistake)), _) => {
            (mistake.kind().to_string(), mistake.span().start)
        }
        (Err(regex_syntax::Error::Translate(mistake)), _) => {
            (mistake.kind().to_string(), mistake.span().start)
        }
        (_, regex::Error::CompiledTooBig(_)) => {
            let message =
                format!("{} takes more than {} of memory", quoted(text), show_size(COMPILED));
            return Err(Complaint::new(message).advice("repeat less, for example `{1,100}`"));
        }
        (_, _) => (error.to_string(), Position::new(0, 1, 1)),
    };
    let Position { line, column, .. } = at;
    let place = if line > 1 {
        format!("line {line}, character {column}")
    } else {
        format!("character {column}")
    };
    let message = format!("{} is not a regular expression: {what} (at {place})", quoted(text));
    Err(Complaint::new(message)
        .advice("put it in single quotes, and `\\` before a character that is meant as such"))
}

/// A JSON pointer (RFC 6901): empty for the whole document.
pub(crate) fn parse_pointer(text: &str) -> Result<Arc<str>, Complaint> {
    let bad = || Complaint::new(format!("{} is not a JSON pointer", quoted(text)));
    if !text.is_empty() && !text.starts_with('/') {
        let steps = text.trim_start_matches('$').trim_matches('.').replace('.', "/");
        return Err(bad().advice(format!(
            "a pointer begins with `/` (RFC 6901): write {}",
            quoted(&format!("/{steps}"))
        )));
    }
    let escaped = |rest: &str| rest.starts_with(['0', '1']);
    if !text.split('~').skip(1).all(escaped) {
        return Err(bad().advice("write `~0` for `~`, and `~1` for a `/` inside of a name"));
    }
    Ok(text.into())
}

/// The name of a field of an answer.
pub(crate) fn parse_field(text: &str) -> Result<HeaderName, Complaint> {
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Complaint::new(format!("{} is not the name of a header field", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse_pattern(text).map(|pattern| panic!("{pattern:?}")).unwrap_err().message
    }

    #[test]
    fn patterns_are_over_bytes() {
        let pattern = parse_pattern(r"(?-u)^\xff\x00ok$").unwrap();
        assert!(pattern.0.is_match(b"\xff\x00ok"));
    }

    #[test]
    fn a_mistake_in_a_pattern_has_a_place() {
        assert!(
            refused("ab(c").ends_with("unclosed group (at character 3)"),
            "{}",
            refused("ab(c")
        );
        assert!(refused("é[z-a]").contains("(at character 3)"), "{}", refused("é[z-a]"));
        assert!(refused(r"\p{Nothing}").contains("(at character 1)"));
        assert!(refused("(?x)\na\n )").contains("(at line 3, character 2)"));
    }

    #[test]
    fn a_pattern_may_not_grow_without_bound() {
        assert!(refused("(?:a{1000}){1000}").ends_with("takes more than 1MiB of memory"));
        assert!(parse_pattern("a{1,1000}").is_ok());
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        for good in ["", "/", "/a/0/b", "/a~1b/~0", "/ü//"] {
            assert_eq!(parse_pointer(good).as_deref(), Ok(good));
        }
        for bad in ["a", "#/a", "/a~", "/~2", "$.a.b", "/a~b"] {
            assert!(parse_pointer(bad).is_err(), "{bad}");
        }
        let advice = parse_pointer("$.a.b").unwrap_err().advice.unwrap_or_default();
        assert!(advice.ends_with("`/a/b`"), "{advice}");
    }
}
