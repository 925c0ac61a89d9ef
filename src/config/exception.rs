//! The list `exceptions`: exceptions with an end, a reason and somebody who answers for them.

mod matching;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::matching::matching;
use super::compile::{EXCEPTION_KEYS, EXCEPTIONS_KEYS};
use super::namespace::is_dns_label;
use super::problem::{Fields, Problem, Problems, Warning, suggestion};
use crate::document::{Node, Position, Value};
use crate::exception::{Exception, Exceptions, Source, Uses};
use crate::mode::Mode;
use crate::pod_security::Version;
use crate::policy::Meta;
use crate::policy::catalogue::{self, CATALOGUE};
use crate::snapshot::Scope;
use crate::units::duration;

/// Maximum number of exceptions in a configuration.
pub(crate) const EXCEPTIONS: usize = 4_096;
/// Items of one list of an exception.
const ITEMS: usize = 256;
/// Items of the lists `containers`, `images` and `users` of all exceptions together: each image of a Pod may be compared with all.
const ALL_ITEMS: usize = 16_384;
/// Bytes of a reason.
const REASON: usize = 512;
/// Bytes of an owner, a ticket, a name of an object and a name of a user.
const TEXT: usize = 253;
/// Default of `maxLifetime`.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Context in which exceptions are read.
pub(super) struct Reading<'r> {
    /// Time of reading, from which `maxLifetime` counts.
    pub(super) now: Timestamp,
    /// The scope of a namespace; of the empty one for objects that live in none.
    pub(super) in_force: &'r dyn Fn(&str) -> Option<&'r Scope>,
    /// The scopes of namespaces that carry a label.
    pub(super) raised: &'r [&'r Scope],
    /// The version of the Pod Security Standards that policies follow.
    pub(super) version: Version,
}

/// A bad value in an exception.
#[derive(Debug, thiserror::Error)]
enum FieldError {
    #[error("must be lower-case letters, digits and hyphens, at most 63, such as old-shop-images")]
    Name,
    #[error("must be a time in RFC 3339, such as 2027-01-31T00:00:00Z")]
    Time,
    #[error("must not be empty")]
    Empty,
    #[error("must not be longer than {0} bytes")]
    TooLong(usize),
}

/// Reads `exceptions`: the list, or a mapping of it and `maxLifetime`.
pub(super) fn exceptions(
    fields: &Fields<'_>,
    reading: &Reading<'_>,
    problems: &mut Problems,
) -> (Exceptions, Vec<Warning>) {
    let mut lifetime = LIFETIME;
    let (path, list) = match fields.get("exceptions") {
        Some(node) if matches!(node.value, Value::Map(_)) => {
            let Some(fields) = Fields::of(node, "exceptions", &EXCEPTIONS_KEYS, problems) else {
                return Default::default();
            };
            lifetime = fields.parsed("maxLifetime", duration, problems).unwrap_or(LIFETIME);
            ("exceptions.entries", fields.list("entries", problems))
        }
        _ => ("exceptions", fields.list("exceptions", problems)),
    };
    if let Some(node) = list.get(EXCEPTIONS) {
        problems.add(node.position, path, format!("must be at most {EXCEPTIONS} exceptions"));
        return Default::default();
    }
    let mut lines: HashMap<&str, Position> = HashMap::new();
    let (mut read, mut warnings, mut items) = (Vec::new(), Vec::new(), 0);
    for (place, node) in list.iter().enumerate() {
        let path = format!("{path}[{place}]");
        if let Some((name, position)) = node.get("name").and_then(|node| Some((node.as_text()?, node.position))) {
            if let Some(first) = lines.get(name) {
                let message = format!("is the name of the exception at line {} already; choose another", first.line);
                problems.add(position, &format!("{path}.name"), message);
            }
            lines.entry(name).or_insert(position);
        }
        let Some(exception) = exception(node, &path, lifetime, reading, problems, &mut warnings) else { continue };
        let matching = &exception.matching;
        items += matching.containers.len() + matching.images.len() + matching.users.len();
        read.push(exception);
        if items > ALL_ITEMS {
            let message = format!(
                "has more containers, images and users than all exceptions together may list ({ALL_ITEMS}); use patterns, or fewer \
                 exceptions"
            );
            problems.add(node.position, &path, message);
            break;
        }
    }
    (Exceptions::new(read), warnings)
}

