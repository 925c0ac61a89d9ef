//! Each field made stronger, weaker and different, alone, and the edits of providers.

use serde_json::{Value, json};

use super::{Difference, Part, Reached, Relation, differences};
use crate::config::compile;
use crate::server::installed::providers::Provider;
use crate::server::installed::repair::{patch, repairable};
use crate::webhooks::{Target, mutating, validating};

const HEAD: &str = "apiVersion: portcullis.dev/v1alpha1\nkind: Configuration\nprofile: hardened\ndefaults: safe\n";

fn derived(mutates: bool) -> Vec<Value> {
    let snapshot = compile("test", HEAD, None).expect("compiles").snapshot;
    let object = if mutates {
        serde_json::to_value(mutating(&snapshot, &Target::service()))
    } else {
        serde_json::to_value(validating(&snapshot, &Target::service()))
    };
    object.expect("JSON")["webhooks"].as_array().expect("webhooks").clone()
}

/// The object as the API server fills it in, with one field of its first webhook changed.
fn object(mutates: bool, pointer: &str, value: &Value) -> Value {
    let mut webhooks = derived(mutates);
    for webhook in &mut webhooks {
        webhook["objectSelector"] = json!({});
        webhook["clientConfig"]["caBundle"] = "Q0E=".into();
    }
    let mut object = json!({"metadata": {"resourceVersion": "7", "annotations": {}}, "webhooks": webhooks});
    if !pointer.is_empty() {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        object["webhooks"][0].pointer_mut(parent).expect(pointer)[key] = value.clone();
    }
    object
}

/// The one difference of that object.
#[track_caller]
fn one(object: &Value, mutates: bool) -> Difference {
    let found = differences(object, &derived(mutates), Reached::Directly);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    one.clone()
}

/// Asserts the relation, and that the repair makes a weaker object as strong as the derived one.
#[track_caller]
fn is(mutates: bool, pointer: &str, value: &Value, relation: Relation) {
    let object = object(mutates, pointer, value);
    let one = one(&object, mutates);
    assert_eq!(one.relation, relation, "{pointer} {value}");
    let field = super::FIELDS.into_iter().find(|field| pointer.split('/').nth(1) == Some(field)).expect("a field");
    assert_eq!(one.part, Part::Field(field));
    let found = [one];
    let repairable = repairable(&found);
    assert_eq!(repairable.len(), usize::from(relation == Relation::Weaker), "{pointer} {value}");
    if relation == Relation::Weaker {
        let mut repaired = object.clone();
        for operation in patch(&object, &repairable).iter().filter(|operation| operation["op"] == "add") {
            let (parent, key) = operation["path"].as_str().expect("a path").rsplit_once('/').expect("a pointer");
            repaired.pointer_mut(parent).expect("there")[key] = operation["value"].clone();
        }
        assert_eq!(differences(&repaired, &derived(mutates), Reached::Directly), [], "{pointer} {value}");
        assert_eq!(repaired["webhooks"][0]["clientConfig"]["caBundle"], "Q0E=");
    }
}

#[test]
fn what_the_api_server_fills_in_and_another_order_is_no_difference() {
    for mutates in [false, true] {
        assert_eq!(differences(&object(mutates, "", &Value::Null), &derived(mutates), Reached::Directly), []);
    }
    let mut other = object(false, "", &Value::Null);
    for list in ["rules", "admissionReviewVersions"] {
        other["webhooks"][0][list].as_array_mut().expect(list).reverse();
    }
    assert_eq!(differences(&other, &derived(false), Reached::Directly), []);
}

