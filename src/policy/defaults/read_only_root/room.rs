//! Volumes of our own in a pod: which one a container gets at a path, so that a template which is written again gets the
//! names that are stored.

use std::collections::{HashMap, HashSet};

use super::steps;
use crate::object::{Container, ContainerList, Pod, VolumeUse};

/// Beginning of the name of each volume of ours; a number follows.
const PREFIX: &str = "portcullis-writable-";

/// The number of a volume of ours, by its name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    if is_plain { digits.parse().ok() } else { None }
}

/// A path of a container: its list, its name and the steps of the path.
type Spot<'p> = (ContainerList, &'p str, Vec<&'p str>);

/// The volumes of a pod while mounts are planned.
pub(super) struct Room<'p> {
    /// The volumes of the pod, and whether each is an `emptyDir`.
    volumes: HashMap<&'p str, bool>,
    /// Those that some container mounts, as it came.
    mounted: HashSet<&'p str>,
    /// Names that are given away, or kept for the container that had them.
    taken: HashSet<u64>,
    /// Volumes of ours that no container mounts, from the highest number to the lowest.
    free: Vec<u64>,
    /// The lowest number that was never given away.
    next: u64,
    /// The volume of ours that is stored at a spot.
    stored: HashMap<Spot<'p>, u64>,
    /// Volumes of ours that are stored, in order.
    stored_volumes: Vec<u64>,
}

impl<'p> Room<'p> {
    /// The room that is taken in `pod`, and in the stored template before it.
    pub(super) fn of(pod: &'p Pod<'_>, before: Option<&'p Pod<'_>>) -> Self {
        let mounted = mounted(pod);
        let free = pod.volumes().filter(|volume| volume.is_plain_empty_dir() && !mounted.contains(volume.name()));
        let mut free: Vec<u64> = free.filter_map(|volume| number(volume.name())).collect();
        free.sort_unstable_by(|one, other| other.cmp(one));
        let volumes = pod.volumes().map(|volume| (volume.name(), volume.is_empty_dir())).collect();
        let (mut stored, mut stored_volumes) = (HashMap::new(), Vec::new());
        if let Some(before) = before {
            for container in before.containers() {
                for (_, name, path) in container.mounts() {
                    let spot = (container.list(), container.name(), steps(path));
                    number(name).map(|number| stored.entry(spot).or_insert(number));
                }
            }
            let ours = before.volumes().filter(VolumeUse::is_plain_empty_dir);
            stored_volumes.extend(ours.filter_map(|volume| number(volume.name())));
        }
        Self { volumes, mounted, taken: HashSet::new(), free, next: 1, stored, stored_volumes }
    }

    /// Keeps for each container and path the volume that is stored there, where nobody else has it.
    pub(super) fn reserve<'c: 'p>(&mut self, wanted: impl Iterator<Item = (Container<'p, 'c>, &'p str)>) {
        // Each spot's name stays in `stored` only if it is free, so that `take` finds it there.
        let mut kept = HashMap::new();
        for (container, path) in wanted {
            let spot = (container.list(), container.name(), steps(path));
            let Some(number) = self.stored.get(&spot).copied() else { continue };
            let name = name(number);
            let is_usable =
                !self.mounted.contains(name.as_str()) && self.volumes.get(name.as_str()).is_none_or(|is_dir| *is_dir);
            if is_usable && self.taken.insert(number) {
                kept.insert(spot, number);
            }
        }
        self.stored = kept;
    }

    /// The volume for a container and path, and whether the pod has it already: the one that is stored there, or one of
    /// ours that nobody mounts, or a new one.
    pub(super) fn take(&mut self, container: Container<'p, '_>, path: &'p str) -> (String, bool) {
        let stored = self.stored.remove(&(container.list(), container.name(), steps(path)));
        let number = stored.or_else(|| self.idle_here()).unwrap_or_else(|| self.unused());
        self.taken.insert(number);
        let name = name(number);
        let is_there = self.volumes.contains_key(name.as_str());
        (name, is_there)
    }

    /// Stored volumes that the pod lacks and that a container of it mounts all the same: somebody replaced the list of
    /// volumes alone.
    pub(super) fn lost(&self) -> impl Iterator<Item = String> {
        let missing =
            self.stored_volumes.iter().filter(|number| !self.taken.contains(number)).map(|number| name(*number));
        missing.filter(|name| self.mounted.contains(name.as_str()) && !self.volumes.contains_key(name.as_str()))
    }

    fn idle_here(&mut self) -> Option<u64> {
        while let Some(number) = self.free.pop() {
            if !self.taken.contains(&number) {
                return Some(number);
            }
        }
        None
    }

    fn unused(&mut self) -> u64 {
        while self.taken.contains(&self.next) || self.volumes.contains_key(name(self.next).as_str()) {
            self.next += 1;
        }
        self.next
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The volumes that some container mounts.
fn mounted<'p>(pod: &'p Pod<'_>) -> HashSet<&'p str> {
    pod.containers().flat_map(|container| container.mounts().map(|(_, name, _)| name)).collect()
}
