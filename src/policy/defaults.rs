//! Policies that set safe defaults, and never refuse.
//!
//! Each asks for changes where nothing was written; what it sets, its sibling among the validators accepts. What it set
//! before and the write now contradicts, it asks to take back.

pub(super) mod drop_capabilities;
pub(super) mod namespace_labels;
pub(super) mod no_privilege_escalation;
pub(super) mod no_token_automount;
pub(super) mod read_only_root;
pub(super) mod run_as_non_root;
pub(super) mod seccomp_profile;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Meta;
use crate::object::{Container, ContainerList, Path, Place, Pod};
use crate::request::Request;

/// Why fields of Linux are taken back.
const WINDOWS: &str = "spec.os.name is now windows";

/// The two halves of the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing that an ordinary image does.
    Safe,
    /// Some images do not survive it.
    Extended,
}

/// Workloads that a mutator breaks. There is no optional field: a mutator that does not say so does not compile.
#[derive(Debug)]
pub struct Breakage {
    /// The programs that stop working, and their symptoms.
    pub what: &'static str,
    /// The way to exclude such a workload, in the imperative.
    pub exclude: &'static str,
}

/// A policy that sets what was not written.
pub trait Mutator: Send + Sync {
    /// Adds what it would set.
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits);

    /// Adds what it would take back of what it set before: what the new template contradicts and the old one did not,
    /// so that the API server would refuse it, or its Pods would not do what was asked. The caller knows whether
    /// somebody wrote the value since.
    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits);

    /// Adds what it may have set before and the new template lacks, needed or not. It is set only if that makes the new
    /// template the stored one: whoever wrote it wrote nothing new.
    fn keep(&self, update: Update<'_, '_>, edits: &mut Edits);
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
    /// On an update, the same request with the object that is stored, and the place of each of its templates.
    before: Option<(Request<'a>, HashMap<Path, usize>)>,
    /// On `pods/ephemeralcontainers`, where nothing but new containers may change: the names of the old ones.
    known: Option<HashSet<String>>,
}

impl<'r, 'a> Target<'r, 'a> {
    /// All of an object that is created.
    pub fn whole(request: &'r Request<'a>) -> Self {
        Self { request, before: None, known: None }
    }

    /// All of an object that is updated.
    pub fn update(request: &'r Request<'a>, before: Request<'a>) -> Self {
        let places = before.pods().iter().enumerate().map(|(place, pod)| (pod.base().clone(), place)).collect();
        Self { request, before: Some((before, places)), known: None }
    }

    /// Only the containers that are not among `known`.
    pub fn new_containers(request: &'r Request<'a>, known: HashSet<String>) -> Self {
        Self { request, before: None, known: Some(known) }
    }

    /// The request.
    pub fn request(&self) -> &'r Request<'a> {
        self.request
    }

    /// The Pod or the pod templates, for mutators that set fields of Linux alone: pods for Windows are left out.
    pub fn linux_pods(&self) -> impl Iterator<Item = &'r Pod<'a>> {
        self.request.pods().iter().filter(|pod| !pod.is_for_windows())
    }

    /// True if fields of the pod itself may be set.
    pub fn may_set_pod_fields(&self) -> bool {
        self.known.is_none()
    }

    /// The containers of a pod that may be patched.
    pub fn containers(&self, pod: &'r Pod<'a>) -> impl Iterator<Item = Container<'r, 'a>> {
        pod.containers().filter(|container| self.known.as_ref().is_none_or(|known| !known.contains(container.name())))
    }

    /// The stored template in the place of `pod`; none on a creation.
    pub fn before(&self, pod: &Pod<'_>) -> Option<&Pod<'a>> {
        let (before, places) = self.before.as_ref()?;
        before.pods().get(*places.get(pod.base())?)
    }

    /// On an update, the request with the object that is stored.
    pub fn stored(&self) -> Option<&Request<'a>> {
        self.before.as_ref().map(|(before, _)| before)
    }

