//! Objects that are larger than anybody writes them, and that Kubernetes takes.

use portcullis::cluster::Manifests;
use portcullis::decision::Decision;
use portcullis::request::Source;
use portcullis::snapshot::Snapshot;
use serde_json::{Map, Value, json};

use crate::judging::{self, configured, only};

/// More than a list or a map of an ordinary object holds.
const MANY: [usize; 2] = [1_101, 5_003];
const PINNED: &str = "web@sha256:8adbdcb969e2676478ee2c7ad333956f0c8e0e4c5a7463f4611d7a2e7a7ff5dc";

fn container(name: &str) -> Value {
    json!({"name": name, "image": PINNED,
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}})
}

/// A Pod in order.
fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "serviceAccountName": "web", "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container("web")]}})
}

fn list(many: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..many).map(item).collect()
}

fn map(many: usize, value: &str) -> Value {
    Value::Object((0..many).map(|number| (format!("key-{number}"), json!(value))).collect::<Map<_, _>>())
}

/// Places of lists and maps from a Pod's root, and what they may hold.
fn places(many: usize) -> Vec<(&'static str, Value)> {
    vec![
        ("/metadata/labels", map(many, "x")),
        ("/metadata/annotations", map(many, "x")),
        ("/metadata/finalizers", list(many, |number| json!(format!("example.com/{number}")))),
        ("/metadata/ownerReferences", list(many, |number| json!({"kind": "Any", "name": number.to_string()}))),
        ("/spec/nodeSelector", map(many, "x")),
        ("/spec/tolerations", list(many, |number| json!({"key": number.to_string()}))),
        ("/spec/imagePullSecrets", list(many, |number| json!({"name": number.to_string()}))),
        ("/spec/hostAliases", list(many, |_| json!({"ip": "10.0.0.1"}))),
        ("/spec/volumes", list(many, |number| json!({"name": number.to_string(), "emptyDir": {}}))),
        ("/spec/initContainers", list(many, |number| container(&format!("i{number}")))),
        ("/spec/containers", list(many, |number| container(&format!("c{number}")))),
        ("/spec/ephemeralContainers", list(many, |number| container(&format!("e{number}")))),
        ("/spec/securityContext/sysctls", list(many, |_| json!({"name": "net.ipv4.tcp_syncookies", "value": "1"}))),
        ("/spec/containers/0/ports", list(many, |number| json!({"containerPort": number + 1}))),
        ("/spec/containers/0/env", list(many, |number| json!({"name": format!("V{number}"), "value": ""}))),
        (
            "/spec/containers/0/volumeMounts",
            list(many, |number| json!({"name": "data", "mountPath": format!("/data/{number}")})),
        ),
        ("/spec/containers/0/volumeDevices", list(many, |number| json!({"devicePath": format!("/dev/{number}")}))),
        ("/spec/containers/0/args", list(many, |_| json!("-v"))),
        ("/spec/containers/0/securityContext/capabilities/add", list(many, |_| json!("NET_BIND_SERVICE"))),
        ("/spec/containers/0/securityContext/capabilities/drop", list(many, |_| json!("ALL"))),
        ("/spec/containers/0/resources/limits", {
            let mut limits = map(many, "1");
            limits["memory"] = json!("64Mi");
            limits
        }),
    ]
}

fn with(pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    let mut pod = pod();
    pod.pointer_mut(parent).expect("its parent")[field] = value;
    pod
}

fn create(snapshot: &Snapshot, object: &Value) -> Decision {
    judging::create(snapshot, object, &Manifests::default(), Source::ApiServer)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn no_list_or_map_is_too_long() {
    let snapshot = configured("profile: hardened\n");
    for many in MANY {
        for (pointer, value) in places(many) {
            let decision = create(&snapshot, &with(pointer, value));
            assert!(decision.allowed && decision.findings.is_empty(), "{pointer}: {decision:?}");
        }
    }
}

#[test]
fn the_last_item_counts_as_the_first_does() {
    let flaws = [
        ("/spec/containers/0/ports", "host-ports", json!({"containerPort": 1, "hostPort": 7})),
        ("/spec/volumes", "volume-types", json!({"name": "data", "hostPath": {"path": "/"}})),
        (
            "/spec/initContainers",
            "privileged-containers",
            json!({"name": "p", "securityContext": {"privileged": true}}),
        ),
        ("/spec/ephemeralContainers", "unpinned-images", json!({"name": "p", "image": "web:1"})),
        ("/spec/securityContext/sysctls", "unsafe-sysctls", json!({"name": "kernel.msgmax", "value": "1"})),
        ("/spec/containers/0/securityContext/capabilities/add", "undropped-capabilities", json!("SYS_ADMIN")),
    ];
    for many in MANY {
        for (pointer, policy, item) in &flaws {
            let (_, mut value) = places(many).into_iter().find(|(place, _)| place == pointer).expect("the place");
            value.as_array_mut().expect("a list").push(item.clone());
            let snapshot = only(policy);
            let decision = create(&snapshot, &with(pointer, value));
            assert!(!decision.allowed, "{pointer}: {decision:?}");
            let path = decision.findings[0].place.shown();
            assert!(path.contains(&format!("[{many}]")), "{path}");
        }
    }
}

#[test]
fn an_entry_of_a_large_map_counts() {
    let apparmor = configured("policies: {app-armor-overrides: {mode: enforce}}\n");
    let bounded = configured("policies: {unbounded-containers: {mode: enforce}}\n");
    for many in MANY {
        let mut annotations = map(many, "x");
        annotations["container.apparmor.security.beta.kubernetes.io/web"] = json!("unconfined");
        assert!(!create(&apparmor, &with("/metadata/annotations", annotations)).allowed);
        let mut limits = map(many, "1");
        limits["memory"] = json!("0");
        assert!(!create(&bounded, &with("/spec/containers/0/resources/limits", limits)).allowed);
        let mut owners = list(many, |number| json!({"kind": "Any", "name": number.to_string()}));
        owners[many - 1]["controller"] = json!(true);
        let mut set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}});
        set["metadata"]["ownerReferences"] = owners;
        set["spec"] = json!({"template": {"spec": {"containers": [{"name": "a", "image": "web:1"}]}}});
        let decision = create(&configured("profile: hardened\n"), &set);
        assert!(decision.allowed && !decision.findings.is_empty(), "a controller owns it: {decision:?}");
    }
}

