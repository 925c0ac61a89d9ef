//! A guard against what Kubernetes will invent: every field of a pod template, every subresource of a Pod and every kind
//! that holds pods, as the real API server has them, is judged by a policy or listed as reviewed.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::object::Workloads;
use portcullis::object::resource::Resource;
use portcullis::policy::{Kinds, Meta};
use portcullis::request::{Operation, Source};
use portcullis::webhooks::{Target, validating};
use serde_json::{Value, json};

use super::custom_kinds;
use super::objects::{pod, spec};
use super::openapi::{Field, Holder, Schemas, page};
use super::plane::Plane;
use super::space::Space;
use crate::golden::{assert_holds, repository};
use crate::{fixtures, judging};

/// List of reviewed fields: schema, field, reason.
const REVIEWED: &str = "tests/kubernetes/reviewed-fields.yaml";
/// The schema that everything is read from.
const TEMPLATE: &str = "io.k8s.api.core.v1.PodTemplateSpec";
/// Subresources that are CONNECT, of which policies judge the options.
const CONNECT: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// The fields of pods that policies say they read. A mutator's are its sibling's.
fn judged() -> BTreeSet<String> {
    fixtures::pod_validators().flat_map(|entry| entry.meta.paths()).collect()
}

/// True if a policy reads the field at that path or a field below it. A pattern that ends in `[*]` is of a policy that
/// looks at which fields each item has.
fn is_judged(path: &str, judged: &BTreeSet<String>) -> bool {
    judged.iter().any(|pattern| {
        let below = pattern.strip_prefix(path);
        let item = pattern.strip_suffix("[*]").and_then(|_| path.strip_prefix(pattern)?.strip_prefix('.'));
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            || item.is_some_and(|field| !field.contains('.'))
    })
}

/// The list of what was reviewed; fields that share a reason share a line.
fn reviewed() -> BTreeMap<Field, String> {
    let text = std::fs::read_to_string(repository(REVIEWED)).expect(REVIEWED);
    let list = judging::documents(&text).remove(0);
    let mut reviewed = BTreeMap::new();
    for (schema, fields) in list.as_object().expect("schemas") {
        for (names, reason) in fields.as_object().expect("fields") {
            for name in names.split(", ") {
                let reason = reason.as_str().expect("a reason");
                assert!(reason.ends_with('.') && reason.len() > 5, "{schema}.{name}: {reason:?} is no sentence");
                let before = reviewed.insert((schema.clone(), name.to_owned()), reason.to_owned());
                assert_eq!(before, None, "{schema}.{name} is listed twice");
            }
        }
    }
    reviewed
}

/// Discrepancies between the API, the policies and the list.
fn complaints(
    fields: &BTreeMap<Field, Vec<String>>,
    judged: &BTreeSet<String>,
    reviewed: &BTreeMap<Field, String>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for ((schema, field), paths) in fields {
        let unjudged: Vec<&String> = paths.iter().filter(|path| !is_judged(path, judged)).collect();
        let is_reviewed = reviewed.contains_key(&(schema.clone(), field.clone()));
        match unjudged.first() {
            Some(path) if !is_reviewed => {
                complaints
                    .push(format!("{schema}.{field}, such as {path}: no policy judges it and {REVIEWED} has no word"));
            }
            _ => {}
        }
    }
    for (schema, field) in reviewed.keys().filter(|field| !fields.contains_key(*field)) {
        complaints.push(format!("{schema}.{field}: is in {REVIEWED}, and no longer in the API"));
    }
    complaints
}

