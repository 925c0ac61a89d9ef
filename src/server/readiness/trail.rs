//! The state of the trail in `/readyz` and in gauges.

use crate::server::App;

impl App {
    /// Records that went before their retention, if any did since the start.
    pub(super) fn early(&self) -> Option<String> {
        let early = self.trail.early().into_iter().filter(|(_, count)| *count > 0);
        let told: Vec<String> = early.map(|(class, count)| format!("{count} of class {}", class.as_str())).collect();
        (!told.is_empty())
            .then(|| format!("records were removed before their time, for want of room: {}", told.join(", ")))
    }

    /// Records that sinks refuse for good.
    pub(super) fn set_aside(&self) -> Option<String> {
        let counts = self.trail.index().map(|index| index.aside().counts()).unwrap_or_default();
        let told: Vec<String> = counts.into_iter().map(|(sink, count)| format!("{count} by {sink}")).collect();
        (!told.is_empty()).then(|| format!("records are refused for good and were set aside: {}", told.join(", ")))
    }

    /// State of the wall clock, if it is too far ahead.
    pub(super) fn clock(&self) -> Option<String> {
        let seconds = self.trail.ahead();
        (seconds > 0).then(|| {
            format!("it leapt ahead by {seconds} s: nothing is removed by its age until it is back, or ten minutes after a restart")
        })
    }

    /// The gauges of the spool and of the sinks.
    pub(super) fn refresh_trail(&self) {
        self.metrics.clock_ahead.set(self.trail.ahead().try_into().unwrap_or(i64::MAX));
        for (class, early) in self.trail.early() {
            self.metrics.spool_early(class.as_str(), early);
        }
        let aside = self.trail.index().map(|index| index.aside().counts()).unwrap_or_default();
        for (sink, behind) in self.couriers.behind() {
            let count = aside.get(&sink).copied().unwrap_or_default();
            self.metrics.sink_set_aside.with_label_values(&[&sink]).set(count.try_into().unwrap_or(i64::MAX));
            self.metrics.sink_behind.with_label_values(&[&sink]).set(behind.try_into().unwrap_or(i64::MAX));
        }
        for (sink, counters) in self.couriers.counters() {
            self.metrics.sink(sink, counters);
        }
    }
}
