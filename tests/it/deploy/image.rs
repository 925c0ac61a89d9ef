//! The Dockerfile, read rather than built: building it takes a container runtime and a registry.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::golden::repository;

/// Bases, by digest.
const BASES: [&str; 2] = [
    "rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082",
    "gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f",
];
/// Who runs it: the user `nonroot` of the base.
const USER: u64 = 65_532;

/// Program and user of the final image.
pub(crate) struct Image {
    /// Path of the program, the whole entry point.
    pub(crate) program: String,
    pub(crate) user: u64,
}

/// One build stage: its base, and its instructions in order.
struct Stage {
    base: String,
    name: Option<String>,
    steps: Vec<(String, String)>,
}

impl Stage {
    fn values(&self, instruction: &str) -> Vec<&str> {
        let steps = self.steps.iter().filter(|(name, _)| name == instruction);
        steps.map(|(_, value)| value.as_str()).collect()
    }
}

fn stages() -> Vec<Stage> {
    let text = std::fs::read_to_string(repository("Dockerfile")).expect("a Dockerfile");
    let mut stages: Vec<Stage> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(!line.ends_with('\\'), "an instruction a line: {line}");
        let (instruction, value) = line.split_once(' ').expect("an instruction and its value");
        let words: Vec<&str> = value.split(' ').collect();
        if instruction == "FROM" {
            let name = (words.len() == 3).then(|| words[2].to_owned());
            stages.push(Stage { base: words[0].to_owned(), name, steps: Vec::new() });
        } else {
            let stage = stages.last_mut().expect("FROM comes first");
            stage.steps.push((instruction.to_owned(), value.to_owned()));
        }
    }
    stages
}

impl Image {
    pub(crate) fn parsed() -> Self {
        let stages = stages();
        let last = stages.last().expect("a stage");
        let [entry] = last.values("ENTRYPOINT")[..] else { panic!("one entry point") };
        let entry: Vec<String> = serde_json::from_str(entry).expect("the exec form, which needs no shell");
        let [program] = &entry[..] else { panic!("arguments are the Deployment's: {entry:?}") };
        let [user] = last.values("USER")[..] else { panic!("one user") };
        let (user, group) = user.split_once(':').expect("user and group");
        assert_eq!(user, group);
        Self { program: program.clone(), user: user.parse().expect("a number, which runAsNonRoot can check") }
    }
}

#[test]
fn every_base_is_pinned_by_its_digest() {
    let bases: Vec<String> = stages().into_iter().map(|stage| stage.base).collect();
    assert_eq!(bases, BASES);
}

#[test]
fn what_runs_is_the_program_alone_without_a_shell_and_without_root() {
    let stages = stages();
    let (build, last) = (&stages[0], stages.last().expect("a stage"));
    assert_eq!(Image::parsed().user, USER);
    // Nothing runs while it is made, so that nothing but what is copied is in it.
    let steps: Vec<&str> = last.steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(steps, ["COPY", "USER", "ENTRYPOINT"]);
    let from = format!("--from={} ", build.name.as_deref().expect("a name"));
    let copied = last.values("COPY")[0].strip_prefix(&from).expect("a copy out of the build");
    let (built, placed) = copied.split_once(' ').expect("from and to");
    assert_eq!(placed, Image::parsed().program);

    // The one that the build makes there.
    let [home] = build.values("WORKDIR")[..] else { panic!("one working folder") };
    let program = Path::new(env!("CARGO_BIN_EXE_portcullis")).file_name().and_then(|name| name.to_str());
    let program = program.expect("a name");
    assert_eq!(built, format!("{home}/target/release/{program}"));
    // Where it was built is nobody's business.
    let [flags] = build.values("ENV")[..] else { panic!("one variable") };
    for folder in [format!("{home}="), "/usr/local/cargo/registry/src=".to_owned()] {
        assert!(flags.starts_with("RUSTFLAGS=") && flags.contains(&format!("--remap-path-prefix={folder}")), "{flags}");
    }
    assert_eq!(build.values("RUN"), [format!("cargo build --locked --release --bin {program}")]);
}

#[test]
fn the_toolchain_is_new_enough() {
    let manifest = std::fs::read_to_string(repository("Cargo.toml")).expect("a manifest");
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(BASES[0].starts_with(&format!("rust:{}-", needed.trim_matches('"'))), "{needed}");
}

#[test]
fn all_that_the_build_reads_is_copied_and_not_ignored() {
    let build = &stages()[0];
    let copies = build.values("COPY").into_iter().flat_map(|value| {
        let (from, to) = value.rsplit_once(' ').expect("from and to");
        from.split(' ').map(|from| (from.to_owned(), to.to_owned())).collect::<Vec<_>>()
    });
    let copies: Vec<(String, String)> = copies.collect();
    for (from, to) in &copies {
        let kept = if to == "./" { from } else { to };
        assert_eq!(from, kept, "it keeps its place");
        assert!(repository(from).exists(), "{from}");
    }
    let ignored = std::fs::read_to_string(repository(".dockerignore")).expect("a list");
    for line in ignored.lines() {
        let hides = |(from, _): &(String, String)| Path::new(from).starts_with(line) || line.contains('*');
        assert!(!copies.iter().any(hides), ".dockerignore hides what is copied: {line}");
    }
    for large in ["target", ".git"] {
        assert!(ignored.lines().any(|line| line == large), ".dockerignore sends {large}");
    }

    let mut needed = BTreeSet::from(["Cargo.toml", "Cargo.lock", "src", "benches"].map(PathBuf::from));
    included(&repository("src"), &mut needed);
    assert!(needed.contains(Path::new("policies/profiles/hardened.yaml")), "the sources were searched: {needed:?}");
    for path in needed {
        let copied = copies.iter().any(|(from, _)| path.starts_with(from));
        assert!(copied, "the build reads {}, which is not copied", path.display());
    }
}

/// The files that sources read when they are compiled, from the repository's root.
fn included(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            included(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for call in text.split("include_").skip(1) {
            let Some(call) = ["str!(", "bytes!("].iter().find_map(|form| call.strip_prefix(form)) else { continue };
            // `concat!("../start/", id, …)`: what is known is where it starts.
            let literal = call.split('"').nth(1).expect("a path");
            let from = path.parent().expect("a folder").strip_prefix(repository("")).expect("in the repository");
            found.insert(resolved(&from.join(literal)));
        }
    }
}

/// Without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir { assert!(whole.pop(), "{}", path.display()) } else { whole.push(part) }
    }
    whole
}
