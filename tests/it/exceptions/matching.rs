//! The objects, and the findings on them, that an exception covers.

use portcullis::cluster::Manifests;
use portcullis::decision::Verdict;
use serde_json::{Value, json};

use super::{
    NOW, answer, configured, container, covered, create, deployment, enforced, exception, pod, review_of, time,
};

const UNPINNED: &[&str] = &["unpinned-images"];

/// True if an exception for objects that match so admits an unpinned object that this user creates.
fn admits_by(user: &str, matching: &str, object: &Value) -> bool {
    let snapshot = enforced(UNPINNED, &[exception("one", "unpinned-images", matching)]);
    let review = review_of("CREATE", user, object, None);
    let decision = answer(&snapshot, &review, &Manifests::default(), time(NOW));
    assert!(!decision.findings.is_empty(), "it is judged all the same");
    assert_eq!(decision.allowed, decision.verdict == Verdict::Exempt, "{decision:?}");
    decision.allowed
}

fn admits(matching: &str, object: &Value) -> bool {
    admits_by("jane", matching, object)
}

#[test]
fn names_kinds_and_namespaces_are_exact() {
    let web = deployment("web", &[container("web", "shop/web")]);
    for matching in [
        "namespace: shop",
        "namespace: shop, kind: Deployment",
        "namespace: shop, kind: Deployment.apps, name: web",
        "namespace: shop, name: web",
    ] {
        assert!(admits(matching, &web), "{matching}");
    }
    for matching in [
        "namespace: shop-2",
        "namespace: shop, kind: StatefulSet",
        "namespace: shop, kind: Deployment.example.com",
        "namespace: shop, kind: Deployment.app",
        "namespace: shop, name: we",
        "namespace: shop, name: web-2",
        "kind: Widget, name: web",
    ] {
        assert!(!admits(matching, &web), "{matching}");
    }
}

#[test]
fn an_exception_without_a_namespace_is_for_what_lives_in_none() {
    let lines = |matching: &str| {
        format!(
            "policies: {{unpinned-images: {{mode: enforce}}}}\nexceptions: [{}]\n\
             workloads: [{{group: example.com, kind: Widget, path: /spec/template}}]\n",
            exception("one", "unpinned-images", matching)
        )
    };
    let widget = |namespace: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": namespace},
            "spec": {"template": {"spec": {"containers": [container("web", "nginx")]}}}})
    };
    let free = configured(&lines("kind: Widget"));
    assert!(create(&free, &widget("")).allowed);
    assert!(!create(&free, &widget("shop")).allowed, "in a namespace");
    let bound = configured(&lines("namespace: shop, kind: Widget"));
    assert!(create(&bound, &widget("shop")).allowed);
    assert!(!create(&bound, &widget("")).allowed, "in none");
}

#[test]
fn a_prefix_matches_names_and_names_to_be_generated_and_needs_the_images_too() {
    let prefix = "namespace: shop, namePrefix: build-, images: [\"shop/**\"]";
    let named = |metadata: Value, image: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container("a", image)]}});
    let generated = |prefix: &str| json!({"generateName": prefix, "namespace": "shop"});
    assert!(admits(prefix, &named(json!({"name": "build-17", "namespace": "shop"}), "shop/ci")));
    assert!(admits(prefix, &named(generated("build-main-"), "shop/ci")));
    assert!(!admits(prefix, &named(generated("build-main-"), "evil/ci")), "another image");
    assert!(!admits(prefix, &named(generated("buil"), "shop/ci")), "a name that may begin otherwise");
    // An exact name is never one that is to be generated, whatever it would become.
    assert!(!admits("namespace: shop, name: build-", &named(generated("build-"), "shop/ci")));
    // Only so much of a long prefix comes into the name.
    let long = "b".repeat(70);
    let whole = format!("namespace: shop, namePrefix: {long}, images: [\"shop/**\"]");
    assert!(!admits(&whole, &named(generated(&long), "shop/ci")));
    let kept = format!("namespace: shop, namePrefix: {}, images: [\"shop/**\"]", &long[..58]);
    assert!(admits(&kept, &named(generated(&long), "shop/ci")));
}

#[test]
fn a_finding_on_a_container_is_covered_by_its_name_and_image() {
    let both = pod("web", &[container("web", "shop/web:1"), container("side", "nginx")]);
    let cases = [
        ("containers: [web]", [true, false]),
        ("containers: [web, side]", [true, true]),
        ("images: [\"shop/**\"]", [true, false]),
        ("images: [nginx]", [false, true]),
        ("images: [\"docker.io/**\"]", [true, true]),
        ("images: [shop/web]", [true, false]),
        ("images: [\"shop/web:2\"]", [false, false]),
        ("containers: [web], images: [nginx]", [false, false]),
        ("containers: [we]", [false, false]),
    ];
    for (matching, wanted) in cases {
        let one = exception("one", "unpinned-images", &format!("namespace: shop, {matching}"));
        let decision = create(&enforced(UNPINNED, &[one]), &both);
        let covered: Vec<bool> = covered(&decision).iter().map(|(_, name)| name.is_some()).collect();
        assert_eq!(covered, wanted, "{matching}");
        assert_eq!(decision.allowed, wanted == [true, true], "{matching}");
    }
}

