//! Webhook objects that somebody edits or deletes: what is weaker is reported, and repaired where that is configured; what a
//! provider edits is left alone; what was deleted stays deleted; and replicas with different configurations never write.

use std::path::Path;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::{Value, json};

use super::program::Program;
use super::{WEBHOOKS, cluster, configuration, kubectl, trusted, webhooks, webhooks_path};
use crate::kubernetes::eventually;
use crate::kubernetes::plane::Plane;
use crate::serve::run;

const REPORT: &str = "webhooks: {drift: report}\n";
const REPAIR: &str = "webhooks: {drift: repair}\n";
/// The webhook of the overlay `enforce` that refuses, and the one that patches.
const ENFORCE: &str = "enforce.portcullis.dev";
const DEFAULTS: &str = "defaults.portcullis.dev";

/// Applies the webhooks that the program derives from a file.
pub(super) fn derive(plane: &Plane, file: &Path) {
    let (code, printed, errors) = run(&["webhooks", "--config", file.to_str().expect("UTF-8")], "");
    assert_eq!(code, Some(0), "{errors}");
    let output = file.with_file_name("webhooks.yaml");
    std::fs::write(&output, printed).expect("written");
    kubectl(plane, &["apply", "-f", output.to_str().expect("UTF-8")]);
}

/// A cluster with the rights for repairs, and a server whose webhooks are installed.
fn installed(settings: &str) -> (MutexGuard<'static, Plane>, Program) {
    let plane = cluster();
    kubectl(&plane, &["apply", "-f", "deploy/repair/rbac.yaml"]);
    forget(&plane);
    let program = Program::serve(&plane, &(configuration("deploy/overlays/enforce") + settings)).ready();
    derive(&plane, &program.file());
    eventually("nothing lags", || says(&program, "webhooks", "[+]").map(drop));
    for resource in WEBHOOKS {
        eventually("caBundle is filled in", || trusted(&plane, resource).map(drop));
        if settings == REPAIR {
            released(&plane, resource);
        }
    }
    (plane, program)
}

/// Deletes the Lease, which counts repairs.
pub(super) fn forget(plane: &Plane) {
    let lease = "/apis/coordination.k8s.io/v1/namespaces/portcullis/leases/portcullis-webhooks";
    plane.admin.call(Method::DELETE, lease, None);
}

/// The line of that name on `/readyz?verbose`, if it begins like this.
fn says(program: &Program, name: &str, begin: &str) -> Option<String> {
    let (status, text) = program.admin("/readyz?verbose");
    assert_eq!(status, 200, "{text}");
    let begin = format!("{begin}{name}");
    text.lines()
        .find(|line| line.strip_prefix(&begin).is_some_and(|rest| rest.starts_with([' ', ':'])))
        .map(str::to_owned)
}

/// Changes fields of one webhook, as somebody.
#[track_caller]
fn edit(plane: &Plane, resource: &str, webhook: &str, by: &str, fields: &Value) {
    let mut fields = fields.clone();
    fields["name"] = webhook.into();
    let path = format!("{}?fieldManager={by}", webhooks_path(resource));
    plane.admin.call(Method::PATCH, &path, Some(&json!({"webhooks": [fields]}))).admitted();
}

/// Fields of the enforcing webhook, each of them weaker.
fn weaker() -> Value {
    json!({
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}],
        "namespaceSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
        "objectSelector": {"matchLabels": {"judge": "me"}},
        "failurePolicy": "Ignore",
        "matchConditions": [{"name": "never", "expression": "false"}],
        "matchPolicy": "Exact",
        "timeoutSeconds": 1,
        "clientConfig": {"service": {"name": "elsewhere", "namespace": "default", "path": "/x"}},
    })
}

/// Waits until it is said, counted and recorded that exactly these fields are weaker.
#[track_caller]
fn drifted(program: &Program, kind: &str, webhook: &str, fields: &[&str], by: &str) {
    let line = |field: &&str| {
        format!("{kind}WebhookConfiguration portcullis: {webhook}: {field} is weaker than derived; last edited by {by}")
    };
    let lines: Vec<String> = fields.iter().map(line).collect();
    let expected = format!("[!]drift: {}", lines.join("; "));
    eventually(&expected, || says(program, "drift", "[!]").filter(|line| *line == expected));
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let count = fields.len() as f64;
    eventually("it is counted", || (program.metric("portcullis_webhooks_weakened") == Some(count)).then_some(()));
    recorded(program, "drift", &lines);
}

