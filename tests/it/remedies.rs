//! What `fix` says is the way out: done at the place of each finding, it leaves none.

use std::collections::BTreeSet;

use jsonptr::{Assign as _, Delete as _, Pointer};
use portcullis::cluster::Manifests;
use portcullis::config::Snapshot;
use portcullis::decision::Judged;
use portcullis::policy::catalogue;
use portcullis::request::Source;
use serde_json::{Value, json};

use crate::fixtures::{self, Fixture, TEMPLATE_KINDS, wrapped};
use crate::judging::{configured, create, world};

/// What to do at the place of a finding.
#[derive(Clone, Copy)]
enum Remedy {
    /// Write this (JSON) there, and what is missing above it.
    Set(&'static str),
    /// Take away the field, the entry or the item that stands there.
    Drop,
    /// Take away the list's item that the field is in.
    DropItem,
    /// Take away the field, and give its object another one, empty.
    Instead(&'static str),
    /// Give the volume that stands there a source, empty.
    Give(&'static str),
    /// Create an object (YAML) in the namespace.
    Create(&'static str),
}

use Remedy::{Create, Drop, DropItem, Give, Instead, Set};

const PINNED: &str =
    "\"registry.example.com/web:1.4.2@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc\"";
const ISOLATION: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: remedy}\n\
                         spec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n";

/// For each policy, and each place that it finds fault with (the end of the path, list positions left out): the words of
/// its `fix`, and what they come to.
const REMEDIES: &[(&str, &str, &str, Remedy)] = &[
    ("unpinned-images", ".image", "name the image by its digest: NAME:TAG@sha256:DIGEST", Set(PINNED)),
    ("unpinned-images", ".image.reference", "name the image by its digest: NAME:TAG@sha256:DIGEST", Set(PINNED)),
    ("privileged-containers", ".privileged", "drop securityContext.privileged", Drop),
    ("host-namespaces", ".hostNetwork", "drop hostNetwork", Drop),
    ("host-namespaces", ".hostPID", "hostPID", Drop),
    ("host-namespaces", ".hostIPC", "hostIPC", Drop),
    ("host-paths", ".hostPath", "set an emptyDir, a ", Instead("emptyDir")),
    ("host-ports", ".hostPort", "drop hostPort", Drop),
    ("host-probes", ".host", "drop the host of the probe or lifecycle handler", Drop),
    ("added-capabilities", ".add[]", "drop the entries of securityContext.capabilities.add", Drop),
    (
        "app-armor-overrides",
        ".appArmorProfile.type",
        "set appArmorProfile.type: RuntimeDefault",
        Set("\"RuntimeDefault\""),
    ),
    ("app-armor-overrides", ".annotations", "drop annotations that say anything else", Drop),
    ("se-linux-options", ".type", "set the type to container_t", Set("\"container_t\"")),
    ("se-linux-options", ".user", "drop seLinuxOptions.user and role", Drop),
    ("se-linux-options", ".role", "drop seLinuxOptions.user and role", Drop),
    ("proc-mounts", ".procMount", "drop securityContext.procMount", Drop),
    (
        "seccomp-unconfined",
        ".seccompProfile.type",
        "set seccompProfile.type: RuntimeDefault",
        Set("\"RuntimeDefault\""),
    ),
    ("seccomp-unconfined", ".annotations", "the annotation runtime/default", Set("\"runtime/default\"")),
    ("unsafe-sysctls", ".sysctls[].name", "drop the sysctl", DropItem),
    ("windows-host-process", ".hostProcess", "drop securityContext.windowsOptions.hostProcess", Drop),
    ("volume-types", ".volumes[]", "set it to an emptyDir", Give("emptyDir")),
    ("volume-types", "", "set it to an emptyDir", Instead("emptyDir")),
    ("root-users", ".runAsNonRoot", "set securityContext.runAsNonRoot: true", Set("true")),
    ("root-users", ".runAsUser", "runAsUser name a user other than 0", Set("1000")),
    ("privilege-escalation", "", "set securityContext.allowPrivilegeEscalation: false on each container", Set("false")),
    ("undropped-capabilities", ".drop", "set securityContext.capabilities.drop: [\"ALL\"]", Set("[\"ALL\"]")),
    ("undropped-capabilities", ".add[]", "add nothing but NET_BIND_SERVICE", Drop),
    (
        "missing-seccomp-profiles",
        "",
        "set securityContext.seccompProfile.type: RuntimeDefault",
        Set("\"RuntimeDefault\""),
    ),
    ("writable-root-filesystems", "", "set securityContext.readOnlyRootFilesystem: true", Set("true")),
    ("automounted-tokens", "", "set automountServiceAccountToken: false in the pod spec", Set("false")),
    ("default-service-accounts", "", "create a ServiceAccount for the workload and name it", Set("\"web\"")),
    ("unisolated-pods", ".labels", "create a NetworkPolicy in the namespace", Create(ISOLATION)),
    ("unisolated-pods", ".hostNetwork", "leave hostNetwork off", Drop),
    ("unbounded-containers", ".limits.memory", "set resources.limits.memory", Set("\"64Mi\"")),
    ("unbounded-containers", ".requests.cpu", "resources.requests.cpu", Set("\"10m\"")),
    ("unbounded-containers", ".requests.memory", "resources.requests.memory", Set("\"64Mi\"")),
    ("missing-user-namespaces", "", "set hostUsers: false on the pod", Set("false")),
];

/// The versions at which everything is found that is found at any: seccomp annotations counted before 1.19.
const VERSIONS: [&str; 2] = ["v1.18", "latest"];

/// The row for a finding.
fn row(finding: &Judged) -> usize {
    let (id, path) = (finding.meta.id, finding.place.path.without_positions());
    let of_annotation = path.contains(".metadata.annotations.").then_some(".annotations");
    let fits = |end: &str| of_annotation.map_or_else(|| path.ends_with(end), |annotation| end == annotation);
    let found = REMEDIES.iter().position(|(policy, end, ..)| *policy == id && fits(end));
    found.unwrap_or_else(|| panic!("{id}: no remedy for {path}"))
}

/// Does at a place what the row says.
fn apply(remedy: Remedy, place: &Pointer, object: &mut Value, created: &mut Option<&str>) {
    match remedy {
        Set(value) => {
            object.assign(place, serde_json::from_str::<Value>(value).expect(value)).expect("the place can be made");
        }
        Drop => {
            object.delete(place).expect("what the finding names is there");
        }
        DropItem => {
            object.delete(place.parent().expect("an item")).expect("the item is there");
        }
        Instead(other) => {
            let field = place.parent().expect("an object").to_buf().with_trailing_token(other);
            object.delete(place).expect("what the finding names is there");
            object.assign(&field, json!({})).expect("the object is there");
        }
        Give(source) => {
            object.assign(&place.to_buf().with_trailing_token(source), json!({})).expect("the volume is there");
        }
        Create(manifest) => *created = Some(manifest),
    }
}

fn findings(snapshot: &Snapshot, object: &Value, manifests: &Manifests, source: Source) -> Vec<Judged> {
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
        let around = world(&fixture.text);
        for version in VERSIONS {
            let snapshot =
                configured(&format!("podSecurityVersion: {version}\npolicies: {{{id}: {{mode: enforce}}}}\n"));
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
                        let row = row(finding);
                        used.insert(row);
                        remedied = true;
                        apply(REMEDIES[row].3, &finding.place.path.pointer(), &mut object, &mut created);
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
    let unused: Vec<_> = (0..REMEDIES.len()).filter(|row| !used.contains(row)).map(|row| REMEDIES[row].0).collect();
    assert!(unused.is_empty(), "no fixture needs a remedy of {unused:?}");
}

#[test]
fn every_validator_has_a_remedy_in_the_words_of_its_fix() {
    for entry in fixtures::validators() {
        assert!(REMEDIES.iter().any(|(id, ..)| *id == entry.meta.id), "{}", entry.meta.id);
    }
    for (id, _, words, _) in REMEDIES {
        let meta = catalogue::find(id).expect("a policy").meta;
        assert!(meta.fix.contains(words), "{id}: `{words}` is not in `{}`", meta.fix);
    }
}
