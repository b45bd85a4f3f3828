//! Screens as they look, at the usual size and at a large one, in every state.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::super::snapshot::{Active, Look};
use super::super::tally::Figures;
use super::*;

const MS: Duration = Duration::from_millis(1);

fn entry(number: u32, tone: Tone, text: &str) -> Entry {
    Entry { number: number.into(), at: MS * 1500 * number, tone, text: text.into() }
}

fn steady() -> Snapshot {
    let line = |name, served| BackendLine {
        name,
        health: Health::Up,
        served,
        probe: Some(Probe { outcome: "pass".into(), took: MS / 2 }),
        condition: Condition::Well,
    };
    Snapshot {
        running: Duration::from_secs(72),
        look: Look {
            service: "http://127.0.0.1:38211/".into(),
            admin: "http://127.0.0.1:9900".into(),
        },
        service: "demo",
        active: Some(Active { backend: 0, since: Duration::from_secs(71) }),
        epoch: 1,
        failback_in: None,
        backends: [line("a", 15_840), line("b", 0)],
        figures: Figures {
            sent: 15_841,
            answered: 15_840,
            rate: 220.0,
            p50: Some(MS * 6 / 10),
            p99: Some(MS * 19 / 10),
            seconds: vec![Second { answered: [220, 0], failed: 0 }; 72],
            ..Figures::default()
        },
        held: 0,
        held_total: 0,
        replayed: 0,
        twice: 0,
        events: vec![
            entry(0, Tone::Good, "a is up"),
            entry(1, Tone::Moved, "all traffic to a: start, epoch 1"),
        ],
    }
}

/// The primary was killed nine seconds ago, revived, and is trusted again soon.
fn failed_over() -> Snapshot {
    let mut snapshot = steady();
    snapshot.active = Some(Active { backend: 1, since: Duration::from_secs(9) });
    snapshot.epoch = 2;
    snapshot.failback_in = Some(MS * 2140);
    snapshot.backends[0].health = Health::Down;
    snapshot.backends[0].condition = Condition::Dead;
    snapshot.backends[0].probe =
        Some(Probe { outcome: "cannot connect: connection refused".into(), took: MS / 4 });
    snapshot.backends[1].served = 1_980;
    (snapshot.held, snapshot.held_total, snapshot.replayed) = (3, 46, 1);
    let seconds = &mut snapshot.figures.seconds;
    seconds[62].answered = [120, 90];
    seconds[63..].fill(Second { answered: [0, 220], failed: 0 });
    snapshot.events.extend([
        entry(2, Tone::Done, "a is killed"),
        entry(3, Tone::Bad, "a is down: cannot connect: connection refused"),
        entry(4, Tone::Moved, "a -> b: failover, epoch 2, 207 ms after the first sign"),
    ]);
    snapshot
}

fn render(snapshot: &Snapshot, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, snapshot)).expect("draws");
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    buffer
        .content()
        .chunks(width)
        .map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned())
        .collect()
}

fn screen(snapshot: &Snapshot, width: u16, height: u16) -> String {
    lines(&render(snapshot, width, height)).join("\n")
}

/// The colour of the first cell after `text`.
fn colour_after(buffer: &Buffer, text: &str) -> Color {
    let (row, column) = lines(buffer)
        .iter()
        .enumerate()
        .find_map(|(row, line)| {
            let (before, _) = line.split_once(text)?;
            Some((row, before.chars().count() + text.chars().count()))
        })
        .expect("the text is on the screen");
    buffer[(column as u16, row as u16)].fg
}

#[test]
fn steady_at_80_by_24() {
    let expected = "
 Understudy  two backends, one active                   running for 1 min 12 s
  try     curl -i http://127.0.0.1:38211/
  watch   http://127.0.0.1:9900/   http://127.0.0.1:9900/metrics
 Service demo ──────────────────────────────────────────────────────── epoch 1
  a, the primary, has had all the traffic for 1 min 11 s
    backend role     health       served   last probe
  ▶ a       primary  ● up         15,840   pass, 0.50 ms
    b       standby  ● up              0   pass, 0.50 ms
 Traffic ───────────────────────────────────────────────────────────────────────
  rate   220/s      p50  0.60 ms   held      0 (0 so far)        failed     0
  total  15,840     p99  1.9 ms    replayed  0                   POST twice 0
  a   ████████████████████████████████████████████████████████████████████████
  b   ········································································
      72 s ago                                                             now
 Events ────────────────────────────────────────────────────────────────────────
  00:00.0  + a is up
  00:01.5  → all traffic to a: start, epoch 1






 break the active  k  kill   h  hang   s  say 503      r  revive      q  quit";
    assert_eq!(format!("\n{}", screen(&steady(), 80, 24)), expected);
}

