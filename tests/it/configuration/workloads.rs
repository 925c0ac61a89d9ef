//! Kinds that a configuration adds: they are read like the nine that are built in.

use portcullis::cluster::Manifests;
use portcullis::config::{Configuration, compile};
use portcullis::request::Source;
use serde_json::{Value, json};

use crate::judging::{configured, create, set_in_review};
use crate::serve::DIGEST;

const ADDED: &str = "policies: {unpinned-images: {mode: enforce}}
workloads:
- {group: argoproj.io, kind: Rollout, path: /spec/template}
- {group: jobset.x-k8s.io, kind: JobSet, path: /spec/replicatedJobs/*/template/spec/template}
- {group: example.com, kind: Policy, resource: policies, path: /a~1b/pods/*/*}
";

fn template(image: &str) -> Value {
    json!({"spec": {"containers": [{"name": "a", "image": image}]}})
}

/// Paths of the findings in an object.
fn paths(object: &Value) -> Vec<String> {
    let decision = create(&configured(ADDED), object, &Manifests::default(), Source::Manifest).expect("readable");
    decision.findings.iter().map(|finding| finding.place.shown()).collect()
}

#[test]
fn a_kind_with_one_template_is_judged_whatever_its_version() {
    for version in ["v1alpha1", "v9"] {
        let rollout = json!({"apiVersion": format!("argoproj.io/{version}"), "kind": "Rollout",
            "spec": {"template": template("web:1")}});
        assert_eq!(paths(&rollout), ["spec.template.spec.containers[0].image"]);
    }
    let stranger = json!({"apiVersion": "example.com/v1", "kind": "Rollout", "spec": {"template": template("web:1")}});
    assert_eq!(paths(&stranger), Vec::<String>::new(), "group and kind match, not kind alone");
}

#[test]
fn a_star_stands_for_every_item() {
    let job = |image: &str| json!({"name": "j", "template": {"spec": {"template": template(image)}}});
    let pinned = format!("web@{DIGEST}");
    let set = json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
        "spec": {"replicatedJobs": [job("web:1"), job(&pinned), job("web:2"), null]}});
    assert_eq!(
        paths(&set),
        [
            "spec.replicatedJobs[0].template.spec.template.spec.containers[0].image",
            "spec.replicatedJobs[2].template.spec.template.spec.containers[0].image"
        ]
    );
}

#[test]
fn stars_may_follow_each_other_and_fields_may_hold_slashes() {
    let odd = json!({"apiVersion": "example.com/v1", "kind": "Policy",
        "a/b": {"pods": [[template("web:1")], [template("web:2"), template("web:3")]]}});
    let below = |pods: &str| format!("a/b.pods{pods}.spec.containers[0].image");
    assert_eq!(paths(&odd), [below("[0][0]"), below("[1][0]"), below("[1][1]")]);
}

#[test]
fn what_is_not_there_holds_no_pods_and_what_is_something_else_is_unreadable() {
    let set =
        |jobs: Value| json!({"apiVersion": "jobset.x-k8s.io/v1", "kind": "JobSet", "spec": {"replicatedJobs": jobs}});
    for nothing in [json!(null), json!([])] {
        assert_eq!(paths(&set(nothing)), Vec::<String>::new());
    }
    let error = create(&configured(ADDED), &set(json!("x")), &Manifests::default(), Source::Manifest).err();
    assert_eq!(error.expect("unreadable").path.to_string(), "spec.replicatedJobs");
}