/// Waits for a record of the webhooks with these lines.
#[track_caller]
fn recorded(program: &Program, field: &str, lines: &[String]) {
    eventually(field, || {
        let records = program.records();
        records.iter().any(|record| record["record"] == "webhooks" && record[field] == json!(lines)).then_some(())
    });
}

/// Waits until the object is as derived again.
#[track_caller]
fn repaired(program: &Program, plane: &Plane, resource: &str) {
    eventually("it is repaired", || says(program, "drift", "[+]").map(drop));
    released(plane, resource);
}

/// Waits until no field is owned by a repair. A server that ends between a repair and this leaves the fields to the next one.
#[track_caller]
fn released(plane: &Plane, resource: &str) {
    eventually("nobody owns what was repaired", || {
        let object = webhooks(plane, resource);
        let managers = object["metadata"]["managedFields"].as_array().expect("managers");
        managers.iter().all(|entry| entry["manager"] != "portcullis-repair").then_some(())
    });
}

const FIELDS: [&str; 8] = [
    "rules",
    "namespaceSelector",
    "objectSelector",
    "failurePolicy",
    "matchConditions",
    "matchPolicy",
    "timeoutSeconds",
    "clientConfig",
];

#[test]
fn each_weakened_field_is_reported_and_nothing_is_written() {
    let (plane, program) = installed(REPORT);
    assert_eq!(says(&program, "drift", "[+]").as_deref(), Some("[+]drift none, or not seen"));
    edit(&plane, WEBHOOKS[0], ENFORCE, "somebody", &weaker());
    let edited = webhooks(&plane, WEBHOOKS[0]);
    drifted(&program, "Validating", ENFORCE, &FIELDS, "somebody");
    program.says(&["\"level\":\"ERROR\"", "are weaker than derived", "failurePolicy"]);
    edit(&plane, WEBHOOKS[1], DEFAULTS, "somebody", &json!({"reinvocationPolicy": "Never"}));
    eventually("the other one too", || {
        says(&program, "drift", "[!]").filter(|line| line.contains("reinvocationPolicy"))
    });
    assert_eq!(webhooks(&plane, WEBHOOKS[0])["metadata"]["resourceVersion"], edited["metadata"]["resourceVersion"]);

    // A configuration that the objects are not derived from makes the same a lag, which somebody applies.
    super::replace(&program.file(), &(configuration("deploy/overlays/enforce") + REPORT + "# another\n"));
    eventually("it lags", || says(&program, "drift", "[+]"));
    assert!(
        says(&program, "webhooks", "[!]").expect("a line").contains("enforce.portcullis.dev has another failurePolicy")
    );
}

