//! Judges a manifest as if it were created now.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::completed::{complete, join};
use super::type_errors::TypeErrors;
use crate::cluster::Manifests;
use crate::decision::{self, Decision, ModedFinding};
use crate::document::{Node, Position};
use crate::mutation;
use crate::object::{Object, Shape, Unreadable, is_cluster_scoped};
use crate::request::{Kind, Operation, Request, Resource, Source, User};
use crate::snapshot::Snapshot;

/// Name and kind of an object.
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Identity {
    /// Reads it; `namespace` is where objects without one go.
    pub(super) fn of(object: &Node, namespace: &str) -> Self {
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

    /// The API group, empty for the core group, and the version.
    pub(super) fn group_version(&self) -> (&str, &str) {
        self.api_version.rsplit_once('/').unwrap_or(("", &self.api_version))
    }
}

/// Result of judging an object.
pub(super) struct Judgement {
    /// The decision about as much of it as could be read.
    pub(super) decision: Option<Decision>,
    /// Positions in the file of values of the wrong type, and their errors.
    pub(super) errors: Vec<(Position, String)>,
}

/// Judges an object. What is of the wrong type is left out of the judgement, and named.
pub(super) fn judge(object: &Node, identity: &Identity, snapshot: &Snapshot, world: &Manifests) -> Judgement {
    let mut types = TypeErrors::of(object);
    loop {
        match decide(types.object(), identity, snapshot, world) {
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

/// Reason why an object could not be judged.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error(transparent)]
    Type(Unreadable),
    #[error("{0}")]
    Whole(String),
}

fn decide(object: &Node, identity: &Identity, snapshot: &Snapshot, world: &Manifests) -> Result<Decision, Undecided> {
    let whole = |error: serde_json::Error| Undecided::Whole(error.to_string());
    let (group, version) = identity.group_version();
    let shape = snapshot.workloads().shape(group, &identity.kind);
    let mut text = serde_json::to_string(object).map_err(whole)?;
    let mut taken = Vec::new();
    if let Shape::Workload(workload) = shape {
        // As it is written it tells what is of the wrong type, in the order of the file.
        let raw: &RawValue = serde_json::from_str(&text).map_err(whole)?;
        Object::read(raw, Shape::Workload(workload)).map_err(Undecided::Type)?;
        let mut completed = serde_json::to_value(object).map_err(whole)?;
        taken = complete(&mut completed, workload, world.limit_ranges(&identity.namespace));
        text = completed.to_string();
    }
    let raw: &RawValue = serde_json::from_str(&text).map_err(whole)?;
    let read = Object::read(raw, shape).map_err(Undecided::Type)?;
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
        user: User::default(),
        dry_run: false,
        received: Timestamp::now(),
        source: Source::Manifest,
        object: Some(read),
        sent: Some(raw),
        old: None,
        options: None,
    };
    // What would be stored: mutators come after what the API server adds. They only add too, so that paths hold in the file
    // as it is written.
    let mut decision = match mutation::mutate(snapshot, &request).object {
        None => decision::decide_at_once(snapshot, &request, world),
        Some(object) => {
            let text = object.to_string();
            let raw: &RawValue = serde_json::from_str(&text).map_err(whole)?;
            let read = Object::read(raw, shape).map_err(|error| Undecided::Whole(error.to_string()))?;
            let stored = Request { object: Some(read), sent: Some(raw), ..request };
            decision::decide_at_once(snapshot, &stored, world)
        }
    };
    join(&mut decision.findings, &taken);
    Ok(decision)
}
