//! Exceptions for the object that owns a requested one, a Deployment's are its Pods' too; and its findings, if it is old enough.
//!
//! An owner is followed by controller and uid, as the API server has stored it now, to the topmost one, and only for what the
//! built-in controller of its kind sends: whoever writes an ownerReference gains nothing. An exception counts only for findings
//! that the topmost object's own template has too, judged by the same policies, and on a volume only if the template has the same
//! volume: anybody who makes ReplicaSets could mount another path of the node. Where anything else stands in the chain, an
//! object is missing or could not be read, the requested object is judged as if nobody owned it. The same holds for findings that
//! are inherited from an owner that existed before ([`super::existing`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::volumes::Volumes;
use super::{ModedFinding, cap, exempt, existing, judged, labels, trace};
use crate::engine::{self, ActivePolicy, Outcome};
use crate::exception::{Containers, Name, Subject};
use crate::facts::{Facts, Lookup, OwnerKind, Pending};
use crate::object::{Controller, Controllers, Object, Owned, Within};
use crate::policy::writers::CONTROLLER_MANAGER;
use crate::request::{Kind, Operation, Request, Resource, User};
use crate::snapshot::Snapshot;

/// Maximum number of owners above an object: CronJob, Job, Pod has two.
const HOPS: usize = 3;
/// Maximum length of a name (`DNS1123SubdomainMaxLength` in
/// `K/staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`).
const NAME: usize = 253;

/// An owner, as an ownerReference names it.
struct Reference {
    kind: OwnerKind,
    name: String,
    uid: String,
}

/// The topmost owner.
struct Topmost {
    kind: OwnerKind,
    name: String,
    /// Time of its creation.
    created: Option<Timestamp>,
    /// JSON of the object.
    stored: Arc<str>,
}

/// Marks the findings that an exception for the topmost owner covers, or that its age excuses, asking the world for owners until `deadline`.
pub(super) async fn mark(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [ModedFinding],
    deadline: Instant,
) {
    let Some(first) = asked_for(snapshot, request, outcomes, findings) else { return };
    let mut top = topmost(&first, request, facts);
    for _ in 0..HOPS {
        if top.is_ok() || !engine::ask(facts, deadline).await {
            break;
        }
        top = topmost(&first, request, facts);
    }
    let Ok(Some(top)) = top else { return };
    let Some(template) = top.request(snapshot, request) else { return };
    let policies = wanted(snapshot, request, outcomes, findings);
    let judged = engine::judge(&policies, &template, facts, deadline).await;
    cover(snapshot, request, outcomes, findings, &top, &template, &judged);
}

/// The same with the facts at hand.
pub(super) fn mark_at_once(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [ModedFinding],
) {
    let Some(first) = asked_for(snapshot, request, outcomes, findings) else { return };
    let Ok(Some(top)) = topmost(&first, request, facts) else { return };
    let Some(template) = top.request(snapshot, request) else { return };
    let policies = wanted(snapshot, request, outcomes, findings);
    let judged = engine::judge_at_once(&policies, &template, facts);
    cover(snapshot, request, outcomes, findings, &top, &template, &judged);
}

/// The first owner, if it is worth asking for: an exception may be for an owner of that kind, or the finding may be inherited.
fn asked_for(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: &[ModedFinding],
) -> Option<Reference> {
    let has_none = snapshot.exceptions().is_empty() && snapshot.existing().is_none() && !snapshot.traces();
    if has_none || !findings.iter().any(|finding| is_wanted(snapshot, request, outcomes, finding)) {
        return None;
    }
    let first = first(snapshot, request).filter(|_| is_name(&request.namespace))?;
    let kinds: Vec<(&str, &str)> =
        std::iter::successors(Some(first.kind), |kind| kind.above()).map(|kind| (kind.group(), kind.kind())).collect();
    let may_count = |finding: &ModedFinding| {
        existing::may_inherit(snapshot, request, outcomes, finding)
            || is_open(finding)
                && (snapshot.traces()
                    || snapshot.exceptions().may_be_about(finding.meta, &request.namespace, &kinds, request.received))
    };
    findings.iter().any(may_count).then_some(first)
}

/// The first owner of what the controller of its kind sends; and of a template that loses its controller, whoever takes it away.
fn first(snapshot: &Snapshot, request: &Request<'_>) -> Option<Reference> {
    let owner_in = |raw: &RawValue| {
        let owned = Owned::read(raw).ok()?;
        let Controllers::One(controller) = owned.controllers() else { return None };
        Reference::of(controller, &request.kind.group, &request.kind.kind)
    };
    if !request.is_owned() {
        snapshot.existing()?;
        let before = request.before(snapshot.workloads()).ok()??;
        return owner_in(request.old?).filter(|_| existing::is_released(snapshot, request, &before));
    }
    let user = request.user.name();
    owner_in(request.sent?).filter(|first| user == CONTROLLER_MANAGER || user == first.kind.user())
}

