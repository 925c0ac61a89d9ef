//! `literal-secrets`: credentials are kept in Secrets, and not written into pods, annotations and ConfigMaps.
//!
//! A text is a finding if it holds a credential of a known form (`literal_secrets/form.rs`), or gives a value to a name that
//! says that it is one (`literal_secrets/name.rs`): a variable, an option, a key of a ConfigMap, a line of a file in it.
//! References, templates, paths, hashes, public keys and names of Secrets are not credentials. The messages name the variable
//! or key and the kind of credential, and nothing of the value.

mod assignment;
mod encoded;
mod form;
mod name;
mod scan;
mod url;
mod value;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::{CONFIG_MAPS, ConfigMap};
use crate::object::{Container, Object, Path, Place, Pod};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Bytes of text for which one step is taken.
const STEP: usize = 16;
/// Bytes of an entry of `binaryData` that are decoded; a multiple of four.
const DECODED: usize = 256 << 10;
/// The annotation in which kubectl repeats the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Settings: none.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiteralSecrets {}

impl Policy for LiteralSecrets {
    const META: &'static Meta = &Meta {
        id: "literal-secrets",
        title: "a credential that is written into a pod, an annotation or a ConfigMap",
        severity: Severity::High,
        since: "0.1.0",
        why: "Manifests are copied to repositories, logs and chats, and whoever may read pods or ConfigMaps may not read \
              Secrets. The policy is a heuristic: some of its findings are false.",
        fix: "delete it from the manifest, change it where it is used, and give the container a Secret through \
              valueFrom.secretKeyRef, envFrom.secretRef or a volume",
        kinds: &[Kinds::Pods, Kinds::Resource(CONFIG_MAPS)],
        fields: &[
            Fields::of_containers(&["env[*].value", "command", "args"]).allow(&[
                Allowed::Absent,
                Allowed::Words("text without a credential, or a reference such as `$(NAME)`"),
            ]),
            Fields::of(&["metadata.annotations", "data", "binaryData"])
                .allow(&[Allowed::Words("text without a credential")]),
        ],
        changes: &[],
        controls: &[Control {
            standard: "CIS Kubernetes Benchmark, section 5.4",
            name: "Prefer using secrets as files over secrets as environment variables",
        }],
    };
}

impl Validator for LiteralSecrets {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        for pod in request.pods() {
            judge_annotations(pod, report);
            pod.containers().for_each(|container| judge_container(&container, report));
        }
        let Some(object) = &request.object else { return Ok(()) };
        if request.pods().first().is_none_or(Pod::is_template) {
            judge_own_annotations(object, report);
        }
        if let Some(map) = request.object_as::<ConfigMap<'_>>() {
            judge_map(map, report);
        }
        Ok(())
    }
}

fn judge_container(container: &Container<'_, '_>, report: &mut Report) {
    for (position, name, value) in container.variables() {
        if let Some(kind) = credential(name, value) {
            report.add(container.at_item("env", position, "value"), Named { name, kind });
        }
    }
    let mut option: Option<&str> = None;
    for (list, position, word) in container.words() {
        let given = option.take().filter(|_| !word.starts_with('-')).and_then(|option| named(option, word));
        if let Some(kind) = given.or_else(|| text(word)) {
            report.add(
                container.at_item(list, position, ""),
                format_args!("must not hold a credential (it looks like {kind})"),
            );
        }
        // `--password` and its value are two words.
        option = Some(word).filter(|word| word.starts_with('-') && !word.contains(['=', ' ']));
    }
}

fn judge_annotations(pod: &Pod<'_>, report: &mut Report) {
    let annotations = pod.metadata().into_iter().flat_map(crate::object::Metadata::annotations);
    for (key, value) in annotations.filter(|(key, _)| *key != LAST_APPLIED) {
        if let Some(kind) = credential(local(key), value) {
            report.add(pod.annotation_place(key), Named { name: key, kind });
        }
    }
}

/// The annotations of a ConfigMap, or of the object that holds a template.
fn judge_own_annotations(object: &Object<'_>, report: &mut Report) {
    for (key, value) in object.metadata().annotations().filter(|(key, _)| *key != LAST_APPLIED) {
        if let Some(kind) = credential(local(key), value) {
            report.add(place("metadata.annotations", key), Named { name: key, kind });
        }
    }
}

fn judge_map(map: &ConfigMap<'_>, report: &mut Report) {
    for (key, value) in map.data() {
        if let Some(kind) = credential(key, value) {
            report.add(place("data", key), Named { name: key, kind });
        }
    }
    for (key, value) in map.binary_data() {
        let kind = decoded(value).and_then(|value| credential(key, &value));
        if let Some(kind) = kind {
            report.add(place("binaryData", key), Named { name: key, kind });
        }
    }
}

/// The text of an entry of `binaryData`; `None` if it is not text.
fn decoded(value: &str) -> Option<String> {
    let beginning = value.get(..value.len().min(DECODED))?;
    let bytes = encoded::decode(beginning)?;
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => Some(text.to_owned()),
        Cow::Owned(text) => Some(text).filter(|text| !text.contains('\0')),
    }
}

/// The kind of the credential that a value under a name is, or holds.
fn credential(name: &str, value: &str) -> Option<&'static str> {
    named(name, value).or_else(|| text(value))
}

/// The kind of the credential that a value is by its name.
fn named(name: &str, value: &str) -> Option<&'static str> {
    let name = name::read(name)?;
    value::is_credential(&name, value).then_some(name.kind)
}

/// The kind of the first credential in a text.
fn text(text: &str) -> Option<&'static str> {
    let steps = u32::try_from(text.len() / STEP).unwrap_or(u32::MAX);
    steps::take(steps).then(|| scan::first(text)).flatten()
}

/// The name of an annotation without its prefix.
fn local(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

fn place(map: &str, key: &str) -> Place {
    Place::field(Path::root().fields(map).key(key))
}

/// The message about a named value. It holds no `=` and no `:` behind the name, which redaction would take for a secret's.
struct Named<'n> {
    name: &'n str,
    kind: &'static str,
}

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "must not hold a credential (the value of {} looks like {})", quoted(self.name), self.kind)
    }
}
