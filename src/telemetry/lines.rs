//! Format of a line of the log: JSON, without paths of the machine that built the program.

use std::fmt;

use serde_json::Value;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Fields that a library that logs through the crate `log` adds to each line: the path of its source when it was compiled.
const BRIDGED: [&str; 4] = ["log.file", "log.line", "log.module_path", "log.target"];

/// Writes lines.
pub(super) struct Lines(Format<Json>);

impl Lines {
    pub(super) fn new() -> Self {
        Self(tracing_subscriber::fmt::format().json().flatten_event(true))
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().fields().field(BRIDGED[0]).is_none() {
            return self.0.format_event(ctx, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        let Ok(Value::Object(mut fields)) = serde_json::from_str(&line) else { return Ok(()) };
        fields.retain(|name, _| !BRIDGED.contains(&name.as_str()));
        writeln!(writer, "{}", Value::Object(fields))
    }
}

/// A place in a source file, by its crate: what comes before is a folder of the machine that built it.
pub(super) fn place(file: &str, line: u32) -> String {
    let steps: Vec<&str> = file.split(['/', '\\']).collect();
    let source = steps.iter().rposition(|step| *step == "src").map_or(steps.len(), |at| at);
    let kept = if source == steps.len() { &steps[steps.len() - 1..] } else { &steps[source.saturating_sub(1)..] };
    format!("{}:{line}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_named_by_its_crate() {
        for (file, expected) in [
            ("src/server/http.rs", "src/server/http.rs:7"),
            ("/home/builder/portcullis/src/server/http.rs", "portcullis/src/server/http.rs:7"),
            (
                "/usr/local/cargo/registry/src/index.crates.io-1949cf8c6b5b557f/h2-0.4.12/src/frame/data.rs",
                "h2-0.4.12/src/frame/data.rs:7",
            ),
            ("/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/option.rs", "core/src/option.rs:7"),
            ("C:\\Users\\builder\\portcullis\\src\\main.rs", "portcullis/src/main.rs:7"),
            ("/home/builder/generated.rs", "generated.rs:7"),
            ("", ":7"),
        ] {
            assert_eq!(place(file, 7), expected);
        }
    }
}
