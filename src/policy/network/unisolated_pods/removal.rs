//! A NetworkPolicy that is changed or deleted leaves no running Pod without the isolation that it had.
//!
//! What other policies there are is asked of the API server itself: of two policies that are deleted one after the other, a store may
//! still hold the first. Pods are known by their labels, so that a policy of another kind that selects by ServiceAccount selects
//! none of them here.

use std::fmt::Display;
use std::sync::Arc;

use crate::facts::{
    Direction, Facts, Isolation, Lookup, NetworkPolicies, NetworkPolicy, Pending, PodGroup, PodLabels, Subject,
};
use crate::object::resource::{self, FromContent as _, NETWORK_POLICIES};
use crate::object::{Object, Path, Place, Shape};
use crate::policy::{Report, quoted};
use crate::request::{Operation, Request};
use crate::steps::counted;

use super::UnisolatedPods;

/// A NetworkPolicy before and after a write.
struct Written {
    name: String,
    before: NetworkPolicy,
    /// `None` if it is deleted.
    after: Option<NetworkPolicy>,
}

/// The Pods that lose their isolation in a direction.
struct Lost<'p> {
    direction: Direction,
    count: usize,
    example: &'p str,
}

/// Adds a finding for each direction in which running Pods lose their isolation.
pub(super) fn judge(
    settings: &UnisolatedPods,
    request: &Request<'_>,
    facts: &Facts<'_>,
    report: &mut Report,
) -> Result<(), Pending> {
    let written = match Written::of(request) {
        Some(Ok(written)) => written,
        Some(Err(())) => return add(request, facts, report, "must be readable as it was, so that its Pods are known"),
        None => return Ok(()),
    };
    let namespace: &str = &request.namespace;
    let unknown = |what: &str, why: &str| {
        format!(
            "must not leave running Pods unisolated: {what} of namespace {} could not be read ({why})",
            quoted(namespace)
        )
    };
    let pods = match facts.running_pods(namespace)? {
        Lookup::Found(pods) => pods,
        Lookup::Unavailable(why) => return add(request, facts, report, unknown("the Pods", &why)),
        Lookup::Absent | Lookup::LeftOut => return Ok(()),
    };
    let selected: Vec<&PodGroup> = counted(&pods.0).filter(|group| written.selects(&group.labels)).collect();
    if selected.is_empty() {
        return Ok(());
    }
    let others = match facts.network_policies(namespace, true)? {
        Lookup::Found(policies) => policies,
        Lookup::Unavailable(why) => return add(request, facts, report, unknown("the NetworkPolicies", &why)),
        Lookup::Absent => std::sync::Arc::default(),
        Lookup::LeftOut => return Ok(()),
    };
    let unread = others.unread.join("; ");
    let unread = if unread.is_empty() { unread } else { format!(" (not read: {unread})") };
    for Lost { direction, count, example } in lost(settings, &written, &others, &selected) {
        let (direction, namespace, example) = (direction.noun(), quoted(namespace), quoted(example));
        let message = format_args!(
            "must not leave running Pods unisolated for {direction}: {count} in namespace {namespace}, such as {example}{unread}"
        );
        add(request, facts, report, message)?;
    }
    Ok(())
}

/// Adds a finding, which is a warning at most where the Pods are about to end, or where a controller cleans up.
fn add(request: &Request<'_>, facts: &Facts<'_>, report: &mut Report, message: impl Display) -> Result<(), Pending> {
    let place = match request.operation {
        Operation::Delete => Place::object(),
        _ => Place::field(Path::root().fields("spec").fields("podSelector")),
    };
    let is_terminating = matches!(facts.namespace(&request.namespace, &Arc::default())?, Lookup::Found(namespace) if namespace.is_terminating);
    if is_terminating || request.is_by_cleaner() {
        report.add_warning(place, message);
    } else {
        report.add(place, message);
    }
    Ok(())
}

/// The directions in which some of these Pods are isolated before the write, and not after it.
fn lost<'p>(
    settings: &UnisolatedPods,
    written: &Written,
    others: &NetworkPolicies,
    pods: &[&'p PodGroup],
) -> Vec<Lost<'p>> {
    let with = |policy: Option<&NetworkPolicy>| {
        // One that is being deleted isolates until its finalizers are gone, and no longer.
        let others = others.policies.iter().filter(|other| !other.is_ending && !other.is_named(&written.name));
        NetworkPolicies::from(others.chain(policy).cloned().collect::<Vec<_>>())
    };
    let sets = [with(Some(&written.before)), with(written.after.as_ref())];
    let mut lost: Vec<Lost<'p>> = Vec::new();
    for group in counted(pods) {
        let selecting = sets.each_ref().map(|set| (set, selects(&group.labels, |subject| set.selecting(subject))));
        for direction in settings.directions.iter().copied() {
            let [before, after] = selecting.each_ref().map(|(set, selecting)| {
                set.isolation(selecting, direction, settings.counts_open, settings.widest) == Isolation::Isolated
            });
            if !before || after {
                continue;
            }
            match lost.iter_mut().find(|lost| lost.direction == direction) {
                Some(lost) => lost.count += group.count,
                None => lost.push(Lost { direction, count: group.count, example: &group.example }),
            }
        }
    }
    lost
}

/// Asks about a Pod with these labels, of which nothing else is known.
fn selects<T>(labels: &PodLabels, ask: impl FnOnce(&Subject<'_>) -> T) -> T {
    ask(&Subject { pod: &|key| labels.get(key), account: "", account_labels: None })
}

impl Written {
    /// The write that a request is about; `None` if it changes nothing, or nothing that is known, and an error if it is not known what
    /// it deletes or changes.
    fn of(request: &Request<'_>) -> Option<Result<Self, ()>> {
        let is_deletion = request.operation == Operation::Delete;
        let Some(old) = request.old else { return is_deletion.then_some(Err(())) };
        let after = match request.object_as::<resource::NetworkPolicy<'_>>() {
            _ if is_deletion => None,
            Some(written) => Some(NetworkPolicy::of(written, &request.namespace)),
            None => return None,
        };
        let Ok(old) = Object::read(old, Shape::Resource(NETWORK_POLICIES)) else { return Some(Err(())) };
        let before = NetworkPolicy::of(resource::NetworkPolicy::from_content(old.content())?, &request.namespace);
        let is_same = after.as_ref() == Some(&before);
        (!is_same).then(|| Ok(Self { name: old.metadata().name().to_owned(), before, after }))
    }

    /// True if it selects Pods with these labels, before the write or after it.
    fn selects(&self, labels: &PodLabels) -> bool {
        selects(labels, |subject| {
            self.before.selects(subject) || self.after.as_ref().is_some_and(|after| after.selects(subject))
        })
    }
}
