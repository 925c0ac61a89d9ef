//! `unlabelled-namespaces`: the Pod Security labels of a Namespace ask for at least the levels that are set.
//!
//! An update that takes away a label of the setting `keep` is a finding too. The labels by which entries of `namespaces` raise policies
//! are added to that setting when the configuration is compiled.
//!
//! Labels are compared as Kubernetes' own admission reads them (`crate::pod_security`). An update that lowers what they ask for,
//! through a subresource too, is a finding of its own, unless a member of a listed group makes it.

mod kept;

use schemars::JsonSchema;
use serde::Deserialize;

use self::kept::Kept;
use crate::facts::{Facts, Pending};
use crate::object::resource::NAMESPACES;
use crate::object::{Metadata, Object, Path, Place, Shape};
use crate::pod_security::{Demand, Level, PREFIX, Version, VersionError, demands};
use crate::policy::{Allowed, Control, Fields, Kinds, Meta, Policy, Report, Severity, Validator, quoted};
use crate::request::{Operation, Request};

/// The labels, in the order of [`demands`].
const LABELS: [&str; 3] = ["enforce", "warn", "audit"];
/// Namespaces that the API server creates for the cluster itself, without labels. The pods of `kube-system` are privileged.
const OF_THE_CLUSTER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// Settings. A level of `privileged` asks for no label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UnlabelledNamespaces {
    /// Lowest level that the label `enforce` may name.
    enforce: Level,
    /// Lowest level that is warned of, by the label `warn` or by `enforce`.
    warn: Level,
    /// Lowest level that is audited, by the label `audit` or by `enforce`.
    audit: Level,
    /// Oldest version that the labels may pin, as `v1.30`, or `latest`; every version if it is absent.
    oldest_version: Option<Oldest>,
    /// Groups whose members may lower labels when they update a Namespace, also below the levels that are set here, and take away those
    /// that are kept.
    may_weaken: Vec<String>,
    /// Labels that an update must not take away. Those that entries of `namespaces` match are always among them.
    keep: Vec<Kept>,
    /// Names of Namespaces that are not judged.
    exempt: Vec<String>,
}

/// A version, as settings write it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
struct Oldest(Version);

impl TryFrom<String> for Oldest {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse().map(Self)
    }
}

impl Default for UnlabelledNamespaces {
    fn default() -> Self {
        Self {
            enforce: Level::Baseline,
            warn: Level::Privileged,
            audit: Level::Privileged,
            oldest_version: None,
            may_weaken: Vec::new(),
            keep: Vec::new(),
            exempt: OF_THE_CLUSTER.map(str::to_owned).to_vec(),
        }
    }
}

impl Policy for UnlabelledNamespaces {
    const META: &'static Meta = &Meta {
        id: "unlabelled-namespaces",
        title: "a Namespace without the Pod Security labels that are asked for, and an update that lowers them or takes kept labels away",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "The labels make the API server itself refuse Pods below a level of the Pod Security Standards, also while \
              no webhook answers; a Namespace without them holds whatever its writers create.",
        fix: "set the label to the level that is asked for, or let a group in mayWeaken lower it",
        kinds: &[Kinds::Resource(NAMESPACES)],
        fields: &[
            Fields::of(&[
                "metadata.labels[pod-security.kubernetes.io/enforce]",
                "metadata.labels[pod-security.kubernetes.io/warn]",
                "metadata.labels[pod-security.kubernetes.io/audit]",
            ])
            .allow(&[Allowed::Words("a level of the Pod Security Standards, at least the one that is set for it")]),
            Fields::of(&[
                "metadata.labels[pod-security.kubernetes.io/enforce-version]",
                "metadata.labels[pod-security.kubernetes.io/warn-version]",
                "metadata.labels[pod-security.kubernetes.io/audit-version]",
            ])
            .allow(&[
                Allowed::Absent,
                Allowed::Value("latest"),
                Allowed::Words("`v1.N`, not older than oldestVersion"),
            ]),
        ],
        changes: &[],
        controls: &[Control { standard: "NSA/CISA Kubernetes Hardening Guidance", name: "Pod security enforcement" }],
    };
}

