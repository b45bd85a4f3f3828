//! What others wrote, in words that are safe to show.

/// Most characters of a line that are shown.
const MOST_SHOWN: usize = 200;

/// The first line of `text` that says anything, without control characters and not too long.
#[must_use]
pub fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(|line| {
        let shown = line.chars().filter(|character| !character.is_control());
        shown.take(MOST_SHOWN).collect::<String>().trim().to_owned()
    });
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

/// `what`, and the first line of what was said, if anything.
#[must_use]
pub fn with_first_line(what: &str, said: &str) -> String {
    match first_line(said).as_str() {
        "" => what.to_owned(),
        line => format!("{what}: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_says_anything_is_shown_short_and_clean() {
        assert_eq!(first_line("\n \r\n\x1b[2Jred\r\nmore"), "[2Jred");
        assert_eq!(first_line(&"ü".repeat(1000)), "ü".repeat(200));
        assert_eq!(with_first_line("exit code 1", "\n"), "exit code 1");
        assert_eq!(with_first_line("exit code 1", "why\n"), "exit code 1: why");
    }
}
