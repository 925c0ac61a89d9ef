//! Time and memory of a scan: a few objects in the suite, more with `PORTCULLIS_SCAN_OBJECTS`.

use std::time::Instant;

use serde_json::{Value, json};

use super::super::objects::{broken_spec, holder, pod, spec};
use super::super::owners::owned;
use super::super::plane::Plane;
use super::super::space::Space;
use crate::scan::measured;

/// Objects in the suite.
const FEW: usize = 600;
/// Most memory of a scan, in KiB, however many objects there are.
const MEMORY: u64 = 120 << 10;

/// Ten objects: an excepted Deployment with its ReplicaSet and its Pod, whose images are not pinned, and Deployments in order.
fn fill(space: &Space, number: usize) {
    let named = |kind: &str, name: &str, spec: Value, by: Option<&Value>| {
        let object = if kind == "Pod" { pod(name, spec) } else { holder(kind, name, spec) };
        let mut object = by.map_or(object.clone(), |by| owned(object, by));
        object["metadata"]["annotations"] = json!({"example.com/notes": "x".repeat(2_000)});
        let resource = format!("{}s", kind.to_lowercase());
        space.create(&resource, &object).admitted()
    };
    let top = named("Deployment", &format!("bad-{number}"), broken_spec(), None);
    let set = named("ReplicaSet", &format!("bad-{number}"), broken_spec(), Some(&top));
    named("Pod", &format!("bad-{number}"), broken_spec(), Some(&set));
    for at in 3..10 {
        named("Deployment", &format!("web-{number}-{at}"), spec(), None);
    }
}

#[test]
fn a_scan_of_many_objects_is_fast_and_small() {
    let asked = std::env::var("PORTCULLIS_SCAN_OBJECTS").ok().and_then(|number| number.parse().ok());
    let tens = asked.unwrap_or(FEW).div_ceil(10);
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let spaces: Vec<Space> =
        (0..tens.div_ceil(100).max(4)).map(|at| Space::new(&plane, &format!("many-{at}"))).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let spaces = &spaces;
            scope.spawn(move || (thread..tens).step_by(4).for_each(|at| fill(&spaces[at % spaces.len()], at)));
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let tomorrow = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24)).expect("tomorrow");
    let exceptions = spaces.iter().map(|space| {
        let Space { name, .. } = space;
        format!(
            "- {{name: for-{name}, policies: [unpinned-images], match: {{namespace: {name}, kind: Deployment}}, expires: \
             {tomorrow}, reason: it, owner: it}}\n"
        )
    });
    // Kubernetes' own roles break these in every cluster.
    let head = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\npolicies: \
                {wildcard-roles: {mode: off}, escalating-roles: {mode: off}, powerful-bindings: {mode: off}}\n";
    let text = format!("{head}exceptions:\n{}", exceptions.collect::<String>());
    std::fs::write(folder.path().join("bare.yaml"), head).expect("written");
    std::fs::write(folder.path().join("excepted.yaml"), text).expect("written");
    let kubeconfig = plane.place.kubeconfig.to_str().expect("UTF-8");
    let number = tens * 10;
    // The namespaces have objects of their own, such as their NetworkPolicies.
    for (configuration, code, verdict) in [
        ("bare.yaml", 1, format!("{} of N objects would be refused", tens * 2)),
        // Every Deployment is kept, because each may be excepted, and each of these Pods is followed to its own.
        ("excepted.yaml", 0, format!("Nothing would be refused: N objects judged, {} would be refused but", tens * 2)),
    ] {
        let start = Instant::now();
        let (ran, peak) = measured(folder.path(), &["--kubeconfig", kubeconfig, "--config", configuration]);
        let elapsed = start.elapsed();
        let ran = ran.with_code(code);
        println!("{number} objects, {configuration}: {:.1} s, peak memory {} MiB", elapsed.as_secs_f64(), peak >> 10);
        let (before, _) = ran.out.split_once(" objects ").expect("a number of objects");
        let judged = before.rsplit(' ').next().expect("a number");
        assert!(judged.parse::<usize>().expect("a number") >= number, "{judged}");
        assert!(ran.out.starts_with(&verdict.replace("N objects", &format!("{judged} objects"))), "{}", ran.out);
        assert_eq!(ran.err, "", "{configuration}");
        assert!(peak < MEMORY, "{peak} KiB");
    }
}