/// The list without the fields that policies judge everywhere: the fields of a new policy need no edit by hand.
fn without_judged(text: &str, fields: &BTreeMap<Field, Vec<String>>, judged: &BTreeSet<String>) -> String {
    let is_kept = |schema: &str, field: &str| {
        let paths = fields.get(&(schema.to_owned(), field.to_owned()));
        paths.is_none_or(|paths| !paths.iter().all(|path| is_judged(path, judged)))
    };
    let (mut kept, mut schema, mut rows) = (String::new(), "", String::new());
    for line in text.lines().chain([""]) {
        let row = line.strip_prefix("  ").and_then(|row| row.split_once(": "));
        if let Some((names, reason)) = row {
            let names: Vec<&str> = names.split(", ").filter(|name| is_kept(schema, name)).collect();
            if !names.is_empty() {
                rows += &format!("  {}: {reason}\n", names.join(", "));
            }
            continue;
        }
        if !rows.is_empty() {
            kept += &format!("{schema}:\n{}", std::mem::take(&mut rows));
        }
        match line.strip_suffix(':').filter(|name| !name.starts_with('#')) {
            Some(name) => schema = name,
            None => kept += &format!("{line}\n"),
        }
    }
    kept.trim_end().to_owned() + "\n"
}

fn core() -> Schemas {
    Schemas::at(&Plane::shared().admin, "/openapi/v3/api/v1")
}

