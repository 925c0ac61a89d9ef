//! Manifests of other projects, as an API server stores them: `scan` finds in them what `check` finds in a dump of them and in
//! the manifests, and what it says of an object is what becomes of it.
//!
//! Each namespace of each file has one of its own, so that most of what the files hold can be there at once. What is applied are
//! the kinds that policies judge, and those that they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::Method;
use portcullis::document;
use serde_json::{Value, json};

use super::super::client::Answer;
use super::super::objects::TEMPLATES;
use super::super::plane::Plane;
use super::super::process::Portcullis;
use super::super::space::{Space, account};
use super::scanned;
use crate::golden::repository;
use crate::scan::{Scanned, check, without_owner};

const FOLDER: &str = "../shared/corpora/real";
/// Kinds that policies ask for, in the order in which they are applied, and where they are listed.
const FACTS: [(&str, &str); 4] = [
    ("Namespace", "/api/v1/namespaces"),
    ("ServiceAccount", "/api/v1/serviceaccounts"),
    ("LimitRange", "/api/v1/limitranges"),
    ("NetworkPolicy", NETWORK_POLICIES),
];
/// Kinds with Pods.
const JUDGED: [&str; 9] = [
    "/api/v1/pods",
    "/api/v1/podtemplates",
    "/api/v1/replicationcontrollers",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/cronjobs",
    "/apis/batch/v1/jobs",
];
/// They are judged too, beside the Pods that they are facts about.
const NETWORK_POLICIES: &str = "/apis/networking.k8s.io/v1/networkpolicies";
const CONFIGURATIONS: [&str; 2] =
    ["profile: hardened\n", "profile: hardened\ndefaults: all\npodSecurityLabels: tighten\nceiling: warn\n"];

type Key = (String, String, String);

/// What the API server holds.
struct Held {
    spaces: Vec<Space>,
    /// The manifests that it took, with the names that it gave them.
    manifests: Vec<Value>,
    not_taken: usize,
}

/// The objects of every file, with the file's number.
fn objects(folder: &Path) -> Vec<(usize, Value)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut found = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let (text, _) = document::decode(std::fs::read(file).expect("a file"));
        for node in document::read(&text).unwrap_or_default() {
            let value = serde_json::to_value(&node).expect("JSON");
            let items = value["items"].as_array().cloned().unwrap_or_else(|| vec![value]);
            found.extend(items.into_iter().map(|item| (number, item)));
        }
    }
    found
}

fn rank(kind: &str) -> Option<usize> {
    let fact = FACTS.iter().position(|(known, _)| *known == kind);
    let judged = kind == "Pod" || TEMPLATES.iter().any(|(known, ..)| *known == kind);
    fact.or_else(|| judged.then_some(FACTS.len()))
}

/// The pod spec of an object, and the metadata beside it.
fn template(object: &Value) -> Option<&Value> {
    let kind = object["kind"].as_str()?;
    if kind == "Pod" {
        return Some(object);
    }
    let (.., path) = TEMPLATES.iter().find(|(known, ..)| *known == kind)?;
    object.pointer(&format!("/{}", path.trim_end_matches('.').replace('.', "/")))
}

fn path(object: &Value, resource: &str, namespace: &str) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = if version.contains('/') { format!("apis/{version}") } else { format!("api/{version}") };
    format!("/{group}/namespaces/{namespace}/{resource}")
}

fn resource(kind: &str) -> &str {
    match kind {
        "Pod" => "pods",
        "ServiceAccount" => "serviceaccounts",
        "LimitRange" => "limitranges",
        "NetworkPolicy" => "networkpolicies",
        kind => TEMPLATES.iter().find(|(known, ..)| *known == kind).expect("a kind").1,
    }
}

