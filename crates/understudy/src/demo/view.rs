//! Draws a snapshot: the service, its backends, the traffic, the latest events, the keys.
//!
//! A pure function from a [`Snapshot`] to a screen. Whatever a colour says, a word or a symbol says
//! as well.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Padding, Paragraph};
use routing::failover::Health;

use super::backend::Condition;
use super::journal::{Entry, Tone};
use super::load::RATE;
use super::snapshot::{BackendLine, Probe, Snapshot};
use super::tally::Second;
use super::text::{clock, count, long, short};

/// The colour of each backend, in the strip and wherever its name stands.
const COLOURS: [Color; 2] = [Color::Cyan, Color::Magenta];
const ROLES: [&str; 2] = ["primary", "standby"];
/// Dim rather than grey: grey is the background of some themes.
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const NOTABLE: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const GOOD: Style = Style::new().fg(Color::Green);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// What a screen of the usual 80 by 24 has left for events.
pub(super) const EVENTS_AT_LEAST: usize = 8;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame, snapshot: &Snapshot) {
    let [head, service, traffic, events, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(5),
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, head, snapshot);
    draw_service(frame, service, snapshot);
    draw_traffic(frame, traffic, snapshot);
    draw_events(frame, events, &snapshot.events);
    frame.render_widget(key_line(), keys);
}

/// A titled rule with what stands below it.
fn section(frame: &mut Frame, area: Rect, title: Line<'static>, right: Line<'static>) -> Rect {
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(QUIET)
        .padding(Padding::horizontal(2))
        .title(title)
        .title(right.alignment(Alignment::Right));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

fn title(name: &'static str) -> Line<'static> {
    Line::from(vec![Span::raw(" "), Span::styled(name, STRONG), Span::raw(" ")])
}

fn draw_head(frame: &mut Frame, area: Rect, snapshot: &Snapshot) {
    let left = vec![
        Line::from(vec![" Understudy".bold(), "  two backends, one active".into()]),
        Line::from(vec![
            Span::styled("  try     ", QUIET),
            format!("curl -i {}", snapshot.look.service).into(),
        ]),
        Line::from(vec![
            Span::styled("  watch   ", QUIET),
            format!("{0}/   {0}/metrics", snapshot.look.admin).into(),
        ]),
    ];
    frame.render_widget(Paragraph::new(left), area);
    let running = format!("running for {}  ", long(snapshot.running));
    frame.render_widget(Line::styled(running, QUIET).alignment(Alignment::Right), area);
}

fn draw_service(frame: &mut Frame, area: Rect, snapshot: &Snapshot) {
    let name = Line::from(vec![
        Span::styled(" Service ", STRONG),
        Span::styled(snapshot.service, STRONG),
        " ".into(),
    ]);
    let epoch = Line::styled(format!(" epoch {}  ", snapshot.epoch), QUIET);
    let inside = section(frame, area, name, epoch);
    let heading =
        format!("  {:<8}{:<9}{:<11}{:>8}   last probe", "backend", "role", "health", "served");
    let active = snapshot.active.as_ref().map(|active| active.backend);
    let mut lines = vec![active_line(snapshot), Line::styled(heading, QUIET)];
    for (index, backend) in snapshot.backends.iter().enumerate() {
        lines.push(backend_line(index, backend, active == Some(index)));
    }
    frame.render_widget(Paragraph::new(lines), inside);
}

fn active_line(snapshot: &Snapshot) -> Line<'static> {
    let Some(active) = &snapshot.active else {
        return Line::from(vec![
            Span::styled("nobody is active", BAD),
            ": requests wait for the first backend to come up".into(),
        ]);
    };
    let mut spans = vec![
        Span::styled(snapshot.backends[active.backend].name, colour(active.backend).bold()),
        format!(
            ", the {}, has had all the traffic for {}",
            ROLES[active.backend],
            long(active.since)
        )
        .into(),
    ];
    if let Some(left) = snapshot.failback_in {
        let primary = snapshot.backends[0].name;
        let text = format!("; back to {primary} in {:.1} s", left.as_secs_f64());
        spans.push(Span::styled(text, NOTABLE));
    }
    Line::from(spans)
}

fn backend_line(index: usize, backend: &BackendLine, active: bool) -> Line<'static> {
    let (sign, word, style) = match backend.health {
        Health::Up => ('●', "up", GOOD),
        Health::Down => ('✗', "down", BAD),
        Health::Unknown => ('?', "unknown", NOTABLE),
    };
    let name_style = if active { colour(index).bold() } else { colour(index) };
    let done = match backend.condition {
        Condition::Well => "",
        Condition::Unwell => "says 503",
        Condition::Hung => "hung",
        Condition::Dead => "killed",
    };
    Line::from(vec![
        Span::styled(if active { "▶ " } else { "  " }, name_style),
        Span::styled(format!("{:<8}", backend.name), name_style),
        format!("{:<9}", ROLES[index]).into(),
        Span::styled(format!("{:<11}", format!("{sign} {word}")), style),
        format!("{:>8}   ", count(backend.served)).into(),
        format!("{:<27}", backend.probe.as_ref().map_or("none yet".into(), brief)).into(),
        Span::styled(done, NOTABLE),
    ])
}