/// Follows owners to the topmost one; `None` if it is not certain who that is.
fn topmost(first: &Reference, request: &Request<'_>, facts: &Facts<'_>) -> Result<Option<Topmost>, Pending> {
    let mut next = Reference { kind: first.kind, name: first.name.clone(), uid: first.uid.clone() };
    for _ in 0..HOPS {
        let Lookup::Found(stored) = facts.owner(next.kind, &request.namespace, &next.name)? else { return Ok(None) };
        let (above, created) = {
            let Ok(raw) = serde_json::from_str::<&RawValue>(&stored) else { return Ok(None) };
            let Ok(owned) = Owned::read(raw) else { return Ok(None) };
            // Another object may have the name by now.
            if owned.uid() != next.uid {
                return Ok(None);
            }
            let above = match owned.controllers() {
                Controllers::None => None,
                Controllers::One(controller) => match Reference::of(controller, next.kind.group(), next.kind.kind()) {
                    Some(above) => Some(above),
                    None => return Ok(None),
                },
                Controllers::Several => return Ok(None),
            };
            (above, owned.created())
        };
        match above {
            None => return Ok(Some(Topmost { kind: next.kind, name: next.name, created, stored })),
            Some(above) => next = above,
        }
    }
    Ok(None)
}

impl Reference {
    /// The controller of an object of this kind, if it is of the kind that makes such objects.
    fn of(controller: &Controller<'_>, group: &str, kind: &str) -> Option<Self> {
        let owner = OwnerKind::find(controller.group(), controller.kind()).filter(|owner| owner.makes(group, kind))?;
        let (name, uid) = (controller.name().to_owned(), controller.uid().to_owned());
        (is_name(&name) && !uid.is_empty()).then_some(Self { kind: owner, name, uid })
    }
}

impl Topmost {
    /// The creation of the object, as it is stored; `None` if its template cannot be read.
    fn request<'t>(&'t self, snapshot: &Snapshot, request: &Request<'t>) -> Option<Request<'t>> {
        let raw: &RawValue = serde_json::from_str(&self.stored).ok()?;
        let shape = snapshot.workloads().shape(self.kind.group(), self.kind.kind());
        Some(Request {
            operation: Operation::Create,
            kind: Kind {
                group: self.kind.group().to_owned().into(),
                version: "v1".to_owned().into(),
                kind: self.kind.kind().to_owned().into(),
            },
            resource: Resource::default(),
            subresource: String::new().into(),
            name: self.name.clone().into(),
            user: User::default(),
            object: Some(Object::read(raw, shape).ok()?),
            sent: Some(raw),
            options: None,
            ..request.again()
        })
    }
}

/// Marks the findings that the template of the topmost owner has too: first those that an exception for that object covers, then
/// what is left if the object is old enough.
fn cover(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [ModedFinding],
    top: &Topmost,
    template: &Request<'_>,
    of_template: &[Outcome<'_>],
) {
    let cap = cap(snapshot, template);
    let found = of_template.iter().map(|outcome| judged(template, cap, outcome)).collect();
    let mut had: HashMap<(&str, Within, String), usize> = HashMap::new();
    for finding in labels::merge(of_template, found).into_iter().filter(|finding| !finding.failed) {
        let alike = finding.alike().to_owned();
        *had.entry((finding.meta.id, finding.place.within, alike)).or_default() += 1;
    }
    let is_of_volume = |finding: &ModedFinding| matches!(&finding.place.within, Within::Pod { field } if field.starts_with("volumes/"));
    let of = |request| Volumes::of(snapshot, request);
    let volumes = findings.iter().any(is_of_volume).then(|| (of(request), of(template)));
    // One that stands for many does not say which; the others count as many times as the template has them.
    let mut is_same = |finding: &&mut ModedFinding| {
        if !is_wanted(snapshot, request, outcomes, finding) || finding.place.within == Within::Many {
            return false;
        }
        if volumes.as_ref().is_some_and(|(own, other)| !own.is_same_at(&finding.place.within, other)) {
            return false;
        }
        let left = had.get_mut(&(finding.meta.id, finding.place.within.clone(), finding.alike().to_owned()));
        left.filter(|left| **left > 0).map(|left| *left -= 1).is_some()
    };
    let subject = Subject {
        group: top.kind.group(),
        kind: top.kind.kind(),
        name: Name::Exact(&top.name),
        governed_by: &request.namespace,
        is_in_no_namespace: false,
        user: request.user.name(),
    };
    let mut same: Vec<&mut ModedFinding> = findings.iter_mut().filter(|finding| is_same(finding)).collect();
    for finding in &mut same {
        trace::mark_owner(finding, top.kind, &top.name);
    }
    let each = same.iter_mut().map(|finding| &mut **finding);
    exempt::mark(snapshot, &subject, &Containers::of(request), request, outcomes, each);
    existing::mark(snapshot, request, outcomes, top.created, same.into_iter());
}

/// The policies of the findings that an owner may excuse.
fn wanted(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: &[ModedFinding],
) -> Vec<ActivePolicy> {
    let is_of_one = |outcome: &&Outcome<'_>| {
        let is_its = |one: &ModedFinding| std::ptr::eq(one.meta, outcome.policy.meta);
        findings.iter().any(|one| is_its(one) && is_wanted(snapshot, request, outcomes, one))
    };
    outcomes.iter().filter(is_of_one).map(|outcome| outcome.policy.clone()).collect()
}

/// True if an owner may excuse the finding: by an exception for it, or by its age.
fn is_wanted(snapshot: &Snapshot, request: &Request<'_>, outcomes: &[Outcome<'_>], finding: &ModedFinding) -> bool {
    is_open(finding) || existing::may_inherit(snapshot, request, outcomes, finding)
}

/// True if an exception may keep the finding from refusing.
fn is_open(finding: &ModedFinding) -> bool {
    finding.refuses() && !finding.failed
}

/// True if this may be a name in a path of the API: an ownerReference may hold any text.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    !text.is_empty() && text.len() <= NAME && !text.starts_with('.') && text.bytes().all(is_letter)
}