    /// Every template that an update replaces.
    pub fn updates(&self) -> impl Iterator<Item = Update<'_, 'a>> {
        self.request.pods().iter().filter_map(|now| Some(Update { before: self.before(now)?, now }))
    }
}

/// A template before an update and after it.
#[derive(Clone, Copy)]
pub struct Update<'u, 'a> {
    /// As it is stored.
    pub before: &'u Pod<'a>,
    /// As it came.
    pub now: &'u Pod<'a>,
}

impl<'u, 'a> Update<'u, 'a> {
    /// Each container that was there before, by list and name: as it was, and as it came. Names that repeat say nothing.
    pub fn containers(self) -> impl Iterator<Item = (Container<'u, 'a>, Container<'u, 'a>)> {
        let (before, now) = (by_name(self.before), by_name(self.now));
        self.now.containers().filter_map(move |container| {
            let key = (container.list(), container.name());
            now.get(&key)?.as_ref()?;
            Some(((*before.get(&key)?)?, container))
        })
    }

    /// True if it becomes a template for Windows, where the API server refuses the fields of Linux
    /// (`validateWindows` in `K/pkg/apis/core/validation/validation.go`).
    pub fn turns_to_windows(self) -> bool {
        self.now.is_windows() && !self.before.is_windows()
    }
}

/// The containers by list and name; `None` for a name that repeats.
fn by_name<'u, 'a>(pod: &'u Pod<'a>) -> HashMap<(ContainerList, &'u str), Option<Container<'u, 'a>>> {
    let mut found = HashMap::new();
    for container in pod.containers() {
        let slot = found.entry((container.list(), container.name()));
        slot.and_modify(|slot| *slot = None).or_insert(Some(container));
    }
    found
}

/// The edits that one mutator asks for.
#[derive(Debug, Default)]
pub struct Edits(Vec<Edit>);

/// An edit that a mutator asks for.
#[derive(Debug)]
pub enum Edit {
    /// A change.
    Make(Change),
    /// A change, but only where it helps to make the object what is stored.
    Keep(Change),
    /// Removes fields and items with exactly these values, all of them or none, for the reason given.
    TakeBack(Vec<(Place, Value)>, &'static str),
}

/// A change that adds something.
#[derive(Debug)]
pub enum Change {
    /// Sets a field, where it is absent or `null`.
    Set(Place, Value),
    /// Adds an item to a list, which may be absent or `null`: where the stored list has it, or at the end.
    Append(Place, Value),
}

impl Edits {
    /// Sets a field where nothing is.
    pub fn set(&mut self, place: impl Into<Place>, value: impl Into<Value>) {
        self.0.push(Edit::Make(Change::Set(place.into(), value.into())));
    }

    /// Adds an item to a list.
    pub fn append(&mut self, list: impl Into<Place>, item: Value) {
        self.0.push(Edit::Make(Change::Append(list.into(), item)));
    }

    /// Sets a field where nothing is, if that helps to make the object what is stored.
    pub fn keep(&mut self, place: impl Into<Place>, value: impl Into<Value>) {
        self.0.push(Edit::Keep(Change::Set(place.into(), value.into())));
    }

    /// Adds an item to a list, if that helps to make the object what is stored.
    pub fn keep_item(&mut self, list: impl Into<Place>, item: Value) {
        self.0.push(Edit::Keep(Change::Append(list.into(), item)));
    }

    /// Takes a field back that has the value which this mutator sets.
    pub fn take_back(&mut self, place: impl Into<Place>, value: impl Into<Value>, because: &'static str) {
        self.0.push(Edit::TakeBack(vec![(place.into(), value.into())], because));
    }

    /// Takes fields and items back together, or none of them.
    pub fn take_all_back(&mut self, values: Vec<(Place, Value)>, because: &'static str) {
        self.0.push(Edit::TakeBack(values, because));
    }

    /// The edits, in the order in which they were added.
    pub fn into_edits(self) -> Vec<Edit> {
        self.0
    }
}
