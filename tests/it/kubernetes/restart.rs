//! The API server goes and comes back.

use super::eventually;
use super::objects::{broken_pod, holder, pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, account};

#[test]
fn decisions_go_on_and_stores_reconnect_after_a_restart_of_the_api_server() {
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let space = Space::new(&plane, "it-restart");
    let portcullis = Portcullis::hardened(&plane, &space);
    space.create("serviceaccounts", &account("app", None)).admitted();
    let mut silent = spec();
    silent.as_object_mut().expect("an object").remove("automountServiceAccountToken");
    silent["serviceAccountName"] = "app".into();
    let deployment = holder("Deployment", "app", silent);
    let warns = || space.create_dry("deployments", &deployment).warns("automounted-tokens: ");
    eventually("the account is known", || warns().then_some(()));

    for _ in 0..2 {
        plane.restart("kube-apiserver");
        // Connections of before the restart break at the first use.
        let refused = eventually("the API server answers", || space.try_create("pods", &broken_pod("bad")).ok());
        assert!(refused.refused().starts_with("unpinned-images: "), "{refused:#?}");
        assert!(portcullis.admin("/readyz?verbose").starts_with("HTTP/1.0 200"));
    }
    space.create("pods", &pod("good", spec())).admitted();
    assert_eq!(space.list("pods").len(), 1);

    // The account was in the store before: only a watch that goes on can tell of the change.
    let quiet = serde_json::json!({"automountServiceAccountToken": false});
    space.patch("serviceaccounts", "app", &quiet).admitted();
    eventually("the store is in touch again", || (!warns()).then_some(()));
    eventually("its age says so", || (portcullis.metric("portcullis_store_staleness_seconds")? == 0.0).then_some(()));
}
