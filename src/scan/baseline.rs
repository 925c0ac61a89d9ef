//! A baseline: the exceptions that cover what would be refused today, and nothing that is not there yet.
//!
//! An entry names one object: the topmost owner where an exception for that covers the finding too, and otherwise the object
//! itself. A finding on a container is covered by the container's name and image; one that is on none by all images around it. Memory
//! grows with the objects that entries name, up to [`OBJECTS`], and with what is on them, up to [`COVERS`] places each.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::judge::{Identity, Judgement};
use super::references::References;
use crate::decision::{Decision, ModedFinding, Trace};
use crate::escape::escaped;
use crate::exception::Cover;
use crate::policy::catalogue;
use crate::redaction::redact;

pub use entry::{Entry, Matched};

/// Maximum number of objects that entries name.
const OBJECTS: usize = 50_000;
/// Maximum number of places in one object that are told apart.
const COVERS: usize = 1_000;
/// Maximum number of findings that no exception covers and that are listed; the others are counted.
const LISTED: usize = 10_000;

/// Maximum bytes of an owner, as a configuration takes it.
const OWNER: usize = 253;

/// What all entries have in common.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The end of the exceptions.
    pub expires: Timestamp,
    /// The reason.
    pub reason: String,
    /// The owner where no label names one.
    pub owner: String,
}

/// The reason why a finding is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncoverable {
    /// The policy failed.
    #[error("the policy could not judge the object, which no exception excuses")]
    Failed,
    /// The finding is of no policy of the catalogue.
    #[error("it is of no policy that an exception can name")]
    Policy,
    /// A field has the wrong type.
    #[error("a field of the object could not be read")]
    Unread,
    /// The object has no name yet.
    #[error("the object has no name, and the next one would have another")]
    Nameless,
    /// The name was generated, and nothing above it has the finding.
    #[error("the name is generated, and no owner that is known has the same finding in its template")]
    Generated,
    /// The entry would hold what is redacted everywhere else.
    #[error("its name, a container or an image looks like a secret, which is not written")]
    Secret,
    /// There are too many objects, or too many places in one.
    #[error("there are more than a baseline holds")]
    TooMany,
}

/// The object that an entry names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    namespace: String,
    kind: String,
    group: String,
    name: String,
}

/// The findings of an object, by place.
#[derive(Debug, Default)]
struct Found {
    owner: Option<Arc<str>>,
    /// True if the object itself was judged, so that the owner is the one that it names.
    is_itself: bool,
    policies: BTreeMap<Cover, BTreeSet<&'static str>>,
}

/// The baseline of a scan.
#[derive(Debug, Default)]
pub struct Baseline {
    objects: BTreeMap<Named, Found>,
    uncovered: BTreeSet<String>,
    /// Findings that are not covered and not listed.
    unlisted: usize,
}

impl Baseline {
    /// Adds what would refuse an object; `team` answers for it.
    pub fn add(
        &mut self,
        identity: &Identity,
        references: &References,
        team: Option<&Arc<str>>,
        judgement: &Judgement,
    ) {
        if !judgement.errors.is_empty() {
            let object = shown(&identity.namespace, &identity.kind, &identity.name);
            self.leave(&format!("{object}: {}", Uncoverable::Unread));
        }
        let Some(decision) = &judgement.decision else { return };
        for finding in decision.findings.iter().filter(|finding| finding.refuses()) {
            if let Err(why) = self.add_finding(identity, references, team, finding) {
                self.leave(&line(identity, decision, finding, why));
            }
        }
    }

    fn add_finding(
        &mut self,
        identity: &Identity,
        references: &References,
        team: Option<&Arc<str>>,
        finding: &ModedFinding,
    ) -> Result<(), Uncoverable> {
        let trace = finding.trace.as_deref().ok_or(Uncoverable::Failed)?;
        let policy = catalogue::find(finding.meta.id).ok_or(Uncoverable::Policy)?.meta.id;
        let (named, is_itself) = named(identity, references, trace)?;
        let texts = [&named.namespace, &named.name].into_iter().chain(&trace.cover.container).cloned();
        let images = trace.cover.images.iter().map(ToString::to_string);
        if texts.chain(images).any(|text| redact(&text) != text) {
            return Err(Uncoverable::Secret);
        }
        if self.objects.len() >= OBJECTS && !self.objects.contains_key(&named) {
            return Err(Uncoverable::TooMany);
        }
        let found = self.objects.entry(named).or_default();
        if is_itself || !found.is_itself && found.owner.is_none() {
            (found.owner, found.is_itself) = (team.cloned(), is_itself);
        }
        if found.policies.len() >= COVERS && !found.policies.contains_key(&trace.cover) {
            return Err(Uncoverable::TooMany);
        }
        found.policies.entry(trace.cover.clone()).or_default().insert(policy);
        Ok(())
    }