#[test]
fn what_is_weaker_is_repaired_five_times_an_hour() {
    let (plane, program) = installed(REPAIR);
    let derived = webhooks(&plane, WEBHOOKS[0])["webhooks"].clone();
    let stronger = json!({"timeoutSeconds": 9});
    // Every field of one webhook, and the other one is gone.
    let (mut fields, gone) = (weaker(), json!({"name": "observe.portcullis.dev", "$patch": "delete"}));
    fields["name"] = ENFORCE.into();
    let path = webhooks_path(WEBHOOKS[0]);
    plane.admin.call(Method::PATCH, &path, Some(&json!({"webhooks": [fields, gone]}))).admitted();
    let at = "ValidatingWebhookConfiguration portcullis";
    let mut lines: Vec<String> = FIELDS.iter().map(|field| format!("{at}: {ENFORCE}: {field}")).collect();
    lines.push(format!("{at}: observe.portcullis.dev"));
    recorded(&program, "repaired", &lines);
    repaired(&program, &plane, WEBHOOKS[0]);
    // What was gone is added at the end.
    let by_name = |webhooks: &Value| {
        let mut webhooks = webhooks.as_array().expect("webhooks").clone();
        webhooks.sort_by_key(|webhook| webhook["name"].to_string());
        webhooks
    };
    assert_eq!(by_name(&webhooks(&plane, WEBHOOKS[0])["webhooks"]), by_name(&derived));
    eventually("it is counted", || (program.metric("portcullis_webhooks_repairs_total") == Some(9.0)).then_some(()));

    // What is not weaker stays as somebody wants it.
    edit(&plane, WEBHOOKS[0], ENFORCE, "somebody", &stronger);
    for _ in 0..4 {
        edit(&plane, WEBHOOKS[0], ENFORCE, "somebody", &json!({"failurePolicy": "Ignore"}));
        eventually("it is seen and repaired", || {
            (webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["failurePolicy"] == "Fail").then_some(())
        });
        repaired(&program, &plane, WEBHOOKS[0]);
    }
    assert_eq!(webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["timeoutSeconds"], 9);
    edit(&plane, WEBHOOKS[0], ENFORCE, "somebody", &json!({"failurePolicy": "Ignore"}));
    let line = eventually("it stops", || says(&program, "drift", "[!]").filter(|line| line.contains("5 times")));
    for part in
        ["failurePolicy is weaker", "last edited by somebody", "within an hour", "is not repaired again before "]
    {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["failurePolicy"], "Ignore");
    // Another replica, or this one after a restart, does not begin to count again.
    drop(program);
    let again = Program::serve(&plane, &(configuration("deploy/overlays/enforce") + REPAIR)).ready();
    eventually("it stops too", || says(&again, "drift", "[!]").filter(|line| line.contains("5 times")));
    // The other object has its own five.
    edit(&plane, WEBHOOKS[1], DEFAULTS, "somebody", &json!({"matchPolicy": "Exact"}));
    eventually("it is repaired", || {
        (webhooks(&plane, WEBHOOKS[1])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
    });
}

#[test]
fn what_providers_edit_is_left_alone_and_said() {
    let (plane, program) = installed(REPAIR);
    let own = webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["namespaceSelector"]["matchExpressions"].clone();
    let mut expressions = own.as_array().expect("expressions").clone();
    expressions.push(json!({"key": "control-plane", "operator": "NotIn", "values": ["true"]}));
    expressions.push(json!({"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]}));
    let selector = json!({"namespaceSelector": {"matchExpressions": expressions}});
    edit(&plane, WEBHOOKS[0], ENFORCE, "admissionsenforcer", &selector);
    let warning = format!(
        "ATTENTION: This webhook configuration has been modified by Gardener since …\nThe following modifications have been made:\n\
         - failurePolicy of webhook \"{ENFORCE}\" was set to Ignore"
    );
    let patch = json!({"metadata": {"annotations": {"gardener.cloud/warning": warning}},
        "webhooks": [{"name": ENFORCE, "failurePolicy": "Ignore"}]});
    let path = format!("{}?fieldManager=gardenlet", webhooks_path(WEBHOOKS[0]));
    plane.admin.call(Method::PATCH, &path, Some(&patch)).admitted();
    let edited = webhooks(&plane, WEBHOOKS[0]);
    let at = format!("ValidatingWebhookConfiguration portcullis: {ENFORCE}");
    let lines = [
        format!("{at}: namespaceSelector was narrowed by the admissions enforcer of AKS, and is left alone"),
        format!("{at}: failurePolicy was narrowed by Gardener, and is left alone"),
    ];
    let expected = format!("[+]drift {}", lines.join("; "));
    eventually(&expected, || says(&program, "drift", "[+]").filter(|line| *line == expected));
    recorded(&program, "provider", &lines);
    assert_eq!(program.metric("portcullis_webhooks_weakened"), Some(0.0));
    assert!(says(&program, "webhooks", "[+]").is_some(), "it is no lag");

    // Repairs go on beside it.
    edit(&plane, WEBHOOKS[1], DEFAULTS, "somebody", &json!({"matchPolicy": "Exact"}));
    eventually("the other object is repaired", || {
        (webhooks(&plane, WEBHOOKS[1])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
    });
    assert_eq!(webhooks(&plane, WEBHOOKS[0])["metadata"]["resourceVersion"], edited["metadata"]["resourceVersion"]);
    edit(&plane, WEBHOOKS[0], ENFORCE, "somebody", &json!({"matchPolicy": "Exact"}));
    eventually("the rest of the object is repaired", || {
        (webhooks(&plane, WEBHOOKS[0])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
    });
    let now = webhooks(&plane, WEBHOOKS[0]);
    for field in ["namespaceSelector", "failurePolicy"] {
        assert_eq!(now["webhooks"][0][field], edited["webhooks"][0][field]);
    }
}

#[test]
fn what_was_deleted_is_never_created_again() {
    let (plane, program) = installed(REPAIR);
    let path = webhooks_path(WEBHOOKS[0]);
    plane.admin.call(Method::DELETE, &path, None).admitted();
    let line = "ValidatingWebhookConfiguration portcullis was deleted: the API server asks nothing of it until `helm upgrade`, or \
                whatever applied it, restores it"
        .to_owned();
    let expected = format!("[!]webhook-objects: MISSING: {line}");
    eventually(&expected, || says(&program, "webhook-objects", "[!]").filter(|line| *line == expected));
    recorded(&program, "missing", &[line]);
    eventually("it is counted", || (program.metric("portcullis_webhooks_missing") == Some(1.0)).then_some(()));
    program.says(&["\"level\":\"ERROR\"", "A WEBHOOK CONFIGURATION IS MISSING", "ValidatingWebhookConfiguration"]);
    // Repairs go on, and this is none.
    edit(&plane, WEBHOOKS[1], DEFAULTS, "somebody", &json!({"matchPolicy": "Exact"}));
    eventually("the other object is repaired", || {
        (webhooks(&plane, WEBHOOKS[1])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
    });
    assert!(!plane.admin.call(Method::GET, &path, None).is_success());

    // One without webhooks is as good as deleted.
    let empty = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "portcullis", "annotations": webhooks(&plane, WEBHOOKS[1])["metadata"]["annotations"]}});
    let collection = path.trim_end_matches("/portcullis");
    plane.admin.call(Method::POST, collection, Some(&empty)).admitted();
    eventually("it is said", || {
        says(&program, "webhook-objects", "[!]").filter(|line| line.contains("has no webhooks"))
    });
    plane.admin.call(Method::DELETE, &path, None).admitted();
    derive(&plane, &program.file());
    eventually("it is there", || says(&program, "webhook-objects", "[+]").map(drop));
    eventually("it is counted", || (program.metric("portcullis_webhooks_missing") == Some(0.0)).then_some(()));
}

#[test]
fn replicas_with_different_configurations_never_write() {
    let seconds = std::env::var("PORTCULLIS_DRIFT_SECONDS").map_or(30, |text| text.parse().expect("seconds"));
    let (plane, old) = installed(REPAIR);
    let audit = configuration("deploy/overlays/audit-only") + REPAIR;
    let new = Program::serve(&plane, &audit).ready();
    for (current, other) in [(&old, &new), (&new, &old)] {
        derive(&plane, &current.file());
        for resource in WEBHOOKS {
            eventually("caBundle is filled in", || trusted(&plane, resource).map(drop));
            released(&plane, resource);
        }
        eventually("one is content", || says(current, "webhooks", "[+]").map(drop));
        eventually("the other one lags", || says(other, "webhooks", "[!]").map(drop));
        let versions = || WEBHOOKS.map(|resource| webhooks(&plane, resource)["metadata"]["resourceVersion"].clone());
        let before = versions();
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            assert_eq!(versions(), before);
            std::thread::sleep(Duration::from_millis(200));
        }
        // Both would write: the one whose configuration it is does.
        edit(&plane, WEBHOOKS[1], DEFAULTS, "somebody", &json!({"matchPolicy": "Exact"}));
        eventually("it is repaired", || {
            (webhooks(&plane, WEBHOOKS[1])["webhooks"][0]["matchPolicy"] == "Equivalent").then_some(())
        });
        recorded(current, "repaired", &[format!("MutatingWebhookConfiguration portcullis: {DEFAULTS}: matchPolicy")]);
    }
}
