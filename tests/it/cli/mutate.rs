//! `review --mutate`: what is set in a bare Deployment, what would be, and that a second time changes nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonptr::{Assign, PointerBuf};
use serde_json::{Value, json};

use super::review::{answer, response, review};

const BARE: &str = "bare-deployment.defaults";
const SECOND_TIME: &str = "defaulted-deployment.defaults";
/// Every default, in the order of the catalogue.
const DEFAULTS: &str = "default-seccomp-profile,default-no-privilege-escalation,default-no-token-automount,\
                        default-run-as-non-root,default-drop-capabilities,default-read-only-root";

/// The patch of a response.
fn patch(response: &Value) -> Vec<Value> {
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = BASE64_STANDARD.decode(response["patch"].as_str().expect("a patch")).expect("Base64");
    serde_json::from_slice(&patch).expect("a JSON Patch")
}

/// The object with the patch applied. Only `add` is ever sent, to members that are not there and to ends of lists.
fn patched(object: &Value, patch: &[Value]) -> Value {
    let mut object = object.clone();
    for operation in patch {
        assert_eq!(operation["op"], "add", "{operation}");
        let path = PointerBuf::parse(operation["path"].as_str().expect("a path")).expect("a pointer");
        object.assign(&path, operation["value"].clone()).expect("a parent that is there");
    }
    object
}

/// The operations of the patch, spelled out, since the golden file holds them in Base64.
#[test]
fn a_bare_deployment_gets_every_default() {
    let response = response(BARE);
    let container = |list: &str| format!("/spec/template/spec/{list}/0");
    let context = json!({"allowPrivilegeEscalation": false});
    let mut expected = vec![
        json!({"op": "add", "path": "/spec/template/spec/securityContext/seccompProfile",
               "value": {"type": "RuntimeDefault"}}),
        json!({"op": "add", "path": container("initContainers") + "/securityContext", "value": context}),
        json!({"op": "add", "path": container("containers") + "/securityContext", "value": context}),
        json!({"op": "add", "path": "/spec/template/spec/automountServiceAccountToken", "value": false}),
        json!({"op": "add", "path": "/spec/template/spec/securityContext/runAsNonRoot", "value": true}),
        json!({"op": "add", "path": container("initContainers") + "/securityContext/capabilities",
               "value": {"drop": ["ALL"]}}),
        json!({"op": "add", "path": container("containers") + "/securityContext/capabilities",
               "value": {"drop": ["ALL"]}}),
    ];
    for (list, number) in [("initContainers", 1), ("containers", 2)] {
        let volume = json!({"name": format!("portcullis-writable-{number}"), "emptyDir": {}});
        let mount = json!({"name": format!("portcullis-writable-{number}"), "mountPath": "/tmp"});
        let volumes = "/spec/template/spec/volumes";
        expected.extend([
            json!({"op": "add", "path": container(list) + "/securityContext/readOnlyRootFilesystem", "value": true}),
            if number == 1 {
                json!({"op": "add", "path": volumes, "value": [volume]})
            } else {
                json!({"op": "add", "path": format!("{volumes}/-"), "value": volume})
            },
            json!({"op": "add", "path": container(list) + "/volumeMounts", "value": [mount]}),
        ]);
    }
    assert_eq!(patch(&response), expected);
    assert_eq!(response["auditAnnotations"], json!({"decision-5d1d1f0e": DEFAULTS}), "under a name of its own");
    assert_eq!((&response["allowed"], &response["warnings"]), (&json!(true), &Value::Null));
}

#[test]
fn mutating_twice_changes_nothing_the_second_time() {
    let object = patched(&review(BARE)["request"]["object"], &patch(&response(BARE)));
    assert_eq!(
        review(SECOND_TIME)["request"]["object"],
        object,
        "the review of the second time is of what was patched"
    );
    let again = response(SECOND_TIME);
    assert_eq!(again, json!({"uid": again["uid"], "allowed": true}));
}

#[test]
fn what_was_set_is_what_the_validators_ask_for() {
    let text = review(SECOND_TIME).to_string();
    // As `/validate` is asked about it: nothing is left but the ServiceAccount and the resources, which no default can
    // make up.
    let ran = answer("defaulted-deployment", text.as_bytes());
    let judged: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(judged["response"]["auditAnnotations"]["policies"], "default-service-accounts,unbounded-containers");
    let bare = answer("bare-deployment", review(BARE).to_string().as_bytes());
    let bare: Value = serde_json::from_str(&bare.out).expect("JSON");
    assert_eq!(
        bare["response"]["auditAnnotations"]["policies"],
        "root-users,privilege-escalation,undropped-capabilities,missing-seccomp-profiles,writable-root-filesystems,\
         automounted-tokens,default-service-accounts,unbounded-containers"
    );
}

#[test]
fn under_a_ceiling_nothing_is_patched() {
    let audited = response("bare-deployment.defaults-audited");
    assert_eq!(audited, json!({"uid": audited["uid"], "allowed": true}));

    let mut warned = response("bare-deployment.defaults-warned");
    let warnings = warned["warnings"].take();
    assert_eq!(warned, json!({"uid": warned["uid"], "allowed": true, "warnings": null}));
    let warnings: Vec<&str> = warnings.as_array().expect("warnings").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        warnings[0],
        "default-seccomp-profile: would set spec.template.spec.securityContext.seccompProfile to \
         {\"type\":\"RuntimeDefault\"}"
    );
    let (_, said) = warnings.split_last().expect("warnings");
    for warning in said {
        let (policy, rest) = warning.split_once(": would ").expect(warning);
        assert!(DEFAULTS.split(',').any(|default| default == policy), "{warning}");
        assert!(rest.starts_with("set spec.template.spec.") || rest.contains("} to spec.template.spec."), "{warning}");
    }
    // Thirteen in all.
    assert_eq!((warnings.len(), warnings[11]), (12, "and 2 more"));
}