/// How a probe ended, in the little room there is; the events have the rest.
fn brief(probe: &Probe) -> String {
    let outcome = probe.outcome.split(':').next().unwrap_or_default();
    let text = format!("{outcome}, {}", short(probe.took));
    let text = if text.len() < 27 { text } else { outcome.to_owned() };
    text.chars().take(26).collect()
}

fn draw_traffic(frame: &mut Frame, area: Rect, snapshot: &Snapshot) {
    let figures = &snapshot.figures;
    let inside = section(frame, area, title("Traffic"), Line::default());
    let time = |time: Option<Duration>| time.map_or("-".into(), short);
    let must_be_none = |number| if number == 0 { GOOD } else { BAD };
    let held = format!("{} ({} so far)", count(snapshot.held), count(snapshot.held_total));
    let plain = Style::new();
    let first = fields([
        ("rate", format!("{:.0}/s", figures.rate), plain),
        ("p50", time(figures.p50), plain),
        ("held", held, plain),
        ("failed", count(figures.failed), must_be_none(figures.failed).bold()),
    ]);
    let second = fields([
        ("total", count(figures.answered), plain),
        ("p99", time(figures.p99), plain),
        ("replayed", count(snapshot.replayed), plain),
        ("POST twice", count(snapshot.twice), must_be_none(snapshot.twice)),
    ]);
    let [text, strip] =
        Layout::vertical([Constraint::Length(2), Constraint::Length(3)]).areas(inside);
    frame.render_widget(Paragraph::new(vec![first, second]), text);
    draw_strip(frame, strip, &figures.seconds, snapshot);
}

/// Names and values in four columns.
fn fields(fields: [(&'static str, String, Style); 4]) -> Line<'static> {
    const WIDTHS: [(usize, usize); 4] = [(7, 11), (5, 10), (10, 20), (11, 0)];
    let mut spans = Vec::new();
    for ((name, value, style), (name_width, width)) in fields.into_iter().zip(WIDTHS) {
        spans.push(Span::styled(format!("{name:<name_width$}"), QUIET));
        spans.push(Span::styled(format!("{value:<width$}"), style));
    }
    Line::from(spans)
}

/// One lane per backend and one column per second, the present at the right.
fn draw_strip(frame: &mut Frame, area: Rect, seconds: &[Second], snapshot: &Snapshot) {
    let width = usize::from(area.width).saturating_sub(2);
    let shown = &seconds[seconds.len().saturating_sub(width)..];
    let blank = " ".repeat(width - shown.len());
    let mut lines: Vec<Line> = Vec::new();
    for (index, backend) in snapshot.backends.iter().enumerate() {
        let bars: String = shown.iter().map(|second| bar(second.answered[index])).collect();
        lines.push(Line::from(vec![
            Span::styled(format!("{:<2}", backend.name), colour(index)),
            Span::raw(blank.clone()),
            Span::styled(bars, colour(index)),
        ]));
    }
    let mut marks = vec![Span::raw("  "), Span::raw(blank)];
    if shown.iter().any(|second| second.failed > 0) {
        let signs = shown.iter().map(|second| if second.failed > 0 { 'x' } else { ' ' });
        marks.push(Span::styled(signs.collect::<String>(), BAD));
    } else {
        let left = format!("{} s ago", shown.len());
        let room = shown.len().saturating_sub(left.len());
        let axis = if room < 4 { String::new() } else { format!("{left}{:>room$}", "now") };
        marks.push(Span::styled(axis, QUIET));
    }
    lines.push(Line::from(marks));
    frame.render_widget(Paragraph::new(lines), area);
}

/// A second's answers as a bar, full at the rate of the load.
fn bar(answers: u32) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    match answers {
        0 => '·',
        _ => BARS[((answers * 7 + RATE / 2) / RATE).min(7) as usize],
    }
}

fn draw_events(frame: &mut Frame, area: Rect, events: &[Entry]) {
    let inside = section(frame, area, title("Events"), Line::default());
    let from = events.len().saturating_sub(usize::from(inside.height));
    let lines: Vec<Line> = events[from..]
        .iter()
        .map(|entry| {
            let (sign, style) = match entry.tone {
                Tone::Plain => (' ', Style::new()),
                Tone::Good => ('+', GOOD),
                Tone::Bad => ('-', Style::new().fg(Color::Red)),
                Tone::Moved => ('→', STRONG),
                Tone::Done => ('*', NOTABLE),
            };
            Line::from(vec![
                Span::styled(format!("{}  ", clock(entry.at)), QUIET),
                Span::styled(format!("{sign} {}", entry.text), style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inside);
}

fn key_line() -> Line<'static> {
    let mut spans = vec![Span::styled(" break the active ", QUIET)];
    for (key, what) in [(" k ", " kill  "), (" h ", " hang  "), (" s ", " say 503     ")] {
        spans.extend([key.reversed(), what.into()]);
    }
    for (key, what) in [(" r ", " revive     "), (" q ", " quit")] {
        spans.extend([key.reversed(), what.into()]);
    }
    Line::from(spans)
}

fn colour(backend: usize) -> Style {
    Style::new().fg(COLOURS[backend])
}

#[cfg(test)]
mod tests;
