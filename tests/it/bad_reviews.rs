//! Reviews that are none, or not what they should be.

use serde_json::{Value, json};

use crate::bad::{CANARY, ask, is_trouble, is_unanswerable};
use crate::serve::{AUDIT, HARDENED, Serve, bad_pod, good_pod, review};

/// A bad pod with the canary in a value that no policy reads.
fn secretive_pod() -> Value {
    let mut pod = bad_pod();
    pod["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": CANARY}]);
    pod
}

fn text(uid: &str, object: &Value) -> String {
    review(uid, "default", object).to_string()
}

/// The review of a secretive pod, with one piece of its text replaced.
fn changed(uid: &str, from: &str, to: &str) -> Vec<u8> {
    let text = text(uid, &secretive_pod());
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn what_is_not_json_is_http_400() {
    for body in ["", " ", "hello", "\0\0", "{", "[]", "null", "42", "\"uid\"", "--- !yaml\na: b"] {
        let said = is_unanswerable(body);
        assert!(said.contains("AdmissionReview"), "{body:?}: {said}");
    }
}

#[test]
fn json_that_is_no_admission_review_is_http_400() {
    is_unanswerable("{}");
    is_unanswerable(secretive_pod().to_string());
    is_unanswerable(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#);
    is_unanswerable(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#);
    is_unanswerable(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":[1,2]}"#);
}

#[test]
fn a_review_without_a_uid_is_http_400() {
    for uid in [json!(null), json!(""), json!(7), json!(["a"]), json!({"a": "b"})] {
        let mut review = review("", "default", &secretive_pod());
        review["request"]["uid"] = uid;
        is_unanswerable(review.to_string());
    }
    let mut review = review("", "default", &secretive_pod());
    review["request"].as_object_mut().expect("a map").remove("uid");
    assert!(is_unanswerable(review.to_string()).contains("uid"));
}

#[test]
fn another_kind_or_version_with_a_uid_is_answered() {
    let said = is_trouble(400, |uid| changed(uid, "\"kind\":\"AdmissionReview\"", "\"kind\":\"ConversionReview\""));
    assert!(said.contains("not an AdmissionReview"), "{said}");
    is_trouble(400, |uid| changed(uid, "admission.k8s.io/v1", "admission.k8s.io/v7"));
}

#[test]
fn v1beta1_is_answered_in_v1beta1_and_told_what_to_send() {
    let said = is_trouble(400, |uid| changed(uid, "admission.k8s.io/v1", "admission.k8s.io/v1beta1"));
    assert!(said.contains("admissionReviewVersions"), "{said}");
    let server = Serve::new(HARDENED).start();
    let body = changed("beta", "admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let answer: Value = serde_json::from_slice(&server.post("/validate", body).body).expect("JSON");
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1beta1");
}

#[test]
fn a_broken_envelope_keeps_its_uid() {
    // Truncated anywhere after the uid: the fields that follow it in the text are lost.
    is_trouble(400, |uid| {
        let body = text(uid, &bad_pod());
        let (front, _) = body.split_once(uid).expect("the uid");
        format!("{front}{uid}\"").into_bytes()
    });
    is_trouble(400, |uid| {
        let body = text(uid, &secretive_pod());
        body.as_bytes()[..body.len() - 1].to_vec()
    });
    is_trouble(400, |uid| text(uid, &secretive_pod()).into_bytes().into_iter().chain(*b"}}").collect());
    is_trouble(400, |uid| changed(uid, "\"operation\":\"CREATE\"", "\"operation\":\"SECRET-CANARY\""));
    is_trouble(400, |uid| changed(uid, "\"namespace\":\"default\"", "\"namespace\":[\"SECRET-CANARY\"]"));
    is_trouble(400, |uid| changed(uid, "\"groups\":[\"developers\"]", "\"groups\":\"SECRET-CANARY\""));
}

#[test]
fn a_repeated_key_of_the_envelope_keeps_the_last_uid() {
    is_trouble(400, |uid| changed(uid, "\"uid\":", &format!("\"uid\":\"first\",\"uid\":\"{uid}\",\"x\":")));
    is_trouble(400, |uid| changed(uid, "\"operation\":", "\"operation\":\"DELETE\",\"operation\":"));
    is_trouble(400, |uid| changed(uid, "\"object\":", "\"object\":{},\"object\":"));
}

#[test]
fn a_repeated_key_that_policies_read_cannot_be_judged() {
    is_trouble(400, |uid| changed(uid, "\"spec\":", "\"spec\":{},\"spec\":"));
    is_trouble(400, |uid| changed(uid, "\"containers\":", "\"containers\":[],\"containers\":"));
    is_trouble(400, |uid| changed(uid, "\"image\":", "\"image\":\"nginx\",\"image\":"));
}

#[test]
fn invalid_utf8_keeps_the_uid() {
    let with = |uid: &str, from: &str| {
        let mut body = changed(uid, from, "~");
        let place = body.iter().position(|byte| *byte == b'~').expect("a place");
        body[place] = 0xff;
        body
    };
    is_trouble(400, |uid| with(uid, "PASSWORD"));
    is_trouble(400, |uid| with(uid, "developers"));
    is_trouble(400, |uid| with(uid, "nginx:latest"));
    is_trouble(400, |uid| {
        let body = String::from_utf8(changed(uid, "CREATE", "CREATE")).expect("UTF-8");
        let mut body = body.replace("\"name\":\"web\"", "\"name\":\"~\"").into_bytes();
        body.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0x80);
        body
    });
}

#[test]
fn a_field_of_another_type_is_named_and_its_value_is_not() {
    let places = [
        ("/spec/containers", "spec.containers"),
        ("/spec/containers/0", "spec.containers[0]"),
        ("/spec/containers/0/image", "spec.containers[0].image"),
        ("/metadata", "metadata"),
        ("/spec", "spec"),
    ];
    for (pointer, path) in places {
        let wrong = if path.ends_with("image") { json!([CANARY]) } else { json!(CANARY) };
        let mut pod = secretive_pod();
        *pod.pointer_mut(pointer).expect("a place") = wrong;
        let said = is_trouble(400, |uid| text(uid, &pod).into_bytes());
        assert!(said.contains(&format!("{path}: ")), "{said}");
    }
    let mut pod = secretive_pod();
    pod["spec"]["securityContext"] = json!({"runAsUser": CANARY});
    assert!(is_trouble(400, |uid| text(uid, &pod).into_bytes()).contains("spec.securityContext.runAsUser"));
    is_trouble(400, |uid| text(uid, &json!(CANARY)).into_bytes());
    is_trouble(400, |uid| text(uid, &json!([secretive_pod()])).into_bytes());
}

#[test]
fn a_long_or_wild_key_on_the_way_to_a_fault_is_cut_and_escaped() {
    let mut pod = bad_pod();
    pod["metadata"]["labels"] = json!({("evil\n\u{1b}[31m".to_owned() + &"x".repeat(100_000)): [1]});
    let said = is_trouble(400, |uid| text(uid, &pod).into_bytes());
    assert!(said.chars().count() < 512, "{} characters", said.chars().count());
    assert!(!said.chars().any(char::is_control), "{said:?}");
}

#[test]
fn deep_nesting_outside_what_policies_read_is_passed_over() {
    let mut server = Serve::new(HARDENED).start();
    for depth in [500, 100_000] {
        let nest = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let maps = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for (what, nested) in [("lists", &nest), ("maps", &maps)] {
            let uid = format!("good-{what}-{depth}");
            let body = text(&uid, &good_pod());
            let inside = body.replace("\"spec\":{", &format!("\"spec\":{{\"x\":{nested},"));
            let outside = body.replace("\"request\":{", &format!("\"y\":{nested},\"request\":{{\"z\":{nested},"));
            let outside = outside.replace(&uid, &format!("{uid}-outside"));
            assert_eq!(ask(&mut server, "/validate", &uid, inside).event["decision"], "allow");
            assert_eq!(ask(&mut server, "/validate", &format!("{uid}-outside"), outside).event["decision"], "allow");
        }
    }
}

#[test]
fn deep_nesting_inside_what_policies_read_cannot_be_judged() {
    for depth in [500, 100_000] {
        let nest = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for key in ["containers", "initContainers", "securityContext", "volumes"] {
            is_trouble(400, |uid| {
                changed(
                    uid,
                    "\"spec\":{",
                    &format!("\"metadata\":null,\"spec\":{{\"{key}\":{nest},\"x\":{{}},\"\":")
                        .replace("\"metadata\":null,", "")
                        .replace(",\"x\":{},\"\":", ",\"y\":{}, \"z\":{},"),
                )
            });
        }
        is_trouble(400, |uid| changed(uid, "\"userInfo\":", &format!("\"userInfo\":{nest},\"u\":")));
        is_trouble(400, |uid| changed(uid, "\"namespace\":", &format!("\"namespace\":{nest},\"u\":")));
    }
}

#[test]
fn null_reads_as_absent_everywhere() {
    let mut server = Serve::new(HARDENED).start();
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "nulls", "operation": "CREATE", "name": null, "namespace": null, "subResource": null,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": null, "oldObject": null, "dryRun": null, "options": null,
        "object": {"metadata": {"name": null, "generateName": null, "labels": {"a": null}, "annotations": null,
            "ownerReferences": null, "uid": null}, "spec": {"containers": null, "initContainers": null,
            "ephemeralContainers": null, "volumes": null, "securityContext": null, "os": null, "nodeName": null,
            "automountServiceAccountToken": null}}}});
    let outcome = ask(&mut server, "/validate", "nulls", body.to_string());
    assert!(["allow", "deny"].contains(&outcome.event["decision"].as_str().expect("a word")), "{}", outcome.event);

    let mut pod = good_pod();
    pod["metadata"] = json!(null);
    pod["spec"]["volumes"] = json!([{"name": null, "image": null, "hostPath": null, "emptyDir": {}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!(null);
    let mut body = review("more", "default", &pod);
    body["request"]["userInfo"] = json!({"username": null, "uid": null, "groups": null, "extra": null});
    assert_eq!(ask(&mut server, "/validate", "more", body.to_string()).event["decision"], "allow");
}

#[test]
fn a_service_account_with_a_field_of_another_type_is_never_refused() {
    let mut server = Serve::new(HARDENED).start();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"},
        "automountServiceAccountToken": "no"});
    for (path, operation) in
        [("/mutate", "CREATE"), ("/mutate", "UPDATE"), ("/validate", "CREATE"), ("/validate", "UPDATE")]
    {
        let uid = format!("account-{operation}-{}", &path[1..]);
        let mut body = review(&uid, "default", &account);
        body["request"]["operation"] = json!(operation);
        body["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "ServiceAccount"});
        body["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "serviceaccounts"});
        let outcome = ask(&mut server, path, &uid, body.to_string());
        assert_eq!(outcome.response["allowed"], true, "{path} {operation}");
        assert_eq!(outcome.event["decision"], "error", "{path} {operation}");
    }
}

#[test]
fn a_creation_without_an_object_cannot_be_judged() {
    let said = is_trouble(400, |uid| text(uid, &Value::Null).into_bytes());
    assert!(said.contains("no object"), "{said}");
}

#[test]
fn the_servers_own_ceiling_by_namespace_decides_about_trouble() {
    let config = format!("{AUDIT}namespaces:\n- match: {{names: [payments]}}\n  ceiling: enforce\n");
    let mut server = Serve::new(&config).start();
    for (namespace, allowed) in [("default", true), ("payments", false)] {
        let body = review(namespace, namespace, &json!("no pod")).to_string();
        assert_eq!(ask(&mut server, "/validate", namespace, body).response["allowed"], allowed);
    }
}
