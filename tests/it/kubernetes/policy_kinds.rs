//! Network policies of other kinds, on API servers that serve them, do not, or begin to.

use axum::http::Method;
use serde_json::{Value, json};

use super::discovery;
use super::eventually;
use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::Space;
use crate::golden::repository;
use crate::judging::documents;

/// A kind of policies.
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    scope: &'static str,
}

const fn kind(group: &'static str, version: &'static str, names: [&'static str; 2], scope: &'static str) -> Kind {
    Kind { group, version, kind: names[0], plural: names[1], scope }
}

pub(crate) const CRDS: [Kind; 7] = [
    kind("cilium.io", "v2", ["CiliumNetworkPolicy", "ciliumnetworkpolicies"], "Namespaced"),
    kind("cilium.io", "v2", ["CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies"], "Cluster"),
    kind("projectcalico.org", "v3", ["NetworkPolicy", "networkpolicies"], "Namespaced"),
    kind("projectcalico.org", "v3", ["GlobalNetworkPolicy", "globalnetworkpolicies"], "Cluster"),
    kind("crd.projectcalico.org", "v1", ["NetworkPolicy", "networkpolicies"], "Namespaced"),
    kind("crd.projectcalico.org", "v1", ["GlobalNetworkPolicy", "globalnetworkpolicies"], "Cluster"),
    kind("policy.networking.k8s.io", "v1alpha2", ["ClusterNetworkPolicy", "clusternetworkpolicies"], "Cluster"),
];

impl Kind {
    /// A skeleton, which takes every field.
    fn crd(&self) -> Value {
        let mut crd = discovery::crd(self.group, self.kind, self.plural);
        crd["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, for a test"});
        crd["spec"]["scope"] = self.scope.into();
        crd["spec"]["versions"][0]["name"] = self.version.into();
        crd
    }

    fn list(&self) -> String {
        format!("/apis/{}/{}/{}", self.group, self.version, self.plural)
    }
}

/// Installs those that are not there, and waits until they are served.
pub(crate) fn install(plane: &Plane) {
    for kind in &CRDS {
        let made = plane.admin.call(Method::POST, discovery::CRDS, Some(&kind.crd()));
        assert!(made.is_success() || made.code == 409, "{made:#?}");
    }
    for kind in &CRDS {
        eventually("it is served", || plane.admin.call(Method::GET, &kind.list(), None).is_success().then_some(()));
    }
}

fn labelled(app: &str) -> Value {
    let mut pod = pod(app, spec());
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

#[test]
fn a_kind_that_comes_later_counts_and_one_that_is_absent_holds_nothing_up() {
    let plane = Plane::start(&["--with-controller-manager=false"]);
    let space = Space::open(&plane, "it-policy-kinds");
    let portcullis = Portcullis::hardened(&plane, &space);
    assert!(portcullis.admin("/readyz?verbose").contains("[+]network-policies read, or not served"));
    for app in ["cilium", "calico", "cluster", "other"] {
        space.create_dry("pods", &labelled(app)).refused();
    }

    let metadata = json!({"name": "web", "namespace": space.name});
    let cilium = json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata,
        "spec": {"endpointSelector": {"matchLabels": {"k8s:app": "cilium"}}, "ingress": [{}],
            "egress": [{"toFQDNs": [{"matchName": "example.com"}]}]}});
    let calico = json!({"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": metadata,
        "spec": {"selector": "app == 'calico'", "types": ["Ingress", "Egress"]}});
    let cluster = json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "it"},
        "spec": {"tier": "Baseline", "priority": 5, "subject": {"pods": {"namespaceSelector": {"matchLabels":
            {"kubernetes.io/metadata.name": space.name}}, "podSelector": {"matchLabels": {"app": "cluster"}}}},
            "ingress": [{"action": "Deny", "from": [{"namespaces": {}}]}],
            "egress": [{"action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}]}]}});
    // Cilium's is a skeleton of ours, the others are those of their projects.
    let crds = ["calico-v3-networkpolicies", "clusternetworkpolicies"].map(|name| {
        let file = repository("../shared/crds").join(format!("{name}.yaml"));
        documents(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
            .remove(0)
    });
    for crd in crds.into_iter().chain([CRDS[0].crd()]) {
        plane.admin.call(Method::POST, discovery::CRDS, Some(&crd)).admitted();
    }
    for (kind, policy) in [(&CRDS[0], &cilium), (&CRDS[2], &calico), (&CRDS[6], &cluster)] {
        let path = match kind.scope {
            "Cluster" => kind.list(),
            _ => format!("/apis/{}/{}/namespaces/{}/{}", kind.group, kind.version, space.name, kind.plural),
        };
        eventually("it is served", || plane.admin.call(Method::POST, &path, Some(policy)).is_success().then_some(()));
    }
    for app in ["cilium", "calico", "cluster"] {
        eventually(app, || space.create_dry("pods", &labelled(app)).is_success().then_some(()));
        space.create("pods", &labelled(app)).admitted();
    }
    space.create("pods", &labelled("other")).refused();
    assert!(portcullis.admin("/readyz?verbose").contains("[+]network-policies read, or not served"));

    // What is not understood is named, and isolates nobody.
    let path = format!("/apis/cilium.io/v2/namespaces/{}/ciliumnetworkpolicies", space.name);
    let mut odd = cilium;
    odd["metadata"]["name"] = "odd".into();
    odd["spec"]["endpointSelector"] = json!(["app"]);
    plane.admin.call(Method::POST, &path, Some(&odd)).admitted();
    let line = format!("[!]network-policies: ciliumnetworkpolicies.cilium.io: {}/odd is not understood", space.name);
    eventually("it is named", || portcullis.admin("/readyz?verbose").contains(&line).then_some(()));
    // The policy goes, and with it what it isolated.
    plane.admin.call(Method::DELETE, &format!("{path}/web"), None).admitted();
    eventually("the watch tells of it", || (!space.create_dry("pods", &labelled("cilium")).is_success()).then_some(()));
}
