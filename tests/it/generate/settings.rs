//! The mapping `generate` of the configuration.

use portcullis::config::compile;
use portcullis::generate::{Direction, Settings};

use crate::judging::HEAD;

fn compiled(text: &str) -> Result<Settings, String> {
    let configuration = compile("config.yaml", &format!("{HEAD}{text}"), None);
    configuration.map(|configuration| configuration.generate).map_err(|error| error.to_string())
}

#[test]
fn without_it_nothing_is_named() {
    for text in ["", "generate:\n", "generate: {}\n", "generate: {allowIngress: , defaultDeny: {namespaces: []}}\n"] {
        assert_eq!(compiled(text), Ok(Settings::default()), "{text}");
    }
}

#[test]
fn namespaces_sources_and_directions_are_read() {
    let text = "generate:\n  allowIngress: {namespaces: [shop, pay], from: [kube-system, monitoring]}\n  \
                defaultDeny: {namespaces: [shop], directions: [egress]}\n";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = Settings {
        allow_ingress: names(&["pay", "shop"]),
        from: names(&["kube-system", "monitoring"]),
        default_deny: names(&["shop"]),
        directions: [Direction::Egress].into(),
    };
    assert_eq!(compiled(text), Ok(expected));
}

#[test]
fn every_error_is_said_with_its_place_and_a_way_out() {
    for (text, expected) in [
        ("generate: on\n", "3:11: generate: must be a mapping, such as generate: {allowIngress: {namespaces: [shop]}}"),
        ("generate: {allowIngres: {}}\n", "3:12: generate.allowIngres: unknown key; did you mean allowIngress?"),
        ("generat: {}\n", "3:1: generat: unknown key; did you mean generate?"),
        ("generate: {allowIngress: [shop]}\n", "3:26: generate.allowIngress: must be a mapping"),
        (
            "generate: {allowIngress: {namespace: [shop]}}\n",
            "3:27: generate.allowIngress.namespace: unknown key; did you mean namespaces?",
        ),
        ("generate: {allowIngress: {namespaces: shop}}\n", "3:39: generate.allowIngress.namespaces: must be a list"),
        (
            "generate: {allowIngress: {namespaces: [shop, \"*\"]}}\n",
            "3:46: generate.allowIngress.namespaces[1]: must be the name of a namespace, in full",
        ),
        (
            "generate: {allowIngress: {from: [1]}}\n",
            "3:34: generate.allowIngress.from[0]: must be a string; put it in quotation marks",
        ),
        (
            "generate: {defaultDeny: {namespaces: [kube-system]}}\n",
            "3:39: generate.defaultDeny.namespaces[0]: must not begin with kube-: nothing is generated in the namespaces of \
             Kubernetes itself",
        ),
        (
            "generate: {defaultDeny: {namespaces: [a, b, a]}}\n",
            "3:45: generate.defaultDeny.namespaces[2]: is named already; remove one",
        ),
        (
            "generate: {defaultDeny: {directions: []}}\n",
            "3:38: generate.defaultDeny.directions: must name directions: [ingress, egress]; leave it out for both",
        ),
        (
            "generate: {defaultDeny: {directions: [Ingress]}}\n",
            "3:39: generate.defaultDeny.directions[0]: must be ingress or egress; did you mean ingress?",
        ),
        (
            "generate: {defaultDeny: {directions: [egress, egress]}}\n",
            "3:47: generate.defaultDeny.directions[1]: is named already; remove one",
        ),
    ] {
        assert_eq!(compiled(text), Err(format!("config.yaml:{expected}")), "{text}");
    }
    let many: Vec<String> = (0..1_001).map(|number| format!("n{number}")).collect();
    let error =
        compiled(&format!("generate: {{allowIngress: {{from: [{}]}}}}\n", many.join(", "))).expect_err("too many");
    assert!(error.ends_with("generate.allowIngress.from: must be at most 1000 namespaces"), "{error}");
}
