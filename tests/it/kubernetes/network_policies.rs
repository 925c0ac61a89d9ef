//! NetworkPolicies that allow everything, and the Pods that they do not isolate.

use serde_json::{Value, json};

use super::objects::{pod, spec};
use super::plane::Plane;
use super::process::Portcullis;
use super::space::{Space, isolation};

const MESSAGE: &str = "open-egress: spec.egress must not allow all egress without a reason in the annotation \
                       portcullis.dev/reason";

fn policy(name: &str, egress: Value) -> Value {
    let mut policy = isolation(name, json!({"app": name}));
    policy["spec"]["egress"] = json!([egress]);
    policy
}

/// Everything but one address, in two blocks and two ranges of ports.
fn everywhere() -> Value {
    json!({
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/1"}},
            {"ipBlock": {"cidr": "128.0.0.0/1", "except": ["169.254.169.254/32"]}},
        ],
        "ports": [{"port": 1, "endPort": 1_023}, {"port": 1_024, "endPort": 65_535}],
    })
}

#[test]
fn a_network_policy_that_allows_all_egress_is_refused_unless_it_says_why() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-open-egress");
    space.create("networkpolicies", &policy("old", everywhere())).admitted();
    let portcullis = Portcullis::hardened(plane, &space);
    let decision = |name: &str| portcullis.decision("NetworkPolicy", name);

    let open = policy("web", everywhere());
    let answer = space.create("networkpolicies", &open);
    assert!(answer.refused().starts_with(MESSAGE), "{answer:#?}");
    assert_eq!(decision("web")["findings"][0]["policy"], "open-egress");
    space.create_dry("networkpolicies", &open).refused();

    let mut reasoned = open;
    reasoned["metadata"]["annotations"] = json!({"portcullis.dev/reason": "  "});
    space.create("networkpolicies", &reasoned).refused();
    reasoned["metadata"]["annotations"] = json!({"portcullis.dev/reason": "it crawls the web (SHOP-17)"});
    let answer = space.create_dry("networkpolicies", &reasoned);
    assert_eq!(answer.warnings, [] as [&str; 0]);
    space.create("networkpolicies", &reasoned).admitted();
    let record = decision("web");
    assert_eq!((&record["decision"], &record["reason"]), (&"allow".into(), &"it crawls the web (SHOP-17)".into()));
    // The reason goes, and what needs it stays.
    let without = json!({"metadata": {"annotations": {"portcullis.dev/reason": null}}});
    assert!(space.patch("networkpolicies", "web", &without).refused().starts_with(MESSAGE));

    // Ingress may be open, until a configuration says otherwise.
    let mut narrow = policy("shop", json!({"to": [{"podSelector": {}}], "ports": [{"port": 443}]}));
    narrow["spec"]["ingress"] = json!([{}]);
    space.create_dry("networkpolicies", &narrow).admitted();
    space.create("networkpolicies", &narrow).admitted();
    assert!(decision("shop").get("reason").is_none());
    let widened = json!({"spec": {"egress": [{}]}});
    assert!(space.patch("networkpolicies", "shop", &widened).refused().starts_with(MESSAGE));

    // An old one can change elsewhere, and be put right, but does not come back.
    let answer = space.patch("networkpolicies", "old", &json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(answer.warns("open-egress: "), "{answer:#?}");
    answer.admitted();
    assert_eq!(decision("old")["findings"][0]["inherited"], true);
    space.patch("networkpolicies", "old", &json!({"spec": {"egress": []}})).admitted();
    assert!(space.patch("networkpolicies", "old", &widened).refused().starts_with(MESSAGE));
    space.delete("networkpolicies", "old").admitted();
}

#[test]
fn open_ingress_is_refused_where_a_configuration_says_so() {
    let plane = Plane::shared();
    let space = Space::new(plane, "it-open-ingress");
    let lines = "profile: hardened\npolicies:\n  open-ingress: {mode: enforce, settings: {widest: {ipv4: 9}}}\n";
    let _portcullis = Portcullis::guard(plane, &[&space], lines, &[]);
    let mut policy = isolation("web", json!({"app": "web"}));
    let from = |block: &str| json!([{"from": [{"ipBlock": {"cidr": block}}]}]);
    policy["spec"]["ingress"] = from("8.0.0.0/9");
    let answer = space.create("networkpolicies", &policy);
    assert!(answer.refused().starts_with("open-ingress: spec.ingress must not allow all ingress"), "{answer:#?}");
    policy["spec"]["ingress"] = from("8.0.0.0/10");
    space.create("networkpolicies", &policy).admitted();
}

#[test]
fn a_pod_whose_policies_together_allow_everything_is_refused() {
    let plane = Plane::shared();
    let space = Space::open(plane, "it-together");
    let half = |name: &str, block: &str| {
        let mut policy = isolation(name, json!({"app": "web"}));
        policy["spec"]["egress"] = json!([{"to": [{"ipBlock": {"cidr": block}}]}]);
        policy
    };
    // Neither is everything by itself.
    let portcullis = Portcullis::hardened(plane, &space);
    space.create("networkpolicies", &half("first", "8.0.0.0/9")).admitted();
    let mut web = pod("web", spec());
    web["metadata"]["labels"] = json!({"app": "web"});
    space.create_dry("pods", &web).admitted();
    space.create("networkpolicies", &half("second", "8.128.0.0/9")).admitted();
    let message = "unisolated-pods: metadata.labels must be selected by a NetworkPolicy for egress: those in namespace \
                   \"it-together\" that select it together allow everything";
    // The watch tells of the second policy a moment later.
    let answer = super::eventually("both policies are known", || {
        let answer = space.create("pods", &web);
        let is_refused = !answer.is_success();
        if !is_refused {
            space.delete("pods", "web");
        }
        is_refused.then_some(answer)
    });
    assert!(answer.refused().starts_with(message), "{answer:#?}");
    assert_eq!(portcullis.decision("Pod", "web")["decision"], "deny");
}