#[test]
fn failed_over_at_80_by_24() {
    let expected = "
 Understudy  two backends, one active                   running for 1 min 12 s
  try     curl -i http://127.0.0.1:38211/
  watch   http://127.0.0.1:9900/   http://127.0.0.1:9900/metrics
 Service demo ──────────────────────────────────────────────────────── epoch 2
  b, the standby, has had all the traffic for 9 s; back to a in 2.1 s
    backend role     health       served   last probe
    a       primary  ✗ down       15,840   cannot connect, 0.25 ms    killed
  ▶ b       standby  ● up          1,980   pass, 0.50 ms
 Traffic ───────────────────────────────────────────────────────────────────────
  rate   220/s      p50  0.60 ms   held      3 (46 so far)       failed     0
  total  15,840     p99  1.9 ms    replayed  1                   POST twice 0
  a   ██████████████████████████████████████████████████████████████▅·········
  b   ······························································▄█████████
      72 s ago                                                             now
 Events ────────────────────────────────────────────────────────────────────────
  00:00.0  + a is up
  00:01.5  → all traffic to a: start, epoch 1
  00:03.0  * a is killed
  00:04.5  - a is down: cannot connect: connection refused
  00:06.0  → a -> b: failover, epoch 2, 207 ms after the first sign



 break the active  k  kill   h  hang   s  say 503      r  revive      q  quit";
    assert_eq!(format!("\n{}", screen(&failed_over(), 80, 24)), expected);
}

#[test]
fn a_large_screen_shows_more_of_the_past() {
    let mut snapshot = failed_over();
    snapshot.figures.seconds.splice(0..0, vec![Second::default(); 100]);
    snapshot.events = (0..40).map(|number| entry(number, Tone::Plain, "something")).collect();
    let lines = lines(&render(&snapshot, 120, 40));
    assert_eq!(lines.iter().filter(|line| line.ends_with("something")).count(), 24);
    assert!(lines[38].contains("00:58.5"), "the newest is the last: {}", lines[38]);
    let lane = &lines[11];
    assert_eq!(lane.chars().filter(|sign| "·▅▄█▇".contains(*sign)).count(), 114, "{lane}");
    assert!(lines[13].contains("114 s ago"), "{}", lines[13]);
}

#[test]
fn nobody_active_is_said_in_words() {
    let mut snapshot = steady();
    snapshot.active = None;
    for backend in &mut snapshot.backends {
        backend.health = Health::Down;
        backend.condition = Condition::Hung;
        backend.probe = None;
    }
    let screen = screen(&snapshot, 80, 24);
    assert!(screen.contains("nobody is active: requests wait"), "{screen}");
    assert!(!screen.contains('▶'), "{screen}");
    assert_eq!(screen.matches("✗ down").count(), 2, "{screen}");
    assert_eq!(screen.matches("none yet").count(), 2, "{screen}");
    assert_eq!(screen.matches(" hung").count(), 2, "{screen}");
}

#[test]
fn unknown_health_and_an_unwell_backend_are_said_in_words() {
    let mut snapshot = steady();
    snapshot.backends[0].condition = Condition::Unwell;
    snapshot.backends[1].health = Health::Unknown;
    let screen = screen(&snapshot, 80, 24);
    assert!(screen.contains("says 503"), "{screen}");
    assert!(screen.contains("? unknown"), "{screen}");
}

#[test]
fn failures_are_red_and_marked_in_their_second() {
    let calm = render(&steady(), 80, 24);
    assert_eq!(colour_after(&calm, "failed     "), Color::Green);
    assert_eq!(colour_after(&calm, "POST twice "), Color::Green);
    let mut snapshot = steady();
    snapshot.figures.failed = 17;
    snapshot.twice = 18;
    snapshot.figures.seconds[71].failed = 17;
    let buffer = render(&snapshot, 80, 24);
    assert_eq!(colour_after(&buffer, "failed     "), Color::Red);
    assert_eq!(colour_after(&buffer, "POST twice "), Color::Red);
    let marks = &lines(&buffer)[13];
    assert_eq!(marks.chars().position(|sign| sign == 'x'), Some(77), "{marks}");
}

#[test]
fn each_lane_has_the_colour_of_its_backend() {
    let buffer = render(&failed_over(), 80, 24);
    for (row, colour) in [(11, COLOURS[0]), (12, COLOURS[1])] {
        assert_eq!(buffer[(2, row)].fg, colour, "the name");
        assert_eq!(buffer[(77, row)].fg, colour, "the bars");
    }
}

#[test]
fn a_screen_too_small_is_cut_and_never_panics() {
    for (width, height) in [(1, 1), (3, 3), (20, 5), (40, 12), (80, 3), (79, 23), (400, 100)] {
        screen(&failed_over(), width, height);
    }
}
