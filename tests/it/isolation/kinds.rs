//! What is read of the policies of Cilium and of Calico and of ClusterNetworkPolicies, case by case, as their documentation says.

mod calico;

use portcullis::cluster::Manifests;
use serde_json::{Value, json};

use super::{configured, missing};

/// Everything that the Pod `web` of the tables is about.
const SURROUNDINGS: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {team: shop}}\n---\n\
                            apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: default, labels: {role: api}}\n";

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {"serviceAccountName": "web"}})
}

/// A policy: its kind in one word, and its `spec`, or for the first what follows its metadata.
fn document(number: usize, kind: &str, spec: &str) -> String {
    let (version, full, is_namespaced) = match kind {
        "np" => ("networking.k8s.io/v1", "NetworkPolicy", true),
        "cilium" | "cilium+" => ("cilium.io/v2", "CiliumNetworkPolicy", true),
        "wide" => ("cilium.io/v2", "CiliumClusterwideNetworkPolicy", false),
        "calico" => ("projectcalico.org/v3", "NetworkPolicy", true),
        "crd" => ("crd.projectcalico.org/v1", "NetworkPolicy", true),
        "global" => ("projectcalico.org/v3", "GlobalNetworkPolicy", false),
        "cluster" => ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", false),
        other => panic!("{other}"),
    };
    let place = if is_namespaced { ", namespace: default" } else { "" };
    let body = if kind == "cilium+" { spec.to_owned() } else { format!("spec: {spec}") };
    format!("apiVersion: {version}\nkind: {full}\nmetadata: {{name: p{number}{place}}}\n{body}\n")
}

