//! The `trail` section of a configuration.

use std::path::PathBuf;

use jiff::SignedDuration;

use super::compile::{KEY_KEYS, RETENTION_KEYS, SPOOL_KEYS, TRAIL_KEYS};
use super::problem::{Fields, NotOneOf, Problems};
use crate::document::{Node, Value};
use crate::trail::{Guarantee, KeySettings, NamedSink, Settings, SpoolSettings, sink};
use crate::units::{duration, size};

/// Default sizes of a segment and of the spool, in bytes.
const SEGMENT: u64 = 16 << 20;
const SPOOL: u64 = 1 << 30;
/// Least size of a spool, in bytes.
const LEAST: u64 = 1 << 20;
/// Default retention of each class in days, in the order of the classes.
const DAYS: [i64; 3] = [7, 90, 90];
/// Default name of the key that signs checkpoints.
const KEY_NAME: &str = "portcullis";

pub(super) fn trail(node: &Node, problems: &mut Problems) -> Settings {
    let Some(fields) = Fields::of(node, "trail", &TRAIL_KEYS, problems) else { return Settings::default() };
    let file: Option<PathBuf> = fields.parsed("file", str::parse::<PathBuf>, problems);
    let spool = fields.get("spool").and_then(|node| spool(node, problems));
    let key = fields.get("key").and_then(|node| key(node, problems));
    let before = problems.found.len();
    let sinks: Vec<NamedSink> = fields
        .list("sinks", problems)
        .iter()
        .enumerate()
        .filter_map(|(position, node)| named_sink(node, &format!("trail.sinks[{position}]"), problems))
        .collect();
    for (position, sink) in sinks.iter().enumerate() {
        if sinks[..position].iter().any(|other| other.name == sink.name) {
            problems.add(node.position, "trail.sinks", format!("the name {} is here twice", sink.name));
        }
    }
    let has_spool = fields.get("spool").is_some();
    for (key, why) in [("sinks", "sinks take from a spool"), ("key", "checkpoints stand in a spool")] {
        if !has_spool && fields.get(key).is_some() && problems.found.len() == before {
            problems.add(node.position, &format!("trail.{key}"), format!("needs trail.spool: {why}"));
        }
    }
    if has_spool && file.is_some() {
        problems.add(node.position, "trail.file", "cannot be combined with trail.spool; make it a sink of type file");
    }
    let cluster = fields.parsed("cluster", cluster, problems).unwrap_or_default();
    let sample = fields.parsed("sample", one_in, problems).unwrap_or(1);
    let on = |text: &str| match text {
        "on" => Ok(false),
        "off" => Ok(true),
        _ => Err(NotOneOf("on or off")),
    };
    // YAML 1.1 reads an unquoted `on` as true.
    let is_on = fields.get("redaction").is_some_and(|node| matches!(node.value, Value::Bool(true)));
    let is_unredacted = !is_on && fields.parsed("redaction", on, problems).unwrap_or(false);
    let hmac = |text: &str| match text {
        "plain" => Ok(false),
        "hmac" => Ok(true),
        _ => Err(NotOneOf("plain or hmac")),
    };
    let is_hmac = fields.parsed("identities", hmac, problems).unwrap_or(false);
    let identities_key = fields.parsed("identitiesKeyFile", str::parse::<PathBuf>, problems);
    if is_hmac != identities_key.is_some() && problems.found.len() == before {
        problems.add(
            node.position,
            "trail.identities",
            "hmac and identitiesKeyFile belong together: one needs the other",
        );
    }
    Settings { file, cluster, spool, key, sinks, sample, is_unredacted, identities_key }
}

/// A bad value in the `trail` section.
#[derive(Debug, thiserror::Error)]
enum FieldError {
    #[error("must not be empty")]
    Empty,
    #[error("must hold no control characters")]
    ControlCharacters,
    #[error("must hold neither spaces nor plus signs")]
    KeyName,
    #[error("must be lower-case letters, digits and hyphens")]
    SinkName,
    #[error("must be 1 (all), or a part such as 1/100")]
    Sample,
}

