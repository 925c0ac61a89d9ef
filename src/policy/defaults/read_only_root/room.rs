//! Volumes of our own in a pod: which one a container gets at a path, so that a template which is written again gets the
//! names that are stored.

use std::collections::{HashMap, HashSet};

use super::{Shape, steps};
use crate::object::{BindOptions, Container, ContainerList, Pod};

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
    /// Volumes of ours that no container mounts, by their mode, from the highest number to the lowest.
    free: HashMap<Option<u16>, Vec<u64>>,
    /// The lowest number that was never given away.
    next: u64,
    /// The volume of ours that is stored at a spot, and the options of its mount.
    stored: HashMap<Spot<'p>, (u64, BindOptions)>,
    /// Volumes of ours that are stored, in order, and their modes.
    stored_volumes: Vec<(u64, Option<u16>)>,
    stored_modes: HashMap<u64, Option<u16>>,
}

/// The volume for one mount.
pub(super) struct Taken {
    /// The name of the volume.
    pub(super) name: String,
    /// True if the pod has it already.
    pub(super) is_there: bool,
    /// What volume and mount say beside it.
    pub(super) shape: Shape,
}

impl<'p> Room<'p> {
    /// The room that is taken in `pod`, and in the stored template before it.
    pub(super) fn of(pod: &'p Pod<'_>, before: Option<&'p Pod<'_>>) -> Self {
        let mounted = mounted(pod);
        let mut free: HashMap<Option<u16>, Vec<u64>> = HashMap::new();
        for volume in pod.volumes().filter(|volume| !mounted.contains(volume.name())) {
            if let (Some(settings), Some(number)) = (volume.bare_empty_dir(), number(volume.name())) {
                free.entry(settings.mode).or_default().push(number);
            }
        }
        for numbers in free.values_mut() {
            numbers.sort_unstable_by(|one, other| other.cmp(one));
        }
        let volumes = pod.volumes().map(|volume| (volume.name(), volume.is_empty_dir())).collect();
        let (mut stored, mut stored_volumes) = (HashMap::new(), Vec::new());
        if let Some(before) = before {
            for container in before.containers() {
                for (_, name, path, options) in container.mounts_with_options() {
                    let spot = (container.list(), container.name(), steps(path));
                    number(name).map(|number| stored.entry(spot).or_insert((number, options)));
                }
            }
            let ours =
                before.volumes().filter_map(|volume| Some((number(volume.name())?, volume.bare_empty_dir()?.mode)));
            stored_volumes.extend(ours);
        }
        let stored_modes = stored_volumes.iter().copied().collect();
        Self { volumes, mounted, taken: HashSet::new(), free, next: 1, stored, stored_volumes, stored_modes }
    }

    /// Keeps for each container and path the volume that is stored there, where nobody else has it.
    pub(super) fn reserve<'c: 'p>(&mut self, wanted: impl Iterator<Item = (Container<'p, 'c>, &'p str)>) {
        // Each spot's name stays in `stored` only if it is free, so that `take` finds it there.
        let mut kept = HashMap::new();
        for (container, path) in wanted {
            let spot = (container.list(), container.name(), steps(path));
            let Some((number, options)) = self.stored.get(&spot).copied() else { continue };
            let name = name(number);
            let is_usable =
                !self.mounted.contains(name.as_str()) && self.volumes.get(name.as_str()).is_none_or(|is_dir| *is_dir);
            if is_usable && self.taken.insert(number) {
                kept.insert(spot, (number, options));
            }
        }
        self.stored = kept;
    }

    /// The volume for a container and path: the one that is stored there, as it is stored; or one of ours that nobody
    /// mounts; or a new one, in the shape that is wanted.
    pub(super) fn take(&mut self, container: Container<'p, '_>, path: &'p str, wanted: Shape) -> Taken {
        let stored = self.stored.remove(&(container.list(), container.name(), steps(path)));
        let (number, shape) = match stored {
            Some((number, options)) => {
                (number, Shape { mode: self.stored_modes.get(&number).copied().flatten(), options })
            }
            None => self.idle_here(wanted).unwrap_or_else(|| (self.unused(), wanted)),
        };
        self.taken.insert(number);
        let name = name(number);
        let is_there = self.volumes.contains_key(name.as_str());
        Taken { name, is_there, shape }
    }

    /// Stored volumes that the pod lacks and that a container of it mounts all the same: somebody replaced the list of
    /// volumes alone.
    pub(super) fn lost(&self) -> impl Iterator<Item = (String, Option<u16>)> {
        let missing = self.stored_volumes.iter().filter(|(number, _)| !self.taken.contains(number));
        let missing = missing.map(|(number, mode)| (name(*number), *mode));
        missing.filter(|(name, _)| self.mounted.contains(name.as_str()) && !self.volumes.contains_key(name.as_str()))
    }

    /// A volume of ours that nobody mounts, of the wanted mode or of none. One of another mode than is wanted was not made for
    /// such a mount, so neither are the options.
    fn idle_here(&mut self, wanted: Shape) -> Option<(u64, Shape)> {
        let plain = Shape::default();
        for shape in [wanted, plain] {
            let free = self.free.get_mut(&shape.mode);
            let number =
                free.and_then(|free| std::iter::from_fn(|| free.pop()).find(|number| !self.taken.contains(number)));
            if let Some(number) = number {
                return Some((number, if shape.mode.is_some() { shape } else { plain }));
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