/// The directions in which the Pod is not isolated: `-`, `i`, `e` or `ie`.
fn found(counts_open: bool, policies: &[(&str, &str)]) -> String {
    let mut world = Manifests::whole(true);
    let documents = policies.iter().enumerate().map(|(number, (kind, spec))| document(number, kind, spec));
    for text in std::iter::once(SURROUNDINGS.to_owned()).chain(documents) {
        for node in portcullis::document::read(&text).unwrap_or_else(|error| panic!("{error:?}: {text}")) {
            world.add(&node, "default");
        }
    }
    let missing = missing(&configured(&["ingress", "egress"], counts_open), &pod(), &world);
    let letters: String = missing.iter().map(|direction| &direction[..1]).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

#[track_caller]
fn all(cases: &[(&str, &[(&str, &str)])]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(expected, policies)| {
            let found = found(false, policies);
            (found != *expected).then(|| format!("{found} instead of {expected}: {policies:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same for single policies of a kind, each in a frame that holds `$`.
#[track_caller]
fn each(kind: &str, frame: &str, cases: &[(&str, &str)]) {
    let specs: Vec<(&str, String)> =
        cases.iter().map(|(expected, part)| (*expected, frame.replace('$', part))).collect();
    let policies: Vec<(&str, [(&str, &str); 1])> =
        specs.iter().map(|(expected, spec)| (*expected, [(kind, spec.as_str())])).collect();
    let cases: Vec<(&str, &[(&str, &str)])> =
        policies.iter().map(|(expected, policies)| (*expected, policies.as_slice())).collect();
    all(&cases);
}

#[test]
fn a_policy_of_cilium_isolates_whom_its_endpoint_selector_selects() {
    let isolating = "{$, ingress: [{}], egress: [{}]}";
    each(
        "cilium",
        isolating,
        &[
            ("-", "endpointSelector: {}"),
            ("-", "endpointSelector: {matchLabels: {app: web}}"),
            ("-", "endpointSelector: {matchLabels: {\"k8s:app\": web}}"),
            ("-", "endpointSelector: {matchLabels: {\"any:app\": web, tier: front}}"),
            ("ie", "endpointSelector: {matchLabels: {\"container:app\": web}}"),
            ("ie", "endpointSelector: {matchLabels: {app: shop}}"),
            ("ie", "endpointSelector: {matchLabels: {\"reserved:init\": \"\"}}"),
            ("-", "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": other}}"),
            (
                "ie",
                "endpointSelector: {matchExpressions: [{key: \"k8s:io.kubernetes.pod.namespace\", operator: In, values: [other]}]}",
            ),
            (
                "ie",
                "endpointSelector: {matchExpressions: [{key: io.kubernetes.pod.namespace, operator: NotIn, values: [default]}]}",
            ),
            ("-", "endpointSelector: {matchExpressions: [{key: app, operator: In, values: [web, shop]}]}"),
            ("ie", "endpointSelector: {matchExpressions: [{key: \"k8s:app\", operator: DoesNotExist}]}"),
            ("-", "endpointSelector: {matchExpressions: [{key: \"reserved:host\", operator: DoesNotExist}]}"),
            ("ie", "endpointSelector: {matchExpressions: [{key: app, operator: In}]}"),
            ("ie", "nodeSelector: {}"),
            ("ie", "description: nothing"),
            ("ie", "endpointSelector: [app]"),
        ],
    );
    each(
        "wide",
        isolating,
        &[
            ("-", "endpointSelector: {}"),
            ("-", "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": default}}"),
            ("ie", "endpointSelector: {matchLabels: {\"k8s:io.kubernetes.pod.namespace\": other}}"),
            (
                "-",
                "endpointSelector: {matchExpressions: [{key: io.kubernetes.pod.namespace, operator: NotIn, values: [kube-system]}]}",
            ),
            ("-", "endpointSelector: {matchLabels: {\"k8s:io.cilium.k8s.namespace.labels.team\": shop}}"),
            ("ie", "endpointSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: other}}"),
            ("-", "endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: web}}"),
            ("ie", "endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: other}}"),
            ("ie", "nodeSelector: {}"),
        ],
    );
}

#[test]
fn a_section_of_cilium_turns_default_deny_on() {
    each(
        "cilium",
        "{endpointSelector: {}, $}",
        &[
            ("e", "ingress: [{}]"),
            ("i", "egress: [{}]"),
            ("ie", "ingress: [], egress: []"),
            ("i", "ingress: null, egress: [{}]"),
            ("e", "ingressDeny: [{fromEntities: [world]}]"),
            ("-", "ingressDeny: [{}], egressDeny: [{}]"),
            ("i", "enableDefaultDeny: {ingress: false}, ingress: [{}], egress: [{}]"),
            ("-", "enableDefaultDeny: {egress: true}, ingress: [{}]"),
            ("ie", "enableDefaultDeny: {ingress: false, egress: false}, ingressDeny: [{fromEntities: [host]}]"),
            (
                "-",
                "enableDefaultDeny: {ingress: false, egress: false}, ingressDeny: [{fromEntities: [all]}], egressDeny: [{toEntities: [all]}]",
            ),
        ],
    );
    all(&[
        ("-", &[("cilium+", "specs: [{endpointSelector: {}, ingress: [{}]}, {endpointSelector: {}, egress: [{}]}]")]),
        ("e", &[("cilium+", "spec: {endpointSelector: {}, ingress: [{}]}\nspecs: null")]),
        ("-", &[("cilium", "{endpointSelector: {}, ingress: [{}]}"), ("np", "{policyTypes: [Egress]}")]),
    ]);
}

#[test]
fn what_policies_of_cilium_allow_adds_up() {
    let ingress = "{endpointSelector: {}, egress: [{}], ingress: [$]}";
    each(
        "cilium",
        ingress,
        &[
            ("i", "{fromEntities: [all]}"),
            ("i", "{fromEntities: [world]}"),
            ("i", "{fromEntities: [world-ipv4]}"),
            ("i", "{fromEntities: [world-ipv6]}"),
            ("i", "{fromEntities: [cluster]}"),
            ("-", "{fromEntities: [host, remote-node, kube-apiserver, health, init, unmanaged, none]}"),
            ("-", "{fromEntities: [World]}"),
            ("-", "{fromEndpoints: [{}]}"),
            (
                "i",
                "{fromEndpoints: [{matchExpressions: [{key: \"k8s:io.kubernetes.pod.namespace\", operator: Exists}]}]}",
            ),
            ("-", "{fromEndpoints: [{matchLabels: {\"k8s:io.kubernetes.pod.namespace\": other}}]}"),
            ("i", "{fromEndpoints: [{matchLabels: {\"reserved:world\": \"\"}}]}"),
            ("i", "{fromEndpoints: [{matchExpressions: [{key: \"reserved:host\", operator: DoesNotExist}]}]}"),
            ("-", "{fromEndpoints: [], toPorts: [{ports: [{port: \"0\"}]}]}"),
            ("-", "{toPorts: [{ports: [{port: \"80\", protocol: TCP}]}]}"),
            ("i", "{toPorts: [{ports: [{port: \"0\"}]}]}"),
            ("i", "{toPorts: [{ports: [{port: \"1\", endPort: 65535, protocol: TCP}]}]}"),
            ("-", "{toPorts: [{ports: [{port: \"2\", endPort: 65535, protocol: TCP}]}]}"),
            ("-", "{toPorts: [{ports: [{port: http}]}]}"),
            ("-", "{toPorts: [{ports: [{port: \"0\", protocol: TCP}], rules: {http: [{method: GET}]}}]}"),
            ("-", "{fromEntities: [all], icmps: [{fields: [{type: 8}]}]}"),
            ("-", "{fromCIDR: [10.0.0.0/8, 1.1.1.1]}"),
            ("i", "{fromCIDR: [0.0.0.0/0]}"),
            ("i", "{fromCIDR: [0.0.0.0/1]}, {fromCIDR: [128.0.0.0/1]}"),
            ("i", "{fromCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]}"),
            ("-", "{fromCIDRSet: [{cidr: 0.0.0.0/0, except: [0.0.0.0/0]}]}"),
            ("-", "{fromCIDRSet: [{cidrGroupRef: partners}]}"),
            ("-", "{fromNodes: [{}]}"),
        ],
    );
    each("wide", ingress, &[("i", "{fromEndpoints: [{}]}"), ("-", "{fromEndpoints: [{matchLabels: {app: web}}]}")]);
    each(
        "cilium",
        "{endpointSelector: {}, ingress: [{}], egress: [$]}",
        &[
            ("e", "{toFQDNs: [{matchPattern: \"*\"}]}"),
            ("-", "{toFQDNs: [{matchName: a.example.com}, {matchPattern: \"*.example.com\"}]}"),
            ("-", "{toServices: [{k8sService: {serviceName: web}}]}"),
            (
                "e",
                "{toEntities: [world], toPorts: [{ports: [{port: \"1\", endPort: 600}, {port: \"601\", endPort: 65535}]}]}",
            ),
        ],
    );
    each(
        "cilium",
        "{endpointSelector: {}, egress: [{}], ingress: [{fromEntities: [all]}], ingressDeny: [$]}",
        &[
            ("i", "{}"),
            ("i", "{fromEntities: [host]}"),
            ("i", "{fromCIDR: [10.0.0.0/8]}"),
            // The cluster is left, or the world.
            ("i", "{fromEntities: [world]}"),
            ("i", "{fromEntities: [cluster]}"),
            ("-", "{fromEntities: [world, cluster]}"),
            ("-", "{fromEntities: [all]}"),
            ("i", "{toPorts: [{ports: [{port: \"22\", protocol: TCP}]}]}"),
            ("-", "{toPorts: [{ports: [{port: \"0\"}]}]}"),
        ],
    );
}

#[test]
fn a_cluster_network_policy_isolates_by_what_it_denies() {
    let all_out = "egress: [{action: Deny, to: [{networks: [0.0.0.0/0, \"::/0\"]}]}]";
    let frame = format!("{{tier: Admin, priority: 10, subject: {{namespaces: {{}}}}, {all_out}, ingress: [$]}}");
    let everybody = "from: [{namespaces: {}}]";
    let cases = [
        ("-", format!("{{action: Deny, {everybody}}}")),
        ("-", "{action: Deny, from: [{pods: {}}]}".to_owned()),
        ("i", format!("{{action: Accept, {everybody}}}, {{action: Deny, {everybody}}}")),
        ("i", format!("{{action: Pass, {everybody}}}, {{action: Deny, {everybody}}}")),
        ("i", "{action: Deny, from: [{namespaces: {matchLabels: {team: shop}}}]}".to_owned()),
        ("i", "{action: Deny, from: [{pods: {podSelector: {matchLabels: {app: web}}}}]}".to_owned()),
        ("i", format!("{{action: Deny, {everybody}, protocols: [{{tcp: {{destinationPort: {{number: 22}}}}}}]}}")),
        ("i", format!("{{action: Accept, {everybody}}}")),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(expected, rules)| (*expected, rules.as_str())).collect();
    each("cluster", &frame, &cases);

    let denied = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
    each(
        "cluster",
        &format!("{{tier: Baseline, priority: 10, {denied}, $}}"),
        &[
            ("-", &format!("subject: {{namespaces: {{}}}}, {all_out}")),
            ("-", &format!("subject: {{pods: {{podSelector: {{matchLabels: {{app: web}}}}}}}}, {all_out}")),
            ("ie", &format!("subject: {{namespaces: {{matchLabels: {{team: other}}}}}}, {all_out}")),
            ("ie", &format!("subject: {{pods: {{namespaceSelector: {{matchLabels: {{team: other}}}}}}}}, {all_out}")),
            ("e", "subject: {namespaces: {}}"),
            ("e", "subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}]}]"),
            ("e", "subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]"),
            ("ie", "subject: {}"),
        ],
    );
    let both = |tier: &str, action: &str| {
        format!(
            "{{tier: {tier}, priority: 1, subject: {{namespaces: {{}}}}, ingress: [{{action: {action}, {everybody}}}]}}"
        )
    };
    let isolating = ("np", "{policyTypes: [Ingress, Egress]}");
    all(&[
        ("i", &[isolating, ("cluster", &both("Admin", "Accept"))]),
        ("-", &[isolating, ("cluster", &both("Admin", "Pass"))]),
        ("-", &[isolating, ("cluster", &both("Baseline", "Accept"))]),
        ("-", &[("np", "{policyTypes: [Ingress, Egress], ingress: [{}]}"), ("cluster", &both("Admin", "Deny"))]),
        ("i", &[("np", "{policyTypes: [Ingress, Egress], ingress: [{}]}"), ("cluster", &both("Baseline", "Deny"))]),
    ]);
}

#[test]
fn each_engine_applies_network_policies_too() {
    let isolating = ("np", "{policyTypes: [Ingress, Egress]}");
    all(&[
        ("i", &[isolating, ("cilium", "{endpointSelector: {}, ingress: [{fromEntities: [all]}]}")]),
        (
            "-",
            &[
                isolating,
                ("cilium", "{endpointSelector: {matchLabels: {app: shop}}, ingress: [{fromEntities: [all]}]}"),
            ],
        ),
        ("i", &[isolating, ("calico", "{ingress: [{action: Allow}]}")]),
        // One engine stops what the other lets through.
        (
            "-",
            &[
                isolating,
                ("cilium", "{endpointSelector: {}, ingress: [{fromEntities: [all]}]}"),
                ("calico", "{ingress: [{action: Deny}]}"),
            ],
        ),
    ]);
    // Where open policies count, default deny is enough, and a ClusterNetworkPolicy counts by what it denies all the same.
    let open = "{endpointSelector: {}, ingress: [{fromEntities: [all]}], egress: [{toEntities: [all]}]}";
    assert_eq!(found(true, &[("cilium", open)]), "-");
    let some = "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{pods: \
                {podSelector: {matchLabels: {app: web}}}}]}]}";
    assert_eq!(found(true, &[("cluster", some)]), "ie");
}