impl Validator for UnlabelledNamespaces {
    fn judge(&self, request: &Request<'_>, _: &Facts<'_>, report: &mut Report) -> Result<(), Pending> {
        let Some(metadata) = request.object.as_ref().map(Object::metadata) else { return Ok(()) };
        let before = request.old.filter(|_| request.operation == Operation::Update);
        let before = before.and_then(|old| Object::read(old, Shape::Metadata).ok());
        let before = before.as_ref().map(Object::metadata);
        let may_weaken = self.may_weaken.iter().any(|group| request.user.is_in(group));
        if let Some(before) = before.filter(|_| !may_weaken) {
            self.keep.iter().for_each(|kept| kept.judge(before, metadata, report));
        }
        // Of its Pod Security labels alone.
        if self.exempt.iter().any(|name| name == request.governed_by()) {
            return Ok(());
        }

        let now = read(metadata);
        let old = before.map(read);
        let wanted = [self.enforce, self.warn, self.audit];
        for (index, ((name, demand), wanted)) in LABELS.into_iter().zip(now).zip(wanted).enumerate() {
            let text = label(metadata, name);
            // An update lowers a label only if it writes it.
            let is_written = before.is_none_or(|before| {
                [name, &version_of(name)].iter().any(|name| label(before, name) != label(metadata, name))
            });
            let lowered = old.and_then(|old| lowered(&old, &now, index)).filter(|_| is_written);
            if lowered.is_some() && may_weaken {
                continue;
            }
            let strongest = strength(&now, index).0;
            let place = || place(name);
            if let Some(text) = text.filter(|text| Level::read(text).is_none()) {
                report.add(place(), format_args!("must be privileged, baseline or restricted, not {}", quoted(text)));
            } else if strongest < wanted
                && !(lowered.is_some() && before.and_then(|before| label(before, name)) == text)
            {
                let least = Least(wanted);
                match text {
                    Some(text) => report.add(place(), format_args!("must be {least}, not {}", quoted(text))),
                    None => report.add(place(), format_args!("must be {least}: the Namespace has no such label")),
                }
            } else if let Some((from, to)) = lowered {
                let message = format_args!("must not be lowered from {from} to {to}: only the groups in mayWeaken may");
                report.add(place(), message);
            }
            self.judge_version(metadata, name, demand, wanted, report);
        }
        Ok(())
    }

    fn paths(&self) -> Vec<&str> {
        self.keep.iter().map(|kept| kept.path.as_str()).collect()
    }
}

impl UnlabelledNamespaces {
    /// The version that a label pins.
    fn judge_version(&self, metadata: &Metadata<'_>, name: &str, demand: Demand, wanted: Level, report: &mut Report) {
        let name = version_of(name);
        let Some(text) = label(metadata, &name) else { return };
        match text.parse::<Version>() {
            Err(VersionError::Malformed) => {
                let message = format_args!("must be latest or a version such as v1.30, not {}", quoted(text));
                report.add(place(&name), message);
            }
            // Kubernetes takes a version that it does not know for the newest.
            Err(VersionError::TooNew) => {}
            Ok(version) => {
                let oldest = self.oldest_version.filter(|_| wanted > Level::Privileged);
                if let Some(Oldest(oldest)) = oldest.filter(|Oldest(oldest)| version < *oldest)
                    && demand.level > Level::Privileged
                {
                    report.add(place(&name), format_args!("must be {oldest} or newer, not {}", quoted(text)));
                }
            }
        }
    }
}

/// A level or a stronger one.
struct Least(Level);

impl std::fmt::Display for Least {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0.as_str())?;
        if self.0 < Level::Restricted { out.write_str(" or restricted") } else { Ok(()) }
    }
}

fn version_of(name: &str) -> String {
    format!("{name}-version")
}

fn label<'m>(metadata: &'m Metadata<'_>, name: &str) -> Option<&'m str> {
    metadata.label(&format!("{PREFIX}{name}"))
}

fn place(name: &str) -> Place {
    Place::field(Path::root().fields("metadata.labels").key(&format!("{PREFIX}{name}")))
}

/// Demands of the labels, in the order of [`LABELS`]. A malformed level asks for nothing here: it is a finding by itself.
fn read(metadata: &Metadata<'_>) -> [Demand; 3] {
    demands(|key| label(metadata, key).filter(|text| key.ends_with("-version") || Level::read(text).is_some()))
}

/// Level and version that hold in one mode: what is refused is neither warned of nor audited.
fn strength(demands: &[Demand; 3], index: usize) -> (Level, Version) {
    let of = |demand: &Demand| match demand.level {
        Level::Privileged => (Level::Privileged, Version::LATEST),
        level => (level, demand.version),
    };
    let [enforce, ..] = demands;
    let own = demands.get(index).unwrap_or(enforce);
    of(own).max(of(enforce))
}

/// The level that an update lowers in one mode: before and after.
fn lowered(old: &[Demand; 3], now: &[Demand; 3], index: usize) -> Option<(String, String)> {
    let (before, after) = (strength(old, index), strength(now, index));
    let shown = |(level, version): (Level, Version)| match version {
        Version::LATEST => level.as_str().to_owned(),
        version => format!("{} of {version}", level.as_str()),
    };
    (after < before).then(|| (shown(before), shown(after)))
}
