//! Exceptions for the object that owns a requested one: a Deployment's are its Pods' too.
//!
//! An owner is followed by controller and uid, as the API server has stored it now, to the topmost one, and only for what the
//! built-in controller of its kind sends: whoever writes an ownerReference gains nothing. An exception counts only for findings
//! that the topmost object's own template has too, judged by the same policies. Where anything else stands in the chain, an
//! object is missing or could not be read, the requested object is judged as if nobody owned it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;

use super::{ModedFinding, exempt, judged, labels};
use crate::engine::{self, ActivePolicy, Outcome};
use crate::exception::{Containers, Name, Subject};
use crate::facts::{Facts, Lookup, OwnerKind, Pending};
use crate::object::{Controller, Controllers, Object, Owned, Within};
use crate::request::{Kind, Operation, Request, Resource, User};
use crate::snapshot::Snapshot;

/// Maximum number of owners above an object: CronJob, Job, Pod has two.
const HOPS: usize = 3;
/// The user of all controllers where they share one.
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// Beginning of the user name of each controller where they do not.
const CONTROLLER: &str = "system:serviceaccount:kube-system:";
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
    /// JSON of the object.
    stored: Arc<str>,
}

/// Marks the findings that an exception for the topmost owner covers, asking the world for owners until `deadline`.
pub(super) async fn mark(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [ModedFinding],
    deadline: Instant,
) {
    let Some(first) = asked_for(snapshot, request, findings) else { return };
    let mut top = topmost(&first, request, facts);
    for _ in 0..HOPS {
        if top.is_ok() || !engine::ask(facts, deadline).await {
            break;
        }
        top = topmost(&first, request, facts);
    }
    let Ok(Some(top)) = top else { return };
    let Some(template) = top.request(snapshot, request) else { return };
    let policies = refusing(outcomes, findings);
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
    let Some(first) = asked_for(snapshot, request, findings) else { return };
    let Ok(Some(top)) = topmost(&first, request, facts) else { return };
    let Some(template) = top.request(snapshot, request) else { return };
    let policies = refusing(outcomes, findings);
    let judged = engine::judge_at_once(&policies, &template, facts);
    cover(snapshot, request, outcomes, findings, &top, &template, &judged);
}

/// The first owner, if it is worth asking for: a finding refuses, an exception may be for an owner of that kind, and that kind's
/// controller sends the request.
fn asked_for(snapshot: &Snapshot, request: &Request<'_>, findings: &[ModedFinding]) -> Option<Reference> {
    if snapshot.exceptions().is_empty() || !findings.iter().any(is_open) {
        return None;
    }
    let owned = Owned::read(request.sent?).ok()?;
    let Controllers::One(controller) = owned.controllers() else { return None };
    let first = Reference::of(controller, &request.kind.group, &request.kind.kind)?;
    let user = request.user.name();
    if user != CONTROLLER_MANAGER && user.strip_prefix(CONTROLLER) != Some(first.kind.controller()) {
        return None;
    }
    let kinds: Vec<(&str, &str)> =
        std::iter::successors(Some(first.kind), |kind| kind.above()).map(|kind| (kind.group(), kind.kind())).collect();
    let may_count = |finding: &ModedFinding| {
        snapshot.exceptions().may_be_about(finding.meta, &request.namespace, &kinds, request.received)
    };
    (is_name(&request.namespace) && findings.iter().any(|finding| is_open(finding) && may_count(finding)))
        .then_some(first)
}

/// Follows owners to the topmost one; `None` if it is not certain who that is.
fn topmost(first: &Reference, request: &Request<'_>, facts: &Facts<'_>) -> Result<Option<Topmost>, Pending> {
    let mut next = Reference { kind: first.kind, name: first.name.clone(), uid: first.uid.clone() };
    for _ in 0..HOPS {
        let Lookup::Found(stored) = facts.owner(next.kind, &request.namespace, &next.name)? else { return Ok(None) };
        let above = {
            let Ok(raw) = serde_json::from_str::<&RawValue>(&stored) else { return Ok(None) };
            let Ok(owned) = Owned::read(raw) else { return Ok(None) };
            // Another object may have the name by now.
            if owned.uid() != next.uid {
                return Ok(None);
            }
            match owned.controllers() {
                Controllers::None => None,
                Controllers::One(controller) => match Reference::of(controller, next.kind.group(), next.kind.kind()) {
                    Some(above) => Some(above),
                    None => return Ok(None),
                },
                Controllers::Several => return Ok(None),
            }
        };
        match above {
            None => return Ok(Some(Topmost { kind: next.kind, name: next.name, stored })),
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

/// Marks the findings that the template of the topmost owner has too and that an exception for that object covers.
fn cover(
    snapshot: &Snapshot,
    request: &Request<'_>,
    outcomes: &[Outcome<'_>],
    findings: &mut [ModedFinding],
    top: &Topmost,
    template: &Request<'_>,
    of_template: &[Outcome<'_>],
) {
    let found = of_template.iter().map(|outcome| judged(template, outcome)).collect();
    let mut had: HashMap<(&str, Within, String), usize> = HashMap::new();
    for finding in labels::merge(of_template, found).into_iter().filter(|finding| !finding.failed) {
        let alike = finding.alike().to_owned();
        *had.entry((finding.meta.id, finding.place.within, alike)).or_default() += 1;
    }
    // One that stands for many does not say which; the others count as many times as the template has them.
    let mut is_same = |finding: &&mut ModedFinding| {
        if !is_open(finding) || finding.place.within == Within::Many {
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
    let same = findings.iter_mut().filter(|finding| is_same(finding));
    exempt::mark(snapshot, &subject, &Containers::of(request), request, outcomes, same);
}

/// The policies of the findings that refuse.
fn refusing(outcomes: &[Outcome<'_>], findings: &[ModedFinding]) -> Vec<ActivePolicy> {
    let refuses =
        |outcome: &&Outcome<'_>| findings.iter().any(|one| is_open(one) && std::ptr::eq(one.meta, outcome.policy.meta));
    outcomes.iter().filter(refuses).map(|outcome| outcome.policy.clone()).collect()
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