#[test]
fn every_field_of_a_pod_template_is_judged_or_reviewed() {
    let fields = core().fields_below(TEMPLATE);
    assert!(fields.len() > 500, "the walk ended early: {}", fields.len());
    let text = std::fs::read_to_string(repository(REVIEWED)).expect(REVIEWED);
    assert_holds(REVIEWED, &without_judged(&text, &fields, &judged()));
    let complaints = complaints(&fields, &judged(), &reviewed());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The paths of the fields of some objects that a policy judges.
fn paths_of(kinds: Kinds<'_>) -> BTreeSet<String> {
    let fields = match kinds {
        Kinds::Pods => core().fields_below(TEMPLATE),
        // The API's schemas have no options of a CONNECT: they are parameters of a path.
        // Settings name kinds and paths.
        Kinds::Settings | Kinds::Named(_) => BTreeMap::new(),
        Kinds::Resource(row) if row.operations == [Operation::Connect] => BTreeMap::new(),
        Kinds::Resource(row) if row.is_added() => return custom_kinds::paths(row.kind),
        Kinds::Resource(row) => {
            let group = row.path_group();
            let group = if group.is_empty() { "api".to_owned() } else { format!("apis/{group}") };
            let schemas = Schemas::at(&Plane::shared().admin, &format!("/openapi/v3/{group}/v1"));
            let root = schemas.of_kind(row.group, row.kind).unwrap_or_else(|| panic!("no schema of {row:?}"));
            schemas.fields_below(&root)
        }
    };
    fields.into_values().flatten().collect()
}

#[test]
fn every_path_that_a_policy_reads_is_one_of_the_api() {
    let mut known: Vec<(Kinds<'_>, BTreeSet<String>)> = Vec::new();
    let of_settings = |meta: &&Meta| meta.kinds.contains(&Kinds::Settings);
    for meta in fixtures::validators().map(|entry| entry.meta).filter(|meta| !of_settings(meta)) {
        for kinds in meta.kinds {
            if known.iter().all(|(other, _)| other != kinds) {
                known.push((*kinds, paths_of(*kinds)));
            }
        }
        let is_there =
            |path: &str| known.iter().any(|(kinds, paths)| meta.kinds.contains(kinds) && paths.contains(path));
        for pattern in meta.paths() {
            // Into a map by key, or into each item of a list.
            let list = pattern.strip_suffix(']').and_then(|pattern| pattern.rsplit_once('['));
            assert!(is_there(list.map_or(&pattern, |(path, _)| path)), "{}: {pattern}", meta.id);
        }
    }
}

#[test]
fn the_guard_sees_what_is_new_and_what_is_gone() {
    let mut core = core();
    let reviewed = reviewed();
    let property = |core: &mut Schemas, schema: &str, field: &str, value: Value| {
        let schema = core.0.get_mut(&format!("io.k8s.api.core.v1.{schema}")).expect("the schema");
        schema["properties"][field] = value;
    };
    let seen = |core: &Schemas| complaints(&core.fields_below(TEMPLATE), &judged(), &reviewed);

    property(&mut core, "SecurityContext", "ringZero", json!({"type": "boolean"}));
    property(&mut core, "Affinity", "ringZeroAffinity", json!({"type": "string"}));
    let container = json!({"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"});
    property(&mut core, "PodSpec", "lateContainers", json!({"type": "array", "items": {"allOf": [container]}}));
    let found = seen(&core);
    let has = |found: &[String], start: &str| found.iter().any(|complaint| complaint.starts_with(start));
    assert!(
        has(&found, "SecurityContext.ringZero, such as spec.containers[*].securityContext.ringZero:"),
        "{found:#?}"
    );
    assert!(has(&found, "Affinity.ringZeroAffinity, such as spec.affinity.ringZeroAffinity:"), "{found:#?}");
    assert!(has(&found, "PodSpec.lateContainers, such as spec.lateContainers:"), "{found:#?}");
    let there = "SecurityContext.privileged, such as spec.lateContainers[*].securityContext.privileged:";
    assert!(has(&found, there), "a field that is judged in the known lists alone: {found:#?}");

    let spec = core.0.get_mut("io.k8s.api.core.v1.PodSpec").expect("the schema");
    spec["properties"].as_object_mut().expect("fields").remove("hostAliases");
    assert!(has(&seen(&core), "PodSpec.hostAliases: is in"), "one that is gone");
}

#[test]
fn a_field_that_a_policy_judges_leaves_the_list() {
    let fields = core().fields_below(TEMPLATE);
    let text = "# A: note\n\nSecurityContext:\n  privileged: Is judged.\n\n# --- pods ---\n\nPodSpec:\n  hostPID, overhead: Is \
                judged by half.\n  hostIPC: Is judged.\nProbe:\n  grpc: Is not judged.\n";
    let left =
        "# A: note\n\n\n# --- pods ---\n\nPodSpec:\n  overhead: Is judged by half.\nProbe:\n  grpc: Is not judged.\n";
    assert_eq!(without_judged(text, &fields, &judged()), left);
    let text = std::fs::read_to_string(repository(REVIEWED)).expect(REVIEWED);
    assert_eq!(without_judged(&text, &fields, &BTreeSet::new()), text, "what nobody judges stays as it is");
}

/// The resources and subresources of the kinds that are judged: group, resource, subresource, and the kind that is sent.
fn subresources() -> Vec<(String, String, String, String)> {
    let mut found = Vec::new();
    let groups: BTreeSet<String> = Workloads::built_in().iter().map(|row| row.group.to_string()).collect();
    for group in groups {
        let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        for resource in page(&Plane::shared().admin, &path)["resources"].as_array().expect("resources") {
            let name = resource["name"].as_str().expect("a name");
            let Some((resource_name, subresource)) = name.split_once('/') else { continue };
            if Workloads::built_in().iter().any(|row| row.group == group && row.resource == resource_name) {
                let kind = resource["kind"].as_str().unwrap_or_default().to_owned();
                found.push((group.clone(), resource_name.to_owned(), subresource.to_owned(), kind));
            }
        }
    }
    found
}

/// True if a request to the subresource is admitted without being judged.
fn is_skipped(subresource: &str) -> bool {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
    let snapshot = judging::configured("profile: hardened\n");
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "UPDATE", "subResource": subresource, "object": pod, "namespace": "default",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
    }});
    judging::with_review(&snapshot, &review, |request| {
        assert_eq!((request.operation, request.source), (Operation::Update, Source::ApiServer));
        request.is_out_of_scope()
    })
}

#[test]
fn every_subresource_of_a_pod_or_workload_is_judged_or_known_to_be_harmless() {
    let subresources = subresources();
    let names = |wanted: &str| -> BTreeSet<&str> {
        let of = subresources.iter().filter(|(_, resource, ..)| resource == wanted);
        of.map(|(_, _, subresource, _)| subresource.as_str()).collect()
    };
    assert!(names("pods").is_superset(&CONNECT.into()), "{subresources:?}");
    assert_eq!(names("jobs"), BTreeSet::from(["status"]));

    let rules = validating(&judging::configured("profile: hardened\n"), &Target::service());
    let rules = rules.webhooks.into_iter().flatten().flat_map(|webhook| webhook.rules.unwrap_or_default());
    let sent: BTreeSet<String> = rules.flat_map(|rule| rule.resources.unwrap_or_default()).collect();
    for (group, resource, subresource, kind) in &subresources {
        let name = format!("{resource}/{subresource}");
        let is_connect = resource == "pods" && CONNECT.contains(&subresource.as_str());
        assert_eq!(is_connect, kind.starts_with("Pod") && kind.ends_with("Options"), "{name} takes a {kind}");
        let known = [sent.contains(&name), is_skipped(subresource)];
        let times = known.iter().filter(|is_so| **is_so).count();
        assert_eq!(times, 1, "{group}/{name}: sent to us, skipped by name: {known:?}");
    }
}

