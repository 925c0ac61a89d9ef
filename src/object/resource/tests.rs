//! The table of kinds without pods, and how their objects are read.

use serde_json::value::RawValue;

use super::{FromContent as _, Resource, ServiceAccount};
use crate::object::{Object, Unreadable, Workloads};
use crate::operation::Operation;

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).expect("JSON")
}

fn read<'a>(text: &'a str, other: Option<&str>) -> Result<Object<'a>, Unreadable> {
    Object::read_beside(raw(text), other.map(raw), Workloads::built_in().shape("", "ServiceAccount"))
}

#[test]
fn a_resource_is_read_into_its_struct() {
    let text = r#"{"metadata":{"name":"web"},"secrets":[1],"automountServiceAccountToken":false}"#;
    let object = read(text, None).expect("readable");
    let account = ServiceAccount::from_content(object.content()).expect("a ServiceAccount");
    assert_eq!((object.metadata().name(), account.automount_service_account_token()), ("web", Some(false)));
    let other = Object::read(raw(text), Workloads::built_in().shape("example.com", "ServiceAccount"));
    assert!(ServiceAccount::from_content(other.expect("readable").content()).is_none(), "of another group");
}

#[test]
fn every_row_is_of_a_kind_without_pods_and_one_of_a_kind_has_the_struct() {
    for (position, row) in Resource::all().enumerate() {
        assert!(Workloads::built_in().find(row.group, row.kind).is_none(), "{row:?} holds pod templates");
        // The struct of a kind is read for the first row; a later one is of fewer operations, or on a condition.
        let first = Resource::find(row.group, row.kind).expect("a row");
        let is_first = Resource::all().position(|other| other == first) == Some(position);
        let is_part = row.operations.iter().all(|operation| first.operations.contains(operation))
            && (row.operations.len() < first.operations.len() || row.condition.is_some())
            || row.is_deletion();
        let is_part = is_part && row.subresources.iter().all(|below| first.subresources.contains(below));
        assert!(is_first || is_part && row.resource == first.resource, "{row:?}");
        // A CONNECT sends options, which are a kind of their own. A deletion sends the old object alone: no row has it beside
        // other operations.
        let is_read = |operation: &Operation| match operation {
            Operation::Create | Operation::Update => true,
            Operation::Connect => row.operations.len() == 1 && !row.subresource().is_empty(),
            Operation::Delete => row.is_deletion(),
        };
        assert!(row.operations.iter().all(is_read), "{row:?}");
        assert!(row.subresources.iter().all(|below| row.harmless.iter().all(|(other, _)| other != below)), "{row:?}");
    }
}

#[test]
fn a_row_names_the_subresources_through_which_its_objects_change() {
    let row = |resource| Resource {
        group: "",
        kind: "Namespace",
        resource,
        operations: &[Operation::Update],
        subresources: &["status"],
        harmless: &[("finalize", "It changes the finalizers alone.")],
        is_namespaced: false,
        parent_group: None,
        condition: None,
    };
    let names: Vec<String> = row("namespaces").names().collect();
    assert_eq!(names, ["namespaces", "namespaces/status"]);
    for (resource, subresource, changes) in [
        ("namespaces", "", true),
        ("namespaces", "status", true),
        ("namespaces", "unheard-of", true),
        ("namespaces", "finalize", false),
        ("namespaces/status", "status", true),
        ("namespaces/status", "", false),
    ] {
        assert_eq!(row(resource).changes_through(subresource), changes, "{resource} {subresource}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_refused_unless_the_update_left_it_unchanged() {
    let text = r#"{"metadata":{"name":"web","uid":7},"automountServiceAccountToken":"no"}"#;
    let changed = text.replace("no", "yes");
    let place = |other| read(text, other).err().map(|error| error.path.to_string());
    assert_eq!(place(None).as_deref(), Some("metadata.uid"));
    assert_eq!(place(Some(&changed)).as_deref(), Some("automountServiceAccountToken"));
    let unchanged = read(text, Some(text)).expect("readable");
    let left: Vec<String> = unchanged.unread().iter().map(|field| field.place.shown()).collect();
    assert_eq!(left, ["metadata.uid", "automountServiceAccountToken"]);
    assert!(read("[false]", Some("[false]")).is_err(), "a list is not an object");
}
