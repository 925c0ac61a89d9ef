//! Ingresses and routes as their controllers read them: tables of cases, and the settings.

mod headers;
mod limits;
mod plaintext;

use portcullis::mode::Mode;
use portcullis::request::Source;
use serde_json::{Value, json};

use crate::judging::{configured, create, world};

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Admit,
    Warn,
    Deny,
}

/// What becomes of an object under a policy with these settings, and what is said of it.
fn judged(policy: &str, settings: &str, object: &Value) -> (Answer, Vec<String>) {
    let snapshot = configured(&format!("policies: {{{policy}: {{mode: enforce, settings: {settings}}}}}\n"));
    let decision = create(&snapshot, object, &world(""), Source::ApiServer).expect("readable");
    let refuses = decision.findings.iter().any(|finding| finding.mode == Mode::Enforce);
    let said = decision.findings.into_iter().map(|finding| format!("{} {}", finding.place.shown(), finding.message));
    let said: Vec<String> = said.collect();
    let answer = match (refuses, said.is_empty()) {
        (true, _) => Answer::Deny,
        (false, false) => Answer::Warn,
        (false, true) => Answer::Admit,
    };
    (answer, said)
}

/// An Ingress for one host, with TLS for these.
fn ingress(class: &str, annotations: Value, tls: &[&str]) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
    let mut ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"rules": [{"host": "web.example.com", "http": {"paths": paths}}]}});
    if !class.is_empty() {
        ingress["spec"]["ingressClassName"] = class.into();
    }
    if !tls.is_empty() {
        ingress["spec"]["tls"] = json!([{"hosts": tls}]);
    }
    ingress
}

/// Asserts what becomes of each case.
fn assert_answers(policy: &str, settings: &str, cases: &[(&str, Value, Answer)]) {
    for (name, object, answer) in cases {
        let (found, said) = judged(policy, settings, object);
        assert_eq!(found, *answer, "{name}: {object}: {said:#?}");
    }
}
