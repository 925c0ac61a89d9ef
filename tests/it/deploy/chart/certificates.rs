//! Certificates of others: a Secret, a volume, and cert-manager. The API server trusts them, and the server may change nothing.

use axum::http::Method;
use serde_json::{Value, json};

use super::super::kubelet::{Replica, pods};
use super::super::network::Network;
use super::super::program::get;
use super::super::{NAME, WEBHOOKS, webhooks, webhooks_path};
use super::installed::{cert_manager, helm, namespace};
use super::{CHART, ci};
use crate::kubernetes::eventually;
use crate::kubernetes::objects::broken_pod;
use crate::kubernetes::plane::Plane;
use crate::kubernetes::space::Space;
use crate::serve::pki::Authority;

/// Each mode, with its values and the Secret that holds the certificate.
const MODES: [(&str, &[&str], &str); 3] = [
    ("secret", &["certificate.secretName=serving"], "serving"),
    ("files", &["certificate.files.volume.secret.secretName=other", "certificate.files.certificate=tls.crt"], "other"),
    ("cert-manager", &[], "portcullis-certificate"),
];

#[test]
fn a_certificate_of_others_is_served_and_trusted() {
    let network = Network::new();
    let plane = Plane::start(&["--address", &network.node.to_string()]);
    let space = Space::new(&plane, "shop");
    namespace(&plane);
    cert_manager(&plane);
    let dir = tempfile::tempdir().expect("a folder");
    for (mode, values, secret) in MODES {
        let authority = Authority::new(mode);
        let pair = authority.issue(&[&format!("{NAME}.{NAME}.svc")]);
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}});
        plane.admin.call(Method::POST, &format!("/api/v1/namespaces/{NAME}/secrets"), Some(&object)).admitted();
        let (ca, mode) = (dir.path().join("ca.pem"), format!("certificate.mode={mode}"));
        std::fs::write(&ca, &authority.pem).expect("written");
        let ca = format!("certificate.caBundle={}", ca.display());
        let file = ci("enforce");
        let mut arguments = vec!["install", NAME, CHART, "--values", &file, "--set", &mode];
        arguments.extend(["--set", "replicas=1,podDisruptionBudget.minAvailable=0"]);
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        let is_injected = mode.ends_with("cert-manager");
        if !is_injected {
            arguments.extend(["--set-file", &ca]);
        }
        helm(&plane, &arguments);
        for resource in WEBHOOKS.iter().filter(|_| is_injected) {
            inject(&plane, resource, &authority.pem);
        }

        let pod = pods(&plane, 1).remove(0);
        let replica = Replica::start(&plane, &network, pod, "info,kube=warn");
        eventually("it is ready", || (replica.probe("readinessProbe").0 == 200).then_some(()));
        replica.report(&plane);
        eventually("it refuses", || {
            let said = space.create_dry("pods", &broken_pod("probe"));
            said.body["message"].as_str()?.contains("unpinned-images: ").then_some(())
        });
        let (_, verbose) = get(replica.port(&"admin".into()), "/readyz?verbose");
        assert!(verbose.contains("[+]webhooks as configured"), "{verbose}");
        assert_eq!(replica.program.said(&["orbidden"]), None, "its rights are enough");
        let role = plane.admin.call(Method::GET, "/apis/rbac.authorization.k8s.io/v1/clusterroles/portcullis", None);
        assert!(!role.admitted()["rules"].to_string().contains("patch"), "{mode}");

        helm(&plane, &["uninstall", NAME]);
        drop(replica);
        plane.admin.call(Method::DELETE, &format!("/api/v1/namespaces/{NAME}/secrets/{secret}"), None).admitted();
        super::installed::no_pods(&plane);
    }
}

/// What the CA injector of cert-manager does where our annotation asks it to.
fn inject(plane: &Plane, resource: &str, ca: &str) {
    use base64::Engine as _;
    let object = webhooks(plane, resource);
    assert_eq!(object["metadata"]["annotations"]["cert-manager.io/inject-ca-from"], format!("{NAME}/{NAME}"));
    let bundle = base64::engine::general_purpose::STANDARD.encode(ca);
    let names = object["webhooks"].as_array().expect("webhooks").iter().map(|webhook| &webhook["name"]);
    let set: Vec<Value> = names.map(|name| json!({"name": name, "clientConfig": {"caBundle": bundle}})).collect();
    plane.admin.call(Method::PATCH, &webhooks_path(resource), Some(&json!({"webhooks": set}))).admitted();
}
