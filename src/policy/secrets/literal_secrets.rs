//! `literal-secrets`: credentials are kept in Secrets, and not written into pods, annotations and ConfigMaps.
//!
//! A text is a finding if it holds a credential of a known form (`literal_secrets/form.rs`), or gives a value to a name that
//! says that it is one (`literal_secrets/name.rs`): a variable, an option, a key of a ConfigMap, a line of a file in it.
//! References, templates, paths, hashes, public keys and names of Secrets are not credentials. The messages name the variable
//! or key and the kind of credential, and nothing of the value.

mod assignment;
mod form;
mod name;
mod scan;
mod url;
mod value;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{Facts, Pending};
use crate::object::resource::CONFIG_MAPS;
use crate::policy::texts;
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::Request;
use crate::steps;

/// Bytes of text for which one step is taken.
const STEP: usize = 16;

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
        texts::each(request, |found| {
            let Some(kind) = credential(found.held.meaning(), found.value) else { return };
            match found.held.name() {
                Some(name) => report.add(found.spot, Named { name, kind }),
                None => report.add(found.spot, format_args!("must not hold a credential (it looks like {kind})")),
            }
        });
        Ok(())
    }
}

/// The kind of the credential that a value under a name is, or holds.
fn credential(name: Option<&str>, value: &str) -> Option<&'static str> {
    name.and_then(|name| named(name, value)).or_else(|| text(value))
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
