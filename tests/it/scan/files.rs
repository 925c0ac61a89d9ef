//! `scan` over manifests and dumps.

use serde_json::{Value, json};

use super::{Scanned, scan, scan_with};
use crate::golden::repository;
use crate::kubernetes::objects::{broken_pod, broken_spec, holder, pod, spec};

pub(super) const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\n";
const CONFIG: &str = "profile: hardened\npolicies: {unisolated-pods: {mode: off}}\n";

/// A folder with a configuration `c.yaml` and these objects in files.
pub(super) fn folder(configuration: &str, files: &[(&str, Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("c.yaml"), format!("{HEAD}{configuration}")).expect("written");
    std::fs::create_dir(folder.path().join("set")).expect("made");
    for (name, object) in files {
        std::fs::write(folder.path().join("set").join(name), object.to_string()).expect("written");
    }
    folder
}

pub(super) fn scanned(folder: &tempfile::TempDir, arguments: &[&str]) -> Scanned {
    scan(folder.path(), &[&["set", "--config", "c.yaml"], arguments].concat())
}

/// An object as an API server has stored it.
pub(super) fn stored(mut object: Value, namespace: &str, owner: Option<&Value>) -> Value {
    let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["uid"] = json!(format!("uid-{namespace}-{name}"));
    object["metadata"]["managedFields"] = json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]);
    object["status"] = json!({"phase": "Running"});
    if let Some(owner) = owner {
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "controller": true,
        }]);
    }
    object
}

