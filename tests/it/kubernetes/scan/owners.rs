//! Exceptions for owners: what `scan` says of stored Pods is what becomes of them when their controllers make them again.

use serde_json::{Value, json};

use super::super::eventually;
use super::super::objects::{broken_spec, holder, pod, spec};
use super::super::owners::{owned, record, running, worse_spec};
use super::super::plane::Plane;
use super::super::process::Portcullis;
use super::super::space::Space;
use super::{STILL, rows_in, scanned};

/// The profile `hardened`, and an exception for Deployments of a namespace, from the flaws of these tests.
fn configuration(space: &Space, name: &str) -> String {
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    format!(
        "profile: hardened\nexceptions:\n- {{name: owners, policies: [unpinned-images, undropped-capabilities], match: {{namespace: \
         {}, kind: Deployment{name}}}, expires: {tomorrow}, reason: it, owner: it}}\n",
        space.name
    )
}

/// The name of the only Pod whose name begins so, if there is one.
fn pod_of(space: &Space, prefix: &str) -> Option<String> {
    let pods = space.list("pods");
    let mut names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
    names.find(|name| name.starts_with(prefix)).map(str::to_owned)
}

#[test]
fn pods_of_an_excepted_deployment_are_exempt_and_are_made_again() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-scan-excepted");
    for name in ["web", "other"] {
        space.create("deployments", &running("Deployment", name, broken_spec())).admitted();
    }
    let pods = ["web-", "other-"].map(|prefix| eventually(prefix, || pod_of(&space, prefix)));

    let configuration = configuration(&space, ", name: web");
    let ran = scanned(plane, &configuration, &[]);
    let rows = rows_in(&ran, &space.name);
    for (name, decision, exception) in
        [(&pods[0], json!("allow"), json!("owners")), (&pods[1], json!("deny"), json!(null))]
    {
        let row = rows.iter().find(|row| row["name"] == **name).expect("its row");
        let [finding] = row["findings"].as_array().expect("findings").as_slice() else { panic!("{row:#}") };
        assert_eq!((&row["decision"], &finding["exception"]["name"]), (&decision, &exception), "{row:#}");
    }

    let portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
    for name in &pods {
        space.delete("pods", name).admitted();
    }
    let again = eventually("another Pod", || pod_of(&space, "web-").filter(|name| *name != pods[0]));
    let made = eventually("its record", || record(&portcullis, &again, |one| one["operation"] == "CREATE"));
    assert_eq!((&made["decision"], &made["exception"]["name"]), (&json!("exempt"), &json!("owners")), "{made:#}");
    let refused = eventually("a refusal", || record(&portcullis, "other-", |one| one["operation"] == "CREATE"));
    assert_eq!(refused["decision"], "deny", "{refused:#}");
}

#[test]
fn what_scan_says_of_a_forged_chain_is_what_becomes_of_its_pods() {
    let plane = &*STILL;
    let space = Space::new(plane, "it-scan-forged");
    let create = |resource: &str, object: &Value| space.create(resource, object).admitted();
    let web = create("deployments", &holder("Deployment", "web", broken_spec()));
    let clean = create("deployments", &holder("Deployment", "clean", spec()));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}});
    let map = create("configmaps", &map);
    let set = |name: &str, spec: Value, by: Option<&Value>| {
        let set = holder("ReplicaSet", name, spec);
        create("replicasets", &by.map_or(set.clone(), |by| owned(set, by)))
    };
    let mut of_web_before = web.clone();
    of_web_before["metadata"]["uid"] = json!("705ab4f5-6393-11e8-b7cc-42010a800002");
    let real = set("real", broken_spec(), Some(&web));
    let mut real_before = real.clone();
    real_before["metadata"]["uid"] = of_web_before["metadata"]["uid"].clone();
    let cases = [
        (real, broken_spec(), "allow"),
        (set("worse", worse_spec(), Some(&web)), worse_spec(), "deny"),
        (set("of-clean", broken_spec(), Some(&clean)), broken_spec(), "deny"),
        (set("of-map", broken_spec(), Some(&map)), broken_spec(), "deny"),
        (set("of-one-before", broken_spec(), Some(&of_web_before)), broken_spec(), "deny"),
        (set("of-nobody", broken_spec(), None), broken_spec(), "deny"),
        (real_before, broken_spec(), "deny"),
        (web, broken_spec(), "deny"),
        (map, broken_spec(), "deny"),
    ];
    let pods: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(at, (by, spec, _))| owned(pod(&format!("pod-{at}"), spec.clone()), by))
        .collect();
    for pod in &pods {
        create("pods", pod);
    }

    let configuration = configuration(&space, "");
    let ran = scanned(plane, &configuration, &["--page-size", "2"]);
    let rows = rows_in(&ran, &space.name);
    let _portcullis = Portcullis::guard(plane, &[&space], &configuration, &[]);
    let user = "system:serviceaccount:kube-system:replicaset-controller";
    let as_controller = space.seen_by(plane.impersonating(user, "system:masters"));
    for (at, ((by, _, decision), pod)) in cases.iter().zip(&pods).enumerate() {
        let owner = format!("{} {}", by["kind"], by["metadata"]["name"]);
        let row = rows.iter().find(|row| row["name"] == format!("pod-{at}")).expect("its row");
        assert_eq!(row["decision"], *decision, "{owner}: {row:#}");
        let mut again = pod.clone();
        again["metadata"]["name"] = json!(format!("again-{at}"));
        let answer = as_controller.create_dry("pods", &again);
        if *decision == "allow" {
            assert!(answer.is_success() && answer.warns("exempt by exception \"owners\""), "{owner}: {answer:#?}");
        } else {
            answer.refused();
        }
    }
}
