//! The objects of files, which are read twice: for what they say of each other, and to be judged. One file at a time is in
//! memory.

use std::path::PathBuf;

use super::{Args, Scan, Subject};
use crate::cli::input::{self, Input};
use crate::cli::row::Examined;
use crate::scan::{Bench, Identity, Origin, References, world};

/// A file, or standard input, which can be read only once.
enum Source {
    File(PathBuf),
    Read(Input),
}

pub(super) fn scan(scan: &mut Scan<'_>, args: &Args) {
    let mut world = world(scan.snapshot, scan.now, !args.cluster_from.is_empty());
    let mut owners = std::mem::take(&mut scan.owners);
    for source in sources(scan, &args.cluster_from) {
        with_input(&source, |input| {
            report(scan, input);
            input.describe(&mut world, &args.namespace);
        });
    }
    let sources = sources(scan, &args.paths);
    for source in &sources {
        with_input(source, |input| {
            report(scan, input);
            input.describe(&mut world, &args.namespace);
            for object in input.files.iter().flat_map(|file| &file.objects) {
                owners.learn(&Identity::of(object, "").kind, &References::of_node(object));
            }
        });
    }
    scan.owners = owners;
    scan.notes.extend(world.note());
    let bench = Bench { snapshot: scan.snapshot, world: &world, ranges: &world, now: scan.now };
    for (done, source) in sources.iter().enumerate() {
        scan.progress.show("files", done, Some((sources.len() - done) as u64));
        with_input(source, |input| judge(scan, &bench, input, &args.namespace));
    }
}

fn judge(scan: &mut Scan<'_>, bench: &Bench<'_>, input: &Input, namespace: &str) {
    for file in &input.files {
        for object in &file.objects {
            let identity = Identity::of(object, namespace);
            let references = References::of_node(object);
            let origin = if references.is_stored() { Origin::Stored } else { Origin::Manifest };
            let examined = Examined::of(bench, object, &identity, origin);
            let subject =
                Subject { file: Some(&file.name), identity: &identity, references: &references, examined: &examined };
            scan.take(&subject, || Some(object.clone()));
        }
    }
}

/// The files under paths, and standard input for `-`.
fn sources(scan: &mut Scan<'_>, paths: &[PathBuf]) -> Vec<Source> {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            sources.push(Source::Read(Input::read(std::slice::from_ref(path))));
        } else {
            sources.extend(input::files(path, &mut errors).into_iter().map(Source::File));
        }
    }
    for error in errors {
        scan.cannot(&error);
    }
    sources
}

fn with_input(source: &Source, run: impl FnOnce(&Input)) {
    match source {
        Source::File(path) => run(&Input::read(std::slice::from_ref(path))),
        Source::Read(input) => run(input),
    }
}

/// Says what is wrong with files; once, when they are read first.
fn report(scan: &mut Scan<'_>, input: &Input) {
    for warning in &input.warnings {
        scan.say(warning);
    }
    for error in &input.errors {
        scan.cannot(error);
    }
}
