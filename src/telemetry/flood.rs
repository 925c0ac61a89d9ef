//! Keeps callers from filling the log: of the same warning, only so many lines a minute are written; the rest are counted.
//!
//! Whoever reaches the port can provoke a warning with each request. The same warning is one that the same line of the
//! program makes: what it quotes is the caller's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::lock::lock;

/// Lines of the same warning, each time.
const LINES: u64 = 30;
/// Time after which the count restarts.
const EVERY: Duration = Duration::from_mins(1);
/// Warnings that are told apart; more than the program and its libraries have. Beyond them all are one.
const SITES: usize = 1_024;
/// Characters of a warning that name it.
const NAME: usize = 128;

/// Counts warnings by the line of the program that makes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Flood(Arc<Mutex<HashMap<Option<Site>, Count>>>);

/// A line of the program. Those of a library that logs through the crate `log` share one, and are told apart by target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Site {
    callsite: Identifier,
    target: Option<String>,
}

#[derive(Debug, Default)]
struct Count {
    written: u64,
    suppressed: u64,
    /// Text of the first one that was suppressed.
    first: String,
    target: String,
}

impl Flood {
    /// Begins to count anew each minute, for as long as the process lives.
    pub(super) fn watch(&self) -> std::io::Result<()> {
        let flood = self.clone();
        let watch = move || {
            loop {
                std::thread::sleep(EVERY);
                flood.report();
            }
        };
        std::thread::Builder::new().name("log".to_owned()).spawn(watch).map(drop)
    }

    /// Says how many lines were not written, and counts anew.
    pub(super) fn report(&self) {
        let counts = std::mem::take(&mut *self.counts());
        for Count { suppressed, first, target, .. } in counts.into_values().filter(|count| count.suppressed > 0) {
            tracing::warn!(suppressed, of = first, by = target, "warnings were not written: too many of the same");
        }
    }

    /// True if an event is to be written.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == module_path!() {
            return true;
        }
        let site = Site { callsite: metadata.callsite(), target: bridged_target(event, metadata) };
        let mut counts = self.counts();
        let site = (counts.len() < SITES || counts.contains_key(&Some(site.clone()))).then_some(site);
        let count = counts.entry(site).or_default();
        if count.written < LINES {
            count.written += 1;
            return true;
        }
        if count.suppressed == 0 {
            count.first = Words::of(event, "message").unwrap_or_default();
            count.target = bridged_target(event, metadata).unwrap_or_else(|| metadata.target().to_owned());
        }
        count.suppressed += 1;
        false
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Option<Site>, Count>> {
        lock(&self.0)
    }
}

impl<S: Subscriber> Layer<S> for Flood {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admits(event)
    }
}

/// The target that a line of the crate `log` had there.
fn bridged_target(event: &Event<'_>, metadata: &Metadata<'_>) -> Option<String> {
    metadata.fields().field("log.target")?;
    Words::of(event, "log.target")
}

/// A field of an event, as text.
struct Words {
    field: &'static str,
    text: Option<String>,
}

impl Words {
    fn of(event: &Event<'_>, field: &'static str) -> Option<String> {
        let mut words = Self { field, text: None };
        event.record(&mut words);
        words.text
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.field && self.text.is_none() {
            self.text = Some(value.chars().take(NAME).collect());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.field {
            self.text = Some(format!("{value:?}").chars().take(NAME).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::{Flood, LINES, Layer, lock};

    /// Events that passed.
    #[derive(Clone, Default)]
    struct Passed(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Passed {
        fn on_event(&self, event: &tracing::Event<'_>, _: super::Context<'_, S>) {
            let said = ["message", "suppressed", "of"].map(|field| super::Words::of(event, field).unwrap_or_default());
            lock(&self.0).push(said.join("|"));
        }
    }

    #[test]
    fn the_same_warning_is_written_so_often_and_the_rest_are_counted() {
        let (flood, passed) = (Flood::default(), Passed::default());
        let subscriber = tracing_subscriber::registry().with(passed.clone()).with(flood.clone());
        tracing::subscriber::with_default(subscriber, || {
            for turn in 0..LINES + 12 {
                tracing::warn!(turn, "one warning");
                tracing::info!(turn, "news");
            }
            tracing::warn!("another warning");
            tracing::error!("an error");
            flood.report();
            tracing::warn!("one more");
            flood.report();
        });
        let passed = lock(&passed.0).clone();
        let count = |text: &str| passed.iter().filter(|line| line.as_str() == text).count() as u64;
        assert_eq!(count("one warning||"), LINES);
        assert_eq!(count("news||"), LINES + 12);
        assert_eq!((count("another warning||"), count("an error||"), count("one more||")), (1, 1, 1));
        assert_eq!(count("warnings were not written: too many of the same|12|one warning"), 1, "{passed:?}");
        assert_eq!(passed.iter().filter(|line| line.starts_with("warnings were not written")).count(), 1);
    }
}