    /// Lists something that is not covered.
    fn leave(&mut self, line: &str) {
        let line = escaped(line);
        if self.uncovered.len() < LISTED {
            self.uncovered.insert(line.into_owned());
        } else if !self.uncovered.contains(&*line) {
            self.unlisted += 1;
        }
    }

    /// Lists an entry that a configuration does not take.
    pub fn leave_entry(&mut self, entry: &Entry, why: &str) {
        let Matched { namespace, kind, name, .. } = &entry.matched;
        let object = shown(namespace.as_deref().unwrap_or_default(), kind.split('.').next().unwrap_or_default(), name);
        self.leave(&format!("{object}: {}: {why}", entry.policies.join(", ")));
    }

    /// The findings that no exception covers, a line each, and how many more there are.
    pub fn uncovered(&self) -> (impl Iterator<Item = &str>, usize) {
        (self.uncovered.iter().map(String::as_str), self.unlisted)
    }

    /// The entries, in the order of namespace, kind and name.
    pub fn entries(&self, terms: &Terms) -> Vec<Entry> {
        let of = |(named, found): (&Named, &Found)| {
            let owner = found.owner.as_deref().filter(|owner| !owner.trim().is_empty()).unwrap_or(&terms.owner);
            let owner = owner.get(..owner.floor_char_boundary(OWNER)).unwrap_or_default();
            let matched = grouped(&found.policies);
            let entry = |((images, policies), containers): (Group, BTreeSet<String>)| {
                let matched = Matched {
                    namespace: Some(named.namespace.clone()).filter(|namespace| !namespace.is_empty()),
                    kind: qualified(&named.kind, &named.group),
                    name: named.name.clone(),
                    containers: containers.into_iter().collect(),
                    images: images.into_iter().collect(),
                };
                Entry::new(matched, policies.into_iter().collect(), terms, owner)
            };
            matched.into_iter().map(entry).collect::<Vec<_>>()
        };
        self.objects.iter().flat_map(of).collect()
    }
}

/// Images and policies of an entry.
type Group = (BTreeSet<String>, BTreeSet<&'static str>);

/// Containers by what their entries have in common otherwise, so that an entry covers every pair of its containers and its image;
/// no container for findings that are on none.
fn grouped(found: &BTreeMap<Cover, BTreeSet<&'static str>>) -> BTreeMap<Group, BTreeSet<String>> {
    let mut groups: BTreeMap<Group, BTreeSet<String>> = BTreeMap::new();
    for (cover, policies) in found {
        let is_left = |policy: &&&'static str| {
            !found.iter().any(|(other, policies)| policies.contains(**policy) && is_within(cover, other))
        };
        let left: BTreeSet<&'static str> = policies.iter().filter(is_left).copied().collect();
        if !left.is_empty() {
            let images = cover.images.iter().map(ToString::to_string).collect();
            groups.entry((images, left)).or_default().extend(cover.container.clone());
        }
    }
    groups
}

/// True if an exception for `other`, which is for no container, covers all that one for `cover` covers.
fn is_within(cover: &Cover, other: &Cover) -> bool {
    let has_images = !cover.images.is_empty() && cover.images.is_subset(&other.images);
    cover != other && other.container.is_none() && (other.images.is_empty() || has_images)
}

/// The object that an entry for a finding names, and whether that is the judged one.
fn named(identity: &Identity, references: &References, trace: &Trace) -> Result<(Named, bool), Uncoverable> {
    let namespace = identity.namespace.clone();
    if let Some((kind, name)) = &trace.owner {
        let (kind, group) = (kind.kind().to_owned(), kind.group().to_owned());
        return Ok((Named { namespace, kind, group, name: name.clone() }, false));
    }
    let (group, _) = identity.group_version();
    if !references.has_name() {
        return Err(Uncoverable::Nameless);
    }
    if references.has_generated_name() && (group, identity.kind.as_str()) == ("", "Pod") {
        return Err(Uncoverable::Generated);
    }
    let (kind, group, name) = (identity.kind.clone(), group.to_owned(), identity.name.clone());
    Ok((Named { namespace, kind, group, name }, true))
}

/// A kind as exceptions name it. The core group has no name there.
fn qualified(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// `namespace/Kind/name`, redacted.
fn shown(namespace: &str, kind: &str, name: &str) -> String {
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    redact(&format!("{place}{kind}/{name}")).into_owned()
}

fn line(identity: &Identity, decision: &Decision, finding: &ModedFinding, why: Uncoverable) -> String {
    let text = decision.text_of(finding);
    let object = shown(&identity.namespace, &identity.kind, &identity.name);
    format!("{object}: {}: {} {}: {why}", finding.meta.id, redact(&text.place), redact(&text.message))
}