/// Applies everything.
fn fill(plane: &Plane, folder: &Path) -> Held {
    let mut objects = objects(folder);
    objects.retain(|(_, object)| object["kind"].as_str().is_some_and(|kind| rank(kind).is_some()));
    objects.sort_by_key(|(_, object)| object["kind"].as_str().and_then(rank));
    let mut spaces: BTreeMap<(usize, String), Space> = BTreeMap::new();
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    let mut held = Held { spaces: vec![Space::new(plane, "corpus")], manifests: Vec::new(), not_taken: 0 };
    for (file, mut object) in objects {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let metadata = if kind == "Namespace" { "name" } else { "namespace" };
        let written = object["metadata"][metadata].as_str().unwrap_or("default").to_owned();
        let number = spaces.len();
        let labels = if kind == "Namespace" { object["metadata"]["labels"].clone() } else { json!(null) };
        let space = spaces.entry((file, written)).or_insert_with(|| {
            let space = Space::named(&plane.admin, &format!("corpus-{number}"));
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name, "labels": labels}});
            plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
            space.create("serviceaccounts", &account("default", None)).admitted();
            space
        });
        if kind == "Namespace" {
            continue;
        }
        // Nobody else makes the accounts that templates name, and no Pod is taken without its account.
        let spec = template(&object).map(|template| &template["spec"]);
        if let Some(name) = spec.and_then(|spec| spec["serviceAccountName"].as_str())
            && named.insert((space.name.clone(), name.to_owned()))
        {
            space.create("serviceaccounts", &account(name, None));
        }
        object["metadata"]["namespace"] = json!(space.name);
        let answer = plane.admin.call(Method::POST, &path(&object, resource(&kind), &space.name), Some(&object));
        if !answer.is_success() {
            held.not_taken += 1;
            continue;
        }
        object["metadata"]["name"] = answer.body["metadata"]["name"].clone();
        held.manifests.push(object);
    }
    held.spaces.extend(spaces.into_values());
    held
}

/// Decision and findings of each object of these namespaces: what does not depend on where the object was read.
fn told(rows: Vec<Value>) -> BTreeMap<Key, Value> {
    let text = |row: &Value, key: &str| row[key].as_str().expect(key).to_owned();
    let rows = rows.into_iter().map(without_owner).map(|mut row| {
        let key = (text(&row, "kind"), text(&row, "namespace"), text(&row, "name"));
        for finding in row["findings"].as_array_mut().expect("findings") {
            finding.as_object_mut().expect("a finding").retain(|key, _| key != "line" && key != "column");
        }
        (key, json!({"decision": row["decision"], "findings": row["findings"]}))
    });
    rows.filter(|((_, namespace, _), _)| namespace.starts_with("corpus-")).collect()
}

/// Writes lists as kubectl prints them.
fn dump(plane: &Plane, folder: &Path, paths: &[&str]) -> Vec<Value> {
    std::fs::create_dir(folder).expect("made");
    let mut items = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let list = plane.admin.call(Method::GET, path, None).admitted();
        std::fs::write(folder.join(format!("{number}.json")), list.to_string()).expect("written");
        let kind = list["kind"].as_str().expect("a kind").trim_end_matches("List").to_owned();
        for item in list["items"].as_array().expect("items") {
            let mut item = item.clone();
            (item["kind"], item["apiVersion"]) = (json!(kind), list["apiVersion"].clone());
            items.push(item);
        }
    }
    items
}

