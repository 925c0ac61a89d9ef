//! A replica whose configuration has errors starts on the last good one only if no ready replica holds another.

use axum::http::Method;
use serde_json::json;

use super::chart::CHART;
use super::chart::installed::helm;
use super::kubelet::{Replica, pods};
use super::network::Network;
use super::program::get;
use super::{NAME, kubectl};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;

const LOG: &str = "info,kube=warn";
const CONFIG: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: audit-only\n\
                      trail: {spool: {directory: /var/lib/portcullis/spool, maxSize: 1Gi}}\n";

fn configure(plane: &Plane, text: &str) {
    let path = format!("/api/v1/namespaces/{NAME}/configmaps/{NAME}");
    let patch = json!({"data": {"config.yaml": text}});
    plane.admin.call(Method::PATCH, &path, Some(&patch)).admitted();
}

/// Waits until `/readyz?verbose` has that status and holds that text.
#[track_caller]
fn says(replica: &Replica, status: u16, part: &str) {
    let admin = replica.port(&"admin".into());
    let mut last = String::new();
    eventually(&format!("{status}: {part}"), || {
        let (code, text) = get(admin, "/readyz?verbose");
        last.clone_from(&text);
        (code == status && text.contains(part)).then_some(())
    });
}

#[test]
fn a_replica_starts_on_the_last_good_configuration_unless_a_ready_one_holds_another() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    kubectl(&plane, &["create", "namespace", NAME]);
    let spool = "configuration.trail.spool.directory=/var/lib/portcullis/spool,configuration.trail.spool.maxSize=1Gi";
    let values =
        ["image.registry=registry.example.com,image.allowTag=true,image.tag=v1", "persistence.enabled=true", spool];
    let mut arguments = vec!["install", NAME, CHART, "--set", "fallbackToLastGood=true"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    helm(&plane, &arguments);
    configure(&plane, CONFIG);
    let mut started: Vec<Replica> =
        pods(&plane, 2).into_iter().map(|pod| Replica::start(&plane, &network, pod, LOG)).collect();
    for replica in &started {
        says(replica, 200, "[+]configuration-file in force");
        replica.report(&plane);
    }
    let (first, second) = (started.remove(0), started.remove(0));

    // Both hold the same: the one that is started again falls back.
    configure(&plane, "profil: hardened\n");
    first.report_as(&plane, false);
    let first = first.again(&plane, &network, LOG);
    says(&first, 200, "[!]configuration-file: has errors; the last good configuration is in force, since the start: ");
    first.report_as(&plane, true);

    // The other holds a newer one: the one that is started again must not undo it.
    first.report_as(&plane, false);
    configure(&plane, &format!("{CONFIG}ceiling: warn\n"));
    second.sync(&plane);
    eventually("it is taken", || second.program.said(&["the configuration was replaced"]));
    configure(&plane, "profil: hardened\n");
    let first = first.again(&plane, &network, LOG);
    let admin = second.port(&"admin".into());
    says(
        &first,
        503,
        &format!("; not started on the last good one: the ready replica {admin} holds another configuration"),
    );

    // One that does not answer may hold another one too.
    let second = second.again(&plane, &network, "off");
    let stale = admin.to_string();
    says(&first, 503, &format!("the ready replica {stale} does not say which configuration it holds"));
    // It is gone: nobody holds another one.
    second.report_as(&plane, false);
    says(&first, 200, "[!]configuration-file: has errors; ");
    assert_eq!(first.program.said(&["orbidden"]), None, "its rights are enough");
}
