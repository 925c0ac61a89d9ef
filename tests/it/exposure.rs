//! Settings of the policies on Services and Ingresses.

use portcullis::request::Source;
use serde_json::{Value, json};

use crate::judging::{configured, create, world};

/// The messages about an object, with these settings of a policy.
fn found(policy: &str, settings: &str, object: &Value) -> Vec<String> {
    let snapshot = configured(&format!("policies: {{{policy}: {{mode: enforce, settings: {settings}}}}}\n"));
    let decision = create(&snapshot, object, &world(""), Source::ApiServer).expect("readable");
    decision.findings.into_iter().map(|finding| finding.message).collect()
}

fn balancer(annotations: Value, spec: Value) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "annotations": annotations}, "spec": spec});
    service["spec"]["type"] = "LoadBalancer".into();
    service
}

#[test]
fn an_internal_load_balancer_counts_where_its_provider_is_set() {
    let internal = [
        ("alibaba", "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "intranet"),
        ("aws", "service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
        ("aws", "service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
        ("azure", "service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
        ("google", "networking.gke.io/load-balancer-type", "Internal"),
        ("google", "cloud.google.com/load-balancer-type", "internal"),
        ("ibm", "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", "private"),
        ("openstack", "service.beta.kubernetes.io/openstack-internal-load-balancer", "true"),
        ("oracle", "service.beta.kubernetes.io/oci-load-balancer-internal", "true"),
        ("oracle", "oci-network-load-balancer.oraclecloud.com/internal", "true"),
    ];
    for (provider, annotation, value) in internal {
        let of = |value: &str| balancer(json!({annotation: value}), json!({}));
        let settings = format!("{{internal: [{provider}]}}");
        assert!(found("exposed-services", &settings, &of(value)).is_empty(), "{annotation}");
        assert_eq!(found("exposed-services", &settings, &of("false")).len(), 1, "{annotation}");
        assert_eq!(found("exposed-services", "{}", &of(value)).len(), 1, "{annotation}");
        let other = if provider == "aws" { "{internal: [azure]}" } else { "{internal: [aws]}" };
        assert_eq!(found("exposed-services", other, &of(value)).len(), 1, "{annotation}");
    }
}

#[test]
fn an_internal_annotation_beside_one_that_says_otherwise_does_not_count() {
    for (provider, annotations) in [
        (
            "google",
            json!({"networking.gke.io/load-balancer-type": "External", "cloud.google.com/load-balancer-type": "Internal"}),
        ),
        ("google", json!({"networking.gke.io/load-balancer-type": "INTERNAL"})),
        (
            "aws",
            json!({"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
                "service.beta.kubernetes.io/aws-load-balancer-internal": "true"}),
        ),
    ] {
        let settings = format!("{{internal: [{provider}]}}");
        let found = found("exposed-services", &settings, &balancer(annotations.clone(), json!({})));
        assert_eq!(found.len(), 1, "{annotations}");
    }
}

#[test]
fn settings_of_exposed_services_decide() {
    let ranges = |ranges: &[&str]| balancer(json!({}), json!({"loadBalancerSourceRanges": ranges}));
    let external = |address: &str| {
        balancer(json!({}), json!({"loadBalancerSourceRanges": ["192.0.2.0/24"], "externalIPs": [address]}))
    };
    for (settings, object, count) in [
        ("{balancerNodePorts: false}", ranges(&["192.0.2.0/24"]), 1),
        ("{balancerNodePorts: true}", ranges(&["192.0.2.0/24"]), 0),
        ("{widest: {ipv4: 7}}", ranges(&["20.0.0.0/8"]), 0),
        ("{widest: {ipv4: 24}}", ranges(&["20.0.0.0/24"]), 1),
        ("{widest: {ipv4: 24}}", ranges(&["20.0.0.0/25"]), 0),
        ("{widest: {ipv4: 32, ipv6: 128}}", ranges(&["20.0.0.0/32"]), 1),
        ("{widest: {ipv6: 48}}", ranges(&["2a00::/48"]), 1),
        ("{widest: {ipv6: 0}}", ranges(&["2000::/4"]), 0),
        // All that is public is in it.
        ("{widest: {ipv6: 0}}", ranges(&["::/1"]), 1),
        ("{}", ranges(&["not a block"]), 1),
        ("{externalIPs: [192.0.2.7]}", external("192.0.2.7"), 0),
        ("{externalIPs: [192.0.2.7]}", external("192.0.2.8"), 1),
        ("{externalIPs: ['2001:db8::7']}", external("2001:DB8:0::7"), 0),
    ] {
        let found = found("exposed-services", settings, &object);
        assert_eq!(found.len(), count, "{settings} {object}: {found:?}");
    }
}

#[test]
fn a_snippet_that_the_settings_allow_is_admitted() {
    let key = "nginx.ingress.kubernetes.io/configuration-snippet";
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {key: "return 204;"}}});
    assert_eq!(found("ingress-snippets", "{}", &ingress).len(), 1);
    assert!(found("ingress-snippets", &format!("{{allow: [{key}]}}"), &ingress).is_empty());
    assert_eq!(found("ingress-snippets", "{allow: [configuration-snippet]}", &ingress).len(), 1);
}