fn exception(
    node: &Node,
    path: &str,
    lifetime: SignedDuration,
    reading: &Reading<'_>,
    problems: &mut Problems,
    warnings: &mut Vec<Warning>,
) -> Option<Exception> {
    let fields = Fields::of(node, path, &EXCEPTION_KEYS, problems)?;
    let name = needed(&fields, node, "name", "name: old-shop-images", name, problems);
    let policies = policies(&fields, "policies", problems);
    if policies.as_ref().is_some_and(Vec::is_empty) {
        problems.add(node.position, &fields.path_of("policies"), "must name policies, such as policies: [root-users]");
    }
    let matching = matching(&fields, node, problems);
    let end = "expires: 2027-01-31T00:00:00Z";
    let expires = needed(&fields, node, "expires", end, time, problems);
    let reason = needed(&fields, node, "reason", "why it is needed", |text| bounded(text, REASON), problems);
    let owner = needed(&fields, node, "owner", "who answers for it", |text| bounded(text, TEXT), problems);
    let ticket = fields.parsed("ticket", |text| bounded(text, TEXT), problems);
    let requires = self::policies(&fields, "requires", problems);
    if let (Some(expires), Some(node)) = (expires, fields.get("expires")) {
        let place = fields.path_of("expires");
        if expires <= reading.now {
            let file = problems.file.clone();
            let message = "is in the past: the exception counts for nothing; remove it, or give it a later end";
            warnings.push(Warning(Problem {
                file,
                position: node.position,
                field: place,
                message: message.to_owned(),
            }));
        } else if expires.duration_since(reading.now) > lifetime {
            let latest = reading.now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
            let latest = Timestamp::from_second(latest.as_second()).unwrap_or(latest);
            let message = format!(
                "is more than maxLifetime ({}) ahead: write {latest} or earlier, or exceptions: {{maxLifetime: 400d, entries: [...]}}",
                days(lifetime)
            );
            problems.add(node.position, &place, message);
        }
    }
    let (policies, requires) = (policies?, requires?);
    let matching = matching?;
    require_on(&fields, &policies, &requires, matching.namespace.as_deref(), reading, problems);
    warnings.extend(idle(&fields, &policies, matching.namespace.as_deref(), reading, problems));
    Some(Exception {
        name: name?,
        source: Source::Configuration,
        policies,
        matching,
        expires: expires?,
        reason: reason?,
        owner: owner?,
        ticket,
        requires,
        uses: Arc::new(Uses::since(reading.now)),
    })
}

