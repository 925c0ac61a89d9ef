//! What the stores cost, and whether they are right after the API server was killed.
//!
//! `PORTCULLIS_REFLECTOR_OBJECTS=5000` sets the number of NetworkPolicies; there are two namespaces for five of them, and four Pods for
//! one. The figures are printed.

use std::time::Instant;

use axum::http::Method;
use serde_json::{Value, json};

use super::eventually;
use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account, isolation};

/// NetworkPolicies without the variable.
const POLICIES: usize = 50;
/// Threads that make Pods.
const MAKERS: usize = 8;
/// Pods that violate, tried while the API server comes back.
const TRIES: usize = 50;

fn labelled(name: &str, app: &str) -> Value {
    let mut pod = pod(name, spec());
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

/// Makes the Pods of every namespace whose number leaves this rest.
fn make_pods(plane: &Plane, namespaces: usize, pods: usize, part: usize) {
    for number in (part..namespaces).step_by(MAKERS) {
        let space = Space::named(&plane.admin, &format!("it-{number}"));
        space.create("serviceaccounts", &account("web", None)).admitted();
        for pod in (number..pods).step_by(namespaces) {
            let mut object = labelled(&format!("pod-{pod}"), &format!("app-{}", pod % (pods / 4)));
            object["metadata"]["labels"]["pod-template-hash"] = format!("{number:010x}").into();
            space.create("pods", &object).admitted();
        }
    }
}

#[test]
fn the_stores_are_right_after_the_api_server_was_killed() {
    let policies =
        std::env::var("PORTCULLIS_REFLECTOR_OBJECTS").ok().and_then(|value| value.parse().ok()).unwrap_or(POLICIES);
    let namespaces = policies * 2 / 5;
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let made = Instant::now();
    for number in 0..namespaces {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("it-{number}"),
            "labels": {"team": format!("team-{}", number % 50), "pod-security.kubernetes.io/enforce": "restricted"}}});
        plane.admin.call(Method::POST, "/api/v1/namespaces", Some(&namespace)).admitted();
    }
    for number in 0..policies {
        let space = Space::named(&plane.admin, &format!("it-{}", number % namespaces));
        let mut policy = isolation(&format!("p{number}"), json!({"app": format!("app-{number}")}));
        policy["spec"]["egress"] = json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
            "ports": [{"port": 443}, {"port": 5432}]}]);
        space.create("networkpolicies", &policy).admitted();
    }
    let pods = policies * 4;
    std::thread::scope(|scope| {
        for part in 0..MAKERS {
            let plane = &plane;
            scope.spawn(move || make_pods(plane, namespaces, pods, part));
        }
    });
    println!("{namespaces} namespaces, {policies} NetworkPolicies and {pods} Pods made in {:?}", made.elapsed());

    let space = Space::open(&plane, "it-reflectors");
    for app in ["stays", "goes"] {
        space.create("networkpolicies", &isolation(app, json!({"app": app}))).admitted();
    }
    let started = Instant::now();
    let portcullis = Portcullis::hardened(&plane, &space);
    eventually("it is ready", || portcullis.admin("/readyz").starts_with("HTTP/1.0 200").then_some(()));
    println!("start, registration and ready: {:?}; {} MiB resident", started.elapsed(), portcullis.resident() >> 20);
    space.create_dry("pods", &labelled("web", "goes")).admitted();

    plane.stop("kube-apiserver");
    std::thread::scope(|scope| {
        // Nothing gets in while it comes back, whatever the stores know by then.
        let storm = scope.spawn(|| {
            let tries = (0..TRIES).filter_map(|number| {
                let name = format!("bad-{number}");
                eventually("the API server answers", || space.try_create("pods", &labelled(&name, "nobody")).ok())
                    .is_success()
                    .then_some(name)
            });
            tries.collect::<Vec<String>>()
        });
        plane.resume("kube-apiserver");
        assert_eq!(storm.join().expect("it ends"), [""; 0]);
    });
    space.delete("networkpolicies", "goes").admitted();
    space.create("networkpolicies", &isolation("comes", json!({"app": "comes"}))).admitted();
    let back = Instant::now();
    eventually("the watch goes on", || {
        (!space.create_dry("pods", &labelled("web", "goes")).is_success()).then_some(())
    });
    println!(
        "the stores are right {:?} after the API server is; {} MiB resident",
        back.elapsed(),
        portcullis.resident() >> 20
    );
    for app in ["stays", "comes"] {
        space.create("pods", &labelled(app, app)).admitted();
    }
    space.create("pods", &labelled("web", "goes")).refused();
    eventually("the new Pod is known", || {
        space
            .delete_dry("networkpolicies", "comes")
            .warns("unisolated-pods: . must not leave running Pods")
            .then_some(())
    });
    let mut names: Vec<String> =
        space.list("pods").iter().map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    assert_eq!(names, ["comes", "stays"]);
}
