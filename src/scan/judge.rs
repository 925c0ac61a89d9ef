//! Judges an object as if it were created now.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::completed::{complete, join};
use super::kinds::Listed;
use super::references::References;
use super::type_errors::TypeErrors;
use crate::cluster::Manifests;
use crate::decision::{Decision, Endpoint, ModedFinding};
use crate::document::{Node, Position};
use crate::facts::{OwnerKind, World};
use crate::object::{Controllers, Object, Owned, Shape, Unreadable, is_cluster_scoped};
use crate::request::{Kind, Operation, Request, Resource, Source, User};
use crate::review::Judge;
use crate::snapshot::Snapshot;

/// Annotation of a static pod's mirror.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Name and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `apiVersion` as written.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name, or the `generateName` from which one would be made.
    pub name: String,
}

impl Identity {
    /// Reads it; `namespace` is where objects without one go.
    pub fn of(object: &Node, namespace: &str) -> Self {
        let text = |path: &[&str]| {
            let node = path.iter().try_fold(object, |node, field| node.get(field));
            node.and_then(Node::as_text).unwrap_or_default().to_owned()
        };
        let kind = text(&["kind"]);
        let written = text(&["metadata", "namespace"]);
        let is_elsewhere = !written.is_empty() || is_cluster_scoped(&kind);
        let name = text(&["metadata", "name"]);
        Self {
            api_version: text(&["apiVersion"]),
            kind,
            namespace: if is_elsewhere { written } else { namespace.to_owned() },
            name: if name.is_empty() { text(&["metadata", "generateName"]) } else { name },
        }
    }

    /// That of an object which an API server has listed.
    pub fn listed(kind: &Listed, references: &References) -> Self {
        Self {
            api_version: kind.api_version(),
            kind: kind.kind.clone(),
            namespace: references.namespace().to_owned(),
            name: references.name().to_owned(),
        }
    }

    /// The API group, empty for the core group, and the version.
    pub fn group_version(&self) -> (&str, &str) {
        self.api_version.rsplit_once('/').unwrap_or(("", &self.api_version))
    }
}

/// Origin of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A manifest.
    Manifest,
    /// An API server has stored it: a Pod has its defaults, and the token that was mounted in it.
    Stored,
}

/// The text of an object.
#[derive(Clone, Copy)]
pub enum Written<'w> {
    /// JSON, without positions.
    Json(&'w RawValue),
    /// A document with positions.
    Node(&'w Node),
}

/// Configuration and facts that objects are judged with.
#[derive(Clone, Copy)]
pub struct Bench<'b> {
    /// Configuration in force.
    pub snapshot: &'b Snapshot,
    /// Facts about other objects.
    pub world: &'b dyn World,
    /// The manifests with the LimitRanges of each namespace.
    pub ranges: &'b Manifests,
    /// Time at which the objects are judged: the same for all of them, so that an exception counts for all or for none.
    pub now: Timestamp,
}

/// Result of judging an object.
pub struct Judgement {
    /// The decision about as much of it as could be read.
    pub decision: Option<Decision>,
    /// Positions in the file of values of the wrong type, and their errors.
    pub errors: Vec<(Position, String)>,
}