/// Names of capabilities are whatever somebody writes: nothing that the API server takes has smaller items.
#[test]
fn the_smallest_items_that_the_api_server_takes_are_read() {
    let snapshot = configured("profile: hardened\n");
    let mut pod = pod();
    let mut one = container("web");
    one["securityContext"]["capabilities"]["drop"] = list(2_500, |_| json!(""));
    pod["spec"]["containers"] = list(200, |_| one.clone());
    let decision = create(&snapshot, &pod);
    assert!(!decision.allowed && decision.findings.iter().all(|finding| finding.meta.id == "undropped-capabilities"));
}

#[test]
fn what_the_defaults_add_to_many_volumes_can_be_read() {
    let snapshot = configured("profile: hardened\ndefaults: all\n");
    for many in MANY {
        let bare = |number: usize| json!({"name": format!("c{number}"), "image": PINNED});
        let volumes = list(many, |number| json!({"name": number.to_string(), "emptyDir": {"sizeLimit": "1Mi"}}));
        let mut pod = with("/spec/containers", list(100, bare));
        pod["spec"]["volumes"] = volumes;
        let object = judging::set(&snapshot, &pod).object.expect("a patch");
        let volumes = object["spec"]["volumes"].as_array().map_or(0, Vec::len);
        assert_eq!(volumes, many + 100, "one for each container");
        let decision = create(&snapshot, &object);
        let others = decision.findings.iter().filter(|finding| finding.meta.id != "unbounded-containers");
        assert_eq!(others.count(), 0, "{decision:?}");
    }
}

#[test]
fn a_user_may_be_in_any_number_of_groups() {
    let snapshot = configured("profile: hardened\n");
    for many in MANY {
        let mut review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "name": "web", "namespace": "default",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": pod()}});
        review["request"]["userInfo"] =
            json!({"username": "jane", "groups": list(many, |number| json!(format!("group-{number}")))});
        assert!(judging::answer(&snapshot, &review, &Manifests::default()).allowed);
        judging::with_review(&snapshot, &review, |request| {
            assert!(request.user.is_in(&format!("group-{}", many - 1)) && !request.user.is_in("group"));
        });
    }
}

/// Nothing bounds the name of an image, and every finding says whose it is.
#[test]
fn a_finding_does_not_hold_an_image_without_end() {
    let snapshot = configured("profile: hardened\n");
    let with_image = |image: &str| {
        let mut pod = with("/spec/containers/0/securityContext/capabilities/add", list(200, |_| json!("SYS_ADMIN")));
        pod["spec"]["containers"][0]["image"] = json!(image);
        pod
    };
    let long = "a".repeat(1 << 20);
    let decision = create(&snapshot, &with_image(&long));
    let held: usize = decision.findings.iter().map(|finding| format!("{finding:?}").len()).sum();
    assert!(decision.findings.len() > 128 && held < 1 << 20, "{held} bytes");

    // It is the same container only as long as all of the image is the same.
    let update = |old: &str, new: &str| {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "UPDATE", "name": "web", "namespace": "default",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": with_image(new), "oldObject": with_image(old)}});
        let decision = judging::answer(&snapshot, &review, &Manifests::default());
        decision.findings.iter().filter(|finding| finding.inherited).count()
    };
    assert!(update(&long, &long) >= 128);
    assert_eq!(update(&long, &(long.clone() + "a")), 0);
    assert_eq!(update(&long, &("b".to_owned() + &long[1..])), 0);
}
