//! The screen and the keys. Gives the terminal back on every way out.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::backend::Condition;
use super::stage::Stage;
use super::view;

/// How long a picture stands before the next one is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Break(Condition),
    Revive,
    Quit,
}

/// Shows the stage and carries out what the person at the keys asks for, until they quit or
/// `interrupted` becomes true.
///
/// # Errors
/// When the terminal cannot be used, or another thread has panicked.
pub(super) fn show(stage: &mut Stage, interrupted: &Arc<AtomicBool>) -> io::Result<()> {
    let mut screen = Screen::enter(Arc::clone(interrupted))?;
    while !interrupted.load(Relaxed) {
        stage.catch_up();
        let height = usize::from(screen.terminal.size()?.height);
        let snapshot = stage.snapshot(height.max(view::EVENTS_AT_LEAST));
        screen.terminal.draw(|frame| view::draw(frame, &snapshot))?;
        match next_wish(FRAME)? {
            Some(Wish::Break(condition)) => {
                if let Some(active) = stage.active() {
                    stage.order(active, condition);
                }
            }
            Some(Wish::Revive) => stage.revive(),
            Some(Wish::Quit) => break,
            None => {}
        }
    }
    screen.leave()
}

/// Waits up to `patience` for something that concerns the screen; what else comes is passed over.
fn next_wish(patience: Duration) -> io::Result<Option<Wish>> {
    if !event::poll(patience)? {
        return Ok(None);
    }
    match event::read()? {
        Event::Key(key) => Ok(wish(key)),
        Event::Resize(..)
        | Event::FocusGained
        | Event::FocusLost
        | Event::Mouse(_)
        | Event::Paste(_) => Ok(None),
    }
}

fn wish(key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    match key.code {
        KeyCode::Char('k' | 'K') => Some(Wish::Break(Condition::Dead)),
        KeyCode::Char('h' | 'H') => Some(Wish::Break(Condition::Hung)),
        KeyCode::Char('s' | 'S') => Some(Wish::Break(Condition::Unwell)),
        KeyCode::Char('r' | 'R') => Some(Wish::Revive),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Wish::Quit),
        _other_key => None,
    }
}

/// The terminal while it is ours.
struct Screen {
    terminal: DefaultTerminal,
    /// What other threads have panicked with: told when the terminal is given back, because
    /// nobody can read it before.
    panics: Arc<Mutex<Vec<String>>>,
}

impl Screen {
    /// Takes the terminal. A panic of this thread gives it back at once; that of another thread
    /// sets `ended` and is kept.
    fn enter(ended: Arc<AtomicBool>) -> io::Result<Self> {
        let report = std::panic::take_hook();
        let terminal = ratatui::try_init()?;
        let panics = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&panics);
        let this_thread = thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == this_thread {
                ratatui::restore();
                report(panic);
            } else {
                let thread = thread::current();
                let text = format!("thread {}: {panic}", thread.name().unwrap_or("without a name"));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                ended.store(true, Relaxed);
            }
        }));
        Ok(Self { terminal, panics })
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// When another thread has panicked.
    fn leave(self) -> io::Result<()> {
        let panics = Arc::clone(&self.panics);
        drop(self);
        let panics = panics.lock().unwrap_or_else(PoisonError::into_inner);
        if panics.is_empty() { Ok(()) } else { Err(io::Error::other(panics.join("\n"))) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
        // A hook cannot be changed while a panic is under way, and need not be.
        if !thread::panicking() {
            drop(std::panic::take_hook());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let plain = |key| wish(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        assert_eq!(plain('k'), Some(Wish::Break(Condition::Dead)));
        assert_eq!(plain('h'), Some(Wish::Break(Condition::Hung)));
        assert_eq!(plain('s'), Some(Wish::Break(Condition::Unwell)));
        assert_eq!(plain('r'), Some(Wish::Revive));
        assert_eq!(plain('q'), Some(Wish::Quit));
        assert_eq!(plain('c'), None);
        let control = |key| wish(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL));
        assert_eq!(control('c'), Some(Wish::Quit), "raw mode turns the signal into a key");
        assert_eq!(control('k'), None);
    }
}
