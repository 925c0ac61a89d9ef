//! Installed webhooks that lag behind the configuration: readiness, metrics and records report it until they match.

use axum::http::Method;
use serde_json::{Value, json};

use super::program::Program;
use super::{WEBHOOKS, cluster, configuration, kubectl, replace, webhooks_path};
use crate::kubernetes::eventually;
use crate::serve::run;

/// The differences that `/readyz?verbose` names; none when it says that there are none.
fn lag(program: &Program) -> Vec<String> {
    let (status, text) = program.admin("/readyz?verbose");
    assert_eq!(status, 200, "whoever lags is ready all the same: {text}");
    let line = text.lines().find(|line| line.contains("]webhooks")).expect("a line");
    match line.strip_prefix("[!]webhooks: lag behind: ") {
        Some(differences) => differences.split("; ").map(str::to_owned).collect(),
        None => {
            assert_eq!(line, "[+]webhooks as configured, or not seen");
            Vec::new()
        }
    }
}

/// The last record of what lags.
fn recorded(program: &Program) -> Option<Value> {
    program.records().into_iter().rfind(|record| record["record"] == "webhooks")
}

/// Waits until that, and nothing else, is said, counted and recorded.
#[track_caller]
fn lags(program: &Program, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || (lag(program) == expected).then_some(()));
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let count = expected.len() as f64;
    eventually("it is counted", || (program.metric("portcullis_webhooks_differences") == Some(count)).then_some(()));
    eventually("it is recorded", || (recorded(program)?["lag"] == json!(expected)).then_some(()));
}

#[test]
fn a_new_configuration_waits_for_its_webhooks() {
    let plane = cluster();
    let program = Program::serve(&plane, &configuration("deploy/overlays/audit-only")).ready();
    seen(&program);
    // What the API server fills in, and what the certificate changed, is no difference.
    assert_eq!((lag(&program), recorded(&program)), (Vec::new(), None));
    assert_eq!(program.metric("portcullis_webhooks_differences"), Some(0.0));

    replace(&program.file(), &configuration("deploy/overlays/enforce"));
    let missing = "ValidatingWebhookConfiguration portcullis has no webhook enforce.portcullis.dev";
    let other = "ValidatingWebhookConfiguration portcullis: observe.portcullis.dev has another namespaceSelector";
    // What is only warned of, where policies on Pods refuse, has a webhook of its own.
    let rules = "ValidatingWebhookConfiguration portcullis: observe.portcullis.dev has another rules";
    let warned = "ValidatingWebhookConfiguration portcullis has no webhook observe-configmaps.portcullis.dev";
    lags(&program, &[missing, rules, other, warned]);
    let in_force = recorded(&program).expect("it is recorded")["configuration"].clone();
    assert!(program.admin("/readyz?verbose").1.contains(in_force.as_str().expect("a digest")));

    // What the program prints for the new one is what was missing.
    let (code, printed, _) = run(&["webhooks", "--config", program.file().to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0));
    let output = program.file().with_file_name("webhooks.yaml");
    std::fs::write(&output, printed).expect("written");
    kubectl(&plane, &["apply", "-f", output.to_str().expect("UTF-8")]);
    lags(&program, &[]);

    // And back: what is installed asks more than it should.
    replace(&program.file(), &configuration("deploy/overlays/audit-only"));
    lags(
        &program,
        &[
            rules,
            other,
            "ValidatingWebhookConfiguration portcullis has a webhook too many: enforce.portcullis.dev",
            "ValidatingWebhookConfiguration portcullis has a webhook too many: observe-configmaps.portcullis.dev",
        ],
    );
}

#[test]
fn what_somebody_changed_or_deleted_is_named() {
    let plane = cluster();
    let program = Program::serve(&plane, &configuration("deploy/overlays/audit-only")).ready();
    seen(&program);
    assert_eq!(lag(&program), [] as [&str; 0]);
    let narrowed = json!({"webhooks": [{"name": "observe.portcullis.dev",
        "objectSelector": {"matchLabels": {"judge": "me"}}, "timeoutSeconds": 5}]});
    let path = webhooks_path(WEBHOOKS[0]);
    plane.admin.call(Method::PATCH, &path, Some(&narrowed)).admitted();
    let at = "ValidatingWebhookConfiguration portcullis: observe.portcullis.dev has another";
    lags(&program, &[&format!("{at} objectSelector"), &format!("{at} timeoutSeconds")]);

    plane.admin.call(Method::DELETE, &webhooks_path(WEBHOOKS[1]), None).admitted();
    plane.admin.call(Method::DELETE, &path, None).admitted();
    let absent = |kind: &str| format!("{kind}WebhookConfiguration portcullis is not installed");
    lags(&program, &[&absent("Validating"), &absent("Mutating")]);
    kubectl(&plane, &["apply", "-k", "deploy"]);
    lags(&program, &[]);
}

/// Waits until it has seen what is installed: then it has set both right.
#[track_caller]
fn seen(program: &Program) {
    for kind in ["Mutating", "Validating"] {
        program.says(&["our webhook configuration trusts our certificate", kind]);
    }
}
