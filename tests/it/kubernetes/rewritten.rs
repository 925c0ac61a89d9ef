//! Manifests that are written again with the real kubectl: `metadata.generation` stays where it is. And what was set by
//! default once does not stand in the way of a manifest that says otherwise now.

use std::process::{Command, Output};

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;

const GROUP: &str = "rewritten.example.org";
/// Every mutator, two paths, and no validator.
const ALL: &str = "defaults: all\npolicies: {default-read-only-root: {mode: enforce, settings: {paths: [/tmp, /run]}}}\n\
                   workloads:\n- {group: rewritten.example.org, kind: Fleet, resource: fleets, path: /spec/template}\n\
                   - {group: rewritten.example.org, kind: Squad, resource: squads, path: /spec/template}\n";

/// Serves the two kinds: lists are atomic in the template of a Fleet; that of a Squad is atomic as a whole.
fn serve_kinds(plane: &Plane) {
    for (kind, plural, is_atomic) in [("Fleet", "fleets", false), ("Squad", "squads", true)] {
        let mut template = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        if is_atomic {
            template["x-kubernetes-map-type"] = "atomic".into();
        }
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"}, "template": template}}}});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{GROUP}")},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        });
        let made = plane.admin.call(
            Method::POST,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            Some(&definition),
        );
        assert!(made.is_success() || made.code == 409, "{made:#?}");
        let path = format!("/apis/{GROUP}/v1/namespaces/default/{plural}");
        eventually("the kind is served", || plane.admin.call(Method::GET, &path, None).is_success().then_some(()));
    }
}

/// A namespace in which objects are written with kubectl.
struct Bench<'p> {
    plane: &'p Plane,
    space: Space,
    dir: tempfile::TempDir,
    _portcullis: Portcullis,
}

impl<'p> Bench<'p> {
    fn new(plane: &'p Plane, name: &str) -> Self {
        serve_kinds(plane);
        let space = Space::open(plane, name);
        let portcullis = Portcullis::guard(plane, &[&space], ALL, &[]);
        Self { plane, space, dir: tempfile::tempdir().expect("a temporary folder"), _portcullis: portcullis }
    }

    fn try_kubectl(&self, arguments: &[&str]) -> Output {
        Command::new(&self.plane.place.kubectl)
            .arg("--kubeconfig")
            .arg(&self.plane.place.kubeconfig)
            .arg("--cache-dir")
            .arg(self.dir.path().join("cache"))
            .args(["--namespace", &self.space.name])
            .args(arguments)
            .output()
            .expect("kubectl runs")
    }

    #[track_caller]
    fn kubectl(&self, arguments: &[&str]) -> Value {
        let output = self.try_kubectl(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// A manifest in a file.
    fn file(&self, manifest: &Value) -> String {
        let path = self.dir.path().join("manifest.json");
        std::fs::write(&path, manifest.to_string()).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn get(&self, manifest: &Value) -> Value {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let name = format!("{}/{}", text(&manifest["kind"]).to_lowercase(), text(&manifest["metadata"]["name"]));
        self.kubectl(&["get", &name, "--output=json"])
    }

    /// Writes a manifest in one way.
    #[track_caller]
    fn write(&self, way: &str, manifest: &Value) {
        let file = self.file(manifest);
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        let kind = manifest["kind"].as_str().expect("a kind").to_lowercase();
        let containers = &manifest["spec"]["template"]["spec"]["containers"];
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}}).to_string();
        match way {
            "apply" => self.kubectl(&["apply", "--filename", &file, "--output=json"]),
            "server-side" => {
                self.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file, "--output=json"])
            }
            "replace" => self.kubectl(&["replace", "--filename", &file, "--output=json"]),
            "merge" => self.kubectl(&["patch", &kind, name, "--type=merge", "--patch-file", &file, "--output=json"]),
            _ => self.kubectl(&["patch", &kind, name, "--type=merge", "--patch", &patch, "--output=json"]),
        };
    }
}

const WAYS: [&str; 5] = ["apply", "server-side", "replace", "merge", "containers"];