#[test]
fn a_scan_of_the_corpus_finds_what_check_finds_and_keeps_its_word() {
    let folder = repository(FOLDER);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{FOLDER} is not there");
        println!("skipped: {FOLDER} is not there");
        return;
    }
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let held = fill(&plane, &folder);
    let scratch = tempfile::tempdir().expect("a folder");
    let facts: Vec<&str> = FACTS.iter().map(|(_, path)| *path).collect();
    dump(&plane, &scratch.path().join("facts"), &facts);
    let mut stored = dump(&plane, &scratch.path().join("dump"), &[&JUDGED[..], &[NETWORK_POLICIES]].concat());
    stored.retain(|object| object["kind"] != "NetworkPolicy");
    let manifests = json!({"apiVersion": "v1", "kind": "List", "items": held.manifests});
    std::fs::write(scratch.path().join("manifests.json"), manifests.to_string()).expect("written");

    for configuration in CONFIGURATIONS {
        let text = format!("apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n{configuration}");
        std::fs::write(scratch.path().join("c.yaml"), text).expect("written");
        let checked = |input: &str| {
            let arguments = [input, "--config", "c.yaml", "--format", "json", "--cluster-from", "facts"];
            told(check(scratch.path(), &arguments))
        };
        let ran = scanned(&plane, configuration, &[]);
        let found = told(ran.rows());
        assert!(found.len() > 300, "{}", found.len());
        assert_eq!(ran.summary()["unreadable"], 0, "{}", ran.err);
        same(&found, &checked("dump"), |_, row| row.clone());
        // In pages of a few objects it is the same.
        same(&found, &told(scanned(&plane, configuration, &["--page-size", "7"]).rows()), |_, row| row.clone());
        // Manifests hold no Pod's token yet, and lack what the API server sets.
        let mut from_manifests = checked("manifests.json");
        from_manifests.retain(|key, _| found.contains_key(key));
        same(&found, &from_manifests, comparable);
        println!("{configuration:?}: {} objects; {}", found.len(), verdicts(&ran));
    }
    println!("{} objects were not taken", held.not_taken);
    keeps_its_word(&plane, &held, &stored);
    enforces_what_is_safe(&plane, &held, &stored);
}

fn verdicts(ran: &Scanned) -> String {
    let summary = ran.summary();
    format!("{} refused, {} warned", summary["refused"], summary["warned"])
}

/// Fails unless both hold the same objects with the same findings, as `part` shows them.
#[track_caller]
fn same(one: &BTreeMap<Key, Value>, other: &BTreeMap<Key, Value>, part: impl Fn(&Key, &Value) -> Value) {
    assert_eq!(one.len(), other.len(), "different numbers of objects");
    let differing = one.iter().filter(|(key, row)| other.get(*key).map(|row| part(key, row)) != Some(part(key, row)));
    let differing: Vec<_> = differing.map(|(key, row)| (key, row, other.get(key))).collect();
    assert!(
        differing.is_empty(),
        "{} differences, such as {:#?}",
        differing.len(),
        &differing[..differing.len().min(3)]
    );
}

/// What is the same before and after an API server has stored an object: the decision, and policies with paths and messages, but
/// for the token of a Pod, which is asked for before and mounted after.
fn comparable(key: &Key, row: &Value) -> Value {
    let findings = row["findings"].as_array().expect("findings").iter().map(|finding| {
        let is_token = key.0 == "Pod" && finding["policy"] == "automounted-tokens";
        let message = if is_token { json!(null) } else { finding["message"].clone() };
        json!([finding["policy"], finding["mode"], finding["path"], message])
    });
    json!({"decision": row["decision"], "findings": findings.collect::<Vec<_>>()})
}

/// What a scan calls safe is admitted when it is applied again, and everything else is refused.
fn keeps_its_word(plane: &Plane, held: &Held, stored: &[Value]) {
    for (configuration, least_safe) in [("profile: hardened\n", 0), ("profile: pss-baseline\n", 100)] {
        let mut found = told(scanned(plane, configuration, &[]).rows());
        found.retain(|(kind, ..), _| kind != "NetworkPolicy");
        let (mut safe, mut refused, mut by_pod) = (0, 0, 0);
        each_again(plane, held, stored, configuration, |key, again, answer| {
            let Some(row) = found.get(&key) else { return };
            if row["decision"] == "allow" {
                assert!(answer.is_success(), "{key:?} was safe: {answer:#?}");
                safe += 1;
            } else if answer.is_success() {
                // Another object may put it right before its Pods come.
                create(plane, &pod_of(again)).refused();
                by_pod += 1;
            } else {
                answer.refused();
                refused += 1;
            }
        });
        println!("{configuration:?}: {safe} safe, {refused} refused, {by_pod} refused as Pods");
        assert!(
            safe >= least_safe && refused > 10 && safe + refused + by_pod == found.len(),
            "{safe}, {refused}, {by_pod}"
        );
    }
}