fn cluster(text: &str) -> Result<String, FieldError> {
    if text.chars().any(char::is_control) { Err(FieldError::ControlCharacters) } else { Ok(text.to_owned()) }
}

fn spool(node: &Node, problems: &mut Problems) -> Option<SpoolSettings> {
    let fields = Fields::of(node, "trail.spool", &SPOOL_KEYS, problems)?;
    let directory = fields.parsed("directory", str::parse::<PathBuf>, problems);
    if directory.is_none() && fields.get("directory").is_none() {
        problems.add(node.position, "trail.spool.directory", "is missing: the folder of the spool");
    }
    let guarantee = |text: &str| match text {
        "durable" => Ok(Guarantee::Durable),
        "buffered" => Ok(Guarantee::Buffered),
        _ => Err(NotOneOf("durable or buffered")),
    };
    let guarantee = fields.parsed("guarantee", guarantee, problems).unwrap_or_default();
    let max_bytes = fields.parsed("maxSize", size, problems).unwrap_or(SPOOL);
    let segment_bytes = fields.parsed("segmentSize", size, problems).unwrap_or(SEGMENT.min(max_bytes / 16));
    if max_bytes < LEAST || segment_bytes > max_bytes / 4 {
        let message = "must be at least 1Mi, and four times segmentSize";
        problems.add(node.position, "trail.spool.maxSize", message);
    }
    let mut retention = DAYS.map(|days| SignedDuration::from_hours(24 * days));
    let kept =
        fields.get("retention").and_then(|node| Fields::of(node, "trail.spool.retention", &RETENTION_KEYS, problems));
    if let Some(kept) = kept {
        for (place, class) in RETENTION_KEYS.iter().enumerate() {
            retention[place] = kept.parsed(class, duration, problems).unwrap_or(retention[place]);
        }
    }
    Some(SpoolSettings { directory: directory?, guarantee, segment_bytes, max_bytes, retention })
}

fn key(node: &Node, problems: &mut Problems) -> Option<KeySettings> {
    let fields = Fields::of(node, "trail.key", &KEY_KEYS, problems)?;
    let file = fields.parsed("file", str::parse::<PathBuf>, problems);
    if file.is_none() && fields.get("file").is_none() {
        problems.add(node.position, "trail.key.file", "is missing: an Ed25519 private key in PEM");
    }
    // <https://c2sp.org/signed-note>: non-empty, and without spaces or plus signs.
    let name = |text: &str| match text {
        "" => Err(FieldError::Empty),
        text if text
            .contains(|character: char| character.is_whitespace() || character == '+' || character.is_control()) =>
        {
            Err(FieldError::KeyName)
        }
        text => Ok(text.to_owned()),
    };
    let name = fields.parsed("name", name, problems).unwrap_or_else(|| KEY_NAME.to_owned());
    Some(KeySettings { file: file?, name })
}

/// Reads an entry of `sinks`: the name here, the other settings by the sink.
fn named_sink(node: &Node, path: &str, problems: &mut Problems) -> Option<NamedSink> {
    let fields = Fields::open(node, path, problems)?;
    let label = |text: &str| {
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = !text.is_empty() && text.len() <= 63 && text.bytes().all(is_label);
        if fits { Ok(text.to_owned()) } else { Err(FieldError::SinkName) }
    };
    let name = fields.parsed("name", label, problems);
    if name.is_none() && fields.get("name").is_none() {
        problems.add(node.position, &format!("{path}.name"), "is missing: what metrics call the sink");
    }
    let mut value = serde_json::to_value(node).unwrap_or_default();
    value.as_object_mut().map(|fields| fields.remove("name"));
    match sink::Settings::read(value) {
        Ok(settings) => Some(NamedSink { name: name?, settings }),
        Err(error) => {
            problems.add_typed(node, path, &error);
            None
        }
    }
}

/// Reads `sample`: 100 for `1/100`, 1 for `1` (all).
fn one_in(text: &str) -> Result<u64, FieldError> {
    let every = if text == "1" { "1" } else { text.strip_prefix("1/").unwrap_or_default() };
    let every: u32 = every.parse().map_err(|_| FieldError::Sample)?;
    if every == 0 { Err(FieldError::Sample) } else { Ok(every.into()) }
}