fn manifest(kind: &str, name: &str) -> Value {
    let is_built_in = ["Deployment", "StatefulSet"].contains(&kind);
    let version = if is_built_in { "apps/v1".to_owned() } else { format!("{GROUP}/v1") };
    let mut manifest = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": {"replicas": 0,
    "template": {"metadata": {"labels": {"app": name}}, "spec": {
        "initContainers": [{"name": "prepare", "image": "busybox:1"}],
        "containers": [
            {"name": "web", "image": "nginx:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            {"name": "log", "image": "busybox:1"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }}}});
    if is_built_in {
        manifest["spec"]["selector"] = json!({"matchLabels": {"app": name}});
    }
    manifest
}

fn spec(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]
}

#[test]
fn a_manifest_that_is_written_again_moves_no_generation() {
    let bench = Bench::new(Plane::shared(), "it-again");
    for kind in ["Deployment", "StatefulSet", "Fleet", "Squad"] {
        for first in ["apply", "server-side"] {
            let name = format!("{}-{first}", kind.to_lowercase());
            let mut manifest = manifest(kind, &name);
            bench.write(first, &manifest);
            let changes: [fn(&mut Value); 5] = [
                |_| {},
                |spec| spec["containers"][0]["image"] = "nginx:2".into(),
                |spec| spec["containers"][1]["name"] = "logs".into(),
                |spec| {
                    let new = json!({"name": "new", "image": "busybox:1"});
                    spec["containers"].as_array_mut().expect("containers").insert(1, new);
                },
                |spec| {
                    drop(spec.as_object_mut().expect("a spec").remove("volumes"));
                    drop(spec["containers"][0].as_object_mut().expect("one").remove("volumeMounts"));
                },
            ];
            for (number, change) in changes.iter().enumerate() {
                change(spec(&mut manifest));
                bench.write(first, &manifest);
                let mut before = bench.get(&manifest);
                let every = spec(&mut before)["containers"].as_array().expect("containers").clone();
                assert!(every.iter().all(|one| one["securityContext"]["readOnlyRootFilesystem"] == true), "{before:#}");
                for way in WAYS.into_iter().chain([first]) {
                    if kind == "Deployment" {
                        // A write that changes the annotations of a Deployment moves its generation too
                        // (`K/pkg/registry/apps/deployment/strategy.go`): each way leaves others.
                        bench.write(way, &manifest);
                        let moved = bench.get(&manifest);
                        assert_eq!(moved["spec"], before["spec"], "{name}, change {number}, by {way}");
                        before = moved;
                    }
                    bench.write(way, &manifest);
                    let after = bench.get(&manifest);
                    let (was, is) = (&before["spec"]["template"], &after["spec"]["template"]);
                    assert_eq!(is, was, "{name}, change {number}, by {way}");
                    // What `replace` takes away each time is the controller's annotation.
                    if (kind, way) != ("Deployment", "replace") {
                        let generation = |object: &Value| object["metadata"]["generation"].clone();
                        assert_eq!(generation(&after), generation(&before), "{name}, change {number}, by {way}");
                    }
                }
            }
        }
    }
}

/// Name of a change, the change itself, and the default that is removed because of it.
type Change<'c> = (&'static str, &'c dyn Fn(&mut Value), &'static str);

#[test]
fn yesterdays_defaults_give_way_to_todays_manifest() {
    let bench = Bench::new(Plane::shared(), "it-gives-way");
    let context = |spec: &mut Value, context: Value| spec["containers"][1]["securityContext"] = context;
    let changes: [Change<'_>; 4] = [
        (
            "privileged",
            &|spec| context(spec, json!({"privileged": true})),
            "spec.template.spec.containers[1].securityContext.allowPrivilegeEscalation (false)",
        ),
        (
            "admin",
            &|spec| context(spec, json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}})),
            "spec.template.spec.containers[1].securityContext.allowPrivilegeEscalation (false)",
        ),
        (
            "windows",
            &|spec| spec["os"] = json!({"name": "windows"}),
            "spec.template.spec.initContainers[0].securityContext.readOnlyRootFilesystem (true)",
        ),
        (
            "root",
            &|spec| spec["securityContext"] = json!({"runAsUser": 0}),
            "spec.template.spec.securityContext.runAsNonRoot (true)",
        ),
    ];
    for kind in ["Deployment", "Fleet"] {
        for way in ["apply", "server-side"] {
            for (change, make, removed) in &changes {
                let name = format!("{}-{way}-{change}", kind.to_lowercase());
                let mut manifest = manifest(kind, &name);
                bench.write(way, &manifest);
                make(spec(&mut manifest));
                let file = bench.file(&manifest);
                let arguments: &[&str] = if way == "apply" { &["apply"] } else { &["apply", "--server-side"] };
                let output = bench.try_kubectl(&[arguments, &["--filename", &file]].concat());
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{name}: {said}");
                // Containers of a Fleet are replaced whole: there only what the pod holds was left.
                if kind == "Deployment" || *change == "root" {
                    assert!(
                        said.contains(&format!("removed {removed}, a default that nobody wrote")),
                        "{name}: {said}"
                    );
                }
                let mut stored = bench.get(&manifest);
                let spec = spec(&mut stored);
                let escalation = &spec["containers"][1]["securityContext"]["allowPrivilegeEscalation"];
                match *change {
                    "root" => assert_eq!(spec["securityContext"]["runAsNonRoot"], Value::Null, "{spec:#}"),
                    "windows" => {
                        assert_eq!(spec["securityContext"]["seccompProfile"], Value::Null, "{spec:#}");
                        assert!(!spec.to_string().contains("readOnlyRootFilesystem"), "{spec:#}");
                    }
                    _ => assert_eq!(*escalation, Value::Null, "{spec:#}"),
                }
                bench.write(way, &manifest);
                assert_eq!(bench.get(&manifest)["metadata"]["generation"], stored["metadata"]["generation"], "{name}");
            }
        }
    }
}

#[test]
fn what_somebody_wrote_is_refused_by_the_api_server_and_not_taken_back() {
    let bench = Bench::new(Plane::shared(), "it-written");
    for way in ["apply", "server-side"] {
        // Set by default first, then written by hand with the same value.
        let mut manifest = manifest("Deployment", &format!("by-{way}"));
        bench.write(way, &manifest);
        spec(&mut manifest)["containers"][1]["securityContext"] = json!({"allowPrivilegeEscalation": false});
        bench.write(way, &manifest);
        spec(&mut manifest)["containers"][1]["securityContext"]["privileged"] = true.into();
        let file = bench.file(&manifest);
        let arguments: &[&str] = if way == "apply" { &["apply"] } else { &["apply", "--server-side"] };
        let output = bench.try_kubectl(&[arguments, &["--filename", &file]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("cannot set `allowPrivilegeEscalation` to false"), "{said}");
    }
}