#[test]
fn names_and_images_too_long_for_a_finding_are_compared_whole() {
    let long = format!("registry.example.com/{}", "a".repeat(250));
    let object = pod("web", &[container("web", &long), container("side", &format!("{long}:1"))]);
    let of = |images: &str| exception("one", "unpinned-images", &format!("namespace: shop, images: [\"{images}\"]"));
    assert!(create(&enforced(UNPINNED, &[of(&long)]), &object).allowed);
    assert!(!create(&enforced(UNPINNED, &[of(&long[..270])]), &object).allowed);
}

#[test]
fn a_finding_on_the_pod_is_covered_where_every_image_matches_and_never_by_containers() {
    let host = |containers: &[Value]| {
        let mut pod = pod("web", containers);
        pod["spec"]["hostNetwork"] = json!(true);
        pod["spec"]["volumes"] = json!([{"name": "data", "image": {"reference": "shop/data"}}]);
        pod
    };
    let admits = |matching: &str, object: &Value| {
        let one = exception("one", "host-namespaces", &format!("namespace: shop, {matching}"));
        create(&enforced(&["host-namespaces"], &[one]), object).allowed
    };
    let both = host(&[container("web", "shop/web"), container("side", "nginx")]);
    assert!(admits("images: [\"shop/**\", nginx]", &both));
    assert!(!admits("images: [nginx, shop/web]", &both), "the volume's image");
    assert!(!admits("images: [\"shop/**\"]", &both), "the other container's image");
    assert!(!admits("images: [\"shop/**\"]", &host(&[container("web", "Not An Image")])));
    assert!(!admits("containers: [web, side]", &both));
    let mut bare = host(&[]);
    bare["spec"]["volumes"] = json!([]);
    assert!(!admits("images: [\"shop/**\"]", &bare), "no image at all");
    assert!(admits("kind: Pod", &bare));
}

#[test]
fn users_are_named_in_full_and_files_have_none() {
    let web = pod("web", &[container("web", "nginx")]);
    assert!(admits_by("jane", "namespace: shop, users: [jim, jane]", &web));
    assert!(!admits_by("jane2", "namespace: shop, users: [jim, jane]", &web));
    assert!(!admits_by("", "namespace: shop, users: [jane]", &web));
}

#[test]
fn an_exception_is_for_its_policies_alone() {
    let bad = json!({"name": "web", "image": "nginx", "securityContext": {"privileged": true}});
    let web = pod("web", &[bad]);
    let policies = ["unpinned-images", "privileged-containers"];
    let unpinned = exception("b", "unpinned-images", "namespace: shop");
    let decision = create(&enforced(&policies, std::slice::from_ref(&unpinned)), &web);
    assert_eq!((decision.verdict, decision.allowed), (Verdict::Deny, false));
    assert_eq!(covered(&decision), [("unpinned-images", Some("b")), ("privileged-containers", None)]);
    // The first by name, whatever the order in the file.
    let both = exception("a", "privileged-containers, unpinned-images", "namespace: shop, kind: Pod");
    for exceptions in [[unpinned.clone(), both.clone()], [both, unpinned]] {
        let decision = create(&enforced(&policies, &exceptions), &web);
        assert_eq!((decision.verdict, decision.allowed), (Verdict::Exempt, true));
        assert_eq!(covered(&decision), [("unpinned-images", Some("a")), ("privileged-containers", Some("a"))]);
    }
}

#[test]
fn what_does_not_refuse_is_not_exempt() {
    let one = exception("one", "unpinned-images", "namespace: shop");
    let web = pod("web", &[container("web", "nginx")]);
    for (mode, verdict) in [("warn", Verdict::Warn), ("audit", Verdict::WouldDeny)] {
        let lines = format!("policies: {{unpinned-images: {{mode: {mode}}}}}\nexceptions: [{one}]\n");
        assert_eq!(create(&configured(&lines), &web).verdict, verdict);
    }
    let snapshot = enforced(UNPINNED, &[one]);
    assert_eq!(create(&snapshot, &pod("web", &[])).verdict, Verdict::Allow);
    let update = review_of("UPDATE", "jane", &web, Some(&web));
    let decision = answer(&snapshot, &update, &Manifests::default(), time(NOW));
    assert_eq!(decision.verdict, Verdict::Warn, "inherited");
    assert!(decision.exempted().is_none());
}

#[test]
fn a_policy_that_labels_ask_for_too_is_covered_in_both_runs() {
    let one = exception("one", "privileged-containers", "namespace: shop");
    let lines = format!(
        "podSecurityLabels: tighten\npolicies: {{privileged-containers: {{mode: enforce}}}}\nexceptions: [{one}]\n"
    );
    let world = crate::judging::world(
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: baseline, \
         pod-security.kubernetes.io/enforce-version: v1.20}}}",
    );
    let bad = pod("web", &[json!({"name": "web", "image": "nginx", "securityContext": {"privileged": true}})]);
    let review = review_of("CREATE", "jane", &bad, None);
    let decision = answer(&configured(&lines), &review, &world, time(NOW));
    assert_eq!((decision.verdict, decision.allowed), (Verdict::Exempt, true), "{decision:?}");
    let only_label = lines.replace("policies: {privileged-containers: {mode: enforce}}\n", "");
    assert_eq!(answer(&configured(&only_label), &review, &world, time(NOW)).verdict, Verdict::Exempt);
}