/// Where exactly those policies are enforced that refuse nothing in a namespace by a scan, everything is admitted again.
fn enforces_what_is_safe(plane: &Plane, held: &Held, stored: &[Value]) {
    let mut unsafe_in: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut configuration = "profile: hardened\n".to_owned();
    // Of findings with one cause the strongest is told: without its policy the others are.
    let mut scans = 1;
    loop {
        let ran = scanned(plane, &configuration, &[]);
        // Kubernetes' own roles, which are in no namespace, are told of in every cluster.
        let told = told(ran.rows());
        if told.values().all(|row| row["decision"] == "allow") {
            break;
        }
        assert!(scans < 4, "{}", ran.summary());
        for ((_, namespace, _), row) in told {
            let findings = row["findings"].as_array().expect("findings").iter();
            let refusing = findings.filter(|finding| finding["mode"] == "enforce");
            let ids = refusing.map(|finding| finding["policy"].as_str().expect("an id").to_owned());
            unsafe_in.entry(namespace).or_default().extend(ids);
        }
        let entries = unsafe_in.iter().map(|(namespace, policies)| {
            let modes: Vec<String> = policies.iter().map(|policy| format!("{policy}: {{mode: audit}}")).collect();
            format!("- {{match: {{names: [{namespace}]}}, relax: true, policies: {{{}}}}}\n", modes.join(", "))
        });
        configuration = format!("profile: hardened\nnamespaces:\n{}", entries.collect::<String>());
        scans += 1;
    }
    let mut admitted = 0;
    each_again(plane, held, stored, &configuration, |key, again, answer| {
        assert!(answer.is_success(), "{key:?}: {answer:#?}");
        // Its Pods are what runs. The API server may have reasons of its own against them.
        if key.0 != "Pod" {
            let answer = create(plane, &pod_of(again));
            assert!(!answer.message().contains("portcullis"), "{key:?}: {answer:#?}");
        }
        admitted += 1;
    });
    println!("after {scans} scans {admitted} objects are admitted where what is safe is enforced");
    assert!(admitted > 300);
}

/// Applies every object again, with a Portcullis of this configuration in front.
fn each_again(
    plane: &Plane,
    held: &Held,
    stored: &[Value],
    configuration: &str,
    mut each: impl FnMut(Key, &Value, &Answer),
) {
    let spaces: Vec<&Space> = held.spaces.iter().collect();
    let _portcullis = Portcullis::guard(plane, &spaces, configuration, &[]);
    for (number, object) in stored.iter().enumerate() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let key = (text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]));
        let again = again(object, number);
        let answer = create(plane, &again);
        each(key, &again, &answer);
    }
}

fn create(plane: &Plane, object: &Value) -> Answer {
    let kind = object["kind"].as_str().expect("a kind");
    let namespace = object["metadata"]["namespace"].as_str().expect("a namespace");
    plane.admin.call(Method::POST, &(path(object, resource(kind), namespace) + "?dryRun=All"), Some(object))
}

/// The same object under another name, as it would be applied again.
fn again(object: &Value, number: usize) -> Value {
    let mut again = object.clone();
    let metadata = &object["metadata"];
    again["metadata"] = json!({
        "name": format!("again-{number}"), "namespace": metadata["namespace"],
        "labels": metadata["labels"], "annotations": metadata["annotations"], "ownerReferences": metadata["ownerReferences"],
    });
    again.as_object_mut().expect("an object").remove("status");
    if object["kind"] == "Job" {
        // The API server chose them.
        again["spec"].as_object_mut().expect("a spec").remove("selector");
        let labels = again["spec"]["template"]["metadata"]["labels"].as_object_mut().expect("labels");
        labels.retain(|key, _| !["controller-uid", "job-name"].iter().any(|chosen| key.ends_with(chosen)));
    }
    again
}

/// A Pod of a template.
fn pod_of(object: &Value) -> Value {
    let template = template(object).expect("a template");
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["name"] = object["metadata"]["name"].clone();
    pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
    for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volumes = &mut pod["spec"]["volumes"];
        if volumes.is_null() {
            *volumes = json!([]);
        }
        let volume = json!({"name": claim["metadata"]["name"], "emptyDir": {}});
        volumes.as_array_mut().expect("volumes").push(volume);
    }
    pod
}