#[test]
fn each_weakened_field_is_weaker_and_repaired() {
    let own = || json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["portcullis"]});
    let with = |other: Value| json!({"matchExpressions": [own(), other]});
    let unlabelled = json!({"key": "skip", "operator": "DoesNotExist"});
    let api = json!({"name": "not-the-api-server", "expression": "request.userInfo.username != \"system:apiserver\""});
    let never = json!({"name": "never", "expression": "false"});
    let service =
        |name: &str, port: u16| json!({"name": "portcullis", "namespace": name, "path": "/validate", "port": port});
    for (pointer, value) in [
        ("/rules/0/operations", json!(["CREATE"])),
        ("/rules/0/resources", json!(["pods"])),
        ("/rules/0/apiGroups", json!(["none"])),
        ("/rules/0/apiVersions", json!(["v1"])),
        ("/rules/0/scope", json!("Cluster")),
        ("/rules", json!([])),
        ("/namespaceSelector", with(unlabelled.clone())),
        ("/namespaceSelector", json!({"matchLabels": {"judged": "true"}})),
        ("/namespaceSelector/matchExpressions/0/values", json!(["portcullis", "shop"])),
        ("/namespaceSelector/matchExpressions/0/operator", json!("In")),
        ("/objectSelector", json!({"matchExpressions": [unlabelled]})),
        ("/objectSelector", json!({"matchLabels": {"judge": "me"}})),
        ("/failurePolicy", json!("Ignore")),
        ("/matchConditions", json!([api, never])),
        ("/matchConditions", json!([never])),
        ("/matchPolicy", json!("Exact")),
        ("/timeoutSeconds", json!(1)),
        ("/admissionReviewVersions", json!(["v1beta1"])),
        ("/clientConfig/service", service("elsewhere", 443)),
        ("/clientConfig/service", service("portcullis", 444)),
        ("/clientConfig", json!({"url": "https://elsewhere/validate", "caBundle": "Q0E="})),
    ] {
        is(false, pointer, &value, Relation::Weaker);
    }
    is(true, "/reinvocationPolicy", &json!("Never"), Relation::Weaker);
    is(true, "/timeoutSeconds", &json!(0), Relation::Weaker);
}

#[test]
fn what_asks_more_or_the_same_is_not_weaker() {
    for (mutates, pointer, value, relation) in [
        (false, "/rules/0/operations", json!(["*"]), Relation::Stronger),
        (false, "/namespaceSelector", json!({}), Relation::Stronger),
        (false, "/matchConditions", json!([]), Relation::Stronger),
        (false, "/timeoutSeconds", json!(10), Relation::Other),
        (false, "/sideEffects", json!("NoneOnDryRun"), Relation::Other),
        (true, "/failurePolicy", json!("Fail"), Relation::Stronger),
    ] {
        is(mutates, pointer, &value, relation);
    }
}

#[test]
fn a_missing_webhook_is_restored_beside_others_and_a_surplus_one_is_named() {
    let mut wanted = derived(false);
    let mut second = wanted[0].clone();
    second["name"] = "observe.portcullis.dev".into();
    wanted.push(second);
    let object = object(false, "", &Value::Null);
    let found = differences(&object, &wanted, Reached::Directly);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.part, one.relation), (Part::Missing, Relation::Weaker));
    assert_eq!(one.repair["clientConfig"]["caBundle"], "Q0E=", "it is trusted as the others are");
    let surplus = differences(&object, &[], Reached::Directly);
    assert_eq!((surplus[0].part, surplus[0].relation), (Part::Surplus, Relation::Other));
    assert_eq!(repairable(&surplus), [] as [&Difference; 0]);
    // Where nothing says which certificate to trust, nobody could be asked.
    let empty = json!({"metadata": {}, "webhooks": []});
    assert_eq!(repairable(&differences(&empty, &wanted, Reached::Directly)), [] as [&Difference; 0]);
}

#[test]
fn an_address_that_is_not_known_is_not_compared() {
    let elsewhere = object(false, "/clientConfig", &json!({"url": "https://192.0.2.1/validate", "caBundle": "Q0E="}));
    assert_eq!(differences(&elsewhere, &derived(false), Reached::Elsewhere), []);
}

#[test]
fn a_token_in_the_path_is_neither_a_difference_nor_written() {
    let at = |path: &str| object(false, "/clientConfig/service/path", &path.into());
    let found = |path: &str| differences(&at(path), &derived(false), Reached::WithToken);
    assert_eq!(found("/validate/0123"), []);
    assert_eq!(found("/validate"), []);
    for path in ["/mutate/0123", "/elsewhere", "/validate/a/b"] {
        let found = found(path);
        assert_eq!((found.len(), found[0].relation), (1, Relation::Weaker), "{path}");
        assert_eq!(repairable(&found), [] as [&Difference; 0]);
    }
    assert_eq!(differences(&at("/validate/0123"), &derived(false), Reached::Directly).len(), 1);
}