#[test]
fn what_was_never_heard_of_is_not_skipped() {
    for subresource in ["", "ephemeralcontainers", "resize", "restart"] {
        assert!(!is_skipped(subresource), "{subresource}");
    }
}

#[test]
fn every_kind_that_holds_pods_is_in_the_table() {
    let all = Schemas::all(&Plane::shared().admin);
    assert!(all.len() > 20, "the index ended early: {}", all.len());
    // What a pod consists of is in nothing but pods.
    let parts =
        ["PodTemplateSpec", "PodSpec", "Container", "EphemeralContainer", "PodSecurityContext", "SecurityContext"];
    let found: BTreeSet<Holder> = all.iter().flat_map(|schemas| schemas.holders_of(&parts)).collect();
    let table = Workloads::built_in();
    let known = table.iter().map(|row| {
        let (path, schema) = match row.templates.as_slice() {
            [] => ("spec".to_owned(), "PodSpec"),
            [path] => (path.join("."), "PodTemplateSpec"),
            more => panic!("{}: {more:?}", row.kind),
        };
        Holder { group: row.group.to_string(), kind: row.kind.to_string(), path, schema: schema.to_owned() }
    });
    assert_eq!(found, known.collect());
}

#[test]
fn every_row_of_the_tables_names_its_resource() {
    custom_kinds::serve(Plane::shared());
    let workloads = Workloads::built_in();
    let workloads = workloads.iter().map(|row| (&*row.group, &*row.kind, &*row.resource, true));
    let resources = Resource::all().map(|row| (row.path_group(), row.kind, row.resource, row.is_namespaced));
    for (group, kind, resource, is_namespaced) in workloads.chain(resources) {
        let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let answer = page(&Plane::shared().admin, &path);
        let resources = answer["resources"].as_array().expect("resources").iter();
        let named: Vec<&Value> = resources.filter(|known| known["name"] == resource).collect();
        assert_eq!(named.len(), 1, "{resource}");
        assert_eq!((&named[0]["kind"], &named[0]["namespaced"]), (&kind.into(), &is_namespaced.into()), "{resource}");
    }
}

/// A subresource that is skipped by name cannot change a spec (but for the node's name). It can change labels, by which
/// NetworkPolicies select, and annotations: only nodes and schedulers may do so unless somebody grants the right.
#[test]
fn through_status_and_binding_no_spec_changes_but_labels_do() {
    let space = Space::new(Plane::shared(), "it-harmless");
    let before = space.create("pods", &pod("web", spec())).admitted();

    let mut changed =
        json!({"containers": [{"name": "web", "image": "other", "securityContext": {"privileged": true}}]});
    changed["hostNetwork"] = true.into();
    let status = json!({"metadata": {"labels": {"by": "status"}}, "spec": changed});
    let after = space.patch("pods", "web/status", &status).admitted();
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["labels"]["by"], "status");

    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "labels": {"by": "binding"}},
        "target": {"kind": "Node", "name": "nowhere"},
    });
    space.create("pods/web/binding", &binding).admitted();
    let mut after = space.get("pods", "web").admitted();
    assert_eq!(after["metadata"]["labels"]["by"], "binding");
    let node = after["spec"].as_object_mut().and_then(|spec| spec.remove("nodeName"));
    assert_eq!(node, Some("nowhere".into()));
    assert_eq!(after["spec"], before["spec"]);
}
