//! `default-read-only-root`: a root filesystem that nobody writes to, and room where programs do write.

mod paths;
mod room;
mod tmp;

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::paths::{MountPaths, steps};
use self::room::Room;
use self::tmp::{Shape, Tmp};
use super::{Breakage, Defaulter, Edits, Mutator, Safety, Target, Update, WINDOWS};
use crate::object::{BindOptions, Container, ContainerList, EmptyDir, Place, Pod};
use crate::policy::{Fields, Kinds, Meta, Severity};

/// The field, in a container.
const FIELD: &str = "securityContext.readOnlyRootFilesystem";

/// Settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DefaultReadOnlyRoot {
    /// Paths at which each container gets an emptyDir of its own.
    paths: MountPaths,
    /// Hardening of the emptyDir on /tmp, where it is new.
    tmp: Tmp,
}

impl Default for DefaultReadOnlyRoot {
    fn default() -> Self {
        Self { paths: MountPaths::of("/tmp"), tmp: Tmp::default() }
    }
}

impl Defaulter for DefaultReadOnlyRoot {
    const META: &'static Meta = &Meta {
        id: "default-read-only-root",
        title: "readOnlyRootFilesystem: true on containers that say nothing, with an emptyDir on /tmp",
        severity: Severity::Medium,
        since: "0.1.0",
        why: "A program that cannot be changed where it lies is harder to turn against its owner. Images that write \
              outside the listed paths do not survive it: run in mode audit first and read would-patch in the trail.",
        fix: "write securityContext.readOnlyRootFilesystem in the container, and nothing is set",
        kinds: &[Kinds::Pods],
        fields: &[
            Fields::of_containers(&["securityContext.readOnlyRootFilesystem"]),
            Fields::of_lasting_containers(&["volumeMounts"]),
            Fields::of(&["spec.volumes"]),
        ],
        changes: &[],
        controls: &[],
    };
    const SAFETY: Safety = Safety::Extended;
    const BREAKAGE: &'static Breakage = &Breakage {
        what: "Images that write outside the listed paths: caches, pid files, /run, /var. Programs that use /tmp only if \
           it has the sticky bit break too: the emptyDir on /tmp is writable by every user and has no sticky bit, so \
           Ruby finds no temporary directory (Dir.tmpdir raises ArgumentError). The setting tmp: {mode: 01777, options: \
           [nodev, nosuid]} gives each new emptyDir on /tmp that bit, and its mount these options, where the API server has \
           the feature gates EmptyDirVolumeMode and VolumeBindMountOptions on. In Kubernetes 1.37 they are alpha and off, and \
           older versions have none: the API server then stores the volume without them, as it does without the setting. \
           Volumes that are stored keep what they have. noexec is set only where it is listed: it breaks programs that \
           run what they write there.",
        exclude: "write securityContext.readOnlyRootFilesystem: false in the container",
    };
}

impl Mutator for DefaultReadOnlyRoot {
    fn set(&self, target: &Target<'_, '_>, edits: &mut Edits) {
        for pod in target.linux_pods() {
            let silent = target.containers(pod).filter(|one| one.read_only_root_filesystem().is_none());
            let silent: Vec<_> = silent.map(|container| (container, self.missing_in(container))).collect();
            let mut room = Room::of(pod, target.before(pod));
            room.reserve(silent.iter().flat_map(|(container, paths)| paths.iter().map(|path| (*container, *path))));
            for (container, paths) in silent {
                edits.set(container.at(FIELD), true);
                for path in paths {
                    let place = room.take(container, path, self.tmp.shape(path));
                    if !place.is_there {
                        edits.append(pod.at("spec.volumes"), volume(&place.name, place.shape.mode));
                    }
                    edits.append(container.at("volumeMounts"), mount(&place.name, path, place.shape.options));
                }
            }
            room.lost().for_each(|(name, mode)| edits.append(pod.at("spec.volumes"), volume(&name, mode)));
        }
    }

    fn keep(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers() {
            if before.read_only_root_filesystem() == Some(true) && now.read_only_root_filesystem().is_none() {
                edits.keep(now.at(FIELD), true);
            }
            let mounted: HashSet<&str> = now.mounted_paths().collect();
            for (_, name, path, options) in self.ours(before) {
                if !mounted.contains(path) {
                    edits.keep_item(now.at("volumeMounts"), mount(name, path, options));
                }
            }
        }
        let here: HashSet<&str> = update.now.volumes().map(|volume| volume.name()).collect();
        for stored in update.before.volumes() {
            let Some(EmptyDir { mode }) = stored.bare_empty_dir() else { continue };
            if room::number(stored.name()).is_some() && !here.contains(stored.name()) {
                edits.keep_item(update.now.at("spec.volumes"), volume(stored.name(), mode));
            }
        }
    }