#[test]
fn a_kind_with_templates_in_several_places_has_all_of_them_judged() {
    let places = "policies: {unpinned-images: {mode: enforce}}
workloads:
- {group: ray.io, kind: RayCluster, path: /spec/headGroupSpec/template}
- {group: ray.io, kind: RayCluster, path: /spec/workerGroupSpecs/*/template}
";
    let cluster = json!({"apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": {
        "headGroupSpec": {"template": template(&format!("web@{DIGEST}"))},
        "workerGroupSpecs": [{"template": template("web:1")}]}});
    let decision = create(&configured(places), &cluster, &Manifests::default(), Source::Manifest).expect("readable");
    let found: Vec<String> = decision.findings.iter().map(|finding| finding.place.shown()).collect();
    assert_eq!(found, ["spec.workerGroupSpecs[0].template.spec.containers[0].image"]);
}

#[test]
fn a_kind_of_kubernetes_itself_cannot_be_added_nor_a_kind_under_two_resources() {
    let errors = |rows: &str| {
        let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
        let error = compile("c.yaml", &format!("{head}workloads:\n{rows}"), None).err().expect("refused");
        error.to_string()
    };
    assert_eq!(
        errors("- {group: apps, kind: Deployment, path: /spec/other}\n"),
        "c.yaml:4:3: workloads[0]: is one of Kubernetes' own kinds, which are known"
    );
    let rollout = "- {group: argoproj.io, kind: Rollout, path: /spec/template}\n";
    assert_eq!(errors(&format!("{rollout}{rollout}")), "c.yaml:5:3: workloads[1]: is here twice; keep one");
    assert_eq!(
        errors(&format!("{rollout}- {{group: argoproj.io, kind: Rollout, resource: rolls, path: /spec/more}}\n")),
        "c.yaml:5:3: workloads[1]: has another resource above"
    );
}

#[test]
fn templates_that_never_change_are_patched_when_they_are_new_alone() {
    let patched = |immutable: &str, operation: &str| {
        let snapshot = configured(&format!(
            "defaults: safe\nworkloads: [{{group: a.b, kind: Job, path: /spec/template, immutable: {immutable}}}]\n"
        ));
        let job = |image: &str| json!({"apiVersion": "a.b/v1", "kind": "Job", "spec": {"template": template(image)}});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": operation, "namespace": "default", "name": "web",
            "kind": {"group": "a.b", "version": "v1", "kind": "Job"},
            "resource": {"group": "a.b", "version": "v1", "resource": "jobs"},
            "object": job("web:2"), "oldObject": if operation == "UPDATE" { job("web:1") } else { Value::Null }}});
        !set_in_review(&snapshot, &review).decision.patch.is_empty()
    };
    assert!(patched("false", "CREATE") && patched("false", "UPDATE"), "a Job of another group is no Job of Kubernetes");
    assert!(patched("true", "CREATE") && !patched("true", "UPDATE"));
}

/// The row that a line of `workloads` makes.
fn row(fields: &str) -> Result<(String, bool), String> {
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
    match compile("c.yaml", &format!("{head}workloads: [{{{fields}}}]\n"), None) {
        Ok(Configuration { snapshot, .. }) => {
            let row = snapshot.workloads().added().next().expect("a row");
            Ok((row.resource.to_string(), row.is_guessed))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_resource_that_nobody_gives_is_the_plural_that_kubebuilder_would_make() {
    for (kind, resource) in [
        ("Sandbox", "sandboxes"),
        ("Elasticsearch", "elasticsearches"),
        ("Proxy", "proxies"),
        ("Jenkins", "jenkins"),
        ("Policy", "policies"),
        ("Rollout", "rollouts"),
    ] {
        let guessed = row(&format!("group: a.b, kind: {kind}, path: /spec/template"));
        assert_eq!(guessed, Ok((resource.to_owned(), true)), "{kind}");
        let given = row(&format!("group: a.b, kind: {kind}, resource: own, path: /spec/template"));
        assert_eq!(given, Ok(("own".to_owned(), false)), "{kind}");
    }
}

#[test]
fn a_row_that_could_match_nothing_is_refused_with_what_to_write() {
    for (fields, field, words) in [
        (
            "group: argoproj.io/v1alpha1, kind: Rollout, path: /spec/template",
            "group",
            "without its version: argoproj.io;",
        ),
        ("group: /argoproj.io, kind: Rollout, path: /spec/template", "group", "such as argoproj.io"),
        ("group: Argoproj.io, kind: Rollout, path: /spec/template", "group", "such as argoproj.io"),
        ("group: \"argoproj.io \", kind: Rollout, path: /spec/template", "group", "such as argoproj.io"),
        ("group: \"*\", kind: Rollout, path: /spec/template", "group", "such as argoproj.io"),
        ("group: a.b, kind: rollouts, path: /spec/template", "kind", "not the resource's name"),
        ("group: a.b, kind: rollout, path: /spec/template", "kind", "not the resource's name"),
        ("group: a.b, kind: rollouts.argoproj.io, path: /spec/template", "kind", "must be the kind alone"),
        ("group: a.b, kind: a.b/v1/Rollout, path: /spec/template", "kind", "must be the kind alone"),
        ("group: a.b, kind: \"*\", path: /spec/template", "kind", "must be the kind alone"),
        ("group: a.b, kind: Rollout, resource: rollouts.a.b, path: /spec/template", "resource", "without its group"),
        ("group: a.b, kind: Rollout, resource: rollouts/status, path: /spec/template", "resource", "without its group"),
        ("group: a.b, kind: Rollout, resource: Rollouts, path: /spec/template", "resource", "without its group"),
        ("group: a.b, kind: Rollout, path: /spec/template.spec", "path", "with slashes between the fields"),
        ("group: a.b, kind: Rollout, path: /spec.template", "path", "with slashes between the fields"),
        ("group: a.b, kind: Rollout, path: .spec.template.spec", "path", "must be a JSON pointer"),
        ("group: a.b, kind: Rollout, path: spec/template", "path", "must be a JSON pointer"),
        ("group: a.b, kind: Rollout, path: /spec/template/spec", "path", "without /spec"),
        ("group: a.b, kind: Rollout, path: /spec/template/spec/containers", "path", "without /containers"),
        ("group: a.b, kind: Rollout, path: /spec/template/", "path", "must be a JSON pointer"),
        ("group: a.b, kind: Rollout, path: /spec/jobs/0/template", "path", "* stands for every item"),
        ("group: a.b, kind: Rollout, path: \"/spec/jobs[*]/template\"", "path", "with slashes between the fields"),
    ] {
        let error = row(fields).expect_err(fields);
        assert!(error.contains(&format!(": workloads[0].{field}: ")) && error.contains(words), "{fields}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // A kind may be written small, if that is said.
    assert!(row("group: a.b, kind: rollout, resource: rollouts, path: /spec/template").is_ok());
}