/// An object of which that manager owns the selector of namespaces.
fn managed(mut object: Value, manager: &str) -> Value {
    let name = object["webhooks"][0]["name"].as_str().expect("a name").to_owned();
    let item = format!("k:{}", json!({"name": name}));
    object["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Update", "time": "2026-11-01T00:00:00Z",
        "fieldsV1": {"f:webhooks": {item: {"f:namespaceSelector": {}}}}}]);
    object
}

#[test]
fn what_a_provider_adds_is_recognised_by_its_form_and_its_writer() {
    let own = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["portcullis"]});
    let control = json!({"key": "control-plane", "operator": "NotIn", "values": ["true"]});
    let aks = json!({"key": "kubernetes.azure.com/managedby", "operator": "NotIn", "values": ["aks"]});
    let other = json!({"key": "skip", "operator": "DoesNotExist"});
    let with = |all: &[&Value]| object(false, "/namespaceSelector", &json!({"matchExpressions": all}));
    let added = with(&[&own, &control, &aks]);
    assert_eq!(one(&managed(added.clone(), "admissionsenforcer"), false).provider, Some(Provider::Aks));
    assert_eq!(one(&managed(added.clone(), "kubectl-edit"), false).provider, None);
    assert_eq!(one(&added, false).provider, None);
    // Beside an edit of somebody else's, that one is undone, and theirs stays.
    let found = one(&managed(with(&[&own, &control, &aks, &other]), "admissionsenforcer"), false);
    assert_eq!((found.relation, found.provider), (Relation::Weaker, None));
    let repair = found.repair.to_string();
    assert!(repair.contains("control-plane") && repair.contains("managedby") && !repair.contains("skip"), "{repair}");
    // Of objects it selects nothing.
    let objects = object(false, "/objectSelector", &json!({"matchExpressions": [control]}));
    assert_eq!(one(&managed(objects, "admissionsenforcer"), false).provider, None);
}

#[test]
fn what_gardener_rewrites_is_recognised_by_the_annotation_that_names_it() {
    let says_with = |mut object: Value, lines: &[&str], owner: &str| {
        let owned = json!({"f:namespaceSelector": {}, "f:objectSelector": {}, "f:failurePolicy": {}});
        let annotations = json!({"f:annotations": {"f:gardener.cloud/warning": {}}});
        object["metadata"]["managedFields"] = json!([
            {"manager": "gardenlet", "operation": "Update", "fieldsV1": {"f:metadata": annotations}},
            {"manager": "other", "operation": "Update", "fieldsV1": {}},
        ]);
        let entry = usize::from(owner == "other");
        object["metadata"]["managedFields"][entry]["fieldsV1"]["f:webhooks"] =
            json!({"k:{\"name\":\"enforce.portcullis.dev\"}": owned});
        let text = format!(
            "ATTENTION: This webhook configuration has been modified by Gardener since …\nThe following modifications have been \
             made:\n{}",
            lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n")
        );
        object["metadata"]["annotations"]["gardener.cloud/warning"] = text.into();
        object
    };
    let says = |object: Value, lines: &[&str]| says_with(object, lines, "gardenlet");
    let ignoring = object(false, "/failurePolicy", &json!("Ignore"));
    let line = "failurePolicy of webhook \"enforce.portcullis.dev\" was set to Ignore";
    assert_eq!(one(&says(ignoring.clone(), &[line]), false).provider, Some(Provider::Gardener));
    let of_other = "failurePolicy of webhook \"other\" was set to Ignore";
    assert_eq!(one(&says(ignoring.clone(), &[of_other]), false).provider, None);
    assert_eq!(one(&ignoring, false).provider, None);
    // Somebody else wrote it again since.
    assert_eq!(one(&says_with(ignoring, &[line], "other"), false).provider, None);

    let origin = json!({"key": "origin", "operator": "NotIn", "values": ["gardener"]});
    let extended = object(false, "/objectSelector", &json!({"matchExpressions": [origin]}));
    let line = "objectSelector of webhook \"enforce.portcullis.dev\" was extended with [{origin NotIn [gardener]}]";
    assert_eq!(one(&says(extended.clone(), &[line]), false).provider, Some(Provider::Gardener));
    assert_eq!(one(&extended, false).provider, None);
    let other = object(false, "/objectSelector", &json!({"matchLabels": {"judge": "me"}}));
    assert_eq!(one(&says(other, &[line]), false).provider, None);
}