    fn take_back(&self, update: Update<'_, '_>, edits: &mut Edits) {
        for (before, now) in update.containers() {
            if update.turns_to_windows() && now.read_only_root_filesystem().is_some() {
                edits.take_back(now.at(FIELD), true, WINDOWS);
            }
            self.take_mounts_back(before, now, edits);
        }
        if update.turns_to_windows() {
            self.take_volumes_back(update.now, edits);
        }
    }
}

impl DefaultReadOnlyRoot {
    /// The paths at which a container has nothing mounted. A running pod gets no new volumes.
    fn missing_in(&self, container: Container<'_, '_>) -> Vec<&str> {
        if container.list() == ContainerList::Ephemeral {
            return Vec::new();
        }
        let mounted: HashSet<_> = container.mounted_paths().map(steps).collect();
        self.paths.iter().filter(|path| !mounted.contains(&steps(path))).collect()
    }

    /// Our mounts in whose place something else is mounted now: the API server refuses a device there, and of two mounts
    /// of one path either may hide the other.
    fn take_mounts_back(&self, before: Container<'_, '_>, now: Container<'_, '_>, edits: &mut Edits) {
        let ours: Vec<_> = self.ours(now).collect();
        if ours.is_empty() {
            return;
        }
        let (had, has) = (times_mounted(before), times_mounted(now));
        let is_mounted_twice =
            |times: &HashMap<_, usize>, path| times.get(&steps(path)).is_some_and(|times| *times > 1);
        for (position, name, path, options) in ours {
            if is_mounted_twice(&has, path) && !is_mounted_twice(&had, path) {
                let place = now.at_item("volumeMounts", position, "");
                edits.take_back(place, mount(name, path, options), "something else is now mounted there");
            }
        }
    }

    /// The volumes of ours, with their mounts: no container of Windows needs them.
    fn take_volumes_back(&self, pod: &Pod<'_>, edits: &mut Edits) {
        // `None` for a volume that is mounted in a way that is not ours.
        let mut mounts: HashMap<&str, Option<Vec<(Place, Value)>>> = HashMap::new();
        for container in pod.containers() {
            for (position, name, path, options) in container.mounts_with_options() {
                let together = mounts.entry(name).or_insert_with(|| Some(Vec::new()));
                if self.is_ours(name, path, options) {
                    let place = container.at_item("volumeMounts", position, "").into();
                    if let Some(together) = together {
                        together.push((place, mount(name, path, options)));
                    }
                } else {
                    *together = None;
                }
            }
        }
        for of_ours in pod.volumes() {
            let Some(EmptyDir { mode }) = of_ours.bare_empty_dir() else { continue };
            if let Some(mut together) = mounts.remove(of_ours.name()).flatten() {
                together.push((of_ours.at("").into(), volume(of_ours.name(), mode)));
                edits.take_all_back(together, WINDOWS);
            }
        }
    }

    /// The mounts of a container that look like ours: position, volume, path and options.
    fn ours<'r>(&self, container: Container<'r, '_>) -> impl Iterator<Item = (usize, &'r str, &'r str, BindOptions)> {
        container.mounts_with_options().filter(|(_, name, path, options)| self.is_ours(name, path, *options))
    }

    /// True if a mount looks like one of ours, under these settings or others.
    fn is_ours(&self, name: &str, path: &str, options: BindOptions) -> bool {
        room::number(name).is_some() && options.is_known() && self.paths.iter().any(|known| known == path)
    }
}

/// Number of mounts at each path.
fn times_mounted<'r>(container: Container<'r, '_>) -> HashMap<Vec<&'r str>, usize> {
    let mut times = HashMap::new();
    container.mounted_paths().for_each(|path| *times.entry(steps(path)).or_insert(0) += 1);
    times
}

fn volume(name: &str, mode: Option<u16>) -> Value {
    let settings = mode.map_or_else(|| json!({}), |mode| json!({"mode": mode}));
    json!({"name": name, "emptyDir": settings})
}

fn mount(name: &str, path: &str, options: BindOptions) -> Value {
    let mut mount = json!({"name": name, "mountPath": path});
    let names: Vec<&str> = options.names().collect();
    if !names.is_empty() {
        mount["bindMountOptions"] = names.into();
    }
    mount
}
