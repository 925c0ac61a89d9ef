//! The `fix` of a policy works: applied at the place of each finding, it leaves none.

use std::collections::BTreeSet;

use jsonptr::{Assign as _, Delete as _, Pointer};
use portcullis::cluster::Manifests;
use portcullis::decision::ModedFinding;
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::fixtures::{self, Fixture, TEMPLATE_KINDS, wrapped};
use crate::judging::{configured, create, world};

/// Change to make at the place of a finding.
#[derive(Debug, Clone)]
enum Remedy {
    /// Write this there, and what is missing above it.
    Set(Value),
    /// Take away the field, the entry or the item that stands there.
    Drop,
    /// Take away the list's item that the field is in.
    DropItem,
    /// Take away the field, and give its object another one, empty.
    Instead(String),
    /// Give the volume that stands there a source, empty.
    Give(String),
    /// Create an object (YAML) in the namespace.
    Create(String),
}

/// A row of `tests/policies/<id>/remedies.yaml`.
struct Row {
    /// The end of the path of a finding, list positions left out.
    at: String,
    /// Words of `fix`.
    says: String,
    /// Change that these words ask for.
    remedy: Remedy,
}

/// The remedies of a policy.
fn remedies(policy: &str) -> Vec<Row> {
    let rows = fixtures::table(policy, "remedies.yaml");
    let read = |row: &Value| {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let remedy = match row["do"].as_str() {
            Some("drop") => Some(Remedy::Drop),
            Some("drop-item") => Some(Remedy::DropItem),
            Some(other) => panic!("{policy}: do: {other}"),
            None => None,
        };
        let remedy = remedy
            .or_else(|| row.get("set").cloned().map(Remedy::Set))
            .or_else(|| text("instead").map(Remedy::Instead))
            .or_else(|| text("give").map(Remedy::Give))
            .or_else(|| text("create").map(Remedy::Create));
        let remedy = remedy.unwrap_or_else(|| panic!("{policy}: {row}"));
        Row { at: text("at").expect("at"), says: text("says").expect("says"), remedy }
    };
    rows.as_array().expect("a list").iter().map(read).collect()
}

/// The versions at which everything is found that is found at any: seccomp annotations counted before 1.19.
const VERSIONS: [&str; 2] = ["v1.18", "latest"];

/// The row for a finding.
fn row(rows: &[Row], finding: &ModedFinding) -> usize {
    let (id, path) = (finding.meta.id, finding.place.path.without_positions());
    let of_annotation = path.contains(".metadata.annotations.").then_some(".annotations");
    let fits = |end: &str| of_annotation.map_or_else(|| path.ends_with(end), |annotation| end == annotation);
    rows.iter().position(|row| fits(&row.at)).unwrap_or_else(|| panic!("{id}: no remedy for {path}"))
}

/// Does at a place what the row says.
fn apply(remedy: &Remedy, place: &Pointer, object: &mut Value, created: &mut Option<String>) {
    match remedy {
        Remedy::Set(value) => {
            object.assign(place, value.clone()).expect("the place can be made");
        }
        Remedy::Drop => {
            object.delete(place).expect("what the finding names is there");
        }
        Remedy::DropItem => {
            object.delete(place.parent().expect("an item")).expect("the item is there");
        }
        Remedy::Instead(other) => {
            let field = place.parent().expect("an object").to_buf().with_trailing_token(other.as_str());
            object.delete(place).expect("what the finding names is there");
            object.assign(&field, json!({})).expect("the object is there");
        }
        Remedy::Give(source) => {
            object
                .assign(&place.to_buf().with_trailing_token(source.as_str()), json!({}))
                .expect("the volume is there");
        }
        Remedy::Create(manifest) => *created = Some(manifest.clone()),
    }
}

fn findings(snapshot: &Snapshot, object: &Value, manifests: &Manifests, source: Source) -> Vec<ModedFinding> {
    create(snapshot, object, manifests, source).expect("readable").findings
}

/// The pod, then the pod as each template.
pub(crate) fn forms(fixture: &Fixture) -> Vec<Value> {
    let pod = fixture.pod();
    let templates: Vec<Value> = TEMPLATE_KINDS.iter().map(|kind| wrapped(&pod, *kind)).collect();
    [vec![pod], templates].concat()
}

#[test]
fn what_fix_says_leaves_no_finding() {
    let mut used = BTreeSet::new();
    // No manifest is found fault with for this: the API server completes it.
    let sourceless = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {volumes: [{name: scratch}]}\n";
    let sourceless = Fixture { name: "deny-no-source.yaml".to_owned(), text: sourceless.to_owned() };
    for (id, fixture) in fixtures::all().chain([("volume-types", sourceless)]) {
        let mut remedied = false;
        let rows = remedies(id);
        let around = world(&fixture.text);
        for version in VERSIONS {
            let snapshot =
                configured(&format!("podSecurityVersion: {version}\npolicies: {{{id}: {}}}\n", fixtures::enforced(id)));
            for mut object in forms(&fixture) {
                for source in [Source::Manifest, Source::ApiServer] {
                    // There the mount is the API server's answer to the field, which it has not been asked again.
                    if id == "automounted-tokens" && source == Source::ApiServer && object["kind"] == "Pod" {
                        continue;
                    }
                    let found = findings(&snapshot, &object, &around, source);
                    let mut created = None;
                    // From the back, so that positions hold.
                    for finding in found.iter().rev() {
                        let row = row(&rows, finding);
                        used.insert((id, row));
                        remedied = true;
                        apply(&rows[row].remedy, &finding.place.path.pointer(), &mut object, &mut created);
                    }
                    let changed = created.map(|manifest| world(&format!("{}\n---\n{manifest}", fixture.text)));
                    let left = findings(&snapshot, &object, changed.as_ref().unwrap_or(&around), source);
                    let name = format!("{id}/{} as {} at {version}, {source:?}", fixture.name, object["kind"]);
                    assert!(left.is_empty(), "{name}: {left:?} in\n{object:#}");
                }
            }
        }
        assert!(remedied || !fixture.is_denied(), "{id}/{}", fixture.name);
    }
    for entry in fixtures::pod_validators() {
        let id = entry.meta.id;
        for (number, row) in remedies(id).iter().enumerate() {
            assert!(used.contains(&(id, number)), "{id}: no fixture needs the remedy at `{}`", row.at);
        }
    }
}

#[test]
fn every_validator_has_a_remedy_in_the_words_of_its_fix() {
    for entry in fixtures::pod_validators() {
        let (id, rows) = (entry.meta.id, remedies(entry.meta.id));
        assert!(!rows.is_empty(), "{id}");
        for Row { says, .. } in rows {
            assert!(entry.meta.fix.contains(&says), "{id}: `{says}` is not in `{}`", entry.meta.fix);
        }
    }
}