/// Refuses requirements that can never hold: policies that are off, and those that the exception is for.
fn require_on(
    fields: &Fields<'_>,
    policies: &[&'static Meta],
    requires: &[&'static Meta],
    namespace: Option<&str>,
    reading: &Reading<'_>,
    problems: &mut Problems,
) {
    let nodes = fields.get("requires").map(|_| fields.list("requires", problems)).unwrap_or_default();
    let namespace = namespace.unwrap_or_default();
    for policy in requires {
        let written = nodes.iter().find(|node| node.as_text() == Some(policy.id));
        let Some(position) = written.map(|node| node.position) else { continue };
        let is_on = (reading.in_force)(namespace).into_iter().chain(reading.raised.iter().copied()).any(|scope| {
            scope.policies.iter().filter(|one| one.configured > Mode::Off).any(|one| {
                let replaced = || catalogue::find(one.meta.id).map(|entry| entry.replaces(reading.version));
                std::ptr::eq(one.meta, *policy) || replaced().is_some_and(|ids| ids.contains(&policy.id))
            })
        });
        let place = fields.path_of("requires");
        if policies.iter().any(|excepted| std::ptr::eq(*excepted, *policy)) {
            let message = format!("{} is what the exception is for, so that it would never count", policy.id);
            problems.add(position, &place, message);
        } else if !is_on {
            let place_of = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
            let message =
                format!("{} is off{place_of}, so that the exception would never count; turn it on", policy.id);
            problems.add(position, &place, message);
        }
    }
}

/// A warning for each policy that does not run where the exception counts, so that nothing of it is covered.
fn idle(
    fields: &Fields<'_>,
    policies: &[&'static Meta],
    namespace: Option<&str>,
    reading: &Reading<'_>,
    problems: &mut Problems,
) -> Vec<Warning> {
    let namespace = namespace.unwrap_or_default();
    // Labels of namespaces may add policies.
    let Some(scope) = (reading.in_force)(namespace).filter(|scope| scope.labels == Mode::Off) else {
        return Vec::new();
    };
    let place_of = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
    let nodes = fields.list("policies", problems);
    let mut found = Vec::new();
    for policy in policies {
        let runs_in = |scope: &Scope, meta: &Meta| {
            scope.policies.iter().any(|one| std::ptr::eq(one.meta, meta) && one.configured > Mode::Off)
        };
        let runs = |meta: &Meta| [scope].iter().chain(reading.raised).any(|scope| runs_in(scope, meta));
        let Some(node) = nodes.iter().find(|node| node.as_text() == Some(policy.id)).filter(|_| !runs(policy)) else {
            continue;
        };
        let replaces =
            |id: &str| catalogue::find(id).is_some_and(|entry| entry.replaces(reading.version).contains(&policy.id));
        let message = match scope.policies.iter().find(|one| replaces(one.meta.id)) {
            Some(other) => format!(
                "{} does not run{place_of}, because {} finds all that it finds: the exception covers nothing of it; name {}",
                policy.id, other.meta.id, other.meta.id
            ),
            None => format!("{} is off{place_of}: the exception covers nothing of it", policy.id),
        };
        let file = problems.file.clone();
        found.push(Warning(Problem { file, position: node.position, field: fields.path_of("policies"), message }));
    }
    found
}

/// A field that an exception must have; `example` says what to write where it is missing.
fn needed<T, E: fmt::Display>(
    fields: &Fields<'_>,
    node: &Node,
    key: &str,
    example: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
    problems: &mut Problems,
) -> Option<T> {
    if fields.get(key).is_none() {
        problems.add(node.position, &fields.path_of(key), format!("is missing; write {example}"));
    }
    fields.parsed(key, parse, problems)
}

/// The policies under `key`; `None` if one of them is not one that judges.
fn policies(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<Vec<&'static Meta>> {
    let before = problems.found.len();
    let mut found: Vec<&'static Meta> = Vec::new();
    for (id, position) in texts(fields, key, problems) {
        match catalogue::find(id) {
            Some(entry) if entry.safety.is_some() => {
                let message = format!("{id} sets a default and refuses nothing; name a policy that judges");
                problems.add(position, &fields.path_of(key), message);
            }
            Some(entry) if !found.iter().any(|known| std::ptr::eq(*known, entry.meta)) => found.push(entry.meta),
            Some(_) => {}
            None => {
                let judging = CATALOGUE.iter().filter(|entry| entry.safety.is_none());
                let known: Vec<&str> = judging.map(|entry| entry.meta.id).collect();
                let message = format!("no policy has this id{}", suggestion(id, &known, "there are"));
                problems.add(position, &fields.path_of(key), message);
            }
        }
    }
    (problems.found.len() == before).then_some(found)
}

/// The texts of a list, with their positions.
fn texts<'n>(fields: &Fields<'n>, key: &str, problems: &mut Problems) -> Vec<(&'n str, Position)> {
    let list = fields.list(key, problems);
    if let Some(node) = list.get(ITEMS) {
        problems.add(node.position, &fields.path_of(key), format!("must be at most {ITEMS} items"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for node in list {
        match node.as_text() {
            Some(text) => found.push((text, node.position)),
            None => problems.add(node.position, &fields.path_of(key), "must be a string; put it in quotation marks"),
        }
    }
    found
}

fn name(text: &str) -> Result<String, FieldError> {
    if is_dns_label(text) { Ok(text.to_owned()) } else { Err(FieldError::Name) }
}

fn time(text: &str) -> Result<Timestamp, FieldError> {
    text.parse().map_err(|_| FieldError::Time)
}

/// A text that is not blank and has at most so many bytes.
fn bounded(text: &str, most: usize) -> Result<String, FieldError> {
    match text {
        _ if text.trim().is_empty() => Err(FieldError::Empty),
        _ if text.len() > most => Err(FieldError::TooLong(most)),
        _ => Ok(text.to_owned()),
    }
}

/// A duration as `maxLifetime` takes it.
fn days(duration: SignedDuration) -> String {
    match duration.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds => format!("{seconds}s"),
    }
}
