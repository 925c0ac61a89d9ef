//! The mapping `existing`: findings that a workload had before a certain time do not refuse its Pods.

use jiff::Timestamp;

use super::compile::EXISTING_KEYS;
use super::problem::{Fields, Problems};
use crate::document::Value;

/// A bad value of `createdBefore`.
#[derive(Debug, thiserror::Error)]
#[error("must be a time in RFC 3339, such as 2026-01-31T00:00:00Z")]
struct NotATime;

/// Reads `existing`: the time before which a workload must have been created; `None` if there is none, or it admits nothing.
pub(super) fn existing(fields: &Fields<'_>, now: Timestamp, problems: &mut Problems) -> Option<Timestamp> {
    let node = fields.get("existing")?;
    if !matches!(node.value, Value::Map(_)) {
        let message = "must be a mapping, such as existing: {admit: true, createdBefore: 2026-01-31T00:00:00Z}";
        problems.add(node.position, "existing", message);
        return None;
    }
    let fields = Fields::of(node, "existing", &EXISTING_KEYS, problems)?;
    let admits = fields.flag("admit", problems)?;
    let before = fields.parsed("createdBefore", |text| text.parse::<Timestamp>().map_err(|_| NotATime), problems);
    if fields.get("admit").is_none() {
        let message = "is missing; write admit: true, or leave existing out";
        problems.add(node.position, &fields.path_of("admit"), message);
    }
    if !admits {
        return None;
    }
    let Some(written) = fields.get("createdBefore") else {
        let message = "is missing; write the time before which a workload must have been created, such as createdBefore: \
                       2026-01-31T00:00:00Z";
        problems.add(node.position, &fields.path_of("createdBefore"), message);
        return None;
    };
    let before = before?;
    // The API server stores whole seconds: what was created later in the same second must not count.
    let seconds = |time: Timestamp| Timestamp::from_second(time.as_second()).unwrap_or(time);
    if before > now {
        let message = format!(
            "is in the future: workloads that are yet to be created would count as existing; write {} or earlier",
            seconds(now)
        );
        problems.add(written.position, &fields.path_of("createdBefore"), message);
    }
    Some(seconds(before))
}
