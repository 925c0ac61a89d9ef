//! A line on standard error that says how far a scan is, if standard error is a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Minimum time between two drawings.
const REDRAWN: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR: usize = 24;
/// Returns to the start of the line and clears it (ECMA-48 EL).
const CLEAR: &str = "\r\u{1b}[K";

/// The line.
pub(super) struct Progress {
    is_terminal: bool,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), drawn: None, is_shown: false }
    }

    /// Shows the number of objects of a kind that were judged, and of those that remain if that is known.
    pub(super) fn show(&mut self, what: &str, done: usize, remaining: Option<u64>) {
        if !self.is_terminal || self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAWN) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.is_shown = true;
        let remaining = remaining.and_then(|number| usize::try_from(number).ok());
        let line = remaining.map_or_else(|| format!("{what}: {done}"), |remaining| bar(what, done, remaining));
        // Nobody needs it.
        let _ = write!(std::io::stderr(), "{CLEAR}{line}");
    }

    /// Removes the line before something else is printed.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}

fn bar(what: &str, done: usize, remaining: usize) -> String {
    let total = done.saturating_add(remaining);
    let full = (BAR * done).checked_div(total).unwrap_or(BAR).min(BAR);
    format!("[{}{}] {what}: {done} of {total}", "#".repeat(full), ".".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_fills() {
        assert_eq!(bar("pods", 0, 4), "[........................] pods: 0 of 4");
        assert_eq!(bar("pods", 2, 2), "[############............] pods: 2 of 4");
        assert_eq!(bar("pods", 4, 0), "[########################] pods: 4 of 4");
        assert_eq!(bar("pods", 0, 0), "[########################] pods: 0 of 0");
    }
}