impl Bench<'_> {
    /// Judges an object. What is of the wrong type is left out of the judgement, and named.
    pub fn judge(&self, object: &Node, identity: &Identity, origin: Origin) -> Judgement {
        let mut types = TypeErrors::of(object);
        loop {
            match self.decide(Written::Node(types.object()), identity, origin) {
                Ok(mut decision) => {
                    decision.findings.retain(|finding| !types.covers(&finding.place.path.pointer()));
                    decision.allowed = !decision.findings.iter().any(ModedFinding::refuses);
                    return Judgement { decision: Some(decision), errors: types.found };
                }
                Err(Undecided::Type(error)) if types.mend(&error) => {}
                Err(Undecided::Type(_)) => return Judgement { decision: None, errors: types.found },
                Err(Undecided::Whole(message)) => {
                    types.found.push((object.position, message));
                    return Judgement { decision: None, errors: types.found };
                }
            }
        }
    }

    /// Decides about an object of which every field that policies read has the right type.
    ///
    /// # Errors
    /// [`Undecided`] otherwise.
    pub fn decide(&self, object: Written<'_>, identity: &Identity, origin: Origin) -> Result<Decision, Undecided> {
        let (group, version) = identity.group_version();
        let shape = self.snapshot.workloads().shape(group, &identity.kind);
        let text;
        let mut raw = match object {
            Written::Json(raw) => raw,
            Written::Node(node) => {
                text = serde_json::to_string(node).map_err(whole)?;
                serde_json::from_str(&text).map_err(whole)?
            }
        };
        let mut taken = Vec::new();
        let complete_text;
        if let Shape::Workload(workload) = shape {
            // As it is written it tells what is of the wrong type, in the order of the file.
            Object::read(raw, shape).map_err(Undecided::Type)?;
            let mut completed = match object {
                Written::Json(raw) => serde_json::from_str(raw.get()),
                Written::Node(node) => serde_json::to_value(node),
            }
            .map_err(whole)?;
            taken = complete(&mut completed, workload, self.ranges.limit_ranges(&identity.namespace));
            complete_text = completed.to_string();
            raw = serde_json::from_str(&complete_text).map_err(whole)?;
        }
        let read = Object::read(raw, shape).map_err(Undecided::Type)?;
        let is_stored_pod = origin == Origin::Stored && matches!(shape, Shape::Workload(row) if row.is_pod());
        let request = Request {
            uid: String::new().into(),
            operation: Operation::Create,
            kind: Kind {
                group: group.to_owned().into(),
                version: version.to_owned().into(),
                kind: identity.kind.clone().into(),
            },
            resource: Resource::default(),
            subresource: String::new().into(),
            name: identity.name.clone().into(),
            namespace: identity.namespace.clone().into(),
            user: maker(&read, raw, group, &identity.kind, is_stored_pod),
            dry_run: false,
            received: self.now,
            // A template's findings that rest on other objects have their full mode: the whole set is there.
            source: if is_stored_pod { Source::ApiServer } else { Source::Manifest },
            object: Some(read),
            sent: Some(raw),
            old: None,
            options: None,
        };
        // What would be stored: mutators come after what the API server adds. They only add too, so that paths hold in the file
        // as it is written.
        let judge = Judge { snapshot: self.snapshot, world: self.world, endpoint: Endpoint::Validate };
        let mut decision = judge.decide_created(&request);
        if let Some((_, message)) = decision.trouble {
            return Err(Undecided::Whole(message));
        }
        // An exception for the cause would leave the others.
        if !self.snapshot.traces() {
            join(&mut decision.findings, &taken);
        }
        Ok(decision)
    }
}

/// Reason why an object could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// A field has the wrong type.
    #[error(transparent)]
    Type(Unreadable),
    /// Nothing of it could be judged.
    #[error("{0}")]
    Whole(String),
}

fn whole(error: serde_json::Error) -> Undecided {
    Undecided::Whole(error.to_string())
}

/// The user who creates an object: of one that a built-in controller makes, that controller; of a static pod's mirror, the kubelet
/// of its node, which owns it; nobody that is known otherwise. A manifest without a uid comes from a user, whatever it says.
/// One with a forged uid gains nothing but findings of `check` that are exempt for its owner too.
fn maker(object: &Object<'_>, raw: &RawValue, group: &str, kind: &str, is_stored_pod: bool) -> User<'static> {
    if !object.metadata().has_controller() {
        return User::default();
    }
    let Ok(owned) = Owned::read(raw) else { return User::default() };
    let Controllers::One(owner) = owned.controllers() else { return User::default() };
    if owner.group().is_empty() && owner.kind() == "Node" {
        if !is_stored_pod || object.metadata().annotation(MIRROR).is_none() {
            return User::default();
        }
        let groups = [crate::object::Text::borrowed("system:nodes")];
        let username = format!("system:node:{}", owner.name());
        return User { username: Some(username.into()), uid: None, groups: Some(Arc::new(groups)) };
    }
    match OwnerKind::find(owner.group(), owner.kind()).filter(|owner| owner.makes(group, kind)) {
        Some(owner) if !owned.uid().is_empty() => User { username: Some(owner.user().into()), ..User::default() },
        _ => User::default(),
    }
}
