//! Policies that set safe defaults, and never refuse.
//!
//! Each asks for changes where nothing was written; what it sets, its sister among the validators accepts.

pub(super) mod drop_capabilities;
pub(super) mod no_privilege_escalation;
pub(super) mod no_token_automount;
pub(super) mod read_only_root;
pub(super) mod run_as_non_root;
pub(super) mod seccomp_profile;

use serde_json::Value;

use super::Meta;
use crate::object::{Container, Place, Pod};
use crate::patch::Edit;
use crate::request::Request;

/// The two halves of the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing that an ordinary image does.
    Safe,
    /// Some images do not survive it.
    Daring,
}

/// Workloads that a mutator breaks. There is no optional field: a mutator that does not say so does not compile.
#[derive(Debug)]
pub struct Breakage {
    /// What does not work any more, and how it shows.
    pub what: &'static str,
    /// How to exclude such a workload, in the imperative.
    pub exclude: &'static str,
}

/// A policy that sets what was not written.
pub trait Mutator: Send + Sync {
    /// Adds what it would set.
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits);
}

/// A mutator of the catalogue: a struct that *is* its settings, with its documentation.
pub(super) trait Defaulter: Mutator + serde::de::DeserializeOwned + schemars::JsonSchema + 'static {
    /// Documentation.
    const META: &'static Meta;
    /// Which half of the defaults it belongs to.
    const SAFETY: Safety;
    /// Workloads that do not survive it.
    const BREAKAGE: &'static Breakage;
}

/// A request, and what of its object may be patched.
pub struct Target<'r, 'a> {
    request: &'r Request<'a>,
    /// On `pods/ephemeralcontainers`, where nothing but new containers may change: the names of the old ones.
    known: Option<Vec<String>>,
}

impl<'r, 'a> Target<'r, 'a> {
    /// All of the object.
    pub fn whole(request: &'r Request<'a>) -> Self {
        Self { request, known: None }
    }

    /// Only the containers that are not among `known`.
    pub fn new_containers(request: &'r Request<'a>, known: Vec<String>) -> Self {
        Self { request, known: Some(known) }
    }

    /// The request.
    pub fn request(&self) -> &'r Request<'a> {
        self.request
    }

    /// The Pod or the pod templates, for mutators that set fields of Linux alone: pods for Windows are left out.
    pub fn linux_pods(&self) -> impl Iterator<Item = &'r Pod<'a>> {
        self.request.pods().iter().filter(|pod| !pod.is_for_windows())
    }

    /// Whether fields of the pod itself may be set.
    pub fn may_set_pod_fields(&self) -> bool {
        self.known.is_none()
    }

    /// The containers of a pod that may be patched.
    pub fn containers(&self, pod: &'r Pod<'a>) -> impl Iterator<Item = Container<'r, 'a>> {
        pod.containers().filter(|container| {
            self.known.as_ref().is_none_or(|known| known.iter().all(|name| name != container.name()))
        })
    }
}

/// What one mutator would set.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Place, Edit)>);

impl Edits {
    /// Sets a field where nothing is.
    pub fn set(&mut self, place: impl Into<Place>, value: impl Into<Value>) {
        let place = place.into();
        let edit = Edit::Set(place.path.clone(), value.into());
        self.0.push((place, edit));
    }

    /// Appends to a list.
    pub fn append(&mut self, place: impl Into<Place>, value: Value) {
        let place = place.into();
        let edit = Edit::Append(place.path.clone(), value);
        self.0.push((place, edit));
    }

    /// What was asked for.
    pub fn into_edits(self) -> Vec<(Place, Edit)> {
        self.0
    }
}
