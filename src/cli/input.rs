//! Manifests from files and folders.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::unjudged::is_own;
use crate::cluster::Manifests;
use crate::document::{self, MERGE, Map, Node, Value};
use crate::redaction::redact;
use crate::scan::template::{QUESTION, is_template_at};

/// Extensions of the files that are read in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The objects of one file.
pub(super) struct File {
    /// Name as given on the command line.
    pub(super) name: String,
    /// The objects, with `List`s replaced by their items.
    pub(super) objects: Vec<Node>,
}

/// The files that were read, and the errors.
#[derive(Default)]
pub(super) struct Input {
    pub(super) files: Vec<File>,
    /// Errors with position and remedy, one line each.
    pub(super) errors: Vec<String>,
    /// Warnings about the input, such as repeated keys; one line each.
    pub(super) warnings: Vec<String>,
}

impl Input {
    /// Reads files, folders (recursively, `.yaml`, `.yml` and `.json` in them) and `-`.
    pub(super) fn read(paths: &[PathBuf]) -> Self {
        let mut input = Self::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let mut bytes = Vec::new();
                match std::io::stdin().read_to_end(&mut bytes) {
                    Ok(_) => input.take("-".to_owned(), bytes),
                    Err(error) => input.errors.push(format!("-: {error}")),
                }
                continue;
            }
            for file in files(path, &mut input.errors) {
                match std::fs::read(&file) {
                    Ok(bytes) => input.take(file.display().to_string(), bytes),
                    Err(error) => input.errors.push(format!("{}: {error}", file.display())),
                }
            }
        }
        input
    }

    /// Adds the objects to the world.
    pub(super) fn describe(&self, world: &mut Manifests, namespace: &str) {
        for object in self.files.iter().flat_map(|file| &file.objects) {
            world.add(object, namespace);
        }
    }

    fn take(&mut self, name: String, bytes: Vec<u8>) {
        let (text, lost) = document::decode(bytes);
        if let Some(line) = lost {
            let place = format!("{name}:{line}:1");
            self.warnings.push(format!("{place}: warning: not UTF-8; invalid bytes are read as U+FFFD"));
        }
        let nodes = match document::read(&text) {
            Ok(nodes) => nodes,
            Err(error) => {
                let is_template = is_template_at(&text, error.position.line);
                let question = if is_template { format!("; {QUESTION}") } else { String::new() };
                // The message may quote the input.
                let message = redact(&error.message);
                self.errors.push(format!("{name}:{}: {message}{question}", error.position));
                return;
            }
        };
        let mut objects = Vec::new();
        for node in nodes {
            for key in node.repeated_keys() {
                let place = format!("{name}:{}", key.position);
                let counts =
                    if key.name == MERGE { "each merge counts, the last one first" } else { "the last one counts" };
                self.warnings.push(format!("{place}: warning: key {:?} is repeated; {counts}", redact(&key.name)));
            }
            self.flatten(&name, node, &mut objects);
        }
        self.files.push(File { name, objects });
    }

    /// Replaces lists by their items as kubectl does: any kind with `items`, and typed lists whose items omit their kind.
    fn flatten(&mut self, name: &str, node: Node, objects: &mut Vec<Node>) {
        let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if kind.is_empty() || api_version.is_empty() {
            let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
            self.errors.push(format!("{name}:{}: not a Kubernetes object: it has no {missing}", node.position));
            return;
        }
        let item_kind = kind.strip_suffix("List").unwrap_or(&kind);
        let items = match node.get("items").map(|items| (&items.value, items.position)) {
            Some((Value::List(items), _)) => items,
            Some((Value::Null, _)) => return,
            Some((_, position)) => {
                self.errors.push(format!("{name}:{position}: items: must be a list"));
                return;
            }
            None if item_kind != kind && is_own(api_version.rsplit_once('/').map_or("", |(group, _)| group)) => {
                let place = format!("{name}:{}", node.position);
                self.warnings
                    .push(format!("{place}: warning: {} without items: nothing of it is judged", redact(&kind)));
                return;
            }
            None => {
                objects.push(node);
                return;
            }
        };
        for item in items {
            let mut item = item.clone();
            if let Value::Map(map) = &mut item.value
                && !item_kind.is_empty()
            {
                set_missing(map, item.position, "kind", item_kind);
                set_missing(map, item.position, "apiVersion", &api_version);
            }
            self.flatten(name, item, objects);
        }
    }
}

fn set_missing(map: &mut Map, position: document::Position, name: &str, value: &str) {
    if map.entries.iter().all(|(key, _)| key.name != name) {
        let key = document::Key { position, name: name.to_owned() };
        map.entries.push((key, Node { position, value: Value::Text(value.to_owned()) }));
    }
}

/// The files under a path, in order.
pub(super) fn files(path: &Path, errors: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Err(error) = list(path, true, &mut files) {
        errors.push(format!("{}: {error}", path.display()));
    }
    files
}

/// The files under a path, sorted by name. A file that is named itself is read whatever its extension.
fn list(path: &Path, is_named: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if is_named || ENDINGS.contains(&ending) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        // A dangling or circular link in a folder is not a manifest.
        let is_link = std::fs::symlink_metadata(&entry)?.is_symlink();
        if !(is_link && (entry.is_dir() || !entry.exists())) {
            list(&entry, false, files)?;
        }
    }
    Ok(())
}
