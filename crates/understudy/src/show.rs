//! How things look on a terminal: colour, columns, spans of time. Colour never says anything alone.

pub(crate) mod incidents;
pub(crate) mod status;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// What a piece of text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// What one looks for.
    Strong,
    /// As it should be.
    Good,
    /// To be looked at.
    Odd,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Faint,
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Never,
    Always,
}

impl Colour {
    /// As standard output can take it, and the user wants it (<https://no-color.org>).
    pub(crate) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if io::stdout().is_terminal() && !unwanted && !dumb { Self::Always } else { Self::Never }
    }

    /// The text in its tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Odd => "33",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
        };
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// A piece of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

/// Rows with their columns below each other, each line after `indent`.
pub(crate) fn table(rows: &[Vec<Cell>], indent: &str, colour: Colour) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        table.push_str(indent);
        for (column, cell) in row.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            table.push_str(&colour.paint(cell.tone, &cell.text));
            if Some(column) != last {
                let missing = widths[column] - cell.text.chars().count();
                table.push_str(&" ".repeat(missing + 2));
            }
        }
        table.push('\n');
    }
    table
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn span(seconds: f64) -> String {
    // What is negative or no number is nothing.
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    let whole = time.as_secs();
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        small => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match whole {
        0..10 if time.subsec_millis() >= 50 => format!("{:.1} s", time.as_secs_f64()),
        0..60 => format!("{whole} s"),
        60..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..86400 => two(whole / 3600, "h", whole / 60 % 60, "min"),
        _ => two(whole / 86400, "d", whole / 3600 % 24, "h"),
    }
}

/// How long is left: rounded up, so that it does not say 0 before it is over.
pub(crate) fn left(seconds: f64) -> String {
    if seconds > 1.0 { span(seconds.ceil()) } else { span(seconds) }
}

/// `0.83 ms`, `212 ms`, `1.4 s`.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => span(ms / 1000.0),
    }
}

/// A moment in the local zone, by the seconds since 1970.
pub(crate) fn moment(seconds: f64, zone: &jiff::tz::TimeZone) -> String {
    let at = jiff::SignedDuration::try_from_secs_f64(seconds).ok();
    let at = at.and_then(|at| jiff::Timestamp::from_duration(at).ok());
    at.map_or_else(
        || "at no known time".to_owned(),
        |at| at.to_zoned(zone.clone()).strftime("%F %T").to_string(),
    )
}

/// On one line, and without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace(char::is_control, "?")
}

/// A line on standard error that comes and goes, on a terminal only.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    /// Waits, and says every second for how long already.
    pub(crate) async fn during<T>(what: &str, wait: impl Future<Output = T>) -> T {
        let mut progress = Self::default();
        let mut wait = std::pin::pin!(wait);
        let began = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.tick().await;
        loop {
            tokio::select! {
                done = &mut wait => return done,
                _ = ticks.tick() => {
                    progress.say(&format!("{what}: {}", span(began.elapsed().as_secs_f64())));
                }
            }
        }
    }

    /// Takes the place of what was said before.
    pub(crate) fn say(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        if stderr.is_terminal() {
            self.shown = true;
            let _ = write!(stderr, "\r\x1b[K{text}");
            let _ = stderr.flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, expected) in [
            (0.0, "0 s"),
            (0.04, "0 s"),
            (0.42, "0.4 s"),
            (9.0, "9 s"),
            (12.9, "12 s"),
            (60.0, "1 min"),
            (185.0, "3 min 5 s"),
            (7800.0, "2 h 10 min"),
            (86_400.0 * 3.0 + 4.0 * 3600.0, "3 d 4 h"),
            (-1.0, "0 s"),
            (f64::NAN, "0 s"),
            (f64::INFINITY, "0 s"),
        ] {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
        assert_eq!(left(11.2), "12 s");
        assert_eq!(left(0.3), "0.3 s");
        assert_eq!(
            (millis(0.834), millis(212.4), millis(1400.0)),
            ("0.83 ms".into(), "212 ms".into(), "1.4 s".into())
        );
    }

    #[test]
    fn columns_line_up_also_with_colour() {
        let row = |first: &str, second: &str| {
            vec![Cell::new(Tone::Good, first), Cell::new(Tone::Plain, second)]
        };
        let rows = [row("a", "x"), row("longer", "y"), row("b", "")];
        assert_eq!(table(&rows, "  ", Colour::Never), "  a       x\n  longer  y\n  b\n");
        let coloured = table(&rows, "  ", Colour::Always);
        assert_eq!(
            coloured.replace("\x1b[32m", "").replace("\x1b[0m", ""),
            table(&rows, "  ", Colour::Never)
        );
        assert_ne!(coloured, table(&rows, "  ", Colour::Never));
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(printable("a\n b\x1b[2J\tc"), "a b?[2J c");
    }

    #[test]
    fn a_moment_is_shown_in_the_zone_of_the_reader() {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(moment(1_795_744_800.25, &zone), "2026-11-27 04:00:00");
        assert_eq!(moment(f64::INFINITY, &zone), "at no known time");
    }
}