fn list(kind: &str, mut items: Vec<Value>) -> Value {
    // As an API server lists a built-in kind.
    for item in &mut items {
        item.as_object_mut().expect("an object").retain(|key, _| key != "kind" && key != "apiVersion");
    }
    let version = if kind == "PodList" { "v1" } else { "apps/v1" };
    json!({"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "7"}, "items": items})
}

/// A Deployment of namespace `shop` with its ReplicaSet and two Pods, one flaw each, in dumps of lists.
pub(super) fn dumps() -> Vec<(&'static str, Value)> {
    let deployment = stored(holder("Deployment", "web", broken_spec()), "shop", None);
    let set = stored(holder("ReplicaSet", "web-5d", broken_spec()), "shop", Some(&deployment));
    let pods = ["web-5d-a", "web-5d-b"].map(|name| stored(broken_pod(name), "shop", Some(&set)));
    vec![
        // The owner comes last.
        ("1-pods.json", list("PodList", pods.to_vec())),
        ("2-sets.json", list("ReplicaSetList", vec![set])),
        ("3-deployments.json", list("DeploymentList", vec![deployment])),
        (
            "4-other.json",
            json!({"apiVersion": "v1", "kind": "List", "items": [stored(pod("lone", spec()), "quiet", None)]}),
        ),
    ]
}

#[test]
fn what_is_owned_is_attributed_to_the_top_of_the_chain() {
    let folder = folder(CONFIG, &dumps());
    let ran = scanned(&folder, &["--format", "json"]).with_code(1);
    let rows = ran.by_name();
    let of = |kind: &str, namespace: &str, name: &str| &rows[&(kind.to_owned(), namespace.to_owned(), name.to_owned())];
    for (kind, name, decision, mode) in [
        ("Pod", "web-5d-a", "deny", "enforce"),
        ("Pod", "web-5d-b", "deny", "enforce"),
        // A template that a controller owns is never refused: it was judged at its owner.
        ("ReplicaSet", "web-5d", "allow", "warn"),
        ("Deployment", "web", "deny", "enforce"),
    ] {
        let row = of(kind, "shop", name);
        assert_eq!(
            (&row["owner"], &row["team"], &row["decision"]),
            (&json!("Deployment/web"), &json!(null), &json!(decision))
        );
        let [finding] = row["findings"].as_array().expect("findings").as_slice() else { panic!("{row:#}") };
        assert_eq!((&finding["policy"], &finding["mode"]), (&json!("unpinned-images"), &json!(mode)), "{row:#}");
    }
    assert_eq!(of("Pod", "quiet", "lone")["owner"], "Pod/lone");
    assert_eq!(
        ran.summary(),
        json!({
            "objects": 5, "refused": 3, "exempt": 0, "warned": 1, "recorded": 0, "notJudged": 0, "unreadable": 0,
            "policies": [{"policy": "unpinned-images", "objects": 4, "refused": 3, "exempt": 0, "warned": 1, "recorded": 0, "namespaces": 1}],
            "namespaces": [
                {"namespace": "shop", "objects": 4, "refused": 3, "exempt": 0, "warned": 1, "recorded": 0},
                {"namespace": "quiet", "objects": 1, "refused": 0, "exempt": 0, "warned": 0, "recorded": 0},
            ],
            "owners": [{"namespace": "shop", "owner": "Deployment/web", "objects": 4, "refused": 3, "exempt": 0, "warned": 1, "recorded": 0}],
            "teams": [], "exceptions": [],
        })
    );
}

#[test]
fn the_text_is_a_verdict_tables_and_findings() {
    let folder = folder(CONFIG, &dumps());
    let ran = scanned(&folder, &[]).with_code(1);
    assert_eq!(
        ran.out,
        "\
3 of 5 objects would be refused, 1 would get a warning, 0 would be recorded

POLICY           REFUSED  WARNED  RECORDED  NAMESPACES
unpinned-images        3       1         0           1

NAMESPACE  REFUSED  WARNED  RECORDED  OBJECTS
shop             3       1         0        4

NAMESPACE  OWNER           REFUSED  WARNED  RECORDED  OBJECTS
shop       Deployment/web        3       1         0        4

shop/Deployment/web (4 objects)
  refused: unpinned-images (4): Pod web-5d-a: spec.containers[0].image must end in a digest: \"nginx:1.27.3\" names a tag, which can move

`portcullis explain ID` says why and how to comply.
"
    );
    assert_eq!(ran.err, "");
    let ran = scanned(&folder, &["--group-by", "owner"]).with_code(1);
    assert!(!ran.out.contains("POLICY") && ran.out.contains("NAMESPACE  OWNER "), "{}", ran.out);
}

#[test]
fn a_team_is_named_by_the_object_or_its_namespace() {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shops"}}});
    let mut own = broken_pod("own");
    own["metadata"] = json!({"name": "own", "namespace": "shop", "labels": {"team": "web"}});
    let mut annotated = broken_pod("annotated");
    annotated["metadata"] = json!({"name": "annotated", "annotations": {"example.com/contact": "platform"}});
    let mut silent = broken_pod("silent");
    silent["metadata"]["namespace"] = json!("shop");
    let folder = folder(
        CONFIG,
        &[
            ("a.json", own),
            ("b.json", annotated),
            ("c.json", silent),
            ("d.json", broken_pod("nobody")),
            ("e.json", namespace),
        ],
    );
    let keys = ["--owner-label", "squad", "--owner-label", "team", "--owner-annotation", "example.com/contact"];
    let ran = scanned(&folder, &[&keys[..], &["--format", "json"]].concat()).with_code(1);
    let rows = ran.by_name();
    let team = |namespace: &str, name: &str| &rows[&("Pod".to_owned(), namespace.to_owned(), name.to_owned())]["team"];
    assert_eq!((team("shop", "own"), team("shop", "silent")), (&json!("web"), &json!("shops")));
    assert_eq!((team("default", "annotated"), team("default", "nobody")), (&json!("platform"), &json!(null)));
    let ran = scanned(&folder, &keys).with_code(1);
    assert!(ran.out.contains("\nTEAM      REFUSED"), "{}", ran.out);
}

#[test]
fn exit_codes_say_what_was_found() {
    let clean = folder(CONFIG, &[("a.json", pod("web", spec()))]);
    let ran = scanned(&clean, &[]).with_code(0);
    assert_eq!(ran.out, "Nothing would be refused: 1 object judged, 0 would get a warning, 0 would be recorded\n");
    // What is recorded alone refuses nothing.
    let audit = folder(&format!("{CONFIG}ceiling: audit\n"), &dumps());
    let ran = scanned(&audit, &[]).with_code(0);
    assert!(
        ran.out.starts_with("Nothing would be refused: 5 objects judged, 0 would get a warning, 4 would be recorded\n")
    );
    // A file that cannot be read, beside one that would be refused.
    let bad = folder(CONFIG, &[("a.json", broken_pod("web")), ("b.json", json!({"kind": "Pod"}))]);
    let ran = scanned(&bad, &[]).with_code(2);
    assert!(
        ran.out.starts_with("1 of 1 object would be refused") && ran.out.contains("1 input could not be read"),
        "{}",
        ran.out
    );
    assert_eq!(ran.err, "set/b.json:1:1: not a Kubernetes object: it has no apiVersion\n");
    // A field of the wrong type: the rest is judged.
    let mut wrong = broken_pod("web");
    wrong["spec"]["hostNetwork"] = json!("no such");
    let ran = scanned(&folder(CONFIG, &[("a.json", wrong)]), &[]).with_code(2);
    assert!(ran.err.contains("set/a.json:1:") && ran.out.contains("unpinned-images"), "{ran:?}");
}

#[test]
fn bad_usage_is_refused() {
    let folder = folder(CONFIG, &[]);
    for (arguments, expected) in [
        (&["absent.yaml"][..], "absent.yaml: No such file"),
        (&["set", "--kubeconfig", "k"], "cannot be used with"),
        (&["--cluster-from", "set"], "required"),
        (&["set", "--page-size", "0"], "must be a number from 1 to 10000"),
        (&["set", "--group-by", "colour"], "[possible values: policy, namespace, owner, team]"),
        (&["set", "--config", "absent.yaml"], "absent.yaml: No such file"),
        (&["set", "--profile", "absent"], "--profile absent"),
        (&["--kubeconfig", "absent"], "absent: failed to read kubeconfig"),
        (&[], "there is no cluster to scan: name one with --kubeconfig, or name files to be judged instead"),
    ] {
        let ran = scan(folder.path(), arguments).with_code(2);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn standard_input_is_judged_too() {
    let folder = folder(CONFIG, &[]);
    let input = format!("{}\n---\n{}\n", broken_pod("a"), pod("b", spec()));
    let ran = scan_with(folder.path(), &["-", "--config", "c.yaml"], input.as_bytes()).with_code(1);
    assert!(ran.out.starts_with("1 of 2 objects would be refused"), "{}", ran.out);
}

#[test]
fn a_stored_pod_is_judged_by_the_token_that_was_mounted() {
    let config = "policies: {automounted-tokens: {mode: enforce}}\n";
    let silent = |name: &str| {
        let mut pod = pod(name, spec());
        pod["spec"].as_object_mut().expect("a spec").remove("automountServiceAccountToken");
        pod
    };
    // Its ServiceAccount said false when it was created, whatever that says now.
    let unmounted = stored(silent("unmounted"), "shop", None);
    let mut mounted = stored(silent("mounted"), "shop", None);
    let mount = json!({"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    mounted["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
    let folder = folder(config, &[("a.json", unmounted), ("b.json", mounted), ("c.json", silent("manifest"))]);
    let rows = scanned(&folder, &["--format", "json"]).with_code(1).rows();
    let decisions: Vec<_> = rows.iter().map(|row| (&row["name"], &row["decision"])).collect();
    assert_eq!(
        decisions,
        [
            (&json!("unmounted"), &json!("allow")),
            (&json!("mounted"), &json!("deny")),
            (&json!("manifest"), &json!("deny"))
        ]
    );
}

#[test]
fn a_static_pod_of_its_node_is_warned_of_at_most() {
    let mirror = |owner: bool, annotated: bool| {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u"}});
        let mut pod = stored(broken_pod("etcd-n1"), "kube-system", owner.then_some(&node));
        pod["spec"]["nodeName"] = json!("n1");
        if annotated {
            pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
        }
        pod
    };
    let mut of_set = mirror(true, true);
    of_set["metadata"]["ownerReferences"][0]["apiVersion"] = json!("apps/v1");
    of_set["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
    let mut elsewhere = mirror(true, true);
    elsewhere["spec"]["nodeName"] = json!("n2");
    for (pod, decision) in [
        (mirror(true, true), "allow"),
        (mirror(true, false), "deny"),
        (mirror(false, true), "deny"),
        (of_set, "deny"),
        (elsewhere, "deny"),
    ] {
        let folder = folder(CONFIG, &[("a.json", pod)]);
        let rows = scanned(&folder, &["--format", "json"]).rows();
        assert_eq!((&rows[0]["decision"], rows[0]["findings"].as_array().map(Vec::len)), (&json!(decision), Some(1)));
    }
}

#[test]
fn control_characters_and_secrets_are_not_printed() {
    let mut bad = broken_pod("web");
    bad["metadata"]["namespace"] = json!("a\u{1b}[31mb");
    bad["metadata"]["labels"] = json!({"team": "postgres://u:hunter2hunter2@db/x\u{7}"});
    bad["spec"]["containers"][0]["image"] = json!("x\u{1b}]0;y");
    let folder = folder(CONFIG, &[("a.json", bad)]);
    for format in ["text", "json"] {
        let ran = scanned(&folder, &["--format", format, "--owner-label", "team"]).with_code(1);
        assert!(!ran.out.contains(['\u{1b}', '\u{7}']) && !ran.out.contains("hunter2"), "{}", ran.out);
    }
}

#[test]
fn a_scan_finds_what_check_finds() {
    let policies = repository("tests/policies");
    let arguments = ["tests/policies", "--profile", "hardened", "--format", "json"];
    let ran = scan(&repository(""), &arguments);
    let checked = crate::scan::check(&repository(""), &arguments);
    let scanned: Vec<Value> = ran.rows().into_iter().map(crate::scan::without_owner).collect();
    assert!(policies.is_dir() && scanned.len() > 500, "{}", scanned.len());
    assert_eq!(scanned, checked);
}

#[test]
fn a_folder_is_read_a_file_at_a_time() {
    let folder = folder(CONFIG, &[]);
    // 48 MiB in 24 files, of which the parts that are judged are small.
    let filler = "x".repeat(2 << 20);
    for number in 0..24 {
        let mut pod = broken_pod(&format!("pod-{number}"));
        pod["metadata"]["annotations"] = json!({"filler": filler});
        std::fs::write(folder.path().join(format!("set/{number}.json")), pod.to_string()).expect("written");
    }
    let (ran, peak) = crate::scan::measured(folder.path(), &["set", "--config", "c.yaml"]);
    ran.with_code(1);
    println!("peak memory: {peak} KiB");
    assert!(peak < 100 << 10, "{peak} KiB");
}
